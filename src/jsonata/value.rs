//! What expressions work with.

use super::functions::Native;
use super::syntax::Lambda;
use std::fmt;
use std::sync::Arc;

/// A value of JSON, or what has none: nothing, and a function.
#[derive(Clone, Default)]
pub enum Value {
    /// What a name gives that is not there.
    #[default]
    Nothing,
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number; there is only one kind.
    Number(f64),
    /// A text.
    Text(Arc<str>),
    /// An array.
    List(Arc<List>),
    /// An object.
    Object(Arc<Object>),
    /// A function.
    Function(Arc<Function>),
}

/// Values in their order.
#[derive(Clone)]
pub struct List {
    /// The values.
    pub items: Vec<Value>,
    /// Found by a path, one by one: a single one stands for itself, and none is nothing.
    pub(super) is_sequence: bool,
    /// A sequence that stays a list, whatever is in it.
    pub(super) is_kept: bool,
    /// Written down as a list in a path: it stays one value among others.
    pub(super) is_whole: bool,
    /// Only holds the array that is the input, so that it is looked at as one value.
    pub(super) is_wrapper: bool,
    measure: Measure,
}

/// Members by their names, in the order of their arrival.
#[derive(Clone)]
pub struct Object {
    members: Vec<(Arc<str>, Value)>,
    measure: Measure,
}

/// How deep and how large something is. What is shared is counted each time.
#[derive(Clone, Copy, Default)]
struct Measure {
    depth: usize,
    size: usize,
}

impl Measure {
    fn of<'v>(values: impl Iterator<Item = &'v Value>) -> Self {
        let mut whole = Measure { depth: 1, size: 1 };
        for value in values {
            let part = value.measure();
            whole.depth = whole.depth.max(part.depth + 1);
            whole.size = whole.size.saturating_add(part.size);
        }
        whole
    }
}

/// What can be called.
pub enum Function {
    /// One of ours.
    Native(&'static Native),
    /// One that the expression defines.
    Lambda {
        /// As it is written.
        lambda: Arc<Lambda>,
        /// What it was defined for.
        input: Value,
        /// The variables that it sees.
        frame: usize,
    },
    /// One after the other.
    Chain {
        /// What is called first.
        first: Arc<Function>,
        /// What is called with its result.
        then: Arc<Function>,
        /// How many there are.
        depth: usize,
    },
}

impl Function {
    pub(super) fn depth(&self) -> usize {
        match self {
            Function::Native(_) => 1,
            Function::Lambda { input, .. } => input.depth() + 1,
            Function::Chain { depth, .. } => *depth,
        }
    }

    /// How many arguments it can use.
    pub(super) fn arity(&self) -> usize {
        match self {
            Function::Native(native) => native.arity,
            Function::Lambda { lambda, .. } => lambda.parameters.len(),
            Function::Chain { .. } => 1,
        }
    }
}

impl List {
    fn new(items: Vec<Value>, is_sequence: bool) -> Self {
        let measure = Measure::of(items.iter());
        let (is_kept, is_whole, is_wrapper) = (false, false, false);
        List { items, is_sequence, is_kept, is_whole, is_wrapper, measure }
    }
}

impl Object {
    /// A member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }

    /// All of them.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> {
        self.members.iter().map(|(name, value)| (name, value))
    }
}

impl Value {
    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Value::Text(text.into())
    }

    /// A list as it stands in a document.
    #[must_use]
    pub fn list(items: Vec<Value>) -> Self {
        Value::List(Arc::new(List::new(items, false)))
    }

    /// An object; each name is there once.
    #[must_use]
    pub fn object(members: Vec<(Arc<str>, Value)>) -> Self {
        let measure = Measure::of(members.iter().map(|(_, value)| value));
        Value::Object(Arc::new(Object { members, measure }))
    }

    /// What a path finds.
    pub(super) fn sequence(items: Vec<Value>) -> Self {
        Value::List(Arc::new(List::new(items, true)))
    }

    /// A list with other marks.
    pub(super) fn marked(self, mark: impl FnOnce(&mut List)) -> Self {
        match self {
            Value::List(list) => {
                let mut list = Arc::unwrap_or_clone(list);
                mark(&mut list);
                Value::List(Arc::new(list))
            }
            other => other,
        }
    }

    /// What a sequence stands for.
    pub(super) fn settled(self, is_kept: bool) -> Self {
        let Value::List(list) = &self else { return self };
        if !list.is_sequence {
            return self;
        }
        match list.items.as_slice() {
            [] => Value::Nothing,
            [one] if !(is_kept || list.is_kept) => one.clone(),
            _ if is_kept && !list.is_kept => self.marked(|list| list.is_kept = true),
            _ => self,
        }
    }

    /// The only item of what wraps the input, or the value itself.
    pub(super) fn unwrapped(&self) -> &Value {
        match self {
            Value::List(list) if list.is_wrapper => list.items.first().unwrap_or(self),
            _ => self,
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Value::Nothing)
    }

    /// What the language calls it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nothing => "nothing",
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Object(_) => "object",
            Value::Function(_) => "function",
        }
    }

    /// What it counts as where something is decided.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Value::Nothing | Value::Null | Value::Function(_) => false,
            Value::Bool(value) => *value,
            Value::Number(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(list) => list.items.iter().any(Value::truth),
            Value::Object(object) => !object.members.is_empty(),
        }
    }

    /// Whether all numbers in it are finite, as those of JSON are.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match self {
            Value::Number(number) => number.is_finite(),
            Value::List(list) => list.items.iter().all(Value::is_finite),
            Value::Object(object) => object.members.iter().all(|(_, value)| value.is_finite()),
            _ => true,
        }
    }

    /// Whether both are the same all the way down; the order of members does not count.
    #[must_use]
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Nothing, Value::Nothing) | (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Number(one), Value::Number(other)) => one == other,
            (Value::Text(one), Value::Text(other)) => one == other,
            (Value::List(one), Value::List(other)) => {
                let pairs = || one.items.iter().zip(&other.items);
                Arc::ptr_eq(one, other)
                    || one.items.len() == other.items.len() && pairs().all(|(a, b)| a.same(b))
            }
            (Value::Object(one), Value::Object(other)) => {
                let is_there = |(name, value): (&Arc<str>, &Value)| {
                    other.get(name).is_some_and(|found| found.same(value))
                };
                Arc::ptr_eq(one, other)
                    || one.members.len() == other.members.len() && one.members().all(is_there)
            }
            (Value::Function(one), Value::Function(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn measure(&self) -> Measure {
        match self {
            Value::Text(text) => Measure { depth: 0, size: 1 + text.len() / 32 },
            Value::List(list) => list.measure,
            Value::Object(object) => object.measure,
            Value::Function(function) => Measure { depth: function.depth(), size: 1 },
            Value::Nothing | Value::Null | Value::Bool(_) | Value::Number(_) => {
                Measure { depth: 0, size: 1 }
            }
        }
    }

    /// How many lists and objects are inside each other.
    pub(super) fn depth(&self) -> usize {
        self.measure().depth
    }

    /// How many values are in it, and what its texts count for.
    pub(super) fn size(&self) -> usize {
        self.measure().size
    }
}

/// As JSON, as far as it can be.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match super::json::write(self, usize::MAX) {
            Ok(Some(text)) => f.write_str(&text),
            _ => f.write_str(self.kind()),
        }
    }
}

/// [`Value::same`].
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.same(other)
    }
}
