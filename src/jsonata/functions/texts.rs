//! Functions of texts. Characters are code points.

use super::{count, next};
use crate::jsonata::RESULT_BYTES_MAX;
use crate::jsonata::fault::Error;
use crate::jsonata::json::Unwritable;
use crate::jsonata::machine::{Machine, unwritable};
use crate::jsonata::value::Value;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

type Result = std::result::Result<Value, Error>;

/// Base64 as it may come: with or without the padding at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn each(arguments: &[Value], make: &dyn Fn(&str) -> Value) -> Result {
    Ok(match arguments {
        [Value::Text(text), ..] => make(text),
        _ => Value::Nothing,
    })
}

/// A text and a part of it.
fn both(arguments: &[Value], make: &dyn Fn(&str, &str) -> Value) -> Result {
    Ok(match arguments {
        [Value::Text(text), Value::Text(part), ..] => make(text, part),
        [Value::Text(text), ..] => Value::Text(text.clone()),
        _ => Value::Nothing,
    })
}

pub(super) fn length(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, &|text| count(text.chars().count()))
}

pub(super) fn uppercase(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, &|text| Value::text(&text.to_uppercase()))
}

pub(super) fn lowercase(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, &|text| Value::text(&text.to_lowercase()))
}

/// Blanks at its ends go, others become one.
pub(super) fn trim(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, &|text| {
        let words = text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
        Value::text(&words.collect::<Vec<_>>().join(" "))
    })
}

pub(super) fn substring_before(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    both(arguments, &|text, part| {
        Value::text(text.split_once(part).map_or(text, |(before, _)| before))
    })
}

pub(super) fn substring_after(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    both(arguments, &|text, part| {
        Value::text(text.split_once(part).map_or(text, |(_, after)| after))
    })
}

pub(super) fn contains(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    Ok(match arguments {
        [Value::Text(text), Value::Text(part), ..] => Value::Bool(text.contains(&**part)),
        [Value::Text(_), ..] => Value::Bool(false),
        _ => Value::Nothing,
    })
}

pub(super) fn substring(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let [Value::Text(text), Value::Number(start), rest @ ..] = arguments else {
        return each(arguments, &|text| Value::text(text));
    };
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    #[allow(clippy::cast_precision_loss, reason = "no text is that long")]
    let length = letters.len() as f64;
    let start = if length + start < 0.0 { 0.0 } else { *start };
    let end = match rest {
        [Value::Number(wanted), ..] if *wanted <= 0.0 => return Ok(Value::text("")),
        [Value::Number(wanted), ..] if start >= 0.0 => start + wanted,
        [Value::Number(wanted), ..] => length + start + wanted,
        _ => length,
    };
    // A negative place counts from the end, as in a slice of JavaScript.
    let place = |number: f64| {
        let number = number.trunc();
        let from_begin = if number < 0.0 { (length + number).max(0.0) } else { number.min(length) };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is inside")]
        let index = from_begin as usize;
        letters.get(index).map_or(text.len(), |(at, _)| *at)
    };
    let (start, end) = (place(start), place(end));
    Ok(Value::text(text.get(start..end).unwrap_or_default()))
}

pub(super) fn pad(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let [Value::Text(text), Value::Number(width), rest @ ..] = arguments else {
        return each(arguments, &|text| Value::text(text));
    };
    let filling: Vec<char> = match rest {
        [Value::Text(filling), ..] if !filling.is_empty() => filling.chars().collect(),
        _ => vec![' '],
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let wanted = width.abs() as usize;
    let missing = wanted.saturating_sub(text.chars().count());
    if missing > RESULT_BYTES_MAX {
        return Err(unwritable(Unwritable::Large));
    }
    let padding: String = filling.iter().cycle().take(missing).collect();
    match *width > 0.0 {
        true => machine.text(&[text, &padding]),
        false => machine.text(&[&padding, text]),
    }
}

pub(super) fn split(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let [Value::Text(text), Value::Text(separator), rest @ ..] = arguments else {
        return Ok(Value::Nothing);
    };
    let most = limit(rest.first(), "D3020")?;
    let parts: Vec<Value> = if separator.is_empty() {
        text.chars().take(most).map(|letter| Value::text(letter.encode_utf8(&mut [0; 4]))).collect()
    } else {
        text.split(&**separator).take(most).map(Value::text).collect()
    };
    Ok(Value::list(parts))
}

/// How many there may be.
fn limit(value: Option<&Value>, code: &'static str) -> std::result::Result<usize, Error> {
    match value {
        Some(Value::Number(limit)) if *limit < 0.0 => Err(Error::new(code, "the limit is below 0")),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        Some(Value::Number(limit)) => Ok(*limit as usize),
        _ => Ok(usize::MAX),
    }
}

pub(super) fn join(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let mut arguments = arguments.iter();
    let Value::List(list) = next(&mut arguments) else { return Ok(Value::Nothing) };
    let separator = match next(&mut arguments) {
        Value::Text(text) => text,
        _ => "".into(),
    };
    let mut parts: Vec<&str> = Vec::with_capacity(list.items.len() * 2);
    for item in &list.items {
        if let Value::Text(text) = item {
            if !parts.is_empty() {
                parts.push(&separator);
            }
            parts.push(text);
        }
    }
    machine.text(&parts)
}

pub(super) fn replace(machine: &mut Machine<'_>, arguments: &[Value]) -> Result {
    let [Value::Text(text), Value::Text(pattern), Value::Text(new), rest @ ..] = arguments else {
        return Ok(Value::Nothing);
    };
    if pattern.is_empty() {
        return Err(Error::new("D3010", "an empty text cannot be replaced"));
    }
    let most = limit(rest.first(), "D3011")?;
    let mut parts: Vec<&str> = Vec::new();
    let mut rest: &str = text;
    for _ in 0..most {
        let Some((before, after)) = rest.split_once(&**pattern) else { break };
        parts.extend([before, new]);
        rest = after;
    }
    parts.push(rest);
    machine.text(&parts)
}

/// Its characters as bytes; of those above 255 only the lower half counts, as in the reference.
pub(super) fn base64_encode(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, &|text| {
        let bytes: Vec<u8> = text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect();
        Value::text(&BASE64.encode(bytes))
    })
}

/// The reference also reads what is no base64, as far as it can.
pub(super) fn base64_decode(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    each(arguments, &|text| {
        let plain = |byte: u8| match byte {
            b'-' => Some(b'+'),
            b'_' => Some(b'/'),
            b'+' | b'/' => Some(byte),
            byte => byte.is_ascii_alphanumeric().then_some(byte),
        };
        let end = text.find('=').unwrap_or(text.len());
        let mut digits: Vec<u8> = text[..end].bytes().filter_map(plain).collect();
        if digits.len() % 4 == 1 {
            digits.pop();
        }
        let bytes = BASE64.decode(digits).unwrap_or_default();
        let letters: String = bytes.into_iter().map(char::from).collect();
        Value::text(&letters)
    })
}
