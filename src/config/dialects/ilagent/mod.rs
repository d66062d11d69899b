//! Flags and environment, as iLert documents them.

mod effects;
mod flags;
mod kafka;
mod mqtt;
mod rules;

pub use flags::{Flags, GROUPS};

use super::dapr;
use crate::config::surroundings::{self, Surroundings};
use crate::config::values::{self, put};
use crate::config::whole::{self, Checked, Part, Words};
use crate::config::{ClientCertificate, Enrichment, Faults, Http, Ilert, Queue, Secret, Tls};
use std::path::PathBuf;

/// This dialect's words for what a whole configuration lacks.
const WORDS: Words = Words {
    // As documented upstream.
    qos_0: "QoS 0 without --mqtt_buffer is rejected at startup because there is no broker \
            acknowledgement to delay when ilert delivery fails; use --mqtt_qos 1 or --mqtt_qos 2, \
            or add --mqtt_buffer to accept QoS 0 messages",
    api_key: "this needs an API key in the environment variable ILERT_API_KEY",
    nothing: "give a broker (-m), a Kafka cluster (--kafka_brokers), an HTTP port (-p), a \
              heartbeat key (-b), a kapacitor.conf (--kapacitor), a service file (--connectware) or a \
              configuration file (--config)",
};

/// The command line. It may hold secrets, so it does not print.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The flags, as written.
    pub flags: Flags,
    /// The names of those given, with underscores.
    pub given: Vec<String>,
    /// `--file`, if it was given.
    pub database: Option<String>,
    /// What `kapacitord` calls the machine, if that was given.
    pub hostname: Option<String>,
    /// The flags of `daprd`, if it was called.
    pub dapr: Option<Vec<dapr::Given>>,
}

/// Turns flags and environment into the model, with what another dialect says of `more`.
///
/// # Errors
///
/// Every fault, under the name of its flag or variable.
pub fn read(asked: &Asked, more: Part, around: &Surroundings<'_>) -> Result<Checked, Faults> {
    let mut reading = Reading { asked, around, faults: Faults::default(), warnings: Vec::new() };
    effects::check(&asked.given, around.has_kafka, &mut reading.faults);
    let enrichment = reading.enrichment();
    let ilert = reading.ilert();
    let http = reading.http(&enrichment);
    let wanted = reading.wanted(&enrichment);
    let broker = mqtt::Mqtt { reading: &mut reading }.broker(&wanted);
    let cluster = kafka::Kafka { reading: &mut reading }.cluster(&wanted);
    let queue = reading.queue();
    let database = reading.database();
    let mut part = Part {
        brokers: broker.into_iter().collect(),
        clusters: cluster.into_iter().collect(),
        http: http.into_iter().collect(),
        ilert: Some(ilert),
        queue: Some(queue),
        database,
        faults: reading.faults,
        warnings: reading.warnings,
        ..Part::default()
    };
    part.join(more);
    whole::check(part, &WORDS, "ilagent".into(), around)
}

/// What flags say beside a file. Every flag that `--config` rules out is a fault, with the key to
/// use instead.
#[must_use]
pub fn beside_file(asked: &Asked, around: &Surroundings<'_>) -> Part {
    let mut reading = Reading { asked, around, faults: Faults::default(), warnings: Vec::new() };
    effects::check_beside_file(&asked.given, &mut reading.faults);
    let port = port(&asked.flags, &mut reading.faults);
    let database = reading.database();
    Part { port, database, faults: reading.faults, ..Part::default() }
}

fn port(flags: &Flags, faults: &mut Faults) -> Option<u16> {
    let text = flags.port.as_deref()?;
    faults.keep("--port", values::port(text, values::LISTENING_PORTS))
}

/// Uses the value of a flag, or says why it cannot.
type Read<'r> = &'r mut dyn FnMut(&str) -> Result<(), String>;

/// A command line being read, and what was found wrong so far.
struct Reading<'a> {
    asked: &'a Asked,
    around: &'a Surroundings<'a>,
    faults: Faults,
    warnings: Vec<String>,
}

