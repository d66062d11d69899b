//! From letters to tokens, with the comments in between.
//!
//! Two letters mean different things behind a value and elsewhere: `*` multiplies or is everything,
//! `/` divides or begins a regular expression.

use super::ast::{Operator, Place};
use super::fault::Fault;

/// The units of a duration, and how many nanoseconds each has.
const UNITS: [(&str, i64); 8] = [
    ("ms", 1_000_000),
    ("u", 1_000),
    ("µ", 1_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// A word, number or sign of a script.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Var,
    Dbrp,
    Lambda,
    True,
    False,
    Name(&'a str),
    /// Digits, with a point perhaps.
    Number(&'a str),
    Duration(&'a str),
    /// With its quotes.
    Text(&'a str),
    /// Without its quotes, with its escapes.
    Reference(&'a str),
    /// Without its slashes, with its escapes.
    Regex(&'a str),
    /// Also a minus in front of a value.
    Operator(Operator),
    Not,
    Star,
    Assign,
    Dot,
    Pipe,
    At,
    Comma,
    Open,
    Close,
    OpenList,
    CloseList,
    End,
    /// The lexer knows what is wrong: [`Lexer::fault`].
    Wrong,
}

impl Token<'_> {
    /// For sentences: `unexpected …`.
    pub(super) fn words(self) -> String {
        let sign = match self {
            Token::End => return "end of the script".to_owned(),
            Token::Text(text) => return format!("text {}", shortened(text)),
            Token::Reference(text) => return format!("reference \"{}\"", shortened(text)),
            Token::Regex(text) => return format!("regular expression /{}/", shortened(text)),
            Token::Number(text) | Token::Duration(text) | Token::Name(text) => text,
            Token::Operator(operator) => operator.text(),
            Token::Var => "var",
            Token::Dbrp => "dbrp",
            Token::Lambda => "lambda:",
            Token::True => "TRUE",
            Token::False => "FALSE",
            Token::Not => "!",
            Token::Star => "*",
            Token::Assign => "=",
            Token::Dot => ".",
            Token::Pipe => "|",
            Token::At => "@",
            Token::Comma => ",",
            Token::Open => "(",
            Token::Close => ")",
            Token::OpenList => "[",
            Token::CloseList => "]",
            Token::Wrong => "character",
        };
        format!("`{}`", shortened(sign))
    }

    /// Whether an operator may follow.
    fn is_operand(self) -> bool {
        matches!(
            self,
            Token::True
                | Token::False
                | Token::Name(_)
                | Token::Number(_)
                | Token::Duration(_)
                | Token::Text(_)
                | Token::Reference(_)
                | Token::Regex(_)
                | Token::Close
        )
    }
}

/// The first letters of a text, for a sentence.
fn shortened(text: &str) -> &str {
    const CHARS_MAX: usize = 40;
    let line = text.split('\n').next().unwrap_or_default();
    line.char_indices().nth(CHARS_MAX).map_or(line, |(end, _)| &line[..end])
}

/// A token, where it is, and the comments in front of it.
#[derive(Clone, Debug)]
pub(super) struct Lexeme<'a> {
    pub(super) place: Place,
    pub(super) comments: Vec<Box<str>>,
    pub(super) token: Token<'a>,
}

/// Reads tokens from a script.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    place: Place,
    behind_operand: bool,
    /// Why a token was [`Token::Wrong`].
    pub(super) fault: Option<Fault>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let place = Place { line: 1, column: 1 };
        Lexer { rest: text, place, behind_operand: false, fault: None }
    }

    /// The next token; [`Token::End`] for ever after the last.
    pub(super) fn next(&mut self) -> Lexeme<'a> {
        let comments = self.comments();
        let place = self.place;
        let token = self.token().unwrap_or_else(|what| {
            self.fault.get_or_insert(Fault { place, what });
            Token::Wrong
        });
        self.behind_operand = token.is_operand();
        Lexeme { place, comments, token }
    }

    /// Skips white space and comments; those with empty lines between them are kept apart.
    fn comments(&mut self) -> Vec<Box<str>> {
        let mut comments: Vec<Box<str>> = Vec::new();
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            let blank = self.take(blank);
            let Some(after) = self.rest.strip_prefix("//") else { return comments };
            let length = after.find('\n').unwrap_or(after.len());
            let words = self.take(2 + length)[2..].trim();
            if !comments.is_empty() && blank.matches('\n').count() > 1 {
                comments.push("".into());
            }
            let gap = if words.is_empty() { "" } else { " " };
            comments.push(format!("//{gap}{words}").into());
        }
    }

    fn token(&mut self) -> Result<Token<'a>, String> {
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        let second = self.rest[first.len_utf8()..].chars().next();
        match first {
            '\'' => self.text(),
            '"' => self.quoted('"', "field or tag").map(Token::Reference),
            '/' if !self.behind_operand => self.regex(),
            '*' if !self.behind_operand => Ok(self.sign(1, Token::Star)),
            '.' if !second.is_some_and(|second| second.is_ascii_digit()) => {
                Ok(self.sign(1, Token::Dot))
            }
            '.' | '0'..='9' => self.number(),
            letter if letter.is_alphabetic() => Ok(self.word()),
            _ => self.punctuation(first, second),
        }
    }

    fn punctuation(&mut self, first: char, second: Option<char>) -> Result<Token<'a>, String> {
        let (length, token) = match (first, second) {
            ('=', Some('=')) => (2, Token::Operator(Operator::Equal)),
            ('=', Some('~')) => (2, Token::Operator(Operator::Matches)),
            ('!', Some('=')) => (2, Token::Operator(Operator::NotEqual)),
            ('!', Some('~')) => (2, Token::Operator(Operator::MatchesNot)),
            ('<', Some('=')) => (2, Token::Operator(Operator::LessEqual)),
            ('>', Some('=')) => (2, Token::Operator(Operator::GreaterEqual)),
            ('<', _) => (1, Token::Operator(Operator::Less)),
            ('>', _) => (1, Token::Operator(Operator::Greater)),
            ('+', _) => (1, Token::Operator(Operator::Plus)),
            ('-', _) => (1, Token::Operator(Operator::Minus)),
            ('*', _) => (1, Token::Operator(Operator::Times)),
            ('/', _) => (1, Token::Operator(Operator::Divide)),
            ('%', _) => (1, Token::Operator(Operator::Remainder)),
            ('!', _) => (1, Token::Not),
            ('=', _) => (1, Token::Assign),
            ('|', Some('|')) => return Err("`||` is written `OR`".to_owned()),
            ('|', _) => (1, Token::Pipe),
            ('@', _) => (1, Token::At),
            (',', _) => (1, Token::Comma),
            ('(', _) => (1, Token::Open),
            (')', _) => (1, Token::Close),
            ('[', _) => (1, Token::OpenList),
            (']', _) => (1, Token::CloseList),
            _ => return Err(stray(first)),
        };
        Ok(self.sign(length, token))
    }

    /// A name or a keyword.
    fn word(&mut self) -> Token<'a> {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let length = self.rest.find(|letter| !is_part(letter)).unwrap_or(self.rest.len());
        match self.take(length) {
            "var" => Token::Var,
            "dbrp" => Token::Dbrp,
            "TRUE" => Token::True,
            "FALSE" => Token::False,
            "AND" => Token::Operator(Operator::And),
            "OR" => Token::Operator(Operator::Or),
            "lambda" if self.rest.starts_with(':') => self.sign(1, Token::Lambda),
            name => Token::Name(name),
        }
    }

    /// A number, or a duration if a unit follows.
    fn number(&mut self) -> Result<Token<'a>, String> {
        let end = |letter: char| !(letter.is_ascii_digit() || letter == '.');
        let length = self.rest.find(end).unwrap_or(self.rest.len());
        let (digits, after) = self.rest.split_at(length);
        if digits.matches('.').count() > 1 {
            return Err(format!("`{}` is not a number: it has two points", shortened(digits)));
        }
        let unit = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let unit = &after[..unit];
        let known = UNITS.iter().any(|(name, _)| *name == unit);
        if unit.is_empty() {
            return Ok(Token::Number(self.take(length)));
        }
        if !known || digits.contains('.') {
            return Err(not_a_duration(digits, unit));
        }
        let written = self.take(length + unit.len());
        if self.rest.starts_with(|next: char| next.is_ascii_digit()) {
            return Err("a duration has one number and one unit: `90m`, not `1h30m`".to_owned());
        }
        Ok(Token::Duration(written))
    }

    /// What is between `'` or `'''`, and the quotes.
    fn text(&mut self) -> Result<Token<'a>, String> {
        let all = self.rest;
        if let Some(raw) = all.strip_prefix("'''") {
            let end = raw.find("'''").ok_or("the closing ''' of this text is missing")?;
            return Ok(Token::Text(self.take(end + 6)));
        }
        let inner = self.quoted('\'', "text")?;
        Ok(Token::Text(&all[..inner.len() + 2]))
    }

    /// What is between two quotes. A backslash in front of a quote, and no other, is an escape.
    fn quoted(&mut self, quote: char, what: &str) -> Result<&'a str, String> {
        let length = closing(&self.rest[1..], quote);
        let length =
            length.ok_or_else(|| format!("the closing {quote} of this {what} is missing"))?;
        Ok(&self.take(length + 2)[1..=length])
    }

    fn regex(&mut self) -> Result<Token<'a>, String> {
        if self.rest.starts_with("/*") {
            return Err("a comment begins with `//` and ends with its line".to_owned());
        }
        let line = self.rest[1..].split('\n').next().unwrap_or_default();
        let length = closing(line, '/').ok_or("the closing / of this expression is missing")?;
        Ok(Token::Regex(&self.take(length + 2)[1..=length]))
    }

    fn sign(&mut self, bytes: usize, token: Token<'a>) -> Token<'a> {
        self.take(bytes);
        token
    }

    /// Goes on by some bytes and returns them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        for letter in taken.chars() {
            if letter == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        taken
    }
}

