//! Functions: ours, those of an expression, and chains of them.

use super::{CALLS_MAX, Machine};
use crate::jsonata::fault::Error;
use crate::jsonata::functions::{self, Native};
use crate::jsonata::syntax::{Kind, Lambda, Node};
use crate::jsonata::value::{Function, Value};
use std::sync::Arc;

impl Machine<'_> {
    pub(super) fn lambda(&mut self, lambda: &Arc<Lambda>, input: &Value, frame: usize) -> Value {
        let lambda = Arc::clone(lambda);
        Value::Function(Arc::new(Function::Lambda { lambda, input: input.clone(), frame }))
    }

    pub(super) fn call(
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
    pub(super) fn apply_to(
        &mut self,
        pair: &[Node; 2],
        input: &Value,
        frame: usize,
    ) -> Result<Value, Error> {
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
    pub(in crate::jsonata) fn apply(
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
