//! The Debian package and its unit: checked by the tools of Debian and systemd, and installed,
//! upgraded, removed and purged in a Debian of its own.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use support::Folder;
use support::agent::BINARY;
use support::openwrt::{self, Said};

const TARGET: &str = "x86_64-unknown-linux-musl";
const WANTED: &str = "etc/systemd/system/multi-user.target.wants/ilagent.service";

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[track_caller]
fn text(command: &mut Command) -> String {
    let output = run(command);
    let said = Said::of(&output);
    assert!(said.right, "{command:?}\n{}\n{}", said.out, said.err);
    said.out
}

fn build(folder: &Folder) -> PathBuf {
    openwrt::build("../systemd/build-deb", folder.path(), TARGET)
}

/// The unit with the agent under test in the place of the one that is not installed here.
fn unit(folder: &Folder) -> PathBuf {
    let path = folder.join("ilagent.service");
    let unit = fs::read_to_string(project("systemd/ilagent.service")).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/ilagent daemon --config "));
    fs::write(&path, unit.replace("/usr/bin/ilagent", BINARY)).unwrap();
    path
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit_and_little_exposed() {
    let folder = Folder::new();
    let unit = unit(&folder);
    let said = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
    let said = Said::of(&said);
    assert!(said.right && said.out.is_empty() && said.err.is_empty(), "{said:?}");
    let analysis = text(
        Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", "--threshold=15"])
            .arg(&unit),
    );
    let level = analysis.lines().last().unwrap();
    assert!(level.contains("Overall exposure level"), "{level}");
}

#[test]
fn the_unit_names_the_credentials_that_the_agent_knows() {
    let unit = fs::read_to_string(project("systemd/ilagent.service")).unwrap();
    let named = |key: &str| -> BTreeSet<String> {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
        lines.map(|rest| rest.split(':').next().unwrap().to_owned()).collect()
    };
    let (set, load) = (named("SetCredential="), named("LoadCredential="));
    assert_eq!(set, load, "one that is missing must not keep the agent from starting");
    let options = fs::read_to_string(project("docs/options.md")).unwrap();
    let line = options.lines().find(|line| line.starts_with("| `CREDENTIALS_DIRECTORY`")).unwrap();
    for name in &load {
        assert!(line.contains(&format!("`{name}`")), "{name} in {line}");
    }
    assert_eq!(load.len(), 8);
}

#[test]
fn the_shipped_configuration_is_right() {
    let said =
        run(Command::new(BINARY).args(["check", "--config"]).arg(project("systemd/ilagent.toml")));
    assert!(said.status.success(), "{said:?}");
    // And so is what it shows as a comment.
    let shipped = fs::read_to_string(project("systemd/ilagent.toml")).unwrap();
    let (head, sample) = shipped.split_once("#[[mqtt]]").unwrap();
    let folder = Folder::new();
    let path = folder.join("ilagent.toml");
    let sample = sample.replace("\n#", "\n");
    fs::write(&path, format!("{head}[[mqtt]]{sample}")).unwrap();
    let said = run(Command::new(BINARY).args(["check", "--config"]).arg(&path));
    assert!(said.status.success(), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("plant/+/alarms"));
}

#[test]
fn lintian_finds_no_error() {
    let folder = Folder::new();
    let package = build(&folder);
    let said = run(Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning"])
        // The binary of the test is not the static one.
        .args(["--suppress-tags", "missing-dependency-on-libc,undeclared-elf-prerequisites"])
        .args(["--suppress-tags", "mismatched-override,unused-override,hardening-no-pie"])
        .arg(package));
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn the_package_of_one_commit_is_the_same() {
    let made = |folder: &Folder| fs::read(build(folder)).unwrap();
    let (one, other) = (Folder::new(), Folder::new());
    assert!(made(&one) == made(&other));
}

#[test]
fn what_is_wrong_with_the_arguments_is_told() {
    let folder = Folder::new();
    for (arguments, wanted) in [
        (&["amd64"][..], "unknown target 'amd64'"),
        (&[TARGET], "run cross/build x86_64-unknown-linux-musl first"),
        (&[TARGET, "more"], "too many arguments"),
        (&[], "TARGET"),
    ] {
        let said = openwrt::package("../systemd/build-deb", folder.path(), arguments);
        assert!(!said.right, "{arguments:?}");
        assert!(format!("{}{}", said.out, said.err).contains(wanted), "{arguments:?}: {said:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Where this machine has its packages from, and of which release.
fn mirror() -> (String, String) {
    let release = fs::read_to_string("/etc/os-release").unwrap();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
    let targets = text(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(CODENAME) $(SITE)",
        "Created-By: Packages",
    ]));
    let begin = format!("{suite} ");
    let site = targets.lines().find_map(|line| line.strip_prefix(&begin)).unwrap();
    (site.to_owned(), suite.to_owned())
}

/// A Debian in a folder, fresh from the machine's own mirror.
struct Debian {
    root: Folder,
}

impl Debian {
    /// `None` where a root cannot be changed, which takes the rights of root.
    fn new() -> Option<Self> {
        if !openwrt::can_change_root() {
            return None;
        }
        let root = Folder::new();
        text(Command::new("cp").arg("-a").arg(Self::fresh().join(".")).arg(root.path()));
        Some(Debian { root })
    }

    /// The one that is copied for each test, fetched once.
    fn fresh() -> &'static Path {
        static FRESH: OnceLock<PathBuf> = OnceLock::new();
        FRESH.get_or_init(|| {
            let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
            if !base.join("complete").exists() {
                let _ = fs::remove_dir_all(&base);
                let (mirror, suite) = mirror();
                let mut debootstrap = Command::new("debootstrap");
                debootstrap.arg("--variant=minbase").arg(suite).arg(&base).arg(mirror);
                text(&mut debootstrap);
                fs::write(base.join("complete"), "").unwrap();
            }
            base
        })
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        text(
            Command::new("chroot")
                .arg(self.root.path())
                .args(arguments)
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    }

    fn install(&self, package: &Path) {
        fs::copy(package, self.path("root/ilagent.deb")).unwrap();
        self.run(&["dpkg", "--install", "--force-confold", "/root/ilagent.deb"]);
        fs::remove_file(self.path("root/ilagent.deb")).unwrap();
    }

    /// Puts something in the place of systemd that writes down what it is asked, and runs nothing.
    fn with_systemd(self) -> Self {
        const SYSTEMCTL: &str = "#!/bin/sh
echo \"$*\" >>/root/asked
wanted=/etc/systemd/system/multi-user.target.wants/ilagent.service
case \"$*\" in
  *preset*) mkdir -p ${wanted%/*} && ln -sf /lib/systemd/system/ilagent.service $wanted ;;
  *is-enabled*) [ ! -L $wanted ] || echo enabled ;;
  *is-active*) [ -e /root/active ] ;;
esac
";
        fs::create_dir_all(self.path("run/systemd/system")).unwrap();
        fs::write(self.path("usr/bin/systemctl"), SYSTEMCTL).unwrap();
        self.run(&["chmod", "0755", "/usr/bin/systemctl"]);
        self
    }

    /// What systemd was asked to do with the unit since the last look.
    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.path("root/asked")).unwrap_or_default();
        let _ = fs::remove_file(self.path("root/asked"));
        let actions = ["start", "stop", "restart"];
        let words = asked.lines().filter(|line| line.ends_with("ilagent.service"));
        words
            .filter_map(|line| line.split(' ').find(|word| actions.contains(word)))
            .map(str::to_owned)
            .collect()
    }

    /// Everything there is, but for the accounts that dpkg keeps.
    fn everything(&self) -> BTreeSet<String> {
        let found = self.run(&["find", "/", "-xdev", "-not", "-path", "/proc/*"]);
        let accounts = ["/var/lib/dpkg/", "/var/log/", "/var/cache/"];
        let lines = found.lines().filter(|line| !accounts.iter().any(|dir| line.starts_with(dir)));
        lines.map(str::to_owned).collect()
    }
}

/// A package whose binary only says the name of the package, because to pack the real one takes time.
fn small(dist: &Folder, name: &str, arguments: &[&str]) -> PathBuf {
    let binary = dist.join(&format!("{name}-{TARGET}"));
    fs::write(&binary, format!("#!/bin/sh\necho {name}\n")).unwrap();
    text(Command::new("chmod").arg("0755").arg(binary));
    let said = openwrt::package("../systemd/build-deb", dist.path(), arguments);
    assert!(said.right, "{}", said.err);
    dist.join(&format!("{name}_{}-1_amd64.deb", env!("CARGO_PKG_VERSION")))
}

/// The same package with a later version and another default configuration.
fn later(folder: &Folder, package: &Path) -> PathBuf {
    let unpacked = folder.join("unpacked");
    text(Command::new("dpkg-deb").arg("-R").arg(package).arg(&unpacked));
    let control = unpacked.join("DEBIAN/control");
    let said = fs::read_to_string(&control).unwrap();
    let version = format!("Version: {}", env!("CARGO_PKG_VERSION"));
    assert!(said.contains(&version));
    fs::write(&control, said.replace(&version, "Version: 99.0.0")).unwrap();
    let config = unpacked.join("etc/ilagent/ilagent.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "\n# new\n").unwrap();
    let made = folder.join("later.deb");
    text(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zgzip", "-b"])
            .args([unpacked.as_os_str(), made.as_os_str()]),
    );
    made
}

/// A key of gpg for one test, in a folder of its own.
struct Key {
    home: Folder,
}

impl Key {
    const OWNER: &str = "test@example.org";

    fn new() -> Self {
        let key = Key { home: Folder::new() };
        fs::set_permissions(key.home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let words = ["--batch", "--passphrase", "", "--quick-generate-key", Key::OWNER];
        text(Command::new("gpg").args(words).arg("ed25519").env("GNUPGHOME", key.home.path()));
        key
    }

    /// `systemd/build-apt FOLDER`, signed.
    fn publish(&self, folder: &Path) {
        let mut build = Command::new(project("systemd/build-apt"));
        text(build.arg(folder).arg(Key::OWNER).env("GNUPGHOME", self.home.path()));
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        let _ = end.args(["--kill", "all"]).env("GNUPGHOME", self.home.path()).status();
    }
}

#[test]
fn apt_installs_and_upgrades_from_a_signed_repository_and_from_no_other() {
    let Some(debian) = Debian::new().map(Debian::with_systemd) else { return };
    let (folder, key) = (Folder::new(), Key::new());
    let package = small(&folder, "ilagent", &[TARGET]);
    let repository = debian.path("root/repository");
    fs::create_dir(&repository).unwrap();
    fs::copy(&package, repository.join("ilagent_1_amd64.deb")).unwrap();
    key.publish(&repository);
    fs::create_dir_all(debian.path("etc/apt/keyrings")).unwrap();
    fs::copy(repository.join("ilagent.gpg"), debian.path("etc/apt/keyrings/ilagent.gpg")).unwrap();
    let line = "deb [signed-by=/etc/apt/keyrings/ilagent.gpg] file:/root/repository ./\n";
    fs::write(debian.path("etc/apt/sources.list"), line).unwrap();

    debian.run(&["apt-get", "update", "-qq"]);
    debian.run(&["apt-get", "install", "-qq", "ilagent"]);
    let config = debian.path("etc/ilagent/ilagent.toml");
    let edited = fs::read_to_string(&config).unwrap() + "\n# edited\n";
    fs::write(&config, &edited).unwrap();

    fs::copy(later(&folder, &package), repository.join("ilagent_2_amd64.deb")).unwrap();
    key.publish(&repository);
    debian.run(&["apt-get", "update", "-qq"]);
    debian.run(&["apt-get", "upgrade", "-qq", "-o", "Dpkg::Options::=--force-confold"]);
    assert!(debian.run(&["dpkg", "-s", "ilagent"]).contains("Version: 99.0.0"));
    assert_eq!(fs::read_to_string(&config).unwrap(), edited);

    // Somebody else's package, and the index that goes with it, without the key.
    text(Command::new(project("systemd/build-apt")).arg(&repository));
    let update = ["chroot", debian.root.path().to_str().unwrap(), "apt-get", "update"];
    let said = run(Command::new(update[0]).args(&update[1..]));
    assert!(!said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// What a person who needs Kafka now, and later no more, does with two packages.
#[test]
fn the_build_with_kafka_takes_over_and_gives_back() {
    let Some(debian) = Debian::new().map(Debian::with_systemd) else { return };
    let dist = Folder::new();
    let package = small(&dist, "ilagent", &[TARGET]);
    let with_kafka = small(&dist, "ilagent-kafka", &["--kafka", TARGET]);

    debian.install(&package);
    let config = debian.path("etc/ilagent/ilagent.toml");
    let edited = fs::read_to_string(&config).unwrap() + "\n# edited\n";
    fs::write(&config, &edited).unwrap();
    let queue = debian.path("var/lib/ilagent/ilagent.db3");
    fs::create_dir_all(queue.parent().unwrap()).unwrap();
    fs::write(&queue, "what waits").unwrap();
    fs::write(debian.path("root/active"), "").unwrap();
    let _ = debian.asked();
    let both = [("ilagent-kafka", &with_kafka, "ilagent"), ("ilagent", &package, "ilagent-kafka")];
    for (new, package, old) in both {
        debian.install(package);
        assert_eq!(debian.asked(), ["stop", "start"], "in place of {old}");
        debian.run(&["dpkg", "--purge", old]);
        assert!(debian.asked().is_empty(), "{old} has nothing left to stop");
        assert_eq!(debian.run(&["ilagent"]).trim(), new);
        assert_eq!(fs::read_to_string(&config).unwrap(), edited, "without {old}");
        assert_eq!(fs::read_to_string(&queue).unwrap(), "what waits", "without {old}");
        assert!(debian.path(WANTED).is_symlink(), "without {old}");
    }
}

#[test]
fn it_comes_and_stays_and_goes_as_a_package_should() {
    let Some(debian) = Debian::new().map(Debian::with_systemd) else { return };
    let folder = Folder::new();
    let package = build(&folder);
    let before = debian.everything();

    debian.install(&package);
    assert_eq!(debian.asked(), ["start"]);
    let version = debian.run(&["ilagent", "--version"]);
    assert_eq!(version.trim(), format!("ilagent {}", env!("CARGO_PKG_VERSION")));
    debian.run(&["ilagent", "check", "--config", "/etc/ilagent/ilagent.toml"]);
    assert!(debian.path(WANTED).is_symlink(), "it starts with the machine");

    // Somebody works with it: edits the configuration, switches it off, and messages wait.
    fs::write(debian.path("root/active"), "").unwrap();
    let secret = debian.path("etc/ilagent/client-key.pem");
    fs::write(&secret, "hush").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let config = debian.path("etc/ilagent/ilagent.toml");
    let edited = fs::read_to_string(&config).unwrap() + "\n# edited\n";
    fs::write(&config, &edited).unwrap();
    fs::remove_file(debian.path(WANTED)).unwrap();
    let queue = debian.path("var/lib/private/ilagent/ilagent.db3");
    fs::create_dir_all(queue.parent().unwrap()).unwrap();
    fs::write(&queue, "what waits").unwrap();
    std::os::unix::fs::symlink("private/ilagent", debian.path("var/lib/ilagent")).unwrap();

    debian.install(&later(&folder, &package));
    assert!(debian.run(&["dpkg", "-s", "ilagent"]).contains("Version: 99.0.0"));
    assert_eq!(fs::read_to_string(&config).unwrap(), edited, "an upgrade keeps the configuration");
    assert_eq!(fs::read_to_string(&queue).unwrap(), "what waits", "and the queue");
    assert!(!debian.path(WANTED).is_symlink(), "and does not switch it on again");
    assert_eq!(debian.asked(), ["restart"], "and what runs goes on with the new binary");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "hush", "and the secrets");
    for private in [&secret, &debian.path("etc/default/ilagent")] {
        let mode = private.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{} is {mode:o}", private.display());
    }
    fs::remove_file(debian.path("root/active")).unwrap();
    debian.install(&folder.join("later.deb"));
    assert!(debian.asked().is_empty(), "what does not run and is switched off is not started");

    debian.run(&["dpkg", "--remove", "ilagent"]);
    assert_eq!(debian.asked(), ["stop"]);
    assert!(!debian.path("usr/bin/ilagent").exists());
    assert_eq!(fs::read_to_string(&config).unwrap(), edited, "a removal keeps the configuration");
    assert_eq!(fs::read_to_string(&queue).unwrap(), "what waits", "and the queue");

    debian.run(&["dpkg", "--purge", "ilagent"]);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "hush", "a secret is its owner's");
    fs::remove_dir_all(debian.path("etc/ilagent")).unwrap();
    let _ = debian.asked();
    let after = debian.everything();
    let left: Vec<&String> = after.difference(&before).collect();
    let known = ["/var/lib/private"];
    assert!(left.iter().all(|path| known.contains(&path.as_str())), "left behind: {left:?}");
    let gone: Vec<&String> = before.difference(&after).collect();
    assert!(gone.is_empty(), "gone: {gone:?}");
}
