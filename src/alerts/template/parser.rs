//! From tokens to a tree. Names of variables and functions are looked up here, so that a template
//! that is accepted has none that nobody knows.

use super::Fault;
use super::functions::Function;
use super::lexer::{Found, Token, place, tokens};
use super::tree::{Branch, Command, Node, Operand, Pipe, Target, Term};

/// How deep parentheses and blocks may be nested.
const DEPTH_MAX: usize = 50;

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let found = tokens(text)?;
    let variables = vec![Box::from("")];
    let mut parser = Parser { text, found, next: 0, variables, depth: 0, ranges: 0 };
    let (nodes, end) = parser.list()?;
    match end {
        End::Text => Ok(nodes),
        End::Else(at) => Err(parser.fault(at, "`else` without an `if`, `with` or `range`")),
        End::Closed(at) => Err(parser.fault(at, "`end` without an `if`, `with` or `range`")),
    }
}

struct Parser<'a> {
    text: &'a str,
    found: Vec<Found>,
    next: usize,
    /// Those that can be seen, in the order of their declarations.
    variables: Vec<Box<str>>,
    depth: usize,
    /// How many ranges are around.
    ranges: usize,
}

/// What ends a list of nodes, and where.
enum End {
    Text,
    /// The word behind it comes next.
    Else(usize),
    Closed(usize),
}

/// What opens a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opens {
    If,
    With,
    Range,
}

impl Opens {
    fn of(word: &str) -> Option<Opens> {
        match word {
            "if" => Some(Opens::If),
            "with" => Some(Opens::With),
            "range" => Some(Opens::Range),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Opens::If => "if",
            Opens::With => "with",
            Opens::Range => "range",
        }
    }
}

