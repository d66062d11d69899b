//! A build with a Kafka consumer: librdkafka, blocking, one thread of ours for each cluster.
//!
//! `settings` configures librdkafka. `ledger` knows which messages are in our hands and how far
//! each partition is finished, and `bell` wakes a sleeping consumer. `context` hears what
//! librdkafka reports, `standing` derives from it how the cluster is, and `life` is the one loop.

mod bell;
mod context;
mod ledger;
mod life;
mod settings;
mod standing;

use crate::config::{Cluster, Sasl};
use crate::intake::{Intake, Plan};
use crate::queue::Storing;
use crate::sources::hand::Hand;
use crate::sources::origin;
use crate::system::health::Health;
use crate::system::pulse::Pulse;
use crate::system::stop::{Stop, Stopper};
use crate::system::threads::{self, Failures};
use bell::Bell;
use context::Context;
use crossbeam_channel::{Receiver, bounded};
use life::Life;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

/// Whether this build can consume from Kafka.
pub const BUILT_IN: bool = true;

/// A bundle of CAs to trust instead of the system's.
const CA_VARIABLE: &str = "SSL_CERT_FILE";

/// A consumer that is ready to start: every setting is right, every file is loaded.
pub struct Consumer(Life);

/// A consumer that runs.
///
/// To end it, drop the [`Stopper`](crate::system::stop::Stopper), call [`Running::wake`], and
/// [`Running::join`] it: it commits what is finished and leaves its group.
pub struct Running {
    name: String,
    join: JoinHandle<()>,
    bell: Arc<Bell>,
    done: Receiver<Infallible>,
}

/// Checks all that can be checked without a connection.
///
/// # Errors
///
/// Says which option or file cannot be used, and why.
pub fn check(cluster: &Cluster) -> Result<(), String> {
    create(cluster, None, &Arc::default()).map(|_| ())
}

/// The same, and makes a consumer that is ready to start and known to `health`.
///
/// # Errors
///
/// As [`check`].
pub fn prepare(cluster: &Cluster, intake: Intake, health: &Health) -> Result<Consumer, String> {
    let bell = Arc::new(Bell::default());
    let brokers = cluster.bootstrap.join(",");
    let mut consumer = create(cluster, Some(brokers), &bell)?;
    let ringer = Arc::clone(&bell);
    consumer.set_nonempty_callback(move || ringer.ring());
    health.consumer(&cluster.name, |session| {
        "not connected yet".clone_into(&mut session.error);
    });
    let plan = Plan {
        name: format!("kafka {}", cluster.name),
        source: origin("kafka", &cluster.name),
        rules: cluster.rules.clone(),
        routing: cluster.routing,
        storing: match cluster.buffer {
            true => Storing::within(cluster.hold),
            false => Storing::IfOthersPass,
        },
        bytes_max: cluster.message_bytes_max,
    };
    let hand = Hand::new(intake, plan);
    Ok(Consumer(Life::new(cluster.clone(), consumer, bell, hand, health.clone())))
}

/// Without brokers it connects to nothing.
fn create(
    cluster: &Cluster,
    brokers: Option<String>,
    bell: &Arc<Bell>,
) -> Result<BaseConsumer<Context>, String> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Info);
    config.extend(settings::settings(cluster, std::env::var(CA_VARIABLE).ok()));
    if let Some(brokers) = brokers {
        config.set("bootstrap.servers", brokers);
    }
    let token = match &cluster.sasl {
        Some(Sasl::Token(file)) => Some(file.clone()),
        _ => None,
    };
    let context = Context::new(cluster.name.clone(), Arc::clone(bell), token);
    config.create_with_context(context).map_err(|error| match error {
        // The value may be a secret.
        KafkaError::ClientConfig(_, what, name, _) => format!("option `{name}`: {what}"),
        KafkaError::ClientCreation(what) => what,
        other => other.to_string(),
    })
}

impl Consumer {
    /// Connects in the background, without end, until the stop. Its thread holds `here` to its end.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started.
    pub fn start(self, stop: &Stop, failures: &Failures, here: Stopper) -> io::Result<Running> {
        let Consumer(life) = self;
        let bell = life.bell();
        let name = format!("kafka {}", life.name());
        let (ends, done) = bounded(0);
        let (stop, tell) = (stop.clone(), failures.clone());
        let join = threads::spawn_vital(&name, failures, move || {
            // Dropped with the thread, so that `join` need not wait for ever.
            let _ends = (ends, here);
            life.run(&stop, &tell)
        })?;
        Ok(Running { name, join, bell, done })
    }
}

impl Running {
    /// The name of its thread.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its thread gives signs of life, and what wakes it for that.
    pub fn pulse(&self) -> (Pulse, impl Fn() + Send + 'static) {
        let bell = Arc::clone(&self.bell);
        (bell.pulse().clone(), move || bell.ring())
    }

    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// Waits for the end of its thread, until `deadline` at most; says whether it has ended.
    #[must_use]
    pub fn join(self, deadline: Instant) -> bool {
        if self.done.recv_deadline(deadline) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            return false;
        }
        if self.join.join().is_err() {
            log::error!("kafka: a consumer has panicked");
        }
        true
    }
}
