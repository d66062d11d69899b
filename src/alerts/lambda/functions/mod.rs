//! The functions of expressions, in one table: name, what they take, what they make.

mod convert;
mod math;
mod text;
mod time;

use super::error::Why;
use super::types::{Type, Types, Value};
use super::{Scope, stateful::Stateful};
use crate::config::suggest;
use std::borrow::Cow;

/// The most arguments that a function takes.
pub(super) const ARGUMENTS_MAX: usize = 4;

/// No function makes a longer text, in bytes: replacing in what was replaced could fill the memory.
pub(super) const TEXT_MAX: usize = 64 * 1024;

/// A function without a memory.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    body: Body,
}

/// What a function does.
#[derive(Debug)]
enum Body {
    /// From a float to a float.
    Float(fn(f64) -> f64),
    /// From two floats to one.
    Floats(fn(f64, f64) -> f64),
    /// Two texts compared.
    Test(fn(&str, &str) -> bool),
    /// Something counted or found in a text.
    Find(fn(&str, &str) -> i64),
    /// A part of a text, without what the other one says.
    Cut(for<'t> fn(&'t str, &str) -> &'t str),
    /// A part of a date, from nanoseconds of local time.
    Date(fn(i64) -> i64),
    /// All others.
    Other(&'static [Signature], Call),
}

type Call = for<'a> fn(&[Value<'a>], &dyn Scope) -> Result<Value<'a>, Trouble>;

/// Why a function makes nothing.
enum Trouble {
    /// It does not take arguments of these types.
    Arguments,
    /// It cannot take this one.
    Words(String),
}

/// What a function takes, and what it then makes.
#[derive(Debug)]
pub(super) struct Signature {
    takes: &'static [Type],
    makes: Type,
}

const fn takes(takes: &'static [Type], makes: Type) -> Signature {
    Signature { takes, makes }
}

impl Function {
    /// The function of this name.
    pub(super) fn named(name: &str) -> Option<&'static Function> {
        tables().into_iter().flatten().find(|function| function.name == name)
    }

    /// Whether what it makes depends on its arguments alone.
    pub(super) fn is_constant(&self) -> bool {
        !matches!(self.body, Body::Date(_)) && self.name != "now"
    }

    fn signatures(&self) -> &'static [Signature] {
        use Type::{Bool, Float, Int, Text, Time};
        const FLOAT: &[Signature] = &[takes(&[Float], Float)];
        const FLOATS: &[Signature] = &[takes(&[Float, Float], Float)];
        const TEST: &[Signature] = &[takes(&[Text, Text], Bool)];
        const FIND: &[Signature] = &[takes(&[Text, Text], Int)];
        const CUT: &[Signature] = &[takes(&[Text, Text], Text)];
        const DATE: &[Signature] = &[takes(&[Time], Int)];
        match self.body {
            Body::Float(_) => FLOAT,
            Body::Floats(_) => FLOATS,
            Body::Test(_) => TEST,
            Body::Find(_) => FIND,
            Body::Cut(_) => CUT,
            Body::Date(_) => DATE,
            Body::Other(signatures, _) => signatures,
        }
    }

    /// What it may make of these arguments.
    ///
    /// # Errors
    ///
    /// Says what it takes if it cannot take them.
    pub(super) fn check(&self, given: &[Types]) -> Result<Types, String> {
        let types = self.makes(given);
        if !types.is_empty() {
            return Ok(types);
        }
        let int = Types::of(Type::Int);
        let widened: Vec<Types> = given
            .iter()
            .map(|&one| if one == int { Types::of(Type::Float) } else { one })
            .collect();
        let hint = match self.makes(&widened).is_empty() {
            false => "; 5.0 is a float, 5 is none, and float() makes one",
            true => "",
        };
        Err(format!("{} takes {}, not {}{hint}", self.name, self.takes(), list(given)))
    }

    fn makes(&self, given: &[Types]) -> Types {
        let fits = |signature: &&Signature| {
            signature.takes.len() == given.len()
                && signature.takes.iter().zip(given).all(|(&takes, given)| given.has(takes))
        };
        let makes = self.signatures().iter().filter(fits);
        makes.fold(Types::NONE, |types, signature| types.and(signature.makes))
    }

    /// `(float, float) or (int, float)`
    fn takes(&self) -> String {
        let one = |signature: &Signature| list(signature.takes);
        self.signatures().iter().map(one).collect::<Vec<_>>().join(" or ")
    }

    pub(super) fn call<'a>(
        &self,
        given: &[Value<'a>],
        scope: &dyn Scope,
    ) -> Result<Value<'a>, Why> {
        match (&self.body, given) {
            (Body::Float(body), &[Value::Float(value)]) => Ok(Value::Float(body(value))),
            (Body::Floats(body), &[Value::Float(one), Value::Float(other)]) => {
                Ok(Value::Float(body(one, other)))
            }
            (Body::Test(body), [Value::Text(text), Value::Text(other)]) => {
                Ok(Value::Bool(body(text, other)))
            }
            (Body::Find(body), [Value::Text(text), Value::Text(other)]) => {
                Ok(Value::Int(body(text, other)))
            }
            (Body::Cut(body), [Value::Text(text), Value::Text(other)]) => {
                Ok(Value::Text(match text {
                    Cow::Borrowed(text) => Cow::Borrowed(body(text, other)),
                    Cow::Owned(text) => Cow::Owned(body(text, other).to_owned()),
                }))
            }
            (Body::Date(body), &[Value::Time(time)]) => {
                Ok(Value::Int(body(time.saturating_add(scope.offset(time)))))
            }
            (Body::Other(_, body), given) => body(given, scope).map_err(|trouble| match trouble {
                Trouble::Arguments => self.refused(given),
                Trouble::Words(words) => Why::other(format!("{}: {words}", self.name)),
            }),
            _ => Err(self.refused(given)),
        }
    }

    fn refused(&self, given: &[Value<'_>]) -> Why {
        let given: Vec<Type> = given.iter().map(Value::kind).collect();
        Why::Arguments {
            function: self.name,
            takes: self.takes().into(),
            given: list(&given).into(),
        }
    }
}

