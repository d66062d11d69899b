//! What is asked of the broker, what it granted, and what it holds for us from earlier.
//!
//! The broker keeps subscriptions with the session, so those of an earlier configuration live on
//! until they are cancelled: what was asked for is remembered over restarts, and what is no longer
//! wanted is unsubscribed from, behind the new subscriptions in the same write, so that no message
//! falls between the two.
//!
//! A broker may say that it kept the session when the subscriptions in it are gone, so everything
//! is asked for again on every connection. MQTT 5 then brings retained messages only where the
//! subscription is new; with MQTT 3.1.1 `retained` knows the copies. Where it does not (after a
//! crash, at the start) what is on record is believed.
//!
//! A subscription that keeps the retain flag of live messages brings retained copies that look like
//! them. So a new one is asked for twice, in one write: the copies bring the number of the first
//! SUBSCRIBE with them, and everything else that of the second. (The second could not add the flag
//! alone: mosquitto 2.0 then takes up the number, and leaves the flag as it was.)
//!
//! Some brokers close the connection when they dislike a subscription. After a few such ends
//! subscriptions are asked for one by one, each when the one before is answered. That finds the
//! culprit, which is left out for a while so that the others work.

use crate::config::{Qos, Rule, Version};
use crate::mqtt::codec;
use crate::mqtt::filters::{self, Wanted, Way, Wishes};
use crate::mqtt::packet::{self, SubAck, Subscribe};
use crate::mqtt::words;
use crate::topic;
use bytes::BytesMut;
use log::Level;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The first code of a SUBACK or UNSUBACK that means no.
const REFUSED: u8 = 0x80;

/// After this many connections that ended with a subscription unanswered they are asked for one by
/// one.
const CLOSED_MAX: u32 = 2;

/// The packet ids of SUBSCRIBEs begin again at 1 when they come to this.
const FIRST_ID_MAX: u16 = 0x4000;

/// What is added to the packet id of a SUBSCRIBE for that of the one in front of it, which brings
/// the retained copies.
const COPIES_ID: u16 = 0x8000;

/// The subscriptions of one session.
#[derive(Debug)]
pub(super) struct Subscriptions {
    wishes: Wishes,
    /// The broker of this connection returns the number of a subscription.
    is_numbered: bool,
    all: Vec<Subscription>,
    /// The packet id of the first of `all`.
    first_id: u16,
    /// What the broker may hold for our client id, as filters that were sent, with the QoS that
    /// it granted last, if it did.
    held: BTreeMap<String, Option<u8>>,
    /// What is on record is not `held`.
    changed: bool,
    /// Filters that are given back on this connection; their packet ids follow those of `all`.
    leaving: Vec<String>,
    /// How many connections in a row the broker closed with a subscription unanswered.
    closed: u32,
}

#[derive(Debug)]
struct Subscription {
    /// As it is sent, with the prefix of a shared subscription.
    filter: String,
    /// As it stands in the configuration.
    topics: String,
    qos: Qos,
    state: State,
    /// How often it was asked for in this round of connections.
    asked: u32,
    /// What was said last about it, so that it is not said again at every try.
    said: String,
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
    /// The broker closes the connection when it hears it, so it is not asked for until then.
    LeftOut(String, Instant),
}

/// What a SUBACK or UNSUBACK said, for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As asked for.
    Granted(String),
    /// Not good enough.
    Refused(String),
    /// Not good enough, and no news.
    StillRefused(String),
    /// That of the SUBSCRIBE behind it counts.
    Preliminary,
    /// Nothing was asked under this packet id.
    Unknown,
}

impl Subscriptions {
    /// What the rules need, and nothing twice.
    ///
    /// # Errors
    ///
    /// Says in words which filter is not valid.
    pub(super) fn new(rules: &[Rule], group: Option<&str>) -> Result<Self, String> {
        let mut subscriptions = Subscriptions {
            wishes: Wishes::new(rules, group)?,
            is_numbered: false,
            all: Vec::new(),
            first_id: 1,
            held: BTreeMap::new(),
            changed: false,
            leaving: Vec::new(),
            closed: 0,
        };
        subscriptions.choose(Way::Plain);
        Ok(subscriptions)
    }

