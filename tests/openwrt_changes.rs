//! What happens on a router when something changes: a configuration, right or wrong, an interface,
//! a disk, the state of the agent. The init script is the real one, under busybox's ash, and so is
//! the agent.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Stdio};
use support::agent::{get, signal};
use support::broker::Broker;
use support::openwrt::{OWNER, Router, Said};
use support::publisher::Publisher;
use support::stand_in::StandIn;
use support::{event, free_port, wait_until};

const MAIN: &str = "config ilagent 'main'\n\toption enabled '1'\n";
const RIGHT: &str = "config ilagent 'main'\n\toption enabled '1'\n\toption log_level 'warn'\n\
    \tlist interface 'wan'\nconfig http 'http'\n\toption enabled '1'\n\toption port '8977'\n";

/// Everything that starts an agent or may do so. The trigger of a disk says `restart`, that of
/// settings `reload`.
const WAYS: [&str; 3] = ["reload", "restart", "start"];

const GOES_ON: &str =
    "ilagent: the agent goes on with what it had, because /etc/config/ilagent has faults\n";

/// A router on which the agent runs with `uci`.
fn running(uci: &str) -> Option<Router> {
    let router = Router::new()?;
    router.configure(uci);
    let said = router.service("start");
    assert!(said.right, "{}", said.err);
    assert_eq!(router.acts(), ["start"]);
    Some(router)
}

/// Whatever is done, the agent goes on as it is, and that is said.
#[track_caller]
fn goes_on(router: &Router, uci: &str, fault: &str) {
    let (made, process) = (router.made(), router.process());
    router.configure(uci);
    for way in WAYS {
        let said = router.service(way);
        assert!(!said.right, "{way} with {uci}");
        assert_eq!(said.err, format!("ilagent: {fault}\n{GOES_ON}"), "{way} with {uci}");
        let wanted: &[&str] = if way == "restart" { &["stop", "start"] } else { &[] };
        assert_eq!(router.acts(), wanted, "{way} with {uci}");
        assert_eq!((router.made(), router.process()), (made.clone(), process.clone()), "{way}");
        let trigger = "add_interface_trigger interface.*.up wan /etc/init.d/ilagent reconnect";
        assert!(router.procd().contains(&trigger.to_owned()), "{way}: {:?}", router.procd());
    }
}

#[test]
fn a_change_with_faults_ends_no_agent() {
    let Some(router) = running(RIGHT) else { return };
    for (right, wrong, fault) in [
        ("port '8977'", "port 'x'", "ilagent.http.port: `x` is not a TCP port"),
        (
            "enabled '1'\n\toption log",
            "enabled 'ture'\n\toption log",
            "ilagent.main.enabled: `ture` is neither 1 nor 0",
        ),
        (
            "list interface",
            "option qos '1'\n\tlist interface",
            "ilagent.main.qos: there is no such option",
        ),
        ("'main'", "'mian'", "ilagent.main: there is no section `config ilagent 'main'`"),
    ] {
        if right == "'main'" {
            // Nothing of that section is known, its interfaces neither.
            router.configure(&RIGHT.replace(right, wrong));
            let said = router.service("reload");
            assert_eq!(said.err, format!("ilagent: {fault}\n{GOES_ON}"));
            assert!(router.acts().is_empty() && router.process().is_some());
        } else {
            goes_on(&router, &RIGHT.replacen(right, wrong, 1), fault);
        }
    }
    // And then it is right again.
    router.configure(&RIGHT.replace("8977", "8978"));
    assert!(router.service("reload").right);
    assert_eq!(router.acts(), ["signal HUP"]);
    assert_eq!(router.made()["http"]["port"], "8978");
}

