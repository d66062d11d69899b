use super::*;
use crate::config::document::untyped;

fn read(yaml: &str) -> Result<HandlerSpec, String> {
    let definition = untyped::read("handler.yaml", yaml).map_err(|(_, what)| what)?;
    HandlerSpec::read(&definition)
}

fn of_kind(kind: &str, options: &str) -> Result<HandlerKind, String> {
    let options = options.replace('\n', "\n  ");
    let yaml = format!("id: h\ntopic: t\nkind: {kind}\noptions:\n  {options}\n");
    read(&yaml).map(|spec| spec.kind)
}

#[test]
fn the_file_of_the_page_is_a_handler() {
    let spec = read(
        "id: log-cpu-alert\ntopic: cpu\nkind: mqtt\noptions:\n  broker-name: 'alerts-broker'\n  \
         topic: 'alerts'\n  qos: 2\n  retained: true\n",
    )
    .unwrap();
    assert_eq!((&*spec.id, &*spec.topic), ("log-cpu-alert", "cpu"));
    assert!(spec.matches.is_none());
    let HandlerKind::Mqtt { broker, topic, qos, retained } = spec.kind else { panic!("mqtt") };
    assert_eq!(broker.as_deref(), Some("alerts-broker"));
    assert_eq!((topic.text(), qos, retained), ("alerts", Qos::ExactlyOnce, true));
}

#[test]
fn keys_may_have_any_case_and_truths_are_those_of_yaml_1_1() {
    let spec = read(
        "ID: h\nTopic: 't:1'\nKIND: mqtt\nMatch: level() == OK\nOptions:\n  TOPIC: a\n  Retained: yes\n  QoS: at-least-once\n",
    );
    let spec = spec.unwrap();
    assert_eq!(spec.matches.unwrap().text(), "level() == OK");
    let HandlerKind::Mqtt { qos, retained, .. } = spec.kind else { panic!("mqtt") };
    assert_eq!((qos, retained), (Qos::AtLeastOnce, true));
}

