//! Templates of alerts, and what they are rendered with.

use super::{Input, are_words};
use ilagent::alerts::template::{Data, Template};
use ilagent::alerts::{Event, Field};

/// More than any rendering may write: its bound, and one text that goes beyond it.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// A template up to a NUL; what is left is in the tags, the fields and the message. Whatever both
/// say, nothing panics, much is not written, and an error leaves the text as it was.
pub fn templates(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    let (text, rest) = data.split_at(end);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(fault) => return are_words(&fault.what),
    };
    let event = event(Input(rest));
    let data = Data::of_event(&event);
    for is_html in [false, true] {
        let mut out = "before".to_owned();
        let rendered = match is_html {
            true => template.render_html(&data, &mut out),
            false => template.render(&data, &mut out),
        };
        match rendered {
            Ok(()) => assert!(out.starts_with("before") && out.len() < BYTES_MAX),
            Err(error) => {
                assert_eq!(out, "before");
                are_words(&error.what.escape_debug().to_string());
            }
        }
    }
    if let Some(constant) = template.constant() {
        let mut out = String::new();
        assert!(template.render(&data, &mut out).is_ok());
        assert_eq!(out, constant);
    }
}

fn event(mut input: Input<'_>) -> Event {
    let mut event =
        Event { time: i64::from(input.byte()) * 123_456_789_012_345, ..Event::default() };
    event.duration = i64::from(input.byte()) * 7_654_321_098;
    event.message = String::from_utf8_lossy(input.line()).into_owned();
    let text = String::from_utf8_lossy(input.line()).into_owned();
    event.tags = [("host".into(), text.as_str().into())].into_iter().collect();
    let number = f64::from(input.byte()) / f64::from(input.byte());
    for (key, field) in [
        ("f", Field::from(number)),
        ("i", Field::from(i64::from(input.byte()) - 99)),
        ("b", Field::from(true)),
        ("s", Field::from(text.as_str())),
    ] {
        event.fields.set(key.into(), field);
    }
    event
}
