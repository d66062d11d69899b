//! Evaluates an expression: one walk through the tree, with a bound on its steps and its depth.

mod calls;
mod paths;

pub(super) use paths::lookup;

use super::fault::Error;
use super::json::Members;
use super::operators::{append, arithmetic, comparison, is_in, items_of, range};
use super::syntax::{Around, Binary, Kind, Node};
use super::value::{Function, Value};
use super::{Context, RESULT_BYTES_MAX, json};
use std::sync::Arc;

/// How much work one evaluation may be: parts of the expression, and values that are looked at.
const STEPS_MAX: usize = 100_000;

/// How many functions may be at work inside each other.
const CALLS_MAX: usize = 64;

/// How many parts may be at work inside each other, in all functions.
const DEPTH_MAX: usize = 300;

/// How many lists and objects may be inside each other.
const VALUE_DEPTH_MAX: usize = json::DEPTH_MAX + 8;

/// How many values may be in another. What is in it twice counts twice.
const VALUE_SIZE_MAX: usize = 1_000_000;

/// So many values of a result are one step of work; looking at one is less than making one.
const VALUES_A_STEP: usize = 4;

/// See [`VALUES_A_STEP`].
const LOOKS_A_STEP: usize = 32;

/// Variables of one block or call.
struct Frame {
    around: usize,
    variables: Vec<(Arc<str>, Value)>,
}

/// One evaluation.
pub(super) struct Machine<'e> {
    pub(super) context: &'e Context<'e>,
    input: Value,
    /// Functions name the one they see by its number, so nothing refers to itself.
    frames: Vec<Frame>,
    steps: usize,
    depth: usize,
    calls: usize,
}

impl<'e> Machine<'e> {
    pub(super) fn new(input: &Value, context: &'e Context<'e>) -> Self {
        let input = match input {
            Value::List(_) => {
                Value::sequence(vec![input.clone()]).marked(|list| list.is_wrapper = true)
            }
            _ => input.clone(),
        };
        let frames = vec![Frame { around: 0, variables: Vec::new() }];
        Machine { context, input, frames, steps: 0, depth: 0, calls: 0 }
    }

    pub(super) fn run(mut self, root: &Node) -> Result<Value, Error> {
        let input = self.input.clone();
        let result = self.eval(root, &input, 0)?;
        Ok(result.unwrapped().clone())
    }

