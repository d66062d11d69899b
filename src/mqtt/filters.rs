//! Which filters to subscribe to, so that no message comes twice.
//!
//! A broker may send one copy of a message for every subscription that matches it. A filter that
//! another one covers is therefore never subscribed to. Filters such as `a/+` and `+/b` overlap,
//! and neither covers the other. With MQTT 5 each is subscribed to under a number that comes back
//! in every copy. MQTT 3.1.1 has no such number, and a copy looks like a second message that says
//! the same, so there a filter that covers both is subscribed to.
//!
//! A rule may pass on whether a message is to be retained. With MQTT 5 live messages keep that flag
//! if the subscription asks for it, and then the flag no longer tells a retained copy from a live
//! message. A number does: such a subscription has one of its own.

use crate::config::{Qos, Rule, Target};
use crate::topic;
use log::Level;
use std::hash::{DefaultHasher, Hasher};

/// A filter with the QoS to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub filter: String,
    pub qos: Qos,
}

/// How filters that overlap are subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As they are: none overlap, or nothing can be done about it.
    Plain,
    /// As they are, each under a number that every copy of a message brings with it.
    Numbered,
    /// Filters that overlap are replaced by one that covers them.
    Joined,
}

/// What the rules need, and the way to it.
#[derive(Debug)]
pub(super) struct Wishes {
    /// No filter covers another.
    wanted: Vec<Wanted>,
    group: Option<String>,
    /// Two of `wanted` match the same topic, so a broker may send a copy for each.
    overlap: bool,
    /// Filters of the rules that pass on whether a message is to be retained.
    passing: Vec<String>,
    pub way: Way,
    /// The broker does not allow the filters of [`Way::Joined`].
    forbids_joined: bool,
    /// What was said about the way, so that it is not said again.
    said: Option<Way>,
}

impl Wishes {
    /// What the rules need, shared with a group if one is given.
    ///
    /// # Errors
    ///
    /// Says in words which filter is not valid.
    pub(super) fn new(rules: &[Rule], group: Option<&str>) -> Result<Self, String> {
        for rule in rules {
            topic::check_filter(topic::unshared(&rule.filter))?;
        }
        let wanted = covering(rules);
        let wishes = Wishes {
            overlap: overlap(&wanted).is_some(),
            passing: rules.iter().filter(|rule| passes_retain(rule)).map(filter_of).collect(),
            wanted,
            group: group.map(str::to_owned),
            way: Way::Plain,
            forbids_joined: false,
            said: None,
        };
        let is_too_long = |wanted: &Wanted| wishes.sent(&wanted.filter).len() > topic::BYTES_MAX;
        if wishes.wanted.iter().any(is_too_long) {
            return Err(format!("the shared subscription of group {group:?} is too long"));
        }
        Ok(wishes)
    }

    /// A filter as it is sent.
    pub(super) fn sent(&self, filter: &str) -> String {
        match &self.group {
            Some(group) if !is_shared(filter) => format!("$share/{group}/{filter}"),
            Some(_) | None => filter.to_owned(),
        }
    }

    /// How to subscribe on a connection whose broker returns the number of a subscription or not.
    pub(super) fn best_way(&self, is_numbered: bool) -> Way {
        match self.group {
            // Copies go to different members, and no member knows what the others get.
            Some(_) => Way::Plain,
            None if !self.overlap => Way::Plain,
            None if is_numbered => Way::Numbered,
            None if self.forbids_joined => Way::Plain,
            None => Way::Joined,
        }
    }

    /// Takes a way; returns the filters to subscribe to.
    pub(super) fn along(&mut self, way: Way) -> Vec<Wanted> {
        self.way = way;
        match way {
            Way::Joined => disjoint(&self.wanted),
            Way::Plain | Way::Numbered => self.wanted.clone(),
        }
    }

    /// The broker does not allow a filter of this way.
    pub(super) fn refused(&mut self) {
        self.forbids_joined |= self.way == Way::Joined;
    }

