//! Topic filters (MQTT 3.1.1 and 5, section 4.7): which are valid, what they match, what they
//! cover, and the topics that are made of what they match. Pure; a filter allocates only for
//! faults.

mod template;

pub use template::{Pattern, TopicTemplate, capture};

use std::iter;

/// The longest filter or topic that fits in a packet, in bytes.
pub const BYTES_MAX: usize = 65_535;

/// Shared subscriptions begin with this. The session adds it; filters are written without it.
const SHARED: [&str; 3] = ["$share", "$queue", "$oshare"];

/// Some brokers strip these from a filter: messages arrive on topics without them, so no rule that
/// names one would match.
const TAKEN_OFF: [&str; 2] = ["$exclusive", "$local"];

/// Checks a topic filter as it is written in a configuration.
///
/// # Errors
///
/// Says what is wrong with it, in words that can follow the name of a flag.
pub fn check_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() {
        return Err("a topic filter may not be empty".to_owned());
    }
    if filter.len() > BYTES_MAX {
        return Err(format!("a topic filter has at most {BYTES_MAX} bytes, not {}", filter.len()));
    }
    if filter.contains('\0') {
        return Err("a topic filter may not contain the character NUL".to_owned());
    }
    let first = filter.split('/').next().unwrap_or_default();
    if SHARED.contains(&first) {
        return Err(format!(
            "`{filter}` names a shared subscription: give the topic filter alone, and the group \
             with --mqtt_shared_group (`shared-group` in a file)"
        ));
    }
    if TAKEN_OFF.contains(&first) {
        return Err(format!(
            "`{filter}`: messages come without `{first}/`, so they would match nothing; \
             give the topic filter alone (agents share messages with --mqtt_shared_group)"
        ));
    }
    check_wildcards(filter)
}

fn check_wildcards(filter: &str) -> Result<(), String> {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.peek().is_some()) {
            return Err(format!(
                "`{filter}` is not a topic filter: `#` stands alone and at the end, as in `a/#`"
            ));
        }
        if level.contains('+') && level != "+" {
            return Err(format!(
                "`{filter}` is not a topic filter: `+` stands alone between slashes, as in `a/+/b`"
            ));
        }
    }
    Ok(())
}

/// Checks a topic that somebody wants to publish to.
///
/// # Errors
///
/// Says what is wrong with it, in words that can follow the name of a flag.
pub fn check_topic(topic: &str) -> Result<(), String> {
    if topic.is_empty() {
        return Err("a topic may not be empty".to_owned());
    }
    if topic.len() > BYTES_MAX {
        return Err(format!("a topic has at most {BYTES_MAX} bytes, not {}", topic.len()));
    }
    match topic.chars().find(|letter| matches!(letter, '+' | '#' | '\0')) {
        Some('\0') => Err("a topic may not contain the character NUL".to_owned()),
        Some(wildcard) => Err(format!("a topic may not contain the wildcard `{wildcard}`")),
        None => Ok(()),
    }
}

/// The filter in a shared subscription as it is sent, `$share/GROUP/FILTER`; others as they are.
#[must_use]
pub fn unshared(filter: &str) -> &str {
    let rest = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    rest.map_or(filter, |(_, filter)| filter)
}

/// Whether `filter` matches `topic`.
///
/// `a/#` matches `a` too. A filter that begins with a wildcard matches no topic that begins with
/// `$`, because those belong to the broker.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && begins_with_wildcard(filter) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic.next() {
            Some(found) if level == "+" || level == found => (),
            Some(_) | None => return false,
        }
    }
    topic.next().is_none()
}

/// Whether `wide` matches every topic that `narrow` matches.
#[must_use]
pub fn covers(wide: &str, narrow: &str) -> bool {
    if narrow.starts_with('$') && begins_with_wildcard(wide) {
        return false;
    }
    if narrow == "#" {
        // Every topic has a first level, so `+/#` means the same.
        return wide == "#" || wide == "+/#";
    }
    let mut narrow = narrow.split('/');
    for level in wide.split('/') {
        if level == "#" {
            return true;
        }
        match narrow.next() {
            Some("#") | None => return false,
            Some(found) if level == "+" || level == found => (),
            Some(_) => return false,
        }
    }
    narrow.next().is_none()
}

