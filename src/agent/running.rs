//! What runs by one configuration: prepared beside the former one, started, stopped.

use crate::config::{Broker, Cluster, Config, Http};
use crate::ilert::Client;
use crate::intake::Intake;
use crate::queue::Queue;
use crate::supervise::{self, Part};
use crate::system::health::{Health, Limits};
use crate::system::http::{self, Request, Response};
use crate::system::plain::line;
use crate::system::pulse::Pulse;
use crate::system::stop::{self, Stop, Stopper};
use crate::system::threads::{self, Failures};
use crate::{heartbeat, sinks, sources, status};
use crossbeam_channel::{Receiver, bounded};
use log::{info, warn};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long attempts under way may take to finish once the end has begun. With the time the
/// sessions have for their last acknowledgements this stays below the four seconds promised.
const ATTEMPTS_END: Duration = Duration::from_millis(1_700);

/// How long they may take to notice that their connections have been cut.
const CUT_END: Duration = Duration::from_millis(100);

/// How long Kafka consumers may take to commit their last offsets and to leave their groups.
const CONSUMERS_END: Duration = Duration::from_millis(1_600);

/// How long requests of HTTP clients may take to finish after that.
const REQUESTS_END: Duration = Duration::from_millis(300);

/// The same at a reload, when connections that come meanwhile wait for the next configuration.
const REQUESTS_END_RELOAD: Duration = Duration::from_secs(3);

/// All that can be had while the former configuration still runs. What cannot be had ends nothing.
pub(super) struct Prepared {
    health: Health,
    failures: Failures,
    failed: Receiver<String>,
    client: Client,
    door: Door,
    /// `None` when it is the database of the former configuration.
    queue: Option<Queue>,
}

/// Where the listening socket comes from.
enum Door {
    Nowhere,
    Bound(http::Listener),
    /// It is that of the former configuration, which is handed on: nobody is refused meanwhile.
    HandedOn,
    /// Its address can be had when the former configuration has let go of it.
    Freed,
}

impl Prepared {
    /// Gets ready for `config` beside `former`, which runs or is about to be started again.
    pub(super) fn new(config: &Config, former: Option<&Config>) -> Result<Self, String> {
        let (tell, failed) = bounded(1);
        let (health, failures) = (Health::default(), Failures(tell));
        let client = Client::new(&config.ilert).map_err(|what| format!("ilert: {what}"))?;
        info!("ilert: {} is reached {}", config.ilert.api, client.way());
        let door = Door::of(config.http.as_ref(), former.and_then(|it| it.http.as_ref()))?;
        let shared = former.is_some_and(|it| is_same(&it.queue.path, &config.queue.path));
        let queue = if shared { None } else { Some(open(config, &health, &failures)?) };
        Ok(Prepared { health, failures, failed, client, door, queue })
    }
}

impl Door {
    fn of(wanted: Option<&Http>, former: Option<&Http>) -> Result<Self, String> {
        let Some(wanted) = wanted else { return Ok(Door::Nowhere) };
        Ok(match former.filter(|former| former.port == wanted.port) {
            Some(former) if former.bind == wanted.bind => Door::HandedOn,
            // All addresses and one of them are in each other's way.
            Some(former) if former.bind.is_unspecified() || wanted.bind.is_unspecified() => {
                Door::Freed
            }
            Some(_) | None => Door::Bound(bind(wanted)?),
        })
    }
}

/// Whether two names of a file are names of one place in one folder.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| -> Option<PathBuf> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    one == other || place(one).is_some_and(|one| place(other) == Some(one))
}

fn open(config: &Config, health: &Health, failures: &Failures) -> Result<Queue, String> {
    let durable = config.http.is_some()
        || config.brokers.iter().any(|broker| broker.buffer)
        || config.clusters.iter().any(|cluster| cluster.buffer);
    Queue::open(&config.queue, durable, health, failures).map_err(|what| format!("queue: {what}"))
}

/// Why nothing runs, and the socket that was handed on.
pub(super) struct NotStarted {
    pub(super) what: String,
    pub(super) socket: Option<http::Listener>,
}

impl From<NotStarted> for String {
    fn from(not: NotStarted) -> Self {
        not.what
    }
}

