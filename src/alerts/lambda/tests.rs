//! Every operator and every function, as a script writes them.

use super::*;
use crate::alerts::point::{Field, Point};
use crate::alerts::script::{duration, parse_expression};

mod refused;

/// 2024-05-06 07:08:09.12 UTC, a Monday.
const TIME: i64 = 1_714_979_289_120_000_000;

fn point() -> Point {
    let fields = [
        ("float", Field::Float(9.25)),
        ("int", Field::Int(3)),
        ("yes", Field::Bool(true)),
        ("no", Field::Bool(false)),
        ("text", Field::from("Hello, World")),
        ("zero", Field::Int(0)),
        ("both", Field::Int(1)),
    ];
    let tags = [("host", "serverA"), ("num", "42"), ("both", "1")];
    Point {
        database: "telegraf".into(),
        retention_policy: "autogen".into(),
        measurement: "cpu".into(),
        tags: tags.map(|(key, value)| (key.into(), value.into())).into_iter().collect(),
        fields: fields.map(|(key, value)| (key.into(), value)).into_iter().collect(),
        time: TIME,
    }
}

fn lambda(text: &str) -> Lambda {
    let expression = parse_expression(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    Lambda::new(&expression).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

/// A value as a script writes it; times are nanoseconds behind an `@`.
fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Float(value) => format!("{value:?}"),
        Value::Int(value) => value.to_string(),
        Value::Bool(true) => "TRUE".to_owned(),
        Value::Bool(false) => "FALSE".to_owned(),
        Value::Text(text) => format!("'{text}'"),
        Value::Duration(nanos) => duration(*nanos),
        Value::Time(time) => format!("@{time}"),
        Value::Regex(regex) => format!("/{regex}/"),
    }
}

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    let point = point();
    for (text, wanted) in rows {
        let lambda = lambda(text);
        let found = match lambda.evaluate(&mut lambda.state(), &OfPoint::new(&point, TIME)) {
            Ok(value) => shown(&value),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, *wanted, "{text}");
    }
}

#[test]
fn values_are_written_as_in_scripts() {
    check(&[
        ("10", "10"),
        ("010", "8"),
        ("1.5", "1.5"),
        (".5", "0.5"),
        ("1.", "1.0"),
        ("TRUE", "TRUE"),
        (r"'it\'s'", "'it's'"),
        (r"'a\n'", r"'a\n'"),
        ("90s", "90s"),
        ("1h", "1h"),
        ("/a+/", "/a+/"),
        ("\"float\"", "9.25"),
        ("\"int\"", "3"),
        ("\"yes\"", "TRUE"),
        ("\"text\"", "'Hello, World'"),
        ("\"host\"", "'serverA'"),
        ("\"time\"", "@1714979289120000000"),
    ]);
}

