//! From an expression as it is written to one that is ready, or to what is wrong with it.

use super::error;
use super::evaluate::Evaluation;
use super::functions::{self, ARGUMENTS_MAX, Function};
use super::scope::{Found, Outer, Scope};
use super::stateful::{State, Stateful};
use super::types::{Type, Types, Value};
use crate::alerts::point::Name;
use crate::alerts::script::ast::{Binary, Call, Expression, Operator, Place, Sign, Term};
use crate::alerts::script::{Fault, format_expression};
use regex_lite::{Regex, RegexBuilder};

/// How deep parts may be within each other: both this and evaluating are recursive, and threads
/// have small stacks. `AND` and `OR` in a row are not deep.
const DEPTH_MAX: usize = 64;

/// How large a compiled pattern may be, in bytes.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// How deep groups of a pattern may be within each other.
const REGEX_DEPTH_MAX: u32 = 50;

/// An expression that is ready.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) root: Node,
    types: Types,
    /// The functions that remember, in the order of their cells.
    pub(super) cells: Vec<Stateful>,
    pub(super) text: String,
}

/// A part of an expression.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) what: What,
}

/// What a part is.
#[derive(Debug)]
pub(super) enum What {
    Constant(Constant),
    /// A field or a tag.
    Reference(Name),
    /// `"time"`
    Time,
    /// What only a handler's `match` can ask.
    Outer(Outer),
    /// `isPresent("name")`
    Present(Name),
    Sign(Sign, Box<Node>),
    /// `AND` in a row.
    All(Box<[Node]>),
    /// `OR` in a row.
    Any(Box<[Node]>),
    Binary(Operator, Box<(Node, Node)>),
    Call(&'static Function, Box<[Node]>),
    /// A function that remembers, and its cell.
    Remember(Stateful, usize, Option<Box<Node>>),
}

/// What does not depend on a point.
#[derive(Debug)]
pub(super) enum Constant {
    Float(f64),
    Int(i64),
    Bool(bool),
    Text(Box<str>),
    Duration(i64),
    Regex(Regex),
}

impl Compiled {
    /// `outer` and `names` are the functions and constants that exist here besides the usual ones.
    pub(super) fn new(
        expression: &Expression,
        outer: &[Outer],
        names: &[(&str, i64)],
    ) -> Result<Self, Fault> {
        let expression = match &expression.term {
            Term::Lambda(inner) => inner,
            _ => expression,
        };
        let mut compiler = Compiler { outer, names, cells: Vec::new(), depth: 0 };
        let (root, types) = compiler.node(expression)?;
        let text = format_expression(expression);
        Ok(Compiled { root, types, cells: compiler.cells, text })
    }

    pub(super) fn must_be(&self, wanted: Type) -> Result<(), Fault> {
        if self.types.has(wanted) {
            return Ok(());
        }
        let words = format!("a condition must be a {wanted}, this is: {}", self.types);
        Err(Fault::new(self.root.place, words))
    }
}

struct Compiler<'a> {
    outer: &'a [Outer],
    names: &'a [(&'a str, i64)],
    cells: Vec<Stateful>,
    depth: usize,
}

type Typed = (Node, Types);

