//! Routes between brokers, to applications and from scripts: real mosquittos on both sides, the
//! agent as a process, a stand-in for ilert and for applications.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use serde_json::Value;
use support::agent::Agent;
use support::broker::Broker;
use support::publisher::Publisher;
use support::routes::{HEAD, broker, subscription, webhook};
use support::stand_in::{Answer, StandIn};
use support::subscriber::{Received, Subscriber};
use support::{event, wait_until};

const UP: &str = "kind = \"publish\"\nto = \"cloud\"\nadd-prefix = \"site7/\"\n";
const DOWN: &str = "kind = \"publish\"\nto = \"plant\"\ncut-prefix = \"site7/\"\n";

fn shown(received: &[Received]) -> Vec<(&str, String, u8)> {
    received.iter().map(|it| (it.topic.as_str(), it.text(), it.qos)).collect()
}

fn numbers(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| event("il1api1", &number.to_string()))
}

#[test]
fn a_bridge_carries_everything_there_and_back_and_nothing_goes_round() {
    for (buffer, version) in [("true", 3), ("true", 5), ("false", 3), ("false", 5)] {
        let (api, plant, cloud) = (StandIn::new(), Broker::new(), Broker::new());
        let lines = format!("buffer = {buffer}\nversion = {version}\n");
        let text = [
            HEAD.to_owned(),
            broker("plant", &plant, &lines),
            subscription(
                "factory/#",
                &format!("qos = {}\n{UP}", if buffer == "true" { 2 } else { 1 }),
            ),
            broker("cloud", &cloud, &lines),
            subscription("site7/commands/#", DOWN),
        ]
        .concat();
        let _agent = Agent::by_file_alone(&api, &text).ready();
        let at_cloud = Subscriber::new(cloud.port(), "#");
        let at_plant = Subscriber::new(plant.port(), "#");
        let mut publisher = Publisher::new(plant.port());
        publisher.publish_qos2("factory/press/1", "two");
        publisher.publish("factory", "one");
        publisher.publish("other", "stays");
        publisher.publish("factory/last", "");
        Publisher::new(cloud.port()).publish("site7/commands/stop", "now");
        let up = at_cloud.wait_for(4);
        let most = if buffer == "true" { 2 } else { 1 };
        let mut up = shown(&up);
        up.retain(|(topic, ..)| *topic != "site7/commands/stop");
        assert_eq!(
            up,
            [
                ("site7/factory/press/1", "two".to_owned(), most),
                ("site7/factory", "one".to_owned(), 1),
                ("site7/factory/last", String::new(), 1),
            ]
        );
        at_plant.wait_for(5);
        // Whatever goes round would have come before what is published now.
        publisher.publish("factory/after", "");
        at_cloud.wait_for(5);
        at_plant.wait_for(6);
        assert_eq!((at_cloud.count(), at_plant.count()), (5, 6));
        assert!(shown(&at_plant.received()).contains(&("commands/stop", "now".to_owned(), 1)));
    }
}

#[test]
fn a_broker_that_is_down_holds_up_no_other_sink() {
    for buffer in [true, false] {
        down(buffer);
    }
}

/// More messages than mosquitto sends before it waits for acknowledgements.
fn down(buffer: bool) {
    const COUNT: usize = 400;
    let (api, plant, cloud) = (StandIn::new(), Broker::new(), Broker::new());
    let mut control = Broker::with("persistence true\n");
    let at_control = Subscriber::new(control.port(), "alarms/#");
    let text = [
        HEAD.to_owned(),
        broker("plant", &plant, &format!("buffer = {buffer}\n")),
        subscription("alarms/+", ""),
        subscription(
            "alarms/+line",
            "kind = \"publish\"\nto = [\"control\", \"cloud\"]\ntarget = \"alarms/{line}/{1}\"\n",
        ),
        broker("cloud", &cloud, ""),
        broker("control", &control, ""),
    ]
    .concat();
    let mut agent = Agent::by_file_alone(&api, &text).ready();
    let at_cloud = Subscriber::new(cloud.port(), "#");
    control.stop();
    Publisher::new(plant.port()).burst("alarms/3", numbers(COUNT));
    api.wait_for(COUNT);
    at_cloud.wait_for(COUNT);
    wait_until("the others have settled", || status(&agent)["queue"]["waiting"] == COUNT);
    plant.wait_for_acks("plant", COUNT);
    for sink in status(&agent)["sinks"].as_array().unwrap() {
        assert_eq!(sink["error"] != "", sink["name"] == "mqtt control", "{sink}");
    }
    agent.end("TERM");
    agent.start();
    control.start();
    let alarms = at_control.wait_for(COUNT);
    assert_eq!(at_control.texts(), numbers(COUNT).collect::<Vec<_>>());
    assert!(alarms.iter().all(|alarm| alarm.topic == "alarms/3/3" && alarm.qos == 1));
    assert_eq!(at_cloud.texts(), numbers(COUNT).collect::<Vec<_>>());
    assert_eq!(api.accepted().len(), COUNT);
    agent.wait_ready();
    wait_until("nothing waits", || agent.list().is_empty());
}

