//! The flags that make a broker and its rules.

use super::Reading;
use super::rules::{self, NO_TOPIC, Wanted};
use crate::config::values::{self, put};
use crate::config::whole::{Needs, Placed};
use crate::config::{Broker, Qos, Routing, Scheme, Secret};

pub(super) struct Mqtt<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
}

impl Mqtt<'_, '_> {
    pub(super) fn broker(&mut self, wanted: &[Wanted]) -> Option<Placed<Broker>> {
        let flags = &self.reading.asked.flags;
        let mut address = None;
        self.reading.read("--mqtt_host", flags.mqtt_host.as_ref(), &mut |text| {
            put(&mut address, values::address(text))
        });
        let scheme = address.as_ref().and_then(|address| address.scheme);
        let in_host = address.as_ref().and_then(|address| address.port);
        let mut broker = Broker::at(address.unwrap_or_default());
        broker.routing = Routing::First;
        broker.buffer = flags.mqtt_buffer;
        self.port(&mut broker, in_host);
        self.tls(&mut broker, scheme);
        let qos = self.qos();
        self.reading.read("--mqtt_packet_limit", flags.mqtt_packet_limit.as_ref(), &mut |text| {
            put(&mut broker.packet_bytes_max, values::size_usize(text, values::PACKET_BYTES))
        });
        self.identity(&mut broker);
        // The topics may be those of Kafka alone.
        if flags.mqtt_host.is_none() && flags.kafka_brokers.is_some() {
            return None;
        }
        let rule_qos = qos.unwrap_or(Qos::AtMostOnce);
        broker.rules = self.reading.rules(wanted, rule_qos, &values::topic_filter);
        flags.mqtt_host.as_ref()?;
        if wanted.is_empty() {
            self.reading.faults.add("--mqtt_host", NO_TOPIC);
        }
        broker.password = self.password(broker.username.is_some());
        let mut needs = rules::needs(wanted);
        needs.extend(qos.map(|qos| Needs::Acknowledged(qos, "--mqtt_qos".into())));
        let (name, id) = ("--mqtt_host".into(), "--mqtt_name".into());
        Some(Placed { it: broker, is_enabled: true, name, id, needs })
    }

    /// `None` if it cannot be read.
    fn qos(&mut self) -> Option<Qos> {
        let flags = &self.reading.asked.flags;
        let Some(text) = &flags.mqtt_qos else { return Some(Qos::AtMostOnce) };
        let mut qos = None;
        self.reading.read("--mqtt_qos", Some(text), &mut |text| put(&mut qos, values::qos(text)));
        qos
    }

    /// Our identity, group and protocol version.
    fn identity(&mut self, broker: &mut Broker) {
        let flags = &self.reading.asked.flags;
        let mut version = None;
        self.reading.read("--mqtt_version", flags.mqtt_version.as_ref(), &mut |text| {
            put(&mut version, values::version(text))
        });
        self.reading.read("--mqtt_shared_group", flags.mqtt_shared_group.as_ref(), &mut |text| {
            broker.share(values::shared_group(text)?);
            Ok(())
        });
        broker.version = version.unwrap_or(broker.version);
        self.reading.read("--mqtt_name", flags.mqtt_name.as_ref(), &mut |text| {
            put(&mut broker.client_id, values::mqtt_text(text))
        });
        self.reading.read("--mqtt_username", flags.mqtt_username.as_ref(), &mut |text| {
            put(&mut broker.username, values::mqtt_text(text))
        });
    }

    /// The port may be given in either place, and in both if it is the same.
    fn port(&mut self, broker: &mut Broker, in_host: Option<u16>) {
        let text = self.reading.asked.flags.mqtt_port.as_ref();
        let mut flag = None;
        self.reading.read("--mqtt_port", text, &mut |text| {
            put(&mut flag, values::port(text, values::PORTS))
        });
        if let (Some(flag), Some(in_host)) = (flag, in_host)
            && flag != in_host
        {
            let what = format!("the port is {flag} here and {in_host} in --mqtt_host");
            self.reading.faults.add("--mqtt_port", what);
        }
        broker.port = flag.unwrap_or(broker.port);
    }

    fn tls(&mut self, broker: &mut Broker, scheme: Option<Scheme>) {
        let flags = &self.reading.asked.flags;
        if flags.mqtt_tls && scheme == Some(Scheme::Plain) {
            let what = "the URL in --mqtt_host asks for a connection without TLS";
            self.reading.faults.add("--mqtt_tls", what);
        }
        let wanted = flags.mqtt_tls || broker.tls.is_some();
        let files = [
            ("--mqtt_ca", flags.mqtt_ca.as_ref()),
            ("--mqtt_client_cert", flags.mqtt_client_cert.as_ref()),
            ("--mqtt_client_key", flags.mqtt_client_key.as_ref()),
        ];
        let tls = self.reading.tls(files, wanted, "--mqtt_tls");
        broker.tls = wanted.then_some(tls);
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
        // A flag without effect has been noted already.
        if !has_username && !said && flags.mqtt_username.is_none() {
            let what = "a password has no effect without --mqtt_username";
            self.reading.faults.add("ILAGENT_MQTT_PASSWORD", what);
        }
        Some(password)
    }
}
