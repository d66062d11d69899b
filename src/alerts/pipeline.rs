//! A script as a graph of nodes with all their settings: what the engine runs.
//!
//! `script::build` makes it and has said whatever is wrong with it; the engine takes it as it is.
//! All durations are in nanoseconds.

use super::handlers::HandlerSpec;
use super::lambda::Lambda;
use super::point::{Field, Name};
use super::script::Place;
use super::script::ast::Dbrp;
use super::template::Template;

/// One second, in nanoseconds.
pub const SECOND: i64 = 1_000_000_000;

/// How many levels an alert remembers of each group, if the script does not say.
pub const HISTORY: usize = 21;

/// How many levels a script may have remembered of each group.
pub const HISTORY_MAX: usize = 1_000;

/// How many points a window by count may have.
pub const WINDOW_POINTS_MAX: usize = 100_000;

/// How many nodes may lie below each other: each needs its part of a thread's stack.
pub const DEPTH_MAX: usize = 64;

/// The nodes of a task.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    /// Which points it reads; all of them if there is none.
    pub dbrps: Vec<Dbrp>,
    /// The nodes, parents before children.
    pub nodes: Vec<Node>,
}

impl Pipeline {
    /// The first node that has too many above it.
    #[must_use]
    pub fn too_deep(nodes: &[Node]) -> Option<&Node> {
        let mut depths = Vec::with_capacity(nodes.len());
        for node in nodes {
            let above = node.parents.iter().map(|&parent| depths[parent]).max().unwrap_or(0);
            if above == DEPTH_MAX {
                return Some(node);
            }
            depths.push(above + 1);
        }
        None
    }
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name: what it is and its number in the order of creation, such as `alert2`.
    pub name: String,
    /// Where it is written.
    pub place: Place,
    /// Where its input comes from: indices of [`Pipeline::nodes`]; only a union has several.
    pub parents: Vec<usize>,
    /// What it does.
    pub kind: Kind,
}

/// What a node does.
#[derive(Clone, Debug)]
pub enum Kind {
    /// `stream`: all points of the task.
    Stream,
    /// `|from()`
    From(From),
    /// `|where(lambda)`: several are all asked.
    Where(Vec<Lambda>),
    /// `|groupBy(…)`
    GroupBy(GroupBy),
    /// `|window()`
    Window(Window),
    /// `|count('field')` and the like.
    Aggregate(Aggregate),
    /// `|eval(lambda, …)`
    Eval(Eval),
    /// `|default()`
    Default(Defaults),
    /// `|delete()`
    Delete(Delete),
    /// `|stateDuration(lambda)`
    StateDuration(StateDuration),
    /// `|stateCount(lambda)`
    StateCount(StateCount),
    /// `|changeDetect('field', …)`: the fields.
    ChangeDetect(Vec<Name>),
    /// `|sample(…)`
    Sample(Sample),
    /// `|derivative('field')`
    Derivative(Derivative),
    /// The first half of `|deadman(threshold, interval, lambda, …)`: for each group of its parent
    /// a point with how many points there were, once an `interval`, in the field `emitted`. The
    /// second half is an ordinary alert below it.
    Deadman(Deadman),
    /// `|log()`
    Log(Log),
    /// `|httpOut('name')`: the name.
    HttpOut(String),
    /// `|noOp()`
    NoOp,
    /// `|union(node, …)`
    Union,
    /// `|alert()`
    Alert(Box<Alert>),
}

/// Which points, and how they are grouped.
#[derive(Clone, Debug, Default)]
pub struct From {
    /// Only points of this database.
    pub database: Option<Name>,
    /// Only points of this retention policy.
    pub retention_policy: Option<Name>,
    /// Only points of this measurement.
    pub measurement: Option<Name>,
    /// Only points for which all of these are true.
    pub filters: Vec<Lambda>,
    /// What makes a group.
    pub group_by: GroupBy,
    /// Times are cut down to multiples of this; 0 leaves them.
    pub truncate: i64,
    /// Times are rounded to multiples of this; 0 leaves them.
    pub round: i64,
}

/// What makes a group. The default is one group for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// The names of tags.
    pub tags: Vec<Name>,
    /// `*`: all tags of each point.
    pub all: bool,
    /// `.exclude(…)`: all but these.
    pub exclude: Vec<Name>,
    /// Whether each measurement is a group of its own.
    pub by_measurement: bool,
}

/// Points that are kept and go on together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// For how long points are kept; 0 in a window by count.
    pub period: i64,
    /// How often they go on; 0 is with each point.
    pub every: i64,
    /// Whether times are multiples of `every`.
    pub align: bool,
    /// Whether the first ones only go on when the window is full.
    pub fill_period: bool,
    /// How many points are kept; 0 in a window by time.
    pub period_count: usize,
    /// With each how many points they go on.
    pub every_count: usize,
}

/// A function of one field of many points.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Which one.
    pub function: Function,
    /// Of which field.
    pub field: Name,
    /// `.as('name')`: the field of the result, [`Function::name`] if the script names none.
    pub name: Name,
    /// `.usePointTimes()`
    pub point_times: bool,
}

/// What can be made of the values of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// How many.
    Count,
    /// Each value once.
    Distinct,
    /// The arithmetic mean.
    Mean,
    /// The one in the middle.
    Median,
    /// The most frequent one.
    Mode,
    /// The largest less the smallest.
    Spread,
    /// All together.
    Sum,
    /// The earliest.
    First,
    /// The latest.
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The value that this many percent are not above.
    Percentile(f64),
    /// The standard deviation of a sample.
    Stddev,
    /// The largest few, with these fields and tags.
    Top(usize, Vec<Name>),
    /// The smallest few, with these fields and tags.
    Bottom(usize, Vec<Name>),
    /// Each less the one before.
    Difference,
    /// The time since the one before, in this unit.
    Elapsed(i64),
    /// The sum so far.
    CumulativeSum,
    /// The mean of the last few.
    MovingAverage(usize),
}

