//! What a release is made of, tried with files in the place of binaries.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use support::Folder;
use support::openwrt::{OWNER, Router, Said};

const TARGET: &str = "x86_64-unknown-linux-musl";
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
    Said::of(
        &command
            .args(arguments)
            .env("ILAGENT_DIST", dist)
            .env("ILAGENT_ROOTS", dist.join("roots.pem"))
            .output()
            .unwrap(),
    )
}

/// `cross/release --draft` in a folder of its own: what it said, and where the files are.
fn drafted(folder: &Path) -> (Said, PathBuf) {
    let dist = folder.join("dist");
    fs::create_dir_all(&dist).unwrap();
    let binary = dist.join(format!("ilagent-{TARGET}"));
    fs::write(&binary, "#!/bin/sh\necho released\n").unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dist.join("roots.pem"), "roots").unwrap();
    let said = cross("release", &["--draft", "--made", TARGET], &dist);
    (said, folder.join(format!("release-{VERSION}")))
}

/// The release that most tests look at.
fn release() -> &'static (Said, PathBuf) {
    static RELEASE: OnceLock<(Said, PathBuf)> = OnceLock::new();
    RELEASE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release");
        let _ = fs::remove_dir_all(&folder);
        drafted(&folder)
    })
}

#[test]
fn a_release_has_all_files_with_sums_and_is_the_same_twice() {
    if !is_checkout() {
        return;
    }
    let (said, files) = release();
    assert!(said.right, "{}", said.err);
    let names: BTreeSet<String> = fs::read_dir(files)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let wanted = [
        "CHANGES.md".to_owned(),
        "SHA256SUMS".to_owned(),
        "install.sh".to_owned(),
        format!("ilagent-{VERSION}-amd64.image.tar"),
        format!("ilagent-{VERSION}-r1.x86_64.apk"),
        format!("openwrt-feed-{VERSION}.tar.gz"),
        format!("ilagent-{VERSION}.tar.gz"),
        format!("ilagent-{TARGET}"),
        format!("ilagent-{TARGET}.cdx.json"),
        format!("ilagent_{VERSION}-1_amd64.deb"),
        format!("ilagent_{VERSION}-r1_x86_64.ipk"),
    ];
    assert_eq!(names, BTreeSet::from(wanted));
    let sums = Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(files)
        .output();
    assert!(sums.unwrap().status.success());
    let summed = fs::read_to_string(files.join("SHA256SUMS")).unwrap();
    assert_eq!(summed.lines().count(), names.len() - 1, "all but itself");

    let source = files.join(format!("ilagent-{VERSION}.tar.gz"));
    let name = format!("ilagent-{VERSION}.tar.gz");
    let hash = summed.lines().find(|line| line.ends_with(&name)).unwrap();
    let hash = hash.split_whitespace().next().unwrap();
    assert!(said.out.contains(&format!("PKG_HASH:={hash}")), "{}", said.out);
    let listed = Command::new("tar").arg("-tzf").arg(source).output().unwrap().stdout;
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.lines().any(|name| name == format!("ilagent-{VERSION}/Cargo.lock")));

    let other = Folder::new();
    let (_, again) = drafted(other.path());
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

/// A folder over HTTP, on loopback, until it is dropped.
struct Served {
    server: Child,
    url: String,
}

impl Served {
    fn new(folder: &Path) -> Self {
        let mut server = Command::new("python3")
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.split("port ").nth(1).and_then(|rest| rest.split(' ').next());
        let url = format!("http://127.0.0.1:{}", port.unwrap());
        Served { server, url }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A box without the package, with `install.sh`; a router if it says it is one.
fn bare(is_router: bool) -> Option<Router> {
    let router = Router::new()?;
    for path in ["/usr/bin/ilagent", "/etc/init.d/ilagent", "/etc/config/ilagent"] {
        fs::remove_file(router.path(path)).unwrap();
    }
    fs::remove_file(router.path("/usr/bin/wget")).unwrap();
    assert!(router.run(&["ln", "-s", "/bin/busybox", "/usr/bin/wget"]).right, "not the stand-in");
    router.write("/tmp/install.sh", &fs::read_to_string(project().join("install.sh")).unwrap());
    if is_router {
        router.write("/etc/openwrt_release", "DISTRIB_ID='OpenWrt'\n");
        for account in ["passwd", "group", "shadow"] {
            router.write(&format!("/etc/{account}"), "root:x:0:0:root:/root:/bin/ash\n");
        }
    }
    Some(router)
}

#[test]
fn a_router_is_installed_from_a_release_and_upgraded() {
    let (true, Some(router)) = (is_checkout(), bare(true)) else { return };
    let served = Served::new(&release().1);
    let install = |router: &Router| router.run(&["sh", "/tmp/install.sh", &served.url]);
    let said = install(&router);
    assert!(said.right, "{}", said.err);
    assert!(said.out.contains("edit /etc/config/ilagent"), "{}", said.out);
    assert_eq!(router.read("/usr/bin/ilagent"), "#!/bin/sh\necho released\n");
    let mode = |path: &str| router.path(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("/usr/bin/ilagent"), mode("/etc/init.d/ilagent")), (0o755, 0o755));
    assert_eq!(mode("/etc/config/ilagent"), 0o600);
    assert!(router.read("/etc/passwd").contains(&format!("\nilagent:x:{OWNER}:{OWNER}:")));

    router.configure("config ilagent\n\toption enabled '0'\n");
    let accounts = router.read("/etc/passwd");
    assert!(install(&router).right);
    assert!(router.read("/etc/config/ilagent").contains("enabled '0'"), "it is the owner's");
    assert_eq!(router.read("/etc/passwd"), accounts);
}

#[test]
fn a_file_that_is_not_what_the_sums_say_is_not_installed() {
    let (true, Some(router)) = (is_checkout(), bare(true)) else { return };
    let folder = Folder::new();
    for name in ["SHA256SUMS".to_owned(), format!("ilagent-{VERSION}.tar.gz")] {
        fs::copy(release().1.join(&name), folder.join(&name)).unwrap();
    }
    let served = Served::new(folder.path());
    let install = || router.run(&["sh", "/tmp/install.sh", &served.url]);
    let said = install();
    assert!(!said.right && said.err.contains("cannot be downloaded"), "{}", said.err);
    fs::write(folder.join(&format!("ilagent-{TARGET}")), "another").unwrap();
    let said = install();
    assert!(!said.right);
    assert!(said.err.contains(&format!("ilagent-{TARGET} is not what SHA256SUMS says")));
    for path in ["/usr/bin/ilagent", "/etc/init.d/ilagent", "/etc/config/ilagent"] {
        assert!(!router.path(path).exists(), "{path}");
    }
}

#[test]
fn elsewhere_the_binary_is_installed_and_debian_gets_its_package() {
    let (true, Some(machine)) = (is_checkout(), bare(false)) else { return };
    let files = &release().1;
    let served = Served::new(files);
    let said = machine.run(&["sh", "/tmp/install.sh", &served.url]);
    assert!(said.right && said.out.contains("there is no systemd"), "{said:?}");
    assert_eq!(machine.run(&["/usr/local/bin/ilagent"]).out, "released\n");
    assert!(machine.path("/etc/ilagent/ilagent.toml").exists());

    let mut look = Command::new("sh");
    look.arg(project().join("install.sh")).arg("--look").arg(files);
    let said = Said::of(&look.output().unwrap());
    assert!(said.out.contains(&format!("would install ilagent_{VERSION}-1_amd64.deb")), "{said:?}");
}
