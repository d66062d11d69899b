//! From words to a tree.

use super::Wrong;
use super::functions::{Function, NAMES};
use super::lexer::Word;
use super::pattern::Pattern;
use super::tree::{Comparison, Literal, Node, Step};

/// How deep brackets may be nested.
const NESTING_MAX: usize = 32;

/// How often a value may be wrapped in a comparison or in a call, all in all.
const WRAPS_MAX: usize = 128;

const MACROS: [&str; 5] = ["all", "exists", "exists_one", "map", "filter"];

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::MoreOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::More),
];

/// Makes a tree of all words.
pub(super) fn parse(words: Vec<(Word<'_>, usize)>) -> Result<Node, Wrong> {
    let mut parser = Parser { words, next: 0, nesting: 0, wraps: 0 };
    let root = parser.expression()?;
    match parser.peek() {
        Word::End => Ok(root),
        _ => Err(parser.unexpected("an operator")),
    }
}

struct Parser<'a> {
    words: Vec<(Word<'a>, usize)>,
    next: usize,
    nesting: usize,
    wraps: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &Word<'a> {
        self.words.get(self.next).map_or(&Word::End, |(word, _)| word)
    }

    fn offset(&self) -> usize {
        let last = self.words.len().saturating_sub(1);
        self.words.get(self.next.min(last)).map_or(0, |(_, offset)| *offset)
    }

    fn takes(&mut self, mark: &str) -> bool {
        let is_next = matches!(self.peek(), Word::Mark(next) if *next == mark);
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, mark: &str) -> Result<(), Wrong> {
        match self.takes(mark) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{mark}`"))),
        }
    }

    /// What stands where something else is wanted.
    fn unexpected(&self, wanted: &str) -> Wrong {
        let words = match self.peek() {
            Word::End => format!("the expression ends where {wanted} is wanted"),
            Word::Name("and") => "`and` is no operator; write `&&`".to_owned(),
            Word::Name("or") => "`or` is no operator; write `||`".to_owned(),
            Word::Mark(mark @ ("-" | "*" | "/" | "%")) => {
                format!("`{mark}` is not supported; of arithmetic there is only `+`")
            }
            Word::Mark("{") => "maps are not supported".to_owned(),
            Word::Mark(mark) => format!("`{mark}` stands where {wanted} is wanted"),
            Word::Name(name) | Word::Number(name) => {
                format!("`{name}` stands where {wanted} is wanted")
            }
            Word::Text(_) => format!("a text stands where {wanted} is wanted"),
        };
        Wrong::at(self.offset(), words)
    }

    fn wrapped(&mut self) -> Result<(), Wrong> {
        self.wraps += 1;
        match self.wraps > WRAPS_MAX {
            true => Err(Wrong::at(self.offset(), "the expression is too long")),
            false => Ok(()),
        }
    }

    fn expression(&mut self) -> Result<Node, Wrong> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(Wrong::at(self.offset(), "brackets are nested too deep"));
        }
        let mut node = self.chain("||")?;
        if self.takes("?") {
            let then = self.chain("||")?;
            self.expect(":")?;
            node = Node::Choice(Box::new((node, then, self.expression()?)));
        }
        self.nesting -= 1;
        Ok(node)
    }

    /// What `||`, `&&` or `+` joins.
    fn chain(&mut self, mark: &'static str) -> Result<Node, Wrong> {
        let part = |parser: &mut Self| match mark {
            "||" => parser.chain("&&"),
            "&&" => parser.comparison(),
            _ => parser.unary(),
        };
        let first = part(self)?;
        let mut all = vec![first];
        while self.takes(mark) {
            all.push(part(self)?);
        }
        Ok(match (all.len(), mark) {
            (1, _) => all.remove(0),
            (_, "||") => Node::Or(all),
            (_, "&&") => Node::And(all),
            _ => Node::Sum(all),
        })
    }

    fn comparison(&mut self) -> Result<Node, Wrong> {
        let mut left = self.chain("+")?;
        while let Some(comparison) = self.takes_comparison() {
            self.wrapped()?;
            let right = self.chain("+")?;
            left = Node::Compare(comparison, Box::new((left, right)));
        }
        Ok(left)
    }

    fn takes_comparison(&mut self) -> Option<Comparison> {
        let found = match self.peek() {
            Word::Name("in") => Some(Comparison::In),
            Word::Mark(mark) => {
                COMPARISONS.iter().find(|(known, _)| known == mark).map(|(_, found)| *found)
            }
            _ => None,
        };
        self.next += usize::from(found.is_some());
        found
    }

    fn unary(&mut self) -> Result<Node, Wrong> {
        let mut negated = None;
        while self.takes("!") {
            negated = Some(!negated.unwrap_or(false));
        }
        let is_minus = matches!(self.peek(), Word::Mark("-"));
        let is_number = matches!(self.words.get(self.next + 1), Some((Word::Number(_), _)));
        let sign = if is_minus && is_number { "-" } else { "" };
        self.next += sign.len();
        let node = self.primary(sign)?;
        let node = self.steps(node)?;
        Ok(match negated {
            None => node,
            Some(true) => Node::Not(Box::new(node)),
            // Twice is not the same as not at all: what is no bool stays an error.
            Some(false) => Node::Not(Box::new(Node::Not(Box::new(node)))),
        })
    }

    fn primary(&mut self, sign: &str) -> Result<Node, Wrong> {
        let at = self.offset();
        let literal = match self.peek().clone() {
            Word::Number(text) => number(sign, text).ok_or_else(|| {
                Wrong::at(at, format!("`{sign}{text}` is out of range, or not a number"))
            })?,
            Word::Text(text) => Literal::Text(text),
            Word::Name("true") => Literal::Bool(true),
            Word::Name("false") => Literal::Bool(false),
            Word::Name("null") => Literal::Null,
            Word::Name(name) => {
                self.next += 1;
                return self.named(name, at);
            }
            Word::Mark("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Word::Mark("[") => {
                self.next += 1;
                return self.list_until("]").map(Node::List);
            }
            Word::Mark(_) | Word::End => return Err(self.unexpected("a value")),
        };
        self.next += 1;
        Ok(Node::Literal(literal))
    }

    /// `event`, or a call.
    fn named(&mut self, name: &'a str, at: usize) -> Result<Node, Wrong> {
        if self.takes("(") {
            if name == "has" {
                return has(self.list_until(")")?).ok_or_else(|| {
                    Wrong::at(at, "`has` takes a member, as in `has(event.data.x)`")
                });
            }
            let function = self.function(name, at)?;
            return self.call(function, Vec::new(), at);
        }
        match name {
            "event" => Ok(Node::Event),
            "in" => Err(Wrong::at(at, "`in` stands where a value is wanted")),
            "not" => Err(Wrong::at(at, "`not` is no operator; write `!`")),
            _ => Err(Wrong::at(
                at,
                format!(
                    "`{name}` is unknown; a member of the event is `event.{name}`, a text \"{name}\""
                ),
            )),
        }
    }

    /// The function of a name that stands in front of a bracket.
    fn function(&mut self, name: &str, at: usize) -> Result<Function, Wrong> {
        self.wrapped()?;
        Function::of(name).ok_or_else(|| {
            let words = match MACROS.contains(&name) {
                true => format!("the macro `{name}` is not supported"),
                false => {
                    format!("the function `{name}` is unknown; there are {}", NAMES.join(", "))
                }
            };
            Wrong::at(at, words)
        })
    }

    /// A call of a function, of which the bracket has been opened.
    fn call(
        &mut self,
        function: Function,
        mut values: Vec<Node>,
        at: usize,
    ) -> Result<Node, Wrong> {
        values.extend(self.list_until(")")?);
        if values.len() != function.values() {
            let wanted = function.values();
            let name = function.name();
            let words = format!("`{name}` takes {wanted} value(s), that it is called on included");
            return Err(Wrong::at(at, words));
        }
        if function != Function::Matches {
            return Ok(Node::Call(function, values));
        }
        if let [_, Node::Literal(Literal::Text(pattern))] = values.as_slice() {
            let pattern = Pattern::new(pattern).map_err(|why| Wrong::at(at, why))?;
            let subject = values.into_iter().next().unwrap_or(Node::Event);
            return Ok(Node::Matches(Box::new(subject), pattern));
        }
        Err(Wrong::at(at, "`matches` takes a pattern that is written out"))
    }

    /// Members, indices and calls behind a value.
    fn steps(&mut self, mut node: Node) -> Result<Node, Wrong> {
        loop {
            let step = if self.takes(".") {
                let at = self.offset();
                let Word::Name(name) = self.peek().clone() else {
                    return Err(self.unexpected("a name"));
                };
                if matches!(name, "in" | "true" | "false" | "null") {
                    return Err(self.unexpected("a name"));
                }
                self.next += 1;
                if self.takes("(") {
                    let function = self.function(name, at)?;
                    if !function.is_method() {
                        let words = format!("write `{name}(x)` instead of `x.{name}()`");
                        return Err(Wrong::at(at, words));
                    }
                    node = self.call(function, vec![node], at)?;
                    continue;
                }
                Step::Member(name.to_owned())
            } else if self.takes("[") {
                let index = self.expression()?;
                self.expect("]")?;
                Step::Index(index)
            } else {
                return Ok(node);
            };
            match &mut node {
                Node::Path(_, steps) => steps.push(step),
                _ => node = Node::Path(Box::new(node), vec![step]),
            }
        }
    }

    /// Values up to a closing bracket, which is used up.
    fn list_until(&mut self, close: &str) -> Result<Vec<Node>, Wrong> {
        let mut values = Vec::new();
        while !self.takes(close) {
            if !values.is_empty() {
                self.expect(",")?;
            }
            values.push(self.expression()?);
        }
        Ok(values)
    }
}

/// What `has` looks at: the last member of a path.
fn has(mut values: Vec<Node>) -> Option<Node> {
    let (Some(Node::Path(inner, mut steps)), true) = (values.pop(), values.is_empty()) else {
        return None;
    };
    let Some(Step::Member(member)) = steps.pop() else { return None };
    let inner = if steps.is_empty() { inner } else { Box::new(Node::Path(inner, steps)) };
    Some(Node::Has(inner, member))
}

fn number(sign: &str, text: &str) -> Option<Literal> {
    let signed = |text: &str| format!("{sign}{text}");
    if let Some(hex) = text.strip_prefix("0x") {
        return match hex.strip_suffix(['u', 'U']) {
            Some(hex) if sign.is_empty() => u64::from_str_radix(hex, 16).ok().map(Literal::Uint),
            Some(_) => None,
            None => i64::from_str_radix(&signed(hex), 16).ok().map(Literal::Int),
        };
    }
    if let Some(digits) = text.strip_suffix(['u', 'U']) {
        return digits.parse().ok().filter(|_| sign.is_empty()).map(Literal::Uint);
    }
    if text.contains(['.', 'e', 'E']) {
        let double: Option<f64> = signed(text).parse().ok();
        return double.filter(|double| double.is_finite()).map(Literal::Double);
    }
    signed(text).parse().ok().map(Literal::Int)
}
