use super::*;
use crate::config;
use crate::sources::dapr::enabled::routes::tests::{Rig, Room};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// What one request stored: one delivery, with its body as JSON.
fn published(target: &str, headers: &[(&str, &str)], body: &[u8]) -> (Delivery, Value) {
    let rig = Rig::new();
    let answer = rig.ask("POST", target, headers, body);
    assert_eq!(answer, Response::empty(204), "{target}");
    let mut stored = rig.stored.lock().unwrap().pop().unwrap();
    assert_eq!(stored.len(), 1, "{target}");
    let delivery = stored.remove(0);
    let event = serde_json::from_slice(&delivery.body).unwrap_or_default();
    (delivery, event)
}

#[test]
fn a_publication_goes_to_the_broker_of_its_component() {
    for (target, sink, topic, note) in [
        ("/v1.0/publish/plantbus/a/b", "mqtt plantbus broker", "a/b", "qos 1"),
        ("/v1.0/publish/plantbus/lamp%2F%2Fon?", "mqtt plantbus broker", "lamp//on", "qos 1"),
        (
            "/v1.0/publish/plantbus/a?metadata.retain=true",
            "mqtt plantbus broker",
            "a",
            "qos 1 retain",
        ),
        ("/v1.0/publish/narrow/a?metadata.qos=0", "mqtt narrow broker", "planta", "qos 2 retain"),
        ("/v1.0/publish/narrow/a?metadata.retain=F", "mqtt narrow broker", "planta", "qos 2"),
    ] {
        let (delivery, event) = published(target, &[], b"hi");
        assert_eq!(delivery.lane.sink.as_str(), sink, "{target}");
        assert_eq!((delivery.errand.kind(), delivery.errand.target()), ("publish", topic));
        assert_eq!(delivery.errand.note().as_deref(), Some(note), "{target}");
        assert_eq!((delivery.keep, &delivery.order_key), (Keep::UntilDelivered, &None));
        let shown = topic.strip_prefix("plant").filter(|_| sink.contains("narrow"));
        assert_eq!(event["topic"], shown.unwrap_or(topic), "before the prefix");
        assert_eq!((&event["data"], &event["source"]), (&"hi".into(), &"press7".into()));
    }
    assert_eq!(Rig::new().ask("PUT", "/v1.0/publish/plantbus/a", &[], b"").status, 204);
}

#[test]
fn an_event_says_what_its_request_says() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("TraceParent", parent),
        ("tracestate", "a=b"),
    ];
    let target = "/v1.0/publish/plantbus/a?metadata.cloudevent.type=t%20t&metadata.cloudEvent.id=7";
    let (_, event) = published(target, &headers, br#"{"n":1}"#);
    for (name, wanted) in [
        ("type", "t t"),
        ("id", "7"),
        ("datacontenttype", "application/json; charset=utf-8"),
        ("traceparent", parent),
        ("traceid", parent),
        ("tracestate", "a=b"),
        ("pubsubname", "plantbus"),
    ] {
        assert_eq!(event[name], wanted, "{name}");
    }
    assert_eq!(event["data"]["n"], 1);
    let (_, other) = published("/v1.0/publish/plantbus/a", &[("traceparent", "x")], b"");
    let made = other["traceparent"].as_str().unwrap();
    assert!(is_trace_parent(made) && made != parent, "{made}");
    assert_eq!(other["datacontenttype"], "text/plain");
    assert_ne!(other["id"], event["id"]);
}

#[test]
fn a_raw_body_stays_what_it_is() {
    let target = "/v1.0/publish/plantbus/a/b?metadata.rawPayload=true&metadata.retain=true";
    let structured = ("content-type", "application/cloudevents+json");
    for body in [&b"\x01\0"[..], b"", b"{not json"] {
        let (delivery, _) = published(target, &[structured], body);
        assert_eq!(delivery.body, body);
        assert_eq!(delivery.errand.note().as_deref(), Some("qos 1 retain"));
    }
}

#[test]
fn a_lifetime_ends_by_the_clock() {
    for (query, seconds) in [("metadata.ttl=90s", 90), ("metadata.TtlInSeconds=5", 5)] {
        let target = format!("/v1.0/publish/plantbus/a?{query}");
        let before = SystemTime::now();
        let (delivery, event) = published(&target, &[], b"");
        let Keep::Before(end) = delivery.keep else { panic!("{:?}", delivery.keep) };
        let ttl = Duration::from_secs(seconds);
        assert!(end >= before + ttl && end <= SystemTime::now() + ttl);
        assert!(event["expiration"].as_str().unwrap().ends_with('Z'), "{event}");
    }
    let (delivery, event) = published("/v1.0/publish/plantbus/a?metadata.ttl=-1", &[], b"");
    assert_eq!((delivery.keep, event.get("expiration")), (Keep::UntilDelivered, None));
    let (raw, _) =
        published("/v1.0/publish/plantbus/a?metadata.ttl=0&metadata.rawPayload=1", &[], b"");
    assert!(raw.keep.is_over(SystemTime::now()) && !raw.keep.is_over(UNIX_EPOCH));
}

