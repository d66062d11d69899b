//! What expressions mean, measured with the reference implementation.

use super::*;
use crate::system::threads::DEEP_STACK_BYTES;
use proptest::prelude::{prop_assert_eq, proptest};

const TABLE: &str = include_str!("tests/table.txt");

fn evaluated(text: &str, input: &str) -> Result<Value, String> {
    let input =
        if input.is_empty() { Value::Nothing } else { json::read(input.as_bytes()).unwrap() };
    let vars = [("id".into(), Value::text("m1")), ("n".into(), Value::Number(7.0))];
    let last = |label: Option<&str>| match label {
        None => Value::Number(1.0),
        Some("a") => Value::text("left"),
        Some(_) => Value::Nothing,
    };
    let context = Context {
        topic: "plant/m1/temp",
        label: "temp",
        vars: &vars,
        now: 1_700_000_000_123,
        last: &last,
    };
    let expression = Expression::new(text, &Scope::default());
    let expression = expression.map_err(|fault| fault.code.to_owned())?;
    expression.evaluate(&input, &context).map_err(|error| error.code.to_owned())
}

fn shown(result: Result<Value, String>) -> String {
    match result.map(|value| json::write(&value, RESULT_BYTES_MAX)) {
        Ok(Ok(Some(text))) => text,
        Ok(Ok(None)) => "nothing".to_owned(),
        Ok(Err(_)) => "infinite".to_owned(),
        Err(code) => format!("error {code}"),
    }
}

/// Input, expression and result of each line, between tabs.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let mut input = "";
    TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with("//")).filter_map(
        move |line| {
            if let Some(given) = line.strip_prefix("input ") {
                input = given;
                return None;
            }
            let (expression, wanted) = line.split_once(" => ").expect("a row has an arrow");
            Some((input, expression.trim(), wanted.trim()))
        },
    )
}

