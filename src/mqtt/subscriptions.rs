//! What is asked of the broker, and what it granted.

use crate::config::{Qos, Rule, Version};
use crate::mqtt::packet::{self, SubAck};
use crate::mqtt::words;
use crate::topic;

/// The first code of a SUBACK that means no.
const REFUSED: u8 = 0x80;

/// The subscriptions of one session.
#[derive(Debug)]
pub(super) struct Subscriptions {
    all: Vec<Subscription>,
}

#[derive(Debug)]
struct Subscription {
    /// As it is sent, with the prefix of a shared subscription.
    filter: String,
    qos: Qos,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for.
    Wanted,
    /// Asked for; no answer yet.
    Asked,
    Granted,
    /// Not granted, with the reason.
    Refused(String),
}

/// What a SUBACK said, for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As asked for.
    Granted(String),
    /// Not good enough.
    Refused(String),
    /// Nothing was asked under this packet id.
    Unknown,
}

impl Subscriptions {
    /// What the rules need and nothing twice: a filter that another one covers is not asked for,
    /// since a broker may send one copy of a message for every subscription that matches.
    ///
    /// # Errors
    ///
    /// Says in words which filter is not valid.
    pub(super) fn new(rules: &[Rule], group: Option<&str>) -> Result<Self, String> {
        let mut all = Vec::new();
        for (filter, qos) in covering(rules) {
            topic::check_filter(filter)?;
            let filter = match group {
                Some(group) => format!("$share/{group}/{filter}"),
                None => filter.to_owned(),
            };
            if filter.len() > topic::BYTES_MAX {
                return Err(format!("the shared subscription of group {group:?} is too long"));
            }
            all.push(Subscription { filter, qos, state: State::Wanted });
        }
        Ok(Subscriptions { all })
    }

    /// Pairs of subscriptions of which neither covers the other although a message can match
    /// both.
    pub(super) fn overlaps(&self) -> impl Iterator<Item = (&str, &str)> {
        let filters = |from: usize| self.all[from..].iter().map(|s| s.filter.as_str());
        filters(0).enumerate().flat_map(move |(at, one)| {
            filters(at + 1).filter(move |other| topic::overlap(one, other)).map(move |o| (one, o))
        })
    }

    /// A connection begins. With a session that was kept only what is missing is asked for: a
    /// second SUBSCRIBE would bring every retained message once more.
    pub(super) fn begin(&mut self, kept: bool) {
        for subscription in &mut self.all {
            if !kept || subscription.state != State::Granted {
                subscription.state = State::Wanted;
            }
        }
    }

    /// Appends a SUBSCRIBE for everything wanted.
    pub(super) fn ask(&mut self, version: Version, out: &mut Vec<u8>) {
        for (subscription, packet_id) in self.all.iter_mut().zip(1..) {
            if subscription.state == State::Wanted {
                packet::subscribe(out, version, packet_id, &subscription.filter, subscription.qos);
                subscription.state = State::Asked;
            }
        }
    }

    /// Wants again what was refused or never answered.
    pub(super) fn want_again(&mut self) {
        for subscription in &mut self.all {
            if subscription.state != State::Granted {
                subscription.state = State::Wanted;
            }
        }
    }

    /// Takes the broker's answer.
    pub(super) fn answer(&mut self, suback: &SubAck) -> Answer {
        let at = usize::from(suback.packet_id).wrapping_sub(1);
        let Some(subscription) = self.all.get_mut(at) else {
            return Answer::Unknown;
        };
        let (filter, asked) = (&subscription.filter, packet::level(subscription.qos));
        if suback.code >= REFUSED {
            let reason = match suback.code {
                // All that MQTT 3.1.1 can say.
                REFUSED if suback.text.is_empty() => "no reason given".to_owned(),
                code => words::with_text(&words::reason(code), &suback.text),
            };
            let why = format!("the broker refuses the subscription to '{filter}': {reason}");
            subscription.state = State::Refused(why.clone());
            return Answer::Refused(why);
        }
        if suback.code >= asked {
            let words = format!("subscribed to '{filter}' with QoS {asked}");
            subscription.state = State::Granted;
            return Answer::Granted(words);
        }
        let why = format!(
            "the broker grants QoS {} and not {asked} to the subscription to '{filter}'",
            suback.code
        );
        subscription.state = State::Refused(why.clone());
        Answer::Refused(why)
    }

    /// Whether everything is granted.
    pub(super) fn are_ready(&self) -> bool {
        self.all.iter().all(|subscription| subscription.state == State::Granted)
    }

    /// Whether every answer has come.
    pub(super) fn are_answered(&self) -> bool {
        !self.all.iter().any(|s| matches!(s.state, State::Asked | State::Wanted))
    }

    /// What is wrong with the first that is refused, or empty.
    pub(super) fn trouble(&self) -> &str {
        let refused = |subscription: &'_ Subscription| match &subscription.state {
            State::Refused(_) => true,
            State::Wanted | State::Asked | State::Granted => false,
        };
        match self.all.iter().find(|s| refused(s)).map(|s| &s.state) {
            Some(State::Refused(why)) => why,
            _ => "",
        }
    }
}

