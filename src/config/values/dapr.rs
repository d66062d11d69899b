//! Values of Dapr's subscriptions, whether they stand in a file or come from the application.

use super::go;
use crate::config::model::{Bulk, Raw};
use crate::topic;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::time::Duration;

/// Most events that go together, and how long the first of them waits, unless it is said.
const BULK_MESSAGES: u32 = 100;
const BULK_MILLIS: u32 = 1_000;

/// What may not stand in the path of a request as it is, beside what is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'#');

/// A route as a path of the application: from the root, and without segments of dots.
#[must_use]
pub fn app_path(route: &str) -> String {
    let (path, query) = match route.find('?') {
        Some(at) => route.split_at(at),
        None => (route, ""),
    };
    let mut segments = Vec::new();
    let mut given = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = given.next() {
        let is_last = given.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            segment => segments.push(segment),
        }
    }
    let whole = format!("/{}{query}", segments.join("/"));
    utf8_percent_encode(&whole, ENCODED).to_string()
}

/// Checks the topic of a subscription: a filter, perhaps that of a shared one.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn subscription_filter(filter: &str) -> Result<(), String> {
    let Some(shared) = filter.strip_prefix("$share/") else { return topic::check_filter(filter) };
    match shared.split_once('/') {
        Some((group, filter)) if !group.is_empty() && !group.contains(['+', '#']) => {
            topic::check_filter(filter)
        }
        _ => Err(format!("`{filter}`: a shared subscription is `$share/GROUP/FILTER`")),
    }
}

/// How events go together: so many of them, after so many milliseconds. None, or zero, is as in
/// Dapr.
#[must_use]
pub fn bulk(most: Option<u32>, wait: Option<u32>) -> Bulk {
    let said = |value: Option<u32>, usual| value.filter(|it| *it > 0).unwrap_or(usual);
    Bulk {
        most: said(most, BULK_MESSAGES) as usize,
        wait: Duration::from_millis(said(wait, BULK_MILLIS).into()),
    }
}

/// Checks the dead-letter topic of a subscription.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn dead_letter_topic(topic: &str, filter: &str) -> Result<(), String> {
    topic::check_topic(topic)?;
    if topic::unshared(filter) == topic {
        return Err("a dead-letter topic cannot be the topic itself: nothing would end".to_owned());
    }
    Ok(())
}

/// What payloads are: a boolean, or `auto`.
///
/// # Errors
///
/// Says what is allowed.
pub fn raw(text: &str) -> Result<Raw, String> {
    match go::boolean(text) {
        Some(true) => Ok(Raw::Yes),
        Some(false) => Ok(Raw::No),
        None if text == "auto" => Ok(Raw::Auto),
        None => Err(format!("`{text}` is none of true, false and auto")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_path_from_the_root() {
        for (route, wanted) in [
            ("", "/"),
            ("/", "/"),
            ("orders", "/orders"),
            ("/orders/", "/orders/"),
            ("/a/./b/../c", "/a/c"),
            ("../../x", "/x"),
            ("/a/..", "/"),
            ("a/b/.", "/a/b/"),
            ("/a//b", "/a//b"),
            ("/a b/ü?c=../d e", "/a%20b/%C3%BC?c=../d%20e"),
            ("/a%20b#c", "/a%20b%23c"),
        ] {
            assert_eq!(app_path(route), wanted, "{route}");
        }
    }

    #[test]
    fn topics_of_subscriptions_may_be_shared() {
        for (filter, fits) in [
            ("a/+/#", true),
            ("$share/g/a/#", true),
            ("$SYS/#", true),
            ("$share/g", false),
            ("$share//a", false),
            ("$share/+/a", false),
            ("$share/g/", false),
            ("$share/g/a#", false),
            ("a/#/b", false),
            ("", false),
            ("a\0", false),
        ] {
            assert_eq!(subscription_filter(filter).is_ok(), fits, "{filter}");
        }
    }

    #[test]
    fn a_dead_letter_topic_is_another_topic() {
        for (topic, filter, fits) in [
            ("dead", "a", true),
            ("a/dead", "a/#", true),
            ("a", "a", false),
            ("a", "$share/g/a", false),
            ("dead/+", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(dead_letter_topic(topic, filter).is_ok(), fits, "{topic} {filter}");
        }
    }

    #[test]
    fn payloads_are_raw_or_not_or_it_shows() {
        for (text, wanted) in [
            ("true", Some(Raw::Yes)),
            ("T", Some(Raw::Yes)),
            ("0", Some(Raw::No)),
            ("auto", Some(Raw::Auto)),
            ("yes", None),
            ("", None),
        ] {
            assert_eq!(raw(text).ok(), wanted, "{text}");
        }
    }
}
