//! Expressions of a script, and the points they are asked about.

use super::{Input, are_words};
use ilagent::alerts::lambda::{Lambda, OfPoint};
use ilagent::alerts::script::{format_expression, parse_expression};
use ilagent::alerts::{Field, Point};

/// An expression on one line, fields and tags (`tag:`) on the rest: it means the same when it is
/// printed and read again, and when what it remembers comes from a record.
pub fn expressions(data: &[u8]) {
    let mut input = Input(data);
    let Ok(text) = std::str::from_utf8(input.line()) else { return };
    let expression = match parse_expression(text) {
        Ok(expression) => expression,
        Err(fault) => return are_words(&fault.what.escape_debug().to_string()),
    };
    let printed = format_expression(&expression);
    let again = parse_expression(&printed).unwrap();
    assert_eq!(format_expression(&again), printed, "of {text:?}");
    let lambda = match Lambda::new(&expression) {
        Ok(lambda) => lambda,
        Err(fault) => return are_words(&fault.what.escape_debug().to_string()),
    };
    let same = Lambda::new(&again).unwrap();
    let point = point(&mut input);
    let scope = OfPoint::new(&point, 0);
    let (mut state, mut restored) = (lambda.state(), same.state());
    for _ in 0..3 {
        let one = lambda.evaluate(&mut state, &scope).map_err(|error| error.why);
        let other = same.evaluate(&mut restored, &scope).map_err(|error| error.why);
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{printed}");
        restored = same.restored(&state.to_text());
        assert_eq!(restored.to_text(), state.to_text(), "{printed}");
    }
}

/// `name=value`, a line each; what is no number and no bool is a text.
fn point(input: &mut Input<'_>) -> Point {
    let mut point = Point {
        database: "".into(),
        retention_policy: "".into(),
        measurement: "m".into(),
        tags: [].into_iter().collect(),
        fields: [].into_iter().collect(),
        time: i64::from(input.byte()) * 1_000_000_007,
    };
    while !input.0.is_empty() {
        let line = String::from_utf8_lossy(input.line()).into_owned();
        let Some((name, value)) = line.split_once('=') else { continue };
        match name.strip_prefix("tag:") {
            Some(tag) => point.tags.set(tag.into(), value.into()),
            None => point.fields.set(name.into(), field(value)),
        }
    }
    point
}

fn field(value: &str) -> Field {
    if let Ok(whole) = value.parse::<i64>() {
        return Field::Int(whole);
    }
    match (value.parse::<f64>(), value) {
        (Ok(number), _) => Field::Float(number),
        (Err(_), "TRUE" | "FALSE") => Field::Bool(value == "TRUE"),
        (Err(_), text) => Field::from(text),
    }
}