/// The filter for all topics that match both filters, if there are any.
#[must_use]
pub fn meet(one: &str, other: &str) -> Option<String> {
    if !overlap(one, other) {
        return None;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    let mut levels = Vec::new();
    loop {
        match (one.next(), other.next()) {
            (Some("#"), Some(level)) => {
                levels.push(level);
                levels.extend(other);
                break;
            }
            (Some(level), Some("#")) => {
                levels.push(level);
                levels.extend(one);
                break;
            }
            (Some("+"), Some(level)) | (Some(level), Some(_)) => levels.push(level),
            // They overlap, so what is left of the longer one is a `#` that matches nothing.
            (Some(_) | None, None) | (None, Some(_)) => break,
        }
    }
    Some(levels.join("/"))
}

/// Whether some topic matches both filters.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    let reserved = |a: &str, b: &str| a.starts_with('$') && begins_with_wildcard(b);
    if reserved(one, other) || reserved(other, one) {
        return false;
    }
    let padded = |filter| str::split(filter, '/').map(Some).chain(iter::repeat(None));
    for levels in padded(one).zip(padded(other)) {
        match levels {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "+" || b == "+" => (),
            (Some(_), _) | (None, Some(_)) => return false,
        }
    }
    true
}

/// The narrowest filter that covers two filters which overlap.
#[must_use]
pub fn join(one: &str, other: &str) -> String {
    let mut joined = Vec::new();
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (ones.next(), others.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if a == b => joined.push(a),
            (Some("#") | None, _) | (_, Some("#") | None) => {
                joined.push("#");
                break;
            }
            (Some(_), Some(_)) => joined.push("+"),
        }
    }
    joined.join("/")
}

