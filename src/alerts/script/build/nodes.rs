//! Nodes: which there are, what stands in their parentheses, and what must be set in the end.

use super::arguments::{Argument, Arguments, Meaning, names};
use super::properties::owners;
use super::{Builder, meant};
use crate::alerts::lambda::Lambda;
use crate::alerts::pipeline::{
    Aggregate, Alert, DEPTH_MAX, Deadman, Defaults, Delete, Derivative, Eval, From, Function,
    GroupBy, Keep, Kind, Log, Pipeline, Rule, SECOND, Sample, StateCount, StateDuration,
    WINDOW_POINTS_MAX, Window,
};
use crate::alerts::script::ast::{Binary, Comments, Expression, Operator, Term};
use crate::alerts::script::fault::Fault;
use crate::alerts::script::format::duration;
use crate::alerts::script::value::Value;
use crate::alerts::template::Template;

/// The name of each node in scripts, and in the names of nodes.
pub(super) const NODES: [(&str, &str); 37] = [
    ("from", "from"),
    ("where", "where"),
    ("groupBy", "groupby"),
    ("window", "window"),
    ("eval", "eval"),
    ("default", "default"),
    ("delete", "delete"),
    ("stateDuration", "state_duration"),
    ("stateCount", "state_count"),
    ("changeDetect", "changeDetect"),
    ("sample", "sample"),
    ("derivative", "derivative"),
    ("deadman", "stats"),
    ("log", "log"),
    ("httpOut", "http_out"),
    ("noOp", "noop"),
    ("union", "union"),
    ("alert", "alert"),
    ("count", "count"),
    ("distinct", "distinct"),
    ("mean", "mean"),
    ("median", "median"),
    ("mode", "mode"),
    ("spread", "spread"),
    ("sum", "sum"),
    ("first", "first"),
    ("last", "last"),
    ("min", "min"),
    ("max", "max"),
    ("percentile", "percentile"),
    ("stddev", "stddev"),
    ("top", "top"),
    ("bottom", "bottom"),
    ("difference", "difference"),
    ("elapsed", "elapsed"),
    ("cumulativeSum", "cumulativeSum"),
    ("movingAverage", "movingAverage"),
];

/// Nodes of Kapacitor that are not supported, and what to do about it.
const UNSUPPORTED: [(&str, &str); 19] = [
    ("barrier", "windows close with the next point; use deadman() for points that do not come"),
    ("combine", "compare the values with eval() in one measurement"),
    ("ec2Autoscale", "no cloud is scaled here"),
    ("flatten", "compare the values with eval() in one measurement"),
    ("holtWinters", "no values are forecast here"),
    ("holtWintersWithFit", "no values are forecast here"),
    ("httpPost", "alert() with .post('https://…') sends what matters"),
    ("influxDBOut", "nothing is written to a database; alert() sends what matters"),
    ("influxqlJoin", "compare the values with eval() in one measurement"),
    ("join", "compare the values with eval() in one measurement, or use union()"),
    ("k8sAutoscale", "no cloud is scaled here"),
    ("kapacitorLoopback", "put the nodes below one another instead"),
    ("query", "batch tasks query a database; `stream|from()` takes points as they are written"),
    ("queryFlux", "Flux queries a database; `stream|from()` takes points as they are written"),
    ("shift", "points keep their times"),
    ("sideload", "use default() for values that are missing"),
    ("stats", "deadman() counts points"),
    ("swarmAutoscale", "no cloud is scaled here"),
    ("trickle", "points go on one by one unless there is a window()"),
];

/// What a deadman says if the script says nothing else; behind its id.
const DEADMAN_MESSAGE: &str = r#"{{ .ID }} is {{ if eq .Level "OK" }}alive{{ else }}dead{{ end }}: {{ index .Fields "emitted" | printf "%0.3f" }} points/"#;

