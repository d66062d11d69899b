//! Renders a tree. What goes wrong is an error with its place; the text so far is thrown away.

use super::data::Data;
use super::functions::Function;
use super::tree::{Branch, Command, Node, Operand, Pipe, Target, Term};
use super::value::{Int, Value};
use super::{Error, escape, print};
use crate::alerts::script::Place;

/// How much one rendering may do: bytes written and steps taken, together.
const EFFORT_MAX: usize = 4 * 1024 * 1024;

/// One rendering.
pub(super) struct Run<'a, 'o> {
    out: &'o mut String,
    /// Whether everything that is put in is escaped for HTML.
    is_html: bool,
    /// `$`, and what was declared after it.
    variables: Vec<Value<'a>>,
    effort: usize,
}

/// What comes after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a, 'o> Run<'a, 'o> {
    pub(super) fn new(data: &'a Data<'a>, is_html: bool, out: &'o mut String) -> Self {
        Run { out, is_html, variables: vec![Value::Data(data)], effort: 0 }
    }

    pub(super) fn all(&mut self, nodes: &'a [Node]) -> Result<(), Error> {
        let dot = self.variables[0].clone();
        self.nodes(nodes, &dot).map(|_| ())
    }

    fn nodes(&mut self, nodes: &'a [Node], dot: &Value<'a>) -> Result<Flow, Error> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'a Node, dot: &Value<'a>) -> Result<Flow, Error> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.target == Target::Output {
                    self.write(pipe, &value)?;
                }
            }
            Node::If(branch) => return self.branch(branch, dot, false),
            Node::With(branch) => return self.branch(branch, dot, true),
            Node::Range(branch) => return self.range(branch, dot),
        }
        Ok(Flow::On)
    }

    fn write(&mut self, pipe: &Pipe, value: &Value<'a>) -> Result<(), Error> {
        let begin = self.out.len();
        let mut text = String::new();
        match value {
            Value::Nil if self.is_html => (),
            Value::Nil => text.push_str("<no value>"),
            _ => print::plain(&mut text, value),
        }
        let last = pipe.commands.last().map(|command| &command.operand.term);
        let is_escaped = matches!(last, Some(Term::Function(Function::Html)));
        if self.is_html && !is_escaped {
            escape::html(self.out, &text, true);
        } else {
            self.out.push_str(&text);
        }
        self.spend(pipe.place, self.out.len() - begin)
    }

    /// `if` and `with`.
    fn branch(&mut self, branch: &'a Branch, dot: &Value<'a>, moves: bool) -> Result<Flow, Error> {
        let visible = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = match (value.is_true(), moves) {
            (true, true) => self.nodes(&branch.then, &value),
            (true, false) => self.nodes(&branch.then, dot),
            (false, _) => self.nodes(&branch.otherwise, dot),
        };
        self.variables.truncate(visible);
        flow
    }

    fn range(&mut self, branch: &'a Branch, dot: &Value<'a>) -> Result<Flow, Error> {
        let visible = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        self.variables.truncate(visible);
        let place = branch.pipe.place;
        let is_empty = match (&value, value.pairs()) {
            (_, Some(pairs)) => {
                for (key, value) in &pairs {
                    let key = || Value::text(key);
                    if self.turn(branch, key, value)? == Flow::Break {
                        break;
                    }
                }
                pairs.is_empty()
            }
            (Value::Int(..), None) if branch.pipe.target == Target::New(2) => {
                let what = "numbers have no keys: `range` has one variable here".to_owned();
                return Err(Error { place, what });
            }
            (Value::Int(count, Int::Plain | Int::Int64), None) => {
                for index in 0..*count {
                    let key = || Value::int(index);
                    if self.turn(branch, key, &Value::int(index))? == Flow::Break {
                        break;
                    }
                }
                *count <= 0
            }
            (Value::Nil, None) => true,
            (other, None) => {
                let what = format!("`range` cannot go through a {}", other.type_name());
                return Err(Error { place, what });
            }
        };
        if !is_empty {
            return Ok(Flow::On);
        }
        let declared = match branch.pipe.target {
            Target::New(count) => count,
            Target::Old(_) | Target::Output => 0,
        };
        self.variables.extend(std::iter::repeat_n(Value::Nil, declared));
        let flow = self.nodes(&branch.otherwise, dot);
        self.variables.truncate(visible);
        flow
    }

    /// One turn of a range.
    fn turn(
        &mut self,
        branch: &'a Branch,
        key: impl Fn() -> Value<'a>,
        value: &Value<'a>,
    ) -> Result<Flow, Error> {
        let visible = self.variables.len();
        self.spend(branch.pipe.place, 1)?;
        match branch.pipe.target {
            Target::New(2) => self.variables.extend([key(), value.clone()]),
            Target::New(_) => self.variables.push(value.clone()),
            Target::Old(variable) => self.variables[variable] = value.clone(),
            Target::Output => (),
        }
        let begin = self.out.len();
        let flow = self.nodes(&branch.then, value)?;
        self.variables.truncate(visible);
        self.spend(branch.pipe.place, self.out.len() - begin)?;
        Ok(flow)
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: &Value<'a>) -> Result<Value<'a>, Error> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        let value = last.unwrap_or(Value::Nil);
        match pipe.target {
            Target::Output => (),
            Target::New(count) => {
                self.variables.extend(std::iter::repeat_n(value.clone(), count));
            }
            Target::Old(variable) => self.variables[variable] = value.clone(),
        }
        Ok(value)
    }

    /// A command, with what the one before it made as its last argument.
    fn command(
        &mut self,
        command: &'a Command,
        dot: &Value<'a>,
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        let Command { operand, arguments } = command;
        self.spend(operand.place, 1)?;
        if let (Term::Function(function), []) = (&operand.term, operand.way.as_slice()) {
            return self.call(*function, operand.place, arguments, dot, last);
        }
        let Some((name, way)) = operand.way.split_last() else {
            return self.term(operand, dot);
        };
        let mut value = self.term(operand, dot)?;
        for step in way {
            value = member(operand.place, &value, step, &[])?;
        }
        let mut given = Vec::new();
        for argument in arguments {
            given.push(self.operand(argument, dot)?);
        }
        given.extend(last);
        let value = member(operand.place, &value, name, &given)?;
        self.weigh(operand.place, value)
    }

    fn call(
        &mut self,
        function: Function,
        place: Place,
        arguments: &'a [Operand],
        dot: &Value<'a>,
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        if matches!(function, Function::And | Function::Or) {
            return self.choose(function, place, arguments, dot, last);
        }
        let mut given = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            given.push(self.operand(argument, dot)?);
        }
        given.extend(last);
        let value = function.call(&given).map_err(|what| Error { place, what })?;
        self.weigh(place, value)
    }

    /// `and` and `or`: the first that decides, or else the last.
    fn choose(
        &mut self,
        function: Function,
        place: Place,
        arguments: &'a [Operand],
        dot: &Value<'a>,
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        let mut value = None;
        for argument in arguments {
            let found = self.operand(argument, dot)?;
            if found.is_true() == (function == Function::Or) {
                return Ok(found);
            }
            value = Some(found);
        }
        last.or(value).ok_or_else(|| {
            let what = format!("`{}` needs an argument", function.name());
            Error { place, what }
        })
    }

    /// An operand as an argument.
    fn operand(&mut self, operand: &'a Operand, dot: &Value<'a>) -> Result<Value<'a>, Error> {
        self.spend(operand.place, 1)?;
        let mut value = self.term(operand, dot)?;
        for step in &operand.way {
            value = member(operand.place, &value, step, &[])?;
        }
        Ok(value)
    }

    fn term(&mut self, operand: &'a Operand, dot: &Value<'a>) -> Result<Value<'a>, Error> {
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Variable(variable) => self.variables[*variable].clone(),
            Term::Text(text) => Value::text(text),
            Term::Int(value) => Value::int(*value),
            Term::Float(value) => Value::Float(*value),
            Term::Bool(value) => Value::Bool(*value),
            Term::Nil => Value::Nil,
            Term::Pipe(pipe) => self.pipe(pipe, dot)?,
            Term::Function(function) => self.call(*function, operand.place, &[], dot, None)?,
        };
        self.weigh(operand.place, value)
    }

    /// Notes what it costs to make, copy or compare a value.
    fn weigh(&mut self, place: Place, value: Value<'a>) -> Result<Value<'a>, Error> {
        if let Value::Text(text) = &value {
            self.spend(place, text.len())?;
        }
        Ok(value)
    }

    fn spend(&mut self, place: Place, effort: usize) -> Result<(), Error> {
        self.effort = self.effort.saturating_add(effort);
        if self.effort <= EFFORT_MAX {
            return Ok(());
        }
        let what = format!("more than {EFFORT_MAX} bytes and steps: the template does too much");
        Err(Error { place, what })
    }
}

fn member<'a>(
    place: Place,
    value: &Value<'a>,
    name: &str,
    arguments: &[Value<'a>],
) -> Result<Value<'a>, Error> {
    value.member(name, arguments).map_err(|what| Error { place, what })
}
