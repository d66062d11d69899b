//! What an application subscribes to through a Dapr sidecar: declared in a folder or asked for, at a
//! real mosquitto, with a stand-in for the application.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]
#![cfg(feature = "dapr")]

mod support;

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use support::broker::Broker;
use support::dapr::{Sidecar, component};
use support::publisher::Publisher;
use support::stand_in::{Answer, Request, StandIn};
use support::{until, wait_until};

/// Flags of a PUBLISH of QoS 1.
const QOS_1: u8 = 2;

/// The client id under which subscriptions are kept.
const SUBSCRIBER: &str = "press7-consumer";

/// A subscription in the folder. The second rule's left side outweighs an error of its right one.
const DECLARED: &str = r#"apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {name: orders}
spec:
  pubsubname: plantbus
  topic: orders
  routes:
    rules:
    - {match: 'has(event.data.rush) && event.data.rush == true', path: /rush}
    - {match: 'event.type.startsWith("com.plant.") || event.data.total >= 1000', path: big}
    default: /orders
  deadLetterTopic: orders/dead
"#;

/// An application that takes everything, and subscribes to what its list says.
struct App {
    stand_in: StandIn,
    list: Arc<Mutex<String>>,
}

impl App {
    fn new(list: &str) -> Self {
        let stand_in = StandIn::new();
        let list = Arc::new(Mutex::new(list.to_owned()));
        let present = Arc::clone(&list);
        stand_in.answer(move |request| match (&*request.method, &*request.path) {
            ("GET", "/dapr/subscribe") => Answer::json(200, &present.lock().unwrap()),
            ("GET", _) => Answer::Status(404),
            _ => Answer::Full(200, Vec::new(), String::new()),
        });
        App { stand_in, list }
    }

    fn subscribes_to(&self, list: &str) {
        list.clone_into(&mut self.list.lock().unwrap());
    }

    fn port(&self) -> String {
        self.stand_in.url().rsplit_once(':').unwrap().1.to_owned()
    }

    /// Events by path and topic, in the order of their arrival.
    fn events(&self) -> Vec<(String, String)> {
        let of = |request: &Request| {
            (request.path.clone(), request.header("mqtt-topic").unwrap_or_default().to_owned())
        };
        let requests = self.stand_in.requests();
        requests.iter().filter(|request| request.method == "POST").map(of).collect()
    }

    /// So many events, sorted.
    #[track_caller]
    fn wait_for(&self, count: usize) -> Vec<(String, String)> {
        let what = format!("{count} events come");
        let mut events = until(&what, || Some(self.events()).filter(|all| all.len() >= count));
        events.sort();
        events
    }

    fn post(&self, path: &str) -> Request {
        let requests = self.stand_in.requests();
        requests.into_iter().find(|it| it.method == "POST" && it.path == path).unwrap()
    }
}

fn sidecar(app: &App, mosquitto: &Broker) -> Sidecar {
    let sidecar = Sidecar::new(&["--app-port", &app.port()]);
    sidecar.folder.write("res/plant.yaml", &component("plantbus", mosquitto.port(), ""));
    sidecar
}

#[track_caller]
fn wait_until_subscribed(sidecar: &Sidecar) {
    wait_until("it has subscribed", || sidecar.status("GET", "/ready") == Some(204));
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |&(path, topic): &(&str, &str)| (path.to_owned(), topic.to_owned());
    let mut pairs: Vec<_> = wanted.iter().map(pair).collect();
    pairs.sort();
    pairs
}

