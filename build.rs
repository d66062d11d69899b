//! Packs the page that `GET /` answers with, so that nothing has to be packed on a router.
//!
//! And leaves out of a release what costs bytes and does nothing: an eighth of the binary.
//!
//! **Tables for unwinding.** A panic ends the agent (`panic = "abort"`), so nothing ever walks up its
//! stack, and nothing reads the tables that the ready-made standard library, SQLite and ring bring for
//! it. Cargo's profiles know no flag for it, and one in `RUSTFLAGS` would reach tests, which unwind.
//! `cross/build`, which makes its standard library itself, makes it without.
//!
//! **Relocations.** The loader reads 24 bytes for each pointer that it has to adjust. glibc 2.36 and
//! later read a bitmap instead. An older one refuses such a binary, so only a machine that has a newer
//! one makes it, for itself. The static binaries of `cross/build` have no relocations.
//!
//! And gives code that is not used together places apart. The kernel maps the sixteen pages around
//! the one that is needed, so code of Kapacitor between functions of the queue would be in memory on
//! a router that has no Kapacitor.

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Both GNU's linker and LLVM's take it beside their own script, because of `INSERT`.
const NO_TABLES: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table .gcc_except_table.*) } }
INSERT AFTER .text;
";

/// Code that many agents never run, each line in a place of its own, with what the libraries make for
/// its types. A path that begins with a crate has `::` in front.
const APART: [&[&str]; 7] = [
    &["ilagent::cli"],
    &["ilagent::alerts", "ilagent::watch", "sources::kapacitor"],
    &["ilagent::jsonata", "mapping::shape", "dialects::connectware"],
    &["ilagent::cel", "sources::dapr", "mapping::dapr", "mapping::app", "sinks::app"],
    &["dialects::dapr"],
    &["::rustls", "::webpki", "::ureq", "::ureq_proto", "::http", "::ring"],
    &["ilagent::config", "::saphyr_parser", "::toml", "::toml_parser", "::regex_lite"],
];

/// The part of the page that is always the same.
const PAGE: &str = "src/status/page/page.html";

/// The first glibc that reads the bitmap.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PAGE}");
    let folder = env::var_os("OUT_DIR").expect("Cargo names a folder for what is made");
    let folder = PathBuf::from(folder);
    pack(&folder.join("page.deflate"));
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    let script = folder.join("release.ld");
    fs::write(&script, apart() + NO_TABLES).expect("that folder can be written to");
    println!("cargo::rustc-link-arg-bin=ilagent=-Wl,-T,{}", script.display());

    let here = env::var("HOST").is_ok_and(|host| is("TARGET", &host));
    if here && is("CARGO_CFG_TARGET_ENV", "gnu") && glibc() >= Some(PACKED_SINCE) {
        println!("cargo::rustc-link-arg-bin=ilagent=-Wl,-z,pack-relative-relocs");
    }
}

/// What puts the code of [`APART`] in front of the rest.
fn apart() -> String {
    let sections = |path: &&str| format!("*(.text.*{}*)", mangled(path));
    let places = APART.iter().flat_map(|place| place.iter().map(sections));
    format!(
        "SECTIONS {{ .text.apart : {{ {} }} }}\nINSERT BEFORE .text;\n",
        places.collect::<String>()
    )
}

/// A path as the names of functions have it: each part behind its length, and `_` before a crate.
fn mangled(path: &str) -> String {
    let part =
        |part: &str| if part.is_empty() { "_".to_owned() } else { format!("{}{part}", part.len()) };
    path.split("::").map(part).collect()
}

/// Deflates the page without a last block, up to the end of a byte, so that more can follow.
fn pack(packed: &Path) {
    let page = fs::read_to_string(PAGE).expect("the page is there");
    // Indentation is for those who write it.
    let lines: Vec<&str> = page.lines().map(str::trim_start).collect();
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(10, -15, 0));
    let mut out = Vec::new();
    let (status, _) = compress_to_output(
        &mut compressor,
        lines.join("\n").as_bytes(),
        TDEFLFlush::Sync,
        |bytes| {
            out.extend_from_slice(bytes);
            true
        },
    );
    assert_eq!(status, TDEFLStatus::Okay, "the page is packed");
    fs::write(packed, out).expect("that folder can be written to");
}

/// Which glibc this machine has, if its tools say.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let words = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = words.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