/// `(float, int)`
pub(super) fn list<T: ToString>(types: &[T]) -> String {
    let names: Vec<String> = types.iter().map(T::to_string).collect();
    format!("({})", names.join(", "))
}

/// Words for a function that does not exist; `outer` are names that exist here, too.
pub(super) fn unknown(name: &str, outer: &[&'static str]) -> String {
    let table = tables().into_iter().flatten().map(|function| function.name);
    let stateful = Stateful::ALL.into_iter().map(Stateful::name);
    let all = table.chain(stateful).chain(["isPresent"]).chain(outer.iter().copied());
    match suggest::nearest(name, all) {
        Some(near) => format!("there is no function {name}(); did you mean {near}()?"),
        None => format!("there is no function {name}()"),
    }
}

fn tables() -> [&'static [Function]; 4] {
    [convert::TABLE, math::TABLE, text::TABLE, time::TABLE]
}

#[cfg(test)]
mod tests {
    use super::super::scope::Outer;
    use super::*;

    #[test]
    fn each_name_is_there_once() {
        let mut names: Vec<&str> =
            tables().into_iter().flatten().map(|function| function.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.iter().all(|name| Stateful::named(name).is_none()));
    }

    #[test]
    fn each_function_is_documented() {
        let page = include_str!("../../../../docs/kapacitor.md");
        let stateful = Stateful::ALL.into_iter().map(Stateful::name);
        let outer = Outer::ALL.into_iter().map(Outer::name);
        let table = tables().into_iter().flatten().map(|function| function.name);
        for name in table.chain(stateful).chain(outer) {
            assert!(page.contains(&format!("`{name}(")), "{name} is not in docs/kapacitor.md");
        }
    }

    #[test]
    fn no_function_takes_more_than_there_is_room_for() {
        for function in tables().into_iter().flatten() {
            let most = function.signatures().iter().map(|signature| signature.takes.len()).max();
            assert!(most.is_some_and(|most| most <= ARGUMENTS_MAX), "{}", function.name);
        }
    }

    #[test]
    fn a_mistyped_name_is_recognised() {
        assert_eq!(
            unknown("strReplaced", &[]),
            "there is no function strReplaced(); did you mean strReplace()?"
        );
        assert_eq!(
            unknown("levle", &["level"]),
            "there is no function levle(); did you mean level()?"
        );
        assert_eq!(unknown("frobnicate", &[]), "there is no function frobnicate()");
    }
}