    /// Counts work.
    pub(super) fn charge(&mut self, steps: usize) -> Result<(), Error> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > STEPS_MAX {
            true => Err(Error::new("", format!("it takes more than {STEPS_MAX} steps"))),
            false => Ok(()),
        }
    }

    /// Counts the work of looking at all of a value.
    pub(super) fn look(&mut self, value: &Value) -> Result<(), Error> {
        self.charge(value.size() / LOOKS_A_STEP)
    }

    fn eval(&mut self, node: &Node, input: &Value, frame: usize) -> Result<Value, Error> {
        self.charge(1).map_err(|error| error.at(node.at))?;
        if self.depth >= DEPTH_MAX {
            return Err(Error::new("", "too many parts are inside each other").at(node.at));
        }
        self.depth += 1;
        let result = self.part(node, input, frame);
        self.depth -= 1;
        let mut result = result.map_err(|error| error.at(node.at))?;
        for predicate in &node.predicates {
            result = self.filter(predicate, result, frame)?;
        }
        if result.depth() > VALUE_DEPTH_MAX || result.size() > VALUE_SIZE_MAX {
            return Err(Error::new("", "a value is too large or too deep").at(node.at));
        }
        Ok(result.settled(node.is_kept))
    }

    fn part(&mut self, node: &Node, input: &Value, frame: usize) -> Result<Value, Error> {
        match &node.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Context => Ok(input.unwrapped().clone()),
            Kind::Root => Ok(self.input.unwrapped().clone()),
            Kind::Variable(name) => Ok(self.variable(name, frame)),
            Kind::Native(native) => Ok(Value::Function(Arc::new(Function::Native(native)))),
            Kind::Around(around) => Ok(self.around(around)),
            Kind::Name(name) => lookup(input, name, self),
            Kind::Wildcard => self.wildcard(input),
            Kind::Path { steps, is_kept } => self.path(steps, *is_kept, input, frame),
            Kind::Negation(inner) => self.negation(inner, input, frame),
            Kind::Binary(sign, sides) => self.binary(*sign, sides, input, frame),
            Kind::Condition(pair, other) => {
                if self.truth(&pair[0], input, frame)? {
                    return self.eval(&pair[1], input, frame);
                }
                other.as_ref().map_or(Ok(Value::Nothing), |other| self.eval(other, input, frame))
            }
            Kind::Default { is_truth, sides } => {
                let value = self.eval(&sides[0], input, frame)?;
                self.look(&value)?;
                let is_it = if *is_truth { value.truth() } else { !value.is_nothing() };
                if is_it { Ok(value) } else { self.eval(&sides[1], input, frame) }
            }
            Kind::List(nodes) => self.list(node, nodes, input, frame),
            Kind::Range(sides) => {
                let first = self.eval(&sides[0], input, frame)?;
                let last = self.eval(&sides[1], input, frame)?;
                let made = range(&first, &last, STEPS_MAX)?;
                self.made(made)
            }
            Kind::Object(pairs) => self.object(pairs, input, frame),
            Kind::Block(nodes) => {
                let frame = self.frame(frame, Vec::new());
                let mut result = Value::Nothing;
                for node in nodes {
                    result = self.eval(node, input, frame)?;
                }
                Ok(result)
            }
            Kind::Bind(name, value) => {
                let value = self.eval(value, input, frame)?;
                let variables = &mut self.frames[frame].variables;
                variables.retain(|(known, _)| known != name);
                variables.push((Arc::clone(name), value.clone()));
                Ok(value)
            }
            Kind::Call(called, arguments) => self.call(called, arguments, None, input, frame),
            Kind::Apply(pair) => self.apply_to(pair, input, frame),
            Kind::Lambda(lambda) => Ok(self.lambda(lambda, input, frame)),
        }
    }

    /// A result that has been made: what it holds was work.
    pub(super) fn made(&mut self, value: Value) -> Result<Value, Error> {
        self.charge(value.size() / VALUES_A_STEP)?;
        Ok(value)
    }

    fn truth(&mut self, node: &Node, input: &Value, frame: usize) -> Result<bool, Error> {
        let value = self.eval(node, input, frame)?;
        self.look(&value)?;
        Ok(value.truth())
    }

    fn frame(&mut self, around: usize, variables: Vec<(Arc<str>, Value)>) -> usize {
        self.frames.push(Frame { around, variables });
        self.frames.len() - 1
    }

    fn variable(&self, name: &str, mut frame: usize) -> Value {
        loop {
            let Frame { around, variables } = &self.frames[frame];
            if let Some((_, value)) = variables.iter().find(|(known, _)| &**known == name) {
                return value.clone();
            }
            if frame == 0 {
                return Value::Nothing;
            }
            frame = *around;
        }
    }

    fn around(&self, around: &Around) -> Value {
        let Context { topic, label, vars, .. } = self.context;
        let all_vars = || {
            let mut members = Members::default();
            vars.iter().for_each(|(name, value)| members.put(Arc::clone(name), value.clone()));
            members.object()
        };
        match around {
            Around::Topic => Value::text(topic),
            Around::Label => Value::text(label),
            Around::Var(name) => {
                let found = vars.iter().rev().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            }
            Around::Vars => all_vars(),
            Around::All => Value::object(vec![
                ("topic".into(), Value::text(topic)),
                ("label".into(), Value::text(label)),
                ("vars".into(), all_vars()),
            ]),
        }
    }

    fn negation(&mut self, inner: &Node, input: &Value, frame: usize) -> Result<Value, Error> {
        match self.eval(inner, input, frame)? {
            Value::Nothing => Ok(Value::Nothing),
            Value::Number(number) => Ok(Value::Number(-number)),
            other => {
                let words = format!("a value of type {} has no negative", other.kind());
                Err(Error::new("D1002", words))
            }
        }
    }

    fn binary(
        &mut self,
        sign: Binary,
        sides: &[Node; 2],
        input: &Value,
        frame: usize,
    ) -> Result<Value, Error> {
        let left = match sign {
            Binary::And | Binary::Or => {
                let left = self.truth(&sides[0], input, frame)?;
                let is_decided = left == (sign == Binary::Or);
                let result = if is_decided { left } else { self.truth(&sides[1], input, frame)? };
                return Ok(Value::Bool(result));
            }
            _ => self.eval(&sides[0], input, frame)?,
        };
        let right = self.eval(&sides[1], input, frame)?;
        self.look(&left)?;
        match sign {
            Binary::Add
            | Binary::Subtract
            | Binary::Multiply
            | Binary::Divide
            | Binary::Remainder => arithmetic(sign, &left, &right),
            Binary::Join => {
                let (left, right) = (self.string(&left)?, self.string(&right)?);
                self.text(&[&left, &right])
            }
            Binary::Equal | Binary::Unequal => {
                let is_there = !left.is_nothing() && !right.is_nothing();
                let wanted = sign == Binary::Equal;
                Ok(Value::Bool(is_there && left.same(&right) == wanted))
            }
            Binary::In => {
                self.look(&right)?;
                Ok(Value::Bool(is_in(&left, &right)))
            }
            _ => comparison(sign, &left, &right),
        }
    }

    /// A value as text; nothing is the empty one.
    pub(super) fn string(&mut self, value: &Value) -> Result<Arc<str>, Error> {
        match value {
            Value::Nothing | Value::Function(_) => Ok("".into()),
            Value::Text(text) => Ok(Arc::clone(text)),
            Value::Number(number) if !number.is_finite() => {
                Err(Error::new("D3001", "a number that is not finite cannot be a text"))
            }
            value => {
                let written = json::write_rounded(value, false, RESULT_BYTES_MAX);
                let text = written.map_err(unwritable)?;
                self.charge(text.len() / 128)?;
                Ok(text.into())
            }
        }
    }

    /// Texts behind each other.
    pub(super) fn text(&mut self, parts: &[&str]) -> Result<Value, Error> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if length > RESULT_BYTES_MAX {
            return Err(unwritable(json::Unwritable::Large));
        }
        self.made(Value::text(&parts.concat()))
    }

    fn list(
        &mut self,
        node: &Node,
        nodes: &[Node],
        input: &Value,
        frame: usize,
    ) -> Result<Value, Error> {
        let mut items = Vec::new();
        for item in nodes {
            match self.eval(item, input, frame)? {
                Value::Nothing => {}
                value if matches!(item.kind, Kind::List(_)) => items.push(value),
                value => items.append(&mut items_of(value)),
            }
        }
        let list = self.made(Value::list(items))?;
        Ok(if node.is_whole { list.marked(|list| list.is_whole = true) } else { list })
    }

    /// An object of each item, or of what has the same name in several.
    fn object(&mut self, pairs: &[[Node; 2]], input: &Value, frame: usize) -> Result<Value, Error> {
        let nothing = [Value::Nothing];
        let items = match input {
            Value::List(list) if list.items.is_empty() => &nothing[..],
            Value::List(list) => &list.items[..],
            one => std::slice::from_ref(one),
        };
        let mut groups: Vec<(Arc<str>, Value, usize)> = Vec::with_capacity(pairs.len());
        for item in items {
            for (index, [name, _]) in pairs.iter().enumerate() {
                let name_at = name.at;
                let name = match self.eval(name, item, frame)? {
                    Value::Nothing => continue,
                    Value::Text(name) => name,
                    other => {
                        let words = format!("the name of a member is of type {}", other.kind());
                        return Err(Error::new("T1003", words).at(name_at));
                    }
                };
                self.charge(groups.len() / LOOKS_A_STEP)?;
                match groups.iter_mut().find(|(known, ..)| *known == name) {
                    Some((_, _, by)) if *by != index => {
                        let words = format!("two members have the name {name:?}");
                        return Err(Error::new("D1009", words).at(name_at));
                    }
                    Some((_, data, _)) => {
                        *data = append(std::mem::take(data), item.clone());
                        let size = data.size();
                        self.charge(size / LOOKS_A_STEP)?;
                    }
                    None => groups.push((name, item.clone(), index)),
                }
            }
        }
        let mut members = Vec::with_capacity(groups.len());
        for (name, data, index) in groups {
            let value = self.eval(&pairs[index][1], &data, frame)?;
            if !value.is_nothing() {
                members.push((name, value));
            }
        }
        self.made(Value::object(members))
    }
}

/// Why a value has no text.
pub(super) fn unwritable(why: json::Unwritable) -> Error {
    match why {
        json::Unwritable::Infinite => {
            Error::new("D1001", "a number is not finite, as after a division by 0")
        }
        json::Unwritable::Large => {
            Error::new("", format!("a text has more than {RESULT_BYTES_MAX} bytes"))
        }
    }
}
