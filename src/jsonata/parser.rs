//! From tokens to the tree, by the powers with which signs bind.

use super::fault::Fault;
use super::lexer::{Lexeme, Token, tokens};
use super::syntax::{Binary, Kind, Lambda, Node};
use super::value::Value;
use std::sync::Arc;

/// How many brackets, conditions and the like may be inside each other.
const NESTING_MAX: usize = 64;

/// How many parts of a tree may be inside each other, which also counts each sign in a row.
const DEPTH_MAX: usize = 128;

/// How strongly what stands behind a minus sign is bound to it.
const NEGATION: u8 = 70;

/// The words that begin a function.
const FUNCTION: [&str; 2] = ["function", "λ"];

pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, nesting: 0 };
    let node = parser.expression(0)?;
    let token = parser.peek();
    match token.kind {
        Lexeme::End => Ok(node),
        _ => Err(Fault::new(token.at, "S0201", format!("{} is out of place", shown(&token.kind)))),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    nesting: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn is_at(&self, sign: &str) -> bool {
        matches!(self.peek().kind, Lexeme::Sign(found) if found == sign)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_there = self.is_at(sign);
        self.next += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.takes(sign) {
            return Ok(());
        }
        let token = self.peek();
        Err(match &token.kind {
            Lexeme::End => Fault::new(token.at, "S0203", format!("`{sign}` is missing at the end")),
            kind => {
                Fault::new(token.at, "S0202", format!("`{sign}` is missing before {}", shown(kind)))
            }
        })
    }

    /// What binds more strongly than `power`.
    fn expression(&mut self, power: u8) -> Result<Node, Fault> {
        self.nesting += 1;
        let mut left = self.prefix()?;
        while power < binding(&self.peek().kind) {
            left = self.infix(left)?;
            self.check_depth(&left)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    fn check_depth(&self, node: &Node) -> Result<(), Fault> {
        if self.nesting > NESTING_MAX || node.depth > DEPTH_MAX {
            return Err(Fault::new(node.at, "", "the expression is nested too deeply"));
        }
        Ok(())
    }

    fn prefix(&mut self) -> Result<Node, Fault> {
        let Token { at, kind } = self.take();
        if self.nesting > NESTING_MAX {
            return Err(Fault::new(at, "", "the expression is nested too deeply"));
        }
        let kind = match kind {
            Lexeme::Number(number) => Kind::Literal(Value::Number(number)),
            Lexeme::Text(text) => Kind::Literal(Value::text(&text)),
            Lexeme::Bool(value) => Kind::Literal(Value::Bool(value)),
            Lexeme::Null => Kind::Literal(Value::Null),
            Lexeme::Name(name) => name_alone(at, &name),
            Lexeme::Word(word) => name_alone(at, word),
            Lexeme::Variable(name) => match name.as_str() {
                "" => Kind::Context,
                "$" => Kind::Root,
                _ => Kind::Variable(name.into()),
            },
            Lexeme::Sign("-") => match self.expression(NEGATION)? {
                Node { kind: Kind::Literal(Value::Number(number)), predicates, .. }
                    if predicates.is_empty() =>
                {
                    Kind::Literal(Value::Number(-number))
                }
                node => Kind::Negation(Box::new(node)),
            },
            Lexeme::Sign("*") => Kind::Wildcard,
            Lexeme::Sign("(") => return self.block(at),
            Lexeme::Sign("[") => Kind::List(self.items()?),
            Lexeme::Sign("{") => Kind::Object(self.pairs()?),
            Lexeme::Sign("**") => return Err(refused(at, "`**` (all descendants)")),
            Lexeme::Sign("%") => return Err(refused(at, "`%` (the parent)")),
            Lexeme::Sign("|") => return Err(refused(at, "`|…|` (changes of a copy)")),
            Lexeme::Sign("/") => return Err(refused(at, "a regular expression")),
            Lexeme::End => {
                return Err(Fault::new(at, "S0207", "the expression ends where a value should be"));
            }
            Lexeme::Sign(sign) => {
                return Err(Fault::new(at, "S0211", format!("`{sign}` where a value should be")));
            }
        };
        Ok(Node::new(at, kind))
    }

    fn block(&mut self, at: usize) -> Result<Node, Fault> {
        let mut parts = Vec::new();
        while !self.is_at(")") {
            parts.push(self.expression(0)?);
            if !self.takes(";") {
                break;
            }
        }
        self.expect(")")?;
        let is_whole = parts.iter().any(|part| match &part.kind {
            Kind::Path { steps, .. } => steps[0].is_whole,
            _ => part.is_whole,
        });
        Ok(Node { is_whole, ..Node::new(at, Kind::Block(parts)) })
    }

    fn items(&mut self) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        if !self.is_at("]") {
            loop {
                let mut item = self.expression(0)?;
                let at = self.peek().at;
                if self.takes("..") {
                    let end = self.expression(0)?;
                    item = Node::new(at, Kind::Range(Box::new([item, end])));
                }
                items.push(item);
                if !self.takes(",") {
                    break;
                }
            }
        }
        self.expect("]")?;
        Ok(items)
    }

    fn pairs(&mut self) -> Result<Vec<[Node; 2]>, Fault> {
        let mut pairs = Vec::new();
        if !self.is_at("}") {
            loop {
                let name = self.expression(0)?;
                self.expect(":")?;
                pairs.push([name, self.expression(0)?]);
                if !self.takes(",") {
                    break;
                }
            }
        }
        self.expect("}")?;
        Ok(pairs)
    }

    fn infix(&mut self, left: Node) -> Result<Node, Fault> {
        let token = self.take();
        let (at, sign) = (token.at, token.kind.id());
        let power = binding(&token.kind);
        let kind = match sign {
            "." => {
                let right = self.expression(power)?;
                return path(left, right);
            }
            "[" => return self.predicate(left),
            "(" => return self.call(left, at),
            "?" => {
                let then = self.expression(0)?;
                let other = if self.takes(":") { Some(self.expression(0)?) } else { None };
                Kind::Condition(Box::new([left, then]), other.map(Box::new))
            }
            "?:" | "??" => {
                let sides = Box::new([left, self.expression(0)?]);
                Kind::Default { is_truth: sign == "?:", sides }
            }
            ":=" => {
                let Kind::Variable(name) = left.kind else {
                    let words = "only a `$variable` can stand before `:=`";
                    return Err(Fault::new(left.at, "S0212", words));
                };
                // What follows may be another one.
                Kind::Bind(name, Box::new(self.expression(power - 1)?))
            }
            "~>" => {
                let right = self.expression(power)?;
                let is_kept = left.is_kept || right.is_kept;
                let apply = Node::new(at, Kind::Apply(Box::new([left, right])));
                return Ok(Node { is_kept, ..apply });
            }
            "{" => return Err(refused(at, "`{…}` behind a value (grouping, unlike `.{…}`)")),
            "^" => return Err(refused(at, "`^(…)` (sorting, as $sort does)")),
            "@" | "#" => return Err(refused(at, format!("`{sign}` (binding a step)"))),
            _ => match Binary::of(sign) {
                Some(binary) => Kind::Binary(binary, Box::new([left, self.expression(power)?])),
                None => {
                    let words = format!("{} is out of place", shown(&token.kind));
                    return Err(Fault::new(at, "S0201", words));
                }
            },
        };
        Ok(Node::new(at, kind))
    }

    fn predicate(&mut self, mut left: Node) -> Result<Node, Fault> {
        if self.takes("]") {
            match &mut left.kind {
                Kind::Path { is_kept, .. } => *is_kept = true,
                _ => left.is_kept = true,
            }
            return Ok(left);
        }
        let predicate = self.expression(0)?;
        self.expect("]")?;
        left.depth = left.depth.max(predicate.depth + 1);
        match &mut left.kind {
            Kind::Path { steps, .. } => {
                steps.last_mut().expect("a path has a step").stages.push(predicate);
            }
            _ => left.predicates.push(predicate),
        }
        Ok(left)
    }

    fn call(&mut self, called: Node, at: usize) -> Result<Node, Fault> {
        let mut arguments = Vec::new();
        if !self.is_at(")") {
            loop {
                if self.is_at("?") {
                    return Err(refused(self.peek().at, "`?` in place of an argument"));
                }
                arguments.push(self.expression(0)?);
                if !self.takes(",") {
                    break;
                }
            }
        }
        self.expect(")")?;
        match only_name(&called) {
            Some(name) if FUNCTION.contains(&name) => self.lambda(called.at, arguments),
            _ => {
                let at = if matches!(called.kind, Kind::Variable(_)) { called.at } else { at };
                Ok(Node::new(at, Kind::Call(Box::new(called), arguments)))
            }
        }
    }

    fn lambda(&mut self, at: usize, arguments: Vec<Node>) -> Result<Node, Fault> {
        let parameter = |node: Node| match node.kind {
            Kind::Variable(name) => Ok(name),
            _ => Err(Fault::new(node.at, "S0208", "a parameter is a `$variable`")),
        };
        let parameters = arguments.into_iter().map(parameter).collect::<Result<Vec<_>, _>>()?;
        if self.is_at("<") {
            return Err(refused(self.peek().at, "the signature of a function"));
        }
        self.expect("{")?;
        let body = self.expression(0)?;
        self.expect("}")?;
        Ok(Node::new(at, Kind::Lambda(Arc::new(Lambda { parameters, body }))))
    }
}

/// How strongly a sign binds what stands before it.
fn binding(kind: &Lexeme) -> u8 {
    let (Lexeme::Sign(sign) | Lexeme::Word(sign)) = kind else { return 0 };
    match *sign {
        "[" | "(" | "@" | "#" => 80,
        "." => 75,
        "{" => 70,
        "*" | "/" | "%" => 60,
        "+" | "-" | "&" => 50,
        "=" | "!=" | "<" | "<=" | ">" | ">=" | "~>" | "?:" | "??" | "^" | "in" => 40,
        "and" => 30,
        "or" => 25,
        "?" => 20,
        ":=" => 10,
        _ => 0,
    }
}

fn name_alone(at: usize, name: &str) -> Kind {
    Kind::Path { steps: vec![Node::new(at, Kind::Name(name.into()))], is_kept: false }
}

/// The name, if a node is nothing else.
pub(super) fn only_name(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Path { steps, is_kept: false } => match steps.as_slice() {
            [Node { kind: Kind::Name(name), stages, .. }] if stages.is_empty() => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// Two parts with a dot between them.
fn path(left: Node, right: Node) -> Result<Node, Fault> {
    let at = left.at;
    let (mut steps, mut is_kept) = match left.kind {
        Kind::Path { steps, is_kept } => (steps, is_kept),
        _ => {
            let is_kept = left.is_kept;
            (vec![left], is_kept)
        }
    };
    match right.kind {
        Kind::Path { steps: more, is_kept: more_kept } => {
            steps.extend(more);
            is_kept |= more_kept;
        }
        _ => {
            is_kept |= right.is_kept;
            let mut step = right;
            step.stages = std::mem::take(&mut step.predicates);
            steps.push(step);
        }
    }
    for step in &mut steps {
        match &step.kind {
            Kind::Literal(Value::Text(name)) => step.kind = Kind::Name(Arc::clone(name)),
            Kind::Literal(_) => {
                return Err(Fault::new(step.at, "S0213", "this value cannot be a step of a path"));
            }
            _ => {}
        }
    }
    let last = steps.len() - 1;
    for index in [0, last] {
        steps[index].is_whole |= matches!(steps[index].kind, Kind::List(_));
    }
    Ok(Node::new(at, Kind::Path { steps, is_kept }))
}

fn refused(at: usize, what: impl Into<String>) -> Fault {
    Fault::new(at, "", format!("{} of JSONata is not supported", what.into()))
}

fn shown(kind: &Lexeme) -> String {
    match kind {
        Lexeme::Name(name) => format!("`{name}`"),
        Lexeme::Variable(name) => format!("`${name}`"),
        Lexeme::Sign(sign) | Lexeme::Word(sign) => format!("`{sign}`"),
        _ => kind.id().to_owned(),
    }
}
