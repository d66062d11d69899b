//! Expressions of JSONata, and the values they are asked about.

use super::{Input, are_words};
use ilagent::jsonata::{Context, Expression, RESULT_BYTES_MAX, Scope, Value, json};

/// An expression on one line, a document on the rest: it has the same result twice, which reads back
/// as it was written; what is wrong is said in words and has a place in the text.
pub fn expressions(data: &[u8]) {
    let mut input = Input(data);
    let Ok(text) = std::str::from_utf8(input.line()) else { return };
    let expression = match Expression::new(text, &Scope::default()) {
        Ok(expression) => expression,
        Err(fault) => {
            assert!(text.is_char_boundary(fault.offset.min(text.len())), "{fault} of {text:?}");
            return are_words(&fault.to_string().escape_debug().to_string());
        }
    };
    let document = json::read(input.0).unwrap_or_default();
    let last = |label: Option<&str>| label.map_or(Value::Number(1.0), Value::text);
    let vars = [("id".into(), Value::text("m1"))];
    let context = Context { topic: "a/b", label: "l", vars: &vars, now: 0, last: &last };
    let evaluate = || {
        let value = expression.evaluate(&document, &context).map_err(|error| error.to_string())?;
        json::write(&value, RESULT_BYTES_MAX).map_err(|why| format!("{why:?}"))
    };
    let result = evaluate();
    assert_eq!(result, evaluate(), "{text:?}");
    match result {
        Ok(Some(written)) => {
            let again = json::read(written.as_bytes()).unwrap();
            let again = json::write(&again, RESULT_BYTES_MAX).unwrap();
            assert_eq!(again, Some(written), "{text:?}");
        }
        Ok(None) => {}
        Err(words) => are_words(&words.escape_debug().to_string()),
    }
}