impl Compiler<'_> {
    fn node(&mut self, expression: &Expression) -> Result<Typed, Fault> {
        if self.depth == DEPTH_MAX {
            let words = format!("the expression is more than {DEPTH_MAX} levels deep");
            return Err(Fault::new(expression.place, words));
        }
        self.depth += 1;
        let node = self.term(expression)?;
        self.depth -= 1;
        Ok(node)
    }

    fn term(&mut self, expression: &Expression) -> Result<Typed, Fault> {
        let place = expression.place;
        match &expression.term {
            Term::Int { value, .. } => Ok(constant(place, Constant::Int(*value))),
            Term::Float(value) => Ok(constant(place, Constant::Float(*value))),
            Term::Bool(value) => Ok(constant(place, Constant::Bool(*value))),
            Term::Text { value, .. } => Ok(constant(place, Constant::Text(value.clone()))),
            Term::Duration { nanos, .. } => Ok(constant(place, Constant::Duration(*nanos))),
            Term::Regex(pattern) => Ok(constant(place, Constant::Regex(regex(place, pattern)?))),
            Term::Reference(name) => Ok(reference(place, name)),
            Term::Name(name) => self.name(place, name),
            Term::Unary(sign, operand) => self.sign(place, *sign, operand),
            Term::Binary(binary) => match binary.operator {
                Operator::And | Operator::Or => self.row(place, binary),
                operator => self.binary(place, operator, binary),
            },
            Term::Call(call) => self.call(call),
            Term::Star | Term::List(_) | Term::Lambda(_) | Term::Chain(_) => {
                Err(Fault::new(place, "this has no place in an expression"))
            }
        }
    }

    fn name(&self, place: Place, name: &str) -> Result<Typed, Fault> {
        match self.names.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(constant(place, Constant::Int(*value))),
            None => {
                let words = format!("{name} is undefined; a field or a tag is \"{name}\"");
                Err(Fault::new(place, words))
            }
        }
    }

    fn sign(&mut self, place: Place, sign: Sign, operand: &Expression) -> Result<Typed, Fault> {
        let (operand, given) = self.node(operand)?;
        let types = given.signed(sign);
        if types.is_empty() {
            return Err(Fault::new(place, error::unfit(sign, given)));
        }
        let is_constant = operand.is_constant();
        folded(Node { place, what: What::Sign(sign, Box::new(operand)) }, types, is_constant)
    }

    /// `a AND b AND c`, which is written as `(a AND b) AND c`.
    fn row(&mut self, place: Place, binary: &Binary) -> Result<Typed, Fault> {
        let operator = binary.operator;
        let mut rights = vec![(place, &binary.right)];
        let mut left = &binary.left;
        while let Term::Binary(inner) = &left.term
            && inner.operator == operator
        {
            rights.push((left.place, &inner.right));
            left = &inner.left;
        }
        let first = rights.last().map_or(place, |(place, _)| *place);
        let mut operands = vec![self.bool_of(operator, first, left)?];
        for (place, right) in rights.into_iter().rev() {
            operands.push(self.bool_of(operator, place, right)?);
        }
        let is_constant = operands.iter().all(Node::is_constant);
        let operands = operands.into();
        let what =
            if operator == Operator::And { What::All(operands) } else { What::Any(operands) };
        folded(Node { place, what }, Types::of(Type::Bool), is_constant)
    }

    fn bool_of(
        &mut self,
        operator: Operator,
        place: Place,
        operand: &Expression,
    ) -> Result<Node, Fault> {
        let (operand, types) = self.node(operand)?;
        if !types.has(Type::Bool) {
            return Err(Fault::new(place, error::mismatch(operator, Type::Bool, types)));
        }
        Ok(operand)
    }

    fn binary(
        &mut self,
        place: Place,
        operator: Operator,
        binary: &Binary,
    ) -> Result<Typed, Fault> {
        let (left, of_left) = self.node(&binary.left)?;
        let (right, of_right) = self.node(&binary.right)?;
        let types = of_left.combined(operator, of_right);
        if types.is_empty() {
            return Err(Fault::new(place, error::mismatch(operator, of_left, of_right)));
        }
        let is_constant = left.is_constant() && right.is_constant();
        let what = What::Binary(operator, Box::new((left, right)));
        folded(Node { place, what }, types, is_constant)
    }

    fn call(&mut self, call: &Call) -> Result<Typed, Fault> {
        let place = call.name.place;
        let name = &*call.name.text;
        if call.arguments.len() > ARGUMENTS_MAX {
            let words = format!("no function takes more than {ARGUMENTS_MAX} arguments");
            return Err(Fault::new(place, words));
        }
        let mut arguments = Vec::new();
        let mut given = Vec::new();
        for argument in &call.arguments {
            let (node, types) = self.node(argument)?;
            arguments.push(node);
            given.push(types);
        }
        if let Some(outer) = self.outer.iter().find(|outer| outer.name() == name) {
            counted(place, name, "()", given.is_empty(), &given)?;
            return Ok((Node { place, what: What::Outer(*outer) }, Types::of(outer.makes())));
        }
        if name == "isPresent" {
            counted(place, name, "(field or tag)", given.len() == 1, &given)?;
            return Ok(present(place, arguments));
        }
        if let Some(function) = Stateful::named(name) {
            return self.remember(place, function, arguments, &given);
        }
        let Some(function) = Function::named(name) else {
            let outer: Vec<&'static str> = self.outer.iter().map(|outer| outer.name()).collect();
            return Err(Fault::new(place, functions::unknown(name, &outer)));
        };
        let types = function.check(&given).map_err(|words| Fault::new(place, words))?;
        let is_constant = function.is_constant() && arguments.iter().all(Node::is_constant);
        folded(Node { place, what: What::Call(function, arguments.into()) }, types, is_constant)
    }

    fn remember(
        &mut self,
        place: Place,
        function: Stateful,
        arguments: Vec<Node>,
        given: &[Types],
    ) -> Result<Typed, Fault> {
        let takes = function.takes();
        let fits = takes.len() == given.len()
            && takes.iter().zip(given).all(|(&takes, given)| given.has(takes));
        counted(place, function.name(), &functions::list(takes), fits, given)?;
        let argument = arguments.into_iter().next().map(Box::new);
        let what = What::Remember(function, self.cells.len(), argument);
        self.cells.push(function);
        Ok((Node { place, what }, Types::of(function.makes())))
    }
}

