//! The functions that expressions can call.

mod lists;
mod numbers;
mod objects;
mod texts;
mod time;
mod values;

use super::fault::Error;
use super::machine::Machine;
use super::value::Value;

/// One of our functions.
#[derive(Debug)]
pub struct Native {
    /// Without the `$`.
    pub(super) name: &'static str,
    parameters: &'static [Parameter],
    /// How many arguments it can use as one that is handed over.
    pub(super) arity: usize,
    pub(super) run: fn(&mut Machine<'_>, &[Value]) -> Result<Value, Error>,
}

/// What it takes.
#[derive(Debug)]
struct Parameter {
    /// The letters of the types that fit: `n`umber, `s`tring, `b`oolean, `a`rray (anything, which
    /// then is the only item), `o`bject, `f`unction, `j` (all but a function), `x` (anything).
    types: &'static str,
    /// The type of all items of an array.
    items: Option<char>,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Needed,
    Optional,
    /// The value that the expression is at, if nothing else is given.
    Context,
    /// One or more.
    Many,
}

const fn needed(types: &'static str) -> Parameter {
    Parameter { types, items: None, mode: Mode::Needed }
}

const fn optional(types: &'static str) -> Parameter {
    Parameter { types, items: None, mode: Mode::Optional }
}

const fn context(types: &'static str) -> Parameter {
    Parameter { types, items: None, mode: Mode::Context }
}

const fn list_of(item: char) -> Parameter {
    Parameter { types: "a", items: Some(item), mode: Mode::Needed }
}

const NUMBERS: &[Parameter] = &[list_of('n')];
const NUMBER: &[Parameter] = &[context("n")];
const TEXT: &[Parameter] = &[context("s")];
const TEXT_AND_TEXT: &[Parameter] = &[context("s"), needed("s")];
const ANY: &[Parameter] = &[context("x")];
const LIST_AND_FUNCTION: &[Parameter] = &[needed("a"), needed("f")];

const fn native(
    name: &'static str,
    parameters: &'static [Parameter],
    arity: usize,
    run: fn(&mut Machine<'_>, &[Value]) -> Result<Value, Error>,
) -> Native {
    Native { name, parameters, arity, run }
}

/// All of them, by their names.
static NATIVES: [Native; 50] = [
    native("abs", NUMBER, 1, numbers::abs),
    native("append", &[needed("x"), needed("x")], 2, lists::append),
    native("average", NUMBERS, 1, numbers::average),
    native("base64decode", TEXT, 1, texts::base64_decode),
    native("base64encode", TEXT, 1, texts::base64_encode),
    native("boolean", ANY, 1, values::boolean),
    native("ceil", NUMBER, 1, numbers::ceil),
    native("contains", TEXT_AND_TEXT, 2, texts::contains),
    native("count", &[needed("a")], 1, numbers::count),
    native("distinct", &[needed("x")], 1, lists::distinct),
    native("each", &[context("o"), needed("f")], 2, objects::each),
    native("exists", &[needed("x")], 1, values::exists),
    native("filter", LIST_AND_FUNCTION, 2, lists::filter),
    native("floor", NUMBER, 1, numbers::floor),
    native("fromMillis", NUMBER, 3, time::from_millis),
    native("join", &[list_of('s'), optional("s")], 2, texts::join),
    native("keys", ANY, 1, objects::keys),
    native("last", &[optional("s")], 1, values::last),
    native("length", TEXT, 1, texts::length),
    native("lookup", &[context("x"), needed("s")], 2, objects::lookup),
    native("lowercase", TEXT, 1, texts::lowercase),
    native("map", LIST_AND_FUNCTION, 2, lists::map),
    native("max", NUMBERS, 1, numbers::max),
    native("merge", &[list_of('o')], 1, objects::merge),
    native("millis", &[], 0, time::millis),
    native("min", NUMBERS, 1, numbers::min),
    native("not", ANY, 1, values::not),
    native("now", &[], 2, time::now),
    native("number", &[context("nsb")], 1, numbers::number),
    native("pad", &[context("s"), needed("n"), optional("s")], 3, texts::pad),
    native("power", &[context("n"), needed("n")], 2, numbers::power),
    native("reduce", &[needed("a"), needed("f"), optional("j")], 3, lists::reduce),
    native("replace", &[context("s"), needed("s"), needed("s"), optional("n")], 4, texts::replace),
    native("reverse", &[needed("a")], 1, lists::reverse),
    native("round", &[context("n"), optional("n")], 2, numbers::round),
    native("sift", &[context("o"), optional("f")], 2, objects::sift),
    native("sort", &[needed("a"), optional("f")], 2, lists::sort),
    native("split", &[context("s"), needed("s"), optional("n")], 3, texts::split),
    native("spread", ANY, 1, objects::spread),
    native("sqrt", NUMBER, 1, numbers::sqrt),
    native("string", &[context("x"), optional("b")], 1, values::string),
    native("substring", &[context("s"), needed("n"), optional("n")], 3, texts::substring),
    native("substringAfter", TEXT_AND_TEXT, 2, texts::substring_after),
    native("substringBefore", TEXT_AND_TEXT, 2, texts::substring_before),
    native("sum", NUMBERS, 1, numbers::sum),
    native("toMillis", TEXT, 2, time::to_millis),
    native("trim", TEXT, 1, texts::trim),
    native("type", &[needed("x")], 1, values::type_of),
    native("uppercase", TEXT, 1, texts::uppercase),
    native("zip", &[Parameter { types: "a", items: None, mode: Mode::Many }], 0, lists::zip),
];

/// The function of this name.
pub(super) fn find(name: &str) -> Option<&'static Native> {
    NATIVES.iter().find(|native| native.name == name)
}

impl Native {
    /// How many arguments it needs, and can have.
    pub(super) fn counts(&self) -> (usize, usize) {
        let is_needed =
            |parameter: &&Parameter| matches!(parameter.mode, Mode::Needed | Mode::Many);
        let least = self.parameters.iter().filter(is_needed).count();
        let is_many = self.parameters.iter().any(|parameter| parameter.mode == Mode::Many);
        (least, if is_many { usize::MAX } else { self.parameters.len() })
    }
}

impl Parameter {
    fn takes(&self, letter: char) -> bool {
        // What is not there fits everywhere.
        letter == 'm'
            || match self.types {
                "a" | "x" => true,
                "j" => letter != 'f',
                types => types.contains(letter),
            }
    }

