//! What stands in the parentheses of a call, and what has to stand there.

use crate::alerts::lambda::Lambda;
use crate::alerts::point::Name;
use crate::alerts::script::ast::{Expression, Place, Word};
use crate::alerts::script::fault::Fault;
use crate::alerts::script::value::Value;

/// What an expression outside of lambdas means.
#[derive(Clone, Debug)]
pub(super) enum Meaning {
    Value(Value),
    /// The node with this index.
    Node(usize),
    /// Nothing, and a fault has said why.
    Lost,
}

/// One argument.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) place: Place,
    pub(super) meaning: Meaning,
}

/// All arguments of a call.
#[derive(Debug)]
pub(super) struct Arguments<'a> {
    pub(super) name: &'a Word,
    pub(super) items: Vec<Argument>,
}

impl Arguments<'_> {
    /// Whether a fault has said already that one of them is wrong.
    pub(super) fn are_lost(&self) -> bool {
        self.items.iter().any(|item| matches!(item.meaning, Meaning::Lost))
    }

    pub(super) fn none(&self) -> Result<(), Fault> {
        match self.items.first() {
            None => Ok(()),
            Some(first) => {
                let what = format!("`{0}` takes no argument: {0}()", self.name.text);
                Err(Fault::new(first.place, what))
            }
        }
    }

    /// The only one; `shape` shows how to write it.
    pub(super) fn one(&self, shape: &str) -> Result<&Argument, Fault> {
        match self.items.as_slice() {
            [one] => Ok(one),
            _ => Err(self.count("one argument", shape)),
        }
    }

    pub(super) fn two(&self, shape: &str) -> Result<(&Argument, &Argument), Fault> {
        match self.items.as_slice() {
            [one, other] => Ok((one, other)),
            _ => Err(self.count("two arguments", shape)),
        }
    }

    /// The first, and those behind it.
    pub(super) fn first(&self, shape: &str) -> Result<(&Argument, &[Argument]), Fault> {
        self.items.split_first().ok_or_else(|| self.count("at least one argument", shape))
    }

    pub(super) fn count(&self, wanted: &str, shape: &str) -> Fault {
        let found = match self.items.len() {
            0 => "none".to_owned(),
            count => count.to_string(),
        };
        let what = format!("`{}` takes {wanted}, not {found}: {shape}", self.name.text);
        Fault::new(self.name.place, what)
    }
}

impl Argument {
    pub(super) fn text(&self) -> Result<&str, Fault> {
        match &self.meaning {
            Meaning::Value(Value::Text(text)) => Ok(text),
            _ => Err(self.wrong("a string")),
        }
    }

    /// A text that says something.
    pub(super) fn filled_text(&self, what: &str) -> Result<&str, Fault> {
        match self.text()? {
            "" => Err(Fault::new(self.place, format!("{what} is empty"))),
            text => Ok(text),
        }
    }

    pub(super) fn name(&self) -> Result<Name, Fault> {
        self.text().map(Name::from)
    }

    pub(super) fn bool(&self) -> Result<bool, Fault> {
        match self.meaning {
            Meaning::Value(Value::Bool(value)) => Ok(value),
            _ => Err(self.wrong("TRUE or FALSE")),
        }
    }

    pub(super) fn int(&self) -> Result<i64, Fault> {
        match self.meaning {
            Meaning::Value(Value::Int(value)) => Ok(value),
            _ => Err(self.wrong("an int")),
        }
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&self, most: usize) -> Result<usize, Fault> {
        let count = self.int()?;
        match usize::try_from(count) {
            Ok(count) if (1..=most).contains(&count) => Ok(count),
            _ => Err(Fault::new(
                self.place,
                format!("a number from 1 to {most} is needed, not {count}"),
            )),
        }
    }

    /// A number; Kapacitor wants it with a point.
    pub(super) fn float(&self) -> Result<f64, Fault> {
        match self.meaning {
            Meaning::Value(Value::Float(value)) => Ok(value),
            #[allow(clippy::cast_precision_loss, reason = "a threshold has a few digits")]
            Meaning::Value(Value::Int(value)) => Ok(value as f64),
            _ => Err(self.wrong("a number")),
        }
    }

    /// A duration that is not negative.
    pub(super) fn duration(&self) -> Result<i64, Fault> {
        match self.meaning {
            Meaning::Value(Value::Duration(value)) if value >= 0 => Ok(value),
            Meaning::Value(Value::Duration(_)) => {
                Err(Fault::new(self.place, "a duration cannot be negative here"))
            }
            _ => Err(self.wrong("a duration such as 10s")),
        }
    }

    /// A duration of more than nothing.
    pub(super) fn positive_duration(&self) -> Result<i64, Fault> {
        match self.duration()? {
            0 => Err(Fault::new(self.place, "a duration of 0 makes no sense here")),
            duration => Ok(duration),
        }
    }

    pub(super) fn expression(&self) -> Result<&Expression, Fault> {
        match &self.meaning {
            Meaning::Value(Value::Lambda(expression)) => Ok(expression),
            _ => Err(self.wrong("a lambda, `lambda: …`,")),
        }
    }

    pub(super) fn lambda(&self) -> Result<Lambda, Fault> {
        Lambda::new(self.expression()?)
    }

    /// A lambda that is true or false.
    pub(super) fn predicate(&self) -> Result<Lambda, Fault> {
        Lambda::predicate(self.expression()?)
    }

    pub(super) fn node(&self) -> Result<usize, Fault> {
        match self.meaning {
            Meaning::Node(index) => Ok(index),
            _ => Err(self.wrong("a node")),
        }
    }

    pub(super) fn wrong(&self, wanted: &str) -> Fault {
        let found = match &self.meaning {
            Meaning::Value(value) => match value.kind() {
                "int" => "an int",
                "float" => "a float",
                "string" => "a string",
                "bool" => "a bool",
                "duration" => "a duration",
                "regex" => "a regular expression",
                "list" => "a list",
                "lambda" => "a lambda",
                _ => "`*`",
            },
            Meaning::Node(_) => "a node",
            Meaning::Lost => "nothing",
        };
        Fault::new(self.place, format!("{wanted} is expected here, not {found}"))
    }
}

/// Strings, each for itself or in a list.
pub(super) fn names(arguments: &[Argument]) -> Result<Vec<Name>, Fault> {
    let mut names = Vec::new();
    for argument in arguments {
        match &argument.meaning {
            Meaning::Value(Value::List(items)) => {
                for item in items {
                    let Value::Text(text) = item else { return Err(argument.wrong("a string")) };
                    names.push(Name::from(&**text));
                }
            }
            _ => names.push(argument.name()?),
        }
    }
    Ok(names)
}