impl Node {
    fn is_constant(&self) -> bool {
        matches!(self.what, What::Constant(_))
    }
}

fn constant(place: Place, constant: Constant) -> Typed {
    let kind = match constant {
        Constant::Float(_) => Type::Float,
        Constant::Int(_) => Type::Int,
        Constant::Bool(_) => Type::Bool,
        Constant::Text(_) => Type::Text,
        Constant::Duration(_) => Type::Duration,
        Constant::Regex(_) => Type::Regex,
    };
    (Node { place, what: What::Constant(constant) }, Types::of(kind))
}

fn reference(place: Place, name: &str) -> Typed {
    if name == "time" {
        return (Node { place, what: What::Time }, Types::of(Type::Time));
    }
    (Node { place, what: What::Reference(name.into()) }, Types::REFERENCE)
}

/// Only what is written as a reference can be missing.
fn present(place: Place, arguments: Vec<Node>) -> Typed {
    let what = match arguments.into_iter().next().map(|argument| argument.what) {
        Some(What::Reference(name)) => What::Present(name),
        _ => What::Constant(Constant::Bool(true)),
    };
    (Node { place, what }, Types::of(Type::Bool))
}

fn counted(
    place: Place,
    name: &str,
    takes: &str,
    fits: bool,
    given: &[Types],
) -> Result<(), Fault> {
    if fits {
        return Ok(());
    }
    Err(Fault::new(place, format!("{name} takes {takes}, not {}", functions::list(given))))
}

fn regex(place: Place, pattern: &str) -> Result<Regex, Fault> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_BYTES_MAX)
        .nest_limit(REGEX_DEPTH_MAX)
        .build()
        .map_err(|error| Fault::new(place, format!("/{pattern}/ is not a pattern: {error}")))
}

/// Computes what needs no point, once and for all.
fn folded(node: Node, types: Types, is_constant: bool) -> Result<Typed, Fault> {
    if !is_constant {
        return Ok((node, types));
    }
    let mut state = State::default();
    let value = Evaluation { state: &mut state, scope: &Nowhere }.value(&node);
    let value = value.map_err(|error| Fault::new(error.place, error.why.to_string()))?;
    let made = match value {
        Value::Float(value) => Constant::Float(value),
        Value::Int(value) => Constant::Int(value),
        Value::Bool(value) => Constant::Bool(value),
        Value::Text(text) => Constant::Text(text.into()),
        Value::Duration(nanos) => Constant::Duration(nanos),
        Value::Regex(regex) => Constant::Regex(regex.clone()),
        Value::Time(_) => return Ok((node, types)),
    };
    Ok(constant(node.place, made))
}

/// What constants see.
struct Nowhere;

impl Scope for Nowhere {
    fn reference(&self, _: &str) -> Found<'_> {
        Found::Nothing
    }

    fn time(&self) -> i64 {
        0
    }
}