    /// Takes another way, if it is another.
    fn choose(&mut self, way: Way) {
        if self.wishes.way == way && !self.all.is_empty() {
            return;
        }
        // A late answer must not be taken for one to what is asked for now.
        let used = usize::from(self.first_id) + self.all.len() + self.leaving.len();
        self.first_id = u16::try_from(used).ok().filter(|id| *id < FIRST_ID_MAX).unwrap_or(1);
        let wanted = self.wishes.along(way);
        let mut before = std::mem::take(&mut self.all);
        let subscription = |Wanted { filter: topics, qos }| {
            let sent = self.wishes.sent(&topics);
            if let Some(at) = before.iter().position(|s| s.filter == sent && s.qos == qos) {
                return before.swap_remove(at);
            }
            let asked = u32::from(self.held.contains_key(&sent));
            let (state, said) = (State::Wanted, String::new());
            Subscription { filter: sent, topics, qos, state, asked, said }
        };
        self.all = wanted.into_iter().map(subscription).collect();
    }

    /// What is to be said about filters that overlap, if it was not said before.
    pub(super) fn news(&mut self) -> Option<(Level, String)> {
        self.wishes.news()
    }

    /// Recalls what an earlier process had on record. Copies that it asked for may still come.
    pub(super) fn recall(&mut self, record: &str) {
        self.held = serde_json::from_str(record).unwrap_or_default();
        for subscription in &mut self.all {
            subscription.asked = u32::from(self.held.contains_key(&subscription.filter));
        }
    }

    /// What is to be remembered, if that has changed since it was asked for last.
    pub(super) fn record(&mut self) -> Option<String> {
        let changed = std::mem::take(&mut self.changed);
        changed.then(|| serde_json::to_string(&self.held).unwrap_or_default())
    }

    /// Whether the broker has granted something to our client id, ever.
    pub(super) fn holds_any(&self) -> bool {
        self.held.values().any(Option::is_some)
    }

    /// A connection begins, to a broker that returns the number of a subscription or not. With
    /// `believed`, what is on record as granted is not asked for again.
    pub(super) fn begin(&mut self, session_present: bool, believed: bool, is_numbered: bool) {
        self.is_numbered = is_numbered;
        self.choose(self.wishes.best_way(is_numbered));
        if !session_present {
            self.changed |= !self.held.is_empty();
            self.held.clear();
        }
        for subscription in &mut self.all {
            if let State::LeftOut(..) = subscription.state {
                continue;
            }
            let granted = self.held.get(&subscription.filter).copied().flatten();
            let is_granted = believed && granted == Some(packet::level(subscription.qos));
            subscription.state = if is_granted { State::Granted } else { State::Wanted };
        }
        let wanted = |filter: &&String| self.all.iter().any(|s| s.filter == **filter);
        self.leaving = self.held.keys().filter(|filter| !wanted(filter)).cloned().collect();
    }

    /// Appends the UNSUBSCRIBEs that are due.
    pub(super) fn give_back(&self, version: Version, out: &mut BytesMut) {
        let first = usize::from(self.first_id) + self.all.len();
        for (filter, packet_id) in self.leaving.iter().zip(first..) {
            // More than fit into a packet id are given back on later connections.
            let Ok(packet_id) = u16::try_from(packet_id) else { return };
            codec::unsubscribe(out, version, packet_id, filter);
        }
    }

    /// Whether subscriptions are asked for one by one.
    pub(super) fn is_careful(&self) -> bool {
        self.closed >= CLOSED_MAX
    }

    /// Appends a SUBSCRIBE for everything wanted, or for one at a time.
    pub(super) fn ask(&mut self, version: Version, out: &mut BytesMut) {
        let is_careful = self.is_careful();
        if is_careful && self.all.iter().any(|s| s.state == State::Asked) {
            return;
        }
        for (subscription, packet_id) in self.all.iter_mut().zip(self.first_id..) {
            if subscription.state != State::Wanted {
                continue;
            }
            let is_held = matches!(self.held.get(&subscription.filter), Some(Some(_)));
            for packet in subscription.packets(packet_id, &self.wishes, self.is_numbered, is_held) {
                codec::subscribe(out, version, packet);
            }
            subscription.state = State::Asked;
            subscription.asked += 1;
            if !self.held.contains_key(&subscription.filter) {
                self.held.insert(subscription.filter.clone(), None);
                self.changed = true;
            }
            if is_careful {
                return;
            }
        }
    }