impl Builder<'_> {
    /// Adds the node that a call asks for, or one in its place if something is wrong with it.
    pub(super) fn create(&mut self, parent: usize, arguments: &Arguments<'_>) -> usize {
        let (place, name) = (arguments.name.place, &*arguments.name.text);
        let Some((_, short)) = NODES.iter().find(|(long, _)| *long == name) else {
            return self.lost_node(parent, place, unknown(name));
        };
        if arguments.are_lost() {
            let index = self.add(short, place, vec![parent], Kind::NoOp);
            self.lost.insert(index);
            return index;
        }
        if name == "deadman" {
            return match self.deadman(parent, arguments) {
                Ok(index) => index,
                Err(fault) => self.lost_node(parent, fault.place, fault.what),
            };
        }
        let parents = match self.parents(parent, arguments) {
            Ok(parents) => parents,
            Err(fault) => return self.lost_node(parent, fault.place, fault.what),
        };
        match kind(name, arguments) {
            Ok(kind) => self.add(short, place, parents, kind),
            Err(fault) => self.lost_node(parent, fault.place, fault.what),
        }
    }

    /// Where a node's input comes from.
    fn parents(&self, parent: usize, arguments: &Arguments<'_>) -> Result<Vec<usize>, Fault> {
        let (place, name) = (arguments.name.place, &*arguments.name.text);
        let is_stream = matches!(self.nodes[parent].kind, Kind::Stream);
        let below_from = matches!(self.nodes[parent].kind, Kind::From(_));
        if name == "from" && !is_stream && !below_from && !self.lost.contains(&parent) {
            return Err(Fault::new(place, "`from` follows `stream`: stream|from()"));
        }
        if name != "from" && is_stream {
            let what = format!("`from` comes first: stream|from()|{name}()");
            return Err(Fault::new(place, what));
        }
        let mut parents = vec![parent];
        if name == "union" {
            arguments.first("union(other)")?;
            for other in &arguments.items {
                parents.push(other.node()?);
            }
        }
        Ok(parents)
    }

    /// Adds the two nodes of a deadman: one counts points, the other is an alert.
    fn deadman(&mut self, parent: usize, arguments: &Arguments<'_>) -> Result<usize, Fault> {
        let place = arguments.name.place;
        let (threshold, interval, conditions) = match arguments.items.as_slice() {
            [threshold, interval, conditions @ ..] => {
                (threshold.float()?, interval.positive_duration()?, conditions)
            }
            _ => return Err(arguments.count("a threshold and an interval", "deadman(0.0, 10s)")),
        };
        let at = |term| Expression { place, comments: Comments::default(), term };
        let joined = |operator, left, right| {
            let binary = Binary { operator, left, right, parens: true, lines: false };
            at(Term::Binary(Box::new(binary)))
        };
        let emitted = at(Term::Reference("emitted".into()));
        let threshold = Value::Float(threshold).expression(place);
        let mut dead = joined(Operator::LessEqual, emitted, threshold);
        for condition in conditions {
            dead = joined(Operator::And, dead, condition.expression()?.clone());
        }
        let when = Some(Lambda::predicate(&dead)?);
        let id =
            format!("{{{{ .Group }}}}:{} for task '{{{{ .TaskName }}}}'", self.nodes[parent].name);
        let message = format!("{DEADMAN_MESSAGE}{}.", duration(interval));
        let template = |text: &str| Template::parse(text).ok();
        let alert = Alert {
            crit: Rule { when, reset: None },
            id: template(&id),
            message: template(&message),
            ..Alert::default()
        };
        let counter = self.add("stats", place, vec![parent], Kind::Deadman(Deadman { interval }));
        // Kapacitor has a node between the two.
        self.number += 1;
        Ok(self.add("alert", place, vec![counter], Kind::Alert(Box::new(alert))))
    }

    /// Looks for what a node lacks, now that all properties are set.
    pub(super) fn complete(&mut self) {
        let whole = self.nodes.iter().enumerate().filter(|(at, _)| !self.spoilt.contains(at));
        for (_, node) in whole {
            let what = match &node.kind {
                Kind::Window(window) => incomplete_window(window),
                Kind::Eval(eval) if eval.results.iter().any(|(name, _)| name.is_empty()) => Some(
                    "the results have no names: there is one for each lambda in .as('name', …)",
                ),
                _ => None,
            };
            if let Some(what) = what {
                self.faults.add(node.place, what);
            }
        }
        if let Some(node) = Pipeline::too_deep(&self.nodes) {
            let what = format!("at most {DEPTH_MAX} nodes may lie below each other");
            self.faults.add(node.place, what);
        }
    }
}