impl Function {
    /// Its name in scripts, which is also the field of its result unless the script names another.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Function::Count => "count",
            Function::Distinct => "distinct",
            Function::Mean => "mean",
            Function::Median => "median",
            Function::Mode => "mode",
            Function::Spread => "spread",
            Function::Sum => "sum",
            Function::First => "first",
            Function::Last => "last",
            Function::Min => "min",
            Function::Max => "max",
            Function::Percentile(_) => "percentile",
            Function::Stddev => "stddev",
            Function::Top(..) => "top",
            Function::Bottom(..) => "bottom",
            Function::Difference => "difference",
            Function::Elapsed(_) => "elapsed",
            Function::CumulativeSum => "cumulativeSum",
            Function::MovingAverage(_) => "movingAverage",
        }
    }
}

/// Fields made of others.
#[derive(Clone, Debug)]
pub struct Eval {
    /// What is evaluated, in this order, and the name of each result. Later ones see earlier ones.
    pub results: Vec<(Name, Lambda)>,
    /// Those of the results that become tags.
    pub tags: Vec<Name>,
    /// Which fields go on.
    pub keep: Keep,
    /// Whether nothing is said about points that it fails for.
    pub quiet: bool,
}

/// Which fields an eval lets go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The results.
    #[default]
    Results,
    /// `.keep()`: the results and what was there.
    All,
    /// `.keep('name', …)`: these.
    Only(Vec<Name>),
}

/// What a point gets that it lacks.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Fields.
    pub fields: Vec<(Name, Field)>,
    /// Tags.
    pub tags: Vec<(Name, Name)>,
}

/// What is taken from a point.
#[derive(Clone, Debug, Default)]
pub struct Delete {
    /// Fields.
    pub fields: Vec<Name>,
    /// Tags.
    pub tags: Vec<Name>,
}

/// For how long a condition has been true.
#[derive(Clone, Debug)]
pub struct StateDuration {
    /// The condition.
    pub condition: Lambda,
    /// In which unit; a second if the script names none.
    pub unit: i64,
    /// In which field; `state_duration` if the script names none.
    pub name: Name,
}

/// For how many points a condition has been true.
#[derive(Clone, Debug)]
pub struct StateCount {
    /// The condition.
    pub condition: Lambda,
    /// In which field; `state_count` if the script names none.
    pub name: Name,
}

/// Which points go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// The first of every n; more than 0.
    Count(u64),
    /// Those whose time is a multiple of this; more than 0.
    Duration(i64),
}

/// How fast a field changes.
#[derive(Clone, Debug)]
pub struct Derivative {
    /// The field.
    pub field: Name,
    /// Per what time; a second if the script names none.
    pub unit: i64,
    /// Whether a field that falls is left out, as a counter that begins again.
    pub non_negative: bool,
    /// In which field; named like the field if the script names none.
    pub name: Name,
}

/// How many points there were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadman {
    /// How often; more than 0.
    pub interval: i64,
}

/// Points in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// `.level('INFO')`
    pub level: LogLevel,
    /// `.prefix('words')`
    pub prefix: String,
}

/// How loud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// `DEBUG`
    Debug,
    /// `INFO`
    #[default]
    Info,
    /// `WARN`
    Warn,
    /// `ERROR`
    Error,
}

/// When there is an alert, what it says, and where it goes.
#[derive(Clone, Debug, Default)]
pub struct Alert {
    /// `.info()`, `.infoReset()`
    pub info: Rule,
    /// `.warn()`, `.warnReset()`
    pub warn: Rule,
    /// `.crit()`, `.critReset()`
    pub crit: Rule,
    /// `.id()`; `{{ .Name }}:{{ .Group }}` if the script has none.
    pub id: Option<Template>,
    /// `.message()`; `{{ .ID }} is {{ .Level }}` if the script has none.
    pub message: Option<Template>,
    /// `.details()`; `{{ json . }}` if the script has none.
    pub details: Option<Template>,
    /// `.topic()`
    pub topic: Option<String>,
    /// `.category()`
    pub category: Option<String>,
    /// `.inhibit()`
    pub inhibits: Vec<Inhibit>,
    /// `.stateChangesOnly()`: after how long an alert that does not change is an event again; 0 is
    /// never.
    pub state_changes_only: Option<i64>,
    /// `.noRecoveries()`
    pub no_recoveries: bool,
    /// `.all()`
    pub all: bool,
    /// `.flapping(low, high)`
    pub flapping: Option<(f64, f64)>,
    /// `.history()`, from 2 to [`HISTORY_MAX`]; 0 is [`HISTORY`].
    pub history: usize,
    /// `.levelTag()`
    pub level_tag: Option<Name>,
    /// `.levelField()`
    pub level_field: Option<Name>,
    /// `.idTag()`
    pub id_tag: Option<Name>,
    /// `.idField()`
    pub id_field: Option<Name>,
    /// `.messageField()`
    pub message_field: Option<Name>,
    /// `.durationField()`
    pub duration_field: Option<Name>,
    /// The handlers written in the script. They get what the node's own topic gets.
    pub handlers: Vec<HandlerSpec>,
}

/// When a level begins and when it may end.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// When it begins.
    pub when: Option<Lambda>,
    /// When it may end; without effect if there is no `when`.
    pub reset: Option<Lambda>,
}

/// `.inhibit('category', 'tag', …)`: alerts of a category with the same tags are held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inhibit {
    /// The category.
    pub category: String,
    /// The tags.
    pub tags: Vec<Name>,
}