/// `config_load` leaves out what UCI does not understand, so a topic would be missing.
#[test]
fn what_uci_cannot_read_is_a_fault_with_its_place() {
    let topics = "config broker 'plant'\n\toption url 'mqtt://h'\nconfig subscription 'alarms'\n\
                  \toption broker 'plant'\n\tlist topic 'plant/+/alarms'\n";
    let uci = format!("{RIGHT}{topics}");
    let Some(router) = running(&uci) else { return };
    for (wrong, what) in [
        (format!("{uci}\tlisst topic 'plant/+/faults'\n"), "invalid command"),
        (format!("{uci}\tlist topic 'plant/+/faults\n"), "EOF with unterminated '"),
        (uci.replacen("enabled '1'", "enabled '1", 1), "EOF with unterminated '"),
        (uci.replacen("enabled '1'", "enabled 1 2", 1), "too many arguments"),
        (format!("{uci}\tlist\n"), "insufficient arguments"),
        (
            format!("option enabled '1'\n{uci}"),
            "option/list command found before the first section",
        ),
    ] {
        router.configure(&wrong);
        let by_uci = router.run(&["uci", "show", "ilagent"]).err;
        let words = by_uci.trim_end().strip_prefix("uci: ").unwrap();
        assert!(words.starts_with(&format!("Parse error ({what}) at line ")), "{words}");
        let said = router.service("check");
        assert!(!said.right);
        assert_eq!(said.err, format!("ilagent: /etc/config/ilagent: {words}\n"));
        let before = (router.made(), router.process());
        for way in WAYS {
            let said = router.service(way);
            assert!(!said.right);
            assert_eq!(said.err, format!("ilagent: /etc/config/ilagent: {words}\n{GOES_ON}"));
            assert_eq!((router.made(), router.process()), before, "{way}");
        }
    }
    router.acts();
    fs::remove_file(router.path("/etc/config/ilagent")).unwrap();
    let said = router.service("reload");
    assert_eq!(said.err, format!("ilagent: /etc/config/ilagent: Entry not found\n{GOES_ON}"));
    assert!(router.acts().is_empty());
}

#[test]
fn the_stand_in_for_uci_tells_lines_and_bytes_as_uci_does() {
    let Some(router) = Router::new() else { return };
    router.configure("config a 'b'\n\toption x '1'\n\tlisst topic 'y'\n");
    let said = router.run(&["uci", "show", "ilagent"]);
    assert_eq!(said.err, "uci: Parse error (invalid command) at line 3, byte 1\n");
    let said = router.run(&["uci", "-S", "-n", "export", "ilagent"]);
    assert!(said.right, "{}", said.err);
    assert_eq!(said.out, "package ilagent\n\nconfig a 'b'\n\toption x '1'\n");
}

/// The WAN comes up at night, hours after a mistake.
#[test]
fn a_link_that_comes_up_takes_no_restart() {
    let Some(router) = running(RIGHT) else { return };
    for uci in
        [RIGHT.to_owned(), RIGHT.replace("8977", "x"), RIGHT.replace("enabled '1'", "enabled '1")]
    {
        router.configure(&uci);
        let said = router.service("reconnect");
        assert!(said.right && said.err.is_empty(), "{}", said.err);
        assert_eq!(router.acts(), ["signal USR1"]);
    }
    router.service("stop");
    router.acts();
    assert!(router.service("reconnect").right);
    assert!(router.acts().is_empty(), "what was stopped stays so");
}

/// A signal that nobody catches ends a process. Here 11 and 7 are caught, as at the start of every
/// Rust program, and then also 1, 2, 10 and 15.
#[test]
fn a_process_that_has_just_been_started_gets_no_signal() {
    let Some(router) = running(RIGHT) else { return };
    for (caught, acts) in [
        ("0000000000000000", ["", ""]),
        ("0000000000000440", ["", ""]),
        ("0000000000004643", ["signal USR1", "signal HUP"]),
    ] {
        router.show_process(77, &format!("Pid:\t77\nSigIgn:\t01\nSigCgt:\t{caught}\n"));
        for (action, act) in ["reconnect", "reload"].into_iter().zip(acts) {
            assert!(router.service(action).right);
            assert_eq!(router.acts().join(" "), act, "{action} with {caught}");
        }
    }
}

#[test]
fn only_enabled_0_and_stop_stop_the_agent() {
    let Some(router) = running(RIGHT) else { return };
    router.configure(&RIGHT.replacen("enabled '1'", "enabled '0'", 1));
    let said = router.service("reload");
    assert!(said.right);
    assert_eq!(said.err, "ilagent: stopped, because ilagent.main.enabled is 0\n");
    assert_eq!(router.acts(), ["stop"]);
    assert_eq!(router.procd(), ["add_reload_trigger ilagent"]);
    router.configure(RIGHT);
    assert!(router.service("reload").right);
    assert_eq!(router.acts(), ["start"]);
    assert!(router.service("stop").right);
    assert_eq!(router.acts(), ["stop"]);
}

