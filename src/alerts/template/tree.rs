//! What a template says, as the parser leaves it.

use super::functions::Function;
use crate::alerts::script::Place;

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// Text that stays as it is.
    Text(Box<str>),
    /// `{{ pipeline }}`
    Action(Pipe),
    /// `{{ if }}`
    If(Branch),
    /// `{{ with }}`: what it finds is the dot inside.
    With(Branch),
    /// `{{ range }}`: the same for each element.
    Range(Branch),
    /// `{{ break }}`
    Break,
    /// `{{ continue }}`
    Continue,
}

/// What happens if there is something, and what if not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which gets the result of the one before as its last argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipe {
    pub(super) place: Place,
    pub(super) target: Target,
    pub(super) commands: Vec<Command>,
}

/// Where the result of a pipeline goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into the text.
    Output,
    /// `$x := …`: the number of new variables, two only in a range.
    New(usize),
    /// `$x = …`: into this variable.
    Old(usize),
}

/// An operand and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) operand: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A value, and the way into it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operand {
    pub(super) place: Place,
    pub(super) term: Term,
    /// `.Tags.host`: names of fields, methods and keys.
    pub(super) way: Vec<Box<str>>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    Dot,
    /// The number of a variable in the order of their declarations; 0 is `$`.
    Variable(usize),
    Function(Function),
    Text(Box<str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Nil,
    /// `( … )`
    Pipe(Box<Pipe>),
}