impl Parser<'_> {
    fn list(&mut self) -> Result<(Vec<Node>, End), Fault> {
        let mut nodes = Vec::new();
        while let Some(found) = self.take() {
            if let Token::Text(text) = found.token {
                nodes.push(Node::Text(text));
                continue;
            }
            let word = match self.peek() {
                Some(Token::Word(word)) => word.clone(),
                _ => "".into(),
            };
            let at = self.at();
            match &*word {
                "end" => {
                    self.take();
                    self.right("end")?;
                    return Ok((nodes, End::Closed(at)));
                }
                "else" => {
                    self.take();
                    return Ok((nodes, End::Else(at)));
                }
                _ => nodes.push(self.action(&word)?),
            }
        }
        Ok((nodes, End::Text))
    }

    fn action(&mut self, word: &str) -> Result<Node, Fault> {
        let at = self.at();
        if let Some(opens) = Opens::of(word) {
            self.take();
            return self.block(opens, at);
        }
        match word {
            "break" | "continue" => {
                self.take();
                if self.ranges == 0 {
                    return Err(self.fault(at, format!("`{word}` outside of a `range`")));
                }
                self.right(word)?;
                Ok(if word == "break" { Node::Break } else { Node::Continue })
            }
            "define" | "template" | "block" => {
                let what = format!("`{word}` is not supported: a template is one piece here");
                Err(self.fault(at, what))
            }
            _ => {
                let pipe = self.pipe(1)?;
                self.right("this")?;
                Ok(Node::Action(pipe))
            }
        }
    }

    fn block(&mut self, opens: Opens, at: usize) -> Result<Node, Fault> {
        self.deeper(at)?;
        let visible = self.variables.len();
        let pipe = self.pipe(if opens == Opens::Range { 2 } else { 1 })?;
        self.right(opens.name())?;
        self.ranges += usize::from(opens == Opens::Range);
        let outer = self.variables.len();
        let (then, end) = self.list()?;
        self.variables.truncate(outer);
        self.ranges -= usize::from(opens == Opens::Range);
        let otherwise = match end {
            End::Closed(_) => Vec::new(),
            End::Else(_) => self.otherwise(opens)?,
            End::Text => return Err(self.never_ended(opens, at)),
        };
        self.variables.truncate(visible);
        self.depth -= 1;
        let branch = Branch { pipe, then, otherwise };
        Ok(match opens {
            Opens::If => Node::If(branch),
            Opens::With => Node::With(branch),
            Opens::Range => Node::Range(branch),
        })
    }

    /// What follows an `else`: nodes up to `end`, or another `if` that shares the `end`.
    fn otherwise(&mut self, opens: Opens) -> Result<Vec<Node>, Fault> {
        let at = self.at();
        if let Some(Token::Word(word)) = self.peek()
            && let Some(next) = Opens::of(word)
        {
            if next != opens || opens == Opens::Range {
                let what = format!("`else {}` cannot follow `{}`", next.name(), opens.name());
                return Err(self.fault(at, what));
            }
            self.take();
            return Ok(vec![self.block(next, at)?]);
        }
        self.right("else")?;
        let outer = self.variables.len();
        let (nodes, end) = self.list()?;
        self.variables.truncate(outer);
        match end {
            End::Closed(_) => Ok(nodes),
            End::Else(again) => Err(self.fault(again, "a second `else`")),
            End::Text => Err(self.never_ended(opens, at)),
        }
    }

    fn never_ended(&self, opens: Opens, at: usize) -> Fault {
        self.fault(at, format!("this `{}` has no `{{{{ end }}}}`", opens.name()))
    }

    fn pipe(&mut self, names_max: usize) -> Result<Pipe, Fault> {
        let place = place(self.text, self.at());
        let (target, names) = self.target(names_max)?;
        let mut commands = Vec::new();
        loop {
            let command = self.command()?;
            if !commands.is_empty() && !takes_arguments(&command.operand) {
                let what = "what follows `|` must be a function or a method";
                return Err(Fault { place: command.operand.place, what: what.to_owned() });
            }
            commands.push(command);
            if self.peek() != Some(&Token::Pipe) {
                break;
            }
            self.take();
        }
        self.variables.extend(names);
        Ok(Pipe { place, target, commands })
    }

    /// `$x :=`, `$x =`, `$i, $x :=`, or nothing.
    fn target(&mut self, names_max: usize) -> Result<(Target, Vec<Box<str>>), Fault> {
        let at = self.at();
        let ahead = |count: usize| self.found.get(self.next + count).map(|found| &found.token);
        let (names, sign) = match (ahead(0), ahead(1), ahead(2), ahead(3)) {
            (Some(Token::Variable(one)), Some(sign @ (Token::Declare | Token::Assign)), ..) => {
                (vec![one.clone()], sign.clone())
            }
            (
                Some(Token::Variable(one)),
                Some(Token::Comma),
                Some(Token::Variable(two)),
                Some(sign @ (Token::Declare | Token::Assign)),
            ) => (vec![one.clone(), two.clone()], sign.clone()),
            _ => return Ok((Target::Output, Vec::new())),
        };
        self.next += names.len() * 2;
        if names.len() > names_max || names_max == 0 {
            return Err(self.fault(at, "no variable, or not so many, can be set here"));
        }
        if sign == Token::Declare {
            return Ok((Target::New(names.len()), names));
        }
        match names.as_slice() {
            [one] if !one.is_empty() => Ok((Target::Old(self.variable(one, at)?), Vec::new())),
            _ => Err(self.fault(at, "only one variable can be set with `=`")),
        }
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let operand = self.operand()?;
        if operand.term == Term::Nil {
            let what = "`nil` alone says nothing: it can only be compared with";
            return Err(Fault { place: operand.place, what: what.to_owned() });
        }
        let mut arguments = Vec::new();
        while self.begins_operand() {
            let found = &self.found[self.next];
            if !found.spaced {
                return Err(self.fault(found.at, "a space is missing in front of this"));
            }
            arguments.push(self.operand()?);
        }
        if !arguments.is_empty() && !takes_arguments(&operand) {
            let what = "this takes no arguments: only functions and methods do";
            return Err(Fault { place: operand.place, what: what.to_owned() });
        }
        Ok(Command { operand, arguments })
    }

    fn begins_operand(&self) -> bool {
        !matches!(
            self.peek(),
            None | Some(
                Token::Right
                    | Token::Pipe
                    | Token::Close
                    | Token::Comma
                    | Token::Declare
                    | Token::Assign
            )
        )
    }

    fn operand(&mut self) -> Result<Operand, Fault> {
        let at = self.at();
        let mut way = Vec::new();
        let term = match self.take().map(|found| found.token) {
            Some(Token::Dot) => Term::Dot,
            Some(Token::Field(name)) => {
                way.push(name);
                Term::Dot
            }
            Some(Token::Variable(name)) => Term::Variable(self.variable(&name, at)?),
            Some(Token::Quoted(text)) => Term::Text(text),
            Some(Token::Letter(letter)) => Term::Int(u32::from(letter).into()),
            Some(Token::Number(written)) => number(&written)
                .ok_or_else(|| self.fault(at, format!("`{written}` is no number")))?,
            Some(Token::Word(word)) => self.word(&word, at)?,
            Some(Token::Open) => self.parentheses(at)?,
            None | Some(Token::Right) => return Err(self.fault(at, "a value is missing here")),
            Some(_) => return Err(self.fault(at, "a value is needed here")),
        };
        while let Some(Found { token: Token::Field(name), spaced: false, .. }) =
            self.found.get(self.next)
        {
            way.push(name.clone());
            self.next += 1;
        }
        let is_plain = matches!(
            term,
            Term::Text(_) | Term::Int(_) | Term::Float(_) | Term::Bool(_) | Term::Nil
        );
        if !way.is_empty() && is_plain {
            return Err(self.fault(at, "a constant has no fields"));
        }
        Ok(Operand { place: place(self.text, at), term, way })
    }

    fn word(&self, word: &str, at: usize) -> Result<Term, Fault> {
        Ok(match word {
            "true" => Term::Bool(true),
            "false" => Term::Bool(false),
            "nil" => Term::Nil,
            _ => match Function::of(word) {
                Some(function) => Term::Function(function),
                None => {
                    let what = format!("there is no function `{word}`; fields begin with a dot");
                    return Err(self.fault(at, what));
                }
            },
        })
    }

    fn parentheses(&mut self, at: usize) -> Result<Term, Fault> {
        self.deeper(at)?;
        let pipe = self.pipe(0)?;
        if self.take().map(|found| found.token) != Some(Token::Close) {
            return Err(self.fault(at, "this `(` is never closed by `)`"));
        }
        self.depth -= 1;
        Ok(Term::Pipe(Box::new(pipe)))
    }

    fn variable(&self, name: &str, at: usize) -> Result<usize, Fault> {
        self.variables
            .iter()
            .rposition(|known| **known == *name)
            .ok_or_else(|| self.fault(at, format!("there is no variable `${name}`")))
    }

    fn deeper(&mut self, at: usize) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault(at, format!("more than {DEPTH_MAX} levels deep")));
        }
        Ok(())
    }

    fn right(&mut self, after: &str) -> Result<(), Fault> {
        let at = self.at();
        match self.take().map(|found| found.token) {
            Some(Token::Right) => Ok(()),
            _ => Err(self.fault(at, format!("`}}}}` is expected here, at the end of `{after}`"))),
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.found.get(self.next).map(|found| &found.token)
    }

    fn take(&mut self) -> Option<Found> {
        let found = self.found.get(self.next)?.clone();
        self.next += 1;
        Some(found)
    }

    /// Where the next token begins.
    fn at(&self) -> usize {
        self.found.get(self.next).map_or(self.text.len(), |found| found.at)
    }

    fn fault(&self, at: usize, what: impl Into<String>) -> Fault {
        Fault { place: place(self.text, at), what: what.into() }
    }
}

fn takes_arguments(operand: &Operand) -> bool {
    !operand.way.is_empty() || matches!(operand.term, Term::Function(_))
}

/// A number as Go writes it; one with a fraction or an exponent is a float.
fn number(written: &str) -> Option<Term> {
    let is_misplaced = |text: &str| text.ends_with('_') || text.contains("__");
    let (minus, digits) = match written.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    if is_misplaced(digits) || digits.starts_with('_') {
        return None;
    }
    let lower = digits.replace('_', "").to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(_) if lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => {
            (8, &lower[1..])
        }
        _ => (10, lower.as_str()),
    };
    if radix == 10 && digits.contains(['.', 'e']) {
        let is_number = digits.bytes().any(|byte| byte.is_ascii_digit());
        let value: f64 = digits.parse().ok().filter(|value: &f64| value.is_finite())?;
        return is_number.then_some(Term::Float(if minus { -value } else { value }));
    }
    let value =
        i128::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))?;
    i64::try_from(if minus { -value } else { value }).ok().map(Term::Int)
}
