//! How a cluster is, as `/ready` reports it.

use crate::message::Refused;
use crate::system::health::Session;
use rdkafka::error::RDKafkaErrorCode as Code;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};

/// How a cluster is.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// A broker is reached.
    connected: bool,
    /// We are a member of the group.
    joined: bool,
    /// Topics that do not exist, or that we may not read.
    missing: BTreeSet<String>,
    /// What went wrong last, while something is wrong.
    error: String,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing: librdkafka keeps trying.
    Wait,
    /// Check which topics exist.
    Look,
    /// Nothing, and nothing is wrong.
    None,
}

/// The few of librdkafka's statistics that we need.
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, BrokerState>,
    cgrp: Option<GroupState>,
}

#[derive(Deserialize)]
struct BrokerState {
    state: String,
}

#[derive(Deserialize)]
struct GroupState {
    state: String,
    join_state: String,
}

impl Standing {
    /// The group gave us partitions, maybe none.
    pub(super) fn assigned(&mut self) {
        (self.connected, self.joined) = (true, true);
        self.settle();
    }

    /// The group gave us up.
    pub(super) fn lost(&mut self) {
        self.joined = false;
        "the group gave us up, joining it again".clone_into(&mut self.error);
    }

    /// librdkafka reported an error; `words` say which.
    pub(super) fn failed(&mut self, code: Code, words: &str) -> Remedy {
        match code {
            Code::PartitionEOF | Code::NoError => return Remedy::None,
            Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed => return Remedy::Look,
            Code::AllBrokersDown => self.connected = false,
            Code::GroupAuthorizationFailed | Code::PollExceeded => self.joined = false,
            _ => (),
        }
        // "All brokers are down" says less than why one of them is.
        if code != Code::AllBrokersDown || self.error.is_empty() {
            words.clone_into(&mut self.error);
        }
        Remedy::Wait
    }

    /// Takes in librdkafka's statistics.
    pub(super) fn statistics(&mut self, json: &[u8]) {
        let Ok(Statistics { brokers, cgrp }) = serde_json::from_slice(json) else { return };
        self.connected = brokers.values().any(|broker| broker.state == "UP");
        match cgrp {
            Some(group) if group.state != "up" => {
                if self.connected && self.joined {
                    let state = group.state;
                    self.error = format!("the coordinator of the group is not reached ({state})");
                }
                self.joined = false;
            }
            Some(group) if group.join_state == "steady" => self.joined = true,
            Some(_) | None => (),
        }
        self.settle();
    }

    /// Notes which of our topics do not exist; `true` if that is news.
    pub(super) fn missing(&mut self, topics: BTreeSet<String>) -> bool {
        let new = self.missing != topics;
        self.missing = topics;
        new
    }

    /// Whether a topic was missing at the last check.
    pub(super) fn lacks_topics(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Whether all is well with brokers and group.
    pub(super) fn is_well(&self) -> bool {
        self.connected && self.joined
    }

    /// What is wrong at present, or empty.
    pub(super) fn trouble(&self) -> String {
        if self.connected && !self.missing.is_empty() {
            let topics: Vec<&str> = self.missing.iter().map(String::as_str).collect();
            let topics = topics.join(", ");
            return format!("not there, or not for this user to see: topic {topics}");
        }
        match (self.is_well(), self.error.is_empty()) {
            (true, _) => String::new(),
            (false, false) => self.error.clone(),
            (false, true) if self.connected => "the group is not joined yet".to_owned(),
            (false, true) => "no broker is reached".to_owned(),
        }
    }

    /// Puts it on the health board.
    pub(super) fn report(&self, session: &mut Session, refused: Option<Refused>) {
        session.connected = self.connected;
        session.subscriptions_ready = self.is_well() && self.missing.is_empty();
        session.error = match refused {
            Some(refused) if self.is_well() => refused.to_string(),
            _ => self.trouble(),
        };
    }

    fn settle(&mut self) {
        if self.is_well() {
            self.error.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(standing: &Standing, connected: bool, ready: bool, error: &str) {
        let mut session = Session::default();
        standing.report(&mut session, None);
        assert_eq!(
            (session.connected, session.subscriptions_ready, session.error.as_str()),
            (connected, ready, error)
        );
    }

    fn statistics(broker: &str, group: &str, join: &str) -> Vec<u8> {
        let text = r#"{"name":"x","brokers":{"k/1":{"nodeid":1,"state":"BROKER","rxidle":-1}},
            "cgrp":{"state":"GROUP","join_state":"JOIN","assignment_size":0}}"#;
        text.replace("BROKER", broker).replace("GROUP", group).replace("JOIN", join).into_bytes()
    }

    #[test]
    fn ready_is_a_broker_and_a_group_and_all_topics() {
        let mut standing = Standing::default();
        check(&standing, false, false, "no broker is reached");
        standing.statistics(&statistics("CONNECT", "init", "init"));
        check(&standing, false, false, "no broker is reached");
        standing.statistics(&statistics("UP", "up", "wait-join"));
        check(&standing, true, false, "the group is not joined yet");
        standing.assigned();
        check(&standing, true, true, "");
        // A rebalance goes on while its members work.
        standing.statistics(&statistics("UP", "up", "wait-join"));
        check(&standing, true, true, "");

        standing.missing(BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        check(&standing, true, false, "not there, or not for this user to see: topic a, b");
        standing.missing(BTreeSet::new());
        check(&standing, true, true, "");
    }

    #[test]
    fn why_a_broker_is_not_reached_is_told_until_it_is() {
        let mut standing = Standing::default();
        standing.assigned();
        assert_eq!(
            standing.failed(Code::BrokerTransportFailure, "connection refused"),
            Remedy::Wait
        );
        check(&standing, true, true, "");
        assert_eq!(standing.failed(Code::AllBrokersDown, "1/1 brokers are down"), Remedy::Wait);
        check(&standing, false, false, "connection refused");
        standing.statistics(&statistics("UP", "up", "steady"));
        check(&standing, true, true, "");
        standing.statistics(&statistics("UP", "wait-broker-transport", "steady"));
        let words = "the coordinator of the group is not reached (wait-broker-transport)";
        check(&standing, true, false, words);
        standing.assigned();
        standing.lost();
        check(&standing, true, false, "the group gave us up, joining it again");
    }

    #[test]
    fn some_errors_ask_for_a_look_and_some_are_none() {
        for (code, wanted) in [
            (Code::UnknownTopicOrPartition, Remedy::Look),
            (Code::TopicAuthorizationFailed, Remedy::Look),
            (Code::PartitionEOF, Remedy::None),
            (Code::Authentication, Remedy::Wait),
        ] {
            assert_eq!(Standing::default().failed(code, "words"), wanted, "{code:?}");
        }
    }
}