fn begins_with_wildcard(filter: &str) -> bool {
    filter.starts_with(['#', '+'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn only_filters_of_section_4_7_are_valid() {
        let longest = "x".repeat(BYTES_MAX);
        for good in ["#", "+", "/", "a", "a/#", "/#", "+/+", "a//b", "$SYS/#", "a b/ü", &longest] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        let too_long = "x".repeat(BYTES_MAX + 1);
        for (bad, words) in [
            ("", "empty"),
            ("a/#/b", "`#` stands alone"),
            ("a#", "`#` stands alone"),
            ("##", "`#` stands alone"),
            ("a/b+", "`+` stands alone"),
            ("++", "`+` stands alone"),
            ("a\0b", "NUL"),
            ("$share/group/a", "--mqtt_shared_group"),
            ("$share", "--mqtt_shared_group"),
            ("$queue/a", "--mqtt_shared_group"),
            ("$exclusive/a", "messages come without `$exclusive/`"),
            (&too_long, "at most 65535 bytes"),
        ] {
            let fault = check_filter(bad).expect_err(bad);
            assert!(fault.contains(words), "{fault}");
        }
    }

    #[test]
    fn a_shared_subscription_has_a_filter() {
        for (filter, wanted) in
            [("$share/g/a/#", "a/#"), ("$share/g//a", "/a"), ("$share/g", "$share/g"), ("a", "a")]
        {
            assert_eq!(unshared(filter), wanted);
        }
    }

    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic, wanted) in [
            ("#", "a/b", true),
            ("#", "/", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/+", "$SYS/x", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("+", "a", true),
            ("+", "/a", false),
            ("+/+", "/a", true),
            ("/+", "/a", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
            ("a/b", "a/b", true),
            ("a/b", "A/b", false),
            ("a/b", "a/b/c", false),
            ("+/b/#", "a/b", true),
            ("$x", "$x", true),
        ] {
            assert_eq!(matches(filter, topic), wanted, "{filter} on {topic}");
        }
    }

    #[test]
    fn covering_is_a_question_of_every_topic() {
        for (wide, narrow, wanted) in [
            ("#", "a/b", true),
            ("#", "#", true),
            ("#", "+/#", true),
            ("+/#", "#", true),
            ("a/+/#", "a/#", false),
            ("a/#", "a", true),
            ("a/#", "a/#", true),
            ("a/#", "a/+/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/#", false),
            ("a/+", "a/+", true),
            ("a/b", "a/+", false),
            ("#", "$SYS/#", false),
            ("$SYS/#", "$SYS/x", true),
            ("+/x", "$SYS/x", false),
            ("a", "a/b", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(covers(wide, narrow), wanted, "{wide} over {narrow}");
        }
    }

    #[test]
    fn filters_overlap_when_one_topic_matches_both() {
        for (one, other, wanted) in [
            ("a/+/c", "a/b/+", true),
            ("a/+/c", "a/b/d", false),
            ("a/#", "+", true),
            ("a/#", "b", false),
            ("a/b/#", "a", false),
            ("#", "$SYS/#", false),
            ("a/b", "a/b", true),
        ] {
            assert_eq!(overlap(one, other), wanted, "{one} and {other}");
            assert_eq!(overlap(other, one), wanted, "{other} and {one}");
        }
    }

    #[test]
    fn a_join_is_as_narrow_as_it_can_be() {
        for (one, other, wanted) in [
            ("a/+", "+/b", "+/+"),
            ("a/+/c", "a/b/+", "a/+/+"),
            ("a/b/#", "a/+/c", "a/+/#"),
            ("a/#", "+/b", "+/#"),
            ("a/#", "a", "a/#"),
            ("#", "a/b", "#"),
            ("$SYS/+/x", "$SYS/y/+", "$SYS/+/+"),
        ] {
            assert_eq!(join(one, other), wanted, "{one} and {other}");
            assert_eq!(join(other, one), wanted, "{other} and {one}");
        }
    }

    #[test]
    fn filters_meet_in_what_both_match() {
        for (one, other, wanted) in [
            ("a/+/c", "a/b/+", Some("a/b/c")),
            ("a/#", "+", Some("a")),
            ("a/#", "+/b/#", Some("a/b/#")),
            ("#", "+/#", Some("+/#")),
            ("a/+/#", "a/#", Some("a/+/#")),
            ("a/#", "a", Some("a")),
            ("+/#", "a", Some("a")),
            ("a/#", "b", None),
        ] {
            assert_eq!(meet(one, other).as_deref(), wanted, "{one} and {other}");
            assert_eq!(meet(other, one).as_deref(), wanted, "{other} and {one}");
        }
    }

    fn levels(of: &'static [&'static str]) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(of), 1..4)
            .prop_map(|levels| levels.join("/"))
    }

    fn filter() -> impl Strategy<Value = String> {
        levels(&["a", "b", "+", "#", "", "$s"])
            .prop_filter("valid", |filter| check_filter(filter).is_ok())
    }

    proptest! {
        #[test]
        fn what_a_covered_filter_matches_the_wider_one_matches(
            wide in filter(), narrow in filter(), topic in levels(&["a", "b", "c", "", "$s"])
        ) {
            if matches(&narrow, &topic) {
                prop_assert!(!covers(&wide, &narrow) || matches(&wide, &topic));
                prop_assert!(!matches(&wide, &topic) || overlap(&wide, &narrow));
            }
            let both = meet(&wide, &narrow).is_some_and(|both| matches(&both, &topic));
            prop_assert_eq!(both, matches(&wide, &topic) && matches(&narrow, &topic));
            if overlap(&wide, &narrow) {
                let joined = join(&wide, &narrow);
                prop_assert!(check_filter(&joined).is_ok());
                prop_assert!(covers(&joined, &wide) && covers(&joined, &narrow), "{joined}");
            }
        }

        #[test]
        fn no_text_makes_them_panic(one in ".*", other in ".*") {
            let _ = (check_filter(&one), matches(&one, &other), covers(&one, &other));
            let _ = overlap(&one, &other);
        }
    }
}
