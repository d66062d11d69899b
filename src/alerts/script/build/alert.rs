//! Properties of alerts. What an alert's latest handler knows is the handler's, as in Kapacitor.

use super::arguments::{Argument, Arguments, names};
use super::handlers;
use super::properties::{flag, is};
use crate::alerts::pipeline::{Alert, HISTORY_MAX, Inhibit};
use crate::alerts::point::Name;
use crate::alerts::script::fault::Fault;
use crate::alerts::template::Template;

/// All of them, but for the handlers.
pub(super) const PROPERTIES: [&str; 23] = [
    "info",
    "warn",
    "crit",
    "infoReset",
    "warnReset",
    "critReset",
    "id",
    "message",
    "details",
    "topic",
    "category",
    "inhibit",
    "stateChangesOnly",
    "noRecoveries",
    "all",
    "flapping",
    "history",
    "levelTag",
    "levelField",
    "idTag",
    "idField",
    "messageField",
    "durationField",
];

/// Sets a property of an alert or of its latest handler, or adds a handler.
pub(super) fn set(alert: &mut Alert, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    Ok(handlers::set(alert, name, arguments)?
        || set_level(alert, name, arguments)?
        || set_words(alert, name, arguments)?
        || set_state(alert, name, arguments)?
        || set_names(alert, name, arguments)?)
}

fn set_level(alert: &mut Alert, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    let place = match name {
        "info" => &mut alert.info.when,
        "warn" => &mut alert.warn.when,
        "crit" => &mut alert.crit.when,
        "infoReset" => &mut alert.info.reset,
        "warnReset" => &mut alert.warn.reset,
        "critReset" => &mut alert.crit.reset,
        _ => return Ok(false),
    };
    let shape = format!("{name}(lambda: \"f\" > 1)");
    Ok(is(place, Some(arguments.one(&shape)?.predicate()?)))
}

fn set_words(alert: &mut Alert, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    Ok(match name {
        "id" => is(&mut alert.id, Some(template(arguments.one("id('{{ .Name }}')")?)?)),
        "message" => {
            is(&mut alert.message, Some(template(arguments.one("message('{{ .ID }}')")?)?))
        }
        "details" => {
            is(&mut alert.details, Some(template(arguments.one("details('{{ json . }}')")?)?))
        }
        "topic" => {
            let topic = arguments.one("topic('name')")?;
            is(&mut alert.topic, Some(topic_name(topic)?))
        }
        "category" => {
            let category = arguments.one("category('name')")?.filled_text("the category")?;
            is(&mut alert.category, Some(category.to_owned()))
        }
        "inhibit" => {
            let (category, tags) = arguments.first("inhibit('category', 'tag')")?;
            let category = category.filled_text("the category")?.to_owned();
            alert.inhibits.push(Inhibit { category, tags: names(tags)? });
            true
        }
        _ => false,
    })
}

fn set_state(alert: &mut Alert, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    Ok(match name {
        "stateChangesOnly" => {
            let after = match arguments.items.as_slice() {
                [] => 0,
                _ => arguments.one("stateChangesOnly(10m)")?.duration()?,
            };
            is(&mut alert.state_changes_only, Some(after))
        }
        "noRecoveries" => flag(&mut alert.no_recoveries, arguments)?,
        "all" => flag(&mut alert.all, arguments)?,
        "flapping" => {
            let (low, high) = arguments.two("flapping(0.25, 0.5)")?;
            is(&mut alert.flapping, Some((share(low)?, share(high)?)))
        }
        "history" => {
            let count = arguments.one("history(21)")?;
            // Kapacitor takes 2 for anything less.
            is(&mut alert.history, count.count(HISTORY_MAX)?.max(2))
        }
        _ => false,
    })
}

fn set_names(alert: &mut Alert, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    let place = match name {
        "levelTag" => &mut alert.level_tag,
        "levelField" => &mut alert.level_field,
        "idTag" => &mut alert.id_tag,
        "idField" => &mut alert.id_field,
        "messageField" => &mut alert.message_field,
        "durationField" => &mut alert.duration_field,
        _ => return Ok(false),
    };
    let given = arguments.one(&format!("{name}('name')"))?.filled_text("the name")?;
    Ok(is(place, Some(Name::from(given))))
}

/// A number from 0 to 1.
fn share(argument: &Argument) -> Result<f64, Fault> {
    let share = argument.float()?;
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    Err(Fault::new(argument.place, format!("a number from 0.0 to 1.0 is needed, not {share}")))
}

/// A topic's name: handler files can name no other.
fn topic_name(argument: &Argument) -> Result<String, Fault> {
    let name = argument.filled_text("the topic")?;
    let is_plain = |c: char| c.is_alphabetic() || c.is_ascii_digit() || "-._:".contains(c);
    if name.chars().all(is_plain) {
        return Ok(name.to_owned());
    }
    let what = format!("the topic `{name}` may only have letters, digits, `-`, `.`, `_` and `:`");
    Err(Fault::new(argument.place, what))
}

pub(super) fn template(argument: &Argument) -> Result<Template, Fault> {
    let text = argument.text()?;
    Template::parse(text).map_err(|fault| Fault::new(argument.place, fault.to_string()))
}
