//! What cases in folders (`tests/dialects`) cannot show: secrets, the shipped examples, and any bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken test may panic")]

#[path = "support/words.rs"]
mod words;

use ilagent::config::dialects::ilagent::{Asked, beside_file};
use ilagent::config::dialects::native::{self, Syntax};
use ilagent::config::{Checked, Config, Faults, Part, Sasl, Surroundings};
use ilagent::{cli, config};
use proptest::prelude::*;
use std::ffi::OsString;
use std::path::Path;
use words::words;

type Pairs<'a> = &'a [(&'static str, &'static str)];

/// The configuration of `ilagent daemon LINE`, in an environment and with some files.
fn flags(line: &str, env: Pairs<'_>, files: Pairs<'_>) -> Result<Config, Vec<String>> {
    let words = ["daemon"].into_iter().chain(words(line)).map(OsString::from);
    let cli::Command::Daemon(asked) = cli::read(words).expect("the line is understood").command
    else {
        panic!("this is a daemon");
    };
    let read = |path: &Path| Ok(find(files, path.to_str().unwrap()));
    result(cli::daemon::configure(&asked, &around(&|name| find(env, name), &read)))
}

fn find(pairs: Pairs<'_>, wanted: &str) -> Option<String> {
    pairs.iter().find(|(name, _)| *name == wanted).map(|(_, text)| (*text).to_owned())
}

fn around<'a>(
    env: &'a dyn Fn(&str) -> Option<String>,
    read: &'a dyn Fn(&Path) -> Result<Option<String>, String>,
) -> Surroundings<'a> {
    Surroundings { env, read, list: &|_| Ok(Vec::new()), is_open: &|_| false, has_kafka: true }
}

fn result(checked: Result<Checked, Faults>) -> Result<Config, Vec<String>> {
    checked
        .map(|checked| checked.config)
        .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
}

/// The service of the example.
const SERVICE: &str = "
metadata: {name: Valve}
parameters: {fieldHost: {type: string}}
resources:
  field:
    type: Cybus::Connection
    properties: {protocol: Mqtt, connection: {host: !ref fieldHost}}
";

fn native(text: &str, syntax: Syntax) -> Result<Config, Vec<String>> {
    let none = |_: &str| None;
    let files = |path: &Path| {
        Ok(Some(match path.extension().and_then(|it| it.to_str()) {
            Some("yml") => SERVICE.to_owned(),
            Some("json") => "{}".to_owned(),
            Some("yaml") => String::new(),
            _ => "hush-hush-hush\n".to_owned(),
        }))
    };
    result(native::read("ilagent.toml", text, syntax, Part::default(), &around(&none, &files)))
}

#[test]
fn secrets_come_from_flags_files_the_environment_and_systemd() {
    let with = |more: &str, env: Pairs<'_>, files: Pairs<'_>| {
        let line = format!("-m b -e # --mqtt_qos 1 --mqtt_username u {more}");
        flags(&line, env, files)
            .map(|config| config.brokers[0].password.as_ref().unwrap().expose().to_owned())
    };
    let variable = ("ILAGENT_MQTT_PASSWORD", "env");
    assert_eq!(with("--mqtt_password flag", &[variable], &[]).unwrap(), "flag");
    assert_eq!(with("--mqtt_password_file f", &[], &[("f", "file\n")]).unwrap(), "file");
    assert_eq!(with("", &[variable], &[]).unwrap(), "env");
    let (folder, file) = (("CREDENTIALS_DIRECTORY", "/run/c"), ("/run/c/mqtt_password", "systemd"));
    assert_eq!(with("", &[folder], &[file]).unwrap(), "systemd");
    assert_eq!(
        with("--mqtt_password a --mqtt_password_file f", &[], &[("f", "b")]).unwrap_err(),
        ["--mqtt_password: give this or --mqtt_password_file, not both"]
    );
    assert_eq!(
        with("--mqtt_password_file f", &[], &[]).unwrap_err(),
        ["--mqtt_password_file: there is no file f"]
    );
}

#[test]
fn secrets_arrive_as_they_were_given() {
    let config = flags("-p1 --http_token t -b il1hbt", &[], &[]).unwrap();
    assert_eq!(config.http[0].token.as_ref().unwrap().expose(), "t");
    assert_eq!(config.ilert.heartbeat.unwrap().expose(), "il1hbt");
    let config = flags("-p1", &[("ILERT_API_KEY", "Bearer il1api")], &[]).unwrap();
    assert_eq!(config.ilert.api_key.unwrap().expose(), "il1api");
    let line = "--kafka_brokers a -e t --kafka_username me --kafka_option client.id=x=y";
    for (more, env, file) in [
        ("--kafka_password hush", None, None),
        ("--kafka_password_file /p", None, Some(("/p", "hush\n"))),
        ("", Some(("ILAGENT_KAFKA_PASSWORD", "hush")), None),
    ] {
        let config = flags(&format!("{line} {more}"), env.as_slice(), file.as_slice()).unwrap();
        let Some(Sasl::Password { password, .. }) = &config.clusters[0].sasl else { panic!() };
        assert_eq!(password.expose(), "hush");
        assert_eq!(config.clusters[0].options["client.id"].expose(), "x=y");
        assert!(!format!("{config:?}").contains("hush"), "secrets are not printed");
    }
}