    /// Whether another way has to be taken.
    pub(super) fn are_forbidden(&self) -> bool {
        self.forbids_joined && self.way == Way::Joined
    }

    /// Whether a rule wants messages of this topic. A filter that covers others brings more.
    pub(super) fn want(&self, topic: &str) -> bool {
        let is_wanted = |w: &Wanted| topic::matches(topic::unshared(&w.filter), topic);
        self.way != Way::Joined || self.wanted.iter().any(is_wanted)
    }

    /// Whether the retain flag of live messages is wanted. It is for all filters that may bring a
    /// message of such a rule, because only the first copy of a message is looked at.
    pub(super) fn want_retain(&self, filter: &str) -> bool {
        self.passing.iter().any(|passing| topic::overlap(passing, filter))
    }

    /// What is to be said about filters that overlap, if it was not said before.
    pub(super) fn news(&mut self) -> Option<(Level, String)> {
        if !self.overlap || self.said == Some(self.way) {
            return None;
        }
        self.said = Some(self.way);
        let (one, other) = overlap(&self.wanted)?;
        let (one, other) = (&self.wanted[one].filter, &self.wanted[other].filter);
        let (level, words) = match self.way {
            Way::Numbered => return None,
            Way::Joined => (
                Level::Info,
                format!(
                    "subscribing to '{}' instead of '{one}' and '{other}', so that no message \
                     comes twice; with `version = 5` most brokers need no wider filter",
                    disjoint(&self.wanted).iter().find(|w| topic::covers(&w.filter, one))?.filter
                ),
            ),
            Way::Plain => (
                Level::Warn,
                format!(
                    "a message can match both '{one}' and '{other}'; a broker that sends a copy \
                     for each makes two messages of it"
                ),
            ),
        };
        Some((level, words))
    }
}

fn passes_retain(rule: &Rule) -> bool {
    matches!(&rule.to, Target::Publish(to) if to.retain.is_none())
}

fn filter_of(rule: &Rule) -> String {
    rule.filter.clone()
}

/// The filters that cover those of all rules, each with the highest QoS of what it covers.
fn covering(rules: &[Rule]) -> Vec<Wanted> {
    let mut kept = Vec::new();
    for rule in rules {
        add(&mut kept, Wanted { filter: rule.filter.clone(), qos: rule.qos });
    }
    kept
}

/// Filters that cover the given ones, of which no two match the same topic.
fn disjoint(wanted: &[Wanted]) -> Vec<Wanted> {
    let mut kept = wanted.to_vec();
    while let Some((one, other)) = overlap(&kept) {
        let other = kept.remove(other);
        let one = kept.remove(one);
        let filter = topic::join(&one.filter, &other.filter);
        add(&mut kept, Wanted { filter, qos: one.qos.max(other.qos) });
    }
    kept
}

/// Whether a filter brings its group with it. The other members of the group have nothing to do with
/// what else is subscribed to here, so such a filter stands for itself.
fn is_shared(filter: &str) -> bool {
    topic::unshared(filter).len() < filter.len()
}

/// Whether one filter makes another unnecessary.
fn covers(wide: &str, narrow: &str) -> bool {
    wide == narrow || !is_shared(wide) && !is_shared(narrow) && topic::covers(wide, narrow)
}

/// Adds a filter unless another covers it, and removes those that it covers.
fn add(kept: &mut Vec<Wanted>, mut new: Wanted) {
    if let Some(wide) = kept.iter_mut().find(|wide| covers(&wide.filter, &new.filter)) {
        wide.qos = wide.qos.max(new.qos);
        return;
    }
    kept.retain(|narrow| {
        let covered = covers(&new.filter, &narrow.filter);
        if covered {
            new.qos = new.qos.max(narrow.qos);
        }
        !covered
    });
    kept.push(new);
}