#[test]
fn what_was_good_last_is_started_until_a_reboot() {
    let Some(router) = running(RIGHT) else { return };
    router.service("stop");
    router.acts();
    router.configure(&RIGHT.replace("8977", "x"));
    let said = router.service("start");
    let port = "ilagent: ilagent.http.port: `x` is not a TCP port\n";
    let words = "ilagent: the agent is started with the last good configuration, because /etc/config/ilagent has faults\n";
    assert_eq!(said.err, format!("{port}{words}"));
    assert_eq!(router.acts(), ["start"]);
    assert_eq!(router.made()["http"]["port"], "8977");

    router.reboot();
    for way in ["boot", "restart"] {
        let said = router.service(way);
        let words = "ilagent: not started, because /etc/config/ilagent has faults\n";
        assert_eq!(said.err, format!("{port}{words}"), "{way}");
        assert!(router.acts().is_empty(), "{way}");
    }
    router.configure(RIGHT);
    assert!(router.service("reload").right, "the trigger for changes is there");
    assert_eq!(router.acts(), ["start"]);
}

/// A certificate may be gone: then a new process would not start, and the one that runs is better.
#[test]
fn what_was_good_last_and_is_not_any_more_replaces_nothing() {
    let Some(router) = Router::new() else { return };
    let certificate = rcgen::generate_simple_self_signed(vec!["broker".to_owned()]).unwrap();
    router.write("/etc/ilagent/ca.pem", &certificate.cert.pem());
    let uci = format!(
        "{RIGHT}config broker 'plant'\n\toption url 'mqtts://h'\n\toption ssl_ca '/etc/ilagent/ca.pem'\n\
         config subscription\n\toption broker 'plant'\n\toption topic 'a'\n"
    );
    router.configure(&uci);
    let said = router.service("start");
    assert!(said.right, "{}", said.err);
    router.acts();
    fs::remove_file(router.path("/etc/ilagent/ca.pem")).unwrap();
    let before = (router.made(), router.process());
    for way in WAYS {
        let said = router.service(way);
        assert!(said.err.starts_with("ilagent: ilagent.plant: "), "{way}: {}", said.err);
        assert!(said.err.contains("ca.pem") && said.err.ends_with(GOES_ON), "{way}: {}", said.err);
        assert!(router.acts().is_empty(), "{way}");
        assert_eq!((router.made(), router.process()), before, "{way}");
    }
    router.service("stop");
    let said = router.service("start");
    assert!(
        said.err.ends_with("not started, because /etc/config/ilagent has faults\n"),
        "{}",
        said.err
    );
    assert_eq!(router.acts(), ["stop"]);
}

/// What a process is started with takes a new process; what it reads takes a signal.
#[test]
fn a_reload_applies_whatever_has_changed() {
    let Some(router) = running(RIGHT) else { return };
    let process = |router: &Router| router.process().unwrap();
    router.write("/etc/ilagent/own.toml", "[http]\nport = 8979\nbind = \"127.0.0.1\"\n");
    router.write("/etc/ilagent/own.json", "{\"http\": {\"port\": 8980, \"bind\": \"127.0.0.1\"}}");
    let own = |name: &str| {
        RIGHT.replacen(
            "config http",
            &format!("\toption config_file '/etc/ilagent/{name}'\nconfig http"),
            1,
        )
    };
    let anew: &[&str] = &["stop", "start"];
    for (uci, acts, shows) in [
        (RIGHT.replace("8977", "8978"), &["signal HUP"][..], "ilagent.uci"),
        // Files with secrets and certificates may have changed.
        (RIGHT.replace("8977", "8978"), &["signal HUP"], "ilagent.uci"),
        (RIGHT.replace("'warn'", "'debug'"), anew, "RUST_LOG=debug"),
        (RIGHT.to_owned(), anew, "RUST_LOG=warn"),
        (own("own.toml"), anew, "/var/run/ilagent/ilagent.toml"),
        (own("own.json"), anew, "/var/run/ilagent/ilagent.json"),
        (RIGHT.to_owned(), anew, "/var/run/ilagent/ilagent.uci"),
    ] {
        router.configure(&uci);
        let said = router.service("reload");
        assert!(said.right, "{uci}: {}", said.err);
        assert_eq!(router.acts(), acts, "{uci}");
        assert!(process(&router).contains(shows), "{uci}: {}", process(&router));
    }
    assert_eq!(router.made()["http"]["port"], "8977");
    assert!(router.service("restart").right);
    assert_eq!(router.acts(), anew);
}

