//! From text to tokens.

use super::fault::Fault;
use super::{json, number};

/// Signs of two characters, which come before those of one.
const LONG: [&str; 9] = ["..", ":=", "!=", ">=", "<=", "**", "~>", "?:", "??"];

/// Characters that end a name.
const SIGNS: &str = ".[]{}(),@#;:?+-*/%|=<>^&!~";

/// What begins a comment, and what ends it.
const COMMENT: [&str; 2] = ["/*", "*/"];

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// Where it begins, in bytes.
    pub(super) at: usize,
    pub(super) kind: Lexeme,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lexeme {
    Sign(&'static str),
    /// `and`, `or`, `in`, which may also be names.
    Word(&'static str),
    Name(String),
    /// Without the `$`.
    Variable(String),
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
    End,
}

impl Lexeme {
    /// What the parser knows it by: the sign, or the kind.
    pub(super) fn id(&self) -> &'static str {
        match self {
            Lexeme::Sign(sign) | Lexeme::Word(sign) => sign,
            Lexeme::Name(_) => "a name",
            Lexeme::Variable(_) => "a variable",
            Lexeme::Text(_) => "a text",
            Lexeme::Number(_) => "a number",
            Lexeme::Bool(_) | Lexeme::Null => "a value",
            Lexeme::End => "the end",
        }
    }
}

/// All tokens of a text, with [`Lexeme::End`] behind them.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at = skip(text, at)?;
        let (kind, length) = next(text, at)?;
        let is_end = kind == Lexeme::End;
        tokens.push(Token { at, kind });
        if is_end {
            return Ok(tokens);
        }
        at += length;
    }
}

/// Where the blanks and comments end that begin there.
fn skip(text: &str, mut at: usize) -> Result<usize, Fault> {
    loop {
        let rest = &text[at..];
        at += rest.len() - rest.trim_start_matches(is_blank).len();
        if !text[at..].starts_with(COMMENT[0]) {
            return Ok(at);
        }
        let end = text[at + 2..].find(COMMENT[1]);
        at += 4 + end.ok_or_else(|| Fault::new(at, "S0106", "the comment does not end"))?;
    }
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\u{b}')
}

fn next(text: &str, at: usize) -> Result<(Lexeme, usize), Fault> {
    let rest = &text[at..];
    let Some(first) = rest.chars().next() else { return Ok((Lexeme::End, 0)) };
    if let Some(sign) = LONG.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Lexeme::Sign(sign), sign.len()));
    }
    if let Some(index) = SIGNS.find(first) {
        return Ok((Lexeme::Sign(&SIGNS[index..index + 1]), 1));
    }
    match first {
        '"' | '\'' => {
            let read = json::unquoted(&rest[1..], first, false);
            let (text, length) = read.map_err(|(inside, code, words)| {
                // A text that does not end is wrong where it begins.
                let offset = if code == "S0101" { at } else { at + 1 + inside };
                Fault::new(offset, code, words)
            })?;
            Ok((Lexeme::Text(text), length + 1))
        }
        '`' => match rest[1..].find('`') {
            Some(end) => Ok((Lexeme::Name(rest[1..=end].to_owned()), end + 2)),
            None => Err(Fault::new(at, "S0105", "the quoted name does not end")),
        },
        '0'..='9' => {
            let length = number::length(rest.as_bytes(), false);
            match rest[..length].parse::<f64>() {
                Ok(number) if number.is_finite() => Ok((Lexeme::Number(number), length)),
                _ => Err(Fault::new(at, "S0102", "the number is out of range")),
            }
        }
        _ => {
            let end = rest.find(|letter| is_blank(letter) || SIGNS.contains(letter));
            let word = &rest[..end.unwrap_or(rest.len())];
            Ok((named(word), word.len()))
        }
    }
}

fn named(word: &str) -> Lexeme {
    match word {
        "and" => Lexeme::Word("and"),
        "or" => Lexeme::Word("or"),
        "in" => Lexeme::Word("in"),
        "true" => Lexeme::Bool(true),
        "false" => Lexeme::Bool(false),
        "null" => Lexeme::Null,
        _ => match word.strip_prefix('$') {
            Some(name) => Lexeme::Variable(name.to_owned()),
            None => Lexeme::Name(word.to_owned()),
        },
    }
}