    /// Wants again what was refused or never answered, and says the latter once.
    pub(super) fn want_again(&mut self, now: Instant) -> Vec<String> {
        let mut news = Vec::new();
        if self.wishes.are_forbidden() {
            self.choose(Way::Plain);
        }
        for subscription in &mut self.all {
            match subscription.state {
                State::Granted => continue,
                State::LeftOut(_, until) if until > now => continue,
                State::Asked => {
                    let words = unanswered(&subscription.filter);
                    if subscription.said != words {
                        subscription.said.clone_from(&words);
                        news.push(words);
                    }
                }
                State::LeftOut(..) | State::Wanted | State::Refused(_) => (),
            }
            subscription.state = State::Wanted;
        }
        news
    }

    /// When the first that was left out is asked for again.
    pub(super) fn left_out_until(&self) -> Option<Instant> {
        let until = |subscription: &Subscription| match subscription.state {
            State::LeftOut(_, until) => Some(until),
            State::Wanted | State::Asked | State::Granted | State::Refused(_) => None,
        };
        self.all.iter().filter_map(until).min()
    }

    /// Takes the broker's answer.
    pub(super) fn answer(&mut self, suback: &SubAck) -> Answer {
        if self.is_numbered && suback.packet_id >= COPIES_ID {
            return Answer::Preliminary;
        }
        let at = suback.packet_id.wrapping_sub(self.first_id);
        let Some(subscription) = self.all.get_mut(usize::from(at)) else {
            return Answer::Unknown;
        };
        let (filter, asked) = (&subscription.filter, packet::level(subscription.qos));
        let granted = (suback.code < REFUSED).then_some(suback.code);
        if self.held.insert(filter.clone(), granted) != Some(granted) {
            self.changed = true;
        }
        if suback.code == asked || granted > Some(asked) {
            let words = format!("subscribed to '{filter}' with QoS {asked}");
            subscription.state = State::Granted;
            subscription.said.clear();
            if self.all.iter().all(|s| s.state == State::Granted) {
                self.closed = 0;
            }
            return Answer::Granted(words);
        }
        let why = match granted {
            Some(code) => format!(
                "the broker grants QoS {code} and not {asked} to the subscription to '{filter}'"
            ),
            None => {
                self.wishes.refused();
                let reason = match suback.code {
                    // All that MQTT 3.1.1 can say.
                    REFUSED if suback.text.is_empty() => "no reason given".to_owned(),
                    code => words::with_text(&words::reason(code), &suback.text),
                };
                format!("the broker refuses the subscription to '{filter}': {reason}")
            }
        };
        subscription.state = State::Refused(why.clone());
        if subscription.said == why {
            return Answer::StillRefused(why);
        }
        subscription.said.clone_from(&why);
        Answer::Refused(why)
    }

    /// Takes the broker's answer to an UNSUBSCRIBE.
    pub(super) fn given_back(&mut self, unsuback: &SubAck) -> Answer {
        let first = usize::from(self.first_id) + self.all.len();
        let at = usize::from(unsuback.packet_id).checked_sub(first);
        let Some(filter) = at.and_then(|at| self.leaving.get(at)) else {
            return Answer::Unknown;
        };
        if unsuback.code >= REFUSED {
            let reason = words::with_text(&words::reason(unsuback.code), &unsuback.text);
            return Answer::Refused(format!(
                "the broker keeps the subscription to '{filter}' of an earlier \
                 configuration: {reason}"
            ));
        }
        self.changed |= self.held.remove(filter).is_some();
        Answer::Granted(format!("unsubscribed from '{filter}' of an earlier configuration"))
    }

    /// The broker has ended the connection. Says why, if a subscription was not answered. One that
    /// was asked for alone is then left out for the given time, if there are others.
    pub(super) fn closed(&mut self, now: Instant, left_out: Duration) -> Option<String> {
        let was_careful = self.is_careful();
        let unanswered: Vec<usize> =
            (0..self.all.len()).filter(|&at| self.all[at].state == State::Asked).collect();
        let &first = unanswered.first()?;
        self.closed = self.closed.saturating_add(1);
        let filter = &self.all[first].filter;
        let why = match unanswered.len() {
            1 => format!(
                "the broker closed the connection without answering the subscription to \
                 '{filter}': it may not be allowed, or its QoS"
            ),
            many => format!(
                "the broker closed the connection without answering the subscriptions to \
                 '{filter}' and {} more: one of them may not be allowed, or its QoS",
                many - 1
            ),
        };
        if was_careful {
            self.wishes.refused();
        }
        let others = self.all.iter().any(|s| !matches!(s.state, State::Asked | State::LeftOut(..)));
        if was_careful && others {
            self.all[first].state = State::LeftOut(why.clone(), now + left_out);
        }
        Some(why)
    }

