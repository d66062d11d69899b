use super::*;
use serde_json::Value;
use std::time::{Duration, UNIX_EPOCH};

const UUID: &str = "6f1e4d2c-0000-4000-8000-000000000001";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOW: &str = "2025-11-26T14:05:44Z";

/// The event around a body, as text.
fn event(content_type: Option<&str>, said: &Said, ttl: Option<u64>, body: &[u8]) -> Option<String> {
    let time = UNIX_EPOCH + Duration::from_millis(1_764_165_944_900);
    let stamp = Stamp { id: UUID.to_owned(), time };
    let trace = Trace { parent: PARENT.to_owned(), state: "a=b".to_owned() };
    let envelope = Envelope {
        app_id: "press7",
        pubsub: "plantbus",
        topic: "press/3/\"done\"",
        content_type,
        stamp: &stamp,
        trace: &trace,
        expires: ttl.map(|seconds| time + Duration::from_secs(seconds)),
        said,
    };
    envelope.around(body).map(|event| String::from_utf8(event).unwrap())
}

fn member<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    event.get(name).and_then(Value::as_str)
}

#[test]
fn an_event_has_what_the_standard_and_dapr_ask_for() {
    let text = event(None, &Said::default(), None, b"hi").unwrap();
    let read: Value = serde_json::from_str(&text).expect(&text);
    for (name, wanted) in [
        ("id", UUID),
        ("specversion", "1.0"),
        ("source", "press7"),
        ("type", "com.dapr.event.sent"),
        ("datacontenttype", "text/plain"),
        ("topic", "press/3/\"done\""),
        ("pubsubname", "plantbus"),
        ("time", NOW),
        ("traceid", PARENT),
        ("traceparent", PARENT),
        ("tracestate", "a=b"),
        ("data", "hi"),
    ] {
        assert_eq!(member(&read, name), Some(wanted), "{name} in {text}");
    }
    assert_eq!(read.as_object().unwrap().len(), 12, "{text}");
    let text = event(None, &Said::default(), Some(90), b"").unwrap();
    assert!(text.contains(r#""expiration":"2025-11-26T14:07:14Z""#), "{text}");
}

#[test]
fn data_is_what_the_content_type_says() {
    for (content_type, body, wanted) in [
        (
            "application/json",
            &br#" {"n":18446744073709551615} "#[..],
            r#""data":{"n":18446744073709551615}"#,
        ),
        ("Application/JSON ; charset=utf-8", b"[1.50, 1e400]", r#""data":[1.50, 1e400]"#),
        ("application/json", b"null", r#""data":null"#),
        ("application/json", b"", r#""data":"""#),
        ("application/json", b"{not", r#""data":"{not""#),
        ("application/json", b"{} {}", r#""data":"{} {}""#),
        ("application/json", b"\"\xff\"", r#""data_base64":"Iv8i""#),
        ("application/vnd.x+json", b"{\"a\":1}", r#""data":"{\"a\":1}""#),
        ("text/plain", "☃\n".as_bytes(), "\"data\":\"☃\\n\""),
        ("text/plain", b"\xff", r#""data_base64":"/w==""#),
        ("image/png", b"x", r#""data":"x""#),
        ("", b"x", r#""data":"x""#),
        ("application/octet-stream", b"\x01\0", r#""data_base64":"AQA=""#),
        ("application/octet-stream", b"", r#""data_base64":"""#),
        ("application/cloudevents+protobuf", b"a", r#""data_base64":"YQ==""#),
    ] {
        let text = event(Some(content_type), &Said::default(), None, body).unwrap();
        assert!(text.ends_with(&format!(",{wanted}}}")), "{content_type}: {text}");
        let read: Value = serde_json::from_str(&text).unwrap_or_default();
        let is_readable = read.is_object() || text.contains("1e400");
        assert!(is_readable, "{text}");
        assert!(text.contains(&format!(r#""datacontenttype":"{content_type}","#)), "{text}");
    }
}

#[test]
fn what_is_said_takes_the_place_of_what_would_be() {
    let text = |text: &str| Some(text.to_owned());
    let said = Said {
        id: text("7"),
        source: text("here"),
        kind: text("com.plant"),
        subject: text("s"),
        trace_id: None,
        trace_parent: text("p"),
        trace_state: text("t"),
    };
    let read = |said: &Said| -> Value {
        serde_json::from_str(&event(None, said, None, b"").unwrap()).unwrap()
    };
    let found = read(&said);
    for (name, wanted) in [
        ("id", "7"),
        ("source", "here"),
        ("type", "com.plant"),
        ("subject", "s"),
        ("traceid", "p"),
        ("traceparent", "p"),
        ("tracestate", "t"),
    ] {
        assert_eq!(member(&found, name), Some(wanted), "{name}");
    }
    let said = Said { source: text(""), trace_id: text("i"), ..Said::default() };
    let found = read(&said);
    assert_eq!(member(&found, "source"), Some("Dapr"));
    assert_eq!(member(&found, "traceid"), Some("i"));
    assert_eq!(member(&found, "traceparent"), Some(PARENT));
}

#[test]
fn a_body_that_is_an_event_keeps_what_it_says() {
    let complete = |body: &str, ttl| {
        let said = Said { id: Some("ignored".to_owned()), ..Said::default() };
        let content_type = Some("application/CloudEvents+json; charset=utf-8");
        event(content_type, &said, ttl, body.as_bytes()).unwrap()
    };
    let read = |body| serde_json::from_str::<Value>(&complete(body, None)).unwrap();
    let found = read(" {}\n");
    for (name, wanted) in [
        ("id", UUID),
        ("specversion", "1.0"),
        ("source", "Dapr"),
        ("type", "com.dapr.event.sent"),
        ("topic", "press/3/\"done\""),
        ("pubsubname", "plantbus"),
        ("time", NOW),
        ("traceid", PARENT),
        ("traceparent", PARENT),
        ("tracestate", "a=b"),
    ] {
        assert_eq!(member(&found, name), Some(wanted), "{name}");
    }
    assert_eq!(found.as_object().unwrap().len(), 10);

    let text = complete(
        r#"{"id":"1","topic":"other","pubsubname":7,"type":null,"time":"t","data":{"n":1.50},
            "traceparent":{"x":[]},"source":"","extra":null,"expiration":"e"}"#,
        None,
    );
    for wanted in [
        r#""id":"1""#,
        r#""topic":"press/3/\"done\"""#,
        r#""pubsubname":"plantbus""#,
        r#""type":"com.dapr.event.sent""#,
        r#""time":"t""#,
        r#""data":{"n":1.50}"#,
        r#""traceid":{"x":[]}"#,
        r#""source":"""#,
        r#""extra":null"#,
        r#""expiration":"e""#,
    ] {
        assert_eq!(text.matches(wanted).count(), 1, "{wanted} in {text}");
    }
    let text = complete(r#"{"expiration":"e"}"#, Some(90));
    assert_eq!(text.matches("expiration").count(), 1, "{text}");
    assert!(text.contains("2025-11-26T14:07:14Z"), "{text}");
}

#[test]
fn a_body_that_should_be_an_event_and_is_none_is_refused() {
    for body in ["", "[]", "\"x\"", "1", "null", "{\"", "{} {}", "{}x", "\u{feff}{}"] {
        let content_type = Some("application/cloudevents+json");
        let made = event(content_type, &Said::default(), None, body.as_bytes());
        assert_eq!(made, None, "{body}");
    }
    assert_eq!(event(Some(STRUCTURED), &Said::default(), None, b"{\"a\":\"\xff\"}"), None);
}

#[test]
fn a_clock_that_has_not_been_set_says_nothing() {
    let stamp = Stamp { id: UUID.to_owned(), time: UNIX_EPOCH + Duration::from_secs(60) };
    let trace = Trace { parent: PARENT.to_owned(), state: String::new() };
    let envelope = Envelope {
        app_id: "a",
        pubsub: "p",
        topic: "t",
        content_type: None,
        stamp: &stamp,
        trace: &trace,
        expires: Some(stamp.time),
        said: &Said::default(),
    };
    let text = String::from_utf8(envelope.around(b"").unwrap()).unwrap();
    assert!(!text.contains("\"time\"") && !text.contains("expiration"), "{text}");
}
