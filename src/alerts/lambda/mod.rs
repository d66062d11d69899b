//! Lambda expressions: what a script computes of a point, such as `"usage_idle" < 10`.
//!
//! [`Lambda::new`] refuses what can never work, with its place: functions that do not exist, types
//! that do not go together. Parts without a reference are computed then, once. What is left is a
//! tree that borrows from the point, so that comparing costs no allocation ([`types`]).
//!
//! What only a point can show is an [`Error`]: a field that is missing, a tag where a number is
//! needed, a division by zero. A function that remembers has its memory in a [`State`], one for
//! each group, which goes into a record and comes back.
//!
//! Times have no zone here: a [`Scope`] says what local time is.

mod compile;
mod error;
mod evaluate;
mod functions;
mod operators;
mod scope;
mod stateful;
pub mod types;

pub use error::{Error, Why};
pub use scope::{Found, OfPoint, Outer, Scope};
pub use stateful::State;
pub use types::{Type, Value};

use crate::alerts::script::Fault;
use crate::alerts::script::ast::Expression;
use compile::Compiled;
use evaluate::Evaluation;
use std::fmt;
use std::sync::Arc;

/// An expression that is ready to be evaluated. A clone shares it.
#[derive(Clone)]
pub struct Lambda(Arc<Compiled>);

impl Lambda {
    /// An expression of any type.
    ///
    /// # Errors
    ///
    /// Fails if it can have no value, whatever the point.
    pub fn new(expression: &Expression) -> Result<Self, Fault> {
        Compiled::new(expression, &[], &[]).map(|compiled| Lambda(Arc::new(compiled)))
    }

    /// An expression that is true or false.
    ///
    /// # Errors
    ///
    /// As [`Lambda::new`], and if it can only be something else.
    pub fn predicate(expression: &Expression) -> Result<Self, Fault> {
        Lambda::new(expression)?.deciding()
    }

    /// The `match` of a handler, which also knows [`Outer`] and the names of the levels.
    ///
    /// # Errors
    ///
    /// As [`Lambda::predicate`].
    pub fn matching(expression: &Expression) -> Result<Self, Fault> {
        let compiled = Compiled::new(expression, &Outer::ALL, &scope::LEVELS)?;
        Lambda(Arc::new(compiled)).deciding()
    }

    fn deciding(self) -> Result<Self, Fault> {
        self.0.must_be(Type::Bool)?;
        Ok(self)
    }

    /// What it is for one point.
    ///
    /// # Errors
    ///
    /// Fails if it has no value for this one.
    pub fn evaluate<'a>(
        &'a self,
        state: &mut State,
        scope: &'a dyn Scope,
    ) -> Result<Value<'a>, Error> {
        Evaluation { state, scope }.value(&self.0.root)
    }

    /// Whether it is true for one point.
    ///
    /// # Errors
    ///
    /// Fails if it is neither true nor false.
    pub fn holds(&self, state: &mut State, scope: &dyn Scope) -> Result<bool, Error> {
        match self.evaluate(state, scope)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(Error { place: self.0.root.place, why: Why::NotBool(other.kind()) }),
        }
    }

    /// What it remembers of a group that nobody has seen yet.
    #[must_use]
    pub fn state(&self) -> State {
        State::fresh(&self.0.cells)
    }

    /// What it remembers of a group, from a record; nothing, if the record is of another expression.
    #[must_use]
    pub fn restored(&self, record: &str) -> State {
        State::restored(&self.0.cells, record).unwrap_or_else(|| self.state())
    }

    /// Whether it remembers anything.
    #[must_use]
    pub fn remembers(&self) -> bool {
        !self.0.cells.is_empty()
    }

    /// In the form that all expressions with this meaning share.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }
}

impl PartialEq for Lambda {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lambda({})", self.text())
    }
}

#[cfg(test)]
mod tests;
