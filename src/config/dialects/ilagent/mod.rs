//! Flags and environment, as iLert documents them.

mod effects;
mod flags;
mod kafka;
mod mqtt;
mod rules;

pub use flags::{Flags, GROUPS};

use crate::config::surroundings::{self, Checked, Surroundings};
use crate::config::{
    ClientCertificate, Config, Enrichment, Faults, Http, Ilert, Queue, Secret, Tls, values,
};
use std::path::PathBuf;

/// What was asked for on the command line. It may hold secrets, so it does not print.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The flags, as written.
    pub flags: Flags,
    /// The names of those that were given, with underscores.
    pub given: Vec<String>,
    /// `--file`, if it was given.
    pub database: Option<String>,
}

/// Turns flags and environment into the model.
///
/// # Errors
///
/// Every fault, named after its flag or variable.
pub fn read(asked: &Asked, around: &Surroundings<'_>) -> Result<Checked, Faults> {
    let mut reading = Reading { asked, around, faults: Faults::default(), warnings: Vec::new() };
    effects::check(&asked.given, around.has_kafka, &mut reading.faults);
    let enrichment = reading.enrichment();
    let ilert = reading.ilert();
    let http = reading.http(&enrichment);
    let wanted = reading.wanted(&enrichment, ilert.api_key.is_some());
    let broker = mqtt::Mqtt { reading: &mut reading }.broker(&wanted);
    let cluster = kafka::Kafka { reading: &mut reading }.cluster(&wanted);
    let queue = reading.queue();
    if asked.flags.mqtt_host.is_none()
        && asked.flags.kafka_brokers.is_none()
        && asked.flags.port.is_none()
        && ilert.heartbeat.is_none()
        && reading.faults.0.is_empty()
    {
        reading.faults.add(
            "ilagent",
            "nothing to do; give a broker (-m), a Kafka cluster (--kafka_brokers), an HTTP port \
             (-p), a heartbeat key (-b) or a configuration file (--config)",
        );
    }
    if !reading.faults.0.is_empty() {
        return Err(reading.faults);
    }
    let (brokers, clusters) = (broker.into_iter().collect(), cluster.into_iter().collect());
    let config = Config { brokers, clusters, http, ilert, queue };
    Ok(Checked { config, warnings: reading.warnings })
}

/// Notes every flag that may not stand beside `--config`, with the key that says the same, and
/// returns the port, which may.
pub fn beside_file(asked: &Asked, faults: &mut Faults) -> Option<u16> {
    effects::check_beside_file(&asked.given, faults);
    port(&asked.flags, faults)
}

fn port(flags: &Flags, faults: &mut Faults) -> Option<u16> {
    let text = flags.port.as_deref()?;
    faults.keep("--port", values::port(text, values::LISTENING_PORTS))
}

/// A reading under way: what was asked, and what was found wrong so far.
struct Reading<'a> {
    asked: &'a Asked,
    around: &'a Surroundings<'a>,
    faults: Faults,
    warnings: Vec<String>,
}

