//! JSON in and out.

use super::number;
use super::value::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// How many lists and objects may be inside each other.
pub const DEPTH_MAX: usize = 128;

/// An object with this many members gets an index.
const MEMBERS_FEW: usize = 16;

/// Reads a document. Of several members with the same name the last one counts.
///
/// # Errors
///
/// Says what in it is not JSON, and at which byte.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to() + 1))?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0).and_then(|value| match reader.peek() {
        None => Ok(value),
        Some(_) => Err("something follows the value"),
    });
    value.map_err(|what| format!("{what} at byte {}", reader.at + 1))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().take_while(|byte| blank(byte)).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, wanted: u8) -> bool {
        let is_there = self.peek() == Some(wanted);
        self.at += usize::from(is_there);
        is_there
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        if depth > DEPTH_MAX {
            return Err("it is too deep");
        }
        let next = self.peek();
        let rest = &self.text[self.at..];
        let word = |text: &str| rest.starts_with(text).then_some(text.len());
        let (length, value) = match next {
            None => return Err("a value is missing"),
            Some(b'{') => return self.object(depth),
            Some(b'[') => return self.list(depth),
            Some(b'"') => return self.string().map(|text| Value::Text(text.into())),
            Some(b't') => (word("true"), Value::Bool(true)),
            Some(b'f') => (word("false"), Value::Bool(false)),
            Some(b'n') => (word("null"), Value::Null),
            Some(_) => return self.number(),
        };
        self.at += length.ok_or("no value")?;
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, &'static str> {
        let rest = &self.text[self.at..];
        let length = number::length(rest.as_bytes(), true);
        let number = rest[..length].parse().map_err(|_| "no value")?;
        self.at += length;
        Ok(Value::Number(number))
    }

    fn list(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.at += 1;
        let mut items = Vec::new();
        if !self.takes(b']') {
            loop {
                items.push(self.value(depth + 1)?);
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return Err("a `,` or `]` is missing"),
                }
            }
            self.at += 1;
        }
        Ok(Value::list(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value, &'static str> {
        self.at += 1;
        let mut members = Members::default();
        if !self.takes(b'}') {
            loop {
                if self.peek() != Some(b'"') {
                    return Err("the name of a member is missing");
                }
                let name = self.string()?;
                if !self.takes(b':') {
                    return Err("a `:` is missing");
                }
                let value = self.value(depth + 1)?;
                members.put(name.into(), value);
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err("a `,` or `}` is missing"),
                }
            }
            self.at += 1;
        }
        Ok(members.object())
    }

    fn string(&mut self) -> Result<String, &'static str> {
        let body = &self.text[self.at + 1..];
        let (text, length) = unquoted(body, '"', true).map_err(|(at, _, what)| {
            self.at += 1 + at;
            what
        })?;
        self.at += 1 + length;
        Ok(text)
    }
}

/// The text before a closing quote, and the length of what was read. Escapes are those of JSON;
/// halves of surrogate pairs become U+FFFD.
///
/// # Errors
///
/// Says where it is wrong, the code that JSONata has for that, and why.
pub(super) fn unquoted(
    body: &str,
    quote: char,
    is_strict: bool,
) -> Result<(String, usize), (usize, &'static str, &'static str)> {
    let mut text = String::new();
    let mut rest = body;
    loop {
        let at = body.len() - rest.len();
        let end = rest
            .find(|letter: char| letter == quote || letter == '\\' || is_strict && letter < ' ');
        let end = end.ok_or((body.len(), "S0101", "the text does not end"))?;
        text.push_str(&rest[..end]);
        let letter = rest.as_bytes()[end];
        rest = &rest[end + 1..];
        if letter == b'\\' {
            let escape = rest.chars().next().unwrap_or_default();
            rest = &rest[escape.len_utf8().min(rest.len())..];
            text.push(match escape {
                '"' | '\\' | '/' => escape,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => match letter_of(&mut rest) {
                    Some(letter) => letter,
                    None => return Err((at + end, "S0104", "four digits must follow \\u")),
                },
                _ => return Err((at + end, "S0103", "no such escape in a text")),
            });
        } else if char::from(letter) == quote {
            return Ok((text, body.len() - rest.len()));
        } else {
            return Err((at + end, "S0101", "a control character in a text"));
        }
    }
}