/// How long the text in front of a closing quote is.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut before = None;
    for (index, letter) in text.char_indices() {
        if letter == quote && before != Some('\\') {
            return Some(index);
        }
        before = Some(letter);
    }
    None
}

/// Without the backslashes in front of quotes.
pub(super) fn unescaped(text: &str, quote: char) -> Box<str> {
    text.replace(&format!("\\{quote}"), quote.encode_utf8(&mut [0; 4])).into()
}

/// The nanoseconds of a duration's token.
pub(super) fn nanos(written: &str) -> Option<i64> {
    let unit = written.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = written.split_at(unit);
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<i64>().ok()?.checked_mul(*nanos)
}

fn not_a_duration(digits: &str, unit: &str) -> String {
    let (digits, unit) = (shortened(digits), shortened(unit));
    let hint = if digits.contains('.') {
        "the number of a duration has no point"
    } else {
        "the unit of a duration is u, ms, s, m, h, d or w"
    };
    format!("`{digits}{unit}` is not a number: {hint}")
}

fn stray(letter: char) -> String {
    let hint = match letter {
        '&' => "; `&&` is written `AND`",
        '_' => "; a name begins with a letter",
        '“' | '”' | '„' | '‘' | '’' | '`' => {
            "; text is written in straight single quotes, fields and tags in double ones"
        }
        ';' => "; statements need nothing between them",
        '#' => "; a comment begins with `//`",
        _ => "",
    };
    format!("unexpected character `{letter}`{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        let mut lexer = Lexer::new(text);
        let mut found = Vec::new();
        loop {
            let lexeme = lexer.next();
            match lexeme.token {
                Token::End => return found,
                Token::Wrong => {
                    found.push(lexer.fault.unwrap().to_string());
                    return found;
                }
                token => found.push(format!("{:?}", token)),
            }
        }
    }

    #[test]
    fn each_token_is_read() {
        for (text, wanted) in [
            ("5", "Number(\"5\")"),
            (".5", "Number(\".5\")"),
            ("1.", "Number(\"1.\")"),
            ("10ms", "Duration(\"10ms\")"),
            ("3µ", "Duration(\"3µ\")"),
            ("'it\\'s'", "Text(\"'it\\\\'s'\")"),
            ("''", "Text(\"''\")"),
            ("'''a'b\nc'''", "Text(\"'''a'b\\nc'''\")"),
            ("''''''", "Text(\"''''''\")"),
            ("\"a\\\"b\"", "Reference(\"a\\\\\\\"b\")"),
            ("/a\\/b/", "Regex(\"a\\\\/b\")"),
            ("lambda", "Name(\"lambda\")"),
            ("lambda:", "Lambda"),
            ("größe_1", "Name(\"größe_1\")"),
            ("true", "Name(\"true\")"),
            ("a * b", "Name(\"a\") Operator(Times) Name(\"b\")"),
            ("(*)", "Open Star Close"),
            ("a / b", "Name(\"a\") Operator(Divide) Name(\"b\")"),
            ("a =~ /b/", "Name(\"a\") Operator(Matches) Regex(\"b\")"),
            ("a !~ /b/", "Name(\"a\") Operator(MatchesNot) Regex(\"b\")"),
            ("a = /b/", "Name(\"a\") Assign Regex(\"b\")"),
            ("(/b/)", "Open Regex(\"b\") Close"),
            ("-1", "Operator(Minus) Number(\"1\")"),
            ("!x AND y", "Not Name(\"x\") Operator(And) Name(\"y\")"),
            ("a.b(5).c", "Name(\"a\") Dot Name(\"b\") Open Number(\"5\") Close Dot Name(\"c\")"),
            ("\"db\".\"rp\"", "Reference(\"db\") Dot Reference(\"rp\")"),
            ("a // b\n * c", "Name(\"a\") Operator(Times) Name(\"c\")"),
        ] {
            assert_eq!(tokens(text).join(" "), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_token_has_a_place_and_words() {
        for (text, wanted) in [
            ("\n  'a", "line 2 char 3: the closing ' of this text is missing"),
            ("'''a''", "line 1 char 1: the closing ''' of this text is missing"),
            ("\"a", "line 1 char 1: the closing \" of this field or tag is missing"),
            ("(/a\nb/)", "line 1 char 2: the closing / of this expression is missing"),
            ("/* a */", "line 1 char 1: a comment begins with `//` and ends with its line"),
            ("1.2.3", "line 1 char 1: `1.2.3` is not a number: it has two points"),
            ("ä _b", "line 1 char 3: unexpected character `_`; a name begins with a letter"),
            ("a && b", "line 1 char 3: unexpected character `&`; `&&` is written `AND`"),
            ("a || b", "line 1 char 3: `||` is written `OR`"),
            ("1h30m", "line 1 char 1: a duration has one number and one unit: `90m`, not `1h30m`"),
            (
                "1.5h",
                "line 1 char 1: `1.5h` is not a number: the number of a duration has no point",
            ),
            (
                "10ns",
                "line 1 char 1: `10ns` is not a number: the unit of a duration is u, ms, s, m, h, \
                 d or w",
            ),
        ] {
            assert_eq!(tokens(text).last().unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn comments_are_kept_apart_by_empty_lines() {
        let mut lexer = Lexer::new("//one\n  //  two\n\n//\nx");
        let lexeme = lexer.next();
        let comments: Vec<&str> = lexeme.comments.iter().map(AsRef::as_ref).collect();
        assert_eq!(comments, ["// one", "// two", "", "//"]);
        assert_eq!(lexeme.place, Place { line: 5, column: 1 });
    }

    #[test]
    fn durations_are_nanoseconds() {
        for (written, wanted) in [
            ("2u", Some(2_000)),
            ("2µ", Some(2_000)),
            ("90s", Some(90_000_000_000)),
            ("1w", Some(604_800_000_000_000)),
            ("99999999w", None),
        ] {
            assert_eq!(nanos(written), wanted, "{written}");
        }
    }
}