#[test]
fn options_are_read_by_kind() {
    for (kind, options, wanted) in [
        ("log", "path: /a", r#"Log { path: "/a", mode: 384 }"#),
        ("log", "path: /a\nmode: '0644'", r#"Log { path: "/a", mode: 420 }"#),
        ("log", "path: /a\nmode: 420", r#"Log { path: "/a", mode: 420 }"#),
        ("log", "path: /a\nmode: 0644", r#"Log { path: "/a", mode: 420 }"#),
        (
            "exec",
            "prog: /b\nargs: [a, 'c d']",
            r#"Exec { program: "/b", arguments: ["a", "c d"] }"#,
        ),
        ("tcp", "address: localhost:5678", r#"Tcp { address: "localhost:5678" }"#),
        (
            "post",
            "url: http://a/b\ntimeout: 1m30s\nheaders: {A: b}\ncapture-response: true\nskip-ssl-verification: off",
            r#"Post { url: "http://a/b", headers: [("A", "b")], timeout: Some(90000000000) }"#,
        ),
        ("publish", "topics: [a, b]", r#"Publish { topics: ["a", "b"] }"#),
        (
            "aggregate",
            "topic: u\ninterval: 5000000000",
            r#"Aggregate { id: "aggregate:u", interval: 5000000000, topic: "u", message: None }"#,
        ),
        (
            "aggregate",
            "topic: u\ninterval: 500ms\nid: x\nmessage: '{{ .Count }}'",
            r#"Aggregate { id: "x", interval: 500000000, topic: "u", message: Some(Template("{{ .Count }}")) }"#,
        ),
        ("ilert", "integration-key: il1", "Ilert { integration_key: Secret(***) }"),
        (
            "mqtt",
            "topic: a\nbroker-name: ''\nqos: exactly-one",
            r#"Mqtt { broker: None, topic: Template("a"), qos: ExactlyOnce, retained: false }"#,
        ),
    ] {
        let found = of_kind(kind, options).map(|kind| format!("{kind:?}"));
        assert_eq!(found.as_deref(), Ok(wanted), "{kind}: {options}");
    }
}

#[test]
fn wrong_options_are_refused_in_words() {
    for (kind, options, wanted) in [
        ("mqtt", "qos: 1", "`topic` is missing"),
        ("mqtt", "topic: a/#", "`topic`: a topic may not contain the wildcard `#`"),
        ("mqtt", "topic: 7", "`topic` is a text; put 7 in quotes"),
        (
            "mqtt",
            "topic: '{{ .ID'",
            "`topic`: in the template, line 1 char 1: this `{{` is never closed by `}}`",
        ),
        (
            "mqtt",
            "topic: a\nqos: 3",
            "`qos` is 0, 1 or 2, or at-most-once, at-least-once or exactly-once",
        ),
        (
            "mqtt",
            "topic: a\nqos: '1'",
            "`qos` is 0, 1 or 2, or at-most-once, at-least-once or exactly-once",
        ),
        (
            "mqtt",
            "topic: a\nqos: 2.9",
            "`qos` is 0, 1 or 2, or at-most-once, at-least-once or exactly-once",
        ),
        ("mqtt", "topic: a\nretained: 1", "`retained` is true or false, not 1"),
        (
            "mqtt",
            "topic: a\nbroker_name: b",
            "`broker_name` is no key here; did you mean `broker-name`?",
        ),
        ("log", "path: a", "`path` is absolute, as /tmp/alerts.log, not `a`"),
        ("log", "path: /a\nmode: 0444", "`mode` is such as 0644, and lets the owner write"),
        ("exec", "args: [a]", "`prog` is missing"),
        ("exec", "prog: a\nargs: b", "`args` is a list of texts"),
        ("tcp", "address: localhost", "`address` is host:port, not `localhost`"),
        (
            "post",
            "url: ftp://a",
            "`url`: `ftp://a` is not a URL such as http://127.0.0.1:5000/orders",
        ),
        (
            "post",
            "url: https://a\nskip-ssl-verification: true",
            "`skip-ssl-verification` is not supported: certificates are always checked",
        ),
        ("post", "url: http://a\ntimeout: soon", "`timeout` is a time such as 10s, 1m30s or 500ms"),
        (
            "post",
            "url: http://a\nheaders: {Host: b}",
            "the header `Host`: the header `Host` is the agent's to write",
        ),
        ("publish", "topics: []", "`topics` is missing: the topics to publish to"),
        ("publish", "topics: [a b]", "`a b` is not the name of a topic"),
        ("aggregate", "topic: u", "`interval` is needed, from 1ns to 168h"),
        ("ilert", "integration-key: '..'", "`integration-key` is not the key of an alert source"),
    ] {
        let wanted = format!("options of {kind}: {wanted}");
        let found = of_kind(kind, options).map(|kind| format!("{kind:?}"));
        assert_eq!(found, Err(wanted), "{kind}: {options}");
    }
}

#[test]
fn all_faults_of_a_definition_are_said() {
    let found = read("id: a b\ntopic: ''\nkind: slack\nmach: changed()\noptions: 1\n").unwrap_err();
    let wanted = "`id` has letters, digits, `-`, `.`, `_` and nothing else, and at least one of them, not `a b`
`topic` has letters, digits, `-`, `.`, `_`, `:` and nothing else, and at least one of them, not ``
`options` is a table
`mach` is no key here; did you mean `match`?
the kind `slack` is not supported: kinds post and exec reach other services, and ilert raises an alert at ilert";
    assert_eq!(found, wanted);
    let kinds = "mqtt, log, exec, tcp, post, publish, aggregate, ilert";
    for (yaml, wanted) in [
        ("[]", "a handler has the keys `id`, `topic`, `kind` and `options`".to_owned()),
        ("id: a\ntopic: b", format!("`kind` is missing: one of {kinds}")),
        ("id: a\ntopic: b\nkind: x", format!("there is no kind `x`, only {kinds}")),
    ] {
        assert_eq!(read(yaml).map(|spec| spec.id), Err(wanted), "{yaml}");
    }
}
