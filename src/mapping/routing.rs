//! Which rules a message is for.

use super::json::Document;
use crate::config::{PayloadFilter, Routing, Rule};
use crate::topic;

/// The rules that a message on `topic` is for, in order of precedence.
pub fn route<'a>(
    rules: &'a [Rule],
    routing: Routing,
    topic: &str,
) -> impl Iterator<Item = &'a Rule> {
    let most = match routing {
        Routing::First => 1,
        Routing::Every => usize::MAX,
    };
    let is_for = move |rule: &&Rule| topic::matches(topic::unshared(&rule.filter), topic);
    rules.iter().filter(is_for).take(most)
}

/// Whether a payload passes a filter: `Err` says why it does not.
///
/// # Errors
///
/// In words, for the debug log.
pub fn pass(filter: Option<&PayloadFilter>, document: &Document<'_>) -> Result<(), String> {
    let Some(filter) = filter else { return Ok(()) };
    let Some(found) = document.member(&filter.key) else {
        return Err(format!("it has no member `{}`", filter.key));
    };
    match &filter.value {
        Some(wanted) if found.string().as_deref() != Some(wanted) => {
            Err(format!("its member `{}` is not the string `{wanted}`", filter.key))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Qos, Target};

    fn rule(filter: &str) -> Rule {
        Rule { filter: filter.to_owned(), qos: Qos::AtLeastOnce, to: Target::Heartbeat }
    }

    #[test]
    fn the_first_or_every_rule_that_matches() {
        let rules = [rule("ilert/heartbeats"), rule("#"), rule("ilert/+")];
        let filters = |routing| -> Vec<&str> {
            route(&rules, routing, "ilert/heartbeats").map(|rule| rule.filter.as_str()).collect()
        };
        assert_eq!(filters(Routing::First), ["ilert/heartbeats"]);
        assert_eq!(filters(Routing::Every), ["ilert/heartbeats", "#", "ilert/+"]);
    }

    #[test]
    fn a_filter_asks_for_a_member_and_maybe_its_value() {
        let document = Document::read(br#"{"state":"on","n":1,"none":null}"#).unwrap();
        for (key, value, passes) in [
            ("state", None, true),
            ("none", None, true),
            ("missing", None, false),
            ("state", Some("on"), true),
            ("state", Some("ON"), false),
            ("n", Some("1"), false),
        ] {
            let filter = PayloadFilter { key: key.to_owned(), value: value.map(str::to_owned) };
            assert_eq!(pass(Some(&filter), &document).is_ok(), passes, "{key} {value:?}");
        }
    }
}
