//! The packages for OpenWrt: what is in them, whose it is, and what happens on the way in and out.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use support::Folder;
use support::openwrt::{Router, Said, build, package, unpack};

const TARGET: &str = "mipsel-unknown-linux-musl";

/// Mode and kind of everything on the router, as `tar -tv` shows it.
const FILES: [(&str, &str); 6] = [
    ("./etc/config/ilagent", "-rw-------"),
    ("./etc/ilagent/", "drwxr-x---"),
    ("./etc/init.d/ilagent", "-rwxr-xr-x"),
    ("./lib/upgrade/keep.d/", "drwxr-xr-x"),
    ("./lib/upgrade/keep.d/ilagent", "-rw-r--r--"),
    ("./usr/bin/ilagent", "-rwxr-xr-x"),
];

/// The package that a script makes, for all tests the same one: it takes its time.
fn made(script: &str) -> &'static Path {
    static IPK: OnceLock<PathBuf> = OnceLock::new();
    static APK: OnceLock<PathBuf> = OnceLock::new();
    let package = if script == "build-ipk" { &IPK } else { &APK };
    package.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(script);
        let _ = fs::remove_dir_all(&folder);
        build(script, &folder, TARGET)
    })
}

fn version() -> String {
    format!("{}-r1", env!("CARGO_PKG_VERSION"))
}

/// Name and mode of what an archive holds, all of it root's.
fn listed(archive: &Path) -> BTreeMap<String, String> {
    let output =
        Command::new("tar").arg("--numeric-owner").arg("-tvzf").arg(archive).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "0/0", "{line}");
        (words[5].to_owned(), words[0].to_owned())
    };
    text.lines().map(entry).collect()
}