#[test]
fn a_check_changes_nothing() {
    let Some(router) = running(RIGHT) else { return };
    let before = (router.procd(), router.made());
    let files = || fs::read_dir(router.path("/var/run/ilagent")).unwrap().count();
    let count = files();
    router.configure(&RIGHT.replace("8977", "x"));
    let said = router.service("check");
    assert!(!said.right);
    assert_eq!(said.err, "ilagent: ilagent.http.port: `x` is not a TCP port\n");
    router.configure(&RIGHT.replace("8977", "8978"));
    assert_eq!(router.service("check").out, "/etc/config/ilagent is right\n");
    assert_eq!((router.procd(), router.made(), files()), (before.0, before.1, count));
    assert!(router.acts().is_empty());
    // Warnings are reported, too.
    router.configure(&RIGHT.replace("8977'", "8977'\n\toption bind '0.0.0.0'"));
    let said = router.service("check");
    assert!(said.right && said.err.contains("token"), "{}", said.err);
    assert_eq!(said.out, "/etc/config/ilagent is right\n");
}

/// The status page asks for a check twice a minute.
#[test]
fn a_check_writes_no_flash() {
    let uci = format!("{RIGHT}config queue 'queue'\n\toption storage 'flash'\n");
    let Some(router) = running(&uci) else { return };
    let changed = || {
        ["/etc/ilagent", "/etc/ilagent/queue"].map(|folder| {
            let found = fs::metadata(router.path(folder)).unwrap();
            (found.ctime(), found.ctime_nsec())
        })
    };
    let before = changed();
    assert!(router.service("check").right);
    assert!(router.service("reload").right);
    assert_eq!(changed(), before);
}

#[test]
fn the_owner_says_where_deliveries_wait() {
    let Some(router) = Router::new() else { return };
    let stored = |storage: &str| {
        format!(
            "{MAIN}config queue 'queue'\n\toption storage '{storage}'\n\
             config http 'http'\n\toption port '8977'\n"
        )
    };
    for (storage, folder) in [("ram", "/var/lib/ilagent"), ("flash", "/etc/ilagent/queue")] {
        router.configure(&stored(storage));
        assert!(router.service("start").right, "{storage}");
        assert_eq!(router.made()["queue"]["path"], format!("{folder}/ilagent.db3"));
        assert_eq!(fs::metadata(router.path(folder)).unwrap().uid(), OWNER, "{storage}");
    }
    let kept = router.read("/lib/upgrade/keep.d/ilagent");
    assert_eq!(kept, "/etc/ilagent/\n", "sysupgrade keeps the queue that is on flash");

    // A folder that belongs to no mount is taken as it is.
    router.configure(&stored("/mnt/usb"));
    let said = router.service("start");
    assert!(said.err.contains("there is no folder /mnt/usb; is it mounted?"), "{}", said.err);
    fs::create_dir_all(router.path("/mnt/usb")).unwrap();
    assert!(router.service("start").right);
    assert_eq!(router.made()["queue"]["path"], "/mnt/usb/ilagent/ilagent.db3");
}

/// A disk that is full or read-only, say.
#[test]
fn a_disk_that_cannot_be_used_is_told_as_one() {
    let Some(router) = Router::new() else { return };
    fs::create_dir_all(router.path("/mnt/usb")).unwrap();
    let uci = format!("{RIGHT}config queue 'queue'\n\toption storage '/mnt/usb'\n");
    router.configure(&uci);
    fs::write(router.path("/mnt/usb/ilagent"), "a file").unwrap();
    let said = router.service("check");
    let words = "ilagent.queue.storage: the folder /mnt/usb/ilagent cannot be made";
    assert!(!said.right && said.err.contains(words), "{}", said.err);
}

