//! Evaluates an expression: one walk through the tree, with a bound on its steps and its depth.

use super::fault::Error;
use super::functions::{self, Native};
use super::json::Members;
use super::operators::{append, arithmetic, comparison, is_in, items_of, range};
use super::syntax::{Around, Binary, Kind, Lambda, Node};
use super::value::{Function, List, Value};
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

    fn wildcard(&mut self, input: &Value) -> Result<Value, Error> {
        let mut found = Vec::new();
        match input.unwrapped() {
            Value::Object(object) => {
                object.members().for_each(|(_, value)| flatten(value, &mut found));
            }
            Value::List(list) => list.items.iter().for_each(|value| flatten(value, &mut found)),
            _ => {}
        }
        self.made(Value::sequence(found))
    }

    fn path(
        &mut self,
        steps: &[Node],
        is_kept: bool,
        input: &Value,
        frame: usize,
    ) -> Result<Value, Error> {
        let (passed, value) = plain_steps(steps, input);
        let result = if passed == steps.len() {
            value
        } else if passed > 0 && value.is_nothing() {
            Value::Nothing
        } else {
            let is_absolute = matches!(
                steps[0].kind,
                Kind::Variable(_) | Kind::Context | Kind::Root | Kind::Native(_) | Kind::Around(_)
            );
            let current = match value {
                Value::List(list) if passed > 0 || !is_absolute => list,
                value => sequence_of(value),
            };
            self.steps(steps, passed, current, frame)?
        };
        Ok(match result {
            result if !is_kept || result.is_nothing() => result,
            Value::List(list) if list.is_sequence => {
                Value::List(list).marked(|list| list.is_kept = true)
            }
            Value::List(list) if list.is_whole => {
                Value::sequence(vec![Value::List(list)]).marked(|list| list.is_kept = true)
            }
            Value::List(list) => Value::List(list),
            one => Value::sequence(vec![one]).marked(|list| list.is_kept = true),
        })
    }

    /// The steps of a path that are left.
    fn steps(
        &mut self,
        steps: &[Node],
        passed: usize,
        mut current: Arc<List>,
        frame: usize,
    ) -> Result<Value, Error> {
        for (index, step) in steps.iter().enumerate().skip(passed) {
            let is_last = index + 1 == steps.len();
            let found = match index == 0 && step.is_whole {
                true => self.eval(step, &Value::List(current), frame)?,
                false => self.step(step, &current, is_last, frame)?,
            };
            let next = match &found {
                Value::Nothing => return Ok(Value::Nothing),
                Value::List(list) if list.items.is_empty() => return Ok(Value::Nothing),
                Value::List(list) => Arc::clone(list),
                one => sequence_of(one.clone()),
            };
            if is_last {
                return Ok(found);
            }
            current = next;
        }
        Ok(Value::List(current))
    }

    fn step(
        &mut self,
        step: &Node,
        current: &List,
        is_last: bool,
        frame: usize,
    ) -> Result<Value, Error> {
        let mut results = Vec::new();
        for item in &current.items {
            let mut found = self.eval(step, item, frame)?;
            for stage in &step.stages {
                found = self.filter(stage, found, frame)?;
            }
            if !found.is_nothing() {
                results.push(found);
            }
        }
        if let ([Value::List(list)], true) = (results.as_slice(), is_last)
            && !list.is_sequence
        {
            return Ok(results.remove(0));
        }
        let mut flat = Vec::with_capacity(results.len());
        for result in results {
            match result {
                Value::List(list) if !list.is_whole => flat.extend(list.items.iter().cloned()),
                other => flat.push(other),
            }
        }
        self.charge(flat.len() / LOOKS_A_STEP)?;
        Ok(Value::sequence(flat))
    }

    /// What of a value passes a predicate.
    fn filter(&mut self, predicate: &Node, value: Value, frame: usize) -> Result<Value, Error> {
        let list = match value {
            Value::Nothing => return Ok(Value::Nothing),
            Value::List(list) => list,
            one => sequence_of(one),
        };
        let items = &list.items;
        if let Kind::Literal(Value::Number(number)) = predicate.kind {
            let item = index_of(number, items.len()).map(|index| items[index].clone());
            return Ok(match item {
                Some(Value::List(inner)) => Value::List(inner),
                Some(item) => Value::sequence(vec![item]),
                None => Value::sequence(Vec::new()),
            });
        }
        let mut passed = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let result = self.eval(predicate, item, frame)?;
            self.look(&result)?;
            let is_this = |number: f64| index_of(number, items.len()) == Some(index);
            match &result {
                Value::Number(number) if is_this(*number) => passed.push(item.clone()),
                Value::Number(_) => {}
                Value::List(list) if list.items.iter().all(is_number) => {
                    let times = list.items.iter().filter(|wanted| match wanted {
                        Value::Number(number) => is_this(*number),
                        _ => false,
                    });
                    passed.extend(times.map(|_| item.clone()));
                }
                result if result.truth() => passed.push(item.clone()),
                _ => {}
            }
        }
        self.charge(passed.len() / LOOKS_A_STEP)?;
        Ok(Value::sequence(passed))
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

    fn lambda(&mut self, lambda: &Arc<Lambda>, input: &Value, frame: usize) -> Value {
        let lambda = Arc::clone(lambda);
        Value::Function(Arc::new(Function::Lambda { lambda, input: input.clone(), frame }))
    }

    fn call(
        &mut self,
        called: &Node,
        arguments: &[Node],
        first: Option<Value>,
        input: &Value,
        frame: usize,
    ) -> Result<Value, Error> {
        // One of ours needs no value that stands for it.
        let function = match called.kind {
            Kind::Native(_) if called.predicates.is_empty() => None,
            _ => Some(self.eval(called, input, frame)?),
        };
        let mut values: Vec<Value> = first.into_iter().collect();
        for argument in arguments {
            values.push(self.eval(argument, input, frame)?);
        }
        match (function, &called.kind) {
            (None, Kind::Native(native)) => self.native(native, values, input),
            (Some(Value::Function(function)), _) => self.apply(&function, values, input),
            _ => Err(Error::new("T1006", "what is called is not a function")),
        }
    }

    /// `left ~> right`
    fn apply_to(&mut self, pair: &[Node; 2], input: &Value, frame: usize) -> Result<Value, Error> {
        let left = self.eval(&pair[0], input, frame)?;
        if let Kind::Call(called, arguments) = &pair[1].kind {
            return self.call(called, arguments, Some(left), input, frame);
        }
        let Value::Function(then) = self.eval(&pair[1], input, frame)? else {
            return Err(Error::new("T2006", "what stands behind `~>` is not a function"));
        };
        match left {
            Value::Function(first) => {
                let depth = first.depth().max(then.depth()) + 1;
                Ok(Value::Function(Arc::new(Function::Chain { first, then, depth })))
            }
            value => self.apply(&then, vec![value], &Value::Nothing),
        }
    }

    /// Calls a function.
    pub(super) fn apply(
        &mut self,
        function: &Function,
        arguments: Vec<Value>,
        input: &Value,
    ) -> Result<Value, Error> {
        if self.calls >= CALLS_MAX {
            let words = format!("more than {CALLS_MAX} functions are inside each other");
            return Err(Error::new("", words));
        }
        self.calls += 1;
        let result = match function {
            Function::Native(native) => self.native(native, arguments, input),
            Function::Lambda { lambda, input, frame } => {
                let mut arguments = arguments.into_iter();
                let variables = lambda.parameters.iter();
                let variables = variables
                    .map(|name| (Arc::clone(name), arguments.next().unwrap_or_default()))
                    .collect();
                let frame = self.frame(*frame, variables);
                self.eval(&lambda.body, input, frame)
            }
            Function::Chain { first, then, .. } => {
                let between = self.apply(first, arguments, &Value::Nothing)?;
                self.apply(then, vec![between], &Value::Nothing)
            }
        };
        self.calls -= 1;
        result
    }

    fn native(
        &mut self,
        native: &Native,
        arguments: Vec<Value>,
        input: &Value,
    ) -> Result<Value, Error> {
        let arguments = functions::validated(native, arguments, input)?;
        for argument in &arguments {
            self.look(argument)?;
        }
        let result = (native.run)(self, &arguments)?;
        self.made(result)
    }
}

