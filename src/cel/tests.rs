//! What expressions are true of, what is an error, and what is refused.

use super::*;
use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};
use serde_json::Value as Json;

const EVENT: &str = r#"{"type":"com.plant.x","my-ext":"ü7","none":null,"yes":true,
    "list":[1,"two",{"n":3}],"data":{"total":1000,"rush":true,"text":"1000","in":1}}"#;

/// `true` or `false`, `error`, or the column of a fault.
fn answer(text: &str) -> String {
    let event: Json = serde_json::from_str(EVENT).unwrap();
    match Expression::parse(text) {
        Ok(expression) => expression
            .evaluate(&event)
            .map_or_else(|_| "error".to_owned(), |answer| answer.to_string()),
        Err(fault) => fault.column.to_string(),
    }
}

#[track_caller]
fn check(rows: &[(&str, &[&str])]) {
    for (wanted, texts) in rows {
        for text in *texts {
            let why = || Expression::parse(text).map(|found| found.root);
            assert_eq!(answer(text), *wanted, "{text}: {:?}", why());
        }
    }
}

#[test]
fn literals_and_paths() {
    check(&[
        (
            "true",
            &[
                "true",
                "event.yes",
                "event.type == \"com.plant.x\"",
                "event.type == 'com.plant.x'",
                "event[\"my-ext\"] == \"\\u00fc7\"",
                "'\\n\\t\\\\\\'\\\"' == \"\\n\\t\\\\'\\\"\"",
                "event.list[0] == 1",
                "event.list[0] == 1.0 && event.list[0] == 1u && event.list[0] == 0x1",
                "event.list[1] == 'two'",
                "event.list[2].n == 3",
                "event['data']['total'] == 1e3",
                "event.none == null",
                "[1, 2.0, 'x'] == [1.0, 2, 'x']",
                "-1 < 0 && -1.5 < -1 && !(1 == 2)",
                "!!true",
                "event.list[1.0] == 'two'",
                "-9223372036854775808 < -0x1",
                "event.data == event.data",
            ],
        ),
        ("false", &["!true", "event.list == [1, 'two']", "null == false", "event == event.data"]),
        (
            "error",
            &[
                "event.type",
                "event.missing == 1",
                "event.data.missing.more == 1",
                "event.type.x == 1",
                "event.list[3] == 1",
                "event.list[0.5] == 1",
                "event.list['a'] == 1",
                "event.data[0] == 1",
                "!event.type",
                "1",
            ],
        ),
    ]);
}

#[test]
fn comparisons() {
    check(&[
        (
            "true",
            &[
                "event.data.total >= 1000",
                "1000u == event.data.total",
                "1 < 1.5 && 1.5 < 2u && 1u < 2",
                "'a' < 'b' && 'Z' < 'a' && 'z' < 'ä'",
                "false < true",
                "event.data.total != '1000'",
                "1 in [1.0]",
                "'total' in event.data",
                "'two' in event.list",
                "!(1 in event.data)",
                "event.type in ['a', 'com.plant.x']",
                "9223372036854775807 != 9223372036854775806",
                "18446744073709551615u > 9223372036854775807",
                "1 < 2 == true",
            ],
        ),
        (
            "false",
            &["1 == 'x'", "null in [0]", "'x' in event.data", "double('NaN') == double('NaN')"],
        ),
        (
            "error",
            &[
                "event.data.text >= 1000",
                "null < 1",
                "[1] < [2]",
                "1 in 'text'",
                "double('NaN') < 1.0",
                "true > 0",
            ],
        ),
    ]);
}