/// What is left after a stop.
pub(super) struct Stopped {
    /// Clients wait in it until it is started again or dropped.
    pub(super) socket: Option<http::Listener>,
    /// Set when the last thread that could not be waited for has ended.
    pub(super) left: Stop,
}

/// All that has been started, in the order of its start.
pub(super) struct Running {
    health: Health,
    client: Client,
    queue: Queue,
    /// The socket that is not in use yet.
    socket: Option<http::Listener>,
    http: Option<http::Running>,
    workers: Option<sinks::crew::Crew>,
    sessions: Vec<sources::mqtt::Running>,
    consumers: Vec<sources::kafka::Running>,
    sources_open: Stopper,
    sources_stop: Stop,
    http_open: Stopper,
    http_stop: Stop,
    /// Set when nothing that was started is left.
    gone: Stop,
}

impl Running {
    /// Starts everything; what is received later is why a part of it failed for good. When a part
    /// cannot be started, what was started before it is stopped.
    pub(super) fn start(
        config: &Config,
        prepared: Prepared,
        former: Option<http::Listener>,
    ) -> Result<(Self, Receiver<String>), NotStarted> {
        let Prepared { health, failures, failed, client, door, queue } = prepared;
        let (mut socket, mut spare) = (None, former);
        match door {
            Door::Nowhere => {}
            Door::Bound(listener) => socket = Some(listener),
            Door::HandedOn => socket = spare.take(),
            Door::Freed => spare = None,
        }
        let opened = queue.map_or_else(|| open(config, &health, &failures), Ok);
        let queue = match opened {
            Ok(queue) => queue,
            Err(what) => return Err(NotStarted { what, socket: spare.or(socket) }),
        };
        let (sources_open, sources_stop) = stop::pair();
        let (http_open, http_stop) = stop::pair();
        let (here, gone) = stop::pair();
        let mut running = Running {
            health,
            client: client.clone(),
            queue,
            socket,
            http: None,
            workers: None,
            sessions: Vec::new(),
            consumers: Vec::new(),
            sources_open,
            sources_stop,
            http_open,
            http_stop,
            gone,
        };
        match running.fill(config, &client, &failures, &here) {
            Ok(()) => Ok((running, failed)),
            Err(what) => {
                let socket = running.give_way().socket;
                Err(NotStarted { what, socket: spare.or(socket) })
            }
        }
    }

    /// Starts what brings deliveries to the queue, and what takes them from it.
    fn fill(
        &mut self,
        config: &Config,
        client: &Client,
        failures: &Failures,
        here: &Stopper,
    ) -> Result<(), String> {
        let limits = Limits { age_max: config.queue.age_max };
        let intake = Intake::new(self.queue.clone());
        let sessions = prepare(&config.brokers, &intake, &self.queue, &self.health)?;
        let consumers = prepare_consumers(&config.clusters, &intake, &self.health)?;
        sources::mqtt::take_over(&config.brokers, &intake);
        if let Some(settings) = &config.http {
            self.listen(settings, client, limits, here)?;
        }
        let workers = start_sink(config, client, &self.queue, &self.health, here.clone());
        self.workers = Some(workers.map_err(started("sink ilert"))?);
        for session in sessions {
            let session = session.start(&self.sources_stop, failures);
            self.sessions.push(session.map_err(started("mqtt"))?);
        }
        for consumer in consumers {
            let consumer = consumer.start(&self.sources_stop, failures, here.clone());
            self.consumers.push(consumer.map_err(started("kafka"))?);
        }
        if let Some(key) = config.ilert.heartbeat.clone() {
            let (client, health) = (client.clone(), self.health.clone());
            let (stop, here) = (self.sources_stop.clone(), here.clone());
            threads::spawn("heartbeat", move || {
                heartbeat::run(&client, key.expose(), &health, limits, &stop);
                drop(here);
            })
            .map_err(started("heartbeat"))?;
        }
        if supervise::is_wanted() {
            let parts = parts(&self.queue, &self.sessions, &self.consumers);
            let (health, stop, here) =
                (self.health.clone(), self.sources_stop.clone(), here.clone());
            threads::spawn("systemd", move || {
                supervise::run(&parts, &health, limits, &stop);
                drop(here);
            })
            .map_err(started("systemd"))?;
        }
        info!("agent: ilagent {} started", env!("CARGO_PKG_VERSION"));
        Ok(())
    }

