//! What an expression outside of lambdas means, and what names mean inside of them.

use super::arguments::Meaning;
use super::{Builder, is_constant, meant};
use crate::alerts::lambda::{self, Found, Lambda, Scope};
use crate::alerts::script::ast::{Call, Expression, Place, Term};
use crate::alerts::script::fault::Fault;
use crate::alerts::script::value::Value;

/// What fields and tags look like where a text is needed.
const QUOTES: &str = "text is written in single quotes; double quotes are for fields and tags \
                      in lambdas";

/// How many levels an expression may have when its names are replaced: as many as the parser lets
/// one have without names.
const HEIGHT_MAX: usize = 240;

/// How many parts the names of an expression may bring into it: lambdas made of lambdas would grow
/// without an end.
const PARTS_MAX: usize = 2_000;

/// What is said about an expression that is more than that.
const TOO_LARGE: &str = "the expression is too large when the lambdas that it names are put in";

impl Builder<'_> {
    /// What an expression means; what is wrong with it is noted.
    pub(super) fn meaning(&mut self, expression: &Expression) -> Meaning {
        let value = match &expression.term {
            Term::Chain(chain) => return self.chain(chain),
            Term::Name(name) => return self.named(name, expression.place),
            Term::Lambda(inner) => self.whole(inner).map(Value::Lambda),
            Term::List(items) => self.list(items),
            Term::Reference(_) => Err(Some(Fault::new(expression.place, QUOTES))),
            Term::Int { value, .. } => Ok(Value::Int(*value)),
            Term::Float(value) => Ok(Value::Float(*value)),
            Term::Text { value, .. } => Ok(Value::Text(value.clone())),
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Duration { nanos, .. } => Ok(Value::Duration(*nanos)),
            Term::Regex(pattern) => Ok(Value::Regex(pattern.clone())),
            Term::Star => Ok(Value::Star),
            Term::Unary(..) | Term::Binary(_) | Term::Call(_) => self.computed(expression),
        };
        match value {
            Ok(value) => Meaning::Value(value),
            Err(fault) => {
                self.faults.0.extend(fault);
                Meaning::Lost
            }
        }
    }

    fn named(&mut self, name: &str, place: Place) -> Meaning {
        if let Some(meaning) = self.names.get(name) {
            return meaning.clone();
        }
        let what = match name {
            "batch" => "batch tasks query a database, which is not supported; `stream|from()` \
                        takes points as they are written"
                .to_owned(),
            _ => self.undefined(name, false),
        };
        self.faults.add(place, what);
        Meaning::Lost
    }

    fn list(&mut self, items: &[Expression]) -> Result<Value, Option<Fault>> {
        let mut values = Vec::new();
        for item in items {
            match self.meaning(item) {
                Meaning::Value(value @ (Value::Text(_) | Value::Star)) => values.push(value),
                Meaning::Lost => return Err(None),
                _ => return Err(Some(Fault::new(item.place, "a list holds strings and `*`"))),
            }
        }
        Ok(Value::List(values))
    }

    /// Operators and functions of values that are known now.
    fn computed(&mut self, expression: &Expression) -> Result<Value, Option<Fault>> {
        let replaced = self.whole(expression)?;
        if let Some(place) = reference(&replaced) {
            return Err(Some(Fault::new(place, QUOTES)));
        }
        let lambda = Lambda::new(&replaced)?;
        match lambda.evaluate(&mut lambda.state(), &Nowhere) {
            Ok(value) => constant(value, expression.place).map_err(Some),
            Err(error) => Err(Some(Fault::new(error.place, error.to_string()))),
        }
    }

    /// An expression with what its names stand for. `Err(None)` if a fault has been noted already.
    fn whole(&mut self, expression: &Expression) -> Result<Expression, Option<Fault>> {
        self.replaced_parts = 0;
        let replaced = self.replaced(expression)?;
        if height(&replaced) > HEIGHT_MAX {
            return Err(Some(Fault::new(expression.place, TOO_LARGE)));
        }
        Ok(replaced)
    }

    fn replaced(&mut self, expression: &Expression) -> Result<Expression, Option<Fault>> {
        let term = match &expression.term {
            Term::Name(name) => return self.stands_for(name, expression),
            Term::Unary(sign, inner) => Term::Unary(*sign, Box::new(self.replaced(inner)?)),
            Term::Binary(binary) => {
                let mut binary = binary.clone();
                binary.left = self.replaced(&binary.left)?;
                binary.right = self.replaced(&binary.right)?;
                Term::Binary(binary)
            }
            Term::Call(call) => {
                let arguments: Result<_, _> =
                    call.arguments.iter().map(|argument| self.replaced(argument)).collect();
                Term::Call(Call { arguments: arguments?, ..call.clone() })
            }
            other => other.clone(),
        };
        Ok(Expression { term, ..expression.clone() })
    }

    fn stands_for(&mut self, name: &str, at: &Expression) -> Result<Expression, Option<Fault>> {
        let place = at.place;
        match self.names.get(name) {
            Some(Meaning::Value(Value::Lambda(inner))) => {
                self.replaced_parts += parts(inner);
                if self.replaced_parts > PARTS_MAX {
                    return Err(Some(Fault::new(place, TOO_LARGE)));
                }
                let mut inner = inner.clone();
                if let Term::Binary(binary) = &mut inner.term {
                    binary.parens = true;
                }
                Ok(inner)
            }
            Some(Meaning::Value(value)) if is_constant(value) => Ok(value.expression(place)),
            Some(Meaning::Value(value)) => {
                let what =
                    format!("`{name}` is a {}, which an expression cannot use", value.kind());
                Err(Some(Fault::new(place, what)))
            }
            Some(Meaning::Node(_)) => {
                Err(Some(Fault::new(place, format!("`{name}` is a node, not a value"))))
            }
            Some(Meaning::Lost) => Err(None),
            None => Err(Some(Fault::new(place, self.undefined(name, true)))),
        }
    }

    fn undefined(&self, name: &str, in_expression: bool) -> String {
        let hint = match name {
            "true" | "false" | "True" | "False" => format!("; write {}", name.to_uppercase()),
            _ => meant(name, self.names.keys().map(|name| &**name)),
        };
        let hint = if hint.is_empty() && in_expression {
            format!("; a field or tag is written \"{name}\", a text '{name}'")
        } else {
            hint
        };
        format!("`{name}` is not defined{hint}")
    }
}

