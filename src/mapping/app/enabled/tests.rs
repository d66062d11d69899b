//! What becomes of messages, in tables.

use super::*;
use crate::config::{AppRoute, Bulk, Qos, Subscription};
use crate::message::Origin;
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

fn rule(
    topic: &str,
    raw: Raw,
    dead_letter_topic: Option<&str>,
    routes: &[(&str, &str)],
) -> AppRule {
    let route = |&(text, path): &(&str, &str)| AppRoute {
        matches: (!text.is_empty()).then(|| crate::cel::Expression::parse(text).unwrap()),
        path: path.to_owned(),
    };
    AppRule {
        sink: "app press7".to_owned(),
        publisher: "mqtt plantbus".to_owned(),
        component: "plantbus".to_owned(),
        prefix: String::new(),
        qos: Qos::AtLeastOnce,
        retain: false,
        one_at_a_time: false,
        subscription: Subscription {
            pubsub: "plantbus".to_owned(),
            topic: topic.to_owned(),
            rules: Vec::new(),
            default: None,
            dead_letter_topic: dead_letter_topic.map(str::to_owned),
            raw,
            bulk: None,
            metadata: BTreeMap::new(),
            is_declared: true,
        },
        routes: routes.iter().map(route).collect(),
    }
}

fn mapped(rule: &AppRule, topic: &str, payload: &[u8]) -> Mapped {
    let message = Message {
        topic: topic.to_owned(),
        payload: payload.to_vec(),
        origin: Origin::Mqtt,
        qos: Qos::AtLeastOnce,
        retain: false,
        retained: false,
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    from_message(rule, &message, &|| Stamp { id: "7".to_owned(), time: now })
}

/// Where a message goes: a path, `copy` (to the dead-letter topic), `dropped` or `dead`.
fn way(rule: &AppRule, topic: &str, payload: &[u8]) -> String {
    match mapped(rule, topic, payload) {
        Mapped::Deliver(delivery) => delivery.errand.target().to_owned(),
        Mapped::Diverted(copy, _) => {
            assert_eq!(copy.body, payload, "as it came");
            assert_eq!(copy.lane.sink.as_str(), "mqtt plantbus");
            format!("copy {}", copy.errand.target())
        }
        Mapped::Dropped(_) => "dropped".to_owned(),
        Mapped::Dead(_) => "dead".to_owned(),
    }
}

fn delivered(rule: &AppRule, topic: &str, payload: &[u8]) -> (Delivery, Vec<(String, String)>) {
    match mapped(rule, topic, payload) {
        Mapped::Deliver(delivery) => {
            let Errand::Call { headers, .. } = &delivery.errand else { panic!("{delivery:?}") };
            let headers = headers.clone();
            (delivery, headers)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_takes_the_first_route_that_is_true_of_it() {
    let routes = [
        ("has(event.data.rush) && event.data.rush == true", "/rush"),
        ("event.type.startsWith(\"com.plant.\") || event.data.total >= 1000", "/big"),
        ("", "/orders"),
    ];
    for (payload, with_topic, without) in [
        (r#"{"data":{"rush":true}}"#, "/rush", "/rush"),
        (r#"{"type":"com.plant.x","data":{}}"#, "/big", "/big"),
        (r#"{"type":"com.plant.x"}"#, "copy orders/dead", "dead"),
        (r#"{"type":"x","data":{"total":1000}}"#, "/big", "/big"),
        (r#"{"type":"x","data":{"total":"1000"}}"#, "copy orders/dead", "dead"),
        (r#"{"type":"x","data":{"total":1}}"#, "/orders", "/orders"),
        ("[1]", "copy orders/dead", "dead"),
        ("1", "copy orders/dead", "dead"),
        ("\"text\"", "copy orders/dead", "dead"),
        ("", "copy orders/dead", "dead"),
        ("{", "copy orders/dead", "dead"),
        ("null", "copy orders/dead", "dead"),
        (r#"{"data":{},"expiration":"2001-01-01T00:00:00Z"}"#, "copy orders/dead", "dropped"),
        (r#"{"data":{"rush":true},"expiration":"2101-01-01T00:00:00Z"}"#, "/rush", "/rush"),
        (r#"{"data":{"rush":true},"expiration":"soon"}"#, "/rush", "/rush"),
        (r#"{"data":{"rush":true},"expiration":1}"#, "/rush", "/rush"),
    ] {
        let given = rule("orders", Raw::No, Some("orders/dead"), &routes);
        assert_eq!(way(&given, "orders", payload.as_bytes()), with_topic, "{payload}");
        let given = rule("orders", Raw::No, None, &routes);
        assert_eq!(way(&given, "orders", payload.as_bytes()), without, "{payload}");
    }
}

#[test]
fn without_a_default_what_no_route_wants_is_dropped() {
    let routes = [("event.n == 1", "/one")];
    for (payload, dead_letter_topic, wanted) in [
        (r#"{"n":1}"#, None, "/one"),
        (r#"{"n":2}"#, None, "dropped"),
        (r#"{"n":2}"#, Some("d"), "copy d"),
    ] {
        let given = rule("a", Raw::No, dead_letter_topic, &routes);
        assert_eq!(way(&given, "a", payload.as_bytes()), wanted, "{payload}");
    }
    assert_eq!(way(&rule("a", Raw::No, None, &[]), "a", b"{}"), "dropped");
    assert_eq!(way(&rule("a", Raw::No, None, &[("", "/")]), "a", b"null"), "/");
}

#[test]
fn a_payload_is_passed_on_as_it_came_or_inside_an_event() {
    const BUILT: &str = r#"{"id":"7","specversion":"1.0","type":"com.dapr.event.sent","source":"Dapr","topic":"a/\"b","pubsubname":"plantbus","datacontenttype":"application/octet-stream","data_base64":"#;
    for (raw, payload, built) in [
        (Raw::No, &br#" { "n": 18446744073709551616, "n": 1.50 }"#[..], false),
        (Raw::No, b"null", false),
        (Raw::Yes, b"\x01\x00", true),
        (Raw::Yes, b"", true),
        (Raw::Yes, br#"{"specversion":"1.0"}"#, true),
        (Raw::Auto, br#"{"specversion":"1.0"}"#, false),
        (Raw::Auto, br#"{"version":"1.0"}"#, true),
        (Raw::Auto, b"[1]", true),
        (Raw::Auto, b"21.5", true),
    ] {
        let (delivery, headers) =
            delivered(&rule("a/+", raw, None, &[("", "/x")]), "a/\"b", payload);
        let wanted = match built {
            true => format!("{BUILT}\"{}\"}}", STANDARD.encode(payload)).into_bytes(),
            false => payload.to_vec(),
        };
        assert_eq!(delivery.body, wanted, "{:?}", payload.escape_ascii().to_string());
        let is_marked = headers.contains(&(":raw".to_owned(), "yes".to_owned()));
        assert_eq!(is_marked, built);
    }
    let (delivery, _) = delivered(&rule("a", Raw::No, None, &[("", "/x")]), "a", b"{\"n\":1}\0");
    assert_eq!(delivery.body, b"{\"n\":1}", "without the end of a text in C");
    let (delivery, _) = delivered(&rule("a", Raw::No, None, &[("", "/x")]), "a", b"{\"n\":1}\n ");
    assert_eq!(delivery.body, b"{\"n\":1}\n ", "with its blanks");
}

#[test]
fn routes_of_raw_messages_see_the_event_that_is_built() {
    let routes = [("event.topic == 'a/b' && event.data_base64 == 'MQ=='", "/yes"), ("", "/no")];
    let given = rule("a/+", Raw::Yes, None, &routes);
    assert_eq!(way(&given, "a/b", b"1"), "/yes");
    assert_eq!(way(&given, "a/c", b"1"), "/no");
}

#[test]
fn headers_say_where_it_came_from() {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let names = |headers: &[(String, String)]| -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
    };
    let mut given = rule("a/#", Raw::No, Some("dead letters"), &[("", "/x")]);
    given.prefix = "ns".to_owned();
    let payload = format!(r#"{{"traceparent":"{PARENT}","tracestate":"a=1"}}"#);
    let (delivery, headers) = delivered(&given, "nsa/ü %\n", payload.as_bytes());
    assert_eq!(
        names(&headers),
        [
            "Pubsubname: plantbus",
            "Retained: false",
            "Mqtt-Topic: a/%C3%BC %25%0A",
            &format!("traceparent: {PARENT}"),
            "tracestate: a=1",
            ":dead-letter: nsdead letters",
        ]
    );
    assert_eq!(delivery.origin, "nsa/ü %\n");
    assert_eq!((delivery.lane.sink.as_str(), &*delivery.lane.key), ("app press7", "plantbus"));
    for odd in ["", "00-0-0-01", "null", &PARENT.to_uppercase(), &PARENT.replace("00-", "ff-")] {
        let payload = format!(r#"{{"traceparent":"{odd}","tracestate":"a=1"}}"#);
        let (_, headers) = delivered(&given, "nsa", payload.as_bytes());
        assert_eq!(headers.len(), 4, "{odd}");
    }
}

#[test]
fn deliveries_of_a_topic_and_a_subscription_follow_each_other() {
    for (filter, one_at_a_time, topic, wanted) in [
        ("a/b", false, "a/b", "a/b"),
        ("a/+", false, "a/b", "a/b (a/+)"),
        ("$share/g/a/b", false, "a/b", "a/b"),
        ("a/+", true, "a/b", "app"),
    ] {
        let mut given = rule(filter, Raw::No, None, &[("", "/x")]);
        given.one_at_a_time = one_at_a_time;
        let (delivery, _) = delivered(&given, topic, b"{}");
        assert_eq!(delivery.order_key.as_deref(), Some(wanted));
    }
    // Those that go together are in the order of their lane.
    let mut given = rule("$share/g/a/+", Raw::No, None, &[("", "/x")]);
    given.subscription.bulk = Some(Bulk { most: 7, wait: Duration::from_millis(50) });
    let (delivery, headers) = delivered(&given, "a/b", b"{}");
    assert_eq!((&*delivery.lane.key, &delivery.order_key), ("plantbus/$share/g/a/+", &None));
    assert_eq!(headers.last().unwrap(), &(BULK.to_owned(), "7 50".to_owned()));
    assert_eq!(delivery.errand.bulk(), given.subscription.bulk);
}
