//! What is a script, what is none, and how it is printed.

mod printing;

use super::parse;
use crate::alerts::script::{SCRIPT_BYTES_MAX, format, format_expression, parse_expression};

/// With all parentheses that precedence means.
fn grouped(text: &str) -> String {
    use crate::alerts::script::ast::{Expression, Term};
    fn all(expression: &mut Expression) {
        match &mut expression.term {
            Term::Binary(binary) => {
                binary.parens = true;
                all(&mut binary.left);
                all(&mut binary.right);
            }
            Term::Unary(_, inner) => all(inner),
            Term::Call(call) => call.arguments.iter_mut().for_each(all),
            _ => (),
        }
    }
    let mut expression = parse_expression(text).unwrap();
    all(&mut expression);
    format_expression(&expression)
}

#[test]
fn operators_bind_as_in_kapacitor() {
    for (text, wanted) in [
        ("1 < 2 == TRUE", "((1 < 2) == TRUE)"),
        ("TRUE OR FALSE AND FALSE", "(TRUE OR (FALSE AND FALSE))"),
        ("a - b - c", "((a - b) - c)"),
        ("a - (b - c)", "(a - (b - c))"),
        ("a + b * c / d % e", "(a + (((b * c) / d) % e))"),
        ("a * b + c > d AND e", "((((a * b) + c) > d) AND e)"),
        ("-a + b", "(-a + b)"),
        ("!a AND !(b OR c)", "(!a AND !(b OR c))"),
        ("\"a\" =~ /b/ == TRUE", "((\"a\" =~ /b/) == TRUE)"),
        ("max(a + 1, f()) >= 2 != b", "((max((a + 1), f()) >= 2) != b)"),
        ("- -5", "--5"),
    ] {
        assert_eq!(grouped(text), wanted, "{text}");
    }
}

#[test]
fn what_is_no_script_has_a_place_and_words() {
    for (text, wanted) in [
        ("", "line 1 char 1: the script is empty"),
        ("// only a comment", "line 1 char 18: the script is empty"),
        ("stream\n  |from(", "line 2 char 9: unexpected end of the script, a value is expected"),
        ("stream|from", "line 1 char 8: `from` needs parentheses: from()"),
        (
            "stream|from() 5",
            "line 1 char 15: unexpected `5`, `var`, `dbrp` or a name such as \
                             `stream` is expected",
        ),
        ("stream|()", "line 1 char 8: unexpected `(`, the name of a node or property is expected"),
        ("a|b('x' 'y')", "line 1 char 9: unexpected text 'y', `,` or `)` is expected"),
        ("a|b(lambda: )", "line 1 char 13: unexpected `)`, a value is expected"),
        (
            "a|b(lambda: \"x\" = 1)",
            "line 1 char 17: unexpected `=`, `,` or `)` is expected; two values are compared by \
             `==`",
        ),
        (
            "a|b(lambda: \"x\" and \"y\")",
            "line 1 char 17: unexpected `and`, `,` or `)` is expected; operators are upper case: \
             `AND`, `OR`",
        ),
        ("a|b(lambda \"x\")", "line 1 char 12: unexpected reference \"x\", `,` or `)` is expected"),
        ("a|b(1 + lambda: 2)", "line 1 char 9: `lambda:` may not be inside an expression"),
        ("a|b([1])", "line 1 char 6: unexpected `1`, a text, a name or `*` is expected"),
        ("a|b(['x' 'y'])", "line 1 char 10: unexpected text 'y', `,` or `]` is expected"),
        ("var 5 = 6", "line 1 char 5: unexpected `5`, a name is expected"),
        (
            "var x",
            "line 1 char 6: unexpected end of the script, `=` and a value, or a type is \
                   expected",
        ),
        (
            "var x = var",
            "line 1 char 9: unexpected `var`, a value is expected; it is a keyword and \
                         cannot be a name",
        ),
        (
            "dbrp 'a'.'b'",
            "line 1 char 6: unexpected text 'a', a database and a retention policy: \
                          dbrp \"db\".\"rp\" is expected",
        ),
        (
            "a|b(09)",
            "line 1 char 5: `09` is not a number: behind a leading 0 the digits are 0 to 7",
        ),
        (
            "a|b(9223372036854775808)",
            "line 1 char 5: `9223372036854775808` is too large for a \
                                      whole number",
        ),
        ("a|b(99999999w)", "line 1 char 5: `99999999w` is longer than 292 years"),
        ("a|b('c)", "line 1 char 5: the closing ' of this text is missing"),
        ("a\n  |b(§)", "line 2 char 6: unexpected character `§`"),
        ("a|b(\"ä\", 1 2)", "line 1 char 12: unexpected `2`, `,` or `)` is expected"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), wanted, "{text}");
    }
}

#[test]
fn a_script_has_bounds() {
    let long = format!("stream|from() //{}", "x".repeat(SCRIPT_BYTES_MAX));
    let deep = format!("a|b({}1{})", "(".repeat(50), ")".repeat(50));
    let calls = format!("a|b({}", "f(".repeat(5_000));
    let minuses = format!("a|b({}1)", "-".repeat(5_000));
    let sum = format!("a|b(lambda: 1{})", " + 1".repeat(300));
    for (text, wanted) in [
        (long, "the script has 65552 bytes; 65536 are the most that one may have"),
        (deep, "more than 40 parentheses or calls inside one another"),
        (calls, "more than 40 parentheses or calls inside one another"),
        (minuses, "more than 40 parentheses or calls inside one another"),
        (sum, "an expression has at most 200 operators"),
    ] {
        assert_eq!(parse(&text).unwrap_err().what, wanted);
    }
    let many = format!("a{}", "\n|b(lambda: 1 + 1 + 1)".repeat(100));
    assert!(parse(&many).is_ok(), "each lambda counts for itself");
    assert!(format(&parse(&many).unwrap()).len() > many.len());
}
