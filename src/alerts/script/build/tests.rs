//! What scripts mean, and what is wrong with them.

use crate::alerts::handlers::HandlerKind;
use crate::alerts::pipeline::{Kind, Pipeline};
use crate::alerts::script::{Faults, Vars, build, parse};
use serde_json::json;

/// Most scripts are about one node below this one.
const FROM: &str = "stream|from()";

#[track_caller]
fn built(text: &str) -> Pipeline {
    tried(text, &Vars::default()).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn tried(text: &str, vars: &Vars) -> Result<Pipeline, Faults> {
    build(&parse(text).unwrap_or_else(|fault| panic!("{fault}\n{text}")), vars)
}

#[track_caller]
fn faults(text: &str) -> String {
    tried(text, &Vars::default()).expect_err(text).to_string()
}

/// What a node is.
fn kind(pipeline: &Pipeline, index: usize) -> String {
    format!("{:?}", pipeline.nodes[index].kind)
}

/// Names and parents of all nodes: `stream0 from1<0 alert2<1`.
fn shape(pipeline: &Pipeline) -> String {
    let node = |node: &crate::alerts::pipeline::Node| {
        let parents: Vec<String> = node.parents.iter().map(usize::to_string).collect();
        format!("{}<{}", node.name, parents.join(","))
    };
    let nodes: Vec<String> = pipeline.nodes.iter().map(node).collect();
    nodes.join(" ").replace("stream0<", "stream0")
}

#[test]
fn nodes_are_numbered_in_the_order_of_their_creation() {
    for (text, wanted) in [
        ("stream|from()|alert()", "stream0 from1<0 alert2<1"),
        ("stream|from() stream|from()", "stream0 from1<0 from2<0"),
        (
            "var data = stream|from() data|alert() data|log()|httpOut('a')",
            "stream0 from1<0 alert2<1 log3<1 http_out4<3",
        ),
        (
            "var a = stream|from() a|union(stream|from(), a|where(lambda: TRUE))|alert()",
            "stream0 from1<0 from2<0 where3<1 union4<1,2,3 alert5<4",
        ),
        ("stream|from()|deadman(0.0, 10s)|log()", "stream0 from1<0 stats2<1 alert4<2 log5<3"),
        (
            "stream|from()|groupBy(*)|window().period(1m)|mean('x')|stateDuration(lambda: TRUE)",
            "stream0 from1<0 groupby2<1 window3<2 mean4<3 state_duration5<4",
        ),
    ] {
        assert_eq!(shape(&built(text)), wanted, "{text}");
    }
}

const PROPERTIES: [(&str, &str); 39] = [
    (
        ".database('d').retentionPolicy('r').measurement('m')",
        "database: Some(\"d\"), retention_policy: Some(\"r\"), measurement: Some(\"m\")",
    ),
    (".measurement('')", "measurement: None"),
    (".where(lambda: \"a\" > 1).where(lambda: TRUE)", "filters: [Lambda(\"a\" > 1), Lambda(TRUE)]"),
    (".groupBy('a', 'b')", "tags: [\"a\", \"b\"], all: false"),
    (".groupBy(*).groupByMeasurement()", "all: true, exclude: [], by_measurement: true"),
    (".groupBy(['a'])", "tags: [\"a\"]"),
    (".groupBy([*])", "all: true"),
    (".truncate(1s).round(1m)", "truncate: 1000000000, round: 60000000000"),
    ("|where(lambda: \"a\")", "Where([Lambda(\"a\")])"),
    ("|groupBy(*).exclude('a')", "all: true, exclude: [\"a\"]"),
    ("|groupBy('a').byMeasurement()", "by_measurement: true"),
    (
        "|window().period(1m).every(10s).align().fillPeriod()",
        "period: 60000000000, every: 10000000000, align: true, fill_period: true, period_count: 0, every_count: 0",
    ),
    ("|window().periodCount(3).everyCount(2)", "period_count: 3, every_count: 2"),
    (
        "|percentile('f', 95.0).as('p').usePointTimes()",
        "function: Percentile(95.0), field: \"f\", name: \"p\", point_times: true",
    ),
    ("|mean('f')", "function: Mean, field: \"f\", name: \"mean\""),
    ("|top(3, 'f', 'host')", "function: Top(3, [\"host\"]), field: \"f\", name: \"top\""),
    ("|bottom(1, 'f')", "function: Bottom(1, []), field: \"f\""),
    ("|elapsed('f', 1s)", "function: Elapsed(1000000000)"),
    ("|movingAverage('f', 5)", "function: MovingAverage(5)"),
    (
        "|eval(lambda: 1, lambda: 2).as('a', 'b').keep('a').tags('b').quiet()",
        "results: [(\"a\", Lambda(1)), (\"b\", Lambda(2))], tags: [\"b\"], keep: Only([\"a\"]), quiet: true",
    ),
    ("|eval(lambda: 1).as('a').keep()", "keep: All"),
    (
        "|default().field('a', 0.5).field('b', 'x').tag('c', '')",
        "fields: [(\"a\", Float(0.5)), (\"b\", Text(\"x\"))], tags: [(\"c\", \"\")]",
    ),
    ("|delete().field('a').tag('b')", "fields: [\"a\"], tags: [\"b\"]"),
    ("|stateDuration(lambda: TRUE).unit(1m).as('d')", "unit: 60000000000, name: \"d\""),
    ("|stateCount(lambda: TRUE)", "name: \"state_count\""),
    ("|changeDetect('a', 'b')", "ChangeDetect([\"a\", \"b\"])"),
    ("|sample(10)", "Sample(Count(10))"),
    ("|sample(10s)", "Sample(Duration(10000000000))"),
    (
        "|derivative('a').unit(10s).nonNegative().as('b')",
        "field: \"a\", unit: 10000000000, non_negative: true, name: \"b\"",
    ),
    ("|derivative('a')", "name: \"a\""),
    ("|log().level('warn').prefix('p')", "level: Warn, prefix: \"p\""),
    ("|noOp()", "NoOp"),
    (
        "|alert().crit(lambda: TRUE).critReset(lambda: FALSE)",
        "crit: Rule { when: Some(Lambda(TRUE)), reset: Some(Lambda(FALSE)) }",
    ),
    (
        "|alert().info(lambda: TRUE).warn(lambda: FALSE)",
        "info: Rule { when: Some(Lambda(TRUE)), reset: None }, warn: Rule { when: Some(Lambda(FALSE))",
    ),
    (
        "|alert().topic('a').category('c').inhibit('d', 'x')",
        "topic: Some(\"a\"), category: Some(\"c\"), inhibits: [Inhibit { category: \"d\", tags: [\"x\"] }]",
    ),
    ("|alert().stateChangesOnly()", "state_changes_only: Some(0)"),
    (
        "|alert().stateChangesOnly(10m).noRecoveries().all()",
        "state_changes_only: Some(600000000000), no_recoveries: true, all: true",
    ),
    ("|alert().flapping(0.25, 0.5).history(1)", "flapping: Some((0.25, 0.5)), history: 2"),
    (
        "|alert().levelTag('a').levelField('b').idTag('c').idField('d').messageField('e').durationField('f')",
        "level_tag: Some(\"a\"), level_field: Some(\"b\"), id_tag: Some(\"c\"), id_field: Some(\"d\"), message_field: Some(\"e\"), duration_field: Some(\"f\")",
    ),
];

#[test]
fn every_property_is_set() {
    for (text, wanted) in PROPERTIES {
        let pipeline = built(&format!("{FROM}{text}"));
        let found = kind(&pipeline, pipeline.nodes.len() - 1);
        assert!(found.contains(wanted), "{text}\n{found}");
    }
}

#[test]
fn handlers_have_properties_of_their_own() {
    for (text, wanted) in [
        (
            ".mqtt('a').brokerName('b').qos(1).retained(TRUE)",
            "mqtt broker b qos AtLeastOnce retained true",
        ),
        (".mqtt('a')", "mqtt broker - qos AtMostOnce retained false"),
        (".mqtt('a').crit(lambda: TRUE).qos(2)", "mqtt broker - qos ExactlyOnce retained false"),
        (
            ".mqtt('a').mqtt('b').qos(2)",
            "mqtt broker - qos AtMostOnce retained false, mqtt2 broker - qos ExactlyOnce retained false",
        ),
        (".log('/tmp/a').mode(0644)", "log /tmp/a 644"),
        (".log('/tmp/a')", "log /tmp/a 600"),
        (".exec('a', 'b', 'c')", "exec a [\"b\", \"c\"]"),
        (".tcp('a:1')", "tcp a:1"),
        (
            ".post('http://a/b').header('K', 'v').timeout(5s).captureResponse()",
            "post http://a/b [(\"K\", \"v\")] Some(5000000000)",
        ),
    ] {
        let pipeline = built(&format!("{FROM}|alert(){text}"));
        let Some(Kind::Alert(alert)) = pipeline.nodes.last().map(|node| &node.kind) else {
            panic!()
        };
        let handlers = alert.handlers.iter().map(|handler| match &handler.kind {
            HandlerKind::Mqtt { broker, qos, retained, .. } => format!(
                "{} broker {} qos {qos:?} retained {retained}",
                handler.id,
                broker.as_deref().unwrap_or("-")
            ),
            HandlerKind::Log { path, mode } => format!("{} {path} {mode:o}", handler.id),
            HandlerKind::Exec { program, arguments } => {
                format!("{} {program} {arguments:?}", handler.id)
            }
            HandlerKind::Tcp { address } => format!("{} {address}", handler.id),
            HandlerKind::Post { url, headers, timeout } => {
                format!("{} {url} {headers:?} {timeout:?}", handler.id)
            }
            other => format!("{other:?}"),
        });
        assert_eq!(handlers.collect::<Vec<_>>().join(", "), wanted, "{text}");
    }
}

#[test]
fn topic_behind_mqtt_is_where_it_publishes() {
    let topic = |text: &str| match &built(text).nodes.last().unwrap().kind {
        Kind::Alert(alert) => alert.topic.clone(),
        _ => None,
    };
    assert_eq!(topic("stream|from()|alert().mqtt('a').topic('b')"), None);
    assert_eq!(topic("stream|from()|alert().topic('b').mqtt('a')").as_deref(), Some("b"));
}

#[test]
fn names_of_var_are_replaced_and_values_are_computed() {
    for (text, same) in [
        ("var x = 10 stream|from().where(lambda: \"a\" > x)", ".where(lambda: \"a\" > 10)"),
        ("var x = -10 stream|from().where(lambda: \"a\" > x)", ".where(lambda: \"a\" > -10)"),
        (
            "var x = lambda: \"a\" > 1 OR TRUE stream|from().where(lambda: x AND \"b\")",
            ".where(lambda: (\"a\" > 1 OR TRUE) AND \"b\")",
        ),
        ("var x = lambda: \"a\" > 1 stream|from().where(x)", ".where(lambda: \"a\" > 1)"),
        ("var x = 'a' + string(5) stream|from().measurement(x)", ".measurement('a5')"),
        ("var x = 7 / 2 stream|from().truncate(x * 1s)", ".truncate(3s)"),
        ("var x = 1m stream|from().truncate(x / 2)", ".truncate(30s)"),
        ("var x = ['a', 'b'] stream|from().groupBy(x)", ".groupBy('a', 'b')"),
        ("var x = * stream|from().groupBy(x)", ".groupBy(*)"),
        ("var x = 'a' var y = [x] stream|from().groupBy(y)", ".groupBy('a')"),
        ("var x = /a/ stream|from().where(lambda: \"a\" =~ x)", ".where(lambda: \"a\" =~ /a/)"),
    ] {
        let other = built(&format!("{FROM}{same}"));
        assert_eq!(kind(&built(text), 1), kind(&other, 1), "{text}");
    }
}

#[test]
fn whoever_uses_a_script_gives_values() {
    let text =
        "var m string var limit = 5 stream|from().measurement(m).where(lambda: \"a\" > limit)";
    let vars = |json| Vars::read(&json).unwrap();
    let some = vars(json!({"m": {"type": "string", "value": "cpu"}}));
    let found = kind(&tried(text, &some).unwrap(), 1);
    assert!(found.contains("measurement: Some(\"cpu\")") && found.contains("> 5)"), "{found}");
    let both = vars(json!({
        "m": {"type": "string", "value": "cpu"},
        "limit": {"type": "int", "value": 7},
    }));
    let found = kind(&tried(text, &both).unwrap(), 1);
    assert!(found.contains("> 7)"), "{found}");
    let wrong = vars(json!({
        "m": {"type": "int", "value": 1},
        "limit": {"type": "float", "value": 7.5},
    }));
    assert_eq!(
        tried(text, &wrong).unwrap_err().to_string(),
        "line 1 char 7: `m` is of the type string, not int\n\
         line 1 char 18: `limit` is of the type int, not float"
    );
    assert_eq!(
        faults("var m string stream|from().measurement(m)"),
        "line 1 char 7: the variable \
         `m` has no value: give one in vars"
    );
    assert_eq!(
        faults("var m text stream|from()"),
        "line 1 char 7: there is no type `text`; types \
         are int, float, bool, string, regex, duration, lambda, list, star"
    );
}

#[test]
fn databases_are_named_in_the_script() {
    let pipeline = built("dbrp \"a\".\"b\" dbrp \"c\".\"\" stream|from()");
    let dbrps: Vec<String> = pipeline.dbrps.iter().map(ToString::to_string).collect();
    assert_eq!(dbrps, ["\"a\".\"b\"", "\"c\".\"\""]);
}

const FAULTS: [(&str, &str); 51] = [
    ("var x = 5", "1 char 1: the script makes no nodes: it begins with `stream|from()`"),
    ("stream", "1 char 1: the script makes no nodes: it begins with `stream|from()`"),
    (
        "batch|query('a')",
        "1 char 1: batch tasks query a database, which is not supported; \
        `stream|from()` takes points as they are written",
    ),
    (
        "var x = 5 var x = 6 stream|from()",
        "1 char 15: `x` has a value already, and it cannot be changed",
    ),
    ("stream|alert()", "1 char 8: `from` comes first: stream|from()|alert()"),
    (
        "stream|from()|where(lambda: TRUE)|from()",
        "1 char 35: `from` follows `stream`: stream|from()",
    ),
    ("strean|from()", "1 char 1: `strean` is not defined; did you mean `stream`?"),
    ("var x = 5 x|from()", "1 char 11: a node is expected here, not a int"),
    (
        "stream|from().measurement(\"cpu\")",
        "1 char 27: text is written in single quotes; double quotes are for fields and tags in lambdas",
    ),
    ("stream|from().measurement(5)", "1 char 27: a string is expected here, not an int"),
    (
        "stream|from().measurement()",
        "1 char 15: `measurement` takes one argument, not none: measurement('name')",
    ),
    (
        "stream|from().measurement('a', 'b')",
        "1 char 15: `measurement` takes one argument, not 2: measurement('name')",
    ),
    (
        "stream|from().alert()",
        "1 char 15: `alert` is a node, not a property of `from`: write |alert(…) with a bar",
    ),
    (
        "stream|from()|alert()|message('a')",
        "1 char 23: `message` is a property of `alert`, not a node: write .message(…) with a point",
    ),
    (
        "stream|from().mesurement('a')",
        "1 char 15: `from` has no property `mesurement`; did you mean `measurement`?",
    ),
    (
        "stream|from()|alert().qos(1)",
        "1 char 23: `alert` has no property `qos`; it is one of the handler `mqtt`",
    ),
    (
        "stream|from()|mean('a').unit(1s)",
        "1 char 25: `mean` has no property `unit`; it is one of `stateDuration`",
    ),
    ("stream|from()|allert()", "1 char 15: there is no node `allert`; did you mean `alert`?"),
    (
        "stream|from()|join(stream|from()).as('a', 'b')",
        "1 char 15: the node `join` is not supported: compare the values with eval() in one measurement, or use union()",
    ),
    (
        "stream|from()@udf().x(1)",
        "1 char 14: `@udf`: functions of other programs (UDF) are not supported",
    ),
    (
        "stream|from()|alert().slack().channel('a')",
        "1 char 23: the handler `slack` is not supported: .post('https://…') or .exec('program') reach it, or .topic('name') with a handler of the kind mqtt, post, exec or ilert",
    ),
    ("stream|from()|window()", "1 char 15: a window needs .period(10s) or .periodCount(10)"),
    (
        "stream|from()|window().period(1s).periodCount(1)",
        "1 char 15: a window has a .period() or a .periodCount(), not both",
    ),
    (
        "stream|from()|window().periodCount(1).everyCount(1).align()",
        "1 char 15: .align() is for windows with a .period(): points have no round numbers",
    ),
    (
        "stream|from()|window().periodCount(1)",
        "1 char 15: a window with .periodCount() needs .everyCount(), which is more than 0",
    ),
    ("stream|from()|window().period(0s)", "1 char 31: a duration of 0 makes no sense here"),
    ("stream|from()|window().period(-1s)", "1 char 31: a duration cannot be negative here"),
    (
        "stream|from()|window().periodCount(0).everyCount(1)",
        "1 char 36: a number from 1 to 100000 is needed, not 0",
    ),
    (
        "stream|from()|eval(lambda: 1)",
        "1 char 15: the results have no names: there is one for each lambda in .as('name', …)",
    ),
    (
        "stream|from()|eval(lambda: 1).as('a', 'b')",
        "1 char 31: `as` takes a name for each lambda: 1, not 2",
    ),
    (
        "stream|from().groupBy(*, 'a')",
        "1 char 23: `*` is all tags; there can be no names beside it",
    ),
    ("stream|from()|percentile('a', 101)", "1 char 31: a percentile is from 0.0 to 100.0"),
    (
        "stream|from()|alert().flapping(0.5, 1.5)",
        "1 char 37: a number from 0.0 to 1.0 is needed, not 1.5",
    ),
    (
        "stream|from()|alert().crit(\"a\" > 1)",
        "1 char 28: text is written in single quotes; double quotes are for fields and tags in lambdas",
    ),
    (
        "stream|from()|alert().crit(TRUE)",
        "1 char 28: a lambda, `lambda: …`, is expected here, not a bool",
    ),
    (
        "stream|from()|alert().crit(lambda: host == 'a')",
        "1 char 36: `host` is not defined; a field or tag is written \"host\", a text 'host'",
    ),
    ("stream|from()|alert().crit(lambda: true)", "1 char 36: `true` is not defined; write TRUE"),
    (
        "stream|from()|alert().topic('a b')",
        "1 char 29: the topic `a b` may only have letters, digits, `-`, `.`, `_` and `:`",
    ),
    (
        "stream|from()|alert().mqtt()",
        "1 char 23: `mqtt` takes one argument, not none: mqtt('topic')",
    ),
    ("stream|from()|alert().mqtt('')", "1 char 28: the MQTT topic is empty"),
    ("stream|from()|alert().mqtt('a/#')", "1 char 28: a topic may not contain the wildcard `#`"),
    ("stream|from()|alert().mqtt('a').qos(3)", "1 char 37: qos is 0, 1 or 2, not 3"),
    (
        "stream|from()|alert().mqtt('a').qos('1')",
        "1 char 37: an int is expected here, not a string",
    ),
    (
        "stream|from()|alert().mqtt('a').retained()",
        "1 char 33: `retained` takes one argument, not none: retained(TRUE)",
    ),
    ("stream|from()|alert().log('a')", "1 char 27: the path of a log is absolute: /tmp/alerts.log"),
    (
        "stream|from()|alert().log('/a').mode(01000)",
        "1 char 38: a mode is an octal number such as 0644",
    ),
    ("stream|from()|alert().tcp('a')", "1 char 27: `a` is not host:port"),
    (
        "stream|from()|alert().noRecoveries(TRUE)",
        "1 char 36: `noRecoveries` takes no argument: noRecoveries()",
    ),
    (
        "stream|from()|deadman()",
        "1 char 15: `deadman` takes a threshold and an interval, not none: deadman(0.0, 10s)",
    ),
    ("var x = 'a' + 5 stream|from()", "1 char 13: "),
    ("var x = 1 / 0 stream|from()", "1 char 11: "),
];

#[test]
fn what_is_wrong_with_a_script_is_said_with_its_place() {
    for (text, wanted) in FAULTS {
        let found = faults(text);
        assert!(found.starts_with(&format!("line {wanted}")), "{text}\n{found}");
        assert!(!found.contains('\n'), "one fault: {text}\n{found}");
    }
}

#[test]
fn all_faults_are_reported_together() {
    let text = "var a = b
var c = a
stream
    |from()
        .measurement(c)
        .nope()
    |join()
        .as('x')
    |alert()
        .crit(lambda: nope(\"x\"))
        .mqtt('a')
        .qos(3)";
    let found = faults(text);
    let places: Vec<&str> = found.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        places,
        ["line 1 char 9", "line 6 char 10", "line 7 char 6", "line 10 char 23", "line 12 char 14"]
    );
}

#[test]
fn lambdas_made_of_lambdas_have_bounds() {
    let mut text = "var a0 = lambda: 1".to_owned();
    for index in 1..40 {
        text += &format!(" var a{index} = lambda: a{0} + a{0}", index - 1);
    }
    assert!(faults(&text).contains("the expression is too large"));
    let mut text = "var a0 = lambda: 1".to_owned();
    for index in 1..2_000 {
        text += &format!(" var a{index} = lambda: -a{}", index - 1);
    }
    assert!(faults(&text).contains("the expression is too large"));
    let text = format!("var s = stream|from(){}", "|noOp()".repeat(300));
    assert!(faults(&text).contains("a task has at most 200 nodes"));
    let text = format!("var s = stream|from(){}", "|noOp()".repeat(62));
    built(&text);
    assert_eq!(
        faults(&format!("{text}|noOp()|noOp()")),
        "line 1 char 457: at most 64 nodes may lie below each other"
    );
}
