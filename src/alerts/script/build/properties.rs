//! Properties of nodes, but for those of alerts.

use super::arguments::{Argument, Arguments, Meaning, names};
use super::nodes::{NODES, group_by};
use super::{Builder, alert, handlers, meant};
use crate::alerts::pipeline::{
    Defaults, Delete, Derivative, Eval, From, Keep, Kind, Log, LogLevel, WINDOW_POINTS_MAX, Window,
};
use crate::alerts::point::{Field, Name};
use crate::alerts::script::fault::Fault;
use crate::alerts::script::value::Value;

/// The properties of each node, by its name in scripts.
const PROPERTIES: [(&str, &[&str]); 13] = [
    (
        "from",
        &[
            "database",
            "retentionPolicy",
            "measurement",
            "where",
            "groupBy",
            "groupByMeasurement",
            "truncate",
            "round",
        ],
    ),
    ("groupBy", &["exclude", "byMeasurement"]),
    ("window", &["period", "every", "align", "fillPeriod", "periodCount", "everyCount"]),
    ("eval", &["as", "keep", "tags", "quiet"]),
    ("default", &["field", "tag"]),
    ("delete", &["field", "tag"]),
    ("stateDuration", &["as", "unit"]),
    ("stateCount", &["as"]),
    ("derivative", &["unit", "nonNegative", "as"]),
    ("log", &["level", "prefix"]),
    ("alert", &alert::PROPERTIES),
    ("mean", &["as", "usePointTimes"]),
    ("noOp", &[]),
];

/// The nodes that have a property of this name.
pub(super) fn owners(name: &str) -> Vec<String> {
    let nodes = PROPERTIES.iter().filter(|(_, names)| names.contains(&name));
    let nodes = nodes.map(|(node, _)| format!("`{node}`"));
    nodes.chain(handlers::owners(name).map(|kind| format!("the handler `{kind}`"))).collect()
}

impl Builder<'_> {
    /// Sets a property of a node.
    pub(super) fn set(&mut self, at: usize, arguments: &Arguments<'_>) -> Result<(), Fault> {
        let name = &*arguments.name.text;
        let is_set = match &mut self.nodes[at].kind {
            Kind::From(from) => set_from(from, name, arguments)?,
            Kind::Window(window) => set_window(window, name, arguments)?,
            Kind::Eval(eval) => set_eval(eval, name, arguments)?,
            Kind::Default(defaults) => set_default(defaults, name, arguments)?,
            Kind::Delete(delete) => set_delete(delete, name, arguments)?,
            Kind::Derivative(derivative) => set_derivative(derivative, name, arguments)?,
            Kind::Log(log) => set_log(log, name, arguments)?,
            Kind::Alert(alert) => alert::set(alert, name, arguments)?,
            Kind::GroupBy(group_by) => match name {
                "exclude" => {
                    arguments.first("exclude('tag')")?;
                    is(&mut group_by.exclude, names(&arguments.items)?)
                }
                "byMeasurement" => flag(&mut group_by.by_measurement, arguments)?,
                _ => false,
            },
            Kind::Aggregate(aggregate) => match name {
                "as" => is(&mut aggregate.name, field_name(arguments)?),
                "usePointTimes" => flag(&mut aggregate.point_times, arguments)?,
                _ => false,
            },
            Kind::StateDuration(state) => match name {
                "as" => is(&mut state.name, field_name(arguments)?),
                "unit" => is(&mut state.unit, arguments.one("unit(1s)")?.positive_duration()?),
                _ => false,
            },
            Kind::StateCount(state) => match name {
                "as" => is(&mut state.name, field_name(arguments)?),
                _ => false,
            },
            _ => false,
        };
        if is_set {
            return Ok(());
        }
        // What follows an unknown handler may be its own.
        if handlers::unsupported(name).is_some() {
            self.strange.insert(at);
        } else if self.strange.contains(&at) {
            return Ok(());
        }
        Err(self.unknown_property(at, arguments))
    }

    fn unknown_property(&self, at: usize, arguments: &Arguments<'_>) -> Fault {
        let name = &*arguments.name.text;
        let short = self.nodes[at].name.trim_end_matches(|c: char| c.is_ascii_digit());
        let node = NODES.iter().find(|(_, other)| *other == short).map_or(short, |(long, _)| long);
        let what = if let Some(what) = handlers::unsupported(name) {
            what
        } else if NODES.iter().any(|(long, _)| *long == name) {
            format!("`{name}` is a node, not a property of `{node}`: write |{name}(…) with a bar")
        } else {
            // The aggregates share theirs.
            let known = PROPERTIES.iter().find(|(name, _)| *name == node);
            let known = known.or_else(|| match self.nodes[at].kind {
                Kind::Aggregate(_) => PROPERTIES.iter().find(|(name, _)| *name == "mean"),
                _ => None,
            });
            let known = known.map_or(&[][..], |(_, names)| names);
            let mut hint = meant(name, known.iter().copied());
            if hint.is_empty()
                && let [owner, ..] = owners(name).as_slice()
            {
                hint = format!("; it is one of {owner}");
            }
            format!("`{node}` has no property `{name}`{hint}")
        };
        Fault::new(arguments.name.place, what)
    }
}

/// Sets something, which is then said to be so.
pub(super) fn is<T>(place: &mut T, value: T) -> bool {
    *place = value;
    true
}