impl Reading<'_> {
    /// Parses the value of a flag, if it was given.
    fn keep<T>(
        &mut self,
        flag: &str,
        text: Option<&String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.faults.keep(flag, parse(text?))
    }

    /// Parses every value of a flag that may be repeated.
    fn keep_all<T>(
        &mut self,
        flag: &str,
        texts: &[String],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        texts.iter().filter_map(|text| self.faults.keep(flag, parse(text))).collect()
    }

    /// A secret: from its flag, else its file, else the environment, else systemd.
    fn secret(
        &mut self,
        (flag, text): (&str, Option<&String>),
        file: Option<&String>,
        variable: Option<&str>,
        credential: &str,
    ) -> Option<Secret> {
        if let Some(text) = text {
            return self.faults.keep(flag, surroundings::secret(text));
        }
        if let Some(file) = file {
            let secret = self.secret_path(file).and_then(|path| self.around.secret_file(&path));
            return self.faults.keep(&format!("{flag}_file"), secret);
        }
        self.around.secret(variable, credential, &mut self.faults)
    }

    /// A file that holds a secret; notes what somebody should know about it.
    fn secret_path(&mut self, written: &str) -> Result<PathBuf, String> {
        let path = self.around.path(written)?;
        let warning = self.around.warning(&path);
        self.warnings.extend(warning.filter(|warning| !self.warnings.contains(warning)));
        Ok(path)
    }

    fn enrichment(&mut self) -> Enrichment {
        let flags = &self.asked.flags;
        Enrichment {
            labels: self.keep_all("--label", &flags.label, values::pair).into_iter().collect(),
            severity: self.keep("--severity", flags.severity.as_ref(), values::severity),
            services: self.keep_all("--service", &flags.service, values::service),
        }
    }

    fn ilert(&mut self) -> Ilert {
        let flags = &self.asked.flags;
        let mut ilert = Ilert::default();
        self.around.hosts(&mut ilert, &mut self.faults);
        let key = self.around.secret(Some("ILERT_API_KEY"), "api_key", &mut self.faults);
        if let Some((key, bearer)) = key.as_ref().and_then(surroundings::api_key) {
            ilert.api_key = Some(key);
            self.warnings.extend(bearer.then(|| surroundings::BEARER.to_owned()));
        }
        ilert.heartbeat = self.secret(
            ("--heartbeat", flags.heartbeat.as_ref()),
            flags.heartbeat_file.as_ref(),
            Some("ILERT_HEARTBEAT_KEY"),
            "heartbeat_key",
        );
        let attempts = flags.max_retries.as_ref();
        if let Some(attempts) = self.keep("--max_retries", attempts, values::attempts) {
            ilert.attempts_max = attempts;
        }
        ilert
    }

    fn http(&mut self, enrichment: &Enrichment) -> Option<Http> {
        let flags = &self.asked.flags;
        let port = port(flags, &mut self.faults);
        let mut http = Http::on_port(port.unwrap_or_default());
        http.enrichment = enrichment.clone();
        if let Some(bind) = self.keep("--bind", flags.bind.as_ref(), values::ip) {
            http.bind = bind;
        }
        let limit = self.keep("--http_body_limit", flags.http_body_limit.as_ref(), |text| {
            values::size_usize(text, values::BODY_BYTES)
        });
        http.body_bytes_max = limit.unwrap_or(http.body_bytes_max);
        // Nobody asked for a listener, so nobody looks for its token.
        port?;
        http.token = self.secret(
            ("--http_token", flags.http_token.as_ref()),
            flags.http_token_file.as_ref(),
            Some("ILAGENT_HTTP_TOKEN"),
            "http_token",
        );
        Some(http)
    }

    fn queue(&mut self) -> Queue {
        let flags = &self.asked.flags;
        let mut queue = Queue::default();
        if let Some(path) = self.keep("--file", self.asked.database.as_ref(), values::filled) {
            queue.path = PathBuf::from(path);
        }
        let bytes = self.keep("--queue_limit", flags.queue_limit.as_ref(), |text| {
            values::size(text, values::QUEUE_BYTES)
        });
        let letters = self.keep("--dead_letters", flags.dead_letters.as_ref(), |text| {
            values::count(text, values::DEAD_LETTERS)
        });
        let age = self
            .keep("--max_age", flags.max_age.as_ref(), |text| values::duration(text, values::AGES));
        let sync = self.keep("--queue_sync", flags.queue_sync.as_ref(), values::sync);
        queue.bytes_max = bytes.unwrap_or(queue.bytes_max);
        queue.dead_letters_max = letters.unwrap_or(queue.dead_letters_max);
        queue.age_max = age.unwrap_or(queue.age_max);
        queue.sync = sync.unwrap_or(queue.sync);
        queue
    }

    /// The files of a TLS connection: CA, our certificate, its key. `switch` is the flag without
    /// which none of them has an effect.
    fn tls(&mut self, files: [(&str, Option<&String>); 3], wanted: bool, switch: &str) -> Tls {
        let [ca, chain, key] = files.map(|(flag, text)| {
            if text.is_some() && !wanted {
                self.faults.add(flag, format!("this has no effect without {switch}"));
            }
            let around = self.around;
            self.keep(flag, text, |text| around.path(&values::filled(text)?))
        });
        self.warnings.extend(key.as_ref().and_then(|key| self.around.warning(key)));
        let client = chain.zip(key).map(|(chain, key)| ClientCertificate { chain, key });
        Tls { ca, client }
    }
}
