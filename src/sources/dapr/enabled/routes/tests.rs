use super::*;
use crate::config::{
    App, Component, Confirm, Dapr, Policy, PubSub, Raw, Route, Scopes, Subscription,
};
use crate::message::{Delivery, Qos};
use crate::queue::{self, Push, Storing};
use crate::system::http::Header;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the queue answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::sources::dapr::enabled) enum Room {
    Enough,
    None,
}

/// The routes of a sidecar with two components, and what they store: a batch for each request.
pub(in crate::sources::dapr::enabled) struct Rig {
    pub(in crate::sources::dapr::enabled) api: Api,
    pub(in crate::sources::dapr::enabled) stored: Arc<Mutex<Vec<Vec<Delivery>>>>,
}

fn component(name: &str) -> PubSub {
    PubSub {
        name: name.to_owned(),
        kind: "pubsub.mqtt".to_owned(),
        version: "v1".to_owned(),
        broker: format!("{name} broker"),
        qos: Qos::AtLeastOnce,
        retain: false,
        prefix: String::new(),
        scopes: Scopes::default(),
        confirm: Confirm::Stored,
        inbound: Policy::default(),
        outbound: Policy::default(),
    }
}

fn settings() -> Dapr {
    let narrow = PubSub {
        qos: Qos::ExactlyOnce,
        retain: true,
        prefix: "plant".to_owned(),
        scopes: Scopes { allowed: vec!["a".to_owned()], ..Scopes::default() },
        ..component("narrow")
    };
    Dapr {
        app_id: "press7".to_owned(),
        namespace: "default".to_owned(),
        head_bytes_max: 4_096,
        app: None,
        components: vec![component("plantbus"), narrow],
        others: vec![Component {
            name: "vault".to_owned(),
            kind: "secretstores.local.file".to_owned(),
            version: "v1".to_owned(),
        }],
        subscriptions: Vec::new(),
    }
}

/// How often a stop was asked for, in all tests.
static ENDS: AtomicUsize = AtomicUsize::new(0);

impl Rig {
    pub(in crate::sources::dapr::enabled) fn new() -> Self {
        Rig::with(settings(), &config::Http::for_dapr(), Room::Enough)
    }

    pub(in crate::sources::dapr::enabled) fn full() -> Self {
        Rig::with(settings(), &config::Http::for_dapr(), Room::None)
    }

    pub(in crate::sources::dapr::enabled) fn with(
        settings: Dapr,
        listener: &config::Http,
        room: Room,
    ) -> Self {
        let stored: Arc<Mutex<Vec<Vec<Delivery>>>> = Arc::default();
        let batches = Arc::clone(&stored);
        let take = move |batch: Vec<Push>| {
            if room == Room::None {
                return Err(queue::Error::Full(batch));
            }
            let mut deliveries = Vec::new();
            for push in batch {
                if let Push::Delivery { delivery, storing, receipt } = push {
                    assert_eq!(storing, Storing::AtOnce);
                    deliveries.push(delivery);
                    receipt.unwrap().sign();
                }
            }
            batches.lock().unwrap().push(deliveries);
            Ok(())
        };
        let pass_on = |batch: Vec<Push>| {
            for push in batch {
                if let Push::Delivery { storing, receipt, .. } = push {
                    assert_eq!(storing, Storing::IfRefused);
                    receipt.unwrap().sign();
                }
            }
            Ok(())
        };
        let sidecar = Sidecar {
            settings,
            store: Box::new(take),
            pass_on: Box::new(pass_on),
            standing: Arc::default(),
            end: || {
                ENDS.fetch_add(1, Ordering::Relaxed);
            },
        };
        Rig { api: Api::new(Arc::new(sidecar), listener), stored }
    }

