//! The flags that make a broker and its rules.

use super::Reading;
use crate::config::values::{self, Address, Scheme};
use crate::config::{
    Broker, ClientCertificate, Enrichment, EventRule, EventTypeMap, JsonPath, PayloadFilter,
    PolicyRule, Qos, Routing, Rule, Secret, Target, Tls, Version, defaults,
};
use std::path::PathBuf;

/// The documented words for a QoS that leaves nothing to acknowledge.
const QOS_0: &str = "QoS 0 without --mqtt_buffer is rejected at startup because there is no \
    broker acknowledgement to delay when ilert delivery fails; use --mqtt_qos 1 or --mqtt_qos 2, \
    or add --mqtt_buffer to accept QoS 0 messages";

/// The documented words for a broker that nothing is wanted from.
const NO_TOPIC: &str = "at least one topic (-e, -r, or --policy_topic) must be configured";

pub(super) struct Mqtt<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
}

impl Mqtt<'_, '_> {
    pub(super) fn broker(&mut self, enrichment: &Enrichment, has_api_key: bool) -> Option<Broker> {
        let flags = &self.reading.asked.flags;
        let address = self.reading.keep("--mqtt_host", flags.mqtt_host.as_ref(), values::address);
        let port = self.port(address.as_ref());
        let tls = self.tls(address.as_ref());
        let qos = self.reading.keep("--mqtt_qos", flags.mqtt_qos.as_ref(), values::qos);
        let limit = self.reading.keep("--mqtt_packet_limit", flags.mqtt_packet_limit.as_ref(), {
            |text| values::size_usize(text, values::PACKET_BYTES)
        });
        let version =
            self.reading.keep("--mqtt_version", flags.mqtt_version.as_ref(), values::version);
        let group = flags.mqtt_shared_group.as_ref();
        let shared_group = self.reading.keep("--mqtt_shared_group", group, values::shared_group);
        let client_id =
            self.reading.keep("--mqtt_name", flags.mqtt_name.as_ref(), values::mqtt_text);
        let user = flags.mqtt_username.as_ref();
        let username = self.reading.keep("--mqtt_username", user, values::mqtt_text);
        // A number that is wrong has been noted, and says nothing about what follows.
        let refused = qos == Some(Qos::AtMostOnce) || flags.mqtt_qos.is_none();
        if flags.mqtt_host.is_some() && refused && !flags.mqtt_buffer {
            self.reading.faults.add("--mqtt_qos", QOS_0);
        }
        let rules = self.rules(qos.unwrap_or(Qos::AtMostOnce), enrichment, has_api_key);
        let address = address?;
        let password = self.password(username.is_some());
        Some(Broker {
            name: address.host.clone(),
            host: address.host,
            port,
            client_id: client_id.unwrap_or_else(|| defaults::CLIENT_ID.to_owned()),
            username,
            password,
            tls,
            version: version.unwrap_or(match &shared_group {
                Some(_) => Version::V5,
                None => Version::V311,
            }),
            keep_alive: defaults::KEEP_ALIVE,
            packet_bytes_max: limit.unwrap_or(defaults::PACKET_BYTES_MAX),
            shared_group,
            buffer: flags.mqtt_buffer,
            routing: Routing::First,
            rules,
        })
    }

    /// The port may stand in either place, and in both if it is the same.
    fn port(&mut self, address: Option<&Address>) -> u16 {
        let text = self.reading.asked.flags.mqtt_port.as_ref();
        let flag = self.reading.keep("--mqtt_port", text, |text| values::port(text, values::PORTS));
        let in_host = address.and_then(|address| address.port);
        if let (Some(flag), Some(in_host)) = (flag, in_host)
            && flag != in_host
        {
            let what = format!("the port is {flag} here and {in_host} in --mqtt_host");
            self.reading.faults.add("--mqtt_port", what);
        }
        let of_scheme = match address.and_then(|address| address.scheme) {
            Some(Scheme::Tls) => defaults::MQTT_TLS_PORT,
            Some(Scheme::Plain) | None => defaults::MQTT_PORT,
        };
        flag.or(in_host).unwrap_or(of_scheme)
    }

    fn tls(&mut self, address: Option<&Address>) -> Option<Tls> {
        let flags = &self.reading.asked.flags;
        let scheme = address.and_then(|address| address.scheme);
        if flags.mqtt_tls && scheme == Some(Scheme::Plain) {
            let what = "the URL in --mqtt_host asks for a connection without TLS";
            self.reading.faults.add("--mqtt_tls", what);
        }
        let wanted = flags.mqtt_tls || scheme == Some(Scheme::Tls);
        let mut file = |flag: &str, text: Option<&String>| {
            if text.is_some() && !wanted {
                self.reading.faults.add(flag, "this has no effect without --mqtt_tls");
            }
            self.reading.keep(flag, text, values::filled).map(PathBuf::from)
        };
        let ca = file("--mqtt_ca", flags.mqtt_ca.as_ref());
        let chain = file("--mqtt_client_cert", flags.mqtt_client_cert.as_ref());
        let key = file("--mqtt_client_key", flags.mqtt_client_key.as_ref());
        let client = chain.zip(key).map(|(chain, key)| ClientCertificate { chain, key });
        wanted.then_some(Tls { ca, client })
    }

