//! Expressions of routes, and the events they are asked about.

use super::{Input, are_words};
use ilagent::cel::Expression;
use serde_json::Value;

/// An expression on one line, and the event on the rest: it has an answer or a reason, and a fault
/// lies within it.
pub fn expressions(data: &[u8]) {
    let mut input = Input(data);
    let Ok(text) = std::str::from_utf8(input.line()) else { return };
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(fault) => {
            assert!(text.is_char_boundary(fault.offset), "{fault:?}");
            assert!(fault.column <= text.chars().count() + 1, "{fault:?}");
            return are_words(&fault.to_string());
        }
    };
    let Ok(event) = serde_json::from_slice::<Value>(input.0) else { return };
    let answer = expression.evaluate(&event);
    assert_eq!(expression.evaluate(&event), answer);
    if let Err(why) = answer {
        are_words(&why);
    }
}