/// What the conformance tests of the language ask, as far as it is supported.
#[test]
fn operators_bind_and_values_compare_as_the_language_says() {
    check(&[
        (
            "true",
            &[
                "true || false && false",
                "false && false || true",
                "!false && true",
                "!(true && false)",
                "false ? 1 == 2 : false ? 1 == 2 : true",
                "true ? true : 1 == 'x'",
                "1 == 1 != false",
                "1 + 2 + 3 == 6 && 'a' + 'b' + '' == 'ab'",
                "1 < 1 + 1 && 1 + 1 == 2",
                "null == null && [] == [] && '' == ''",
                "[[1], ['x', null]] == [[1.0], ['x', null]]",
                "[1, 2] != [2, 1] && [1] != [1, 1]",
                "-0.0 == 0.0 && 1u == 1.0 && 1.0 == 1",
                "9007199254740993 == 9007199254740992.0",
                "'' < 'a' && 'abc' < 'abd' && 'abc' < 'abcd' && 'A' < 'a'",
                "'abc'.startsWith('') && 'abc'.endsWith('') && 'abc'.contains('')",
                "'' in [''] && null in [1, null] && [1] in [[1]]",
                "event.yes == event.data.rush",
                "size('résumé') == 6 && ''.size() == 0",
                "int('-7') == -7 && double('-1e3') == -1000.0 && string(-1) == '-1'",
                "string(1.0) == '1' && string('x') == 'x' && double('1') == 1",
                "int(event.data.total) + 1 == 1001",
                "has(event.data) && has(event.list)",
            ],
        ),
        (
            "false",
            &["1 in []", "'1' in [1]", "false in [0]", "null == ''", "true == 1", "'abc' == 'ABC'"],
        ),
        (
            "error",
            &[
                "'a' < 1",
                "true < 1",
                "1 + 1.0 == 2.0",
                "1u + 1 == 2u",
                "int('1.5') == 1",
                "int('') == 0",
                "double('x') == 0.0",
                "18446744073709551615u + 1u > 0u",
                "'abc'.startsWith(null)",
            ],
        ),
    ]);
}

#[test]
fn one_side_that_decides_outweighs_an_error_of_the_other() {
    check(&[
        (
            "true",
            &[
                "event.type.startsWith('com.') || event.data.more >= 1",
                "event.data.more >= 1 || event.yes",
                "1 || true",
                "event.x || event.y || true",
                "event.yes ? true : event.missing",
            ],
        ),
        ("false", &["event.missing && false", "false && event.missing", "1 && false"]),
        (
            "error",
            &[
                "event.missing || false",
                "true && event.missing",
                "1 || false",
                "event.missing ? true : true",
                "1 ? true : false",
            ],
        ),
    ]);
}

#[test]
fn functions() {
    check(&[
        (
            "true",
            &[
                "has(event.data.rush) && event.data.rush == true",
                "!has(event.data.more)",
                "!has(event.type.more)",
                "has(event.none)",
                "has(event['data'].total)",
                "event.type.endsWith('.x') && event.type.contains('plant')",
                "size('ü7') == 2 && event.list.size() == 3 && size(event.data) == 4",
                "size([]) == 0 && size([1]) == 1",
                "int('12') == 12 && int(2.9) == 2 && int(-2.9) == -2 && int(3u) == 3",
                "int(event.data.text) >= 1000",
                "double('1.5') == 1.5 && double(2) == 2",
                "string(1) == '1' && string(true) == 'true' && string(2u) == '2'",
                "string(event.data.total) == '1000' && string(1e6) == '1e+06'",
                "string(1.5e-7) == '1.5e-07' && string(0.0001) == '0.0001'",
                "event.type + '!' == 'com.plant.x!'",
                "event.data.total + 1.0 == 1001",
                "1 + 2 == 3 && 1u + 2u == 3u",
            ],
        ),
        (
            "error",
            &[
                "has(event.missing.x)",
                "event.data.total + 1 == 1001",
                "'a' + 1 == 'a1'",
                "9223372036854775807 + 1 > 0",
                "event.data.total.startsWith('1')",
                "event.type.contains(1)",
                "int('x') == 1",
                "int(1e19) == 1",
                "int(true) == 1",
                "double(null) == 0",
                "size(1) == 1",
                "string(null) == ''",
            ],
        ),
    ]);
}