fn status(agent: &Agent) -> Value {
    serde_json::from_str(&agent.get("/status").unwrap().1).unwrap()
}

#[test]
fn a_broker_and_an_application_get_the_same_message_once() {
    const COUNT: usize = 200;
    for buffer in [true, false] {
        let (application, plant, cloud) = (StandIn::new(), Broker::new(), Broker::new());
        let text = [
            HEAD.to_owned(),
            broker("plant", &plant, &format!("buffer = {buffer}\n")),
            subscription("orders/#", "kind = \"publish\"\nto = \"cloud\"\n"),
            subscription(
                "orders/+",
                "kind = \"call\"\nto = \"shop\"\npath = \"/{1}\"\norder-by = \"integrationKey\"\n",
            ),
            broker("cloud", &cloud, ""),
            webhook("shop", &format!("{}/orders", application.url())),
        ]
        .concat();
        let agent = Agent::by_file_alone(&StandIn::new(), &text).ready();
        let at_cloud = Subscriber::new(cloud.port(), "#");
        Publisher::new(plant.port()).burst("orders/7", numbers(COUNT));
        application.wait_for(COUNT);
        at_cloud.wait_for(COUNT);
        wait_until("nothing waits", || agent.list().is_empty());
        assert_eq!(at_cloud.texts(), numbers(COUNT).collect::<Vec<_>>());
        let bodies: Vec<String> = application
            .requests()
            .iter()
            .map(|request| String::from_utf8(request.body.clone()).unwrap())
            .collect();
        assert_eq!(bodies, numbers(COUNT).collect::<Vec<_>>(), "in order, none twice");
        assert!(application.requests().iter().all(|request| request.path == "/orders/7"));
    }
}

#[test]
fn an_application_that_is_down_gets_its_cloud_events_later() {
    let (application, plant) = (StandIn::new(), Broker::new());
    application.answer_all(Answer::Full(503, vec![], String::new()));
    let text = [
        HEAD.to_owned(),
        broker("plant", &plant, "buffer = true\n"),
        subscription("orders/#", "kind = \"call\"\nto = \"shop\"\nformat = \"cloudevent\"\n"),
        webhook("shop", &application.url()),
    ]
    .concat();
    let mut agent = Agent::by_file_alone(&StandIn::new(), &text).ready();
    Publisher::new(plant.port()).publish("orders/7", r#"{"n":1}"#);
    wait_until("it is tried", || application.count() > 0);
    plant.wait_for_acks("plant", 1);
    agent.kill();
    application.answer_all(Answer::Full(204, vec![], String::new()));
    agent.start();
    wait_until("it is taken", || {
        application.requests().iter().any(|request| request.status == 204)
    });
    wait_until("nothing waits", || agent.list().is_empty());
    let requests = application.requests();
    let events: Vec<Value> = requests.iter().map(|request| request.json()).collect();
    assert_eq!(events[0]["specversion"], "1.0");
    assert_eq!(events[0]["data"], serde_json::json!({"n": 1}));
    assert!(events.iter().all(|event| event["id"] == events[0]["id"]), "one event, one id");
}

#[test]
fn filters_that_overlap_bring_each_message_once_to_each_rule() {
    for version in [3, 5] {
        let (api, plant, cloud) = (StandIn::new(), Broker::new(), Broker::new());
        let text = [
            HEAD.to_owned(),
            broker("plant", &plant, &format!("version = {version}\n")),
            subscription(
                "factory/#",
                "kind = \"publish\"\nto = \"cloud\"\ntarget = \"all/{topic}\"\n",
            ),
            subscription(
                "factory/machine1/temperature",
                "kind = \"publish\"\nto = \"cloud\"\ntarget = \"one\"\n",
            ),
            broker("cloud", &cloud, ""),
        ]
        .concat();
        let _agent = Agent::by_file_alone(&api, &text).ready();
        let at_cloud = Subscriber::new(cloud.port(), "#");
        let mut publisher = Publisher::new(plant.port());
        for number in 0..10 {
            publisher.publish("factory/machine1/temperature", number.to_string());
        }
        publisher.publish("factory/machine2", "last");
        let seen = at_cloud.wait_for(21);
        let count = |topic: &str| seen.iter().filter(|it| it.topic == topic).count();
        assert_eq!(count("one"), 10, "version {version}");
        assert_eq!(count("all/factory/machine1/temperature"), 10, "version {version}");
        assert_eq!(seen.last().unwrap().topic, "all/factory/machine2");
        assert_eq!(at_cloud.count(), 21, "version {version}");
    }
}

#[test]
fn what_a_script_posts_is_safe_before_the_answer() {
    let (application, mut cloud) = (StandIn::new(), Broker::with("persistence true\n"));
    let at_cloud = Subscriber::new(cloud.port(), "#");
    let text = [
        HEAD.to_owned(),
        broker("cloud", &cloud, ""),
        webhook("shop", &format!("{}/orders", application.url())),
    ]
    .concat();
    let mut agent = Agent::by_file_alone(&StandIn::new(), &text).ready();
    let post = |agent: &Agent, path: &str, body: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        agent.http(&request).unwrap()
    };
    cloud.stop();
    let answer = post(&agent, "/api/publish/cloud/site7/door%201?qos=2&retain=true", "open");
    assert_eq!(answer.0, 202, "{answer:?}");
    assert_eq!(post(&agent, "/api/call/shop/7", "one pump").0, 202);
    assert_eq!(post(&agent, "/api/publish/nobody/topic", "").0, 404);
    assert_eq!(post(&agent, "/api/publish/cloud/a/%23", "").0, 400, "no wildcard");
    wait_until("the call is made", || application.count() == 1);
    assert_eq!(application.requests()[0].path, "/orders/7");
    assert_eq!(application.requests()[0].body, b"one pump");
    agent.kill();
    agent.start();
    cloud.start();
    // It gets a retained copy as well when it subscribes after the agent has published.
    wait_until("it arrives", || at_cloud.received().iter().any(|message| !message.retain));
    let mut received = at_cloud.received();
    received.retain(|message| !message.retain);
    assert_eq!(shown(&received), [("site7/door 1", "open".to_owned(), 2)]);
    let late = Subscriber::new(cloud.port(), "site7/#");
    assert!(late.wait_for(1)[0].retain);
}