    pub(in crate::sources::dapr::enabled) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let request = Request { method, path, query, headers: &headers, body };
        self.api.answer(&request).unwrap()
    }

    /// The status of an answer, and its document.
    pub(in crate::sources::dapr::enabled) fn says(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Value) {
        let Response { status, body, .. } = self.ask(method, target, headers, body);
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

#[test]
fn the_probes_tell_whether_it_is_ready() {
    let rig = Rig::new();
    let (status, answer) = rig.says("GET", "/v1.0/healthz", &[], b"");
    assert_eq!((status, &answer["errorCode"]), (500, &"ERR_HEALTH_NOT_READY".into()));
    assert_eq!(rig.ask("GET", "/v1.0/healthz/outbound", &[], b"").status, 204);
    rig.api.sidecar.standing.ready(true);
    for target in ["/v1.0/healthz", "/v1.0/healthz?appid=press7", "/v1.0/healthz/"] {
        assert_eq!(rig.ask("GET", target, &[], b""), Response::empty(204), "{target}");
    }
    let (status, answer) = rig.says("GET", "/v1.0/healthz?appid=other", &[], b"");
    assert_eq!((status, &answer["errorCode"]), (500, &"ERR_HEALTH_APPID_NOT_MATCH".into()));
    rig.api.sidecar.standing.ready(false);
    assert_eq!(rig.ask("GET", "/v1.0/healthz", &[], b"").status, 500);
}

#[test]
fn what_a_sidecar_has_and_this_one_has_not_is_named() {
    let rig = Rig::new();
    for (method, target, words) in [
        ("GET", "/v1.0/state/store/key", "there is no state"),
        ("POST", "/v1.0/invoke/app/method/x", "there is no invoke"),
        ("GET", "/v1.0-beta1/workflows/x", "there is no workflows"),
        ("POST", "/v1.0/publish/plantbus", "there is no publish"),
        ("GET", "/v1.0/publish/plantbus/a", "there is no GET /v1.0/publish/plantbus/a"),
        ("DELETE", "/v1.0/metadata", "there is no DELETE /v1.0/metadata"),
        ("POST", "/v1.0", "pub/sub only"),
    ] {
        let (status, answer) = rig.says(method, target, &[], b"");
        assert_eq!((status, &answer["errorCode"]), (404, &"ERR_DIRECT_INVOKE".into()), "{target}");
        assert!(answer["message"].as_str().unwrap().ends_with(words), "{target}: {answer}");
        assert_eq!(answer.get("details"), None);
    }
    for path in ["/", "/ready", "/status", "/x"] {
        let request = Request { method: "GET", path, query: "", headers: &[], body: b"" };
        assert_eq!(rig.api.answer(&request), None, "{path} is for others");
        assert_eq!(Elsewhere.answer(&request).unwrap().status, 404);
    }
    let refused = rig.api.refused(413, "too large").unwrap();
    assert!(String::from_utf8(refused.body).unwrap().contains(PUBLISH_MESSAGE));
}

#[test]
fn metadata_says_what_there_is() {
    let app = App {
        host: "127.0.0.1".to_owned(),
        port: 6_001,
        tls: false,
        token: Some(config::Secret::new("opensesame")),
        in_flight_max: 24,
        is_asked_config: true,
        is_asked_subscriptions: true,
        health: None,
    };
    let settings = Dapr { app: Some(app), ..settings() };
    let rig = Rig::with(settings, &config::Http::for_dapr(), Room::Enough);
    rig.api.sidecar.standing.show(vec![Subscription {
        pubsub: "plantbus".to_owned(),
        topic: "orders".to_owned(),
        rules: vec![Route { matches: Some("true".to_owned()), path: "/rush".to_owned() }],
        default: Some("/orders".to_owned()),
        dead_letter_topic: None,
        raw: Raw::No,
        bulk: None,
        metadata: BTreeMap::from([("rawPayload".to_owned(), "false".to_owned())]),
        is_declared: true,
    }]);
    for (key, status) in [("cli%20PID", 204), (&"k".repeat(NOTE_BYTES_MAX + 1), 400)] {
        let target = format!("/v1.0/metadata/{key}");
        assert_eq!(rig.ask("PUT", &target, &[], b"7").status, status);
    }
    let (status, found) = rig.says("GET", "/v1.0/metadata", &[], b"");
    assert_eq!(status, 200);
    for (pointer, wanted) in [
        ("/id", r#""press7""#),
        ("/enabledFeatures", "[]"),
        ("/actors", "[]"),
        (
            "/components/0",
            r#"{"capabilities":["SUBSCRIBE_WILDCARDS"],"name":"plantbus","type":"pubsub.mqtt","version":"v1"}"#,
        ),
        (
            "/components/2",
            r#"{"capabilities":[],"name":"vault","type":"secretstores.local.file","version":"v1"}"#,
        ),
        ("/extended", r#"{"cli PID":"7"}"#),
        (
            "/subscriptions",
            r#"[{"deadLetterTopic":"","metadata":{"rawPayload":"false"},"pubsubname":"plantbus","rules":[{"match":"true","path":"/rush"},{"match":"","path":"/orders"}],"topic":"orders","type":"DECLARATIVE"}]"#,
        ),
        (
            "/appConnectionProperties",
            r#"{"channelAddress":"127.0.0.1","maxConcurrency":24,"port":6001,"protocol":"http"}"#,
        ),
        ("/actorRuntime/runtimeStatus", r#""DISABLED""#),
    ] {
        let value = found.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {found}"));
        assert_eq!(value.to_string(), wanted, "{pointer}");
    }
    assert!(found["runtimeVersion"].as_str().unwrap().starts_with("ilagent/"));
    assert!(!found.to_string().contains("opensesame"));
    let sidecar = &rig.api.sidecar;
    let rows = sidecar.components_shown().rows;
    assert_eq!(rows[0], ["plantbus", "pubsub.mqtt", "it is stored here"]);
    let rows = sidecar.subscriptions_shown().rows;
    assert_eq!(rows, [["orders", "plantbus", "/rush, /orders", "a file"]]);
    for number in 0..NOTES_MAX {
        let status = rig.ask("PUT", &format!("/v1.0/metadata/{number}"), &[], b"x").status;
        assert_eq!(status, if number < NOTES_MAX - 1 { 204 } else { 400 }, "{number}");
    }
    assert_eq!(rig.ask("PUT", "/v1.0/metadata/0", &[], b"y").status, 204, "it is replaced");
}

#[test]
fn who_does_not_show_the_token_may_only_ask_for_the_health() {
    let token = Some(config::Secret::new("opensesame"));
    let listener = config::Http { token, ..config::Http::for_dapr() };
    let rig = Rig::with(settings(), &listener, Room::Enough);
    rig.api.sidecar.standing.ready(true);
    let (right, wrong) = (("Dapr-Api-Token", "opensesame"), ("dapr-api-token", "opensesam"));
    for (method, target, status) in [
        ("GET", "/v1.0/healthz", 204),
        ("GET", "/v1.0/healthz/outbound", 204),
        ("POST", "/v1.0/healthz", 401),
        ("GET", "/v1.0/metadata", 401),
        ("POST", "/v1.0/publish/plantbus/a", 401),
        ("GET", "/v1.0/elsewhere", 401),
        ("GET", "/status", 401),
    ] {
        for headers in [&[][..], &[wrong]] {
            assert_eq!(rig.ask(method, target, headers, b"").status, status, "{target}");
        }
    }
    let refused = rig.ask("GET", "/v1.0/metadata", &[wrong], b"");
    assert_eq!(
        (refused.content_type, refused.body.as_slice()),
        ("text/plain", &b"invalid api token"[..])
    );
    assert_eq!(rig.ask("POST", "/v1.0/publish/plantbus/a", &[right], b"").status, 204);
    let page = ("Origin", "http://evil.example");
    assert_eq!(rig.ask("POST", "/v1.0/publish/plantbus/a", &[right, page], b"").status, 204);
    assert_eq!(Rig::new().ask("POST", "/v1.0/publish/plantbus/a", &[page], b"").status, 403);
    assert_eq!(Rig::new().ask("GET", "/v1.0/metadata", &[page], b"").status, 200);
}

#[test]
fn only_who_is_near_or_trusted_may_end_it() {
    let token = || Some(config::Secret::new("opensesame"));
    let anywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let shown = &[("dapr-api-token", "opensesame")][..];
    for (bind, token, headers, status) in [
        (config::Http::for_dapr().bind, None, &[][..], 204),
        (anywhere, None, &[], 403),
        (anywhere, token(), &[], 401),
        (anywhere, token(), shown, 204),
    ] {
        let listener = config::Http { bind, token, ..config::Http::for_dapr() };
        let rig = Rig::with(settings(), &listener, Room::Enough);
        let before = ENDS.load(Ordering::Relaxed);
        assert_eq!(rig.ask("POST", "/v1.0/shutdown", headers, b"").status, status);
        assert_eq!(ENDS.load(Ordering::Relaxed) - before, usize::from(status == 204));
    }
}
