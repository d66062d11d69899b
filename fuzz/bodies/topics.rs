//! Topic filters of a configuration, against topics.

use super::{Input, are_words};
use ilagent::topic::{check_filter, covers, matches, overlap};

/// Levels for which a matcher that tries everything is fast enough.
const LEVELS_MAX: usize = 24;

/// Two filters and a topic, a line each: the three questions about them agree with each other and
/// with the definition.
pub fn filters(data: &[u8]) {
    let mut input = Input(data);
    let [one, other, topic] = [input.line(), input.line(), input.line()].map(std::str::from_utf8);
    let (Ok(one), Ok(other), Ok(topic)) = (one, other, topic) else { return };
    for filter in [one, other] {
        if let Err(why) = check_filter(filter) {
            return are_words(&why.replace(filter, "…"));
        }
        assert!(covers(filter, filter) && overlap(filter, filter), "{filter:?} and itself");
    }
    assert_eq!(overlap(one, other), overlap(other, one), "{one:?} and {other:?}");
    if covers(one, other) {
        assert!(overlap(one, other), "{one:?} covers {other:?}");
    }
    // A topic has no wildcards and is not empty.
    if topic.is_empty() || topic.contains(['#', '+']) {
        return;
    }
    let found = [one, other].map(|filter| matches(filter, topic));
    if [one, other, topic].iter().all(|text| text.split('/').count() <= LEVELS_MAX) {
        assert_eq!(found, [one, other].map(|filter| defined(filter, topic)), "{topic:?}");
    }
    if found == [true, true] {
        assert!(overlap(one, other), "{topic:?} matches {one:?} and {other:?}");
    }
    if covers(one, other) && found[1] {
        assert!(found[0], "{one:?} covers {other:?}, which matches {topic:?}");
    }
}

/// Section 4.7, word by word.
fn defined(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            ([], []) => true,
            ([wanted, filter @ ..], [found, topic @ ..]) => {
                (*wanted == "+" || wanted == found) && levels(filter, topic)
            }
            _ => false,
        }
    }
    let split = |text| str::split(text, '/').collect::<Vec<_>>();
    let reserved = topic.starts_with('$') && filter.starts_with(['+', '#']);
    !reserved && levels(&split(filter), &split(topic))
}
