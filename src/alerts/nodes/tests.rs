//! Chains of nodes, fed with line protocol; what comes out at the end is in line protocol, too.
//! Times are seconds.

use crate::alerts::lambda::Lambda;
use crate::alerts::pipeline::{
    Aggregate, DEPTH_MAX, Deadman, Defaults, Delete, Derivative, Eval, From, Function, GroupBy,
    Keep, Kind, Log, Node, Pipeline, SECOND, Sample, StateCount, StateDuration, Window,
};
use crate::alerts::point::{Field, Name, Point};
use crate::alerts::script::{Place, parse_expression};
use crate::alerts::{Effects, Engine, Settings, line};
use crate::config::Precision;

pub(in crate::alerts) fn lambda(text: &str) -> Lambda {
    Lambda::new(&parse_expression(text).unwrap()).unwrap()
}

pub(in crate::alerts) fn points(text: &str) -> Vec<Point> {
    let mut lines = line::Lines::new(text.as_bytes(), Precision::Seconds).unwrap();
    let mut shelf = line::Shelf::default();
    let (database, policy): (Name, Name) = ("db".into(), "rp".into());
    let mut points = Vec::new();
    while let Some(line) = lines.next() {
        points.push(line.unwrap().point((&database, &policy), 0, &mut shelf));
    }
    points
}

/// `stream`, and below it these, each below the one before.
pub(in crate::alerts) fn chain(kinds: Vec<Kind>) -> Pipeline {
    let kinds = [Kind::Stream].into_iter().chain(kinds);
    let node = |(index, kind): (usize, Kind)| Node {
        name: format!("node{index}"),
        place: Place { line: u32::try_from(index).unwrap() + 1, column: 1 },
        parents: index.checked_sub(1).into_iter().collect(),
        kind,
    };
    Pipeline { dbrps: Vec::new(), nodes: kinds.enumerate().map(node).collect() }
}

/// What comes out below the nodes.
fn effects(kinds: Vec<Kind>, text: &str) -> Effects {
    let kinds = kinds.into_iter().chain([Kind::Log(Log::default())]).collect();
    let mut engine = Engine::new(Settings::default(), []);
    engine.enable("task", chain(kinds), 0);
    engine.feed(&points(text), 0)
}

fn out(effects: &Effects) -> String {
    let seconds = |words: &str| {
        let (rest, time) = words.rsplit_once(' ').unwrap();
        format!("{rest} {}", time.parse::<i64>().unwrap() / SECOND)
    };
    let lines: Vec<String> = effects.lines.iter().map(|line| seconds(&line.words)).collect();
    lines.join("\n")
}

