//! Container images: read back by `skopeo`, which checks every digest, and file by file.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use support::Folder;
use support::openwrt::{OWNER, Said, unpack};

const AMD64: &str = "x86_64-unknown-linux-musl";
const ARM64: &str = "aarch64-unknown-linux-musl";
const ARMV7: &str = "armv7-unknown-linux-musleabihf";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `cross/image TARGETS`, with files in the place of binaries.
fn image(folder: &Folder, targets: &[&str]) -> Said {
    for target in targets {
        fs::write(folder.join(&format!("ilagent-{target}")), target).unwrap();
    }
    fs::write(folder.join("roots.pem"), "roots").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/image");
    let output = Command::new(script)
        .args(targets)
        .env("ILAGENT_DIST", folder.path())
        .env("ILAGENT_ROOTS", folder.join("roots.pem"))
        .output();
    Said::of(&output.unwrap())
}

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").arg("--insecure-policy").args(arguments).output().unwrap();
    let said = Said::of(&output);
    assert!(said.right, "skopeo {arguments:?}: {}", said.err);
    said.out
}

fn archive(folder: &Folder, kind: &str, word: &str) -> String {
    format!("{kind}:{}/ilagent-{VERSION}{word}.image.tar", folder.path().display())
}

#[test]
fn docker_and_podman_find_an_image_for_each_processor() {
    let folder = Folder::new();
    let said = image(&folder, &[AMD64, ARM64, ARMV7]);
    assert!(said.right, "{}", said.err);
    for (word, architecture) in [("-amd64", "amd64"), ("-arm64", "arm64"), ("-armv7", "arm")] {
        // docker before version 25 reads the one, docker since then and podman the other.
        for kind in ["docker-archive", "oci-archive"] {
            let shown = skopeo(&[
                "--override-arch",
                architecture,
                "inspect",
                "--config",
                &archive(&folder, kind, word),
            ]);
            let config: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(config["architecture"], architecture, "{kind}");
            assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/ilagent"]), "{kind}");
            assert_eq!(config["config"]["User"], format!("{OWNER}:{OWNER}"), "{kind}");
        }
    }
    let raw = skopeo(&["inspect", "--raw", &archive(&folder, "oci-archive", "")]);
    let index: Value = serde_json::from_str(&raw).unwrap();
    let platform = |manifest: &Value| manifest["platform"]["architecture"].clone();
    let platforms: Vec<Value> =
        index["manifests"].as_array().unwrap().iter().map(platform).collect();
    assert_eq!(platforms, ["amd64", "arm64", "arm"]);
}

#[test]
fn an_image_holds_the_binary_a_user_and_roots() {
    let folder = Folder::new();
    assert!(image(&folder, &[ARMV7]).right);
    let copy = folder.join("copy");
    let from = archive(&folder, "oci-archive", "-armv7");
    skopeo(&["--override-arch", "arm", "copy", &from, &format!("dir:{}", copy.display())]);
    let manifest: Value =
        serde_json::from_slice(&fs::read(copy.join("manifest.json")).unwrap()).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let layer = copy.join(layer.strip_prefix("sha256:").unwrap());

    let listed = Command::new("tar").arg("--numeric-owner").arg("-tvzf").arg(&layer).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {}", words[0], words[1], words[5])
    };
    let entries: Vec<String> = listed.lines().map(entry).collect();
    for wanted in [
        "-rwxr-xr-x 0/0 usr/bin/ilagent",
        "-rw-r--r-- 0/0 etc/ssl/certs/ca-certificates.crt",
        "drwxr-x--- 897/897 var/lib/ilagent/",
        "drwxrwxrwt 0/0 tmp/",
    ] {
        assert!(entries.iter().any(|entry| entry == wanted), "{wanted} in {entries:#?}");
    }
    let root = folder.join("root");
    fs::create_dir(&root).unwrap();
    unpack(&layer, &root);
    assert_eq!(fs::read_to_string(root.join("usr/bin/ilagent")).unwrap(), ARMV7);
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(users.contains(&format!("ilagent:x:{OWNER}:{OWNER}:")), "{users}");
}

#[test]
fn two_images_of_one_commit_are_the_same() {
    let (one, other) = (Folder::new(), Folder::new());
    let name = format!("ilagent-{VERSION}-arm64.image.tar");
    for folder in [&one, &other] {
        assert!(image(folder, &[ARM64]).right);
    }
    assert!(fs::read(one.join(&name)).unwrap() == fs::read(other.join(&name)).unwrap());
}

#[test]
fn what_no_image_can_be_made_of_is_named() {
    let folder = Folder::new();
    let said = image(&folder, &["mips-unknown-linux-musl"]);
    assert!(!said.right);
    assert!(said.err.contains("no images for mips-unknown-linux-musl; there are x86_64-"));
    fs::remove_file(folder.join("ilagent-mips-unknown-linux-musl")).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cross/image");
    let run = |roots: &str| {
        let mut command = Command::new(&script);
        command.arg(AMD64).env("ILAGENT_DIST", folder.path()).env("ILAGENT_ROOTS", roots);
        Said::of(&command.output().unwrap()).err
    };
    assert!(run("/").contains(&format!("run cross/build {AMD64} first")));
    fs::write(folder.join(&format!("ilagent-{AMD64}")), "").unwrap();
    assert!(run("/no/roots").contains("apt-get install ca-certificates, or set ILAGENT_ROOTS"));
}