/// The character of `\u` escapes, of two if they are a pair.
fn letter_of(rest: &mut &str) -> Option<char> {
    let first = unit(rest)?;
    *rest = &rest[4..];
    if (0xd800..0xdc00).contains(&first)
        && let Some(mut after) = rest.strip_prefix("\\u")
        && let Some(second) = unit(after).filter(|second| (0xdc00..0xe000).contains(second))
    {
        after = &after[4..];
        *rest = after;
        return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
    }
    Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
}

fn unit(text: &str) -> Option<u32> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    u32::from_str_radix(digits?, 16).ok()
}

/// Members as they come, each name once: the last value counts, in the place of the first.
#[derive(Default)]
pub(super) struct Members {
    members: Vec<(Arc<str>, Value)>,
    /// The places of names, once there are many.
    index: HashMap<Arc<str>, usize>,
}

impl Members {
    pub(super) fn put(&mut self, name: Arc<str>, value: Value) {
        let place = if self.members.len() < MEMBERS_FEW {
            self.members.iter().position(|(known, _)| *known == name)
        } else {
            if self.index.is_empty() {
                let names = self.members.iter().enumerate();
                self.index = names.map(|(at, (name, _))| (Arc::clone(name), at)).collect();
            }
            self.index.get(&name).copied()
        };
        match place {
            Some(at) => self.members[at].1 = value,
            None => {
                if self.members.len() >= MEMBERS_FEW {
                    self.index.insert(Arc::clone(&name), self.members.len());
                }
                self.members.push((name, value));
            }
        }
    }

    pub(super) fn object(self) -> Value {
        Value::object(self.members)
    }
}

/// Why a value cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritable {
    /// A number that is not finite is in it.
    Infinite,
    /// It is larger than it may be.
    Large,
}

/// Writes a value without blanks; nothing if there is none. Functions are left out of objects and
/// are `null` in lists.
///
/// # Errors
///
/// It cannot be written, or not within this many bytes.
pub fn write(value: &Value, bytes_max: usize) -> Result<Option<String>, Unwritable> {
    let mut writer = Writer { out: String::new(), bytes_max, is_rounded: false, indent: None };
    if matches!(value, Value::Nothing | Value::Function(_)) {
        return Ok(None);
    }
    writer.value(value, 0)?;
    Ok(Some(writer.out))
}

