//! What is refused before there is a point, with its place.

use super::*;

const CONVERT: &str = "; bool(), int(), float(), string() and duration() convert";

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    for (text, wanted) in rows {
        let expression = parse_expression(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        let found = Lambda::predicate(&expression).map(|lambda| lambda.text().to_owned());
        let wanted = wanted.replace(" …", CONVERT);
        assert_eq!(found.map_err(|fault| fault.to_string()), Err(wanted), "{text}");
    }
}

#[test]
fn types_that_do_not_go_together() {
    check(&[
        ("1 + 1.0 == 2.0", "line 1 char 3: + does not go with int and float …"),
        ("'a' + 5 == 'a5'", "line 1 char 5: + does not go with string and int …"),
        ("'a' - 'b' == ''", "line 1 char 5: - does not go with string and string …"),
        ("\"a\" > 'b' + 1", "line 1 char 11: + does not go with string and int …"),
        ("\"a\" + 1.5 == 'x'", "line 1 char 11: == does not go with float and string …"),
        ("TRUE > FALSE", "line 1 char 6: > does not go with bool and bool …"),
        ("\"time\" > now()", "line 1 char 8: > does not go with time and time …"),
        ("\"a\" =~ 'b'", "line 1 char 5: =~ does not go with field or tag and string …"),
        ("1.5 % 2.0 == 0.0", "line 1 char 5: % does not go with float and float …"),
        ("5 / 5m == 1", "line 1 char 3: / does not go with int and duration …"),
        ("TRUE AND 1", "line 1 char 6: AND does not go with bool and int …"),
        ("1 OR TRUE", "line 1 char 3: OR does not go with bool and int …"),
        ("!5", "line 1 char 1: ! needs a bool, this is: int"),
        ("-'a' == 'a'", "line 1 char 1: - needs a number or a duration, this is: string"),
    ]);
}

#[test]
fn functions_that_do_not_exist_or_take_something_else() {
    check(&[
        ("foo()", "line 1 char 1: there is no function foo()"),
        ("1 < flor(1.0)", "line 1 char 5: there is no function flor(); did you mean floor()?"),
        ("level() == 3", "line 1 char 1: there is no function level()"),
        (
            "max(1, \"a\") > 1",
            "line 1 char 1: max takes (float, float), not (int, field or tag); 5.0 is a float, 5 is \
             none, and float() makes one",
        ),
        ("max(1.0) > 1.0", "line 1 char 1: max takes (float, float), not (float)"),
        ("count(\"a\") > 1", "line 1 char 1: count takes (), not (field or tag)"),
        ("sigma() > 1.0", "line 1 char 1: sigma takes (float), not ()"),
        ("isPresent()", "line 1 char 1: isPresent takes (field or tag), not ()"),
        ("hour(5) > 1", "line 1 char 1: hour takes (time), not (int)"),
        (
            "if(TRUE, 1, 2.0) > 1",
            "line 1 char 1: if takes (bool, float, float) or (bool, int, int) or (bool, string, \
             string) or (bool, bool, bool) or (bool, regex, regex) or (bool, time, time) or \
             (bool, duration, duration), not (bool, int, float); 5.0 is a float, 5 is none, and \
             float() makes one",
        ),
        (
            "abs(1.0, 1.0, 1.0, 1.0, 1.0) > 1",
            "line 1 char 1: no function takes more than 4 arguments",
        ),
    ]);
}

#[test]
fn what_can_never_have_a_value() {
    check(&[
        ("1 / 0 > 1", "line 1 char 3: division by zero"),
        ("\"a\" > 1 % 0", "line 1 char 9: division by zero"),
        ("int('x') > 1", "line 1 char 1: int: 'x' is not a whole number"),
        ("duration('5') > 1s", "line 1 char 1: duration: '5' is not a duration such as 1h30m"),
        ("host == 'a'", "line 1 char 1: host is undefined; a field or a tag is \"host\""),
        ("\"int\" + 1", "line 1 char 7: a condition must be a bool, this is: int"),
        ("'a'", "line 1 char 1: a condition must be a bool, this is: string"),
        (
            "\"a\" =~ /(b/",
            "line 1 char 8: /(b/ is not a pattern: found open group without closing ')'",
        ),
    ]);
}

#[test]
fn a_reference_decides_if_it_is_a_bool_and_only_then() {
    let expression = parse_expression("\"int\"").expect("an expression");
    let lambda = Lambda::predicate(&expression).expect("it may be a bool");
    let point = point();
    let found = lambda.holds(&mut lambda.state(), &OfPoint::new(&point, TIME));
    let words = found.expect_err("it is none").to_string();
    assert_eq!(words, "line 1 char 1: a condition must be a bool, this is: int");
}

#[test]
fn depth_is_bounded_and_rows_are_not_deep() {
    let deep = format!("{}TRUE", "!".repeat(200));
    if let Ok(expression) = parse_expression(&deep) {
        let fault = Lambda::new(&expression).expect_err("too deep");
        assert!(fault.what.contains("levels deep"), "{fault}");
    }
    let row = vec!["\"yes\""; 500].join(" AND ");
    if let Ok(expression) = parse_expression(&row) {
        let lambda = Lambda::new(&expression).expect("a row");
        let point = point();
        assert_eq!(lambda.holds(&mut lambda.state(), &OfPoint::new(&point, TIME)), Ok(true));
    }
}

#[test]
fn texts_stay_short() {
    let mut point = point();
    point.fields.set("text".into(), "x".repeat(40_000).as_str().into());
    for text in [
        "\"text\" + \"text\"",
        "strReplace(\"text\", 'x', 'yy', -1)",
        "regexReplace(/x/, \"text\", '$0$0')",
    ] {
        let lambda = lambda(text);
        let scope = OfPoint::new(&point, TIME);
        let found = lambda.evaluate(&mut lambda.state(), &scope);
        let words = found.expect_err("too long").to_string();
        assert!(words.contains("longer than 65536 bytes"), "{words}");
    }
}