    fn listen(
        &mut self,
        settings: &Http,
        client: &Client,
        limits: Limits,
        here: &Stopper,
    ) -> Result<(), String> {
        let socket = self.socket.take().map_or_else(|| bind(settings), Ok)?;
        let handler = routes(settings, &self.queue, client, &self.health, limits, here.clone());
        let bounds = http::Limits::new(settings.body_bytes_max, settings.connections_max);
        let running = socket.start(bounds, handler, &self.http_stop);
        self.http = Some(running.map_err(started("http"))?);
        Ok(())
    }

    /// Stops for good.
    pub(super) fn stop(self) {
        self.end(REQUESTS_END);
    }

    /// Stops in favour of another configuration.
    pub(super) fn give_way(self) -> Stopped {
        self.end(REQUESTS_END_RELOAD)
    }

    /// Attempts first, so that what they deliver is still acknowledged; then the sessions, which
    /// send their last acknowledgements and DISCONNECT; the probes stay until both are done.
    fn end(self, requests_end: Duration) -> Stopped {
        self.health.stopping();
        self.queue.stop_claims();
        let ended = |patience| {
            self.workers.as_ref().is_none_or(|workers| workers.join(Instant::now() + patience))
        };
        if !ended(ATTEMPTS_END) {
            warn!("agent: attempts were still under way; they will be made again");
            // A request that lingers must not arrive after the one that replaces it.
            self.client.cut();
            let _ = ended(CUT_END);
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
        let mut socket = self.socket;
        if let Some(mut http) = self.http {
            socket = http.release();
            // Requests that are cut off were not answered, so their clients send them again.
            let _ = http.stop(Instant::now() + requests_end);
        }
        self.client.cut();
        self.queue.close();
        info!("agent: stopped");
        Stopped { socket, left: self.gone }
    }
}

fn started(what: &'static str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{what}: {error}")
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

fn bind(settings: &Http) -> Result<http::Listener, String> {
    let listener = http::bind(settings.bind, settings.port).map_err(|error| {
        format!("http: cannot listen on {} port {}: {error}", settings.bind, settings.port)
    })?;
    info!("http: listening on {}", listener.address());
    Ok(listener)
}

fn prepare(
    brokers: &[Broker],
    intake: &Intake,
    queue: &Queue,
    health: &Health,
) -> Result<Vec<sources::mqtt::Session>, String> {
    let prepared = brokers.iter().map(|broker| {
        sources::mqtt::prepare(broker, intake.clone(), queue, health)
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
    let wrong = wrong.into_iter().filter_map(Result::err);
    let wrong: Vec<String> = wrong.map(|what| line(&what).into_owned()).collect();
    if wrong.is_empty() { Ok(ready.into_iter().flatten().collect()) } else { Err(wrong.join("\n")) }
}

fn routes(
    settings: &Http,
    queue: &Queue,
    client: &Client,
    health: &Health,
    limits: Limits,
    here: Stopper,
) -> Arc<http::Handler> {
    let api = sources::http::Api::new(settings, queue.clone(), client.clone());
    let status = status::Status::new(health.clone(), limits);
    Arc::new(Routes { api, status, _here: here })
}

/// All that is answered over HTTP.
struct Routes {
    api: sources::http::Api,
    status: status::Status,
    _here: Stopper,
}

impl http::Serve for Routes {
    fn door(&self, head: &Request) -> Option<Response> {
        self.api.refusal(head)
    }

    fn is_probe(&self, head: &Request) -> bool {
        self.status.knows(head.path)
    }

    fn answer(&self, request: &Request) -> Response {
        self.api
            .answer(request)
            .or_else(|| self.status.answer(request))
            .unwrap_or_else(|| Response::empty(404))
    }
}

fn start_sink(
    config: &Config,
    client: &Client,
    queue: &Queue,
    health: &Health,
    here: Stopper,
) -> std::io::Result<sinks::crew::Crew> {
    let (client, timer) = (client.clone(), client.clone());
    sinks::crew::Crew::start(
        sinks::ilert::terms(&config.ilert),
        Arc::new(move |id, delivery| {
            let _ = &here;
            sinks::ilert::attempt(&client, id, delivery)
        }),
        Arc::new(move |delivery| timer.attempt_max(delivery.kind, delivery.body.len())),
        queue,
        health,
    )
}