fn incomplete_window(window: &Window) -> Option<&'static str> {
    match window {
        Window { period: 0, period_count: 0, .. } => {
            Some("a window needs .period(10s) or .periodCount(10)")
        }
        Window { period: 1.., period_count: 1.., .. } => {
            Some("a window has a .period() or a .periodCount(), not both")
        }
        Window { period_count: 1.., align: true, .. } => {
            Some(".align() is for windows with a .period(): points have no round numbers")
        }
        Window { period_count: 1.., every_count: 0, .. } => {
            Some("a window with .periodCount() needs .everyCount(), which is more than 0")
        }
        _ => None,
    }
}

/// What is said about a name that is no node.
fn unknown(name: &str) -> String {
    if let Some((_, instead)) = UNSUPPORTED.iter().find(|(long, _)| *long == name) {
        return format!("the node `{name}` is not supported: {instead}");
    }
    match owners(name).as_slice() {
        [] => {
            let nodes = NODES.iter().map(|(long, _)| *long);
            format!("there is no node `{name}`{}", meant(name, nodes))
        }
        [owner, ..] => {
            format!("`{name}` is a property of {owner}, not a node: write .{name}(…) with a point")
        }
    }
}

/// What a node is from the beginning.
fn kind(name: &str, arguments: &Arguments<'_>) -> Result<Kind, Fault> {
    if let Some(function) = function(name, arguments)? {
        let (field, _) = arguments.first("")?;
        let result = function.name().into();
        let field = if let Function::Top(..) | Function::Bottom(..) = function {
            arguments.items[1].name()?
        } else {
            field.name()?
        };
        let aggregate = Aggregate { function, field, name: result, point_times: false };
        return Ok(Kind::Aggregate(aggregate));
    }
    let without_arguments = |kind: Kind| arguments.none().map(|()| kind);
    match name {
        "from" => without_arguments(Kind::From(From::default())),
        "where" => Ok(Kind::Where(vec![arguments.one("where(lambda: \"f\" > 1)")?.predicate()?])),
        "groupBy" => group_by(arguments).map(Kind::GroupBy),
        "window" => without_arguments(Kind::Window(Window::default())),
        "eval" => eval(arguments),
        "default" => without_arguments(Kind::Default(Defaults::default())),
        "delete" => without_arguments(Kind::Delete(Delete::default())),
        "stateDuration" => {
            let condition = arguments.one("stateDuration(lambda: \"f\" > 1)")?.predicate()?;
            let name = "state_duration".into();
            Ok(Kind::StateDuration(StateDuration { condition, unit: SECOND, name }))
        }
        "stateCount" => {
            let condition = arguments.one("stateCount(lambda: \"f\" > 1)")?.predicate()?;
            Ok(Kind::StateCount(StateCount { condition, name: "state_count".into() }))
        }
        "changeDetect" => {
            arguments.first("changeDetect('field')")?;
            names(&arguments.items).map(Kind::ChangeDetect)
        }
        "sample" => sample(arguments),
        "derivative" => {
            let field = arguments.one("derivative('field')")?.name()?;
            let name = field.clone();
            Ok(Kind::Derivative(Derivative { field, unit: SECOND, non_negative: false, name }))
        }
        "log" => without_arguments(Kind::Log(Log::default())),
        "httpOut" => {
            let name = arguments.one("httpOut('name')")?.filled_text("the name")?;
            Ok(Kind::HttpOut(name.to_owned()))
        }
        "union" => Ok(Kind::Union),
        "alert" => without_arguments(Kind::Alert(Box::default())),
        _ => without_arguments(Kind::NoOp),
    }
}

