//! A session from outside: checked, prepared, started, woken and joined. Each broker has a thread.

use crate::config::{Broker, Qos, Version};
use crate::message::Accept;
use crate::mqtt::bell::Bell;
use crate::mqtt::codec;
use crate::mqtt::connection;
use crate::mqtt::filters::Wishes;
use crate::mqtt::life::{Kit, Life, Role, connect_packet};
use crate::mqtt::material::Materials;
use crate::mqtt::memory::Memory;
use crate::mqtt::pump::Pump;
use crate::mqtt::subscriptions::Subscriptions;
use crate::mqtt::supply::{Ring, Supply};
use crate::system::health::{self, Health};
use crate::system::pulse::Pulse;
use crate::system::stop::Stop;
use crate::system::threads::{self, Failures};
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

pub use crate::mqtt::outbox::UNDER_WAY_MAX;
pub use crate::mqtt::timing::{IN_HAND_MAX, Timing};

/// A session with subscriptions that is ready to start.
pub struct Session(Kit, Role);

/// A session that publishes, and is ready to start.
pub struct Publisher(Kit);

/// What a usable configuration of a broker becomes.
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

/// The filters that go to the broker, as far as that is known before a connection.
///
/// # Errors
///
/// Says in words which filter is not valid.
pub fn filters(broker: &Broker) -> Result<Vec<(String, Qos)>, String> {
    let mut wishes = Wishes::new(&broker.rules, broker.shared_group.as_deref())?;
    let way = wishes.best_way(broker.version == Version::V5);
    let sent = wishes.along(way).into_iter().map(|it| (wishes.sent(&it.filter), it.qos));
    Ok(sent.collect())
}

fn checked(broker: &Broker) -> Result<Checked, String> {
    codec::connect(&mut BytesMut::new(), &connect_packet(broker, broker.version, false))?;
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
    health.session(&broker.name, |session| {
        *session = health::Session { error: "not connected yet".to_owned(), ..Default::default() };
    });
    let kit = Kit {
        timing,
        health: health.clone(),
        materials,
        server_name,
        subscriptions,
        // Of two sessions that say when they are gone, one would contradict the other.
        broker: Broker { status: None, ..broker.clone() },
    };
    Ok(Session(kit, Role::Subscribe(accept, memory)))
}

/// Checks all that can be checked before a connection that publishes to `broker`.
///
/// # Errors
///
/// As [`check`].
pub fn prepare_publisher(broker: &Broker, timing: Timing) -> Result<Publisher, String> {
    // It is another client: it has its own id, says nothing else of itself, and subscribes to
    // nothing.
    let broker = Broker {
        name: format!("{} (out)", broker.name),
        client_id: broker.publisher_id(),
        rules: Vec::new(),
        shared_group: None,
        ..broker.clone()
    };
    let Checked { materials, server_name, subscriptions } = checked(&broker)?;
    let health = Health::default();
    Ok(Publisher(Kit { timing, health, materials, server_name, subscriptions, broker }))
}

impl Session {
    /// Connects in the background, and reconnects until the stop.
    ///
    /// # Errors
    ///
    /// Fails when the thread cannot be started, or the system has no poll left.
    pub fn start(self, stop: &Stop, failures: &Failures) -> io::Result<Running> {
        let Session(kit, role) = self;
        let pump = Pump::new(stop)?;
        kit.health.on_question(asked(&pump));
        Running::start(kit, role, pump, failures)
    }
}

impl Publisher {
    /// Connects in the background, and reconnects until the stop. `supply` is made with what wakes
    /// the session when there is something to publish.
    ///
    /// # Errors
    ///
    /// As [`Session::start`].
    pub fn start(
        mut self,
        stop: &Stop,
        failures: &Failures,
        health: &Health,
        supply: &mut dyn FnMut(Ring) -> Box<dyn Supply>,
    ) -> io::Result<Running> {
        let pump = Pump::new(stop)?;
        let woken = pump.bell().clone();
        health.on_question(asked(&pump));
        self.0.health = health.clone();
        let role = Role::Publish(supply(Arc::new(move || woken.work())));
        Running::start(self.0, role, pump, failures)
    }
}

/// Tells a session that somebody asks, for as long as it is there.
fn asked(pump: &Pump) -> impl Fn() -> bool + Send + 'static {
    let bell = Arc::downgrade(pump.bell());
    move || bell.upgrade().map(|bell| bell.ask()).is_some()
}

/// One connection after the other, until the stop.
fn run(mut life: Life) -> io::Result<()> {
    life.begin();
    while !life.pump.is_stopped() {
        let end = connection::live(&mut life);
        if !life.goes_on_after(end, Instant::now())? {
            break;
        }
    }
    life.end();
    Ok(())
}

/// A session that runs.
///
/// To end it, drop the [`Stopper`](crate::system::stop::Stopper), call [`Running::wake`], and
/// [`Running::join`] it: for a bounded time ([`Timing::farewell`]) it still acknowledges what is
/// signed, so keep the sinks running meanwhile.
pub struct Running {
    name: String,
    join: JoinHandle<()>,
    bell: Arc<Bell>,
}

impl Running {
    fn start(kit: Kit, role: Role, pump: Pump, failures: &Failures) -> io::Result<Self> {
        let bell = pump.bell().clone();
        let name = format!("mqtt {}", kit.broker.name);
        let life = Life::new(kit, role, pump, Instant::now());
        // What it brings is mapped on this thread, by whatever expressions.
        let join = threads::spawn_deep_vital(&name, failures, move || run(life))?;
        Ok(Running { name, join, bell })
    }

    /// The name of its thread.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Wakes the session, so that it sees the stop at once.
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// Where its thread shows that it is alive, and what wakes it to do so.
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