/// Every flag of the daemon says which key of a file it is.
#[test]
fn every_flag_has_its_key_in_a_file() {
    use argh::ArgsInfo;
    for flag in config::dialects::ilagent::Flags::get_args_info().flags {
        let name = flag.long.trim_start_matches('-').replace('-', "_");
        // These may stand beside a file.
        if matches!(name.as_str(), "help" | "config" | "port" | "kapacitor" | "connectware") {
            continue;
        }
        let asked = Asked { given: vec![name.clone()], ..Asked::default() };
        let beside = beside_file(&asked, &around(&|_| None, &|_| Ok(None)));
        assert_eq!(beside.faults.0.len(), 1, "--{name} beside --config is overlooked");
    }
}

fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    std::fs::read_to_string(path).expect("the example is there")
}

#[test]
fn the_examples_are_right_and_say_the_same() {
    let toml = native(&example("ilagent.toml"), Syntax::Toml).unwrap();
    let json = native(&example("ilagent.json"), Syntax::Json).unwrap();
    assert_eq!(toml, json);
}

#[test]
fn what_the_example_shows_as_a_comment_is_right_as_well() {
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let text: Vec<String> = example("ilagent.toml").lines().map(shown).collect();
    let config = native(&text.join("\n"), Syntax::Toml).unwrap();
    let names: Vec<&str> = config.brokers.iter().map(|broker| broker.name.as_str()).collect();
    let service: &[&str] =
        if cfg!(feature = "connectware") { &["valve4-ilagent", "valve4-field"] } else { &[] };
    assert_eq!(names, [&["plant", "cloud"], service].concat());
    assert!(config.brokers[1].tls.is_some());
    assert!(config.ilert.heartbeat.is_some());
}

#[test]
fn the_example_for_kafka_is_right() {
    let config = native(&example("kafka.toml"), Syntax::Toml).unwrap();
    let [cluster] = config.clusters.as_slice() else { panic!("one cluster") };
    assert_eq!((cluster.name.as_str(), cluster.group_id.as_str()), ("plant", "plant-alarms"));
    let topics: Vec<&str> = cluster.rules.iter().map(|rule| rule.filter.as_str()).collect();
    assert_eq!(topics, ["alarms", "alarms-retry", "heartbeats"]);
}

#[test]
fn a_build_without_kafka_says_how_to_get_one_with_it() {
    let around = Surroundings { has_kafka: false, ..around(&|_| None, &|_| Ok(None)) };
    let text = example("kafka.toml");
    let found =
        result(native::read("f.toml", &text, Syntax::Toml, Part::default(), &around)).unwrap_err();
    let words = "this build of ilagent has no Kafka consumer; one that has it is built with \
                 `cargo build --release --features kafka`";
    assert_eq!(found, [format!("f.toml:11:1: {words}")]);
}

#[test]
fn syntax_is_told_by_name_or_else_by_the_first_character() {
    for (name, text, wanted) in [
        ("a.toml", "{", Syntax::Toml),
        ("a.JSON", "x", Syntax::Json),
        ("a.conf", "  {", Syntax::Json),
        ("a", "[http]", Syntax::Toml),
    ] {
        assert_eq!(Syntax::of(name, text), wanted, "{name}");
    }
}

/// An arbitrary line of arguments, made of what a command line is made of.
fn line() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        3 => "-{0,2}[a-z_=-]{0,12}",
        1 => ".{0,8}",
        2 => prop::sample::select(vec![
            "daemon", "check", "queue", "list", "event", "-m", "-e", "#", "-p", "--", "help",
            "--mqtt_qos", "1", "-v", "--config", "--label", "a=b", "--mqtt_buffer",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..12)
}

/// An example with a few bytes left out and put in.
fn damaged(name: &str) -> impl Strategy<Value = String> {
    let text = example(name);
    let damage = (0..text.len(), 0..4_usize, ".{0,3}");
    prop::collection::vec(damage, 0..6).prop_map(move |damages| {
        let mut letters: Vec<char> = text.chars().collect();
        for (at, length, new) in damages {
            let at = at.min(letters.len());
            let end = (at + length).min(letters.len());
            letters.splice(at..end, new.chars());
        }
        letters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_command_line_makes_the_parsers_panic(args in line()) {
        let read = |_: &Path| Ok(None);
        if let Ok(invocation) = cli::read(args.iter().map(OsString::from))
            && let cli::Command::Daemon(asked) | cli::Command::Check(asked) = invocation.command
        {
            let _ = cli::daemon::configure(&asked, &around(&|_| None, &read));
        }
    }

    #[test]
    fn no_file_makes_the_parsers_panic(
        toml in damaged("ilagent.toml"),
        json in damaged("ilagent.json"),
        any in ".{0,60}",
    ) {
        for text in [&toml, &json, &any] {
            for syntax in [Syntax::Toml, Syntax::Json] {
                if let Err(faults) = native(text, syntax) {
                    prop_assert!(!faults.is_empty());
                }
            }
        }
    }
}
