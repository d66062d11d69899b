//! The flags that make a broker and its rules.

use super::Reading;
use super::rules::{NO_TOPIC, Wanted};
use crate::config::values::{self, Address, Scheme};
use crate::config::{Broker, Qos, Routing, Secret, Tls, Version, defaults};

/// The documented words for a QoS that leaves nothing to acknowledge.
const QOS_0: &str = "QoS 0 without --mqtt_buffer is rejected at startup because there is no \
    broker acknowledgement to delay when ilert delivery fails; use --mqtt_qos 1 or --mqtt_qos 2, \
    or add --mqtt_buffer to accept QoS 0 messages";

pub(super) struct Mqtt<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
}

impl Mqtt<'_, '_> {
    pub(super) fn broker(&mut self, wanted: &[Wanted]) -> Option<Broker> {
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
        // The topics may be those of Kafka alone.
        if flags.mqtt_host.is_none() && flags.kafka_brokers.is_some() {
            return None;
        }
        let qos = qos.unwrap_or(Qos::AtMostOnce);
        let rules = self.reading.rules(wanted, qos, values::topic_filter);
        if flags.mqtt_host.is_some() && wanted.is_empty() {
            self.reading.faults.add("--mqtt_host", NO_TOPIC);
        }
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
        let files = [
            ("--mqtt_ca", flags.mqtt_ca.as_ref()),
            ("--mqtt_client_cert", flags.mqtt_client_cert.as_ref()),
            ("--mqtt_client_key", flags.mqtt_client_key.as_ref()),
        ];
        let tls = self.reading.tls(files, wanted, "--mqtt_tls");
        wanted.then_some(tls)
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
}