/// The folder of a mount is there without the mount, too: on the router's own flash.
#[test]
fn a_folder_is_no_stick() {
    let Some(router) = Router::new() else { return };
    router.write(
        "/etc/config/fstab",
        "config mount\n\toption target '/mnt/usb stick/'\n\toption uuid 'x'\n\
         config mount\n\toption target '/mnt/other'\nconfig swap\n\toption device '/dev/sdb'\n",
    );
    let others = "/dev/root / squashfs ro 0 0\n/dev/sdb1 /mnt/other ext4 rw 0 0\n";
    router.write("/proc/mounts", others);
    router.write(
        "/etc/ilagent/own.toml",
        "[http]\nport = 8977\n[queue]\npath = \"/mnt/usb stick/ilagent.db3\"\n",
    );
    fs::create_dir_all(router.path("/mnt/usb stick/deep")).unwrap();
    std::os::unix::fs::chown(router.path("/mnt/usb stick"), Some(OWNER), Some(OWNER)).unwrap();
    let stored = |storage: &str| {
        format!(
            "{MAIN}config queue 'queue'\n\toption storage '{storage}'\n\
             config http 'http'\n\toption port '8977'\n"
        )
    };
    let missing = "queue.storage: /mnt/usb stick is not mounted";
    let own = format!("{MAIN}\toption config_file '/etc/ilagent/own.toml'\n");
    let missing_own = "main.config_file: the database of /etc/ilagent/own.toml is /mnt/usb stick/ilagent.db3, \
                       and /mnt/usb stick is not mounted";
    for (uci, fault) in [
        (stored("/mnt/usb stick"), missing),
        (stored("/mnt/usb stick/deep"), missing),
        (own, missing_own),
    ] {
        router.reboot();
        router.write("/proc/mounts", others);
        router.configure(&uci);
        let said = router.service("boot");
        let words = "ilagent: not started, because /etc/config/ilagent has faults\n";
        assert_eq!(said.err, format!("ilagent: ilagent.{fault}\n{words}"));
        assert!(!router.path("/mnt/usb stick/ilagent").exists(), "and nothing is written below");
        let trigger = "add_restart_mount_trigger /mnt/usb stick".to_owned();
        assert!(router.procd().contains(&trigger), "{:?}", router.procd());

        // It is mounted, and procd calls for it.
        router
            .write("/proc/mounts", &format!("{others}/dev/sda1 /mnt/usb\\040stick ext4 rw 0 0\n"));
        let said = router.service("restart");
        assert!(said.right, "{}", said.err);
        assert_eq!(router.acts(), ["start"]);

        // It is pulled out while the agent runs, and somebody restarts it: not a new process on the
        // flash.
        router.write("/proc/mounts", others);
        let said = router.service("restart");
        assert_eq!(said.err, format!("ilagent: ilagent.{fault}\n{GOES_ON}"));
        assert!(router.acts().is_empty());
        // Nor after it was stopped.
        router.service("stop");
        router.acts();
        let said = router.service("start");
        assert_eq!(said.err, format!("ilagent: ilagent.{fault}\n{words}"));
        assert!(router.acts().is_empty());
        let _ = fs::remove_dir_all(router.path("/mnt/usb stick/ilagent"));
        let _ = fs::remove_dir_all(router.path("/mnt/usb stick/deep/ilagent"));
    }
}

/// `/var` is a link on a router, and the kernel tells where it leads.
#[test]
fn a_mount_below_a_link_is_found() {
    let Some(router) = Router::new() else { return };
    fs::create_dir_all(router.path("/tmp/disk")).unwrap();
    std::os::unix::fs::symlink("/tmp", router.path("/link")).unwrap();
    router.write("/etc/config/fstab", "config mount\n\toption target '/link/disk'\n");
    router.write("/proc/mounts", "/dev/sda1 /tmp/disk ext4 rw 0 0\n");
    router.configure(&RIGHT.replace(
        "config http",
        "config queue 'queue'\n\toption storage '/link/disk'\nconfig http",
    ));
    let said = router.service("start");
    assert!(said.right, "{}", said.err);
    router.write("/proc/mounts", "/dev/sda1 /tmp/disk2 ext4 rw 0 0\n");
    let said = router.service("check");
    assert_eq!(said.err, "ilagent: ilagent.queue.storage: /link/disk is not mounted\n");
    // A mount that UCI cannot read is not taken for none.
    router.write("/etc/config/fstab", "config mount\n\toptoin target '/link/disk'\n");
    let said = router.service("check");
    let words = "/etc/config/fstab: Parse error (invalid command) at line 2, byte 1";
    assert_eq!(said.err, format!("ilagent: ilagent.queue.storage: {words}\n"));
}

