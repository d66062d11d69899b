//! Builds everything from a [`Config`], starts it, waits, stops it in order.
//!
//! It fails at the door: the database is opened, every socket bound and every certificate loaded
//! before the first worker starts. After that only connections fail, and they are tried again.

use crate::config::{Broker, Cluster, Config};
use crate::ilert::Client;
use crate::intake::Intake;
use crate::queue::Queue;
use crate::supervise::{self, Part};
use crate::system::health::{Health, Limits};
use crate::system::http::{self, Request, Response};
use crate::system::pulse::Pulse;
use crate::system::signals::{self, Signals};
use crate::system::stop::{self, Stopper};
use crate::system::threads::{self, Failures};
use crate::system::tls;
use crate::{heartbeat, sinks, sources, status};
use crossbeam_channel::{Receiver, bounded, select};
use log::{error, info, warn};
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long attempts under way may take to finish once the end has begun. With the time the
/// sessions have for their last acknowledgements this stays below the four seconds promised.
const ATTEMPTS_END: Duration = Duration::from_millis(1_800);

/// How long Kafka consumers may take to commit their last offsets and to leave their groups.
const CONSUMERS_END: Duration = Duration::from_millis(1_600);

/// How long requests of HTTP clients may take to finish after that.
const REQUESTS_END: Duration = Duration::from_millis(300);

/// One attempt longer than the request's own time limit and this margin is stuck.
const ATTEMPT_MARGIN: Duration = Duration::from_secs(35);

/// Runs the daemon until it is told to stop. `read_again` gives the configuration as it is now
/// when a SIGHUP asks for it, or says what is wrong and gives none.
///
/// # Errors
///
/// Says in words what could not be opened, bound or loaded, or which part failed for good.
pub fn run(config: Config, read_again: &dyn Fn() -> Option<Config>) -> Result<(), String> {
    let signals = signals::listen().map_err(|error| format!("signals: {error}"))?;
    let mut config = config;
    let (mut running, mut failed) = Running::start(&config)?;
    loop {
        let end = wait(&signals, &failed, &config, read_again);
        supervise::say(&[match end {
            End::Reload(_) => NotifyState::Status("starting again with a new configuration"),
            End::Asked | End::Failed(_) => NotifyState::Stopping,
        }]);
        running.stop();
        match end {
            End::Asked => return Ok(()),
            End::Failed(what) => return Err(what),
            End::Reload(_) if !signals.end.is_empty() => return Ok(()),
            End::Reload(next) => match Running::start(&next) {
                Ok(started) => ((running, failed), config) = (started, *next),
                Err(what) => {
                    error!("agent: the new configuration cannot be used: {what}");
                    warn!("agent: going on with the old configuration");
                    (running, failed) = Running::start(&config)?;
                }
            },
        }
    }
}