/// Writes a value as `$string` does: fractions have fifteen digits at most.
pub(super) fn write_rounded(
    value: &Value,
    is_pretty: bool,
    bytes_max: usize,
) -> Result<String, Unwritable> {
    let indent = is_pretty.then_some("  ");
    let mut writer = Writer { out: String::new(), bytes_max, is_rounded: true, indent };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    bytes_max: usize,
    is_rounded: bool,
    indent: Option<&'static str>,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Unwritable> {
        match value {
            Value::Function(_) if self.is_rounded => self.out.push_str("\"\""),
            Value::Nothing | Value::Null | Value::Function(_) => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) if !number.is_finite() => return Err(Unwritable::Infinite),
            Value::Number(number) => {
                let number = if self.is_rounded { number::rounded(*number) } else { *number };
                number::write(number, &mut self.out);
            }
            Value::Text(text) => quote(text, &mut self.out),
            Value::List(list) => {
                self.out.push('[');
                for (index, item) in list.items.iter().enumerate() {
                    self.separate(index > 0, depth + 1);
                    self.value(item, depth + 1)?;
                }
                self.end(!list.items.is_empty(), depth, ']');
            }
            Value::Object(object) => {
                self.out.push('{');
                let mut is_later = false;
                for (name, member) in object.members() {
                    let is_left_out = matches!(member, Value::Nothing)
                        || matches!(member, Value::Function(_)) && !self.is_rounded;
                    if is_left_out {
                        continue;
                    }
                    self.separate(is_later, depth + 1);
                    quote(name, &mut self.out);
                    self.out.push_str(if self.indent.is_some() { ": " } else { ":" });
                    self.value(member, depth + 1)?;
                    is_later = true;
                }
                self.end(is_later, depth, '}');
            }
        }
        if self.out.len() > self.bytes_max { Err(Unwritable::Large) } else { Ok(()) }
    }

    fn separate(&mut self, is_later: bool, depth: usize) {
        if is_later {
            self.out.push(',');
        }
        self.new_line(depth);
    }

    fn end(&mut self, is_filled: bool, depth: usize, bracket: char) {
        if is_filled {
            self.new_line(depth);
        }
        self.out.push(bracket);
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            (0..depth).for_each(|_| self.out.push_str(indent));
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter < ' ' || letter == '"' || letter == '\\') {
        out.push_str(&rest[..at]);
        let letter = rest.as_bytes()[at];
        match letter {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            8 => out.push_str("\\b"),
            9 => out.push_str("\\t"),
            10 => out.push_str("\\n"),
            12 => out.push_str("\\f"),
            13 => out.push_str("\\r"),
            other => {
                out.push_str("\\u00");
                out.extend(
                    [other >> 4, other & 15]
                        .map(|half| char::from_digit(u32::from(half), 16).unwrap_or('0')),
                );
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_without_blanks() {
        for (text, wanted) in [
            (" { \"a\" : [ 1 , 2.50, -0, 1e3 ] } ", r#"{"a":[1,2.5,0,1000]}"#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            (r#""\u00fc\ud83d\ude00\ud800x\/""#, "\"ü😀\u{fffd}x/\""),
            ("\"\\u0001\\n\\\"\\\\\u{7f}\"", "\"\\u0001\\n\\\"\\\\\u{7f}\""),
            ("[]", "[]"),
            ("{}", "{}"),
            ("null", "null"),
            ("9007199254740993", "9007199254740992"),
        ] {
            let value = read(text.as_bytes()).unwrap();
            assert_eq!(write(&value, usize::MAX).unwrap().unwrap(), wanted, "{text}");
        }
        let many: Vec<String> = (0..40).map(|i| format!("\"k{}\":{i}", i % 20)).collect();
        let value = read(format!("{{{}}}", many.join(",")).as_bytes()).unwrap();
        let Value::Object(object) = &value else { panic!("{value:?}") };
        assert_eq!((object.members().len(), object.get("k7")), (20, Some(&Value::Number(27.0))));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        let deep = "[".repeat(DEPTH_MAX + 2);
        for (text, wanted) in [
            (&b"hello"[..], "no value at byte 1"),
            (b"", "a value is missing at byte 1"),
            (b"{\"a\":1,}", "the name of a member is missing at byte 8"),
            (b"[1 2]", "a `,` or `]` is missing at byte 4"),
            (b"{\"a\" 1}", "a `:` is missing at byte 6"),
            (b"1 1", "something follows the value at byte 3"),
            (b"01", "something follows the value at byte 2"),
            (b"\"a\nb\"", "a control character in a text at byte 3"),
            (b"\"\\x\"", "no such escape in a text at byte 2"),
            (b"\"a", "the text does not end at byte 3"),
            (b"\xff", "byte 1 is not UTF-8"),
            (deep.as_bytes(), "it is too deep at byte 130"),
        ] {
            assert_eq!(read(text).unwrap_err(), wanted, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn what_is_too_large_or_infinite_is_not_written() {
        let list = Value::list(vec![Value::Number(1.0); 100]);
        assert_eq!(write(&list, 50), Err(Unwritable::Large));
        let list = Value::list(vec![Value::Number(f64::NAN)]);
        assert_eq!(write(&list, 50), Err(Unwritable::Infinite));
        assert_eq!(write(&Value::Nothing, 50), Ok(None));
    }
}