#[test]
fn a_file_of_the_owner_replaces_the_sections() {
    let Some(router) = Router::new() else { return };
    router.configure(&format!("{MAIN}\toption config_file '/etc/ilagent/own.toml'\n"));
    router.write("/etc/ilagent/own.toml", "[http]\nport = \"x\"\n");
    let said = router.service("start");
    assert!(!said.right);
    assert!(said.err.contains("own.toml:2:8: `x` is not a TCP port"), "{}", said.err);
    router.write("/etc/ilagent/own.toml", "[http]\nport = 8977\n");
    assert!(router.service("start").right);
    // A copy, so that there is a good one while the file is being edited.
    let copy = "/var/run/ilagent/ilagent.toml";
    assert_eq!(router.parameter("command"), ["/usr/bin/ilagent", "daemon", "--config", copy]);
    assert_eq!(router.acts(), ["start"]);
    let found = fs::metadata(router.path(copy)).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (OWNER, 0o600));
    router.write("/etc/ilagent/own.toml", "[http]\nport = \n");
    for way in WAYS {
        let said = router.service(way);
        assert!(said.err.contains("own.toml:2:") && said.err.ends_with(GOES_ON), "{}", said.err);
        assert_eq!(router.read(copy), "[http]\nport = 8977\n");
    }
    router.acts();
    router.write("/etc/ilagent/own.toml", "[http]\nport = 8978\n");
    assert!(router.service("reload").right);
    assert_eq!(router.acts(), ["signal HUP"]);
    assert_eq!(router.read(copy), "[http]\nport = 8978\n");
}

#[test]
fn the_status_is_asked_where_the_agent_listens() {
    let Some(router) = Router::new() else { return };
    let asked = |router: &Router, uci: &str| {
        router.configure(uci);
        let said = router.service("restart");
        assert!(said.right, "{uci}: {}", said.err);
        router.service("agent_status")
    };
    for (bind, host) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("192.168.1.1", "192.168.1.1"),
        ("::", "[::1]"),
        ("fd00::1", "[fd00::1]"),
    ] {
        let uci = format!("{MAIN}config http 'http'\n\toption port '80'\n\toption bind '{bind}'\n");
        let said = asked(&router, &uci);
        assert_eq!(said.out, format!("-q -T 5 -O - http://{host}:80/status\n"), "{}", said.err);
    }
    // The one that runs, not the one that was refused.
    router.configure(&format!("{MAIN}config http 'http'\n\toption port '81'\n\toption bind 'x'\n"));
    router.service("reload");
    assert!(router.service("agent_status").out.contains("[fd00::1]:80/"));
    router.write("/etc/ilagent/own.toml", "[http]\nport = 9000\nbind = \"127.0.0.1\"\n");
    let own = format!(
        "{MAIN}\toption config_file '/etc/ilagent/own.toml'\nconfig http 'http'\n\toption port '80'\n"
    );
    assert!(asked(&router, &own).out.contains(" http://127.0.0.1:9000/status\n"));
}

#[test]
fn an_agent_without_a_status_is_told_in_words() {
    let Some(router) = running(RIGHT) else { return };
    let status = |words: &str| {
        let said = router.service("agent_status");
        assert!(!said.right && said.out.is_empty(), "{words}: {}", said.out);
        assert_eq!(said.err, format!("ilagent: {words}\n"));
    };
    router.write("/tmp/nobody-listens", "");
    status("the agent runs, but does not answer at http://127.0.0.1:8977/status");
    router.configure(&format!("{RIGHT}config broker 'b'\n\toption url 'mqtt://h'\nconfig subscription\n\toption broker 'b'\n\toption topic 't'\n").replace("'http'\n\toption enabled '1'", "'http'\n\toption enabled '0'"));
    let said = router.service("reload");
    assert!(said.right, "{}", said.err);
    status(
        "the agent runs, but its HTTP listener is off, so nothing more is known; see ilagent.http.enabled",
    );
    router.service("stop");
    status("the agent is not running");
    router.configure(&RIGHT.replacen("'1'", "'0'", 1));
    status("the agent is off: ilagent.main.enabled is 0");
    router.configure(&RIGHT.replacen("'1'", "'ture'", 1));
    status("ilagent.main.enabled: `ture` is neither 1 nor 0");
}

/// What procd would have started, ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does to a process what procd would do.
struct Procd<'a> {
    router: &'a Router,
    agent: Option<Started>,
    /// What it did last.
    acts: Vec<String>,
}