#[test]
fn arithmetic() {
    check(&[
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-3 % 2", "-1"),
        ("7.0 / 2.0", "3.5"),
        ("1.0 / 0.0", "inf"),
        ("\"int\" / 2", "1"),
        ("\"int\" * 2 - 1", "5"),
        ("\"float\" + 0.75", "10.0"),
        ("\"text\" + '!'", "'Hello, World!'"),
        ("5m + 30s", "330s"),
        ("5m - 10m", "-5m"),
        ("5m * 2", "10m"),
        ("2 * 5m", "10m"),
        ("1.5 * 1m", "90s"),
        ("1h / 4", "15m"),
        ("1h / 2.5", "24m"),
        ("1h / 15m", "4"),
        ("-\"int\"", "-3"),
        ("-\"float\"", "-9.25"),
        ("-5m", "-5m"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        ("(-9223372036854775807 - 1) / -1", "-9223372036854775808"),
        ("(-9223372036854775807 - 1) % -1", "0"),
    ]);
}

#[test]
fn comparisons() {
    check(&[
        ("\"int\" == 3", "TRUE"),
        ("\"int\" == 3.0", "TRUE"),
        ("\"float\" < 10", "TRUE"),
        ("\"float\" >= 9.25", "TRUE"),
        ("\"float\" != 9.25", "FALSE"),
        ("10 > \"float\"", "TRUE"),
        ("\"int\" <= 2", "FALSE"),
        ("\"host\" == 'serverA'", "TRUE"),
        ("\"host\" < 'serverB'", "TRUE"),
        ("'a' != 'b'", "TRUE"),
        ("1m == 60s", "TRUE"),
        ("59s > 1m", "FALSE"),
        ("\"yes\" == TRUE", "TRUE"),
        ("\"yes\" != \"no\"", "TRUE"),
        ("1 < 2 == TRUE", "TRUE"),
        ("\"host\" =~ /^server/", "TRUE"),
        ("\"host\" !~ /^server/", "FALSE"),
        ("\"host\" =~ /(?i)SERVERa$/", "TRUE"),
        ("0.0 / 0.0 == 0.0", "FALSE"),
        ("0.0 / 0.0 != 0.0", "TRUE"),
        ("0.0 / 0.0 < 1.0", "FALSE"),
        ("int(\"num\") > 41", "TRUE"),
    ]);
}

#[test]
fn logic() {
    check(&[
        ("TRUE OR FALSE AND FALSE", "TRUE"),
        ("!\"no\"", "TRUE"),
        ("!\"yes\" OR \"yes\"", "TRUE"),
        ("\"yes\" AND \"no\"", "FALSE"),
        ("\"yes\" AND \"yes\" AND \"int\" == 3", "TRUE"),
        ("\"no\" OR \"no\" OR \"int\" == 4", "FALSE"),
        // What decides it ends it,
        ("TRUE OR \"gone\" > 1", "TRUE"),
        ("FALSE AND \"gone\" > 1", "FALSE"),
        ("isPresent(\"gone\") AND \"gone\" > 1", "FALSE"),
        ("!isPresent(\"gone\") OR \"gone\" > 1", "TRUE"),
        ("\"no\" AND 1 / \"zero\" == 1", "FALSE"),
        // but not a bare reference that is no bool.
        ("FALSE AND \"gone\"", "line 1 char 11: the point has no field or tag \"gone\""),
        (
            "TRUE OR \"int\"",
            "line 1 char 6: OR does not go with bool and int; bool(), int(), float(), string() \
             and duration() convert",
        ),
        ("FALSE AND \"yes\"", "FALSE"),
    ]);
}

#[test]
fn what_only_a_point_can_show() {
    check(&[
        ("\"gone\"", "line 1 char 1: the point has no field or tag \"gone\""),
        ("\"gone\" > 1", "line 1 char 1: the point has no field or tag \"gone\""),
        ("1 < \"gone\"", "line 1 char 5: the point has no field or tag \"gone\""),
        ("-\"gone\"", "line 1 char 2: the point has no field or tag \"gone\""),
        ("\"both\" == 1", "line 1 char 1: the point has a field and a tag \"both\""),
        ("\"int\" / \"zero\"", "line 1 char 7: division by zero"),
        ("\"int\" % \"zero\"", "line 1 char 7: division by zero"),
        ("1h / \"zero\"", "line 1 char 4: division by zero"),
        ("1h / (\"float\" - 9.25)", "line 1 char 4: division by zero"),
        (
            "\"num\" > 41",
            "line 1 char 7: > does not go with string and int; bool(), int(), float(), string() \
             and duration() convert",
        ),
        ("!\"int\"", "line 1 char 1: ! needs a bool, this is: int"),
        ("-\"text\"", "line 1 char 1: - needs a number or a duration, this is: string"),
        ("abs(\"int\")", "line 1 char 1: abs takes (float), not (int)"),
        ("sigma(\"int\")", "line 1 char 1: sigma takes (float), not (int)"),
        ("int(\"text\")", "line 1 char 1: int: 'Hello, World' is not a whole number"),
        ("bool(\"int\")", "line 1 char 1: bool: 3 is not true or false, nor 0 or 1"),
    ]);
}

#[test]
fn conversions() {
    check(&[
        ("bool(1)", "TRUE"),
        ("bool(0.0)", "FALSE"),
        ("bool('t')", "TRUE"),
        ("bool(\"yes\")", "TRUE"),
        ("int(TRUE)", "1"),
        ("int(2.9999)", "2"),
        ("int(-2.9)", "-2"),
        ("int('-7')", "-7"),
        ("int(\"int\")", "3"),
        ("int(1u)", "1000"),
        ("float(\"int\")", "3.0"),
        ("float('1e3')", "1000.0"),
        ("float(FALSE)", "0.0"),
        ("string(1.50)", "'1.5'"),
        ("string(1.0)", "'1'"),
        ("string(90s)", "'90s'"),
        ("string(1500ms)", "'1500ms'"),
        ("string(float('1e20'))", "'100000000000000000000'"),
        ("string(\"int\")", "'3'"),
        ("string(TRUE)", "'true'"),
        ("string(\"host\")", "'serverA'"),
        ("duration(90, 1s)", "90s"),
        ("duration(\"float\", 1m)", "555s"),
        ("duration('1h30m', 1s)", "90m"),
        ("duration('5m')", "5m"),
        ("duration(5m)", "5m"),
        ("humanBytes(82854982)", "'83 MB'"),
        ("humanBytes(\"float\")", "'9 B'"),
        ("humanBytes(1234.0)", "'1.2 kB'"),
        ("if(\"yes\", 1, 2)", "1"),
        ("if(\"no\", 'a', \"host\")", "'serverA'"),
        ("if(\"float\" > 9, \"float\", 9.0)", "9.25"),
        ("isPresent(\"float\")", "TRUE"),
        ("isPresent(\"host\")", "TRUE"),
        ("isPresent(\"gone\")", "FALSE"),
        ("isPresent(\"both\")", "TRUE"),
    ]);
}

#[test]
fn mathematics() {
    check(&[
        ("abs(-1.5)", "1.5"),
        ("acos(1.0)", "0.0"),
        ("acosh(1.0)", "0.0"),
        ("asin(0.0)", "0.0"),
        ("asinh(0.0)", "0.0"),
        ("atan(0.0)", "0.0"),
        ("atan2(0.0, 1.0)", "0.0"),
        ("atanh(0.0)", "0.0"),
        ("cbrt(27.0)", "3.0"),
        ("ceil(\"float\")", "10.0"),
        ("cos(0.0)", "1.0"),
        ("cosh(0.0)", "1.0"),
        ("erf(0.0)", "0.0"),
        ("erfc(0.0)", "1.0"),
        ("exp(0.0)", "1.0"),
        ("exp2(10.0)", "1024.0"),
        ("expm1(0.0)", "0.0"),
        ("floor(\"float\")", "9.0"),
        ("gamma(5.0)", "24.0"),
        ("hypot(3.0, 4.0)", "5.0"),
        ("j0(0.0)", "1.0"),
        ("j1(0.0)", "0.0"),
        ("jn(2, 0.0)", "0.0"),
        ("log(1.0)", "0.0"),
        ("log10(1000.0)", "3.0"),
        ("log1p(0.0)", "0.0"),
        ("log2(8.0)", "3.0"),
        ("logb(9.0)", "3.0"),
        ("max(\"float\", 10.0)", "10.0"),
        ("min(\"float\", 10.0)", "9.25"),
        ("mod(7.5, 2.0)", "1.5"),
        ("mod(-7.5, 2.0)", "-1.5"),
        ("pow(2.0, 10.0)", "1024.0"),
        ("pow10(3)", "1000.0"),
        ("pow10(-2)", "0.01"),
        ("pow10(400)", "inf"),
        ("sin(0.0)", "0.0"),
        ("sinh(0.0)", "0.0"),
        ("sqrt(16.0)", "4.0"),
        ("sqrt(-1.0)", "NaN"),
        ("tan(0.0)", "0.0"),
        ("tanh(0.0)", "0.0"),
        ("trunc(-1.9)", "-1.0"),
        ("y0(0.0)", "-inf"),
        ("y1(0.0)", "-inf"),
        ("yn(2, 0.0)", "-inf"),
        ("int(1000.0 * j0(1.0))", "765"),
        ("int(1000.0 * yn(2, 1.0))", "-1650"),
        ("jn(\"int\" * 1000, 1.0)", "line 1 char 1: jn: the order is at most 1000"),
    ]);
}

#[test]
fn texts() {
    check(&[
        ("strContains(\"text\", 'World')", "TRUE"),
        ("strContainsAny(\"text\", 'xyzW')", "TRUE"),
        ("strContainsAny(\"text\", '')", "FALSE"),
        ("strCount('cheese', 'e')", "3"),
        ("strCount('five', '')", "5"),
        ("strHasPrefix(\"host\", 'server')", "TRUE"),
        ("strHasSuffix(\"host\", 'B')", "FALSE"),
        ("strIndex('chicken', 'ken')", "4"),
        ("strIndex('chicken', 'dmr')", "-1"),
        ("strIndexAny('golang', 'gy')", "0"),
        ("strLastIndex('go gopher', 'go')", "3"),
        ("strLastIndexAny('golang', 'go')", "5"),
        ("strLength('µs')", "3"),
        ("strReplace('oink oink oink', 'k', 'ky', 2)", "'oinky oinky oink'"),
        ("strReplace('oink oink oink', 'oink', 'moo', -1)", "'moo moo moo'"),
        ("strReplace('abc', '', '-', -1)", "'-a-b-c-'"),
        ("strSubstring(\"text\", 1, 5)", "'ello'"),
        ("strToLower('ABC')", "'abc'"),
        ("strToUpper(\"host\")", "'SERVERA'"),
        ("strTrim('xxhixx', 'x')", "'hi'"),
        ("strTrimLeft('xxhixx', 'x')", "'hixx'"),
        ("strTrimRight('xxhixx', 'x')", "'xxhi'"),
        ("strTrimPrefix('xxhixx', 'x')", "'xhixx'"),
        ("strTrimSuffix('xxhixx', 'x')", "'xxhix'"),
        ("strTrimSpace('\t hi ')", "'hi'"),
        ("strTrim('a' + \"host\", 'aA')", "'server'"),
        ("regexReplace(/a(x*)b/, '-ab-axxb-', '$1')", "'--xx-'"),
        ("regexReplace(/a(x*)b/, '-ab-axxb-', '${1}W')", "'-W-xxW-'"),
        ("regexReplace(/server(.)/, \"host\", 'host-$1')", "'host-A'"),
        (
            "strSubstring(\"text\", 0, 12)",
            "line 1 char 1: strSubstring: 0 to 12 is not within a text of 12 bytes; the end must \
             be before the last byte",
        ),
        (
            "strSubstring(\"text\", 5, 2)",
            "line 1 char 1: strSubstring: 5 to 2 is backwards or cuts a character in two",
        ),
    ]);
}

#[test]
fn dates() {
    check(&[
        ("unixNano(\"time\")", "1714979289120000000"),
        ("minute(\"time\")", "8"),
        ("hour(\"time\")", "7"),
        ("weekday(\"time\")", "1"),
        ("day(\"time\")", "6"),
        ("month(\"time\")", "5"),
        ("year(\"time\")", "2024"),
        ("unixNano(now())", "1714979289120000000"),
        ("if(TRUE, \"time\", now())", "@1714979289120000000"),
    ]);
}

/// A zone five and a half hours ahead, and an event that a handler is asked about.
struct Elsewhere;

impl Scope for Elsewhere {
    fn reference(&self, name: &str) -> Found<'_> {
        if name == "host" { Found::One(Value::text("a")) } else { Found::Nothing }
    }

    fn time(&self) -> i64 {
        TIME
    }

    fn offset(&self, _: i64) -> i64 {
        19_800_000_000_000
    }

    fn outer(&self, what: Outer) -> Value<'_> {
        match what {
            Outer::Level => Value::Int(2),
            Outer::Changed => Value::Bool(true),
            Outer::Name => Value::text("cpu"),
            Outer::TaskName => Value::text("cpu_alert"),
            Outer::AlertDuration => Value::Duration(30_000_000_000),
        }
    }
}

