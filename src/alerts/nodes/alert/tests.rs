//! Alerts as a whole: points in, events out. Times are seconds.

use crate::alerts::nodes::tests::{chain, lambda, points};
use crate::alerts::pipeline::{
    Alert, Eval, From, GroupBy, Inhibit, Keep, Kind, Log, Pipeline, Rule, SECOND, StateCount,
    StateDuration, Window,
};
use crate::alerts::{Effects, Engine, Settings};
use crate::message::Record;
use std::collections::BTreeMap;

fn above(limit: &str) -> Rule {
    Rule { when: Some(lambda(&format!("\"f\" > {limit}"))), reset: None }
}

fn crit() -> Alert {
    Alert { crit: above("10"), topic: Some("t".into()), ..Alert::default() }
}

fn all_levels() -> Alert {
    Alert { info: above("1"), warn: above("5"), ..crit() }
}

fn alert(alert: Alert) -> Kind {
    Kind::Alert(Box::new(alert))
}

fn grouped() -> Kind {
    let group_by = GroupBy { tags: vec!["host".into()], ..GroupBy::default() };
    Kind::From(From { group_by, ..From::default() })
}

fn started(pipeline: Pipeline, settings: Settings) -> Engine {
    let mut engine = Engine::new(settings, []);
    engine.enable("task", pipeline, 0);
    engine
}

