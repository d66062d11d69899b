//! JSON with places: strict RFC 8259, and no key twice.

use super::{DEPTH_MAX, Entry, Node, SyntaxError, Value};
use std::collections::BTreeSet;

/// Reads a document.
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut parser = Parser { text, at: 0 };
    let node = parser.node(0)?;
    parser.space();
    match parser.peek() {
        None => Ok(node),
        Some(_) => parser.fail("nothing may follow the document"),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn fail<T>(&self, what: &str) -> Result<T, SyntaxError> {
        let found = match self.text[self.at..].chars().next() {
            None => "the end of the file".to_owned(),
            Some(found) => format!("`{}`", found.escape_debug()),
        };
        Err((self.at, format!("{what}, found {found}")))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn node(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        self.space();
        if depth > DEPTH_MAX {
            return self.fail("this is nested too deeply");
        }
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z') => self.word()?,
            _ => return self.fail("expected a value"),
        };
        Ok(Node { at, value })
    }

    fn table(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let (mut entries, mut keys) = (Vec::new(), BTreeSet::new());
        self.space();
        if self.take(b'}') {
            return Ok(Value::Table(entries));
        }
        loop {
            self.space();
            let at = self.at;
            if self.peek() != Some(b'"') {
                return self.fail("expected a key in double quotes");
            }
            let key = self.string()?;
            if !keys.insert(key.clone()) {
                return Err((at, format!("the key `{key}` is there twice")));
            }
            self.space();
            if !self.take(b':') {
                return self.fail("expected `:` after the key");
            }
            let node = self.node(depth + 1)?;
            entries.push(Entry { key, at, node });
            self.space();
            if self.take(b'}') {
                return Ok(Value::Table(entries));
            }
            if !self.take(b',') {
                return self.fail("expected `,` or `}`");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.at += 1;
        let mut nodes = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::List(nodes));
        }
        loop {
            nodes.push(self.node(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::List(nodes));
            }
            if !self.take(b',') {
                return self.fail("expected `,` or `]`");
            }
        }
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        for (word, value) in
            [("true", Value::Truth(true)), ("false", Value::Truth(false)), ("null", Value::Null)]
        {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.fail("expected a value")
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.fail("expected a digit");
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        } else if matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.fail("a number may not begin with 0");
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Value::Number(self.text[start..self.at].to_owned()))
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let Some(next) = self.text[self.at..].chars().next() else {
                return self.fail("expected `\"` at the end of a text");
            };
            match next {
                '"' => {
                    self.at += 1;
                    return Ok(string);
                }
                '\\' => string.push(self.escape()?),
                '\0'..='\x1f' => return self.fail("a control character must be escaped"),
                _ => {
                    string.push(next);
                    self.at += next.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let escaped = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return self.fail("unknown escape"),
        };
        self.at += 1;
        Ok(escaped)
    }

    /// `\u` and four digits, or two of these that make one character.
    fn unicode(&mut self, start: usize) -> Result<char, SyntaxError> {
        self.at += 1;
        let first = self.hex()?;
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            units.push(self.hex()?);
        }
        match char::decode_utf16(units).collect::<Result<Vec<char>, _>>().as_deref() {
            Ok([character]) => Ok(*character),
            _ => Err((start, "this escape is half of a character".to_owned())),
        }
    }

    fn hex(&mut self) -> Result<u16, SyntaxError> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return self.fail("expected four hexadecimal digits");
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).map_err(|error| (self.at, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_strictly() {
        for (text, wanted) in [
            ("", (0, "expected a value, found the end of the file")),
            ("{", (1, "expected a key in double quotes, found the end of the file")),
            ("{a:1}", (1, "expected a key in double quotes, found `a`")),
            ("{\"a\" 1}", (5, "expected `:` after the key, found `1`")),
            ("{\"a\":1,}", (7, "expected a key in double quotes, found `}`")),
            ("{\"a\":1,\"a\":2}", (7, "the key `a` is there twice")),
            ("[1 2]", (3, "expected `,` or `]`, found `2`")),
            ("[1,]", (3, "expected a value, found `]`")),
            ("01", (1, "a number may not begin with 0, found `1`")),
            ("1.", (2, "expected a digit, found the end of the file")),
            ("tru", (0, "expected a value, found `t`")),
            ("1 1", (2, "nothing may follow the document, found `1`")),
            ("\"a", (2, "expected `\"` at the end of a text, found the end of the file")),
            ("\"\n\"", (1, "a control character must be escaped, found `\\n`")),
            (r#""\x""#, (2, "unknown escape, found `x`")),
            (r#""\ud800""#, (1, "this escape is half of a character")),
            (r#""\u12é""#, (3, "expected four hexadecimal digits, found `1`")),
        ] {
            assert_eq!(parse(text), Err((wanted.0, wanted.1.to_owned())), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn texts_are_unescaped() {
        let text = r#" "a\"\\\/\b\f\n\r\té\ud83d\ude00ü" "#;
        let wanted = Value::Text("a\"\\/\x08\x0c\n\r\té😀ü".to_owned());
        assert_eq!(parse(text), Ok(Node { at: 1, value: wanted }));
        assert_eq!(parse("-1.5e+3").map(|n| n.value), Ok(Value::Number("-1.5e+3".to_owned())));
    }
}