#[test]
fn a_status_topic_says_whether_the_agent_is_there() {
    let (api, cloud) = (StandIn::new(), Broker::new());
    let lines = "status-topic = \"site7/agent\"\n";
    let text =
        [HEAD.to_owned(), broker("cloud", &cloud, lines), subscription("events/#", "")].concat();
    let mut agent = Agent::by_file_alone(&api, &text).ready();
    let wait_for = |words: &str| {
        wait_until(words, || {
            let status = Subscriber::new(cloud.port(), "site7/agent");
            let seen = status.wait_for(1).pop().unwrap();
            seen.retain && seen.text() == words
        });
    };
    wait_for("online");
    agent.kill();
    wait_for("offline");
    agent.start();
    wait_for("online");
    agent.end("TERM");
    wait_for("offline");
}

/// MQTT 3.1.1 does not say of a live message that it was retained, so there the route says it.
#[test]
fn a_retained_state_is_followed() {
    for (version, retain) in [(3, "retain = true\n"), (5, "retain = true\n"), (5, "")] {
        let (api, plant, cloud) = (StandIn::new(), Broker::new(), Broker::new());
        let text = [
            HEAD.to_owned(),
            broker("plant", &plant, &format!("version = {version}\n")),
            subscription("state/#", &format!("{UP}{retain}")),
            broker("cloud", &cloud, ""),
        ]
        .concat();
        let mut publisher = Publisher::new(plant.port());
        publisher.retain("state/door", "open");
        let mut agent = Agent::by_file_alone(&api, &text).ready();
        let at_cloud = Subscriber::new(cloud.port(), "site7/#");
        at_cloud.wait_for(1);
        // It says the same again, and yet it is no copy.
        publisher.retain("state/door", "open");
        publisher.retain("state/door", "shut");
        at_cloud.wait_for(3);
        let late = Subscriber::new(cloud.port(), "site7/#").wait_for(1);
        assert_eq!((late[0].text(), late[0].retain), ("shut".to_owned(), true), "{version}");
        agent.end("TERM");
        agent.start();
        agent.wait_ready();
        publisher.retain("state/door", "");
        publisher.retain("state/window", "open");
        let texts: Vec<_> = at_cloud.wait_for(5).iter().map(Received::text).collect();
        assert_eq!(texts, ["open", "open", "shut", "", "open"], "{version}: no copy is repeated");
        let late = Subscriber::new(cloud.port(), "site7/#").wait_for(1);
        assert_eq!((&*late[0].topic, late[0].retain), ("site7/state/window", true));
    }
}

/// What is passed on as received: what changes is retained, what only happens is not.
#[test]
fn with_mqtt_5_retain_is_as_received() {
    let (api, plant, cloud) = (StandIn::new(), Broker::new(), Broker::new());
    let text = [
        HEAD.to_owned(),
        broker("plant", &plant, "version = 5\n"),
        subscription("#", UP),
        broker("cloud", &cloud, ""),
    ]
    .concat();
    let _agent = Agent::by_file_alone(&api, &text).ready();
    let at_cloud = Subscriber::new(cloud.port(), "site7/#");
    let mut publisher = Publisher::new(plant.port());
    publisher.retain("state", "on");
    publisher.publish("event", "rings");
    at_cloud.wait_for(2);
    let late = Subscriber::new(cloud.port(), "site7/#");
    publisher.publish("event", "rings again");
    assert_eq!(
        shown(&late.wait_for(2)),
        [("site7/state", "on".to_owned(), 1), ("site7/event", "rings again".to_owned(), 1),]
    );
}