/// The filters that cover those of all rules, each with the highest QoS of what it covers.
fn covering(rules: &[Rule]) -> Vec<(&str, Qos)> {
    let mut kept: Vec<(&str, Qos)> = Vec::new();
    for rule in rules {
        let mut qos = rule.qos;
        if let Some((_, wider)) =
            kept.iter_mut().find(|(wide, _)| topic::covers(wide, &rule.filter))
        {
            *wider = qos.max(*wider);
            continue;
        }
        kept.retain(|&(narrow, other)| {
            let covered = topic::covers(&rule.filter, narrow);
            if covered {
                qos = qos.max(other);
            }
            !covered
        });
        kept.push((&rule.filter, qos));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Target;
    use Qos::{AtLeastOnce, AtMostOnce, ExactlyOnce};

    fn rules(filters: &[(&str, Qos)]) -> Vec<Rule> {
        let rule = |&(filter, qos): &(&str, Qos)| Rule {
            filter: filter.to_owned(),
            qos,
            to: Target::Heartbeat,
        };
        filters.iter().map(rule).collect()
    }

    #[track_caller]
    fn check_covering(given: &[(&str, Qos)], wanted: &[(&str, Qos)]) {
        assert_eq!(covering(&rules(given)), wanted);
    }

    #[test]
    fn a_filter_that_another_covers_is_not_asked_for() {
        check_covering(
            &[("a", AtLeastOnce), ("b", AtMostOnce)],
            &[("a", AtLeastOnce), ("b", AtMostOnce)],
        );
        check_covering(&[("#", AtMostOnce), ("a/b", ExactlyOnce)], &[("#", ExactlyOnce)]);
        check_covering(
            &[("a/b", ExactlyOnce), ("a/c", AtMostOnce), ("x", AtMostOnce), ("a/+", AtLeastOnce)],
            &[("x", AtMostOnce), ("a/+", ExactlyOnce)],
        );
        check_covering(&[("a", AtMostOnce), ("a", AtLeastOnce)], &[("a", AtLeastOnce)]);
        check_covering(
            &[("#", AtLeastOnce), ("$SYS/#", AtMostOnce)],
            &[("#", AtLeastOnce), ("$SYS/#", AtMostOnce)],
        );
    }

    fn suback(packet_id: u16, code: u8) -> SubAck {
        SubAck { packet_id, code, text: String::new() }
    }

    #[test]
    fn what_is_refused_is_asked_for_again_and_nothing_else() {
        let two = rules(&[("a", AtLeastOnce), ("b", AtLeastOnce)]);
        let mut subscriptions = Subscriptions::new(&two, None).unwrap();
        let mut out = Vec::new();
        subscriptions.ask(Version::V311, &mut out);
        assert_eq!(out, b"\x82\x06\0\x01\0\x01a\x01\x82\x06\0\x02\0\x01b\x01");
        assert!(!subscriptions.are_answered());
        assert!(matches!(subscriptions.answer(&suback(1, 1)), Answer::Granted(_)));
        assert!(matches!(subscriptions.answer(&suback(2, 0x80)), Answer::Refused(_)));
        assert!(subscriptions.are_answered() && !subscriptions.are_ready());
        assert_eq!(
            subscriptions.trouble(),
            "the broker refuses the subscription to 'b': no reason given"
        );
        for kept in [true, false] {
            out.clear();
            subscriptions.begin(kept);
            subscriptions.ask(Version::V311, &mut out);
            assert_eq!(out.len(), if kept { 8 } else { 16 });
        }
        for packet_id in [1, 2] {
            subscriptions.answer(&suback(packet_id, 2));
        }
        assert!(subscriptions.are_ready());
        assert_eq!(subscriptions.trouble(), "");
        for packet_id in [0, 3] {
            assert_eq!(subscriptions.answer(&suback(packet_id, 0)), Answer::Unknown);
        }
    }

    #[test]
    fn a_lower_qos_than_asked_for_is_an_error() {
        let one = rules(&[("a", AtLeastOnce)]);
        let mut subscriptions = Subscriptions::new(&one, None).unwrap();
        subscriptions.ask(Version::V5, &mut Vec::new());
        subscriptions.answer(&suback(1, 0));
        assert!(!subscriptions.are_ready());
    }

    #[test]
    fn a_group_shares_each_filter() {
        let one = rules(&[("a/#", AtLeastOnce)]);
        let mut subscriptions = Subscriptions::new(&one, Some("team")).unwrap();
        let mut out = Vec::new();
        subscriptions.ask(Version::V5, &mut out);
        assert!(out.ends_with(b"$share/team/a/#\x11"), "{out:?}");
    }

    #[test]
    fn overlaps_that_cannot_be_resolved_are_found() {
        let three = rules(&[("a/+/c", AtLeastOnce), ("x", AtLeastOnce), ("a/b/+", AtLeastOnce)]);
        let subscriptions = Subscriptions::new(&three, None).unwrap();
        assert_eq!(subscriptions.overlaps().collect::<Vec<_>>(), [("a/+/c", "a/b/+")]);
    }
}
