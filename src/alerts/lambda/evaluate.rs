//! What a compiled expression is for one point.

use super::compile::{Constant, Node, What};
use super::error::{Error, Why};
use super::functions::{ARGUMENTS_MAX, Function};
use super::operators;
use super::scope::{Found, Scope};
use super::stateful::{State, Stateful};
use super::types::{Type, Value};
use crate::alerts::point::Name;
use crate::alerts::script::ast::{Operator, Place};

/// One point, and what the expression remembers of its group.
pub(super) struct Evaluation<'a, 's> {
    pub(super) state: &'s mut State,
    pub(super) scope: &'a dyn Scope,
}

impl<'a> Evaluation<'a, '_> {
    pub(super) fn value(&mut self, node: &'a Node) -> Result<Value<'a>, Error> {
        let place = node.place;
        match &node.what {
            What::Constant(constant) => Ok(constant.value()),
            What::Reference(name) => self.reference(name, place),
            What::Time => Ok(Value::Time(self.scope.time())),
            What::Outer(outer) => Ok(self.scope.outer(*outer)),
            What::Present(name) => {
                Ok(Value::Bool(!matches!(self.scope.reference(name), Found::Nothing)))
            }
            What::Sign(sign, operand) => {
                let value = self.value(operand)?;
                operators::signed(*sign, &value).map_err(|why| Error { place, why })
            }
            What::All(operands) => self.decided(Operator::And, operands, place),
            What::Any(operands) => self.decided(Operator::Or, operands, place),
            What::Binary(operator, operands) => {
                let left = self.value(&operands.0)?;
                let right = self.value(&operands.1)?;
                operators::apply(*operator, left, right).map_err(|why| Error { place, why })
            }
            What::Call(function, arguments) => self.call(function, arguments, place),
            What::Remember(function, cell, argument) => {
                self.remember(*function, *cell, argument.as_deref(), place)
            }
        }
    }

    fn reference(&self, name: &Name, place: Place) -> Result<Value<'a>, Error> {
        match self.scope.reference(name) {
            Found::One(value) => Ok(value),
            Found::Nothing => Err(Error { place, why: Why::Missing(name.clone()) }),
            Found::Both => Err(Error { place, why: Why::Ambiguous(name.clone()) }),
        }
    }

    /// `a AND b AND c`, or with `OR`: the first operand that decides it ends it. A bare reference
    /// behind that one must still be a bool, as in Kapacitor, so that a mistyped name is found.
    fn decided(
        &mut self,
        operator: Operator,
        operands: &'a [Node],
        place: Place,
    ) -> Result<Value<'a>, Error> {
        let goes_on = operator == Operator::And;
        let mut result = goes_on;
        for operand in operands {
            if result != goes_on && !matches!(operand.what, What::Reference(_)) {
                continue;
            }
            match self.value(operand)? {
                Value::Bool(holds) if result == goes_on => result = holds,
                Value::Bool(_) => {}
                other => {
                    let why = Why::Operands(operator, Type::Bool, other.kind());
                    return Err(Error { place, why });
                }
            }
        }
        Ok(Value::Bool(result))
    }

    fn call(
        &mut self,
        function: &Function,
        arguments: &'a [Node],
        place: Place,
    ) -> Result<Value<'a>, Error> {
        let mut values: [Value<'a>; ARGUMENTS_MAX] = [const { Value::Bool(false) }; ARGUMENTS_MAX];
        for (value, argument) in values.iter_mut().zip(arguments) {
            *value = self.value(argument)?;
        }
        let given = &values[..arguments.len()];
        function.call(given, self.scope).map_err(|why| Error { place, why })
    }

    fn remember(
        &mut self,
        function: Stateful,
        cell: usize,
        argument: Option<&'a Node>,
        place: Place,
    ) -> Result<Value<'a>, Error> {
        let argument = match argument {
            None => 0.0,
            Some(argument) => match self.value(argument)? {
                Value::Float(value) => value,
                other => {
                    let given = format!("({})", other.kind()).into();
                    let takes = "(float)".into();
                    let why = Why::Arguments { function: function.name(), takes, given };
                    return Err(Error { place, why });
                }
            },
        };
        let scope = self.scope;
        Ok(self.state.call(cell, function, argument, || scope.seed()))
    }
}

impl Constant {
    fn value(&self) -> Value<'_> {
        match self {
            Constant::Float(value) => Value::Float(*value),
            Constant::Int(value) => Value::Int(*value),
            Constant::Bool(value) => Value::Bool(*value),
            Constant::Text(text) => Value::text(text),
            Constant::Duration(nanos) => Value::Duration(*nanos),
            Constant::Regex(regex) => Value::Regex(regex),
        }
    }
}
