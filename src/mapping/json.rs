//! JSON as it came: what is taken out of a document is the text that stands in it.
//!
//! A device's number is often longer than a machine's (the 20 digits of a SIM card), and may change
//! when it is parsed and written again. So numbers are never parsed, and what is passed on whole is
//! passed on byte for byte.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

const MARK: &[u8] = b"\xef\xbb\xbf";
/// How texts in UTF-16 and UTF-32 begin, if they say what they are.
const MARKS_OF_UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// A document, and its members if it is an object.
#[derive(Debug)]
pub struct Document<'a> {
    /// All of it.
    pub whole: Json<'a>,
    members: BTreeMap<String, Json<'a>>,
}

/// A value, as it stands in a document.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(&'a RawValue);

/// The part of a payload that is its JSON: firmware in C also sends the NUL that ends its strings,
/// and editors a byte-order mark.
#[must_use]
pub fn trimmed(payload: &[u8]) -> &[u8] {
    let end = payload.iter().rposition(|byte| *byte != 0 && !byte.is_ascii_whitespace());
    let payload = &payload[..end.map_or(0, |last| last + 1)];
    payload.strip_prefix(MARK).unwrap_or(payload)
}

impl<'a> Document<'a> {
    /// Reads a payload. Of several members with the same name the last one counts.
    ///
    /// # Errors
    ///
    /// Says what in it is not JSON, and where.
    pub fn read(payload: &'a [u8]) -> Result<Self, String> {
        let bytes = trimmed(payload);
        let whole: &RawValue = serde_json::from_slice(bytes).map_err(|why| words(bytes, &why))?;
        let whole = Json(whole);
        let members = match whole.is_object() {
            true => whole.members().map_err(|why| words(bytes, &why))?,
            false => BTreeMap::new(),
        };
        Ok(Document { whole, members })
    }

    /// A member of the document.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Json<'a>> {
        self.members.get(name).copied()
    }

    /// A member that is not null.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<Json<'a>> {
        self.member(name).filter(|value| !value.is_null())
    }
}

impl<'a> Json<'a> {
    /// A part of a document that was read in another way.
    #[must_use]
    pub fn of(raw: &'a RawValue) -> Self {
        Json(raw)
    }

    /// The value as it stands there, for passing it on.
    #[must_use]
    pub fn raw(self) -> &'a RawValue {
        self.0
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0.get() == "null"
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        self.0.get().starts_with('{')
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(self) -> bool {
        self.0.get().starts_with('[')
    }

    /// A string. Halves of surrogate pairs stand for no character and become U+FFFD.
    #[must_use]
    pub fn string(self) -> Option<Cow<'a, str>> {
        let text = self.0.get().strip_prefix('"')?.strip_suffix('"')?;
        if !text.contains('\\') {
            return Some(Cow::Borrowed(text));
        }
        serde_json::from_str(self.0.get()).ok().map(|Text(text)| Cow::Owned(text))
    }

    /// A scalar as text: a string as it is, numbers and booleans as they are written.
    ///
    /// `None` for null, objects and arrays.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let is_scalar = !(self.is_null() || self.is_object() || self.is_array());
        self.string().or_else(|| is_scalar.then(|| Cow::Borrowed(self.0.get())))
    }

    /// A whole number, also one that is written as a string.
    #[must_use]
    pub fn whole_number(self) -> Option<i64> {
        self.text()?.trim().parse().ok()
    }

    /// What a part of a path stands for: a member, or an element where there is an array.
    #[must_use]
    pub fn step(self, part: &str) -> Option<Self> {
        if self.is_object() {
            return self.members().ok()?.remove(part);
        }
        let index: usize = part.parse().ok()?;
        self.elements().get(index).copied()
    }

    /// The elements of an array.
    #[must_use]
    pub fn elements(self) -> Vec<Self> {
        let elements: Result<Vec<&'a RawValue>, _> = serde_json::from_str(self.0.get());
        elements.unwrap_or_default().into_iter().map(Json).collect()
    }

    /// The members of an object.
    ///
    /// # Errors
    ///
    /// Fails when it is no object.
    pub fn members(self) -> Result<BTreeMap<String, Self>, serde_json::Error> {
        serde_json::from_str(self.0.get()).map(|Members(members)| members)
    }
}

/// Why it is not JSON. Invisible bytes are named.
fn words(bytes: &[u8], why: &serde_json::Error) -> String {
    if MARKS_OF_UTF16.iter().any(|mark| bytes.starts_with(mark)) {
        return "it is UTF-16, as its first two bytes say, and JSON travels as UTF-8".to_owned();
    }
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    let at = offset(bytes, why);
    let unseen = |byte: u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    // For a control character the error points at it or behind it.
    let near = bytes[..bytes.len().min(at + 2)].iter().position(|byte| unseen(*byte));
    let (text_end, is_text) = match std::str::from_utf8(bytes) {
        Ok(_) => (bytes.len(), true),
        Err(error) => (error.valid_up_to(), false),
    };
    match near {
        Some(near) if near < text_end => byte_at(bytes, near),
        _ if !is_text && text_end <= at + 1 => {
            format!("{}, which is not UTF-8", byte_at(bytes, text_end))
        }
        _ => match bytes.get(at).filter(|byte| !byte.is_ascii()) {
            Some(byte) => format!("{why} (the byte there is 0x{byte:02x})"),
            None => why.to_string(),
        },
    }
}