/// Sets what takes no argument.
pub(super) fn flag(place: &mut bool, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    arguments.none()?;
    Ok(is(place, true))
}

fn field_name(arguments: &Arguments<'_>) -> Result<Name, Fault> {
    arguments.one("as('name')")?.filled_text("the name").map(Name::from)
}

/// Empty means any.
fn some(argument: &Argument) -> Result<Option<Name>, Fault> {
    let name = argument.name()?;
    Ok((!name.is_empty()).then_some(name))
}

fn set_from(from: &mut From, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    Ok(match name {
        "database" => is(&mut from.database, some(arguments.one("database('name')")?)?),
        "retentionPolicy" => {
            let name = arguments.one("retentionPolicy('name')")?;
            is(&mut from.retention_policy, some(name)?)
        }
        "measurement" => is(&mut from.measurement, some(arguments.one("measurement('name')")?)?),
        "where" => {
            from.filters.push(arguments.one("where(lambda: \"f\" > 1)")?.predicate()?);
            true
        }
        "groupBy" => {
            let by_measurement = from.group_by.by_measurement;
            from.group_by = group_by(arguments)?;
            is(&mut from.group_by.by_measurement, by_measurement)
        }
        "groupByMeasurement" => flag(&mut from.group_by.by_measurement, arguments)?,
        "truncate" => is(&mut from.truncate, arguments.one("truncate(1s)")?.duration()?),
        "round" => is(&mut from.round, arguments.one("round(1s)")?.duration()?),
        _ => false,
    })
}

fn set_window(window: &mut Window, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    Ok(match name {
        "period" => is(&mut window.period, arguments.one("period(10s)")?.positive_duration()?),
        "every" => is(&mut window.every, arguments.one("every(10s)")?.duration()?),
        "align" => flag(&mut window.align, arguments)?,
        "fillPeriod" => flag(&mut window.fill_period, arguments)?,
        "periodCount" => {
            let count = arguments.one("periodCount(10)")?.count(WINDOW_POINTS_MAX)?;
            is(&mut window.period_count, count)
        }
        "everyCount" => {
            let count = arguments.one("everyCount(10)")?.count(WINDOW_POINTS_MAX)?;
            is(&mut window.every_count, count)
        }
        _ => false,
    })
}

fn set_eval(eval: &mut Eval, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    Ok(match name {
        "as" => {
            let given = names(&arguments.items)?;
            let wanted = eval.results.len();
            if given.len() != wanted {
                let what =
                    format!("`as` takes a name for each lambda: {wanted}, not {}", given.len());
                return Err(Fault::new(arguments.name.place, what));
            }
            for (result, name) in eval.results.iter_mut().zip(given) {
                result.0 = name;
            }
            true
        }
        "keep" if arguments.items.is_empty() => is(&mut eval.keep, Keep::All),
        "keep" => is(&mut eval.keep, Keep::Only(names(&arguments.items)?)),
        "tags" => {
            arguments.first("tags('name')")?;
            is(&mut eval.tags, names(&arguments.items)?)
        }
        "quiet" => flag(&mut eval.quiet, arguments)?,
        _ => false,
    })
}

fn set_default(
    defaults: &mut Defaults,
    name: &str,
    arguments: &Arguments<'_>,
) -> Result<bool, Fault> {
    match name {
        "field" => {
            let (name, value) = arguments.two("field('name', 0.0)")?;
            let field = match &value.meaning {
                Meaning::Value(Value::Int(value)) => Field::Int(*value),
                Meaning::Value(Value::Float(value)) => Field::Float(*value),
                Meaning::Value(Value::Bool(value)) => Field::Bool(*value),
                Meaning::Value(Value::Text(value)) => Field::Text((**value).into()),
                _ => return Err(value.wrong("an int, float, bool or string")),
            };
            defaults.fields.push((name.name()?, field));
        }
        "tag" => {
            let (name, value) = arguments.two("tag('name', 'value')")?;
            defaults.tags.push((name.name()?, value.name()?));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn set_delete(delete: &mut Delete, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    match name {
        "field" => delete.fields.push(arguments.one("field('name')")?.name()?),
        "tag" => delete.tags.push(arguments.one("tag('name')")?.name()?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn set_derivative(
    derivative: &mut Derivative,
    name: &str,
    arguments: &Arguments<'_>,
) -> Result<bool, Fault> {
    Ok(match name {
        "as" => is(&mut derivative.name, field_name(arguments)?),
        "unit" => is(&mut derivative.unit, arguments.one("unit(1s)")?.positive_duration()?),
        "nonNegative" => flag(&mut derivative.non_negative, arguments)?,
        _ => false,
    })
}

fn set_log(log: &mut Log, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    Ok(match name {
        "level" => {
            let level = arguments.one("level('INFO')")?;
            let known = match &*level.text()?.to_uppercase() {
                "DEBUG" => LogLevel::Debug,
                "INFO" => LogLevel::Info,
                "WARN" => LogLevel::Warn,
                "ERROR" => LogLevel::Error,
                _ => return Err(Fault::new(level.place, "levels are DEBUG, INFO, WARN and ERROR")),
            };
            is(&mut log.level, known)
        }
        "prefix" => is(&mut log.prefix, arguments.one("prefix('words')")?.text()?.to_owned()),
        _ => false,
    })
}