impl Reading<'_> {
    /// Reads the value of a flag, if it was given, or notes why it cannot be read.
    fn read(&mut self, flag: &str, text: Option<&String>, read: Read<'_>) {
        if let Some(Err(what)) = text.map(|text| read(text)) {
            self.faults.add(flag, what);
        }
    }

    /// A secret: from its flag, else its file, else the environment, else systemd.
    fn secret(
        &mut self,
        (flag, text): (&str, Option<&String>),
        file: Option<&String>,
        variable: Option<&str>,
        credential: &str,
    ) -> Option<Secret> {
        if text.is_some() || file.is_some() {
            return self.said((flag, text), file);
        }
        self.around.secret(variable, credential, &mut self.faults)
    }

    /// A secret from its flag, or else its file.
    fn said(
        &mut self,
        (flag, text): (&str, Option<&String>),
        file: Option<&String>,
    ) -> Option<Secret> {
        if let Some(text) = text {
            return self.faults.keep(flag, surroundings::secret(text));
        }
        let secret = self.secret_path(file?).and_then(|path| self.around.secret_file(&path));
        self.faults.keep(&format!("{flag}_file"), secret)
    }

    /// The path of a file that holds a secret; warns if everybody can read it.
    fn secret_path(&mut self, written: &str) -> Result<PathBuf, String> {
        let path = self.around.path(written)?;
        let warning = self.around.warning(&path);
        self.warnings.extend(warning.filter(|warning| !self.warnings.contains(warning)));
        Ok(path)
    }

    fn enrichment(&mut self) -> Enrichment {
        let flags = &self.asked.flags;
        let mut enrichment = Enrichment::default();
        for text in &flags.label {
            self.read("--label", Some(text), &mut |text| {
                enrichment.labels.extend([values::pair(text)?]);
                Ok(())
            });
        }
        self.read("--severity", flags.severity.as_ref(), &mut |text| {
            put(&mut enrichment.severity, values::severity(text))
        });
        for text in &flags.service {
            self.read("--service", Some(text), &mut |text| {
                enrichment.services.push(values::service(text)?);
                Ok(())
            });
        }
        enrichment
    }

    fn ilert(&mut self) -> Ilert {
        let flags = &self.asked.flags;
        let mut ilert = Ilert::nowhere();
        let (key, file) = (flags.heartbeat.as_ref(), flags.heartbeat_file.as_ref());
        ilert.heartbeat = self.said(("--heartbeat", key), file);
        self.read("--max_retries", flags.max_retries.as_ref(), &mut |text| {
            put(&mut ilert.attempts_max, values::attempts(text))
        });
        ilert
    }

    fn http(&mut self, enrichment: &Enrichment) -> Option<Http> {
        let flags = &self.asked.flags;
        let port = port(flags, &mut self.faults);
        let mut http = Http::on_port(port.unwrap_or_default());
        http.enrichment = enrichment.clone();
        self.read("--bind", flags.bind.as_ref(), &mut |text| put(&mut http.bind, values::ip(text)));
        self.read("--http_body_limit", flags.http_body_limit.as_ref(), &mut |text| {
            put(&mut http.body_bytes_max, values::size_usize(text, values::BODY_BYTES))
        });
        // Without a listener its token is not looked for.
        port?;
        http.token = self.secret(
            ("--http_token", flags.http_token.as_ref()),
            flags.http_token_file.as_ref(),
            Some("ILAGENT_HTTP_TOKEN"),
            "http_token",
        );
        Some(http)
    }

    fn database(&mut self) -> Option<PathBuf> {
        let mut database: Option<PathBuf> = None;
        self.read("--file", self.asked.database.as_ref(), &mut |text| {
            put(&mut database, values::filled(text).map(PathBuf::from))
        });
        database
    }

    fn queue(&mut self) -> Queue {
        let flags = &self.asked.flags;
        let mut queue = Queue::default();
        self.read("--queue_limit", flags.queue_limit.as_ref(), &mut |text| {
            put(&mut queue.bytes_max, values::size(text, values::QUEUE_BYTES))
        });
        self.read("--dead_letters", flags.dead_letters.as_ref(), &mut |text| {
            put(&mut queue.dead_letters_max, values::count(text, values::DEAD_LETTERS))
        });
        self.read("--max_age", flags.max_age.as_ref(), &mut |text| {
            put(&mut queue.age_max, values::duration(text, values::AGES))
        });
        self.read("--queue_sync", flags.queue_sync.as_ref(), &mut |text| {
            put(&mut queue.sync, values::sync(text))
        });
        queue
    }

    /// The files of a TLS connection: CA, our certificate, its key. `switch` is the flag without
    /// which none of them has an effect.
    fn tls(&mut self, files: [(&str, Option<&String>); 3], wanted: bool, switch: &str) -> Tls {
        let [ca, chain, key] = files.map(|(flag, text)| {
            if text.is_some() && !wanted {
                self.faults.add(flag, format!("this has no effect without {switch}"));
            }
            let (around, mut path) = (self.around, None::<PathBuf>);
            self.read(flag, text, &mut |text| put(&mut path, around.path(&values::filled(text)?)));
            path
        });
        self.warnings.extend(key.as_ref().and_then(|key| self.around.warning(key)));
        let client = chain
            .zip(key)
            .map(|(chain, key)| ClientCertificate { chain: chain.into(), key: key.into() });
        Tls { ca: ca.map(Into::into), client, ..Tls::default() }
    }
}
