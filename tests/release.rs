//! What a release is made of, tried with files in the place of binaries.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::Folder;
use support::openwrt::Said;

const TARGET: &str = "mipsel-unknown-linux-musl";
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whether this is a checkout; the source of a release comes from its last commit.
fn is_checkout() -> bool {
    let found = project().join(".git").exists();
    if !found {
        eprintln!("not tested: a release is made from a git checkout");
    }
    found
}

fn cross(script: &str, arguments: &[&str], dist: &Path) -> Said {
    let mut command = Command::new(project().join("cross").join(script));
    Said::of(&command.args(arguments).env("ILAGENT_DIST", dist).output().unwrap())
}

/// `cross/release --draft` in a folder of its own: what it said, and where the files are.
fn drafted(folder: &Folder) -> (Said, PathBuf) {
    let dist = folder.join("dist");
    fs::create_dir(&dist).unwrap();
    let copied =
        Command::new("cp").arg("/bin/busybox").arg(dist.join(format!("ilagent-{TARGET}"))).status();
    assert!(copied.unwrap().success());
    let said = cross("release", &["--draft", "--made", TARGET], &dist);
    (said, folder.join(&format!("release-{VERSION}")))
}

#[test]
fn a_release_has_all_files_with_sums_and_is_the_same_twice() {
    if !is_checkout() {
        return;
    }
    let (one, other) = (Folder::new(), Folder::new());
    let (said, files) = drafted(&one);
    assert!(said.right, "{}", said.err);
    let names: BTreeSet<String> = fs::read_dir(&files)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in [
        "CHANGES.md",
        "SHA256SUMS",
        &format!("ilagent-{VERSION}-r1.mipsel_24kc.apk"),
        &format!("ilagent-{VERSION}.tar.gz"),
        &format!("ilagent-{TARGET}"),
        &format!("ilagent-{TARGET}.cdx.json"),
        &format!("ilagent_{VERSION}-1_mipsel.deb"),
        &format!("ilagent_{VERSION}-r1_mipsel_24kc.ipk"),
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert_eq!(names.len(), 8, "{names:?}");
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(&files)
        .output();
    assert!(sums.unwrap().status.success());
    let summed = fs::read_to_string(files.join("SHA256SUMS")).unwrap();
    assert_eq!(summed.lines().count(), 7, "all but itself");

    let source = files.join(format!("ilagent-{VERSION}.tar.gz"));
    let hash = summed.lines().find(|line| line.ends_with(".tar.gz")).unwrap();
    let hash = hash.split_whitespace().next().unwrap();
    assert!(said.out.contains(&format!("PKG_HASH:={hash}")), "{}", said.out);
    let listed = Command::new("tar").arg("-tzf").arg(source).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.lines().any(|name| name == format!("ilagent-{VERSION}/Cargo.lock")));

    let (_, again) = drafted(&other);
    assert_eq!(summed, fs::read_to_string(again.join("SHA256SUMS")).unwrap());
}

/// The one thing only the owner can do is to say what has changed.
#[test]
fn a_release_needs_a_section_of_the_changelog() {
    if !is_checkout() {
        return;
    }
    let folder = Folder::new();
    let changes = fs::read_to_string(project().join("CHANGELOG.md")).unwrap();
    let waiting = changes.split_once("## Unreleased").map_or("", |(_, rest)| rest);
    let said = cross("release", &["--made", TARGET], folder.path());
    assert!(!said.right, "and there is no binary here");
    if waiting.trim_start().starts_with("###") {
        assert!(said.err.contains("or try --draft"), "{}", said.err);
    }
    let said = cross("release", &["--draft", "vax-unknown-ultrix"], folder.path());
    assert!(said.err.contains("unknown target 'vax-unknown-ultrix'"), "{}", said.err);
}

#[test]
fn a_bill_of_materials_names_what_is_in_the_binary() {
    let said = cross("sbom", &[TARGET], Path::new("/"));
    assert!(said.right, "{}", said.err);
    let bill: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (bill["bomFormat"].as_str(), bill["specVersion"].as_str()),
        (Some("CycloneDX"), Some("1.5"))
    );
    let components = bill["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|part| part["name"] == name);
    for name in ["rumqttc", "rustls", "ring", "rusqlite", "webpki-roots", "sqlite"] {
        assert!(named(name).is_some(), "{name}");
    }
    for name in ["serde_derive", "proptest", "cc"] {
        assert!(named(name).is_none(), "{name} is only needed to build or to test");
    }
    let locked = fs::read_to_string(project().join("Cargo.lock")).unwrap();
    let reference = |part: &Value| part["bom-ref"].as_str().unwrap().to_owned();
    let mut known: BTreeSet<String> = components.iter().map(reference).collect();
    assert_eq!(known.len(), components.len(), "each once");
    for part in components.iter().filter(|part| part["name"] != "sqlite") {
        let sum = part["hashes"][0]["content"].as_str().unwrap();
        assert!(locked.contains(sum), "{}", part["name"]);
        assert!(part["licenses"][0]["expression"].is_string(), "{}", part["name"]);
    }
    known.insert(reference(&bill["metadata"]["component"]));
    for entry in bill["dependencies"].as_array().unwrap() {
        for need in entry["dependsOn"].as_array().unwrap() {
            assert!(known.contains(need.as_str().unwrap()), "{need}");
        }
    }
}
