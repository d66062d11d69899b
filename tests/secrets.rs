//! Secrets: every one that the manual names reaches the agent, and none lies open unnoticed.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use support::agent::{Agent, under_test};
use support::broker::Broker;
use support::certificates::Authority;
use support::publisher::Publisher;
use support::stand_in::StandIn;
use support::{Folder, free_port};

const OPEN: &str = "every user of this machine can read it";

/// An alarm as a machine sends it: without a key.
fn alarm(summary: &str) -> String {
    format!(r#"{{"eventType":"ALERT","summary":"{summary}"}}"#)
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A folder as systemd makes it for a unit, with a credential for each pair.
fn credentials(pairs: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (name, text) in pairs {
        write(&folder.join(name), text, 0o400);
    }
    folder
}

fn check(file: &Path, credentials: Option<&Folder>) -> (Output, String, String) {
    let mut command = under_test();
    command.args(["check", "--config"]).arg(file).env_remove("CREDENTIALS_DIRECTORY");
    if let Some(folder) = credentials {
        command.env("CREDENTIALS_DIRECTORY", folder.path());
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

#[test]
fn the_event_key_of_the_unit_is_that_of_every_subscription_without_one() {
    let (api, broker) = (StandIn::new(), Broker::new());
    let unit = credentials(&[("event_key", "il1api-of-the-unit\n"), ("mqtt_password", "\n")]);
    let text = format!(
        "[[mqtt]]\nname = \"plant\"\nurl = \"mqtt://127.0.0.1:{}\"\nbuffer = true\n\
         [[mqtt.subscription]]\ntopic = \"plant/+/alarms\"\n\
         [[mqtt.subscription]]\ntopic = \"own/#\"\nintegration-key = \"il1api-of-its-own\"\n",
        broker.port()
    );
    let folder = unit.path().display().to_string();
    let agent = Agent::with_file(&api, &text).env("CREDENTIALS_DIRECTORY", &folder).ready();
    let mut publisher = Publisher::new(broker.port());
    publisher.publish("plant/1/alarms", alarm("one"));
    publisher.publish("own/1", alarm("two"));
    api.wait_for(2);
    let key = |summary| api.latest(summary).unwrap().json()["integrationKey"].clone();
    assert_eq!(key("one"), "il1api-of-the-unit");
    assert_eq!(key("two"), "il1api-of-its-own");

    let file = agent.folder().join("ilagent.toml");
    let (output, told, _) = check(&file, Some(&unit));
    assert!(output.status.success(), "{output:?}");
    assert!(told.contains("plant/+/alarms (QoS 1) → event with key il1"), "{told}");
    assert!(!told.contains("of-the-unit"), "{told}");
}

#[test]
fn a_client_key_can_be_a_credential() {
    let tls_port = free_port();
    let (files, authority) = (Folder::new(), Authority::new());
    fs::write(files.join("ca.pem"), &authority.pem).unwrap();
    authority.issue(files.path(), "broker", "broker");
    authority.issue(files.path(), "client", "gateway");
    let read = |name: &str| fs::read_to_string(files.join(name)).unwrap();
    let unit = credentials(&[
        ("client_cert", &read("client.pem")),
        ("client_key", &read("client.key")),
        ("event_key", "il1api-of-the-unit\n"),
    ]);
    let ca = files.join("ca.pem").display().to_string();
    let lines = format!(
        "per_listener_settings false\nlistener {{port}} 127.0.0.1\nlistener {tls_port} 127.0.0.1\n\
         cafile {{folder}}/ca.pem\ncertfile {{folder}}/broker.pem\nkeyfile {{folder}}/broker.key\n\
         require_certificate true\n"
    );
    let broker = Broker::prepared(files, &lines);
    let api = StandIn::new();
    let text = format!(
        "[[mqtt]]\nurl = \"mqtts://127.0.0.1:{tls_port}\"\nbuffer = true\nssl-ca = \"{ca}\"\n\
         ssl-cert = \"$CREDENTIALS_DIRECTORY/client_cert\"\n\
         ssl-key = \"${{CREDENTIALS_DIRECTORY}}/client_key\"\n\
         [[mqtt.subscription]]\ntopic = \"events/#\"\n"
    );
    let folder = unit.path().display().to_string();
    let agent = Agent::with_file(&api, &text).env("CREDENTIALS_DIRECTORY", &folder).ready();
    Publisher::new(broker.port()).publish("events/a", alarm("one"));
    api.wait_for(1);
    assert!(!agent.log().contains(OPEN), "{}", agent.log());
}

#[test]
fn every_option_that_is_a_file_can_be_a_credential() {
    let names = ["api", "beat", "token", "password", "key"];
    let unit = credentials(&names.map(|name| (name, "il1api-secret-secret\n")));
    let here = Folder::new();
    let file = here.join("ilagent.toml");
    let text = "[ilert]\napi-key-file = \"$CREDENTIALS_DIRECTORY/api\"\n\
         heartbeat-key-file = \"$CREDENTIALS_DIRECTORY/beat\"\n\
         [http]\nport = 1\nbind = \"127.0.0.1\"\ntoken-file = \"$CREDENTIALS_DIRECTORY/token\"\n\
         [[mqtt]]\nurl = \"mqtt://127.0.0.1\"\nusername = \"u\"\n\
         password-file = \"$CREDENTIALS_DIRECTORY/password\"\n[[mqtt.subscription]]\ntopic = \"a\"\n\
         integration-key-file = \"$CREDENTIALS_DIRECTORY/key\"\n";
    write(&file, text, 0o644);
    let (output, _, told) = check(&file, Some(&unit));
    assert!(output.status.success() && told.is_empty(), "{told}");

    let (output, _, told) = check(&file, None);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(told.matches("is not set; systemd sets it").count(), 5, "{told}");

    let (output, _, told) = check(&file, Some(&Folder::new()));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(told.matches("there is no file").count(), 5, "{told}");
}

#[test]
fn a_secret_that_lies_open_is_told() {
    let here = Folder::new();
    let (file, secret) = (here.join("ilagent.toml"), here.join("secret"));
    let with = |line: &str| {
        format!(
            "[[mqtt]]\nurl = \"mqtt://127.0.0.1\"\nusername = \"u\"\n{line}\n\
             [[mqtt.subscription]]\ntopic = \"a\"\n"
        )
    };
    let in_file = with(&format!("password-file = \"{}\"", secret.display()));
    let inside = with("password = \"hush\"");
    for (text, file_mode, secret_mode, wanted) in [
        (with(""), 0o644, 0o644, None),
        (inside.clone(), 0o644, 0o600, Some(&file)),
        (inside.clone(), 0o640, 0o600, None),
        (in_file.clone(), 0o644, 0o644, Some(&secret)),
        (in_file.clone(), 0o644, 0o640, None),
        (in_file.clone(), 0o644, 0o600, None),
    ] {
        write(&file, &text, file_mode);
        write(&secret, "hush\n", secret_mode);
        let (output, _, told) = check(&file, None);
        assert!(output.status.success(), "{output:?}");
        let what = format!("{text}{file_mode:o} {secret_mode:o}: {told}");
        assert_eq!(told.matches(OPEN).count(), usize::from(wanted.is_some()), "{what}");
        if let Some(path) = wanted {
            assert!(told.contains(&format!("{} holds a secret", path.display())), "{what}");
        }
    }
    // The start tells it as well.
    write(&file, &inside, 0o644);
    let api = StandIn::new();
    let agent = Agent::with_file(&api, &inside).started();
    agent.wait_for_log(OPEN);

    // And flags that name files.
    write(&secret, "hush\n", 0o644);
    let path = secret.display().to_string();
    let flags = ["-e", "a", "--mqtt_buffer", "--mqtt_username", "u", "--mqtt_password_file", &path];
    Agent::mqtt(&api, free_port(), &flags).started().wait_for_log(OPEN);
}
