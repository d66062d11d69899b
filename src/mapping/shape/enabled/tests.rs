//! Each step with what goes in and what comes out, in a time of our own.

use super::*;
use crate::config::{Burst, Change, Reading, Step};
use crate::message::{Desk, Errand, Origin};
use crate::topic::{Pattern, TopicTemplate};
use std::sync::Mutex;
use std::time::Duration;

#[derive(Default)]
struct Signed(Mutex<Vec<u64>>);

impl Desk for Signed {
    fn signed(&self, ticket: u64) {
        self.0.lock().unwrap().push(ticket);
    }
    fn room(&self) {}
}

/// A mapping with some subscriptions.
struct Rig {
    rules: Vec<Rule>,
    shapes: Shapes,
    desk: Arc<Signed>,
    begin: Instant,
    passed: Duration,
    ticket: u64,
}

impl Rig {
    fn new(steps: Vec<Step>) -> Self {
        Rig::of(&[("in/+id/#", None)], "out/{1}", steps)
    }

    fn of(from: &[(&str, Option<&str>)], to: &str, steps: Vec<Step>) -> Self {
        let steps: Arc<[Step]> = steps.into();
        let rule = |(filter, label): &(&str, Option<&str>)| {
            let pattern = Pattern::parse(filter).unwrap();
            let names = pattern.names.iter().enumerate().filter(|(_, name)| !name.is_empty());
            let shape = Shape {
                name: "s-m[0]".to_owned(),
                steps: Arc::clone(&steps),
                label: label.map(|label| TopicTemplate::strict(label, &pattern).unwrap()),
                captures: names.map(|(number, name)| (name.clone(), number)).collect(),
            };
            let to = PublishRule {
                to: "local".to_owned(),
                topic: TopicTemplate::strict(to, &pattern).unwrap(),
                qos: Some(Qos::AtLeastOnce),
                retain: Some(false),
                shape: Some(Box::new(shape)),
            };
            let to = Target::Publish(Box::new(to));
            Rule { filter: pattern.filter, qos: Qos::AtLeastOnce, to }
        };
        let rules: Vec<Rule> = from.iter().map(rule).collect();
        let shapes = Shapes::new(rules.iter());
        let (desk, begin) = (Arc::default(), Instant::now());
        Rig { rules, shapes, desk, begin, passed: Duration::ZERO, ticket: 0 }
    }

    fn now(&self) -> Now {
        Now { instant: self.begin + self.passed, millis: 1_700_000_000_000 }
    }

    fn feed(&mut self, topic: &str, payload: &[u8]) -> String {
        let message = Message {
            topic: topic.to_owned(),
            payload: payload.to_vec(),
            origin: Origin::Mqtt,
            qos: Qos::AtMostOnce,
            retain: true,
            retained: false,
        };
        let rules = self.rules.iter();
        let mut matching = rules.filter(|rule| crate::topic::matches(&rule.filter, topic));
        let rule = matching.next().expect("a rule matches");
        let Target::Publish(to) = &rule.to else { panic!("{rule:?}") };
        self.ticket += 1;
        let receipt = Receipt::new(Arc::clone(&self.desk) as Arc<dyn Desk>, self.ticket, 1);
        let now = Now { instant: self.begin + self.passed, millis: 1_700_000_000_000 };
        let done = self.shapes.feed(to, &rule.filter, &message, receipt, now);
        self.shown(done)
    }

