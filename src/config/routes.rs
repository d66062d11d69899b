//! Rules that lead to a sink: it must be there, and nothing may come back to where it came from.

use super::{Broker, Faults, Place, Routing, Rule, Target, suggest};
use crate::topic;
use std::collections::HashSet;

/// Most steps in the search for loops; a file that needs more has hundreds of rules that lead to
/// one another.
const STEPS_MAX: usize = 10_000;

/// A rule that leads to a broker or a webhook.
pub(super) struct Leg<'p> {
    /// The broker that its messages come from; none for those of Kafka.
    pub(super) from: Option<&'p Broker>,
    /// All rules of its source.
    pub(super) rules: &'p [Rule],
    /// Its number among them.
    pub(super) number: usize,
    /// Where it names its sink.
    pub(super) place: &'p Place,
}

impl<'p> Leg<'p> {
    fn rule(&self) -> Option<&'p Rule> {
        self.rules.get(self.number)
    }

    /// What messages of `narrow` become at the broker that this leads to.
    fn reach(&self, narrow: &str) -> Option<String> {
        let rule = self.rule()?;
        let Target::Publish(to) = &rule.to else { return None };
        to.topic.reach(topic::unshared(&rule.filter), narrow)
    }

    /// Which messages on `topics` of its broker it gets.
    fn gets(&self, topics: &str) -> Option<String> {
        let both = topic::meet(topic::unshared(&self.rule()?.filter), topics)?;
        let is_first = self.from.is_some_and(|broker| broker.routing == Routing::First);
        let before = self.rules.iter().take(self.number);
        let is_taken = is_first && before.clone().any(|rule| topic::covers(&rule.filter, &both));
        (!is_taken).then_some(both)
    }
}

/// Notes every sink that is not there, with one that may be meant.
pub(super) fn unknown(legs: &[Leg<'_>], brokers: &[&str], webhooks: &[&str], faults: &mut Faults) {
    for leg in legs {
        let Some(Rule { to, .. }) = leg.rule() else { continue };
        let broker = to.broker().map(|name| ("broker", name, brokers));
        let webhook = || to.webhook().map(|name| ("webhook", name, webhooks));
        let Some((kind, name, known)) = broker.or_else(webhook) else { continue };
        if known.contains(&name) {
            continue;
        }
        let named = known.iter().copied().filter(|known| !known.is_empty());
        let hint = match suggest::nearest(name, named) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => String::new(),
        };
        faults.add(leg.place.clone(), format!("there is no {kind} of the name `{name}`{hint}"));
    }
}

/// Whether messages of a rule may come back to it without another rule.
fn is_loop(leg: &Leg<'_>, brokers: &[&Broker]) -> bool {
    let Some(rule) = leg.rule() else { return false };
    let Some((from, to)) = leg.from.zip(destination(leg, brokers)) else { return false };
    let made = leg.reach(topic::unshared(&rule.filter)).filter(|_| is_same(from, to));
    made.is_some_and(|made| leg.gets(&made).is_some())
}

/// Every rule whose messages may come back to it, over however many brokers: the numbers of the
/// rules on the way, itself first, and words about it.
///
/// Two rules follow one another if some topic that the first can publish to is one that the second
/// can get. Whether it ever does is for the payloads to say, so this is careful.
pub(super) fn ways_round(legs: &[Leg<'_>], brokers: &[&Broker]) -> Vec<(Vec<usize>, String)> {
    let mut found = Vec::new();
    let mut search = Search { legs, brokers, steps: 0 };
    for (first, leg) in legs.iter().enumerate() {
        let Some(rule) = leg.rule() else { continue };
        let (mut way, mut seen) = (vec![first], HashSet::new());
        if !is_loop(leg, brokers)
            && !search.returns(topic::unshared(&rule.filter), &mut way, &mut seen)
        {
            continue;
        }
        let from = way.iter().filter_map(|leg| legs[*leg].from);
        let names: Vec<&str> = from.chain(leg.from).map(|broker| broker.name.as_str()).collect();
        let what = format!(
            "what this publishes comes back to it ({}): a message would go round for ever",
            names.join(" → ")
        );
        found.push((way, what));
    }
    found
}

struct Search<'l, 'p> {
    legs: &'l [Leg<'p>],
    brokers: &'l [&'p Broker],
    steps: usize,
}

impl Search<'_, '_> {
    /// Whether messages of `narrow` come back to the first leg of `way` after its last one, which
    /// they are about to take. If so, `way` is how.
    fn returns(
        &mut self,
        narrow: &str,
        way: &mut Vec<usize>,
        seen: &mut HashSet<(usize, String)>,
    ) -> bool {
        let (legs, brokers) = (self.legs, self.brokers);
        let last = &legs[way[way.len() - 1]];
        let Some(made) = last.reach(narrow) else { return false };
        let Some(at) = destination(last, brokers) else { return false };
        for (number, next) in legs.iter().enumerate() {
            self.steps += 1;
            let is_there = next.from.is_some_and(|from| is_same(from, at));
            if self.steps > STEPS_MAX || !is_there {
                continue;
            }
            let Some(gets) = next.gets(&made) else { continue };
            if number == way[0] {
                return true;
            }
            if way.contains(&number) || !seen.insert((number, gets.clone())) {
                continue;
            }
            way.push(number);
            if self.returns(&gets, way, seen) {
                return true;
            }
            way.pop();
        }
        false
    }
}

fn destination<'p>(leg: &Leg<'_>, brokers: &[&'p Broker]) -> Option<&'p Broker> {
    let name = leg.rule()?.to.broker()?;
    brokers.iter().copied().find(|broker| broker.name == name)
}

/// Whether two entries are one broker.
fn is_same(one: &Broker, other: &Broker) -> bool {
    one.host.eq_ignore_ascii_case(&other.host) && one.port == other.port
}
