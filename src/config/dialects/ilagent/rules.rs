//! The flags that say what becomes of messages, whatever source they come from.

use super::Reading;
use crate::config::values::{self, put};
use crate::config::whole::Needs;
use crate::config::{
    Enrichment, EventRule, EventTypeMap, PayloadFilter, PolicyRule, Qos, Rule, Target,
};

/// The documented words for a source without a topic.
pub(super) const NO_TOPIC: &str =
    "at least one topic (-e, -r, or --policy_topic) must be configured";

/// A topic, and what becomes of its messages.
pub(super) struct Wanted {
    flag: &'static str,
    topic: String,
    to: Target,
}

/// What the rules need of the rest.
pub(super) fn needs(wanted: &[Wanted]) -> Vec<Needs> {
    let policies = wanted.iter().filter(|wanted| matches!(wanted.to, Target::Policy(_)));
    policies.map(|wanted| Needs::ApiKey(wanted.flag.into())).collect()
}

impl Reading<'_> {
    /// Heartbeats first, then policy updates, then events: the first rule that matches wins.
    pub(super) fn wanted(&mut self, enrichment: &Enrichment) -> Vec<Wanted> {
        let flags = &self.asked.flags;
        let filter = self.payload_filter();
        let event = self.event_rule(filter.clone(), enrichment);
        let policy = self.policy_rule(filter);
        let mut wanted: Vec<Wanted> = Vec::new();
        for (flag, topics, to) in [
            ("--heartbeat_topic", &flags.heartbeat_topic, Target::Heartbeat),
            ("--policy_topic", &flags.policy_topic, Target::Policy(Box::new(policy))),
            ("--event_topic", &flags.event_topic, Target::Event(Box::new(event))),
        ] {
            for topic in topics {
                if wanted.iter().any(|other| other.topic == *topic) {
                    let what = format!(
                        "`{topic}` is there already; the first of heartbeat, policy and event \
                         topic gets its messages"
                    );
                    self.faults.add(flag, what);
                }
                wanted.push(Wanted { flag, topic: topic.clone(), to: to.clone() });
            }
        }
        wanted
    }

    /// The rules of one source; `topic` says whether the source accepts a topic.
    pub(super) fn rules(
        &mut self,
        wanted: &[Wanted],
        qos: Qos,
        topic: &dyn Fn(&str) -> Result<String, String>,
    ) -> Vec<Rule> {
        let rule = |wanted: &Wanted| {
            let filter = self.faults.keep(wanted.flag, topic(&wanted.topic))?;
            Some(Rule { filter, qos, to: wanted.to.clone() })
        };
        wanted.iter().filter_map(rule).collect()
    }

    fn payload_filter(&mut self) -> Option<PayloadFilter> {
        let flags = &self.asked.flags;
        let mut key = None;
        self.read("--filter_key", flags.filter_key.as_ref(), &mut |text| {
            put(&mut key, values::filled(text))
        });
        Some(PayloadFilter { key: key?, value: flags.filter_val.clone() })
    }

    fn event_rule(&mut self, filter: Option<PayloadFilter>, enrichment: &Enrichment) -> EventRule {
        let flags = &self.asked.flags;
        let (key, file) = (flags.event_key.as_ref(), flags.event_key_file.as_ref());
        let is_given = !flags.event_topic.is_empty() && (key.is_some() || file.is_some());
        let event_key =
            is_given.then(|| self.secret(("--event_key", key), file, None, "event_key")).flatten();
        let mut rule = EventRule {
            filter,
            event_key,
            event_type: EventTypeMap {
                path: None,
                alert: flags.map_val_etype_alert.clone(),
                accept: flags.map_val_etype_accept.clone(),
                resolve: flags.map_val_etype_resolve.clone(),
            },
            forward_payload: flags.forward_message_payload,
            enrichment: enrichment.clone(),
            ..EventRule::default()
        };
        self.paths(&mut rule);
        rule
    }

    /// Where the parts of an event are in a payload.
    fn paths(&mut self, rule: &mut EventRule) {
        let flags = &self.asked.flags;
        for text in &flags.map_key_label {
            self.read("--map_key_label", Some(text), &mut |text| {
                let (name, path) = values::pair(text)?;
                rule.labels.insert(name, values::path(&path)?);
                Ok(())
            });
        }
        for (flag, text, path) in [
            ("--map_key_etype", &flags.map_key_etype, &mut rule.event_type.path),
            ("--map_key_alert_key", &flags.map_key_alert_key, &mut rule.alert_key),
            ("--map_key_summary", &flags.map_key_summary, &mut rule.summary),
            ("--map_key_severity", &flags.map_key_severity, &mut rule.severity),
            ("--map_key_routing_key", &flags.map_key_routing_key, &mut rule.routing_key),
        ] {
            self.read(flag, text.as_ref(), &mut |text| put(path, values::path(text)));
        }
    }

    fn policy_rule(&mut self, filter: Option<PayloadFilter>) -> PolicyRule {
        let flags = &self.asked.flags;
        let names = flags.policy_routing_keys.as_deref().unwrap_or_default();
        let routing_keys: Vec<String> =
            names.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect();
        if !flags.policy_topic.is_empty() && routing_keys.is_empty() {
            let what = "this needs --policy_routing_keys with the names of the members that make \
                        the routing key";
            self.faults.add("--policy_topic", what);
        }
        let mut rule = PolicyRule { filter, routing_keys, ..PolicyRule::default() };
        self.read("--shift_offset", flags.shift_offset.as_ref(), &mut |text| {
            put(&mut rule.shift_offset, values::offset(text))
        });
        for (flag, text, path) in [
            ("--map_key_email", &flags.map_key_email, &mut rule.email),
            ("--map_key_shift", &flags.map_key_shift, &mut rule.shift),
        ] {
            self.read(flag, text.as_ref(), &mut |text| put(path, values::path(text)));
        }
        rule
    }
}