#[cfg(feature = "dapr")]
#[test]
fn patterns_are_searched_for() {
    check(&[
        ("true", &["event.type.matches('plant')", "matches(event.type, '^com\\\\..*x$')"]),
        ("false", &["event.type.matches('^plant')"]),
        ("error", &["event.data.total.matches('1')"]),
        ("12", &["event.type.matches('(')", "event.type.matches(event.type)"]),
    ]);
}

#[test]
fn what_is_no_expression_or_not_supported_is_refused_where_it_stands() {
    check(&[
        ("1", &["", "type == 'x'", "r'x' == 'x'", "{}", "*", "'open", "@", "= 1", "not true"]),
        (
            "1",
            &["all(event)", "foo(1)", "has(event)", "has(event['x'])", "1x", "event2", "-event.x"],
        ),
        (
            "12",
            &["event.type = 'x'", "event.type === 'x'", "event.type order", "event.type and true"],
        ),
        (
            "12",
            &[
                "event.list.exists(x, x == 1)",
                "event.list.foo()",
                "event.list.int()",
                "event.type - 1",
            ],
        ),
        ("12", &["event.type & 1", "event.type or 1", "event.type 1", "event.type."]),
        ("6", &["(true", "[true"]),
        ("8", &["true &&"]),
        ("9", &["true ? 1"]),
        ("3", &["  "]),
        ("4", &["99 = x"]),
        ("15", &["event.type == order"]),
        ("17", &["event.type == \"a\\x\""]),
        ("7", &["event.in == 1", "event.'x'", "event.1"]),
        ("1", &["9223372036854775808 == 1", "1e999 == 1.0"]),
        ("2", &["-1u == 1"]),
        ("9", &["'ü\"' == 1x"]),
        ("1", &["startsWith('a')", "int(1, 2) == 1"]),
    ]);
}

#[test]
fn what_is_too_long_or_too_deep_is_refused() {
    let deep = format!("{}true{}", "(".repeat(100), ")".repeat(100));
    let words = |text: &str| Expression::parse(text).unwrap_err().words;
    assert_eq!(words(&deep), "brackets are nested too deep");
    assert_eq!(words(&"1 == ".repeat(200)), "the expression is too long");
    assert_eq!(words(&"x".repeat(20_000)), "an expression of 20000 bytes; at most 16384");
    for long in [
        vec!["true"; 2_000].join(" && "),
        format!("{}true", "!".repeat(16_000)),
        format!("event{} == 1 || true", ".a".repeat(5_000)),
    ] {
        assert_eq!(answer(&long), "true");
    }
}

/// Something like an expression.
fn expressions() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("event".to_owned()),
        proptest::sample::select(
            &[
                ".data",
                ".total",
                ".type",
                "['x']",
                "[0]",
                " == ",
                " < ",
                " in ",
                " && ",
                " || ",
                "!",
                "(",
                ")",
                "[",
                "]",
                ",",
                " ? ",
                " : ",
                " + ",
                "-",
                "1",
                "2.5",
                "3u",
                "'a'",
                "true",
                "null",
                "has(",
                "size(",
                "int(",
                ".startsWith(",
                "string(",
                "\\",
                "\"",
            ][..]
        )
        .prop_map(str::to_owned),
        ".{0,3}",
    ];
    proptest::collection::vec(word, 0..20).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_has_an_answer_or_a_fault_within_it(text in expressions()) {
        let event: Json = serde_json::from_str(EVENT).unwrap();
        match Expression::parse(&text) {
            Ok(expression) => {
                let again = Expression::parse(expression.text()).unwrap();
                prop_assert!(again.evaluate(&event) == expression.evaluate(&event));
            }
            Err(fault) => {
                prop_assert!(text.is_char_boundary(fault.offset), "{fault:?}");
                prop_assert!(fault.column <= text.chars().count() + 1, "{fault:?}");
                prop_assert!(!fault.words.is_empty());
            }
        }
    }
}