#[test]
fn expressions_mean_what_the_table_says() {
    let mut wrong = Vec::new();
    for (input, expression, wanted) in rows() {
        let found = shown(evaluated(expression, input));
        if found != wanted {
            wrong.push(format!("{expression} of {input}: {found}, not {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_known_of_the_message_has_names() {
    for (expression, wanted) in [
        ("$context.topic", r#""plant/m1/temp""#),
        ("$context.label", r#""temp""#),
        ("$context.vars.id", r#""m1""#),
        ("$context.vars.n + 1", "8"),
        ("$context.vars.missing", "nothing"),
        ("$context.vars", r#"{"id":"m1","n":7}"#),
        ("$split($context.topic, \"/\")[1]", r#""m1""#),
        ("x.($context.label & $)", r#""tempy""#),
        ("$last()", "1"),
        ("$last(\"a\")", r#""left""#),
        ("$last(\"b\") ? 1 : 2", "2"),
        ("$now()", r#""2023-11-14T22:13:20.123Z""#),
        ("$millis()", "1700000000123"),
        ("($context := {\"topic\": 5}; $context.topic)", "5"),
    ] {
        assert_eq!(shown(evaluated(expression, r#"{"x":"y"}"#)), wanted, "{expression}");
    }
}

#[test]
fn what_can_never_work_is_a_fault_with_its_place() {
    for (text, offset, wanted) in [
        ("a +", 3, "the expression ends where a value should be (S0207)"),
        ("", 0, "the expression ends where a value should be (S0207)"),
        ("a b", 2, "`b` is out of place (S0201)"),
        ("(a", 2, "`)` is missing at the end (S0203)"),
        ("[a b]", 3, "`]` is missing before `b` (S0202)"),
        ("a & )", 4, "`)` where a value should be (S0211)"),
        ("\"a", 0, "the text does not end (S0101)"),
        ("\"a\\x\"", 2, "no such escape in a text (S0103)"),
        ("\"\\u12\"", 1, "four digits must follow \\u (S0104)"),
        ("1e999", 0, "the number is out of range (S0102)"),
        ("`a", 0, "the quoted name does not end (S0105)"),
        ("1 /* x", 2, "the comment does not end (S0106)"),
        ("a.5", 2, "this value cannot be a step of a path (S0213)"),
        ("a := 5", 0, "only a `$variable` can stand before `:=` (S0212)"),
        ("function(a){1}", 9, "a parameter is a `$variable` (S0208)"),
        ("1 + $foo", 4, "there is no variable or function $foo"),
        ("$round(1) + $match(\"a\", \"b\")", 12, "the function $match of JSONata is not supported"),
        ("sum(a)", 0, "functions begin with a dollar sign: $sum(…) (T1005)"),
        ("$context.foo", 9, "$context has topic, label and vars, and nothing else"),
        ("$round(1, 2, 3)", 0, "$round takes 0 to 2 arguments, not 3 (T0410)"),
        ("$now(\"[Y]\")", 0, "$now takes 0 arguments, not 1 (T0410)"),
        ("a ~> $sum(b)", 5, "$sum takes 1 arguments, not 2 (T0410)"),
        ("a.**", 2, "`**` (all descendants) of JSONata is not supported"),
        ("a.%", 2, "`%` (the parent) of JSONata is not supported"),
        ("a^(b)", 1, "`^(…)` (sorting, as $sort does) of JSONata is not supported"),
        (
            "a{b: c}",
            1,
            "`{…}` behind a value (grouping, unlike `.{…}`) of JSONata is not supported",
        ),
        ("a@$b", 1, "`@` (binding a step) of JSONata is not supported"),
        ("$ ~> |a|{}|", 5, "`|…|` (changes of a copy) of JSONata is not supported"),
        ("$contains(a, /x/)", 13, "a regular expression of JSONata is not supported"),
        ("$round(?, 2)", 7, "`?` in place of an argument of JSONata is not supported"),
        ("function($a)<n:n>{$a}", 12, "the signature of a function of JSONata is not supported"),
    ] {
        let fault = Expression::new(text, &Scope::default()).expect_err(text);
        assert_eq!((fault.to_string().as_str(), fault.offset), (wanted, offset), "{text}");
    }
    let known = ["id".to_owned()];
    let scope = Scope { vars: Some(&known) };
    assert_eq!(check("$context.vars.id", &scope), Ok(()));
    let fault = check("1 + $context.vars.ie", &scope).unwrap_err();
    assert_eq!(
        (fault.offset, fault.words.as_str()),
        (18, "there is no variable ie in $context.vars, but id")
    );
}

#[test]
fn nothing_takes_more_than_a_bounded_amount_of_work_memory_and_stack() {
    let deep = |open: &str, close: &str, times: usize| {
        format!("{}1{}", open.repeat(times), close.repeat(times))
    };
    for text in [
        deep("(", ")", 5_000),
        deep("[", "]", 70),
        deep("{\"a\":", "}", 70),
        deep("-", "", 5_000),
        deep("1 + ", "", 2_000),
        deep("true ? ", "", 100),
        format!("a{}", "[0]".repeat(5_000)).chars().take(BYTES_MAX + 1).collect(),
        format!("{}1", "$x := ".repeat(200)),
        "x".repeat(BYTES_MAX + 1),
    ] {
        if let Ok(expression) = Expression::new(&text, &Scope::default()) {
            assert_eq!(expression.text(), text);
            assert!(text.starts_with("a["), "{} bytes are too deep", text.len());
        }
    }
    for text in [
        "($f := function($n){ $f($n + 1) }; $f(0))",
        "$reduce([1..99999], function($a, $b){ [[$a]] })",
        "$reduce([1..60], function($a, $b){ [[$a], [$a]] })",
        "$reduce([1..60], function($a, $b){ $a & $a }, \"x\")",
        "$reduce([1..60], function($a, $b){ $append($a, $a) }, [1])",
        "$reduce([1..5000], function($f, $b){ ($type($f) = \"number\" ? $string : $f) ~> $string })",
        "[1..1000000]",
        "$map([1..90000], function(){ $pad(\"x\", 1000000) })",
        "$pad(\"x\", 10000000000)",
        "$join($map([1..2000], function(){ $pad(\"x\", 1000) }))",
        "$distinct([1..50000])",
        "[1..99999][$ in [1..99999]]",
    ] {
        let found = shown(evaluated(text, "null"));
        assert!(matches!(found.as_str(), "error " | "error D2014"), "{text}: {found}");
    }
}

#[test]
fn the_deepest_evaluation_fits_on_the_stack_of_a_session() {
    let nested = |text: &str, times: usize| format!("{}1{}", text.repeat(times), ")".repeat(times));
    let thread = std::thread::Builder::new().stack_size(DEEP_STACK_BYTES);
    let evaluations = thread.spawn(move || {
        for text in [
            "($f := function($n){ $n = 0 ? 0 : 1 + ($f($n - 1)) }; $f(60))".to_owned(),
            "($f := function($n){ $map([$n], function($m){ [{\"a\": $f($m)}] }) }; $f(0))"
                .to_owned(),
            "($f := function($n){ $n.($f($n)) }; $f([1]))".to_owned(),
            nested("$string(", 60),
            nested("a.(", 60),
        ] {
            let _ = evaluated(&text, "{}");
        }
    });
    evaluations.unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in "[ -~λü]{0,60}", input in "[ -~]{0,20}") {
        let input = json::read(input.as_bytes()).unwrap_or_default();
        if let Ok(expression) = Expression::new(&text, &Scope::default()) {
            let last = |_: Option<&str>| Value::Nothing;
            let context = Context { topic: "t", label: "l", vars: &[], now: 0, last: &last };
            let _ = expression.evaluate(&input, &context);
        }
    }

    #[test]
    fn what_is_written_reads_back(text in r#"[\[\]{},:"a0-9.e+\- ]{0,40}"#) {
        if let Ok(value) = json::read(text.as_bytes()) {
            let written = json::write(&value, usize::MAX).unwrap().unwrap();
            prop_assert_eq!(json::read(written.as_bytes()).unwrap(), value);
        }
    }
}