fn complaints(effects: &Effects) -> String {
    let words = effects.complaints.iter().map(|it| format!("{}: {}", it.node, it.words));
    words.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(kinds: Vec<Kind>, given: &str, wanted: &str) {
    let effects = effects(kinds, given);
    assert_eq!(complaints(&effects), "", "nothing is wrong");
    assert_eq!(out(&effects), wanted.trim_matches('\n'));
}

#[track_caller]
fn check_wrong(kinds: Vec<Kind>, given: &str, wanted: &str, wrong: &str) {
    let effects = effects(kinds, given);
    assert_eq!(out(&effects), wanted.trim_matches('\n'));
    assert_eq!(complaints(&effects), wrong);
}

fn names(names: &[&str]) -> Vec<Name> {
    names.iter().map(|&name| name.into()).collect()
}

fn by(tags: &[&str]) -> GroupBy {
    GroupBy { tags: names(tags), ..GroupBy::default() }
}

fn window(period: i64, every: i64) -> Kind {
    Kind::Window(Window { period: period * SECOND, every: every * SECOND, ..Window::default() })
}

fn aggregate(function: Function) -> Kind {
    let name = function.name().into();
    Kind::Aggregate(Aggregate { function, field: "f".into(), name, point_times: false })
}

#[test]
fn from_takes_what_it_names() {
    let from = |change: fn(&mut From)| {
        let mut from = From::default();
        change(&mut from);
        vec![Kind::From(from)]
    };
    let given = "cpu f=1 1\nmem f=2 2\ncpu f=3 3";
    check(from(|_| ()), given, "cpu f=1 1\nmem f=2 2\ncpu f=3 3");
    check(from(|it| it.measurement = Some("cpu".into())), given, "cpu f=1 1\ncpu f=3 3");
    check(from(|it| it.database = Some("other".into())), given, "");
    check(from(|it| it.retention_policy = Some("other".into())), given, "");
    let filters = |it: &mut From| it.filters = vec![lambda("\"f\" > 1"), lambda("\"f\" < 3")];
    check(from(filters), given, "mem f=2 2");
    check(from(|it| it.truncate = 2 * SECOND), given, "cpu f=1 0\nmem f=2 2\ncpu f=3 2");
    check(from(|it| it.round = 2 * SECOND), given, "cpu f=1 2\nmem f=2 2\ncpu f=3 4");
}

#[test]
fn where_drops_what_is_not_true_or_cannot_be_said() {
    let filter = vec![Kind::Where(vec![lambda("\"f\" > 1")])];
    check_wrong(
        filter,
        "m f=1 1\nm f=2 2\nm g=2 3\nm g=2 4",
        "m f=2 2",
        "node1: the point has no field or tag \"f\"",
    );
    check(
        vec![window(10, 10), Kind::Where(vec![lambda("\"f\" > 1")])],
        "m f=1 1\nm f=2 2\nm f=3 11",
        "m f=2 2",
    );
}

#[test]
fn a_function_that_remembers_does_so_for_each_group() {
    let from = Kind::From(From { group_by: by(&["host"]), ..From::default() });
    let given = "m,host=a f=1 1\nm,host=b f=1 2\nm,host=a f=1 3\nm,host=a f=1 4";
    let wanted = "m,host=a f=1 3\nm,host=a f=1 4";
    check(vec![from, Kind::Where(vec![lambda("count() > 1")])], given, wanted);
}

#[test]
fn aggregates_make_one_value_of_a_batch() {
    let given =
        "m,host=a,rack=1 f=1 1\nm,host=a,rack=2 f=4 2\nm,host=a,rack=3 f=4 3\nm,host=a f=9 11";
    for (function, wanted) in [
        (Function::Count, "count=3i"),
        (Function::Mean, "mean=3"),
        (Function::Median, "median=4"),
        (Function::Spread, "spread=3"),
        (Function::Sum, "sum=9"),
        (Function::Stddev, "stddev=1.7320508075688772"),
    ] {
        let from = Kind::From(From { group_by: by(&["host"]), ..From::default() });
        let wanted = format!("m,host=a {wanted} 11");
        check(vec![from, window(10, 10), aggregate(function)], given, &wanted);
    }
    let whole = "m f=1i 1\nm f=4i 2\nm f=9i 11";
    for (function, wanted) in [
        (Function::Sum, "m sum=5i 11"),
        (Function::Spread, "m spread=3i 11"),
        (Function::Mean, "m mean=2.5 11"),
        (Function::Median, "m median=2.5 11"),
    ] {
        check(vec![window(10, 10), aggregate(function)], whole, wanted);
    }
}

#[test]
fn selectors_keep_tags_and_fields_of_the_point() {
    let given = "m,r=1 f=5,g=1 1\nm,r=2 f=2,g=2 2\nm,r=3 f=9,g=3 3\nm,r=4 f=2,g=4 4\nm f=0 11";
    for (function, wanted) in [
        (Function::First, "m,r=1 first=5,g=1 11"),
        (Function::Last, "m,r=4 g=4,last=2 11"),
        (Function::Min, "m,r=2 g=2,min=2 11"),
        (Function::Max, "m,r=3 g=3,max=9 11"),
        (Function::Percentile(50.0), "m,r=4 g=4,percentile=2 11"),
        (Function::Percentile(100.0), "m,r=3 g=3,percentile=9 11"),
        (Function::Percentile(1.0), ""),
        (Function::Mode, "m,r=2 g=2,mode=2 11"),
        (Function::Distinct, "m distinct=5 11\nm distinct=2 11\nm distinct=9 11"),
        (Function::Top(2, names(&["r", "g"])), "m,r=3 g=3,top=9 11\nm,r=1 g=1,top=5 11"),
        (Function::Bottom(2, vec![]), "m bottom=2 11\nm bottom=2 11"),
    ] {
        check(vec![window(10, 10), aggregate(function)], given, wanted);
    }
    let last = Aggregate {
        function: Function::Last,
        field: "f".into(),
        name: "f".into(),
        point_times: true,
    };
    check(vec![window(10, 10), Kind::Aggregate(last)], given, "m,r=4 f=2,g=4 4");
}

#[test]
fn aggregates_of_a_stream_are_of_points_with_the_same_time() {
    let given = "m f=1 1\nm f=2 1\nm f=3 2\nm f=4 3";
    check(vec![aggregate(Function::Sum)], given, "m sum=3 1\nm sum=3 2");
}

#[test]
fn series_make_a_value_of_each_point_and_those_before() {
    let given = "m f=1i 1\nm f=4i 3\nm f=2i 10";
    for (function, wanted) in [
        (Function::Difference, "m difference=3i 3\nm difference=-2i 10"),
        (Function::Elapsed(SECOND), "m elapsed=2i 3\nm elapsed=7i 10"),
        (
            Function::CumulativeSum,
            "m cumulativeSum=1i 1\nm cumulativeSum=5i 3\nm cumulativeSum=7i 10",
        ),
        (Function::MovingAverage(2), "m movingAverage=2.5 3\nm movingAverage=3 10"),
    ] {
        check(vec![aggregate(function)], given, wanted);
    }
}

#[test]
fn what_a_function_cannot_take_is_said() {
    let chain = || vec![window(10, 10), aggregate(Function::Mean)];
    check_wrong(
        chain(),
        "m f=\"x\" 1\nm f=2 11",
        "",
        "node2: mean needs numbers, the field is a string",
    );
    check_wrong(chain(), "m g=1 1\nm f=2 11", "", "node2: the point has no field \"f\"");
    let empty = || vec![window(10, 10), Kind::Where(vec![lambda("\"f\" > 5")])];
    let count = |function| empty().into_iter().chain([aggregate(function)]).collect();
    check(count(Function::Count), "m f=1 1\nm f=2 11", "m count=0i 11");
    check(count(Function::Mean), "m f=1 1\nm f=2 11", "");
}

#[test]
fn eval_makes_fields_and_tags() {
    let eval = |keep: Keep| Eval {
        results: vec![
            ("double".into(), lambda("\"f\" * 2.0")),
            ("more".into(), lambda("\"double\" + 1.0")),
        ],
        tags: Vec::new(),
        keep,
        quiet: false,
    };
    let given = "m,host=a f=1,g=5i 1";
    for (keep, wanted) in [
        (Keep::Results, "m,host=a double=2,more=3 1"),
        (Keep::All, "m,host=a double=2,f=1,g=5i,more=3 1"),
        (Keep::Only(names(&["g", "more"])), "m,host=a g=5i,more=3 1"),
    ] {
        check(vec![Kind::Eval(eval(keep.clone()))], given, wanted);
        check(vec![window(1, 1), Kind::Eval(eval(keep))], &format!("{given}\nm f=1 2"), wanted);
    }
    let keep = Keep::Only(names(&["no"]));
    check_wrong(vec![Kind::Eval(eval(keep))], given, "", "node1: there is no field \"no\" to keep");
    let tagged = Eval {
        results: vec![("t".into(), lambda("string(\"g\")")), ("h".into(), lambda("\"f\""))],
        tags: names(&["t"]),
        keep: Keep::Results,
        quiet: false,
    };
    check(vec![Kind::Eval(tagged.clone())], given, "m,host=a,t=5 h=1 1");
    let wrong = Eval { tags: names(&["h"]), ..tagged.clone() };
    let words = "node1: the tag \"h\" must be a string: string() makes one";
    check_wrong(vec![Kind::Eval(wrong.clone())], given, "", words);
    check(vec![Kind::Eval(Eval { quiet: true, ..wrong })], given, "");
    check_wrong(
        vec![Kind::Eval(tagged)],
        "m f=1 1",
        "",
        "node1: the point has no field or tag \"g\"",
    );
}

#[test]
fn whole_numbers_are_not_divided_by_zero() {
    let eval = Eval {
        results: vec![("q".into(), lambda("\"a\" / \"b\""))],
        tags: Vec::new(),
        keep: Keep::Results,
        quiet: false,
    };
    let given = "m a=6i,b=0i 1\nm a=6i,b=2i 2";
    check_wrong(vec![Kind::Eval(eval)], given, "m q=3i 2", "node1: division by zero");
}

#[test]
fn defaults_fill_and_deletes_empty() {
    let defaults = Kind::Default(Defaults {
        fields: vec![("f".into(), Field::Int(7))],
        tags: vec![("host".into(), "x".into())],
    });
    check(vec![defaults], "m g=1 1\nm,host=a f=2i 2", "m,host=x f=7i,g=1 1\nm,host=a f=2i 2");
    let delete = Kind::Delete(Delete { fields: names(&["f"]), tags: names(&["host"]) });
    check(vec![delete], "m,host=a,rack=1 f=1,g=2 1", "m,rack=1 g=2 1");
}

#[test]
fn a_tag_that_changes_moves_a_point_to_another_group() {
    let from = || Kind::From(From { group_by: by(&["host", "rack"]), ..From::default() });
    let count = || {
        Kind::Eval(Eval {
            results: vec![("n".into(), lambda("count()"))],
            tags: Vec::new(),
            keep: Keep::Results,
            quiet: false,
        })
    };
    let delete = Kind::Delete(Delete { fields: Vec::new(), tags: names(&["rack"]) });
    let given = "m,host=a,rack=1 f=1 1\nm,host=a,rack=2 f=1 2\nm,host=b,rack=2 f=1 3";
    check(
        vec![from(), delete, count()],
        given,
        "m,host=a n=1i 1\nm,host=a n=2i 2\nm,host=b n=1i 3",
    );
    let tags = vec![("rack".into(), "1".into())];
    let defaults = Kind::Default(Defaults { fields: Vec::new(), tags });
    let given = "m,host=a,rack=1 f=1 1\nm,host=a f=1 2\nm,host=b f=1 3";
    let wanted = "m,host=a,rack=1 n=1i 1\nm,host=a,rack=1 n=2i 2\nm,host=b,rack=1 n=1i 3";
    check(vec![from(), defaults, count()], given, wanted);
}

#[test]
fn states_last_and_are_counted() {
    let given = "m f=1 1\nm f=5 3\nm f=6 6\nm g=1 7\nm f=1 8\nm f=9 9";
    let condition = lambda("\"f\" > 2");
    let wrong = "node1: the point has no field or tag \"f\"";
    let duration = StateDuration { condition: condition.clone(), unit: SECOND, name: "d".into() };
    let wanted = "m d=-1,f=1 1\nm d=0,f=5 3\nm d=3,f=6 6\nm d=-1,f=1 8\nm d=0,f=9 9";
    check_wrong(vec![Kind::StateDuration(duration)], given, wanted, wrong);
    let count = StateCount { condition, name: "n".into() };
    let wanted = "m f=1,n=-1i 1\nm f=5,n=1i 3\nm f=6,n=2i 6\nm f=1,n=-1i 8\nm f=9,n=1i 9";
    check_wrong(vec![Kind::StateCount(count)], given, wanted, wrong);
}

#[test]
fn only_changes_go_on() {
    let detect = Kind::ChangeDetect(names(&["f", "g"]));
    let given = "m f=1,g=1 1\nm f=1,g=1 2\nm f=1,g=2 3\nm f=2,g=2 4\nm f=2,g=2,h=3 5";
    check(vec![detect], given, "m f=1,g=1 1\nm f=1,g=2 3\nm f=2,g=2 4");
}

#[test]
fn samples_are_by_count_or_by_time() {
    let given = "m f=1 10\nm f=2 11\nm f=3 12\nm f=4 15\nm f=5 20";
    check(vec![Kind::Sample(Sample::Count(2))], given, "m f=1 10\nm f=3 12\nm f=5 20");
    check(vec![Kind::Sample(Sample::Duration(10 * SECOND))], given, "m f=1 10\nm f=5 20");
}

#[test]
fn a_derivative_begins_with_the_second_point() {
    let derivative = |non_negative| {
        let (field, name) = ("f".into(), "f".into());
        vec![Kind::Derivative(Derivative { field, unit: SECOND, non_negative, name })]
    };
    let given = "m f=1i 1\nm f=5i 3\nm f=3i 4";
    check(derivative(false), given, "m f=2 3\nm f=-2 4");
    check(derivative(true), given, "m f=2 3");
    let same = "m f=1i 1\nm f=5i 1";
    check_wrong(derivative(false), same, "", "node1: two points of a group have the same time");
}

#[test]
fn batches_are_sorted_into_other_groups() {
    let from = Kind::From(From { group_by: by(&["host", "rack"]), ..From::default() });
    let counted = Window { period_count: 2, every_count: 2, ..Window::default() };
    let chain =
        vec![from, Kind::Window(counted), Kind::GroupBy(by(&["host"])), aggregate(Function::Count)];
    let given = "m,host=a,rack=1 f=1 1\nm,host=a,rack=2 f=1 1\nm,host=a,rack=1 f=1 2
m,host=a,rack=2 f=1 2\nm,host=a,rack=1 f=1 3\nm,host=a,rack=1 f=1 4";
    check(chain, given, "m,host=a count=4i 2");
}

#[test]
fn a_union_is_in_the_order_of_time() {
    let mut pipeline = chain(vec![
        Kind::From(From { measurement: Some("a".into()), ..From::default() }),
        Kind::From(From { measurement: Some("b".into()), ..From::default() }),
        Kind::Union,
        Kind::Log(Log::default()),
    ]);
    pipeline.nodes[2].parents = vec![0];
    pipeline.nodes[3].parents = vec![1, 2];
    let mut engine = Engine::new(Settings::default(), []);
    engine.enable("task", pipeline, 0);
    let effects = engine.feed(&points("a f=1 1\na f=1 5\nb f=1 3\nb f=1 4\na f=1 6\nb f=1 7"), 0);
    assert_eq!(out(&effects), "a f=1 1\nb f=1 3\nb f=1 4\na f=1 5\na f=1 6");
}

#[test]
fn a_deadman_counts_by_the_clock() {
    let chain = || {
        chain(vec![
            Kind::From(From { group_by: by(&["host"]), ..From::default() }),
            Kind::Deadman(Deadman { interval: 10 * SECOND }),
            Kind::Log(Log::default()),
        ])
    };
    let mut engine = Engine::new(Settings::default(), []);
    engine.enable("task", chain(), 3 * SECOND);
    let tick = |engine: &mut Engine, at: i64, given: &str| {
        let mut effects = engine.feed(&points(given), (at - 1) * SECOND);
        assert_eq!(engine.wake_at(), Some(at * SECOND));
        let woken = engine.wake(at * SECOND);
        effects.lines.extend(woken.lines);
        (out(&effects), effects.records)
    };
    assert_eq!(tick(&mut engine, 10, "").0, "", "the first interval is not a whole one");
    assert_eq!(tick(&mut engine, 20, "").0, "stats emitted=0 20");
    let (lines, records) = tick(&mut engine, 30, "m,host=a f=1 1\nm,host=a f=1 1");
    assert_eq!(lines, "stats emitted=2 30", "there are groups now");
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(tick(&mut engine, 40, "m,host=a f=1 1").0, "stats,host=a emitted=1 40");
    assert_eq!(tick(&mut engine, 50, "").0, "stats,host=a emitted=0 50");

    let memory = records.into_iter().map(|record| (record.key, record.value.unwrap()));
    let mut engine = Engine::new(Settings::default(), memory);
    engine.enable("task", chain(), 61 * SECOND);
    assert_eq!(tick(&mut engine, 70, "").0, "");
    assert_eq!(tick(&mut engine, 80, "").0, "stats,host=a emitted=0 80", "it is missed");

    engine.wake(1_000_000 * SECOND);
    assert_eq!(engine.wake_at(), Some(1_000_010 * SECOND), "the clock was set");
    let deleted = engine.delete("task");
    assert_eq!(deleted.records.len(), 1);
    assert_eq!(engine.wake_at(), None);
}

/// As deep as a script can be, on the stack that the agent's threads have.
#[test]
fn a_long_chain_fits_on_a_stack() {
    let eval = || {
        Kind::Eval(Eval {
            results: vec![("f".into(), lambda("\"f\" + 1.0"))],
            tags: Vec::new(),
            keep: Keep::Results,
            quiet: false,
        })
    };
    let fed = crate::system::threads::spawn("chain", move || {
        effects((0..DEPTH_MAX - 2).map(|_| eval()).collect(), "m f=1 1")
    });
    assert_eq!(out(&fed.unwrap().join().unwrap()), "m f=63 1");
}
