//! Leaves the tables for unwinding out of a release.
//!
//! A panic ends the agent (`panic = "abort"`), so nothing ever walks up its stack, and nothing reads
//! the tables that the ready-made standard library, SQLite and ring bring for it: a tenth of the
//! binary. Cargo's profiles know no flag for it, and one in `RUSTFLAGS` would reach tests, which
//! unwind. `cross/build`, which makes its standard library itself, makes it without.

use std::path::PathBuf;
use std::{env, fs};

/// Both GNU's linker and LLVM's take it beside their own script, because of `INSERT`.
const SCRIPT: &str = "\
SECTIONS { /DISCARD/ : { *(.eh_frame) *(.gcc_except_table .gcc_except_table.*) } }
INSERT AFTER .text;
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, wanted: &str| env::var(name).is_ok_and(|value| value == wanted);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    let folder = env::var_os("OUT_DIR").expect("Cargo names a folder for what is made");
    let script = PathBuf::from(folder).join("release.ld");
    fs::write(&script, SCRIPT).expect("that folder can be written to");
    println!("cargo::rustc-link-arg-bin=ilagent=-Wl,-T,{}", script.display());
}