#[test]
fn an_ipk_is_what_opkg_installs() {
    let folder = Folder::new();
    let ipk = made("build-ipk");
    let name = format!("ilagent_{}_mipsel_24kc.ipk", version());
    assert_eq!(ipk.file_name().unwrap().to_str(), Some(name.as_str()));
    let outer: Vec<String> = listed(ipk).into_keys().collect();
    assert_eq!(outer, ["./control.tar.gz", "./data.tar.gz", "./debian-binary"]);

    unpack(ipk, folder.path());
    assert_eq!(fs::read_to_string(folder.join("debian-binary")).unwrap(), "2.0\n");
    let data = listed(&folder.join("data.tar.gz"));
    for (path, mode) in FILES {
        assert_eq!(data.get(path).map(String::as_str), Some(mode), "{path} in {data:#?}");
    }
    let files =
        |names: &BTreeMap<String, String>| names.keys().filter(|name| !name.ends_with('/')).count();
    assert_eq!(files(&data), 4, "and nothing else: {data:#?}");

    let control = folder.join("control");
    fs::create_dir(&control).unwrap();
    unpack(&folder.join("control.tar.gz"), &control);
    let modes = listed(&folder.join("control.tar.gz"));
    assert_eq!(modes["./postinst"], "-rwxr-xr-x");
    assert_eq!(modes["./prerm"], "-rwxr-xr-x");
    let text = fs::read_to_string(control.join("control")).unwrap();
    for line in [
        "Package: ilagent",
        &format!("Version: {}", version()),
        "Architecture: mipsel_24kc",
        "Require-User: ilagent=897:ilagent=897",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    // opkg copies each of these before it unpacks, and fails at a folder.
    let kept = fs::read_to_string(control.join("conffiles")).unwrap();
    assert_eq!(kept, "/etc/config/ilagent\n");
    for line in kept.lines() {
        let mode = data.get(&format!(".{line}")).unwrap_or_else(|| panic!("{line} in {data:#?}"));
        assert!(mode.starts_with('-'), "{line} is a file: {mode}");
    }
    for (script, call) in [("postinst", "default_postinst"), ("prerm", "default_prerm")] {
        let text = fs::read_to_string(control.join(script)).unwrap();
        assert!(text.starts_with("#!/bin/sh\n"));
        let last = text.lines().last().unwrap();
        assert_eq!(last, format!(r#"{call} "$0" "$@""#));
    }
}

/// What is in an `.apk`, read as apk reads it.
fn read_apk(apk: &Path) -> Value {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openwrt/read_apk.py");
    let output = Command::new("python3").arg(reader).arg(apk).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_apk_is_what_apk_installs() {
    let apk = made("build-apk");
    let name = format!("ilagent-{}.mipsel_24kc.apk", version());
    assert_eq!(apk.file_name().unwrap().to_str(), Some(name.as_str()));
    let found = read_apk(apk);

    let info = &found["info"];
    assert_eq!(info["name"], "ilagent");
    assert_eq!(info["version"], version());
    assert_eq!(info["arch"], "mipsel_24kc");
    for (path, mode) in FILES {
        let octal = match mode {
            "-rw-------" => "0o600",
            "-rw-r--r--" => "0o644",
            "drwxr-x---" => "0o750",
            _ => "0o755",
        };
        let path = path.trim_start_matches("./");
        let whose = json!([octal, "root", "root"]);
        match path.strip_suffix('/') {
            Some(path) => assert_eq!(found["folders"][path], whose, "{path}"),
            None => assert_eq!(found["files"][path]["acl"], whose, "{path}"),
        }
    }
    let list = "/etc/config/ilagent\n/etc/init.d/ilagent\n/lib/upgrade/keep.d/ilagent\n\
                /usr/bin/ilagent\n";
    let text = |name: &str| &found["files"][format!("lib/apk/packages/ilagent.{name}")]["text"];
    assert_eq!(text("list"), list);
    assert_eq!(text("conffiles"), "/etc/config/ilagent\n");
    assert_eq!(text("rusers"), "ilagent=897:ilagent=897\n");
    let sum = text("conffiles_static").as_str().unwrap();
    assert!(sum.starts_with("/etc/config/ilagent ") && sum.trim_end().len() == 20 + 64, "{sum}");

    let scripts = &found["scripts"];
    for (name, lines) in [
        ("post-install", &["add_group_and_user", "default_postinst"][..]),
        ("post-upgrade", &["export PKG_UPGRADE=1", "add_group_and_user", "default_postinst"]),
        ("pre-deinstall", &["default_prerm"]),
    ] {
        let script = scripts[name].as_str().unwrap();
        for line in lines.iter().chain(&["export pkgname=\"ilagent\""]) {
            assert!(script.lines().any(|found| found == *line), "{name}: {line}\n{script}");
        }
    }
}

#[test]
fn packages_of_one_commit_are_the_same() {
    for script in ["build-ipk", "build-apk"] {
        let folder = Folder::new();
        let again = build(script, folder.path(), TARGET);
        assert!(fs::read(made(script)).unwrap() == fs::read(again).unwrap(), "{script}");
    }
}

#[test]
fn the_scripts_say_what_is_wrong_and_leave_nothing_behind() {
    let folder = Folder::new();
    for script in ["build-ipk", "build-apk"] {
        for (arguments, wanted) in [
            (&["mipsle-unknown-linux-musl"][..], "unknown target 'mipsle-unknown-linux-musl'"),
            (&[TARGET], "run cross/build mipsel-unknown-linux-musl first"),
            (&[TARGET, "mips el"], "'mips el' is no architecture"),
            (&[TARGET, "mipsel_24kc", "more"], "too many arguments"),
            (&[], "TARGET"),
        ] {
            let said = package(script, folder.path(), arguments);
            assert!(!said.right, "{script} {arguments:?}");
            let words = format!("{}{}", said.out, said.err);
            assert!(words.contains(wanted), "{script} {arguments:?}: {words}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a program that has to end well; gives what it printed.
fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn openssl(folder: &Path, arguments: &str) -> String {
    text(Command::new("openssl").args(arguments.split(' ')).current_dir(folder))
}

/// Signed with keys of the owner; checked by `openssl` and a reader of our own.
#[test]
fn a_router_can_trust_the_repositories_of_a_release() {
    let folder = Folder::new();
    let path = folder.path();
    for package in [made("build-ipk"), made("build-apk")] {
        fs::copy(package, path.join(package.file_name().unwrap())).unwrap();
    }
    openssl(path, "genpkey -algorithm ed25519 -out opkg.key");
    openssl(path, "ecparam -name prime256v1 -genkey -noout -out apk.key");
    let build = |keys: &[&str]| {
        let mut build = Command::new(project("openwrt/build-index"));
        Said::of(&build.arg(path).args(keys).current_dir(path).output().unwrap())
    };
    let said = build(&["apk.key", "opkg.key"]);
    assert!(!said.right && said.err.contains("apk.key is a key of another kind"), "{}", said.err);
    assert!(build(&["opkg.key", "apk.key"]).right);

    let index = fs::read_to_string(path.join("Packages")).unwrap();
    let ipk = made("build-ipk");
    let sum = text(Command::new("sha256sum").arg(ipk));
    for line in [
        "Package: ilagent",
        "Architecture: mipsel_24kc",
        &format!("Filename: {}", ipk.file_name().unwrap().to_str().unwrap()),
        &format!("Size: {}", ipk.metadata().unwrap().len()),
        &format!("SHA256sum: {}", sum.split(' ').next().unwrap()),
    ] {
        assert!(index.lines().any(|found| found == line), "{line}\n{index}");
    }
    let packed = path.join("Packages.gz");
    assert_eq!(text(Command::new("gunzip").arg("-c").arg(packed)), index);
    verify_usign(path);

    let apk = format!("apk/mipsel_24kc/ilagent-{}.apk", version());
    assert!(fs::read(path.join(&apk)).unwrap() == fs::read(made("build-apk")).unwrap());
    let known = text(
        Command::new("python3")
            .arg(project("tests/openwrt/read_index.py"))
            .args(["apk/mipsel_24kc/packages.adb", "apk-key.pem", &apk])
            .current_dir(path),
    );
    let known: Value = serde_json::from_str(&known).unwrap();
    assert_eq!(known, json!(["ilagent", "ilagent", version(), "mipsel_24kc"]));

    // Without keys, a signature of an earlier run is not left behind.
    assert!(build(&[]).right);
    assert!(!path.join("Packages.sig").exists());
}

/// The signature and the public key are as usign writes them: `Ed`, the key's number, the bytes.
fn verify_usign(folder: &Path) {
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let (comment, line) = text.split_once('\n').unwrap();
        assert!(comment.starts_with("untrusted comment: "));
        decoded(folder, line)
    };
    let (signature, key) = (read("Packages.sig"), read("opkg-key.pub"));
    assert_eq!((signature.len(), key.len()), (2 + 8 + 64, 2 + 8 + 32));
    assert_eq!(signature[..10], key[..10]);
    assert_eq!(&key[..2], b"Ed");
    fs::write(folder.join("signature"), &signature[10..]).unwrap();
    openssl(folder, "pkey -in opkg.key -pubout -out public.pem");
    openssl(folder, "pkey -in opkg.key -pubout -outform DER -out public.der");
    assert!(fs::read(folder.join("public.der")).unwrap().ends_with(&key[10..]));
    openssl(
        folder,
        "pkeyutl -verify -rawin -pubin -inkey public.pem -in Packages -sigfile signature",
    );
}

/// Base64, decoded.
fn decoded(folder: &Path, line: &str) -> Vec<u8> {
    fs::write(folder.join("line"), line).unwrap();
    openssl(folder, "base64 -d -in line -out bytes");
    fs::read(folder.join("bytes")).unwrap()
}

/// What make itself finds in a Makefile of the feed, with nothing of OpenWrt behind it.
fn made_of(makefile: &Path, name: &str) -> String {
    let folder = Folder::new();
    for file in
        ["rules.mk", "package.mk", "feeds/packages/lang/rust/rust-package.mk", "feeds/luci/luci.mk"]
    {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), "").unwrap();
    }
    let root = folder.path().to_str().unwrap();
    text(
        Command::new("make")
            .args(["-s", "-C"])
            .arg(makefile.parent().unwrap())
            .args([&format!("TOPDIR={root}"), &format!("INCLUDE_DIR={root}")])
            .arg(format!("--eval=show:;@echo '$({name})'"))
            .arg("show"),
    )
    .trim_end()
    .to_owned()
}

/// A feed without a checkout builds the release's source, and names its owner.
#[test]
fn the_feed_of_a_release_builds_its_source() {
    let folder = Folder::new();
    let (source, feed) = (folder.join("source.tar.gz"), folder.join("feed.tar.gz"));
    fs::write(&source, "source").unwrap();
    text(Command::new(project("openwrt/build-feed")).args([&source, &feed]));
    unpack(&feed, folder.path());
    let sum = text(Command::new("sha256sum").arg(&source));
    let owner = made_of(&project("openwrt/ilagent/Makefile"), "PKG_MAINTAINER");
    assert!(owner.contains('@'), "{owner}");
    let makefile = folder.join("ilagent-feed/ilagent/Makefile");
    for (name, wanted) in [
        ("PKG_SOURCE", format!("ilagent-{}.tar.gz", env!("CARGO_PKG_VERSION"))),
        ("PKG_HASH", sum.split(' ').next().unwrap().to_owned()),
        ("PKG_MAINTAINER", owner.clone()),
        ("CARGO_PKG_VARS", "RUST_LIBC_UNSTABLE_MUSL_V1_2_3=1".to_owned()),
        ("Build/Prepare", String::new()),
    ] {
        assert_eq!(made_of(&makefile, name), wanted, "{name}");
    }
    assert!(made_of(&makefile, "PKG_SOURCE_URL").starts_with("https://"));
    let luci = folder.join("ilagent-feed/luci-app-ilagent/Makefile");
    assert_eq!(made_of(&luci, "PKG_MAINTAINER"), owner);
    let text = fs::read_to_string(&makefile).unwrap();
    assert!(!text.contains("ILAGENT_"), "{text}");
    assert!(folder.join("ilagent-feed/ilagent/files/ilagent.init").exists());
    assert!(folder.join("ilagent-feed/luci-app-ilagent/po/templates/ilagent.pot").exists());
}

/// Translators get what the pages show.
#[test]
fn the_template_for_translations_is_up_to_date() {
    text(Command::new(project("openwrt/luci-app-ilagent/build-pot")).arg("--check"));
}

/// The feed's Makefile installs the same files with the same modes as the packages without it.
#[test]
fn the_makefile_of_the_feed_agrees() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/ilagent/Makefile");
    let makefile = fs::read_to_string(path).unwrap();
    for line in [
        &format!("PKG_VERSION:={}", env!("CARGO_PKG_VERSION")),
        "PKG_RELEASE:=1",
        "  USERID:=ilagent=897:ilagent=897",
        "\tcd $(ILAGENT_CHECKOUT) && $(CP) .cargo Cargo.toml Cargo.lock LICENSE README.md benches build.rs src \\",
        "\t$(INSTALL_BIN) $(PKG_INSTALL_DIR)/bin/ilagent $(1)/usr/bin/ilagent",
        "\t$(INSTALL_BIN) ./files/ilagent.init $(1)/etc/init.d/ilagent",
        "\t$(INSTALL_CONF) ./files/ilagent.config $(1)/etc/config/ilagent",
        "\t$(INSTALL_DATA) ./files/ilagent.keep $(1)/lib/upgrade/keep.d/ilagent",
        "\t$(INSTALL_DIR) $(1)/etc/ilagent\n\tchmod 0750 $(1)/etc/ilagent",
        "define Package/ilagent/conffiles\n/etc/config/ilagent\nendef",
    ] {
        assert!(format!("\n{makefile}").contains(&format!("\n{line}\n")), "{line}");
    }
}

/// A router on which the agent runs, as the version before left it.
fn running() -> Option<Router> {
    let router = Router::new()?;
    router.configure(RIGHT);
    assert!(router.service("start").right);
    assert_eq!(router.acts(), ["start"]);
    Some(router)
}

const RIGHT: &str =
    "config ilagent 'main'\n\toption enabled '1'\nconfig http 'http'\n\toption port '8977'\n";

/// apk runs no script of the old package. procd sees no difference in the instance, so without a
/// restart the old binary would go on.
#[test]
fn what_ran_runs_the_new_binary_after_an_upgrade_by_apk() {
    let Some(router) = running() else { return };
    let found = read_apk(made("build-apk"));
    let by_build_system = [
        "#!/bin/sh\n. /lib/functions.sh\nexport PKG_UPGRADE=1\nadd_group_and_user\ndefault_postinst\n",
        &of_the_makefile("postinst"),
    ];
    let install = found["scripts"]["post-install"].as_str().unwrap();
    let upgrade = found["scripts"]["post-upgrade"].as_str().unwrap();
    for script in [upgrade, &by_build_system.concat()] {
        router.write("/tmp/script", script);
        let upgrade = || router.run(&["sh", "/tmp/script"]);
        // What is right is taken, what is wrong is not, and the binary is the new one either way.
        for uci in [RIGHT.to_owned(), RIGHT.replace("8977", "x")] {
            router.configure(&uci);
            let said = upgrade();
            assert!(said.right, "{}", said.err);
            let acts = router.acts();
            assert_eq!(acts[acts.len() - 2..], ["stop", "start"], "{acts:?}");
            assert_eq!(router.made()["http"]["port"], "8977");
        }
        // What is off stays off.
        router.configure(&RIGHT.replace("enabled '1'", "enabled '0'"));
        router.service("reload");
        router.acts();
        assert!(upgrade().right);
        assert!(router.acts().is_empty());
        router.configure(RIGHT);
        router.service("start");
        router.acts();
    }
    router.service("stop");
    router.write("/tmp/script", install);
    assert!(router.run(&["sh", "/tmp/script"]).right);
    assert!(
        router.path("/etc/rc.d/S95ilagent").is_symlink(),
        "and it is enabled at the first install"
    );
}

/// opkg has the old package stop the agent, and the new one start it.
#[test]
fn what_ran_runs_again_after_an_upgrade_by_opkg() {
    let Some(router) = running() else { return };
    let folder = Folder::new();
    unpack(made("build-ipk"), folder.path());
    unpack(&folder.join("control.tar.gz"), folder.path());
    let run = |script: &str| {
        router.write("/tmp/script", &fs::read_to_string(folder.join(script)).unwrap());
        let said = router.run(&["env", "PKG_UPGRADE=1", "sh", "/tmp/script"]);
        assert!(said.right, "{script}: {}", said.err);
    };
    for uci in [RIGHT.to_owned(), RIGHT.replace("8977", "x")] {
        router.configure(&uci);
        run("prerm");
        assert_eq!(router.acts(), ["stop"]);
        run("postinst");
        assert_eq!(router.acts(), ["start"]);
        assert_eq!(router.made()["http"]["port"], "8977");
    }
    // The build system's script comes before the start there, and has nothing to do.
    run("prerm");
    router.acts();
    router.write("/tmp/script", &of_the_makefile("postinst"));
    assert!(router.run(&["env", "PKG_UPGRADE=1", "sh", "/tmp/script"]).right);
    assert!(router.acts().is_empty());
}

/// A script of the feed's Makefile, as make writes it out.
fn of_the_makefile(script: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openwrt/ilagent/Makefile");
    let makefile = fs::read_to_string(path).unwrap();
    let begin = format!("define Package/ilagent/{script}\n");
    let (_, rest) = makefile.split_once(&begin).unwrap();
    rest.split_once("endef\n").unwrap().0.replace("$$", "$")
}