impl Procd<'_> {
    /// `/etc/init.d/ilagent ACTION`, and then what procd does.
    fn service(&mut self, action: &str) -> Said {
        if let Some(agent) = &self.agent {
            let id = agent.0.id();
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
            self.router.show_process(id, &status);
        }
        let said = self.router.service(action);
        self.act();
        said
    }

    fn id(&self) -> u32 {
        self.agent.as_ref().unwrap().0.id()
    }

    fn act(&mut self) {
        self.acts = self.router.acts();
        for act in self.acts.clone() {
            match act.split_once(' ') {
                Some(("signal", name)) => signal(self.id(), name),
                _ if act == "stop" => {
                    let mut agent = self.agent.take().unwrap();
                    signal(agent.0.id(), "TERM");
                    assert!(agent.0.wait().unwrap().success());
                }
                _ => {
                    let log = fs::File::options()
                        .create(true)
                        .append(true)
                        .open(self.router.path("/tmp/log"))
                        .unwrap();
                    let mut command = self.router.command();
                    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
                    self.agent = Some(Started(command.spawn().unwrap()));
                }
            }
        }
    }
}

#[test]
fn a_link_that_comes_up_while_the_agent_is_being_started_does_not_end_it() {
    let Some(router) = Router::new() else { return };
    let http = free_port();
    router.configure(&RIGHT.replace("8977", &http.to_string()));
    let mut procd = Procd { router: &router, agent: None, acts: Vec::new() };
    assert!(procd.service("start").right);
    wait_until("it gets the signal", || {
        procd.service("reconnect");
        procd.acts == ["signal USR1"]
    });
    wait_until("it is ready", || get(http, "/ready").is_some_and(|(status, _)| status == 204));
}

#[test]
fn what_procd_is_told_delivers_events_and_hears_of_changes() {
    let Some(router) = Router::new() else { return };
    let (api, broker, http) = (StandIn::new(), Broker::new(), free_port());
    let uci = format!(
        "{MAIN}\toption log_level 'info'\nconfig ilert 'ilert'\n\toption api_host '{}'\n\
         config http 'http'\n\toption port '{http}'\n\toption bind '127.0.0.1'\n\
         config broker 'plant'\n\toption url 'mqtt://127.0.0.1:{}'\n\toption buffer '1'\n\
         config subscription\n\toption broker 'plant'\n\tlist topic 'old/#'\n",
        api.url(),
        broker.port()
    );
    let mut procd = Procd { router: &router, agent: None, acts: Vec::new() };
    router.configure(&uci);
    assert!(procd.service("start").right);
    let mut publisher = Publisher::new(broker.port());
    broker.wait_for_log("old/#", 1);
    publisher.publish("old/a", event("k", "one"));
    api.wait_for(1);

    let said = procd.service("agent_status");
    assert_eq!(said.out, format!("-q -T 5 -O - http://127.0.0.1:{http}/status\n"));
    wait_until("it is settled", || {
        let status: Value = serde_json::from_str(&get(http, "/status").unwrap().1).unwrap();
        status["ready"] == true && status["sinks"][0]["delivered"] == 1
    });

    router.configure(&uci.replace("old/#", "new/#"));
    assert!(procd.service("reload").right);
    broker.wait_for_log("new/#", 1);
    publisher.publish("new/a", event("k", "two"));
    api.wait_for(2);
    wait_until("the change is logged", || {
        router.read("/tmp/log").contains("the configuration has changed")
    });
    let log = router.read("/tmp/log");
    assert!(!log.contains("[WARN]") && !log.contains("listening on"), "{log}");

    // Another level is another process, which really has it.
    let connects = broker.connects("plant");
    router.configure(&uci.replace("old/#", "new/#").replace("'info'", "'debug'"));
    assert!(procd.service("reload").right);
    let id = procd.id();
    wait_until("the other process connects", || broker.connects("plant") > connects);
    // Not earlier: there is nothing to read while one program makes way for the next.
    let environment = fs::read_to_string(format!("/proc/{id}/environ")).unwrap();
    assert!(environment.contains("RUST_LOG=debug"), "{environment}");
    // A link comes up: it connects again.
    let connects = broker.connects("plant");
    procd.service("reconnect");
    assert_eq!(procd.acts, ["signal USR1"]);
    wait_until("it connects again", || broker.connects("plant") > connects);
    // And a change that is refused leaves even that one alone.
    router.configure(&uci.replace("mqtt://", "mqtt:/"));
    assert!(!procd.service("reload").right);
    assert_eq!(procd.id(), id);
    publisher.publish("new/a", event("k", "three"));
    api.wait_for(3);
}