    /// Every retained copy that was asked for has come.
    pub(super) fn begin_round(&mut self) {
        self.all.iter_mut().for_each(|subscription| subscription.asked = 0);
    }

    /// How many retained copies of a topic the subscriptions of this round explain. Shared
    /// subscriptions bring none.
    pub(super) fn copies(&self, topic: &[u8]) -> u32 {
        let Ok(topic) = str::from_utf8(topic) else { return 0 };
        let explain = |s: &&Subscription| s.filter == s.topics && topic::matches(&s.topics, topic);
        self.all.iter().filter(explain).map(|s| s.asked).sum()
    }

    /// Whether a rule wants messages of this topic.
    pub(super) fn want(&self, topic: &[u8]) -> bool {
        str::from_utf8(topic).map_or(true, |topic| self.wishes.want(topic))
    }

    /// The numbers of all subscriptions that bring a copy of a message, if more than one may.
    pub(super) fn numbers(&self, topic: &[u8]) -> Vec<u32> {
        if self.wishes.way != Way::Numbered && self.leaving.is_empty() {
            return Vec::new();
        }
        let Ok(topic) = str::from_utf8(topic) else { return Vec::new() };
        let granted = self.held.iter().filter(|(_, granted)| granted.is_some());
        let matching = granted.filter(|(filter, _)| topic::matches(filter, topic));
        matching.map(|(filter, _)| filters::identifier(filter)).collect()
    }

    /// Whether everything is granted.
    pub(super) fn are_ready(&self) -> bool {
        self.all.iter().all(|subscription| subscription.state == State::Granted)
    }

    /// How many are granted.
    pub(super) fn granted(&self) -> usize {
        self.all.iter().filter(|subscription| subscription.state == State::Granted).count()
    }

    /// Whether there is nothing to wait for but the time of what was left out.
    pub(super) fn are_settled(&self) -> bool {
        self.all.iter().all(|s| matches!(s.state, State::Granted | State::LeftOut(..)))
    }

    /// What is wrong with the first that is refused or not answered, or empty.
    pub(super) fn trouble(&self) -> String {
        let refused = self.all.iter().find_map(|subscription| match &subscription.state {
            State::Refused(why) => Some(why.clone()),
            State::LeftOut(why, _) => Some(format!("{why}; it is left out for a while")),
            State::Wanted | State::Asked | State::Granted => None,
        });
        let silent = || self.all.iter().find(|s| s.state == State::Asked);
        refused.or_else(|| silent().map(|s| unanswered(&s.filter))).unwrap_or_default()
    }
}

impl Subscription {
    /// How it is asked for, of a broker that returns its number or not, and holds it already or not.
    fn packets(
        &self,
        packet_id: u16,
        wishes: &Wishes,
        is_numbered: bool,
        is_held: bool,
    ) -> impl Iterator<Item = Subscribe<'_>> {
        let Subscription { filter, qos, .. } = self;
        let (identifier, qos) = (filters::identifier(filter), *qos);
        let number = (wishes.way == Way::Numbered).then_some(identifier);
        let as_published = is_numbered && wishes.want_retain(&self.topics);
        let plain = Subscribe { packet_id, filter, qos, number, as_published };
        let before = packet_id.checked_add(COPIES_ID).filter(|_| as_published && !is_held);
        let before = before.map(|packet_id| Subscribe { packet_id, ..plain });
        let number = if as_published { Some(filters::as_published(identifier)) } else { number };
        before.into_iter().chain([Subscribe { number, ..plain }])
    }
}