    fn password(&mut self, has_username: bool) -> Option<Secret> {
        let flags = &self.reading.asked.flags;
        let said = flags.mqtt_password.is_some() || flags.mqtt_password_file.is_some();
        let password = self.reading.secret(
            ("--mqtt_password", flags.mqtt_password.as_ref()),
            flags.mqtt_password_file.as_ref(),
            Some("ILAGENT_MQTT_PASSWORD"),
            "mqtt_password",
        )?;
        // Where a flag said it, the flag has been found without effect already.
        if !has_username && !said && flags.mqtt_username.is_none() {
            let what = "a password has no effect without --mqtt_username";
            self.reading.faults.add("ILAGENT_MQTT_PASSWORD", what);
        }
        Some(password)
    }

    /// Heartbeats first, then policy updates, then events: the first rule that matches wins.
    fn rules(&mut self, qos: Qos, enrichment: &Enrichment, has_api_key: bool) -> Vec<Rule> {
        let flags = &self.reading.asked.flags;
        let filter = self.filter();
        let event = self.event(filter.clone(), enrichment);
        let policy = self.policy(filter, has_api_key);
        let mut rules: Vec<Rule> = Vec::new();
        for (flag, topics, to) in [
            ("--heartbeat_topic", &flags.heartbeat_topic, Target::Heartbeat),
            ("--policy_topic", &flags.policy_topic, Target::Policy(Box::new(policy))),
            ("--event_topic", &flags.event_topic, Target::Event(Box::new(event))),
        ] {
            for topic in self.reading.keep_all(flag, topics, values::topic_filter) {
                if rules.iter().any(|rule| rule.filter == topic) {
                    let what = format!(
                        "`{topic}` is there already; the first of heartbeat, policy and event \
                         topic gets its messages"
                    );
                    self.reading.faults.add(flag, what);
                }
                rules.push(Rule { filter: topic, qos, to: to.clone() });
            }
        }
        let none = [&flags.heartbeat_topic, &flags.policy_topic, &flags.event_topic]
            .iter()
            .all(|topics| topics.is_empty());
        if flags.mqtt_host.is_some() && none {
            self.reading.faults.add("--mqtt_host", NO_TOPIC);
        }
        rules
    }

    fn path(&mut self, flag: &str, text: Option<&String>) -> Option<JsonPath> {
        self.reading.keep(flag, text, values::path)
    }

    fn filter(&mut self) -> Option<PayloadFilter> {
        let flags = &self.reading.asked.flags;
        let key = self.reading.keep("--filter_key", flags.filter_key.as_ref(), values::filled)?;
        Some(PayloadFilter { key, value: flags.filter_val.clone() })
    }

    fn event(&mut self, filter: Option<PayloadFilter>, enrichment: &Enrichment) -> EventRule {
        let flags = &self.reading.asked.flags;
        let event_key = if flags.event_topic.is_empty() {
            None
        } else {
            self.reading.secret(
                ("--event_key", flags.event_key.as_ref()),
                flags.event_key_file.as_ref(),
                None,
                "event_key",
            )
        };
        let labels = self.reading.keep_all("--map_key_label", &flags.map_key_label, |text| {
            let (name, path) = values::pair(text)?;
            Ok((name, values::path(&path)?))
        });
        EventRule {
            filter,
            event_key,
            event_type: EventTypeMap {
                path: self.path("--map_key_etype", flags.map_key_etype.as_ref()),
                alert: flags.map_val_etype_alert.clone(),
                accept: flags.map_val_etype_accept.clone(),
                resolve: flags.map_val_etype_resolve.clone(),
            },
            alert_key: self.path("--map_key_alert_key", flags.map_key_alert_key.as_ref()),
            summary: self.path("--map_key_summary", flags.map_key_summary.as_ref()),
            severity: self.path("--map_key_severity", flags.map_key_severity.as_ref()),
            routing_key: self.path("--map_key_routing_key", flags.map_key_routing_key.as_ref()),
            labels: labels.into_iter().collect(),
            forward_payload: flags.forward_message_payload,
            enrichment: enrichment.clone(),
        }
    }

    fn policy(&mut self, filter: Option<PayloadFilter>, has_api_key: bool) -> PolicyRule {
        let flags = &self.reading.asked.flags;
        let names = flags.policy_routing_keys.as_deref().unwrap_or_default();
        let routing_keys: Vec<String> =
            names.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect();
        if !flags.policy_topic.is_empty() {
            if routing_keys.is_empty() {
                let what = "this needs --policy_routing_keys with the names of the members that \
                            make the routing key";
                self.reading.faults.add("--policy_topic", what);
            }
            if !has_api_key {
                let what = "this needs an API key in the environment variable ILERT_API_KEY";
                self.reading.faults.add("--policy_topic", what);
            }
        }
        let or = |path: Option<JsonPath>, default: &str| {
            path.unwrap_or_else(|| JsonPath(default.to_owned()))
        };
        let offset = self.reading.keep("--shift_offset", flags.shift_offset.as_ref(), |text| {
            text.parse().map_err(|_| format!("`{text}` is not a whole number"))
        });
        PolicyRule {
            filter,
            routing_keys,
            email: or(self.path("--map_key_email", flags.map_key_email.as_ref()), "data.email"),
            shift: or(self.path("--map_key_shift", flags.map_key_shift.as_ref()), "data.shift"),
            shift_offset: offset.unwrap_or(0),
        }
    }
}
