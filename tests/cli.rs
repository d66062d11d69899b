//! The command line of the real binary: spellings, words, exit codes; and that every flag is in
//! the help.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken test may panic")]

#[path = "support/words.rs"]
mod words;

use argh::ArgsInfo;
use ilagent::config::dialects::ilagent::Flags;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};
use words::words;

/// What one run of the binary came to.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ilagent(line: &str) -> Ran {
    ilagent_in(line, &[])
}

fn ilagent_in(line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ilagent"));
    // What the machine that runs the tests has set is no part of them.
    for name in [
        "ILERT_API_KEY",
        "ILERT_INTEGRATION_KEY",
        "ILERT_HEARTBEAT_KEY",
        "ILERT_API_HOST",
        "ILERT_HBT_HOST",
        "ILAGENT_MQTT_PASSWORD",
        "ILAGENT_HTTP_TOKEN",
        "CREDENTIALS_DIRECTORY",
        "JOURNAL_STREAM",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } =
        command.args(words(line)).envs(variables.iter().copied()).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

#[track_caller]
fn check(line: &str, code: i32, out: &str, err: &str) {
    let ran = ilagent(line);
    assert_eq!(ran.code, Some(code), "{line}: {}{}", ran.out, ran.err);
    for (found, wanted) in [(&ran.out, out), (&ran.err, err)] {
        assert!(found.contains(wanted), "{line}: {found:?} should have {wanted:?}");
        assert!(!wanted.is_empty() || found.is_empty(), "{line}: {found:?}");
    }
}

#[test]
fn help_and_version_are_no_failures() {
    for line in ["--version", "-V", "-v --version"] {
        check(line, 0, "ilagent 0.12.0\n", "");
    }
    for (line, wanted) in [
        ("--help", "Usage: ilagent "),
        ("-h", "Usage: ilagent "),
        ("help", "Usage: ilagent "),
        ("help daemon", "Usage: ilagent daemon "),
        ("daemon --help", "Usage: ilagent daemon "),
        ("daemon -p1 -h", "Usage: ilagent daemon "),
        ("check --help", "Usage: ilagent check "),
        ("queue --help", "queue list"),
        ("help queue", "queue list"),
        ("queue show --help", "Usage: ilagent queue show "),
        ("help queue drop", "Usage: ilagent queue drop "),
        ("event --help", "--integration_key"),
        ("heartbeat -h", "--integration_key"),
    ] {
        check(line, 0, wanted, "");
    }
}

#[test]
fn what_cannot_be_understood_is_one_line_and_exit_code_2() {
    check("", 2, "", "Usage: ilagent ");
    check("queue", 2, "", "queue list");
    for (line, wanted) in [
        ("daemn", "ilagent: there is no command `daemn`; did you mean `daemon`?; see"),
        ("cleanup", "removed upstream in 0.9.0"),
        ("queue lits", "there is no command `queue lits`; did you mean `queue list`?"),
        ("help nothing", "there is no command `nothing`"),
        ("daemon --mqtt_hots b", "did you mean `--mqtt_host`?; see `ilagent daemon --help`"),
        ("daemon -m", "`-m` needs a value"),
        ("daemon -p 1 --port=2", "`--port` can be given only once"),
        ("daemon -f a -f b", "`--file` can be given only once"),
        ("daemon extra", "`extra` is one word too many"),
        ("daemon --shift_offset -1", "is written `--shift_offset=-1`"),
        ("--port 1 daemon", "there is no flag `--port` here"),
        ("event -s x", "`--event_type` is missing"),
        ("event -t ALERT", "`--summary` is missing"),
        ("event -t COMMENT -s x", "ALERT, ACCEPT, RESOLVE, not `COMMENT`"),
        ("event -t alert -s x", "ALERT, ACCEPT, RESOLVE, not `alert`"),
        ("event -t ALERT -s x -o MID", "HIGH, LOW, not `MID`"),
        ("event -t ALERT -s x", "give a key with it or in ILERT_INTEGRATION_KEY"),
        ("heartbeat", "give a key with it or in ILERT_INTEGRATION_KEY"),
        ("queue show", "ID is missing"),
        ("queue show 1 2", "`2` is one word too many"),
        ("queue retry", "give ids, `--sink` or `--all`"),
        ("queue drop 1 --all", "give ids or `--all`, not both"),
        ("queue drop 1 --sink s", "give `--sink` alone, without ids or `--all`"),
        ("queue list --limit x", "`--limit`: `x` is not a whole number"),
    ] {
        check(line, 2, "", wanted);
        assert_eq!(ilagent(line).err.lines().count(), 1, "{line}");
    }
}

#[test]
fn faults_of_the_configuration_are_told_together_and_nothing_starts() {
    for command in ["daemon", "check"] {
        let ran = ilagent(&format!("{command} -m b -q x --mqtt_qos 3 -e # --filter_val y"));
        assert_eq!(ran.code, Some(2));
        for flag in ["--mqtt_port: ", "--mqtt_qos: ", "--filter_val: "] {
            assert!(ran.err.contains(flag), "{}", ran.err);
        }
        assert_eq!((ran.err.lines().count(), ran.out.as_str()), (3, ""));
    }
    check("daemon", 2, "", "nothing to do");
    check("check --config /does/not/exist", 2, "", "there is no file /does/not/exist");
}

#[test]
fn a_fault_in_a_file_has_its_place() {
    let folder = env::temp_dir().join(format!("ilagent-cli-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("wrong.json");
    fs::write(&file, "{\n  \"http\": { \"prot\": 1 }\n}").unwrap();
    let name = file.to_str().unwrap();
    let wanted =
        format!("{name}:2:13: http.prot: there is no key `prot` in [http]; did you mean `port`?");
    check(&format!("check --config {name}"), 2, "", &wanted);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_documented_commands_are_accepted() {
    let sample = "check -v -v -m 127.0.0.1 -q 1883 -n ilagent -e # -r ilert/heartbeats \
                  --mqtt_username my-user --mqtt_password my-pass --mqtt_qos 1";
    let ran = ilagent(sample);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("127.0.0.1:1883"), "{}", ran.out);
    assert!(!ran.out.contains("my-pass"), "{}", ran.out);
    for more in [
        "-e ilert/+",
        "--mqtt_buffer",
        "--max_retries 50",
        "--mqtt_shared_group agents",
        "--map-key-etype=state --event-key il1mqtt",
    ] {
        let ran = ilagent(&format!("{sample} {more}"));
        assert_eq!(ran.code, Some(0), "{more:?}: {}", ran.err);
    }
}

#[test]
fn check_shows_what_the_agent_would_do_without_secrets() {
    let ran = ilagent_in(
        "check -m broker:1884 --mqtt_buffer -e a/# --policy_topic p --policy_routing_keys site,team \
         --event_key il1secret-event -p=8977 --http_token secret-token -b il1hbt-secret \
         --max_retries=0",
        &[("ILERT_API_KEY", "il1api-secret")],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for wanted in [
        "broker:1884",
        "a/# (QoS 0)",
        "site + team",
        "0.0.0.0:8977",
        "with token",
        "never gives up",
        "./ilagent.db3",
        "il1sec…",
    ] {
        assert!(ran.out.contains(wanted), "no {wanted} in {}", ran.out);
    }
    for secret in ["secret-event", "secret-token", "hbt-secret", "api-secret"] {
        assert!(!(ran.out.clone() + &ran.err).contains(secret), "{secret}");
    }
}

#[test]
fn check_says_only_what_concerns_the_configuration() {
    let file = env::temp_dir().join(format!("ilagent-cli-{}.toml", std::process::id()));
    let bridge = "[[mqtt]]\nurl = \"mqtt://a\"\n[[mqtt.subscription]]\ntopic = \"a/#\"\n\
         kind = \"publish\"\nto = \"b\"\n[[mqtt]]\nurl = \"mqtt://b\"\n";
    let hook = "[[webhook]]\nname = \"shop\"\nurl = \"http://shop/in\"\n";
    let open = "[http]\nport = 1\n";
    for (text, out, err) in [
        (bridge.to_owned(), &["mqtt b: b:1883", "  only published to"][..], ""),
        (
            [open, bridge].concat(),
            &["ilert https://", "0.0.0.0:1: events and heartbeats, publications, without token"],
            "can raise and resolve alerts and publish to brokers; set a token",
        ),
        (
            [open, bridge, hook].concat(),
            &[
                "publications, calls, without token",
                "webhook shop: POST http://shop;",
                "  reached ",
            ],
            "can raise and resolve alerts, publish to brokers and call webhooks; set a token",
        ),
    ] {
        fs::write(&file, &text).unwrap();
        let ran = ilagent(&format!("check --config {}", file.display()));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        for wanted in out {
            assert!(ran.out.contains(wanted), "no {wanted} in {}", ran.out);
        }
        assert!(ran.err.contains(err), "{}", ran.err);
        assert_eq!(ran.out.contains("ilert https"), text.contains("[http]"), "{}", ran.out);
    }
    fs::remove_file(&file).unwrap();
}

#[test]
fn the_shipped_examples_pass_check() {
    for name in ["ilagent.toml", "ilagent.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let ran = ilagent(&format!("check --config {}", path.display()));
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.err);
    }
}

#[test]
fn one_shots_that_fail_say_so() {
    // A port that was free a moment ago; nobody answers there.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let host = format!("http://127.0.0.1:{port}");
    let variables = [
        ("ILERT_API_HOST", host.as_str()),
        ("ILERT_HBT_HOST", host.as_str()),
        ("ILERT_INTEGRATION_KEY", "il1key"),
    ];
    for line in ["event -t ALERT -s fire", "heartbeat"] {
        let ran = ilagent_in(line, &variables);
        assert_eq!(ran.code, Some(1), "{line}: {}", ran.err);
        assert!(ran.err.starts_with("ilagent: "), "{line}: {}", ran.err);
        assert_eq!(ran.out, "", "{line}");
    }
    let wrong = ilagent_in("heartbeat -k x", &[("ILERT_API_HOST", "nowhere")]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.starts_with("ILERT_API_HOST: "), "{}", wrong.err);
}

/// The flags of the daemon as they are documented.
fn documented_flags() -> Vec<String> {
    let flags = Flags::get_args_info().flags.iter();
    let own = flags.filter(|flag| flag.long != "--help");
    own.map(|flag| format!("--{}", flag.long.trim_start_matches('-').replace('-', "_")))
        .chain(["--verbose", "--file"].map(str::to_owned))
        .collect()
}

#[test]
fn every_flag_is_in_the_help() {
    for command in ["daemon", "check"] {
        let help = ilagent(&format!("{command} --help")).out;
        let words: Vec<&str> = help.split_whitespace().collect();
        for flag in documented_flags() {
            assert!(words.contains(&flag.as_str()), "{flag} is not in `{command} --help`");
        }
        for (heading, _) in ilagent::config::dialects::ilagent::GROUPS {
            assert!(help.contains(&format!("\n{heading}\n")), "no heading {heading}");
        }
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "a line of {widest:?} columns");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    const SECRET: &str = "il1apiS3CRET0123456789";
    let url = format!("http://user:{SECRET}@host:1/x");
    for (line, variable) in [
        (format!("check -p {SECRET}"), None),
        (format!("check -p 8977 --http_connections {SECRET}"), None),
        (format!("check -m broker -e a --mqtt_qos {SECRET}"), None),
        (format!("check -m {url} -e a --mqtt_qos 1"), None),
        (format!("event -t {SECRET} -s x"), None),
        (format!("daemon --{SECRET}"), None),
        (SECRET.to_owned(), None),
        ("check -p 8977".to_owned(), Some(("ILERT_API_HOST", url.as_str()))),
    ] {
        let ran = ilagent_in(&line, variable.as_slice());
        assert!(!ran.err.is_empty() && !ran.err.contains("S3CRET"), "{line}: {}", ran.err);
        assert!(!ran.out.contains("S3CRET"), "{line}: {}", ran.out);
    }
}