/// `LEVEL@time+duration` of each event.
fn said(effects: &Effects) -> String {
    let events = effects.events.iter().map(|event| {
        let host = event.tags.get("host").map(|host| format!("{host}:")).unwrap_or_default();
        let (time, duration) = (event.time / SECOND, event.duration / SECOND);
        format!("{host}{}@{time}+{duration}", event.level)
    });
    events.collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(kinds: Vec<Kind>, given: &str, wanted: &str) {
    let effects = started(chain(kinds), Settings::default()).feed(&points(given), 0);
    assert_eq!(said(&effects), wanted);
    assert_eq!(effects.complaints, []);
}

#[test]
fn a_level_is_decided_from_above() {
    let given = "m f=0 1\nm f=2 2\nm f=20 3\nm f=6 4\nm f=6 5\nm f=0 6\nm f=0 7";
    let wanted = "INFO@2+0 CRITICAL@3+1 WARNING@4+2 WARNING@5+3 OK@6+4";
    check(vec![alert(all_levels())], given, wanted);
    let changes = Alert { state_changes_only: Some(0), ..all_levels() };
    check(vec![alert(changes)], given, "INFO@2+0 CRITICAL@3+1 WARNING@4+2 OK@6+4");
    let no_info = Alert { info: Rule::default(), ..all_levels() };
    check(vec![alert(no_info)], given, "CRITICAL@3+0 WARNING@4+1 WARNING@5+2 OK@6+3");
}

#[test]
fn a_reset_keeps_a_level_until_it_is_true() {
    let reset = |limit: &str, until: &str| Rule {
        reset: Some(lambda(&format!("\"f\" < {until}"))),
        ..above(limit)
    };
    let both = Alert { warn: reset("5", "3"), crit: reset("10", "8"), ..crit() };
    let given = "m f=11 1\nm f=9 2\nm f=7 3\nm f=4 4\nm f=2 5\nm f=12 6\nm f=4 7";
    let wanted = "CRITICAL@1+0 CRITICAL@2+1 WARNING@3+2 WARNING@4+3 OK@5+4 CRITICAL@6+0 OK@7+1";
    check(vec![alert(both)], given, wanted);
    let only = Rule { when: None, ..reset("5", "3") };
    check(vec![alert(Alert { warn: only, ..crit() })], "m f=11 1\nm f=4 2", "CRITICAL@1+0 OK@2+1");
}

#[test]
fn an_expression_that_fails_ends_no_alert() {
    let given = "m f=11 1\nm g=1 2\nm g=1 3\nm f=1 4\nm g=1 5";
    let feed = |failed_is_false| {
        let settings = Settings { failed_is_false, ..Settings::default() };
        started(chain(vec![alert(crit())]), settings).feed(&points(given), 0)
    };
    let effects = feed(false);
    assert_eq!(said(&effects), "CRITICAL@1+0 OK@4+3");
    assert_eq!(effects.complaints.len(), 1);
    let complaint = &effects.complaints[0];
    assert_eq!(complaint.words, "the point has no field or tag \"f\"");
    assert_eq!((complaint.node.as_str(), complaint.times), ("node1", 3));
    assert_eq!(said(&feed(true)), "CRITICAL@1+0 OK@2+1", "as in Kapacitor");
}

#[test]
fn an_expression_is_asked_once_for_a_point() {
    let third = Rule { when: Some(lambda("count() == 3")), reset: None };
    let given = "m f=1 1\nm f=1 2\nm f=1 3\nm f=1 4";
    check(vec![alert(Alert { crit: third, ..crit() })], given, "CRITICAL@3+0 OK@4+1");
}

#[test]
fn each_group_has_a_state_of_its_own() {
    let given = "m,host=a f=11 1\nm,host=b f=1 2\nm,host=b f=12 3\nm,host=a f=1 4\nm,host=b f=0 9";
    let wanted = "a:CRITICAL@1+0 b:CRITICAL@3+0 a:OK@4+3 b:OK@9+6";
    check(vec![grouped(), alert(crit())], given, wanted);
}

#[test]
fn a_batch_has_its_highest_level_or_its_lowest() {
    let window =
        || Kind::Window(Window { period: 10 * SECOND, every: 10 * SECOND, ..Window::default() });
    let given = "m f=1 1\nm f=20 2\nm f=6 3\nm f=0 11\nm f=0 21";
    check(vec![window(), alert(all_levels())], given, "CRITICAL@2+0 OK@21+19");
    let all = Alert { all: true, ..all_levels() };
    check(
        vec![window(), alert(all)],
        "m f=6 1\nm f=20 2\nm f=0 11\nm f=0 21",
        "WARNING@11+0 OK@21+10",
    );
    let pipeline = chain(vec![grouped(), window(), alert(crit())]);
    let given = "m,host=a,r=1 f=1 1\nm,host=a,r=2 f=20 2\nm,host=a f=0 11";
    let effects = started(pipeline, Settings::default()).feed(&points(given), 0);
    let event = &effects.events[0];
    assert_eq!(event.tags.iter().count(), 1, "{:?}", event.tags);
    assert_eq!(event.series[0].rows.len(), 2);
}

#[test]
fn what_is_suppressed_does_not_go_on() {
    let alert = alert(Alert {
        level_tag: Some("level".into()),
        level_field: Some("l".into()),
        id_tag: Some("id".into()),
        id_field: Some("i".into()),
        message_field: Some("m".into()),
        duration_field: Some("d".into()),
        topic: None,
        ..crit()
    });
    let pipeline = chain(vec![alert, Kind::Log(Log::default())]);
    let effects = started(pipeline, Settings::default()).feed(&points("m f=1 1\nm f=11 2"), 0);
    assert_eq!(effects.events, [], "there is neither a handler nor a topic");
    let words: Vec<&str> = effects.lines.iter().map(|line| line.words.as_str()).collect();
    let wanted = "m,id=m:nil,level=CRITICAL d=0i,f=11,i=\"m:nil\",l=\"CRITICAL\",m=\"m:nil is CRITICAL\" 2000000000";
    assert_eq!(words, [wanted]);
}

#[test]
fn an_open_alert_holds_others_back() {
    let above = Alert {
        inhibits: vec![Inhibit { category: "apps".into(), tags: vec!["host".into()] }],
        topic: Some("hosts".into()),
        ..crit()
    };
    let mut pipeline = chain(vec![
        Kind::From(From { measurement: Some("host".into()), ..From::default() }),
        alert(above),
        Kind::From(From { measurement: Some("app".into()), ..From::default() }),
        alert(Alert { category: Some("apps".into()), ..crit() }),
    ]);
    pipeline.nodes[3].parents = vec![0];
    let given = "app,host=a f=11 1\nhost,host=a f=11 2\napp,host=a f=11 3\napp,host=b f=11 4
host,host=a f=1 5\napp,host=a f=11 6";
    let effects = started(pipeline, Settings::default()).feed(&points(given), 0);
    let wanted = "a:CRITICAL@1+0 a:CRITICAL@2+0 b:CRITICAL@4+3 a:OK@5+3 a:CRITICAL@6+5";
    assert_eq!(said(&effects), wanted);
}

/// The same points, with a restart after each: nobody can tell.
#[test]
fn alerts_go_on_over_a_restart() {
    let flapping = Alert { flapping: Some((0.25, 0.5)), history: 5, ..crit() };
    let again = Alert { state_changes_only: Some(3 * SECOND), ..all_levels() };
    let quiet = Alert { no_recoveries: true, ..all_levels() };
    let values = [0, 11, 12, 0, 11, 6, 6, 6, 2, 0, 0, 11, 0, 11, 0, 11, 11, 11, 11, 11, 11, 0, 0];
    let lines: Vec<String> = (1..)
        .zip(values)
        .flat_map(|(time, value)| {
            [format!("m,host=a f={value} {time}"), format!("m,host=b\\ c f={} {time}", 11 - value)]
        })
        .collect();
    for settings in [flapping, again, quiet] {
        let pipeline = || chain(vec![grouped(), alert(settings.clone())]);
        let wanted = started(pipeline(), Settings::default()).feed(&points(&lines.join("\n")), 0);
        assert!(wanted.events.len() > 3);
        let mut memory = BTreeMap::new();
        let mut found = Vec::new();
        for line in &lines {
            let mut engine = Engine::new(Settings::default(), memory.clone());
            engine.enable("task", pipeline(), 0);
            let effects = engine.feed(&points(line), 0);
            found.extend(effects.events);
            keep(&mut memory, effects.records);
        }
        assert_eq!(found, wanted.events, "{settings:?}");
    }
}

fn crit_always() -> Alert {
    Alert { crit: Rule { when: Some(lambda("TRUE")), reset: None }, ..crit() }
}

fn keep(memory: &mut BTreeMap<String, String>, records: Vec<Record>) {
    for record in records {
        match record.value {
            Some(value) => memory.insert(record.key, value),
            None => memory.remove(&record.key),
        };
    }
}

/// A minute between two points, and a restart after each.
#[test]
fn functions_go_on_over_a_restart() {
    let third = Rule { when: Some(lambda("count() == 3")), reset: None };
    let in_alert = vec![alert(Alert { crit: third, ..crit() })];
    let above = Rule { when: Some(lambda("\"n\" == 3")), reset: None };
    let eval = Kind::Eval(Eval {
        results: vec![("n".into(), lambda("count()"))],
        keep: Keep::All,
        tags: Vec::new(),
        quiet: false,
    });
    let in_eval = vec![eval, alert(Alert { crit: above, ..crit() })];
    let counts = Kind::Where(vec![lambda("count() > 2"), lambda("\"f\" < count()")]);
    let in_where = vec![counts, alert(crit_always())];
    for (kinds, wanted) in [
        (in_alert, "a:CRITICAL@3+0 a:OK@4+1"),
        (in_eval, "a:CRITICAL@3+0 a:OK@4+1"),
        (in_where, "a:CRITICAL@4+0"),
    ] {
        let kinds: Vec<Kind> = [grouped()].into_iter().chain(kinds).collect();
        let mut memory = BTreeMap::new();
        let mut found = Vec::new();
        for time in 1..=4 {
            let mut engine = Engine::new(Settings::default(), memory.clone());
            engine.enable("task", chain(kinds.clone()), 0);
            let effects = engine.feed(&points(&format!("m,host=a f=1 {time}")), time * 60 * SECOND);
            found.push(said(&effects));
            keep(&mut memory, effects.records);
        }
        found.retain(|said| !said.is_empty());
        assert_eq!(found.join(" "), wanted);
        let mut engine = Engine::new(Settings::default(), memory.clone());
        engine.enable("task", chain(kinds), 0);
        keep(&mut memory, engine.delete("task").records);
        assert_eq!(memory, BTreeMap::new(), "a deleted task leaves nothing behind");
    }
}

/// What nodes know of each group, with a restart after each point: nobody can tell.
#[test]
fn nodes_go_on_over_a_restart() {
    let values = [1, 1, 7, 7, 8, 1, 7, 7, 7, 1];
    let lines: Vec<String> = (1..)
        .zip(values)
        .flat_map(|(time, value)| {
            let s = format!("\"a, b=\\\"{value}\"");
            [
                format!("m,host=a f={value},s={s} {time}"),
                format!("m,host=b\\ c f={},s={s} {time}", 8 - value),
            ]
        })
        .collect();
    let condition = || lambda("\"f\" > 5");
    let duration = StateDuration { condition: condition(), unit: SECOND, name: "f".into() };
    let count = StateCount { condition: condition(), name: "f".into() };
    let changed = Kind::ChangeDetect(vec!["f".into(), "s".into()]);
    for node in [Kind::StateDuration(duration), Kind::StateCount(count), changed] {
        let kinds = || chain(vec![grouped(), node.clone(), alert(crit_always())]);
        let messages = |effects: Effects| -> Vec<String> {
            let events = effects.events.into_iter();
            events.map(|it| format!("{:?} {:?} {}", it.tags, it.fields, it.time)).collect()
        };
        let all = started(kinds(), Settings::default()).feed(&points(&lines.join("\n")), 0);
        let wanted = messages(all);
        let (mut memory, mut found) = (BTreeMap::new(), Vec::new());
        for (minute, line) in (0..).zip(&lines) {
            let now = minute * 60 * SECOND;
            let mut engine = Engine::new(Settings::default(), memory.clone());
            engine.enable("task", kinds(), now);
            let mut effects = engine.feed(&points(line), now);
            keep(&mut memory, std::mem::take(&mut effects.records));
            found.extend(messages(effects));
        }
        assert_eq!(found, wanted, "{node:?}");
    }
}

/// Records cost flash: within a minute there is one.
#[test]
fn functions_are_recorded_once_a_minute_and_forgotten_with_their_group() {
    let third = Rule { when: Some(lambda("count() == 3")), reset: None };
    let kinds = vec![grouped(), alert(Alert { crit: third, ..crit() })];
    let mut engine = started(chain(kinds), Settings::default());
    let mut recorded = |given: &str, now: i64| -> Vec<Option<String>> {
        let records = engine.feed(&points(given), now).records;
        records.into_iter().map(|record| record.value).collect()
    };
    assert_eq!(recorded("m,host=a f=1 1", 0), [Some("c0000000000000001".to_owned())]);
    assert_eq!(recorded("m,host=a f=1 2", 59 * SECOND), []);
    let hours = |hours: i64| hours * 3600 * SECOND;
    let state = Some("c0000000000000001".to_owned());
    assert_eq!(recorded("m,host=b f=1 3", hours(23)), [state]);
    let forgotten = recorded("m,host=b f=1 4", hours(46));
    assert_eq!(forgotten, [None, Some("c0000000000000002".to_owned())]);
}

#[test]
fn little_is_remembered() {
    let changes = Alert { state_changes_only: Some(0), ..crit() };
    let mut engine = started(chain(vec![grouped(), alert(changes)]), Settings::default());
    let mut records = |given: &str| -> Vec<(String, Option<String>)> {
        let records = engine.feed(&points(given), 0).records;
        records.into_iter().map(|record| (record.key, record.value)).collect()
    };
    let key = || "task node2 host=a".to_owned();
    assert_eq!(records("m,host=a f=1 1\nm,host=a f=1 2"), []);
    assert_eq!(records("m,host=a f=11 3"), [(key(), Some("3 3000000000 3000000000".into()))]);
    assert_eq!(records("m,host=a f=11 4\nm,host=a f=12 5"), []);
    assert_eq!(records("m,host=a f=1 6"), [(key(), None)]);
    let deleted = engine.delete("task");
    assert_eq!(deleted.records, []);
}

#[test]
fn what_belongs_to_no_node_is_forgotten() {
    let memory = [("task node1 ", "3 1 1"), ("task alert9 ", "3 1 1"), ("task2 node1 ", "3 1 1")];
    let memory = memory.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut engine = Engine::new(Settings::default(), memory);
    let effects = engine.enable("task", chain(vec![alert(crit())]), 0);
    let keys: Vec<&str> = effects.records.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys, ["task alert9 "]);
    assert_eq!(said(&engine.feed(&points("m f=0 7"), 0)), "OK@7+6");
}
