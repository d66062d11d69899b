//! From a text to tokens: what is between `{{` and `}}`, and what is not.

use super::Fault;
use crate::alerts::script::Place;

const LEFT: &str = "{{";
const RIGHT: &str = "}}";

/// What trim markers take away.
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// What a template is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Text outside of actions.
    Text(Box<str>),
    /// `{{`
    Left,
    /// `}}`
    Right,
    Pipe,
    Comma,
    Open,
    Close,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `.` alone.
    Dot,
    /// `.Name`
    Field(Box<str>),
    /// `$` or `$name`, without the `$`.
    Variable(Box<str>),
    /// A function or a keyword.
    Word(Box<str>),
    /// `"text"` or a raw one, without escapes.
    Quoted(Box<str>),
    /// `'a'`
    Letter(char),
    /// A number, as it is written.
    Number(Box<str>),
}

/// A token, where it begins, and whether there is white space in front of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) token: Token,
    pub(super) at: usize,
    pub(super) spaced: bool,
}

/// All tokens of a template.
pub(super) fn tokens(text: &str) -> Result<Vec<Found>, Fault> {
    let mut lexer = Lexer { text, at: 0, found: Vec::new() };
    lexer.template()?;
    Ok(lexer.found)
}

/// The place of a byte in a text.
pub(super) fn place(text: &str, at: usize) -> Place {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { line: small(line), column: small(column) }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    found: Vec<Found>,
}

impl<'a> Lexer<'a> {
    fn template(&mut self) -> Result<(), Fault> {
        let mut trims = false;
        loop {
            let begin = self.at;
            let rest = self.rest();
            let (text, is_last) = match rest.find(LEFT) {
                Some(length) => (&rest[..length], false),
                None => (rest, true),
            };
            self.at += text.len() + if is_last { 0 } else { LEFT.len() };
            let trims_left = !is_last && self.left_marker();
            let text = if trims { text.trim_start_matches(SPACES) } else { text };
            let text = if trims_left { text.trim_end_matches(SPACES) } else { text };
            if !text.is_empty() {
                self.add(Token::Text(text.into()), begin, false);
            }
            if is_last {
                return Ok(());
            }
            trims = self.action()?;
        }
    }