const STRUCTURED: &[(&str, &str)] = &[("Content-Type", "application/cloudevents+json")];
const NO_BOOLEAN: &str = "failed deserializing metadata. Error: rawPayload value must be a valid \
                          boolean: actual is 'V'";

const NOT_FOUND: (u16, &str, &str) = (404, "ERR_PUBSUB_NOT_FOUND", "DAPR_PUBSUB_NOT_FOUND");
const METADATA: (u16, &str, &str) =
    (400, "ERR_PUBSUB_REQUEST_METADATA", "DAPR_PUBSUB_METADATA_DESERIALIZATION");
const NO_EVENT: (u16, &str, &str) =
    (500, "ERR_PUBSUB_CLOUD_EVENTS_SER", "DAPR_PUBSUB_CLOUD_EVENT_CREATION");
const NO_TOPIC: (u16, &str, &str) =
    (400, "ERR_TOPIC_NAME_INVALID", "DAPR_PUBSUB_TOPIC_NAME_INVALID");
const FORBIDDEN: (u16, &str, &str) = (403, "ERR_PUBSUB_FORBIDDEN", "DAPR_PUBSUB_FORBIDDEN");

/// A target, whether the body is said to be an event, and what the answer says.
type Refused = (&'static str, bool, (u16, &'static str, &'static str), &'static str);

const REFUSED: [Refused; 14] = [
    ("nobody/x", false, NOT_FOUND, "pubsub nobody is not found"),
    ("plantbus/x?metadata.ttl=soon", false, METADATA, "'soon'"),
    ("plantbus/x?metadata.rawPayload=V", false, METADATA, NO_BOOLEAN),
    ("plantbus/x?metadata.retain=V", false, METADATA, "'V'"),
    ("plantbus/x", true, NO_EVENT, "cannot create cloudevent"),
    ("plantbus/bad/%23", false, NO_TOPIC, "wildcard `#`"),
    ("plantbus/a%2Bb", false, NO_TOPIC, "wildcard `+`"),
    ("plantbus/a%00", false, NO_TOPIC, "NUL"),
    ("plantbus/%zz", false, NO_TOPIC, "hexadecimal"),
    ("narrow/b", false, FORBIDDEN, "topic b is not allowed for app id press7"),
    // The first of several things that are wrong.
    ("nobody/%23", true, NOT_FOUND, "nobody"),
    ("narrow/%23?metadata.ttl=x", true, METADATA, "'x'"),
    ("narrow/%23", true, NO_EVENT, "cannot create"),
    ("narrow/%23", false, NO_TOPIC, "wildcard"),
];

