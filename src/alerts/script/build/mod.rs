//! From a script to a pipeline, with everything that is wrong with it.
//!
//! What Kapacitor only notices when a task is enabled or when a point arrives is refused here:
//! templates, types of lambdas, windows without a period, brokers' options. Building goes on after
//! a fault, so that all of them are reported together; what depends on something that is wrong is
//! passed over in silence.

mod alert;
mod arguments;
mod constants;
mod handlers;
mod nodes;
mod properties;
#[cfg(test)]
mod tests;

use super::ast::{
    Call, Chain, Expression, Joint, Link, Place, Script, Statement, Term, What, Word,
};
use super::fault::Faults;
use super::value::{Value, Vars, is_kind, unknown_kind};
use crate::alerts::pipeline::{Kind, Node, Pipeline};
use crate::config::suggest;
use arguments::{Argument, Arguments, Meaning};
use std::collections::{BTreeMap, BTreeSet};

/// How many nodes a task may have.
const NODES_MAX: usize = 200;

/// Builds what a script means, with the values that its user gives for its variables.
///
/// # Errors
///
/// Fails with everything that is wrong, from top to bottom.
pub fn build(script: &Script, vars: &Vars) -> Result<Pipeline, Faults> {
    let mut builder = Builder::new(vars);
    for statement in &script.statements {
        builder.statement(statement);
    }
    if builder.nodes.len() == 1 && builder.faults.0.is_empty() {
        let what = "the script makes no nodes: it begins with `stream|from()`";
        builder.faults.add(Place { line: 1, column: 1 }, what);
    }
    builder.complete();
    let mut faults = builder.faults;
    if faults.0.is_empty() {
        return Ok(Pipeline { dbrps: script.dbrps().cloned().collect(), nodes: builder.nodes });
    }
    faults.0.sort_by_key(|fault| fault.place);
    Err(faults)
}

struct Builder<'a> {
    vars: &'a Vars,
    names: BTreeMap<Box<str>, Meaning>,
    nodes: Vec<Node>,
    /// The number of the next node.
    number: usize,
    /// Nodes that stand for what is not supported: nothing is said about their properties.
    lost: BTreeSet<usize>,
    /// Nodes with a property that is wrong: nothing is said about properties that they lack.
    spoilt: BTreeSet<usize>,
    /// Alerts with a handler that is not supported: its properties are not looked at.
    strange: BTreeSet<usize>,
    /// How many parts names have brought into the expression at hand.
    replaced_parts: usize,
    faults: Faults,
}

