//! What an expression is made of.

use super::functions::Function;
use super::pattern::Pattern;

/// A part of an expression. Chains are flat, so that a long one is not a deep one.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Literal),
    List(Vec<Node>),
    /// What the expression is asked about.
    Event,
    Path(Box<Node>, Vec<Step>),
    /// `has(x.name)`.
    Has(Box<Node>, String),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Sum(Vec<Node>),
    Compare(Comparison, Box<(Node, Node)>),
    /// `a ? b : c`.
    Choice(Box<(Node, Node, Node)>),
    /// A function, of one or two values.
    Call(Function, Vec<Node>),
    /// `x.matches(y)` with a pattern that is known.
    Matches(Box<Node>, Pattern),
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
}

/// One step further into a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// `.name`
    Member(String),
    /// `[x]`
    Index(Node),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    In,
}