    fn shown(&self, done: Vec<Done>) -> String {
        if done.is_empty() {
            return "held".to_owned();
        }
        let one = |done: Done| {
            done.receipts.into_iter().for_each(Receipt::sign);
            match done.made {
                Made::Stopped => "stopped".to_owned(),
                Made::Remember(record) if record.value.is_none() => "forgotten".to_owned(),
                Made::Remember(record) => format!("remembered {}", record.value.unwrap()),
                Made::Store(delivery) => {
                    format!("stored {}", String::from_utf8_lossy(&delivery.body))
                }
                Made::Dead { reason, .. } => format!("dead: {reason}"),
                Made::Deliver(delivery) => {
                    let Errand::Publish { topic, qos, retain } = &delivery.errand else {
                        panic!("{delivery:?}")
                    };
                    assert_eq!((*qos, *retain), (Qos::AtLeastOnce, false));
                    format!("{topic} {}", String::from_utf8_lossy(&delivery.body))
                }
            }
        };
        done.into_iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn signed(&self) -> Vec<u64> {
        std::mem::take(&mut *self.desk.0.lock().unwrap())
    }
}

#[track_caller]
fn check(steps: Vec<Step>, table: &[(&str, &str, &str)]) {
    let mut rig = Rig::new(steps);
    for (index, (topic, payload, wanted)) in table.iter().enumerate() {
        let found = rig.feed(topic, payload.as_bytes());
        assert_eq!(found, *wanted, "row {}: {topic} {payload}", index + 1);
    }
}

fn transform(text: &str) -> Step {
    Step::Transform(text.to_owned())
}

fn filter(text: &str) -> Step {
    Step::Filter(text.to_owned())
}

fn change(key: &str, deadband: Option<f64>, is_relative: bool) -> Step {
    Step::Change(Change { key: key.to_owned(), deadband, is_relative })
}

fn vars(name: &str, text: &str) -> Step {
    Step::SetVars(vec![(name.to_owned(), text.to_owned())])
}

fn burst(size: Option<usize>, interval: Option<u64>) -> Step {
    Step::Burst(Burst { size, interval: interval.map(Duration::from_millis) })
}

#[test]
fn bytes_are_read_in_every_format() {
    for (format, bytes, wanted) in [
        ("json", &b" {\"a\" : 1}\0"[..], "out/x  {\"a\" : 1}\0"),
        ("json", b"hello", "dead: payload is not JSON: no value at byte 1"),
        ("utf8", "ü;1".as_bytes(), "out/x ü;1"),
        ("utf8", b"a\xff", "dead: payload is not UTF-8: byte 2"),
        ("latin1", b"\xfc", "out/x ü"),
        ("ascii", b"abc", "out/x abc"),
        ("ascii", b"ab\x80", "dead: payload is not ASCII: byte 3"),
        ("toBase64", b"hello", "out/x aGVsbG8="),
        ("fromBase64", b"aGVs\r\nbG8", "out/x hello"),
        ("fromBase64", b"a", "dead: payload is not base64: Invalid input length: 1"),
        ("boolean", b"\x02", "out/x true"),
        ("boolean", b"\0\x01", "out/x false"),
        ("boolean", b"", "dead: payload has 0 bytes, and boolean needs 1"),
        ("int8", b"\xfe", "out/x -2"),
        ("uint8", b"\xfe", "out/x 254"),
        ("int16BE", b"\xff\x38", "out/x -200"),
        ("int16LE", b"\x38\xff", "out/x -200"),
        ("uint16BE", b"\xff\x38", "out/x 65336"),
        ("uint16LE", b"\x01\x00\x07", "out/x 1"),
        ("int32BE", b"\xff\xff\xff\xfe", "out/x -2"),
        ("int32LE", b"\xfe\xff\xff\xff", "out/x -2"),
        ("uint32BE", b"\xff\xff\xff\xfe", "out/x 4294967294"),
        ("uint32LE", b"\x01\0\0\x80", "out/x 2147483649"),
        ("floatBE", b"\x41\xa8\0\0", "out/x 21"),
        ("floatLE", b"\0\0\xac\x41", "out/x 21.5"),
        ("doubleBE", b"\x40\x35\x80\0\0\0\0\0", "out/x 21.5"),
        ("doubleLE", b"\0\0\0\0\0\x80\x35\x40", "out/x 21.5"),
        ("doubleLE", b"\0\0", "dead: payload has 2 bytes, and doubleLE needs 8"),
        ("floatBE", b"\x7f\x80\0\0", "dead: payload is not a finite number"),
    ] {
        let mut rig = Rig::new(vec![Step::Parse(Reading::of(format).unwrap())]);
        assert_eq!(rig.feed("in/x", bytes), wanted, "{format} of {bytes:?}");
        assert_eq!(rig.signed(), [1]);
        let is_longer = rig.shapes.notes().len() == 1;
        assert_eq!(is_longer, matches!((format, bytes.len()), ("boolean", 2) | ("uint16LE", 3)));
    }
    let steps = ["utf8", "fromBase64", "json"].map(|name| Step::Parse(Reading::of(name).unwrap()));
    check(steps.to_vec(), &[("in/x", "eyJhIjoxfQ==", "out/x {\"a\":1}")]);
    let steps = vec![Step::Parse(Reading::Json), Step::Parse(Reading::Utf8)];
    check(steps, &[("in/x", "5", "dead: parse utf8 wants bytes or a text")]);
}

#[test]
fn transforms_and_filters_change_stop_or_fail_a_message() {
    check(
        vec![filter("v > 1"), transform("{\"v\": v * 2, \"t\": $context.topic}")],
        &[
            ("in/x", r#"{"v":2}"#, r#"out/x {"v":4,"t":"in/x"}"#),
            ("in/x", r#"{"v":1}"#, "stopped"),
            ("in/x", r#"{"w":1}"#, "stopped"),
            (
                "in/x",
                r#"{"v":"2"}"#,
                "dead: s-m[0], rule 1: a number and a text cannot be compared (T2009 at character 3)",
            ),
            ("in/x", "hello", "dead: payload is not JSON; begin with parse (no value at byte 1)"),
            (
                "in/x",
                "",
                "dead: payload is not JSON; begin with parse (a value is missing at byte 1)",
            ),
        ],
    );
    check(
        vec![transform("v / w")],
        &[
            (
                "in/x",
                r#"{"v":1,"w":0}"#,
                "dead: s-m[0], rule 1: the result has a number that is not finite (D1001)",
            ),
            ("in/x", r#"{"v":1,"w":2}"#, "out/x 0.5"),
            ("in/x", r#"{"v":1}"#, "stopped"),
        ],
    );
    check(vec![transform("\"a text\"")], &[("in/x", "1", "out/x a text")]);
    check(
        vec![transform("$sum")],
        &[("in/x", "1", "dead: s-m[0], rule 1: the result is a function")],
    );
    // Nothing has changed, so not a byte does.
    check(
        vec![filter("true")],
        &[(
            "in/x",
            "{\"big\" : 9007199254740993, \"f\":1.50}",
            "out/x {\"big\" : 9007199254740993, \"f\":1.50}",
        )],
    );
}

#[test]
fn a_result_that_is_no_number_fails_its_own_message_alone() {
    let infinite = "dead: s-m[0], rule 1: the result has a number that is not finite (D1001)";
    check(
        vec![transform("1 / $"), burst(Some(2), None)],
        &[("in/x", "4", "held"), ("in/x", "0", infinite), ("in/x", "2", "out/x [0.25,0.5]")],
    );
}

#[test]
fn variables_are_for_later_steps_and_for_topics() {
    let steps = vec![
        vars("area", "c >= 30 ? \"hot/1\" : c < 0 ? {} : \"cold\""),
        vars("id", "$context.vars.id & \"!\""),
        transform("$context.vars.area & $context.vars.id & $context.vars.rest"),
    ];
    let mut rig = Rig::of(&[("in/+id/#rest", None)], "s/{$area}/{$id}", steps);
    for (topic, payload, wanted) in [
        ("in/m1/a/b", r#"{"c":31}"#, "s/hot/1/m1! hot/1m1!a/b"),
        ("in/m2", r#"{"c":1}"#, "s/cold/m2! coldm2!"),
        ("in/m2", r#"{"c":-1}"#, "dead: a publication that cannot be made: `area` has no value"),
        (
            "in/+",
            r#"{"c":1}"#,
            "dead: a publication that cannot be made: a topic may not contain the wildcard `+`",
        ),
    ] {
        assert_eq!(rig.feed(topic, payload.as_bytes()), wanted, "{topic} {payload}");
    }
}

#[test]
fn a_change_is_measured_from_the_last_that_passed() {
    check(
        vec![change("c", Some(0.5), false)],
        &[
            ("in/m1", r#"{"c":21.04}"#, "out/m1 {\"c\":21.04}"),
            ("in/m1", r#"{"c":21.5}"#, "stopped"),
            ("in/m2", r#"{"c":21.5}"#, "out/m2 {\"c\":21.5}"),
            ("in/m1", r#"{"c":21.54}"#, "out/m1 {\"c\":21.54}"),
            ("in/m1", r#"{"c":"x"}"#, "out/m1 {\"c\":\"x\"}"),
            ("in/m1", r#"{"c":"x","d":1}"#, "stopped"),
            ("in/m1", r#"{"d":1}"#, "out/m1 {\"d\":1}"),
            ("in/m1", r#"{"d":2}"#, "stopped"),
            ("in/m1", r#"{"c":null}"#, "out/m1 {\"c\":null}"),
        ],
    );
    check(
        vec![change("c", Some(10.0), true)],
        &[
            ("in/x", r#"{"c":100}"#, "out/x {\"c\":100}"),
            ("in/x", r#"{"c":109}"#, "stopped"),
            ("in/x", r#"{"c":110}"#, "out/x {\"c\":110}"),
            ("in/x", r#"{"c":0}"#, "out/x {\"c\":0}"),
            ("in/x", r#"{"c":0}"#, "stopped"),
            ("in/x", r#"{"c":0.001}"#, "out/x {\"c\":0.001}"),
        ],
    );
    check(
        vec![change("a.b", None, false)],
        &[
            ("in/x", r#"{"a":{"b":{"x":1,"y":[2]}}}"#, r#"out/x {"a":{"b":{"x":1,"y":[2]}}}"#),
            ("in/x", r#"{"a":{"b":{"y":[2],"x":1}}}"#, "stopped"),
            ("in/x", r#"{"a":{"b":{"y":[3],"x":1}}}"#, r#"out/x {"a":{"b":{"y":[3],"x":1}}}"#),
            ("in/x", r#"{"a":1}"#, r#"out/x {"a":1}"#),
        ],
    );
    // One group: each has its own reference.
    check(
        vec![change("t", Some(2.0), false), change("h", Some(1.0), false)],
        &[
            ("in/x", r#"{"t":65,"h":1}"#, r#"out/x {"t":65,"h":1}"#),
            ("in/x", r#"{"t":65.7,"h":2}"#, r#"out/x {"t":65.7,"h":2}"#),
            ("in/x", r#"{"t":66.9,"h":2}"#, "stopped"),
            ("in/x", r#"{"t":67.2,"h":2}"#, r#"out/x {"t":67.2,"h":2}"#),
        ],
    );
}

#[test]
fn a_change_forgets_the_oldest_of_too_many_topics() {
    let mut rig = Rig::new(vec![change("c", None, false)]);
    for number in 0..=10_000 {
        assert_ne!(rig.feed(&format!("in/{number}"), b"{\"c\":1}"), "stopped");
    }
    assert_eq!(rig.feed("in/10000", b"{\"c\":1}"), "stopped");
    assert_eq!(rig.feed("in/0", b"{\"c\":1}"), "out/0 {\"c\":1}");
}

#[test]
fn a_burst_is_let_go_when_it_is_full_or_old_enough() {
    let mut rig = Rig::new(vec![burst(Some(3), Some(2_000)), transform("{\"all\": $}")]);
    assert_eq!(rig.feed("in/x", b"1"), "held");
    assert_eq!(rig.feed("in/y", b"\"2\""), "held");
    assert!(rig.signed().is_empty(), "they are not safe yet");
    assert_eq!(rig.feed("in/z", b"3"), r#"out/z {"all":[1,"2",3]}"#);
    assert_eq!(rig.signed(), [1, 2, 3]);
    assert_eq!(rig.shapes.wake_at(), None);
    rig.passed = Duration::from_millis(500);
    assert_eq!(rig.feed("in/x", b"4"), "held");
    rig.passed = Duration::from_millis(2_400);
    let due = rig.begin + Duration::from_millis(2_500);
    assert_eq!(rig.shapes.wake_at(), Some(due));
    let now = rig.now();
    assert!(rig.shapes.wake(now).is_empty(), "too early");
    rig.passed = Duration::from_millis(2_500);
    let now = rig.now();
    let done = rig.shapes.wake(now);
    assert_eq!(rig.shown(done), r#"out/x {"all":4}"#.replace('4', "[4]"));
    assert_eq!(rig.signed(), [4]);
    assert_eq!(rig.feed("in/x", b"5"), "held");
    let done = rig.shapes.end(now);
    assert_eq!(rig.shown(done), r#"out/x {"all":[5]}"#);
    assert_eq!(rig.feed("in/x", b"6"), r#"out/x {"all":[6]}"#, "nothing waits after the end");

    check(vec![burst(None, None)], &[("in/x", "1", "out/x 1")]);
    check(vec![burst(Some(1), None)], &[("in/x", "1", "out/x [1]")]);
    let mut rig = Rig::new(vec![burst(None, Some(60_000)), transform("$count($)")]);
    for number in 1..10_000 {
        let found = rig.feed("in/x", b"1");
        assert_eq!(found.starts_with("remembered"), number % 10 == 0, "{number}: {found}");
    }
    let all = rig.feed("in/x", b"1");
    assert!(all.starts_with("stored 10000, forgotten"), "no more wait than there may: {all}");
}

#[test]
fn a_long_burst_is_stored_in_parts_so_that_its_source_goes_on() {
    let steps = || vec![burst(Some(25), None), vars("n", "$count($)"), transform("$sum($)")];
    let mut rig = Rig::of(&[("in/+id/#", None)], "out/{1}/{$n}", steps());
    let mut records = Vec::new();
    for number in 1..=24 {
        let topic = format!("in/{number}");
        let done = {
            let found = rig.feed(&topic, number.to_string().as_bytes());
            match found.strip_prefix("remembered ") {
                Some(text) => Some(text.to_owned()),
                None => {
                    assert_eq!(found, "held");
                    None
                }
            }
        };
        records.extend(done);
    }
    assert_eq!(rig.signed(), (1..=20).collect::<Vec<_>>(), "those that are stored");
    assert_eq!(records.len(), 2);
    assert_eq!(
        records[1],
        r#"{"topic":"in/20","label":"in/20","vars":{"id":"20"},"values":[11,12,13,14,15,16,17,18,19,20]}"#
    );
    assert_eq!(rig.feed("in/25", b"25"), "stored 325, forgotten, forgotten");
    assert_eq!(rig.signed(), [21, 22, 23, 24, 25]);

    // The process was killed: what is stored comes out, the rest is sent again.
    let key = |number: usize| format!("s-m[0] 0 01700000000000 {number:06}");
    let records = records.into_iter().enumerate().map(|(number, text)| (key(number), text));
    let mut rig = Rig::of(&[("in/+id/#", None)], "out/{1}/{$n}", steps());
    let now = rig.now();
    let done = rig.shapes.restore(records.collect(), now);
    assert_eq!(rig.shown(done), "stored 55, forgotten, stored 155, forgotten");
    let gone = vec![("s-other[0] 0 1 0".to_owned(), "{}".to_owned())];
    let done = rig.shapes.restore(gone, now);
    assert_eq!(
        rig.shown(done),
        "dead: messages that waited for others, whose rule is gone, forgotten"
    );
}

#[test]
fn what_is_collected_goes_out_with_every_message() {
    let from = [("room/t", Some("t")), ("room/h", Some("h"))];
    let mut rig = Rig::of(&from, "out/room", vec![Step::Collect]);
    for (topic, payload, wanted) in [
        ("room/t", "20", r#"out/room {"t":20}"#),
        ("room/h", r#"{"rel":50}"#, r#"out/room {"t":20,"h":{"rel":50}}"#),
        ("room/t", "21", r#"out/room {"t":21,"h":{"rel":50}}"#),
    ] {
        assert_eq!(rig.feed(topic, payload.as_bytes()), wanted);
    }
    check(
        vec![Step::Collect],
        &[("in/a", "1", r#"out/a {"in/a":1}"#), ("in/b", "2", r#"out/b {"in/a":1,"in/b":2}"#)],
    );
    let mut rig = Rig::new(vec![Step::Collect, transform("$count($keys($))")]);
    let large = format!("\"{}\"", "x".repeat(5_000_000));
    assert_ne!(rig.feed("in/a", large.as_bytes()), "stopped");
    assert_eq!(rig.feed("in/b", large.as_bytes()), "stopped");
    assert_eq!(rig.shapes.notes().len(), 1);
    assert_eq!(rig.feed("in/b", large.as_bytes()), "stopped");
    assert!(rig.shapes.notes().is_empty(), "it is said once");
}

#[test]
fn what_is_stashed_is_for_the_next_message() {
    let steps = vec![
        transform("{\"v\": v, \"last\": $last(\"a\").v, \"out\": $last().v}"),
        Step::Stash("a".to_owned()),
        filter("v > 1"),
    ];
    check(
        steps,
        &[
            ("in/x", r#"{"v":2}"#, r#"out/x {"v":2}"#),
            ("in/x", r#"{"v":1}"#, "stopped"),
            ("in/x", r#"{"v":3}"#, r#"out/x {"v":3,"last":1,"out":2}"#),
        ],
    );
    check(
        vec![Step::Stash("a".to_owned()), transform("$last(\"a\") ? 1 : 0")],
        &[("in/x", "5", "out/x 0"), ("in/x", "5", "out/x 1")],
    );
}

#[test]
fn what_is_remembered_outlives_a_reload_if_the_rules_are_the_same() {
    let steps =
        || vec![change("c", None, false), Step::Burst(Burst { size: Some(2), interval: None })];
    let mut before = Rig::new(steps());
    assert_eq!(before.feed("in/m1/t", b"{\"c\":1}"), "held");
    let now = before.now();
    let done = before.shapes.end(now);
    assert_eq!(before.shown(done), "out/m1 [{\"c\":1}]");
    let mut after = Rig::new(steps());
    after.shapes.inherit(before.shapes);
    assert_eq!(after.feed("in/m1/t", b"{\"c\":1}"), "stopped", "it has not changed");
    assert_eq!(after.feed("in/m1/t", b"{\"c\":2}"), "held", "there is a burst again");
    let counts: Vec<_> = after.shapes.tallies().iter().map(Tally::counts).collect();
    assert_eq!(counts, [[1, 0], [2, 0]]);

    let mut other = Rig::new(vec![change("c", Some(0.5), false)]);
    other.shapes.inherit(after.shapes);
    assert_eq!(other.feed("in/m1/t", b"{\"c\":2}"), "out/m1 {\"c\":2}", "another rule");
    assert!(other.feed("in/m1/t", b"x").starts_with("dead"));
    assert_eq!(other.shapes.tallies()[0].counts(), [0, 1]);
}
