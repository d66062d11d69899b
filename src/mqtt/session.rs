//! A session from outside: checked, prepared, started, woken and joined. One thread a broker.

use crate::config::Broker;
use crate::message::Accept;
use crate::mqtt::bell::Bell;
use crate::mqtt::life::{Life, connect_packet};
use crate::mqtt::material::Materials;
use crate::mqtt::memory::Memory;
use crate::mqtt::pump::Pump;
use crate::mqtt::subscriptions::Subscriptions;
use crate::retry::Backoff;
use crate::system::health::{self, Health};
use crate::system::pulse::Pulse;
use crate::system::stop::Stop;
use crate::system::threads::{self, Failures};
use log::warn;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How many messages may be in our hands, not safe or not acknowledged; then reading stops.
pub const IN_HAND_MAX: usize = 4_096;

/// How patient a session is.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For look-up, TCP, TLS and CONNACK together.
    pub connect: Duration,
    /// A broker that takes no byte for so long is given up.
    pub stall: Duration,
    /// Between two looks at the TLS files.
    pub files: Duration,
    /// Between two tries to connect.
    pub reconnect: Backoff,
    /// A connection that lasted so long was good: back-off begins anew.
    pub good: Duration,
    /// Between two tries to subscribe to what was refused.
    pub subscribe: Backoff,
    /// Before a subscription that makes the broker close the connection is tried again.
    pub left_out: Duration,
    /// Before what is new about retained messages is remembered.
    pub remember: Duration,
    /// While somebody asks how we are: the silence after which the broker is pinged.
    pub watch: Duration,
    /// Before a ping without an answer is reported.
    pub worry: Duration,
    /// At the stop, for receipts that are still out.
    pub farewell: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Timing {
            connect: secs(10),
            stall: secs(10),
            files: secs(30),
            reconnect: Backoff { first: Duration::from_millis(100), longest: secs(30) },
            good: secs(30),
            subscribe: Backoff { first: secs(15), longest: secs(30) },
            left_out: secs(300),
            remember: secs(2),
            watch: secs(15),
            worry: secs(10),
            farewell: Duration::from_millis(1_500),
        }
    }
}

/// A session that is ready to start.
pub struct Session {
    pub(super) broker: Broker,
    pub(super) timing: Timing,
    pub(super) accept: Box<dyn Accept>,
    pub(super) memory: Box<dyn Memory>,
    pub(super) health: Health,
    pub(super) materials: Option<Materials>,
    pub(super) server_name: Option<ServerName<'static>>,
    pub(super) subscriptions: Subscriptions,
}

/// What a broker's configuration becomes, if it can be used.
struct Checked {
    materials: Option<Materials>,
    server_name: Option<ServerName<'static>>,
    subscriptions: Subscriptions,
}

/// Checks all that can be checked before a connection.
///
/// # Errors
///
/// Says in words which setting or file cannot be used, and why.
pub fn check(broker: &Broker) -> Result<(), String> {
    checked(broker).map(|_| ())
}

fn checked(broker: &Broker) -> Result<Checked, String> {
    connect_packet(broker, broker.version).encode(&mut Vec::new())?;
    let materials = broker.tls.as_ref().map(|files| Materials::load(&broker.name, files));
    let server_name = broker.tls.as_ref().map(|_| {
        ServerName::try_from(broker.host.clone())
            .map_err(|_| format!("`{}` is not a host name that TLS can check", broker.host))
    });
    Ok(Checked {
        materials: materials.transpose()?,
        server_name: server_name.transpose()?,
        subscriptions: Subscriptions::new(&broker.rules, broker.shared_group.as_deref())?,
    })
}

/// Checks all that can be checked before a connection, and reports the session to `health`.
///
/// # Errors
///
/// As [`check`].
pub fn prepare(
    broker: &Broker,
    timing: Timing,
    accept: Box<dyn Accept>,
    memory: Box<dyn Memory>,
    health: &Health,
) -> Result<Session, String> {
    let Checked { materials, server_name, subscriptions } = checked(broker)?;
    for (one, other) in subscriptions.overlaps() {
        warn!(
            "mqtt {}: a message can match both '{one}' and '{other}'; a broker that sends a copy \
             for each makes two messages of it",
            broker.name
        );
    }
    health.session(&broker.name, |session| {
        *session = health::Session { error: "not connected yet".to_owned(), ..Default::default() };
    });
    Ok(Session {
        timing,
        accept,
        memory,
        health: health.clone(),
        materials,
        server_name,
        subscriptions,
        broker: broker.clone(),
    })
}

impl Session {
    /// Connects in the background, for ever, until told to stop.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started, or the system has no poll left.
    pub fn start(self, stop: &Stop, failures: &Failures) -> io::Result<Running> {
        let pump = Pump::new(stop)?;
        let bell = pump.bell().clone();
        let name = format!("mqtt {}", self.broker.name);
        let asked = bell.clone();
        self.health.on_question(move || asked.ask());
        let life = Life::new(self, pump);
        let join = threads::spawn_vital(&name, failures, move || life.run())?;
        Ok(Running { name, join, bell })
    }
}

/// A session that runs.
///
/// To end it, drop the [`Stopper`](crate::system::stop::Stopper), call [`Running::wake`], and
/// [`Running::join`] it: it goes on acknowledging what is signed for a bounded time
/// ([`Timing::farewell`]), so let the sinks run on meanwhile.
pub struct Running {
    name: String,
    join: JoinHandle<()>,
    bell: Arc<Bell>,
}

impl Running {
    /// As its thread is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Wakes the session, so that it sees the stop at once.
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// Where its thread gives signs of life, and what wakes it for that.
    pub fn pulse(&self) -> (Pulse, impl Fn() + Send + 'static) {
        let bell = Arc::clone(&self.bell);
        (bell.pulse().clone(), move || bell.ring())
    }

    /// Waits for the end of its thread.
    pub fn join(self) {
        if self.join.join().is_err() {
            log::error!("mqtt: a session has panicked");
        }
    }

    /// Whether its thread has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.join.is_finished()
    }
}