    /// `- ` after `{{`.
    fn left_marker(&mut self) -> bool {
        let has = self.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES));
        if has {
            self.at += 2;
        }
        has
    }

    /// What is left of an action; whether the text behind it is trimmed.
    fn action(&mut self) -> Result<bool, Fault> {
        let left = self.text[..self.at].rfind(LEFT).unwrap_or_default();
        if self.rest().starts_with("/*") {
            return self.comment(left);
        }
        self.add(Token::Left, left, false);
        loop {
            let before = self.at;
            self.at += self.rest().len() - self.rest().trim_start_matches(SPACES).len();
            let spaced = self.at > before;
            let trims =
                spaced && self.rest().strip_prefix('-').is_some_and(|r| r.starts_with(RIGHT));
            if trims || self.rest().starts_with(RIGHT) {
                let right = self.at;
                self.at += RIGHT.len() + usize::from(trims);
                self.add(Token::Right, right, spaced);
                return Ok(trims);
            }
            if self.rest().is_empty() {
                return Err(self.fault(left, "this `{{` is never closed by `}}`"));
            }
            self.token(spaced)?;
        }
    }

    fn comment(&mut self, left: usize) -> Result<bool, Fault> {
        let Some(length) = self.rest().find("*/") else {
            return Err(self.fault(left, "this comment is never closed by `*/}}`"));
        };
        self.at += length + 2;
        let spaces = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
        let after = &self.rest()[spaces..];
        let trims = spaces == 1 && after.starts_with("-}}");
        let closes = trims || spaces == 0 && after.starts_with(RIGHT);
        if !closes {
            return Err(self.fault(self.at, "`*/` must be followed by `}}`"));
        }
        self.at += if trims { spaces + 3 } else { RIGHT.len() };
        Ok(trims)
    }

    fn token(&mut self, spaced: bool) -> Result<(), Fault> {
        let begin = self.at;
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or_default();
        let second = rest.chars().nth(1).unwrap_or_default();
        let token = match first {
            '|' => self.take(1, Token::Pipe),
            ',' => self.take(1, Token::Comma),
            '(' => self.take(1, Token::Open),
            ')' => self.take(1, Token::Close),
            ':' if second == '=' => self.take(2, Token::Declare),
            '=' => self.take(1, Token::Assign),
            '"' => self.quoted()?,
            '`' => self.raw()?,
            '\'' => self.letter()?,
            '.' if !second.is_ascii_digit() => self.field(),
            '$' => Token::Variable(self.name(1)),
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ if is_word(first) => Token::Word(self.name(0)),
            _ => {
                let what = format!("`{}` has no meaning here", first.escape_debug());
                return Err(self.fault(begin, what));
            }
        };
        self.add(token, begin, spaced);
        Ok(())
    }

    fn take(&mut self, length: usize, token: Token) -> Token {
        self.at += length;
        token
    }

    fn field(&mut self) -> Token {
        let name = self.name(1);
        if name.is_empty() { Token::Dot } else { Token::Field(name) }
    }

    /// The name behind this many bytes.
    fn name(&mut self, skipped: usize) -> Box<str> {
        self.at += skipped;
        let rest = self.rest();
        let length = rest.find(|letter| !is_word(letter)).unwrap_or(rest.len());
        self.at += length;
        rest[..length].into()
    }

    /// A sign, and everything that may be part of a number; the parser looks closer.
    fn number(&mut self) -> Token {
        let rest = self.rest();
        let is_hex = rest.trim_start_matches(['+', '-']).starts_with("0x");
        let mut length = 1;
        for (index, letter) in rest.char_indices().skip(1) {
            let is_exponent = !is_hex && rest[..index].ends_with(['e', 'E']);
            let belongs = letter.is_ascii_alphanumeric()
                || matches!(letter, '.' | '_')
                || (matches!(letter, '+' | '-') && is_exponent);
            if !belongs {
                break;
            }
            length = index + 1;
        }
        self.at += length;
        Token::Number(rest[..length].into())
    }

    fn raw(&mut self) -> Result<Token, Fault> {
        let (begin, rest) = (self.at, &self.rest()[1..]);
        let Some(length) = rest.find('`') else {
            return Err(self.fault(begin, "this text is never closed by a backquote"));
        };
        self.at += length + 2;
        Ok(Token::Quoted(rest[..length].replace('\r', "").into()))
    }

    fn letter(&mut self) -> Result<Token, Fault> {
        let begin = self.at;
        let text = self.until_quote('\'')?;
        let mut letters = text.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Ok(Token::Letter(letter)),
            _ => {
                Err(self.fault(begin, "a letter in single quotes is one letter; texts are in \"\""))
            }
        }
    }

    fn quoted(&mut self) -> Result<Token, Fault> {
        Ok(Token::Quoted(self.until_quote('"')?.into()))
    }

    /// A quoted text, without its escapes.
    fn until_quote(&mut self, quote: char) -> Result<String, Fault> {
        let begin = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let at = self.at;
            let Some(letter) = self.next().filter(|letter| *letter != '\n') else {
                return Err(self.fault(begin, format!("this text is never closed by {quote}")));
            };
            match letter {
                '\\' => {
                    let Some(byte) = self.escaped(quote, &mut bytes) else {
                        return Err(self.fault(at, "this escape is not one that Go knows"));
                    };
                    bytes.extend(byte);
                }
                _ if letter == quote => break,
                _ => push(&mut bytes, letter),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What stands behind a backslash: a byte, or a letter that is put into `bytes`.
    fn escaped(&mut self, quote: char, bytes: &mut Vec<u8>) -> Option<Option<u8>> {
        let letter = self.next()?;
        let plain = match letter {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            'x' => u8::try_from(self.digits(2, 16)?).ok()?,
            'u' | 'U' => {
                let count = if letter == 'u' { 4 } else { 8 };
                push(bytes, char::from_u32(self.digits(count, 16)?)?);
                return Some(None);
            }
            '0'..='7' => {
                self.at -= 1;
                u8::try_from(self.digits(3, 8)?).ok()?
            }
            _ if letter == quote => u8::try_from(quote).ok()?,
            _ => return None,
        };
        Some(Some(plain))
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let digits = self.rest().get(..count)?;
        if !digits.chars().all(|digit| digit.is_digit(radix)) {
            return None;
        }
        self.at += count;
        u32::from_str_radix(digits, radix).ok()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn add(&mut self, token: Token, at: usize, spaced: bool) {
        self.found.push(Found { token, at, spaced });
    }

    fn fault(&self, at: usize, what: impl Into<String>) -> Fault {
        Fault { place: place(self.text, at), what: what.into() }
    }
}

fn is_word(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

fn push(bytes: &mut Vec<u8>, letter: char) {
    bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
}
