//! What it costs to map a message to an event: `cargo bench --bench mapping`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a program of its own")]

use ilagent::config::{EventRule, EventTypeMap, JsonPath};
use ilagent::mapping::Mapped;
use ilagent::mapping::event::from_message;
use ilagent::message::{Message, Origin};
use std::hint::black_box;
use std::time::Instant;

const TIMES: u32 = 200_000;

fn main() {
    let path = |text: &str| Some(JsonPath(text.to_owned()));
    let mapped = EventRule {
        event_type: EventTypeMap {
            path: path("state"),
            alert: Some("on".to_owned()),
            resolve: Some("off".to_owned()),
            accept: None,
        },
        alert_key: path("device.id"),
        summary: path("text"),
        forward_payload: true,
        ..EventRule::default()
    };
    let native =
        r#"{"integrationKey":"il1api1","eventType":"ALERT","summary":"hot","alertKey":"a"}"#;
    let foreign = r#"{"integrationKey":"il1api1","state":"on","device":{"id":17},"text":"hot"}"#;
    // A parse alone is the floor; the ratio does not depend on the machine.
    let floor = measure(|| {
        black_box(serde_json::from_str::<serde_json::Value>(black_box(native)).unwrap());
    });
    println!("{:<28} {floor:>7} ns", "parse alone");
    for (name, rule, payload) in [
        ("native fields", EventRule::default(), native),
        ("mapped, payload forwarded", mapped, foreign),
    ] {
        let message = Message {
            topic: "plant/1".to_owned(),
            payload: payload.into(),
            origin: Origin::Mqtt,
            qos: ilagent::message::Qos::AtLeastOnce,
            retain: false,
            retained: false,
        };
        let cost = measure(|| {
            let made = from_message(black_box(&rule), black_box(&message));
            assert!(matches!(made, Mapped::Deliver(_)));
        });
        println!(
            "{name:<28} {cost:>7} ns   {:.1} times the parse",
            f64::from(cost) / f64::from(floor)
        );
    }
}

fn measure(mut once: impl FnMut()) -> u32 {
    for _ in 0..TIMES / 10 {
        once();
    }
    let began = Instant::now();
    for _ in 0..TIMES {
        once();
    }
    u32::try_from(began.elapsed().as_nanos() / u128::from(TIMES)).unwrap_or(u32::MAX)
}