/// The first steps as far as they are only names, and there is only one value.
fn plain_steps(steps: &[Node], input: &Value) -> (usize, Value) {
    let mut value = input;
    let mut passed = 0;
    for step in steps {
        let (Kind::Name(name), [], Value::Object(object)) =
            (&step.kind, step.stages.as_slice(), value)
        else {
            break;
        };
        passed += 1;
        match object.get(name) {
            Some(found) => value = found,
            None => return (passed, Value::Nothing),
        }
    }
    (passed, value.clone())
}

/// A member; of a list, those of all its items.
pub(super) fn lookup(input: &Value, name: &str, machine: &mut Machine<'_>) -> Result<Value, Error> {
    match input {
        Value::Object(object) => {
            machine.charge(object.members().len() / LOOKS_A_STEP)?;
            Ok(object.get(name).cloned().unwrap_or_default())
        }
        Value::List(list) => {
            machine.charge(1)?;
            let mut found = Vec::new();
            for item in &list.items {
                match lookup(item, name, machine)? {
                    Value::Nothing => {}
                    Value::List(list) => found.extend(list.items.iter().cloned()),
                    value => found.push(value),
                }
            }
            machine.made(Value::sequence(found))
        }
        _ => Ok(Value::Nothing),
    }
}

fn flatten(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::List(list) => list.items.iter().for_each(|item| flatten(item, found)),
        value => found.push(value.clone()),
    }
}

fn sequence_of(value: Value) -> Arc<List> {
    match Value::sequence(vec![value]) {
        Value::List(list) => list,
        _ => unreachable!("a sequence is a list"),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_))
}

/// Which item a number means; one below 0 counts from the end.
fn index_of(number: f64, length: usize) -> Option<usize> {
    #[allow(clippy::cast_precision_loss, reason = "no list is that long")]
    let from_end = length as f64;
    let index = number.floor();
    let index = if index < 0.0 { from_end + index } else { index };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the list")]
    (index >= 0.0 && index < from_end).then_some(index as usize)
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
