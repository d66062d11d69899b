//! What an expression is made of.

use super::functions::Native;
use super::value::Value;
use std::sync::Arc;

/// A part of an expression, and what is done with its result.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it stands, in bytes.
    pub(super) at: usize,
    pub(super) kind: Kind,
    /// What stands behind it in brackets.
    pub(super) predicates: Vec<Node>,
    /// As a step of a path: the same, for what it finds in one item.
    pub(super) stages: Vec<Node>,
    /// `[]` stands behind it: its result stays a list.
    pub(super) is_kept: bool,
    /// A list that begins or ends a path, or a block with one: it stays as it is.
    pub(super) is_whole: bool,
    /// How many nodes are inside each other.
    pub(super) depth: usize,
}

/// What kind of part it is.
#[derive(Debug)]
pub(super) enum Kind {
    Literal(Value),
    /// A member; only as a step of a path.
    Name(Arc<str>),
    /// `*`
    Wildcard,
    /// `$`
    Context,
    /// `$$`
    Root,
    Variable(Arc<str>),
    Native(&'static Native),
    /// `$context` and its members.
    Around(Around),
    Path {
        steps: Vec<Node>,
        /// Its result stays a list.
        is_kept: bool,
    },
    Negation(Box<Node>),
    Binary(Binary, Box<[Node; 2]>),
    /// A condition, what holds if it does, and if it does not.
    Condition(Box<[Node; 2]>, Option<Box<Node>>),
    /// `?:` and `??`: the first if it is true, or if it is there.
    Default {
        is_truth: bool,
        sides: Box<[Node; 2]>,
    },
    List(Vec<Node>),
    Range(Box<[Node; 2]>),
    Object(Vec<[Node; 2]>),
    Block(Vec<Node>),
    Bind(Arc<str>, Box<Node>),
    Call(Box<Node>, Vec<Node>),
    /// `~>`
    Apply(Box<[Node; 2]>),
    Lambda(Arc<Lambda>),
}

/// A function that the expression defines.
#[derive(Debug)]
pub struct Lambda {
    pub(super) parameters: Vec<Arc<str>>,
    pub(super) body: Node,
}

/// What is known of a message beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Around {
    All,
    Topic,
    Label,
    Vars,
    Var(Arc<str>),
}

/// What stands between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Join,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    In,
}

impl Binary {
    pub(super) fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "+" => Binary::Add,
            "-" => Binary::Subtract,
            "*" => Binary::Multiply,
            "/" => Binary::Divide,
            "%" => Binary::Remainder,
            "&" => Binary::Join,
            "=" => Binary::Equal,
            "!=" => Binary::Unequal,
            "<" => Binary::Less,
            "<=" => Binary::LessOrEqual,
            ">" => Binary::Greater,
            ">=" => Binary::GreaterOrEqual,
            "and" => Binary::And,
            "or" => Binary::Or,
            "in" => Binary::In,
            _ => return None,
        })
    }
}

impl Node {
    /// With nothing behind it.
    pub(super) fn new(at: usize, kind: Kind) -> Self {
        let mut deepest = 0;
        kind.each(&mut |node| deepest = deepest.max(node.depth));
        let (predicates, stages) = (Vec::new(), Vec::new());
        let (is_kept, is_whole, depth) = (false, false, deepest + 1);
        Node { at, kind, predicates, stages, is_kept, is_whole, depth }
    }
}

impl Kind {
    /// Looks at the parts inside it.
    fn each(&self, look: &mut dyn FnMut(&Node)) {
        match self {
            Kind::Literal(_)
            | Kind::Name(_)
            | Kind::Wildcard
            | Kind::Context
            | Kind::Root
            | Kind::Variable(_)
            | Kind::Native(_)
            | Kind::Around(_) => {}
            Kind::Path { steps: nodes, .. } | Kind::List(nodes) | Kind::Block(nodes) => {
                nodes.iter().for_each(look);
            }
            Kind::Negation(node) | Kind::Bind(_, node) => look(node),
            Kind::Binary(_, pair)
            | Kind::Range(pair)
            | Kind::Apply(pair)
            | Kind::Default { sides: pair, .. } => pair.iter().for_each(look),
            Kind::Condition(pair, other) => pair.iter().chain(other.as_deref()).for_each(look),
            Kind::Object(pairs) => pairs.iter().flatten().for_each(look),
            Kind::Call(called, arguments) => {
                look(called);
                arguments.iter().for_each(look);
            }
            Kind::Lambda(lambda) => look(&lambda.body),
        }
    }
}