/// How many levels an expression has.
fn height(expression: &Expression) -> usize {
    1 + match &expression.term {
        Term::Unary(_, inner) => height(inner),
        Term::Binary(binary) => height(&binary.left).max(height(&binary.right)),
        Term::Call(call) => call.arguments.iter().map(height).max().unwrap_or(0),
        _ => 0,
    }
}

/// How many parts an expression has.
fn parts(expression: &Expression) -> usize {
    1 + match &expression.term {
        Term::Unary(_, inner) => parts(inner),
        Term::Binary(binary) => parts(&binary.left) + parts(&binary.right),
        Term::Call(call) => call.arguments.iter().map(parts).sum(),
        _ => 0,
    }
}

/// The place of the first reference.
fn reference(expression: &Expression) -> Option<Place> {
    match &expression.term {
        Term::Reference(_) => Some(expression.place),
        Term::Unary(_, inner) => reference(inner),
        Term::Binary(binary) => reference(&binary.left).or_else(|| reference(&binary.right)),
        Term::Call(call) => call.arguments.iter().find_map(reference),
        _ => None,
    }
}

fn constant(value: lambda::Value<'_>, place: Place) -> Result<Value, Fault> {
    Ok(match value {
        lambda::Value::Int(value) => Value::Int(value),
        lambda::Value::Float(value) => Value::Float(value),
        lambda::Value::Bool(value) => Value::Bool(value),
        lambda::Value::Text(value) => Value::Text(value.into()),
        lambda::Value::Duration(value) => Value::Duration(value),
        lambda::Value::Regex(regex) => Value::Regex(regex.as_str().into()),
        lambda::Value::Time(_) => {
            return Err(Fault::new(place, "a time is only known when there is a point"));
        }
    })
}

/// Where there is no point.
struct Nowhere;

impl Scope for Nowhere {
    fn reference(&self, _: &str) -> Found<'_> {
        Found::Nothing
    }

    fn time(&self) -> i64 {
        0
    }
}