/// The byte that an error speaks of.
fn offset(bytes: &[u8], why: &serde_json::Error) -> usize {
    let before = bytes.split_inclusive(|byte| *byte == b'\n').take(why.line().saturating_sub(1));
    before.map(<[u8]>::len).sum::<usize>() + why.column().saturating_sub(1)
}

fn byte_at(bytes: &[u8], at: usize) -> String {
    let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = bytes[..at].iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let what = match bytes[at] {
        0 => "a NUL (byte 0x00)".to_owned(),
        byte => format!("the byte 0x{byte:02x}"),
    };
    format!("{what} at line {line} column {column}")
}

/// A text that may contain halves of surrogate pairs, which serde's own texts refuse.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Members<'a>(BTreeMap<String, Json<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = BTreeMap<String, Json<'de>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(Text(name)) = map.next_key()? {
                    members.insert(name, Json(map.next_value()?));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Members).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(payload: &str) -> Option<String> {
        let document = Document::read(payload.as_bytes()).unwrap();
        document.member("a")?.text().map(Cow::into_owned)
    }

    #[test]
    fn scalars_are_the_text_that_stands_there() {
        for (payload, wanted) in [
            (r#"{"a":89490200001234567890}"#, Some("89490200001234567890")),
            (r#"{"a":18446744073709551616}"#, Some("18446744073709551616")),
            (r#"{"a":1e3}"#, Some("1e3")),
            (r#"{"a":-0}"#, Some("-0")),
            (r#"{"a":0.1000}"#, Some("0.1000")),
            (r#"{"a":1E+400}"#, Some("1E+400")),
            (r#"{"a": true }"#, Some("true")),
            (r#"{"a":"x"}"#, Some("x")),
            (r#"{"a":"x\n\u00fc\ud83d\ude00\""}"#, Some("x\nü😀\"")),
            (r#"{"a":null}"#, None),
            (r#"{"a":[1]}"#, None),
            (r#"{"a":{}}"#, None),
            // The last of two, as everybody reads it.
            (r#"{"a":1,"a":2}"#, Some("2")),
            (r#"{"\u0061":3}"#, Some("3")),
            // Half a pair is no character, and no reason to lose an alarm.
            (r#"{"a":"x\ud83dy","\ude00":1}"#, Some("x\u{fffd}\u{fffd}\u{fffd}y")),
            // Names that serde_json uses inside itself are names like all others.
            (r#"{"a":{"$serde_json::private::RawValue":"1"}}"#, None),
            (r#"{"a":5,"$serde_json::private::Number":"x"}"#, Some("5")),
        ] {
            assert_eq!(first(payload).as_deref(), wanted, "{payload}");
        }
    }

    #[test]
    fn what_is_passed_on_is_passed_on_byte_for_byte() {
        let payload = "\u{feff} {\"b\" : 1.50,\n\"a\":\"\\ud800\",\"b\":1e400}\0\n\0";
        let document = Document::read(payload.as_bytes()).unwrap();
        let whole = "{\"b\" : 1.50,\n\"a\":\"\\ud800\",\"b\":1e400}";
        assert_eq!(document.whole.raw().get(), whole);
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let nested = format!("{{\"deep\":{deep},\"a\":1}}");
        let document = Document::read(nested.as_bytes()).unwrap();
        assert_eq!(document.member("deep").unwrap().raw().get(), deep);
    }

    #[test]
    fn what_is_no_json_is_named_also_where_it_cannot_be_seen() {
        for (payload, wanted) in [
            (&b"\0{}"[..], "a NUL (byte 0x00) at line 1 column 1"),
            (b"{}\0{}", "a NUL (byte 0x00) at line 1 column 3"),
            (b"{\n \"a\": \0 1}", "a NUL (byte 0x00) at line 2 column 7"),
            (b"{\"a\":\"x\x1by\"}", "the byte 0x1b at line 1 column 8"),
            (b"{\0\"\0a\0", "a NUL (byte 0x00) at line 1 column 2"),
            (b"{\"a\":\"\xfc\"}", "the byte 0xfc at line 1 column 7, which is not UTF-8"),
            (b"\xfc", "the byte 0xfc at line 1 column 1, which is not UTF-8"),
            (b"\xff\xfe{\0}\0", "it is UTF-16, as its first two bytes say"),
            (b"\xfe\xff\0{\0}", "it is UTF-16, as its first two bytes say"),
            (
                b"\xef\xbb\xbf\xef\xbb\xbf{}",
                "expected value at line 1 column 1 (the byte there is 0xef)",
            ),
            (b"", "it is empty"),
            (b"\0\0", "it is empty"),
            (b"{\"summary\":\"\xff\"}", "the byte 0xff at line 1 column 13, which is not UTF-8"),
            (b"not json", "expected ident at line 1 column 2"),
            (b"hello", "expected value at line 1 column 1"),
            (b"{\"a\":01}", "invalid number at line 1 column 7"),
            (b"{\"a\":1,}", "key must be a string at line 1 column 8"),
            (b"{\"a\":\"x", "EOF while parsing a string at line 1 column 7"),
        ] {
            let why = Document::read(payload).unwrap_err();
            assert!(why.starts_with(wanted), "{:?}: {why}", String::from_utf8_lossy(payload));
        }
    }
}