/// The function of an aggregate, if it is one.
fn function(name: &str, arguments: &Arguments<'_>) -> Result<Option<Function>, Fault> {
    let of_field =
        |function: Function| arguments.one(&format!("{name}('field')")).map(|_| Some(function));
    match name {
        "count" => of_field(Function::Count),
        "distinct" => of_field(Function::Distinct),
        "mean" => of_field(Function::Mean),
        "median" => of_field(Function::Median),
        "mode" => of_field(Function::Mode),
        "spread" => of_field(Function::Spread),
        "sum" => of_field(Function::Sum),
        "first" => of_field(Function::First),
        "last" => of_field(Function::Last),
        "min" => of_field(Function::Min),
        "max" => of_field(Function::Max),
        "stddev" => of_field(Function::Stddev),
        "difference" => of_field(Function::Difference),
        "cumulativeSum" => of_field(Function::CumulativeSum),
        "percentile" => {
            let (_, percent) = arguments.two("percentile('field', 95.0)")?;
            let value = percent.float()?;
            if (0.0..=100.0).contains(&value) {
                return Ok(Some(Function::Percentile(value)));
            }
            Err(Fault::new(percent.place, "a percentile is from 0.0 to 100.0"))
        }
        "elapsed" => {
            let (_, unit) = arguments.two("elapsed('field', 1s)")?;
            Ok(Some(Function::Elapsed(unit.positive_duration()?)))
        }
        "movingAverage" => {
            let (_, count) = arguments.two("movingAverage('field', 10)")?;
            Ok(Some(Function::MovingAverage(count.count(WINDOW_POINTS_MAX)?)))
        }
        "top" | "bottom" => {
            let [count, _, rest @ ..] = arguments.items.as_slice() else {
                let shape = format!("{name}(3, 'field')");
                return Err(arguments.count("a number and a field", &shape));
            };
            let (count, kept) = (count.count(WINDOW_POINTS_MAX)?, names(rest)?);
            Ok(Some(match name {
                "top" => Function::Top(count, kept),
                _ => Function::Bottom(count, kept),
            }))
        }
        _ => Ok(None),
    }
}

fn eval(arguments: &Arguments<'_>) -> Result<Kind, Fault> {
    arguments.first("eval(lambda: \"f\" * 2.0).as('double')")?;
    let result = |argument: &Argument| Ok(("".into(), argument.lambda()?));
    let results: Result<_, Fault> = arguments.items.iter().map(result).collect();
    let eval = Eval { results: results?, tags: Vec::new(), keep: Keep::Results, quiet: false };
    Ok(Kind::Eval(eval))
}

fn sample(arguments: &Arguments<'_>) -> Result<Kind, Fault> {
    let every = arguments.one("sample(10) or sample(10s)")?;
    let is_duration = matches!(every.meaning, Meaning::Value(Value::Duration(_)));
    let sample = if is_duration {
        Sample::Duration(every.positive_duration()?)
    } else {
        Sample::Count(every.count(usize::MAX)? as u64)
    };
    Ok(Kind::Sample(sample))
}

/// Names of tags, or `*`.
pub(super) fn group_by(arguments: &Arguments<'_>) -> Result<GroupBy, Fault> {
    const SHAPE: &str = "groupBy('tag') or groupBy(*)";
    let (first, rest) = arguments.first(SHAPE)?;
    let stars = |argument: &Argument| match &argument.meaning {
        Meaning::Value(Value::Star) => true,
        Meaning::Value(Value::List(items)) => items.contains(&Value::Star),
        _ => false,
    };
    if !arguments.items.iter().any(stars) {
        return Ok(GroupBy { tags: names(&arguments.items)?, ..GroupBy::default() });
    }
    let alone = match &first.meaning {
        Meaning::Value(Value::List(items)) => items.len() == 1,
        _ => true,
    };
    if !alone || !rest.is_empty() {
        return Err(Fault::new(first.place, "`*` is all tags; there can be no names beside it"));
    }
    Ok(GroupBy { all: true, ..GroupBy::default() })
}