impl<'a> Builder<'a> {
    fn new(vars: &'a Vars) -> Self {
        let stream = Node {
            name: "stream0".to_owned(),
            place: Place { line: 1, column: 1 },
            parents: Vec::new(),
            kind: Kind::Stream,
        };
        Builder {
            vars,
            names: BTreeMap::from([("stream".into(), Meaning::Node(0))]),
            nodes: vec![stream],
            number: 1,
            lost: BTreeSet::new(),
            spoilt: BTreeSet::new(),
            strange: BTreeSet::new(),
            replaced_parts: 0,
            faults: Faults::default(),
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.what {
            What::Dbrp(_) => (),
            What::Var { name, value } => {
                let meaning = match self.given(name, value) {
                    Some(given) => given,
                    None => self.meaning(value),
                };
                self.define(name, meaning);
            }
            What::Variable { name, kind } => {
                let meaning = self.variable(name, kind);
                self.define(name, meaning);
            }
            What::Expression(expression) => {
                self.meaning(expression);
            }
        }
    }

    fn define(&mut self, name: &Word, meaning: Meaning) {
        if self.names.contains_key(&name.text) {
            let what = format!("`{}` has a value already, and it cannot be changed", name.text);
            self.faults.add(name.place, what);
        } else {
            self.names.insert(name.text.clone(), meaning);
        }
    }

    /// What the user of the script gives in place of a default.
    fn given(&mut self, name: &Word, default: &Expression) -> Option<Meaning> {
        let given = self.vars.get(&name.text)?;
        let default = self.meaning(default);
        match &default {
            Meaning::Value(value) if value.kind() == given.kind() => {
                Some(Meaning::Value(given.clone()))
            }
            Meaning::Lost => Some(default),
            Meaning::Value(_) | Meaning::Node(_) => {
                let kind = match &default {
                    Meaning::Value(value) => value.kind(),
                    _ => "node",
                };
                let what = format!("`{}` is of the type {kind}, not {}", name.text, given.kind());
                self.faults.add(name.place, what);
                Some(Meaning::Lost)
            }
        }
    }

    /// What the user of the script gives for a variable without a default.
    fn variable(&mut self, name: &Word, kind: &Word) -> Meaning {
        let what = if is_kind(&kind.text) {
            match self.vars.get(&name.text) {
                Some(value) if value.kind() == &*kind.text => {
                    return Meaning::Value(value.clone());
                }
                Some(value) => {
                    format!("`{}` is of the type {}, not {}", name.text, kind.text, value.kind())
                }
                None if self.vars.are_open() => return Meaning::Lost,
                None => format!("the variable `{}` has no value: give one in vars", name.text),
            }
        } else {
            unknown_kind(&kind.text)
        };
        self.faults.add(kind.place, what);
        Meaning::Lost
    }

    /// Makes the nodes of a chain; what it means is the last of them.
    fn chain(&mut self, chain: &Chain) -> Meaning {
        let mut at = match self.meaning(&chain.head) {
            Meaning::Node(index) => index,
            Meaning::Lost => return Meaning::Lost,
            Meaning::Value(value) => {
                let what = format!("a node is expected here, not a {}", value.kind());
                self.faults.add(chain.head.place, what);
                return Meaning::Lost;
            }
        };
        for link in &chain.links {
            at = self.link(at, link);
        }
        Meaning::Node(at)
    }

    /// Follows one call, and returns where the next one stands.
    fn link(&mut self, at: usize, link: &Link) -> usize {
        let arguments = self.arguments(&link.call);
        match link.joint {
            Joint::Node => self.create(at, &arguments),
            Joint::Property => {
                if arguments.are_lost() {
                    self.spoilt.insert(at);
                } else if !self.lost.contains(&at)
                    && let Err(fault) = self.set(at, &arguments)
                {
                    self.spoilt.insert(at);
                    self.faults.0.push(fault);
                }
                at
            }
            Joint::Udf => {
                let what = format!(
                    "`@{}`: functions of other programs (UDF) are not supported",
                    link.call.name.text
                );
                self.lost_node(at, link.place, what)
            }
        }
    }

    fn arguments<'c>(&mut self, call: &'c Call) -> Arguments<'c> {
        let argument = |argument: &Expression| Argument {
            place: start(argument),
            meaning: self.meaning(argument),
        };
        Arguments { name: &call.name, items: call.arguments.iter().map(argument).collect() }
    }

    /// Adds a node; it gets the next number.
    fn add(&mut self, name: &str, place: Place, parents: Vec<usize>, kind: Kind) -> usize {
        let name = format!("{name}{}", self.number);
        self.number += 1;
        if self.nodes.len() == NODES_MAX {
            self.faults.add(place, format!("a task has at most {NODES_MAX} nodes"));
        }
        self.nodes.push(Node { name, place, parents, kind });
        self.nodes.len() - 1
    }

    /// Notes a fault, and adds a node in the place of what is wrong.
    fn lost_node(&mut self, parent: usize, place: Place, what: impl Into<String>) -> usize {
        self.faults.add(place, what);
        let index = self.add("noop", place, vec![parent], Kind::NoOp);
        self.lost.insert(index);
        index
    }
}

/// Where an expression begins, also if its own place is that of its operator.
fn start(expression: &Expression) -> Place {
    match &expression.term {
        Term::Binary(binary) => start(&binary.left),
        _ => expression.place,
    }
}

/// `; did you mean …?`, if one of the candidates is near.
fn meant<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    match suggest::nearest(word, candidates) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    }
}

/// Whether a value may stand where names are replaced.
fn is_constant(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Star)
}