/// The places of the first two filters that match the same topic, in order.
fn overlap(wanted: &[Wanted]) -> Option<(usize, usize)> {
    let overlaps = |one: usize, other: &usize| {
        let (one, other) = (&wanted[one].filter, &wanted[*other].filter);
        !is_shared(one) && !is_shared(other) && topic::overlap(one, other)
    };
    (0..wanted.len())
        .find_map(|one| Some((one, (one + 1..wanted.len()).find(|other| overlaps(one, other))?)))
}

/// The highest bit of what MQTT allows as a number: the subscription keeps the retain flag of live
/// messages.
const AS_PUBLISHED: u32 = 1 << 27;

/// The subscription identifier of a filter. A broker stores it with the messages that it keeps for
/// us, so it has to mean the same filter after a restart with another configuration.
pub(super) fn identifier(filter: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write(filter.as_bytes());
    let number = hasher.finish() % u64::from(AS_PUBLISHED - 1);
    1 + u32::try_from(number).unwrap_or_default()
}

/// The identifier for a subscription to the same filter that keeps the retain flag of live messages.
pub(super) fn as_published(identifier: u32) -> u32 {
    identifier | AS_PUBLISHED
}

/// Takes from an identifier what [`as_published`] added; says whether it was there.
pub(super) fn take_as_published(identifier: &mut u32) -> bool {
    let found = *identifier & AS_PUBLISHED != 0;
    *identifier &= !AS_PUBLISHED;
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::PublishRule;
    use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};
    use proptest::prelude::{Strategy, prop_assert, proptest};

    fn wanted(filters: &[(&str, Qos)]) -> Vec<Wanted> {
        filters.iter().map(|&(filter, qos)| Wanted { filter: filter.to_owned(), qos }).collect()
    }

    pub(in crate::mqtt) fn rules(filters: &[(&str, Qos)]) -> Vec<Rule> {
        let rule = |&(filter, qos): &(&str, Qos)| Rule {
            filter: filter.to_owned(),
            qos,
            to: Target::Heartbeat,
        };
        filters.iter().map(rule).collect()
    }

    /// A rule that publishes elsewhere.
    pub(in crate::mqtt) fn passing_on(filter: &str, retain: Option<bool>) -> Rule {
        let pattern = topic::Pattern::parse(filter).unwrap();
        let topic = topic::TopicTemplate::parse("{topic}", &pattern).unwrap();
        let to = PublishRule { to: "cloud".to_owned(), topic, qos: None, retain, shape: None };
        Rule { to: Target::Publish(Box::new(to)), ..rules(&[(filter, AtLeastOnce)]).remove(0) }
    }

    #[test]
    fn a_filter_that_another_covers_is_not_asked_for() {
        for (given, left) in [
            (
                &[("a", AtLeastOnce), ("b", AtMostOnce)][..],
                &[("a", AtLeastOnce), ("b", AtMostOnce)][..],
            ),
            (&[("#", AtMostOnce), ("a/b", ExactlyOnce)], &[("#", ExactlyOnce)]),
            (
                &[
                    ("a/b", ExactlyOnce),
                    ("a/c", AtMostOnce),
                    ("x", AtMostOnce),
                    ("a/+", AtLeastOnce),
                ],
                &[("x", AtMostOnce), ("a/+", ExactlyOnce)],
            ),
            (&[("a", AtMostOnce), ("a", AtLeastOnce)], &[("a", AtLeastOnce)]),
            (
                &[("#", AtLeastOnce), ("$SYS/#", AtMostOnce)],
                &[("#", AtLeastOnce), ("$SYS/#", AtMostOnce)],
            ),
        ] {
            assert_eq!(covering(&rules(given)), wanted(left));
            assert_eq!(disjoint(&wanted(left)), wanted(left), "nothing overlaps");
        }
    }

    #[test]
    fn a_filter_with_a_group_of_its_own_stands_for_itself() {
        let given = [
            ("$share/g/a/+", AtLeastOnce),
            ("$share/g/+/b", AtLeastOnce),
            ("$share/g/a/b", AtMostOnce),
            ("#", AtLeastOnce),
            ("$share/g/a/+", ExactlyOnce),
        ];
        let left = wanted(&[
            ("$share/g/a/+", ExactlyOnce),
            ("$share/g/+/b", AtLeastOnce),
            ("$share/g/a/b", AtMostOnce),
            ("#", AtLeastOnce),
        ]);
        assert_eq!(covering(&rules(&given)), left);
        assert_eq!(disjoint(&left), left);
        let mut wishes = Wishes::new(&rules(&given[..3]), None).unwrap();
        assert_eq!(wishes.sent("$share/g/a"), "$share/g/a");
        wishes.way = Way::Joined;
        assert!(wishes.want("x/b") && !wishes.want("x/c"));
    }

    #[test]
    fn filters_that_overlap_are_joined_until_none_do() {
        for (given, left) in [
            (&[("a/+", AtMostOnce), ("+/b", ExactlyOnce)][..], &[("+/+", ExactlyOnce)][..]),
            (
                &[("a/+/c", AtMostOnce), ("x", AtMostOnce), ("a/b/+", AtLeastOnce)],
                &[("x", AtMostOnce), ("a/+/+", AtLeastOnce)],
            ),
            // The join overlaps a third, and covers a fourth.
            (
                &[
                    ("a/+/c", AtMostOnce),
                    ("a/b/+", AtMostOnce),
                    ("a/x/y/#", AtMostOnce),
                    ("a/+/d", ExactlyOnce),
                    ("a/x/#", AtMostOnce),
                ],
                &[("a/+/#", ExactlyOnce)],
            ),
            (
                &[("$SYS/+/x", AtMostOnce), ("$SYS/y/+", AtMostOnce), ("+/z", AtMostOnce)],
                &[("+/z", AtMostOnce), ("$SYS/+/+", AtMostOnce)],
            ),
        ] {
            assert_eq!(disjoint(&wanted(given)), wanted(left));
        }
    }

    #[test]
    fn an_identifier_belongs_to_a_filter() {
        assert_eq!(identifier("a/+"), identifier("a/+"));
        assert_ne!(identifier("a/+"), identifier("+/b"));
        let mut number = as_published(identifier("a/+"));
        assert!(take_as_published(&mut number) && !take_as_published(&mut number));
        assert_eq!(number, identifier("a/+"));
    }

    #[test]
    fn the_flag_is_wanted_where_a_rule_that_passes_it_on_may_match() {
        let mut all = rules(&[("x/#", AtLeastOnce)]);
        all.extend([passing_on("a/+/c", None), passing_on("said/+", Some(true))]);
        let wishes = Wishes::new(&all, None).unwrap();
        for (filter, wanted) in
            [("a/+/c", true), ("a/b/#", true), ("#", true), ("x/#", false), ("said/+", false)]
        {
            assert_eq!(wishes.want_retain(filter), wanted, "{filter}");
        }
    }

    fn filters() -> impl Strategy<Value = Vec<String>> {
        let levels = proptest::sample::select(&["a", "b", "+", "#", "", "$s"][..]);
        let filter = proptest::collection::vec(levels, 1..4)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("valid", |filter| topic::check_filter(filter).is_ok());
        proptest::collection::vec(filter, 1..6)
    }

    proptest! {
        #[test]
        fn every_rule_is_covered_and_no_topic_is_matched_twice(
            filters in filters(),
            topic in "[ab]?(/[abc]?){0,3}|\\$s(/[ab]){0,2}",
        ) {
            let given: Vec<(&str, Qos)> = filters.iter().map(|f| (&**f, AtLeastOnce)).collect();
            let covering = covering(&rules(&given));
            let disjoint = disjoint(&covering);
            for set in [&covering, &disjoint] {
                for filter in &filters {
                    prop_assert!(set.iter().any(|wide| topic::covers(&wide.filter, filter)));
                }
            }
            let matching = |w: &&Wanted| topic::matches(&w.filter, &topic);
            prop_assert!(disjoint.iter().filter(matching).count() <= 1);
        }
    }
}