    /// An argument as the function gets it.
    fn fitted(&self, value: Value) -> Result<Value, ()> {
        if self.types != "a" || value.is_nothing() {
            return Ok(value);
        }
        let is_item = |value: &Value| self.items.is_none_or(|wanted| letter(value) == wanted);
        match value {
            Value::List(list) if list.items.iter().all(is_item) => Ok(Value::List(list)),
            Value::List(_) => Err(()),
            one if is_item(&one) => Ok(Value::list(vec![one])),
            _ => Err(()),
        }
    }
}

fn letter(value: &Value) -> char {
    match value {
        Value::Nothing => 'm',
        Value::Null => 'l',
        Value::Bool(_) => 'b',
        Value::Number(_) => 'n',
        Value::Text(_) => 's',
        Value::List(_) => 'a',
        Value::Object(_) => 'o',
        Value::Function(_) => 'f',
    }
}

/// The arguments as a function gets them: one for each parameter, or more for the last.
pub(super) fn validated(
    native: &Native,
    arguments: Vec<Value>,
    input: &Value,
) -> Result<Vec<Value>, Error> {
    let letters: Vec<char> = arguments.iter().map(letter).collect();
    let mut counts = Vec::with_capacity(native.parameters.len());
    if !fits(native.parameters, &letters, &mut counts) {
        let kinds: Vec<&str> = arguments.iter().map(Value::kind).collect();
        let words = format!("${} does not work with ({})", native.name, kinds.join(", "));
        return Err(Error::new("T0410", words));
    }
    let mut arguments = arguments.into_iter();
    let mut fitted = Vec::with_capacity(letters.len().max(native.parameters.len()));
    for (parameter, count) in native.parameters.iter().zip(counts) {
        if count == 0 {
            let value = match parameter.mode {
                Mode::Context => input.unwrapped().clone(),
                _ => Value::Nothing,
            };
            if !parameter.takes(letter(&value)) {
                let words =
                    format!("${} does not work with a value of type {}", native.name, value.kind());
                return Err(Error::new("T0411", words));
            }
            fitted.push(value);
        }
        for value in arguments.by_ref().take(count) {
            let value = parameter.fitted(value).map_err(|()| {
                let words = format!("${} does not work with items of other types", native.name);
                Error::new("T0412", words)
            })?;
            fitted.push(value);
        }
    }
    Ok(fitted)
}

/// How many arguments each parameter gets, as many as it can.
fn fits(parameters: &[Parameter], letters: &[char], counts: &mut Vec<usize>) -> bool {
    let Some((parameter, others)) = parameters.split_first() else { return letters.is_empty() };
    let fitting = letters.iter().take_while(|letter| parameter.takes(**letter)).count();
    let (least, most) = match parameter.mode {
        Mode::Needed => (1, 1),
        Mode::Optional | Mode::Context => (0, 1),
        Mode::Many => (1, usize::MAX),
    };
    for count in (least..=fitting.min(most)).rev() {
        counts.push(count);
        if fits(others, &letters[count..], counts) {
            return true;
        }
        counts.pop();
    }
    false
}

/// What a function gets that is called for each of several values.
fn for_each(
    machine: &mut Machine<'_>,
    function: &Value,
    value: &Value,
    key: &dyn Fn() -> Value,
    whole: &Value,
) -> Result<Value, Error> {
    let Value::Function(function) = function else { return Ok(Value::Nothing) };
    let mut arguments = vec![value.clone()];
    if function.arity() >= 2 {
        arguments.push(key());
    }
    if function.arity() >= 3 {
        arguments.push(whole.clone());
    }
    machine.apply(function, arguments, &Value::Nothing)
}

/// The next argument.
fn next(arguments: &mut std::slice::Iter<'_, Value>) -> Value {
    arguments.next().cloned().unwrap_or_default()
}

/// A number that counts something.
fn count(number: usize) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "nothing has so many")]
    Value::Number(number as f64)
}