/// Opens nothing for good and starts nothing, but loads every file a start would need.
///
/// # Errors
///
/// All that is wrong, one line each.
pub fn check(config: &Config) -> Result<(), Vec<String>> {
    let mut wrong = Vec::new();
    for broker in &config.brokers {
        if let Err(what) = certificates(broker) {
            wrong.push(format!("mqtt {}: {what}", broker.name));
        }
    }
    for cluster in &config.clusters {
        if let Err(what) = sources::kafka::check(cluster) {
            wrong.push(format!("kafka {}: {what}", cluster.name));
        }
    }
    if let Err(what) = Client::new(&config.ilert) {
        wrong.push(format!("ilert: {what}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn certificates(broker: &Broker) -> Result<(), String> {
    let Some(files) = &broker.tls else { return Ok(()) };
    let client = files.client.as_ref();
    tls::load(files.ca.as_deref(), client.map(|pair| (&*pair.chain, &*pair.key))).map(|_| ())
}

/// Why the agent does not go on as it is.
enum End {
    Asked,
    Failed(String),
    Reload(Box<Config>),
}

fn wait(
    signals: &Signals,
    failed: &Receiver<String>,
    config: &Config,
    read_again: &dyn Fn() -> Option<Config>,
) -> End {
    loop {
        select! {
            recv(signals.end) -> _ => {
                info!("agent: asked to stop");
                return End::Asked;
            }
            recv(failed) -> what => {
                let what = what.unwrap_or_else(|_| "a part of the agent is gone".to_owned());
                error!("agent: stopping, {what}");
                return End::Failed(what);
            }
            recv(signals.reload) -> _ => match changed(config, read_again) {
                Some(next) => return End::Reload(Box::new(next)),
                None => continue,
            },
        }
    }
}

/// The configuration as it is now, if it is another one and can be used.
fn changed(config: &Config, read_again: &dyn Fn() -> Option<Config>) -> Option<Config> {
    let next = read_again();
    let faults = next.as_ref().map_or(Ok(()), check);
    for fault in faults.as_ref().err().into_iter().flatten() {
        error!("agent: {fault}");
    }
    let Some(next) = next.filter(|_| faults.is_ok()) else {
        warn!("agent: the configuration has faults; going on with the old one");
        return None;
    };
    if next == *config {
        info!("agent: the configuration has not changed");
        return None;
    }
    warn!("agent: the configuration has changed; starting again with the new one");
    Some(next)
}

/// All that has been started, in the order of its start.
struct Running {
    health: Health,
    queue: Queue,
    http: Option<http::Running>,
    workers: sinks::worker::Workers,
    sessions: Vec<sources::mqtt::Running>,
    consumers: Vec<sources::kafka::Running>,
    sources_open: Stopper,
    http_open: Stopper,
}

impl Running {
    /// Starts everything; what is received later is why a part of it failed for good.
    fn start(config: &Config) -> Result<(Self, Receiver<String>), String> {
        let (tell, failed) = bounded(1);
        let failures = Failures(tell);
        let health = Health::default();
        let client = Client::new(&config.ilert).map_err(|what| format!("ilert: {what}"))?;
        let listener = config.http.as_ref().map(bind).transpose()?;
        let durable = config.http.is_some()
            || config.brokers.iter().any(|broker| broker.buffer)
            || config.clusters.iter().any(|cluster| cluster.buffer);
        let queue =
            Queue::open(&config.queue, durable, config.ilert.attempts_max, &health, &failures)
                .map_err(|what| format!("queue: {what}"))?;
        let running = Running::around(config, &queue, listener, &client, &health, &failures);
        // The next start needs the database.
        let running = running.inspect_err(|_| queue.close())?;
        Ok((running, failed))
    }

    /// Starts what brings deliveries to the queue, and what takes them from it.
    fn around(
        config: &Config,
        queue: &Queue,
        listener: Option<http::Listener>,
        client: &Client,
        health: &Health,
        failures: &Failures,
    ) -> Result<Self, String> {
        let limits = Limits {
            age_max: config.queue.age_max,
            attempt_max: config.ilert.timeout + ATTEMPT_MARGIN,
        };
        let intake = Intake::new(queue.clone());
        let sessions = prepare(&config.brokers, &intake, health)?;
        let consumers = prepare_consumers(&config.clusters, &intake, health)?;
        sources::mqtt::take_over(&config.brokers, &intake);

        let (sources_open, sources_stop) = stop::pair();
        let (http_open, http_stop) = stop::pair();
        let started = |what: &str, error: std::io::Error| format!("{what}: {error}");

        let http = match (&config.http, listener) {
            (Some(settings), Some(listener)) => {
                let handler = routes(settings, queue, client, health, limits);
                let bounds = http::Limits::new(settings.body_bytes_max, settings.connections_max);
                let running = listener.start(bounds, handler, &http_stop);
                Some(running.map_err(|error| started("http", error))?)
            }
            _ => None,
        };
        let workers = start_sink(config, client, queue, health)
            .map_err(|error| started("sink ilert", error))?;
        let sessions = sessions
            .into_iter()
            .map(|session| session.start(&sources_stop, failures))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| started("mqtt", error))?;
        let consumers = consumers
            .into_iter()
            .map(|consumer| consumer.start(&sources_stop, failures))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| started("kafka", error))?;
        if let Some(key) = config.ilert.heartbeat.clone() {
            let (client, health, stop) = (client.clone(), health.clone(), sources_stop.clone());
            threads::spawn("heartbeat", move || {
                heartbeat::run(&client, key.expose(), &health, limits, &stop);
            })
            .map_err(|error| started("heartbeat", error))?;
        }
        if supervise::is_wanted() {
            let parts = parts(queue, &sessions, &consumers);
            let (health, stop) = (health.clone(), sources_stop.clone());
            threads::spawn("systemd", move || supervise::run(&parts, &health, limits, &stop))
                .map_err(|error| started("systemd", error))?;
        }
        info!("agent: ilagent {} started", env!("CARGO_PKG_VERSION"));
        let (health, queue) = (health.clone(), queue.clone());
        Ok(Running { health, queue, http, workers, sessions, consumers, sources_open, http_open })
    }

    /// Attempts first, so that what they deliver is still acknowledged; then the sessions, which
    /// send their last acknowledgements and DISCONNECT; the probes stay until both are done.
    fn stop(self) {
        self.health.stopping();
        self.queue.stop_claims();
        if !self.workers.join(Instant::now() + ATTEMPTS_END) {
            warn!("agent: attempts were still under way; they will be made again");
        }
        drop(self.sources_open);
        let consumers_end = Instant::now() + CONSUMERS_END;
        for session in &self.sessions {
            session.wake();
        }
        for consumer in &self.consumers {
            consumer.wake();
        }
        for session in self.sessions {
            session.join();
        }
        for consumer in self.consumers {
            if !consumer.join(consumers_end) {
                warn!("agent: a Kafka cluster takes too long to let go; it will notice by itself");
            }
        }
        drop(self.http_open);
        if let Some(http) = self.http {
            // Requests that are cut off were not answered, so their clients send them again.
            let _ = http.stop(Instant::now() + REQUESTS_END);
        }
        self.queue.close();
        info!("agent: stopped");
    }
}

/// The threads whose loops have to go round for the agent to be alive.
fn parts(
    queue: &Queue,
    sessions: &[sources::mqtt::Running],
    consumers: &[sources::kafka::Running],
) -> Vec<Part> {
    let asked = queue.clone();
    let queue = Part {
        name: "queue".to_owned(),
        pulse: queue.pulse().clone(),
        wake: Box::new(move || asked.wake()),
    };
    let sessions = sessions.iter().map(|session| part(session.name(), session.pulse()));
    let consumers = consumers.iter().map(|consumer| part(consumer.name(), consumer.pulse()));
    std::iter::once(queue).chain(sessions).chain(consumers).collect()
}

fn part(name: &str, (pulse, wake): (Pulse, impl Fn() + Send + 'static)) -> Part {
    Part { name: name.to_owned(), pulse, wake: Box::new(wake) }
}

fn bind(settings: &crate::config::Http) -> Result<http::Listener, String> {
    let listener = http::bind(settings.bind, settings.port).map_err(|error| {
        format!("http: cannot listen on {} port {}: {error}", settings.bind, settings.port)
    })?;
    info!("http: listening on {}", listener.address());
    Ok(listener)
}

fn prepare(
    brokers: &[Broker],
    intake: &Intake,
    health: &Health,
) -> Result<Vec<sources::mqtt::Session>, String> {
    let prepared = brokers.iter().map(|broker| {
        sources::mqtt::prepare(broker, intake.clone(), health)
            .map_err(|what| format!("mqtt {}: {what}", broker.name))
    });
    all_or_faults(prepared)
}

fn prepare_consumers(
    clusters: &[Cluster],
    intake: &Intake,
    health: &Health,
) -> Result<Vec<sources::kafka::Consumer>, String> {
    let prepared = clusters.iter().map(|cluster| {
        sources::kafka::prepare(cluster, intake.clone(), health)
            .map_err(|what| format!("kafka {}: {what}", cluster.name))
    });
    all_or_faults(prepared)
}

/// All of them, or all that is wrong, one line each.
fn all_or_faults<T>(prepared: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let (ready, wrong): (Vec<_>, Vec<_>) = prepared.partition(Result::is_ok);
    let wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(ready.into_iter().flatten().collect()) } else { Err(wrong.join("\n")) }
}

fn routes(
    settings: &crate::config::Http,
    queue: &Queue,
    client: &Client,
    health: &Health,
    limits: Limits,
) -> Arc<http::Handler> {
    let api = sources::http::Api::new(settings, queue.clone(), client.clone());
    let status = status::Status::new(health.clone(), limits);
    Arc::new(move |request: &Request| {
        api.answer(request)
            .or_else(|| status.answer(request))
            .unwrap_or_else(|| Response::empty(404))
    })
}

fn start_sink(
    config: &Config,
    client: &Client,
    queue: &Queue,
    health: &Health,
) -> std::io::Result<sinks::worker::Workers> {
    let client = client.clone();
    sinks::worker::start(
        sinks::ilert::NAME,
        Arc::new(move |id, delivery| sinks::ilert::attempt(&client, id, delivery)),
        config.ilert.in_flight_max,
        queue,
        health,
    )
}