#[test]
fn what_cannot_be_published_is_refused_as_clients_know_it() {
    let rig = Rig::new();
    for (target, is_event, (status, code, reason), words) in REFUSED {
        let headers = if is_event { STRUCTURED } else { &[] };
        let target = format!("/v1.0/publish/{target}");
        let (found, answer) = rig.says("POST", &target, headers, b"null");
        assert_eq!((found, &answer["errorCode"]), (status, &code.into()), "{target}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{target}: {answer}");
        let details = answer["details"].as_array().unwrap();
        let last = details.last().unwrap();
        assert_eq!((&last["reason"], &last["domain"]), (&reason.into(), &"dapr.io".into()));
        assert_eq!(last["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
        let is_about_one = code != NOT_FOUND.1 && !target.contains("%zz");
        assert_eq!(details.len() == 2, is_about_one, "{target}: {answer}");
        if is_about_one {
            assert_eq!(details[0]["@type"], "type.googleapis.com/google.rpc.ResourceInfo");
            assert_eq!(details[0]["resource_type"], "pubsub");
            assert_eq!(details[0]["owner"], "press7");
            assert_eq!(details[0]["description"], answer["message"]);
        }
    }
    let packed = &[("Content-Encoding", "br")][..];
    assert_eq!(rig.ask("POST", "/v1.0/publish/plantbus/x", packed, b"").status, 415);
    assert!(rig.stored.lock().unwrap().is_empty());
}

#[test]
fn without_any_component_nothing_is_configured() {
    let settings = Rig::new().api.sidecar.settings.clone();
    let settings = config::Dapr { components: Vec::new(), ..settings };
    let rig = Rig::with(settings, &config::Http::for_dapr(), Room::Enough);
    let (status, answer) = rig.says("POST", "/v1.0/publish/plantbus/x", &[], b"");
    assert_eq!((status, &answer["errorCode"]), (400, &"ERR_PUBSUB_NOT_CONFIGURED".into()));
    assert_eq!(answer["details"].as_array().unwrap().len(), 1);
}

#[test]
fn a_full_queue_asks_to_come_again() {
    let rig = Rig::full();
    let answer = rig.ask("POST", "/v1.0/publish/plantbus/x", &[], b"");
    assert_eq!((answer.status, answer.headers[0].0), (503, "Retry-After"));
    let words =
        r#""message":"error when publishing to topic x in pubsub plantbus: the queue is full""#;
    assert!(String::from_utf8(answer.body).unwrap().contains(words));
    let body = br#"[{"entryId":"1","event":"x","contentType":"text/plain"}]"#;
    let (status, answer) = rig.says("POST", "/v1.0/publish/bulk/plantbus/x", &[], body);
    assert_eq!((status, &answer["errorCode"]), (503, &"ERR_PUBSUB_PUBLISH_MESSAGE".into()));
    let failed = &answer["failedEntries"][0];
    assert_eq!((&failed["entryId"], &failed["entryID"]), (&"1".into(), &"1".into()));
    assert!(failed["error"].as_str().unwrap().ends_with("the queue is full"), "{answer}");
}

#[test]
fn where_the_broker_confirms_nothing_is_stored() {
    let mut settings = Rig::new().api.sidecar.settings.clone();
    settings.components[0].confirm = Confirm::Broker;
    let rig = Rig::with(settings, &config::Http::for_dapr(), Room::None);
    assert_eq!(rig.ask("POST", "/v1.0/publish/plantbus/x", &[], b"").status, 204);
    assert_eq!(rig.ask("POST", "/v1.0/publish/narrow/a", &[], b"").status, 503);
}

#[test]
fn entries_of_a_bulk_are_stored_in_one_commit_and_in_their_order() {
    let rig = Rig::new();
    let body = br#"[
        {"entryID":"1","event":"AQ==","contentType":"application/octet-stream"},
        {"entryId":"2","event":{"k": 1},"contentType":"application/json","metadata":{"retain":"false"}},
        {"entryId":"3","event":"raw","contentType":"text/plain","metadata":{"rawPayload":"true"}}
    ]"#;
    for target in ["/v1.0/publish/bulk/plantbus/x", "/v1.0-alpha1/publish/bulk/plantbus/x"] {
        let target = format!("{target}?metadata.retain=true&metadata.ttl=60");
        assert_eq!(rig.ask("POST", &target, &[], body), Response::empty(204));
    }
    let stored = rig.stored.lock().unwrap();
    assert_eq!(stored.len(), 2, "one batch each");
    for batch in &*stored {
        let shown: Vec<_> = batch
            .iter()
            .map(|delivery| {
                assert!(matches!(delivery.keep, Keep::Before(_)));
                let body = String::from_utf8(delivery.body.clone()).unwrap();
                let at = body.rfind("\"data").unwrap_or_default();
                (delivery.errand.note().unwrap().into_owned(), body[at..].to_owned())
            })
            .collect();
        let wanted = [
            ("qos 1 retain", r#""data_base64":"AQ=="}"#),
            ("qos 1", r#""data":{"k": 1}}"#),
            ("qos 1 retain", "raw"),
        ];
        assert_eq!(shown, wanted.map(|(note, body)| (note.to_owned(), body.to_owned())));
    }
    drop(stored);
    assert_eq!(rig.ask("PUT", "/v1.0/publish/bulk/plantbus/x", &[], b"[]").status, 204);
}

#[test]
fn a_bulk_with_a_fault_publishes_nothing() {
    let rig = Rig::new();
    let good = r#"{"entryId":"1","event":"x","contentType":"text/plain"}"#;
    for (body, status, code, reason) in [
        ("{}".to_owned(), 400, "ERR_PUBSUB_EVENTS_SER", "DAPR_PUBSUB_UNMARSHAL_EVENTS"),
        (format!("[{good},{good}]"), 400, "ERR_PUBSUB_EVENTS_SER", "DAPR_PUBSUB_MARSHAL_EVENTS"),
        (
            format!(r#"[{good},{{"entryId":"2","event":"x"}}]"#),
            400,
            "ERR_PUBSUB_EVENTS_SER",
            "DAPR_PUBSUB_MARSHAL_ENVELOPE",
        ),
        (
            format!(
                r#"[{good},{{"entryId":"2","event":1,"contentType":"application/cloudevents+json"}}]"#
            ),
            500,
            "ERR_PUBSUB_CLOUD_EVENTS_SER",
            "DAPR_PUBSUB_CLOUD_EVENT_CREATION",
        ),
        (
            format!(
                r#"[{good},{{"entryId":"2","event":"","contentType":"text/plain","metadata":{{"ttl":"x"}}}}]"#
            ),
            400,
            "ERR_PUBSUB_REQUEST_METADATA",
            "DAPR_PUBSUB_METADATA_DESERIALIZATION",
        ),
    ] {
        let (found, answer) =
            rig.says("POST", "/v1.0/publish/bulk/plantbus/x", &[], body.as_bytes());
        assert_eq!((found, &answer["errorCode"]), (status, &code.into()), "{answer}");
        assert_eq!(answer["details"][1]["reason"], reason);
    }
    let (status, answer) =
        rig.says("POST", "/v1.0/publish/bulk/narrow/x", &[], format!("[{good}]").as_bytes());
    assert_eq!((status, &answer["errorCode"]), (403, &"ERR_PUBSUB_FORBIDDEN".into()));
    assert!(rig.stored.lock().unwrap().is_empty());
}
