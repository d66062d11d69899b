//! A script as it is written: every part with its place, every comment with the part it precedes.
//!
//! Nothing is looked up or replaced here, so `format` can print it again. Names that `var`
//! gives are replaced by `build`, before a lambda sees an expression.

use super::format::format_expression;
use serde_json::Value as Json;
use std::fmt;

/// Where something is written in a script; both count characters from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The character in the line.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} char {}", self.line, self.column)
    }
}

/// The lines of the comments in front of something: `// words`, or empty between two comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments(pub Vec<Box<str>>);

impl Comments {
    /// Takes over those of a part, because the whole is printed behind them.
    pub(super) fn take(&mut self, part: &mut Expression) {
        self.0.append(&mut part.comments.0);
    }
}

/// A whole script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// What it says, from top to bottom.
    pub statements: Vec<Statement>,
    /// The comments below the last statement.
    pub comments: Comments,
}

impl Script {
    /// The databases and retention policies it names itself.
    pub fn dbrps(&self) -> impl Iterator<Item = &Dbrp> {
        self.statements.iter().filter_map(|statement| match &statement.what {
            What::Dbrp(dbrp) => Some(dbrp),
            What::Var { .. } | What::Variable { .. } | What::Expression(_) => None,
        })
    }

    /// The names and types of its variables, and what they are if nobody says.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str, Json)> {
        self.statements.iter().filter_map(|statement| match &statement.what {
            What::Variable { name, kind } => Some((&*name.text, &*kind.text, Json::Null)),
            What::Var { name, value } => {
                let (kind, value) = value.term.constant()?;
                Some((&*name.text, kind, value))
            }
            What::Dbrp(_) | What::Expression(_) => None,
        })
    }
}

impl Term {
    /// The type of a constant, and its value.
    fn constant(&self) -> Option<(&'static str, Json)> {
        Some(match self {
            Term::Int { value, .. } => ("int", (*value).into()),
            Term::Float(value) => ("float", (*value).into()),
            Term::Text { value, .. } => ("string", (&**value).into()),
            Term::Bool(value) => ("bool", (*value).into()),
            Term::Duration { nanos, .. } => ("duration", (*nanos).into()),
            Term::Regex(pattern) => ("regex", (&**pattern).into()),
            Term::Lambda(expression) => ("lambda", format_expression(expression).into()),
            Term::Star => ("star", "*".into()),
            _ => return None,
        })
    }
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Where it begins.
    pub place: Place,
    /// The comments in front of it.
    pub comments: Comments,
    /// What it says.
    pub what: What,
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `dbrp "db"."rp"`
    Dbrp(Dbrp),
    /// `var name = value`
    Var {
        /// The name.
        name: Word,
        /// What it stands for.
        value: Expression,
    },
    /// `var name type`: whoever uses the script gives the value.
    Variable {
        /// The name.
        name: Word,
        /// `int`, `string` and so on, not checked yet.
        kind: Word,
    },
    /// `stream|from()…`
    Expression(Expression),
}

/// A database and a retention policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dbrp {
    /// The database.
    pub database: Box<str>,
    /// The retention policy; empty is one, too.
    pub retention_policy: Box<str>,
}

impl fmt::Display for Dbrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| text.replace('"', "\\\"");
        write!(f, "\"{}\".\"{}\"", quoted(&self.database), quoted(&self.retention_policy))
    }
}

/// A name and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it begins.
    pub place: Place,
    /// The name.
    pub text: Box<str>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// Where it begins; for [`Term::Binary`] where its operator is.
    pub place: Place,
    /// The comments in front of it.
    pub comments: Comments,
    /// What it is.
    pub term: Term,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A name: one of a `var`, or `stream`, `OK` and the like.
    Name(Box<str>),
    /// A whole number, never negative: the minus is a [`Term::Unary`].
    Int {
        /// Its value.
        value: i64,
        /// Whether it is written with a leading zero, as the mode of a file is.
        octal: bool,
    },
    /// A number with a decimal point, never negative.
    Float(f64),
    /// `'text'`
    Text {
        /// What it says, without escapes.
        value: Box<str>,
        /// Whether it is written between `'''`.
        raw: bool,
    },
    /// `TRUE` or `FALSE`
    Bool(bool),
    /// `10s`
    Duration {
        /// In nanoseconds.
        nanos: i64,
        /// As it is written; empty if it comes from elsewhere.
        written: Box<str>,
    },
    /// `/pattern/`, without the slashes; `\/` in it is a `/` already.
    Regex(Box<str>),
    /// `"field or tag"`, without escapes.
    Reference(Box<str>),
    /// `*`
    Star,
    /// `['a', b, *]`
    List(Vec<Expression>),
    /// `lambda: …`; what [`Term::Lambda`] holds is what a lambda evaluates.
    Lambda(Box<Expression>),
    /// `-x`, `!x`
    Unary(Sign, Box<Expression>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `f(x)`
    Call(Call),
    /// `stream|from().measurement('cpu')`
    Chain(Box<Chain>),
}

/// An operator with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `-`
    Minus,
    /// `!`
    Not,
}

/// An operator and its two operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub operator: Operator,
    /// What is left of it.
    pub left: Expression,
    /// What is right of it.
    pub right: Expression,
    /// Whether it is written in parentheses.
    pub parens: bool,
    /// Whether its operands are on different lines.
    pub lines: bool,
}

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `OR`
    Or,
    /// `AND`
    And,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

impl Operator {
    /// How it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Operator::Or => "OR",
            Operator::And => "AND",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Matches => "=~",
            Operator::MatchesNot => "!~",
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterEqual => ">=",
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Times => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }

    /// How tightly it binds; all of them bind to the left.
    #[must_use]
    pub fn binds(self) -> u8 {
        match self {
            Operator::Or => 0,
            Operator::And => 1,
            Operator::Equal | Operator::NotEqual | Operator::Matches | Operator::MatchesNot => 2,
            Operator::Less | Operator::LessEqual => 3,
            Operator::Greater | Operator::GreaterEqual => 3,
            Operator::Plus | Operator::Minus => 4,
            Operator::Times | Operator::Divide | Operator::Remainder => 5,
        }
    }
}

/// A function, node or property with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name.
    pub name: Word,
    /// The arguments.
    pub arguments: Vec<Expression>,
    /// Whether the arguments are on different lines.
    pub lines: bool,
}

/// Something, and what is called on it, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Mostly `stream` or the name of a node.
    pub head: Expression,
    /// The calls; never empty.
    pub links: Vec<Link>,
}

/// One call of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Where its `|`, `.` or `@` is.
    pub place: Place,
    /// The comments in front of it.
    pub comments: Comments,
    /// What it makes.
    pub joint: Joint,
    /// The call.
    pub call: Call,
}

/// What a call of a chain makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// `|node()`: a node below.
    Node,
    /// `.property()`: a setting of the node.
    Property,
    /// `@function()`: a node of somebody else's program.
    Udf,
}