#[test]
fn dates_are_local() {
    for (text, wanted) in [("hour(\"time\")", "12"), ("minute(\"time\")", "38")] {
        let lambda = lambda(text);
        let value = lambda.evaluate(&mut lambda.state(), &Elsewhere).expect("a date");
        assert_eq!(shown(&value), wanted, "{text}");
    }
}

#[test]
fn a_handler_asks_about_an_event() {
    for (text, wanted) in [
        ("level() == WARNING", true),
        ("level() >= CRITICAL OR level() == OK", false),
        ("level() > INFO AND \"host\" == 'a'", true),
        ("changed() == TRUE", true),
        ("changed()", true),
        ("name() == 'cpu' AND taskName() =~ /^cpu/", true),
        ("alertDuration() < 1m", true),
        ("alertDuration() > 5m", false),
    ] {
        let expression = parse_expression(text).expect("an expression");
        let lambda = Lambda::matching(&expression).expect("a condition");
        assert_eq!(lambda.holds(&mut lambda.state(), &Elsewhere), Ok(wanted), "{text}");
    }
}

#[test]
fn each_call_remembers_for_itself_and_for_each_group() {
    let lambda = lambda("count() * 100 + if(\"yes\", count(), 0) + int(spread(\"float\"))");
    assert!(lambda.remembers());
    let mut point = point();
    let mut states = [lambda.state(), lambda.state()];
    for (group, float, wanted) in [(0, 9.25, "101"), (0, 19.25, "212"), (1, 1.0, "101")] {
        point.fields.set("float".into(), Field::Float(float));
        let scope = OfPoint::new(&point, TIME);
        let value = lambda.evaluate(&mut states[group], &scope).expect("a number");
        assert_eq!(shown(&value), wanted);
    }
    let mut restored = lambda.restored(&states[0].to_text());
    assert_eq!(restored, states[0]);
    let scope = OfPoint::new(&point, TIME);
    let value = lambda.evaluate(&mut restored, &scope).expect("a number");
    assert_eq!(shown(&value), "321");
    assert_eq!(lambda.restored("c1"), lambda.state(), "damaged");
}

#[test]
fn results_of_earlier_expressions_go_first() {
    let point = point();
    let earlier = [("float".into(), Field::Float(1.0)), ("new".into(), Field::Int(1))];
    let scope = OfPoint { earlier: &earlier, ..OfPoint::new(&point, TIME) };
    for (text, wanted) in [("\"float\"", "1.0"), ("\"new\"", "1"), ("\"int\"", "3")] {
        let lambda = lambda(text);
        let value = lambda.evaluate(&mut lambda.state(), &scope).expect("a value");
        assert_eq!(shown(&value), wanted, "{text}");
    }
}

#[test]
fn expressions_with_one_meaning_have_one_text() {
    for (text, wanted) in [
        ("\"usage_idle\"<10", "\"usage_idle\" < 10"),
        ("(\"a\"+1)*2", "(\"a\" + 1) * 2"),
        ("if( \"a\" ,'x','y' )", "if(\"a\", 'x', 'y')"),
    ] {
        assert_eq!(lambda(text).text(), wanted);
    }
    assert_eq!(lambda("1<2"), lambda("1 < 2"));
}