#[test]
fn what_is_declared_and_what_is_asked_for_comes_to_each_route_once() {
    let mosquitto = Broker::new();
    let app = App::new(
        r#"[{"pubsubname":"plantbus","topic":"press/+/done","route":"done"},
            {"pubsubname":"plantbus","topic":"press/#","route":"/all","metadata":{"rawPayload":"\"true\""}},
            {"pubsubname":"plantbus","topic":"press/7/done","routes":{"default":"/seven"}},
            {"pubsubname":"plantbus","topic":"$share/team/shared/+","route":"/shared"},
            {"pubsubname":"plantbus","topic":"orders/dead","route":"/dead","metadata":{"rawPayload":true}}]"#,
    );
    let mut sidecar = sidecar(&app, &mosquitto);
    sidecar.folder.write("res/orders.yaml", DECLARED);
    sidecar.start();
    wait_until_subscribed(&sidecar);
    assert_eq!(sidecar.status("GET", "/v1.0/healthz"), Some(204));
    let (_, metadata) = sidecar.says("GET", "/v1.0/metadata", &[], b"");
    assert_eq!(metadata["subscriptions"].as_array().unwrap().len(), 6, "{metadata}");

    const DONE: &str = r#"{ "n": 18446744073709551616, "type":"x" }"#;
    mosquitto.publish(&[
        ("press/7/done", QOS_1, DONE),
        ("pressure/7/done", QOS_1, DONE),
        ("press/8/done", QOS_1, DONE),
        ("press", QOS_1, "21.5"),
        ("shared/1", QOS_1, "{}"),
        ("orders", QOS_1, r#"{"data":{"rush":true}}"#),
        ("orders", QOS_1, r#"{"type":"com.plant.x","data":{}}"#),
        ("orders", QOS_1, r#"{"type":"x","data":{"total":1}}"#),
        ("orders", QOS_1, r#"{"type":"x","data":{"total":"1"}}"#),
        ("orders", QOS_1, "[1]"),
    ]);
    let wanted = pairs(&[
        ("/done", "press/7/done"),
        ("/all", "press/7/done"),
        ("/seven", "press/7/done"),
        ("/done", "press/8/done"),
        ("/all", "press/8/done"),
        ("/all", "press"),
        ("/shared", "shared/1"),
        ("/rush", "orders"),
        ("/big", "orders"),
        ("/orders", "orders"),
        ("/dead", "orders/dead"),
        ("/dead", "orders/dead"),
    ]);
    assert_eq!(app.wait_for(wanted.len()), wanted);
    mosquitto.wait_until_acknowledged(SUBSCRIBER);
    assert_eq!(app.events().len(), wanted.len(), "none comes again");

    let done = app.post("/done");
    assert_eq!(done.body, DONE.as_bytes(), "as it came");
    assert_eq!(done.header("content-type"), Some("application/cloudevents+json"));
    assert_eq!(
        (done.header("pubsubname"), done.header("retained")),
        (Some("plantbus"), Some("false"))
    );
    let dead = app.post("/dead").json();
    assert_eq!((&dead["topic"], &dead["specversion"]), (&"orders/dead".into(), &"1.0".into()));
    assert!(sidecar.dead().is_empty());
    assert_eq!(mosquitto.logged("$share/team/shared/+ (QoS 1)"), 1, "{}", mosquitto.log());
}

#[test]
fn what_a_kept_session_holds_waits_for_the_application() {
    let mosquitto = Broker::new();
    let app = App::new(r#"[{"pubsubname":"plantbus","topic":"a/#","route":"/a"}]"#);
    let mut sidecar = sidecar(&app, &mosquitto);
    sidecar.start();
    wait_until_subscribed(&sidecar);
    sidecar.kill();
    app.stand_in.go_away();
    mosquitto.publish(&["a/1", "a/2", "a/3", "a/4", "a/5"].map(|topic| (topic, QOS_1, "{}")));

    sidecar.start();
    wait_until("it waits for the application", || sidecar.log().contains("waiting for it"));
    assert_eq!(sidecar.status("GET", "/v1.0/healthz"), Some(500));
    assert_eq!(mosquitto.connects(SUBSCRIBER), 1, "it has not connected again");
    app.stand_in.come_back();
    let wanted = pairs(&["a/1", "a/2", "a/3", "a/4", "a/5"].map(|topic| ("/a", topic)));
    assert_eq!(app.wait_for(5), wanted);
    mosquitto.wait_for_acks(SUBSCRIBER, 5);
    assert_eq!(app.events().len(), 5);
    assert_eq!(sidecar.status("GET", "/v1.0/healthz"), Some(204));
}

#[test]
fn an_application_that_comes_back_with_another_list_gets_what_that_says() {
    let mosquitto = Broker::new();
    let app = App::new(
        r#"[{"pubsubname":"plantbus","topic":"a","route":"/old"},
            {"pubsubname":"plantbus","topic":"gone","route":"/gone"}]"#,
    );
    let mut sidecar = sidecar(&app, &mosquitto);
    sidecar.start();
    wait_until_subscribed(&sidecar);
    app.stand_in.go_away();
    wait_until("it is missed", || sidecar.log().matches("waiting for it").count() > 0);
    mosquitto.publish(&[("a", QOS_1, "{}"), ("gone", QOS_1, "{}")]);

    app.subscribes_to(
        r#"[{"pubsubname":"plantbus","topic":"a","route":"/new"},
            {"pubsubname":"plantbus","topic":"b","routes":{"rules":[{"match":"event.n = 1","path":"/"}]}},
            {"pubsubname":"nobody","topic":"c","route":"/c"},
            {"pubsubname":"plantbus","topic":"d","route":"/d"}]"#,
    );
    app.stand_in.come_back();
    assert_eq!(app.wait_for(1), pairs(&[("/new", "a")]));
    // What is wrong stands for itself.
    mosquitto.wait_for_log("Received UNSUBSCRIBE", 1);
    wait_until("what is wrong is said", || sidecar.log().contains("`c` of nobody"));
    let log = sidecar.log();
    let fault = "subscription 2 (plantbus, `b`): rule 1: column 9: `=` is no operator; write `==`";
    assert!(log.contains(fault), "{log}");
    assert!(log.contains("the subscription to `c` of nobody: there is no such pub/sub component"));
    let (status, ready) = sidecar.says("GET", "/ready", &[], b"");
    assert_eq!(
        (status, &ready["component"], &ready["name"]),
        (503, &"app".into(), &"press7".into())
    );
    mosquitto.publish(&[("d", QOS_1, "{}")]);
    assert_eq!(app.wait_for(2), pairs(&[("/new", "a"), ("/d", "d")]));
}

#[test]
fn what_a_broker_does_not_keep_is_stored_while_the_application_is_away() {
    let mosquitto = Broker::new();
    let app = App::new(
        r#"[{"pubsubname":"once","topic":"a","route":"/a"},
            {"pubsubname":"clean","topic":"b","route":"/b"}]"#,
    );
    let mut sidecar = Sidecar::new(&["--app-port", &app.port()]);
    let port = mosquitto.port();
    let once =
        component("once", port, "  - {name: qos, value: 0}\n  - {name: consumerID, value: x}\n");
    let clean = component("clean", port, "  - {name: cleanSession, value: \"true\"}\n");
    sidecar.folder.write("res/once.yaml", &once);
    sidecar.folder.write("res/clean.yaml", &clean);
    sidecar.start();
    wait_until_subscribed(&sidecar);
    app.stand_in.go_away();
    wait_until("it is missed", || sidecar.log().contains("waiting for it"));
    mosquitto.publish(&[("a", QOS_1, "{}"), ("b", QOS_1, "{}")]);
    mosquitto.wait_until_acknowledged(SUBSCRIBER);
    wait_until("both are stored", || sidecar.waiting().len() == 2);
    sidecar.kill();
    app.stand_in.come_back();
    sidecar.start();
    assert_eq!(app.wait_for(2), pairs(&[("/a", "a"), ("/b", "b")]));
}

/// A broker lets few messages be under way (mosquitto 20), but a request may hold more.
#[test]
fn as_many_events_go_together_as_are_asked_for() {
    const EVENTS: usize = 60;
    let mosquitto = Broker::new();
    let list = json!([{
        "pubsubname": "plantbus", "topic": "many/+", "route": "/many",
        "bulkSubscribe": {"enabled": true, "maxMessagesCount": EVENTS, "maxAwaitDurationMs": 60_000},
    }]);
    let app = App::new(&list.to_string());
    app.stand_in.answer(move |request| match (&*request.method, &*request.path) {
        ("GET", "/dapr/subscribe") => Answer::json(200, &list.to_string()),
        ("GET", _) => Answer::Status(404),
        _ => {
            let entries = request.json()["entries"].as_array().cloned().unwrap_or_default();
            let taken =
                entries.iter().map(|it| json!({"entryId": it["entryId"], "status": "SUCCESS"}));
            let answer = json!({"statuses": taken.collect::<Vec<_>>()});
            Answer::json(200, &answer.to_string())
        }
    });
    let mut sidecar = sidecar(&app, &mosquitto);
    sidecar.start();
    wait_until_subscribed(&sidecar);
    let mut publisher = Publisher::new(mosquitto.port());
    publisher.burst("many/1", (0..EVENTS).map(|number| format!("{{\"n\":{number}}}")));
    app.wait_for(1);
    let document = app.post("/many").json();
    assert_eq!(
        (&document["topic"], &document["pubsubname"]),
        (&json!("many/+"), &json!("plantbus"))
    );
    let entries = document["entries"].as_array().unwrap();
    let numbers: Vec<&Value> = entries.iter().map(|entry| &entry["event"]["n"]).collect();
    assert_eq!(
        numbers,
        (0..EVENTS).map(Value::from).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    assert_eq!(entries[0]["contentType"], "application/cloudevents+json");
    assert_eq!(entries[0]["metadata"]["Mqtt-Topic"], "many/1");
    wait_until("nothing waits", || sidecar.waiting().is_empty());
}