fn unanswered(filter: &str) -> String {
    format!("the broker has not answered the subscription to '{filter}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::filters::tests::{passing_on, rules};
    use Qos::AtLeastOnce;

    fn suback(packet_id: u16, code: u8) -> SubAck {
        SubAck { packet_id, code, text: String::new() }
    }

    fn subscriptions(filters: &[&str]) -> Subscriptions {
        let filters: Vec<(&str, Qos)> = filters.iter().map(|f| (*f, AtLeastOnce)).collect();
        Subscriptions::new(&rules(&filters), None).unwrap()
    }

    /// The filters that are asked for now.
    fn asked(subscriptions: &mut Subscriptions) -> Vec<String> {
        let mut out = BytesMut::new();
        subscriptions.ask(Version::V311, &mut out);
        filters(&out, 0x82)
    }

    /// The filters in packets of MQTT 3.1.1 that begin with `first`.
    fn filters(mut bytes: &[u8], first: u8) -> Vec<String> {
        let mut found = Vec::new();
        while let [kind, length, rest @ ..] = bytes {
            assert_eq!(*kind, first);
            let (body, rest) = rest.split_at(usize::from(*length));
            let end = 4 + usize::from(body[3]);
            found.push(String::from_utf8(body[4..end].to_vec()).unwrap());
            bytes = rest;
        }
        found
    }

    #[test]
    fn what_is_refused_is_asked_for_again_and_nothing_else() {
        let mut two = subscriptions(&["a", "b"]);
        two.begin(false, false, false);
        assert_eq!(asked(&mut two), ["a", "b"]);
        assert_eq!(two.trouble(), "the broker has not answered the subscription to 'a'");
        assert!(matches!(two.answer(&suback(1, 1)), Answer::Granted(_)));
        assert_eq!(two.trouble(), "the broker has not answered the subscription to 'b'");
        assert!(matches!(two.answer(&suback(2, 0x80)), Answer::Refused(_)));
        assert!(!two.are_settled() && !two.are_ready());
        assert_eq!(two.trouble(), "the broker refuses the subscription to 'b': no reason given");
        assert_eq!(two.want_again(Instant::now()), [""; 0]);
        assert_eq!(asked(&mut two), ["b"]);
        assert!(matches!(two.answer(&suback(2, 0x80)), Answer::StillRefused(_)), "it is no news");
        assert!(matches!(two.answer(&suback(2, 0x87)), Answer::Refused(_)), "it is news");
        assert!(matches!(two.answer(&suback(2, 2)), Answer::Granted(_)));
        assert!(two.are_ready());
        assert_eq!(two.trouble(), "");
        for packet_id in [0, 3] {
            assert_eq!(two.answer(&suback(packet_id, 0)), Answer::Unknown);
        }
    }

    #[test]
    fn silence_is_told_once() {
        let mut one = subscriptions(&["a"]);
        one.begin(false, false, false);
        for wanted in [1, 0, 0] {
            assert_eq!(asked(&mut one), ["a"]);
            assert_eq!(one.want_again(Instant::now()).len(), wanted);
        }
    }

    #[test]
    fn what_is_not_wanted_any_more_is_given_back_until_the_broker_says_so() {
        let mut old = subscriptions(&["#"]);
        old.begin(false, false, false);
        asked(&mut old);
        let record = old.record().expect("it may be granted before the answer is read");
        old.answer(&suback(1, 1));
        assert_eq!(old.record(), Some(r##"{"#":1}"##.to_owned()));
        assert_eq!(old.record(), None);
        assert!(record.contains("null"));

        let mut new = subscriptions(&["a", "b"]);
        new.recall(&record);
        for _ in 0..2 {
            new.begin(true, true, false);
            assert_eq!(asked(&mut new), ["a", "b"]);
            let mut out = BytesMut::new();
            new.give_back(Version::V311, &mut out);
            assert_eq!(filters(&out, 0xA2), ["#"]);
            assert!(matches!(new.given_back(&suback(3, 0x87)), Answer::Refused(_)));
        }
        assert!(matches!(new.given_back(&suback(3, 0)), Answer::Granted(_)));
        assert_eq!(new.given_back(&suback(4, 0)), Answer::Unknown);
        assert_eq!(new.given_back(&suback(1, 0)), Answer::Unknown);
        assert_eq!(new.record(), Some(r#"{"a":null,"b":null}"#.to_owned()));
        new.begin(false, false, false);
        assert_eq!(new.record(), Some("{}".to_owned()), "a new session holds nothing");
    }

    #[test]
    fn what_is_on_record_as_granted_is_believed_if_it_is_what_is_wanted() {
        for (record, wanted) in [
            (r#"{"a":1,"b":1}"#, &[][..]),
            (r#"{"a":1,"b":null}"#, &["b"]),
            (r#"{"a":2,"b":1}"#, &["a"]),
            ("{}", &["a", "b"]),
            ("nonsense", &["a", "b"]),
        ] {
            let mut two = subscriptions(&["a", "b"]);
            two.recall(record);
            two.begin(true, true, false);
            assert_eq!(two.are_ready(), wanted.is_empty());
            assert_eq!(asked(&mut two), wanted, "{record}");
            two.begin(true, false, false);
            assert_eq!(asked(&mut two), ["a", "b"], "nothing is believed");
        }
    }

    #[test]
    fn what_makes_the_broker_hang_up_is_found_and_left_out_for_a_while() {
        let (start, left_out) = (Instant::now(), Duration::from_secs(300));
        let mut three = subscriptions(&["a", "bad", "c"]);
        for _ in 0..CLOSED_MAX {
            three.begin(false, false, false);
            assert_eq!(asked(&mut three), ["a", "bad", "c"]);
            three.answer(&suback(1, 1));
            let why = three.closed(start, left_out).unwrap();
            assert!(why.contains("the subscriptions to 'bad' and 1 more"), "{why}");
        }
        three.begin(false, false, false);
        assert_eq!(asked(&mut three), ["a"]);
        assert_eq!(asked(&mut three), [""; 0], "the answer comes first");
        three.answer(&suback(1, 1));
        assert_eq!(asked(&mut three), ["bad"]);
        let words =
            "without answering the subscription to 'bad': it may not be allowed, or its QoS";
        assert!(three.closed(start, left_out).unwrap().ends_with(words));
        three.begin(false, false, false);
        for (filter, packet_id) in [("a", 1), ("c", 3)] {
            assert_eq!(asked(&mut three), [filter]);
            three.answer(&suback(packet_id, 1));
        }
        assert_eq!(asked(&mut three), [""; 0]);
        assert!(three.are_settled() && !three.are_ready());
        assert!(three.trouble().contains(words) && three.trouble().ends_with("for a while"));
        assert_eq!(three.left_out_until(), Some(start + left_out));
        three.want_again(start + left_out / 2);
        assert_eq!(asked(&mut three), [""; 0]);
        three.want_again(start + left_out);
        assert_eq!(asked(&mut three), ["bad"]);
        three.answer(&suback(2, 1));
        assert!(three.are_ready() && !three.is_careful());
        assert_eq!(three.closed(start, left_out), None, "everything was answered");
    }

    #[test]
    fn the_only_subscription_is_never_left_out() {
        let mut one = subscriptions(&["bad"]);
        for _ in 0..2 * CLOSED_MAX {
            one.begin(false, false, false);
            assert_eq!(asked(&mut one), ["bad"]);
            assert!(one.closed(Instant::now(), Duration::from_secs(300)).is_some());
        }
    }

    #[test]
    fn copies_are_explained_by_what_is_asked_for_in_this_round() {
        let mut two = subscriptions(&["a/+", "+/b"]);
        two.begin(false, false, true);
        assert_eq!(two.copies(b"a/b"), 0);
        asked(&mut two);
        assert_eq!((two.copies(b"a/b"), two.copies(b"a/c"), two.copies(b"x")), (2, 1, 0));
        two.begin(true, false, true);
        asked(&mut two);
        assert_eq!(two.copies(b"a/b"), 4, "those of the last connection may come late");
        two.begin_round();
        assert_eq!(two.copies(b"a/b"), 0);
        let group = rules(&[("a", AtLeastOnce)]);
        let mut shared = Subscriptions::new(&group, Some("team")).unwrap();
        asked(&mut shared);
        assert_eq!(shared.copies(b"a"), 0, "a group gets none");
    }

    #[test]
    fn a_lower_qos_than_asked_for_is_an_error() {
        let one = rules(&[("a", AtLeastOnce)]);
        let mut subscriptions = Subscriptions::new(&one, None).unwrap();
        subscriptions.ask(Version::V5, &mut BytesMut::new());
        subscriptions.answer(&suback(1, 0));
        assert!(!subscriptions.are_ready());
    }

    #[test]
    fn a_group_shares_each_filter() {
        let one = rules(&[("a/#", AtLeastOnce)]);
        let mut subscriptions = Subscriptions::new(&one, Some("team")).unwrap();
        let mut out = BytesMut::new();
        subscriptions.ask(Version::V5, &mut out);
        assert!(out.ends_with(b"$share/team/a/#\x11"), "{out:?}");
    }

    #[test]
    fn a_new_subscription_that_keeps_the_flag_of_live_messages_is_asked_for_twice() {
        let mut one = Subscriptions::new(&[passing_on("a", None)], None).unwrap();
        for (session_present, is_numbered, wanted) in [
            (false, true, &[(0x8001, 0x19), (1, 0x19)][..]),
            (true, true, &[(1, 0x19)]),
            (false, true, &[(0x8001, 0x19), (1, 0x19)]),
            (true, false, &[(1, 0x11)]),
        ] {
            one.begin(session_present, false, is_numbered);
            let mut out = BytesMut::new();
            one.ask(Version::V5, &mut out);
            let mut asked = Vec::new();
            while let [0x82, length, ..] = out[..] {
                let packet = out.split_to(2 + usize::from(length));
                let id = u16::from_be_bytes([packet[2], packet[3]]);
                asked.push((id, *packet.last().unwrap()));
                match one.answer(&suback(id, 1)) {
                    Answer::Preliminary => assert!(!one.are_ready()),
                    answer => assert!(matches!(answer, Answer::Granted(_))),
                }
            }
            assert_eq!(asked, wanted);
            assert!(one.are_ready());
        }
    }

    fn news(subscriptions: &mut Subscriptions) -> String {
        subscriptions.news().map_or(String::new(), |(level, words)| format!("{level}: {words}"))
    }

    #[test]
    fn a_broker_that_knows_no_numbers_is_asked_for_a_filter_that_covers_both() {
        let mut three = subscriptions(&["a/+", "x", "+/b"]);
        three.begin(false, false, false);
        assert_eq!(asked(&mut three), ["x", "+/+"]);
        assert_eq!(
            news(&mut three),
            "INFO: subscribing to '+/+' instead of 'a/+' and '+/b', so that no message comes \
             twice; with `version = 5` most brokers need no wider filter"
        );
        let wanted = [&b"a/b"[..], b"a/c", b"c/b", b"x", b"c/d"].map(|topic| three.want(topic));
        assert_eq!(wanted, [true, true, true, true, false]);
        three.begin(true, false, false);
        assert_eq!(news(&mut three), "", "it was said");

        // It is not allowed: then the filters are asked for as they are, under other packet ids.
        let first_id = three.first_id;
        asked(&mut three);
        three.answer(&suback(first_id, 1));
        three.answer(&suback(first_id + 1, 0x80));
        three.want_again(Instant::now());
        assert_eq!(asked(&mut three), ["a/+", "+/b"]);
        assert_eq!(three.answer(&suback(first_id + 1, 0)), Answer::Unknown, "it comes late");
        assert_eq!(
            news(&mut three),
            "WARN: a message can match both 'a/+' and '+/b'; a broker that sends a copy for each \
             makes two messages of it"
        );
        three.begin(true, false, false);
        assert_eq!(asked(&mut three), ["a/+", "x", "+/b"]);
        assert_eq!(three.leaving, ["+/+"]);
    }

    #[test]
    fn numbers_are_those_of_all_that_bring_a_copy() {
        let mut three = subscriptions(&["a/+", "x", "+/b"]);
        three.recall(r##"{"#":1,"a/+":1}"##);
        three.begin(true, false, true);
        let numbers = |filters: &[&str]| -> Vec<u32> {
            filters.iter().map(|filter| filters::identifier(filter)).collect()
        };
        assert_eq!(three.numbers(b"a/b"), numbers(&["#", "a/+"]), "what is granted");
        assert_eq!(three.numbers(b"x"), numbers(&["#"]));
        let mut out = BytesMut::new();
        three.ask(Version::V5, &mut out);
        let first = three.first_id;
        (first..first + 3).for_each(|packet_id| drop(three.answer(&suback(packet_id, 1))));
        assert_eq!(three.numbers(b"a/b"), numbers(&["#", "+/b", "a/+"]));
        assert_eq!(news(&mut three), "", "nothing is wrong");
        let mut apart = subscriptions(&["a", "b"]);
        apart.begin(false, false, true);
        assert_eq!(apart.numbers(b"a"), [0; 0], "nobody needs them");
    }
}
