//! What runs by one configuration: prepared beside the former one, started, stopped.
//!
//! At a reload, whatever can fail (an address, another database, certificates) is prepared while
//! the former configuration still runs. Only then is that stopped. The listening socket is handed
//! on, so that clients wait in its backlog. What fails after that is undone by the same stop, and
//! the former configuration is started again. Requests that hang are cut off. Whatever outlives a
//! stop all the same holds a token: while there is one, another reload waits, so that they cannot
//! pile up.

use crate::config::{Clients, Config, Http};
use crate::heartbeat;
use crate::intake::Intake;
use crate::mapping::shape::Shapes;
use crate::queue::Queue;
use crate::queue::admin::Command;
use crate::sinks;
use crate::sources::{self, Inside, Sockets, Source};
use crate::status::{Access, Status};
use crate::supervise;
use crate::system::health::{Health, Limits};
use crate::system::http::Routes;
use crate::system::pulse::Part;
use crate::system::services::Services;
use crate::system::stop::{self, Stop, Stopper};
use crate::system::threads::{self, Failures};
use crossbeam_channel::{Receiver, bounded};
use log::{info, warn};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long attempts under way may take to finish once the end has begun. With the time the
/// sources have for their last acknowledgements this stays below the four seconds promised.
const ATTEMPTS_END: Duration = Duration::from_millis(1_700);

/// How long they may take to notice that their connections have been cut.
const CUT_END: Duration = Duration::from_millis(100);

/// How long journals may take to note what was delivered last.
const JOURNALS_END: Duration = Duration::from_millis(100);

/// Most dead letters that the page shows, and how long it waits for them.
const LETTERS_MAX: usize = 20;
const LETTERS_WAIT: Duration = Duration::from_secs(1);

/// Everything that can be prepared while the former configuration still runs. If something fails,
/// the former one just goes on.
pub(super) struct Prepared {
    health: Health,
    failures: Failures,
    failed: Receiver<String>,
    sinks: sinks::Prepared,
    sockets: Sockets,
    /// `None` when it is the database of the former configuration.
    queue: Option<Queue>,
}

impl Prepared {
    /// Gets ready for `config` beside `former`, which runs or is about to be started again.
    pub(super) fn new(config: &Config, former: Option<&Config>) -> Result<Self, String> {
        let (tell, failed) = bounded(1);
        let (health, failures) = (Health::default(), Failures(tell));
        let sinks = sinks::Prepared::new(config)?;
        let listeners = former.map_or_else(Default::default, |former| former.http.as_slice());
        let sockets = Sockets::ahead(&config.http, listeners)?;
        let shared = former.is_some_and(|it| is_same(&it.queue.path, &config.queue.path));
        let queue = if shared { None } else { Some(open(config, &health, &failures)?) };
        Ok(Prepared { health, failures, failed, sinks, sockets, queue })
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
    if let (Some(_), Some(folder)) = (&config.kapacitor, config.queue.path.parent()) {
        // A Kapacitor makes its `data_dir` itself.
        let made = std::fs::create_dir_all(folder);
        made.map_err(|error| format!("queue: cannot make {}: {error}", folder.display()))?;
    }
    let durable = !config.http.is_empty()
        || config.brokers.iter().any(|broker| broker.buffer)
        || config.clusters.iter().any(|cluster| cluster.buffer);
    Queue::open(&config.queue, durable, health, failures).map_err(|what| format!("queue: {what}"))
}

/// What a configuration leaves for the next one.
#[derive(Default)]
pub(super) struct Legacy {
    /// Clients wait in them until they are used again or dropped.
    sockets: Sockets,
    /// What rules remember.
    shapes: Shapes,
}

/// Why nothing runs, and what is left.
pub(super) struct NotStarted {
    pub(super) what: String,
    pub(super) legacy: Legacy,
}

impl From<NotStarted> for String {
    fn from(not: NotStarted) -> Self {
        not.what
    }
}

/// What is left after a stop.
pub(super) struct Stopped {
    pub(super) legacy: Legacy,
    /// Set when the last thread that could not be waited for has ended.
    pub(super) left: Stop,
}

/// All that has been started.
pub(super) struct Running {
    health: Health,
    queue: Queue,
    /// Lets go what waits for others before the end.
    intake: Option<Intake>,
    sinks: Vec<sinks::Running>,
    /// In the order of their start; they end in reverse.
    sources: Vec<sources::Running>,
    /// Those that are not in use.
    sockets: Sockets,
    sources_open: Stopper,
    /// Set when nothing that was started is left.
    gone: Stop,
}

impl Running {
    /// Starts everything; what is received later is why a part of it failed for good. When a part
    /// cannot be started, what was started before it is stopped.
    pub(super) fn start(
        config: &Config,
        prepared: Prepared,
        former: Legacy,
    ) -> Result<(Self, Receiver<String>), NotStarted> {
        let Prepared { health, failures, failed, sinks, mut sockets, queue } = prepared;
        let Legacy { sockets: theirs, shapes } = former;
        sockets.take_over(theirs, &config.http);
        let opened = queue.map_or_else(|| open(config, &health, &failures), Ok);
        let queue = match opened {
            Ok(queue) => queue,
            Err(what) => {
                return Err(NotStarted { what, legacy: Legacy { sockets, shapes } });
            }
        };
        let (sources_open, stop) = stop::pair();
        let (here, gone) = stop::pair();
        let limits = Limits { age_max: config.queue.age_max };
        let services = Services { health: health.clone(), limits, failures, stop, here };
        let mut running = Running {
            health,
            queue,
            intake: None,
            sinks: Vec::new(),
            sources: Vec::new(),
            sockets,
            sources_open,
            gone,
        };
        match running.start_parts(config, sinks, shapes, &services) {
            Ok(()) => {
                // The others are not used any more.
                running.sockets = Sockets::default();
                Ok((running, failed))
            }
            Err(what) => Err(NotStarted { what, legacy: running.give_way().legacy }),
        }
    }

    /// Starts what takes deliveries from the queue, what brings them, and what watches both.
    fn start_parts(
        &mut self,
        config: &Config,
        sinks: sinks::Prepared,
        shapes: Shapes,
        services: &Services,
    ) -> Result<(), String> {
        let intake = Intake::new(self.queue.clone(), config.rules());
        intake.inherit(shapes);
        self.intake = Some(intake.clone());
        services.health.rules(intake.tallies());
        let status = Status::new(services.health.clone(), services.limits);
        let status = Arc::new(status.with_services(&config.services));
        let report = Arc::clone(&status);
        self.queue.report_with(Box::new(move || report.document(Instant::now())));
        let status = |settings: &Http| -> Arc<dyn Routes> {
            let queue = self.queue.clone();
            Arc::new(status.on(access(settings), Box::new(move || letters(&queue))))
        };
        let (queue, ping) = (&self.queue, sinks.ping());
        let inside = Inside { intake: &intake, queue, ping, status: &status };
        let sources = Source::prepare(config, &inside, &services.health);
        let sources = sources.map_err(|wrong| wrong.join("\n"))?;
        sources::take_over(config, &intake);
        intake.restore();
        let heartbeats = sinks.heartbeats();
        sinks.start(&self.queue, services, &mut self.sinks)?;
        self.queue.name_unclaimed();
        for source in sources {
            self.sources.push(source.start(services, &mut self.sockets)?);
        }
        if let Some(run) = intake.timer() {
            let stop = services.stop.clone();
            let started = threads::spawn_deep("rules", move || run(&stop));
            started.map_err(|error| format!("rules: {error}"))?;
        }
        for heartbeat in heartbeats {
            look_after("heartbeat", services, move |services| {
                heartbeat::run(&*heartbeat.ping, heartbeat.key.expose(), services);
            })?;
        }
        if supervise::is_wanted() {
            let parts = self.parts();
            look_after("systemd", services, move |services| supervise::run(&parts, services))?;
        }
        info!("agent: ilagent {} started", env!("CARGO_PKG_VERSION"));
        Ok(())
    }

    /// The threads whose loops must keep turning for the agent to be alive.
    fn parts(&self) -> Vec<Part> {
        let queue = self.queue.clone();
        let part = Part::new("queue", (queue.pulse().clone(), move || queue.wake()));
        let sources = self.sources.iter().filter_map(sources::Running::part);
        let sinks = self.sinks.iter().filter_map(sinks::Running::part);
        std::iter::once(part).chain(sources).chain(sinks).collect()
    }

    /// Reads again what is read beside the configuration.
    pub(super) fn look_again(&self) {
        self.sources.iter().for_each(sources::Running::look_again);
    }

    /// Stops for good.
    pub(super) fn stop(self) {
        self.end(false);
    }

    /// Stops in favour of another configuration.
    pub(super) fn give_way(self) -> Stopped {
        self.end(true)
    }

    /// Attempts end first, so that what they deliver is still acknowledged; then the sources,
    /// which send their last acknowledgements and say goodbye. The probes answer until all others
    /// have ended.
    fn end(self, is_reload: bool) -> Stopped {
        self.health.stopping();
        let is_journal = sinks::Running::is_journal;
        let (mut journals, mut sinks): (Vec<_>, Vec<_>) =
            self.sinks.into_iter().partition(is_journal);
        sinks.iter_mut().for_each(sinks::Running::stop);
        if !end_within(ATTEMPTS_END, &sinks) {
            warn!("agent: attempts were still under way; they will be made again");
            // A request that lingers must not arrive after the one that replaces it.
            sinks.iter().for_each(sinks::Running::cut);
            let _ = end_within(CUT_END, &sinks);
        }
        let deadline = Instant::now() + JOURNALS_END;
        journals.iter().for_each(|journal| journal.finish(deadline));
        journals.iter_mut().for_each(sinks::Running::stop);
        let _ = end_within(CUT_END, &journals);
        if let Some(intake) = &self.intake {
            intake.end();
        }
        self.queue.flush();
        drop(self.sources_open);
        let woken = Instant::now();
        self.sources.iter().for_each(sources::Running::wake);
        let mut sockets = self.sockets;
        for source in self.sources.into_iter().rev() {
            source.join(woken, is_reload, &mut sockets);
        }
        sinks.iter().for_each(sinks::Running::cut);
        self.queue.close();
        info!("agent: stopped");
        let shapes = self.intake.map(|intake| intake.remains()).unwrap_or_default();
        Stopped { legacy: Legacy { sockets, shapes }, left: self.gone }
    }
}

/// Who sees all of the page of a listener.
fn access(settings: &Http) -> Access {
    match settings {
        Http { clients: Clients::Agent, token: Some(token), .. } => Access::Token(token.clone()),
        Http { token: None, users, .. } if users.is_empty() => Access::Open,
        _ => Access::Closed,
    }
}

/// What the page shows of the queue.
fn letters(queue: &Queue) -> Result<String, String> {
    queue.ask(Command::List { limit: LETTERS_MAX, json: true, sink: None }, LETTERS_WAIT)
}

fn end_within(patience: Duration, sinks: &[sinks::Running]) -> bool {
    let deadline = Instant::now() + patience;
    sinks.iter().all(|sink| sink.join(deadline))
}

/// Starts a thread that watches the agent until the stop.
fn look_after(
    name: &str,
    services: &Services,
    run: impl FnOnce(&Services) + Send + 'static,
) -> Result<(), String> {
    let services = services.clone();
    let started = threads::spawn(name, move || run(&services));
    started.map(|_| ()).map_err(|error| format!("{name}: {error}"))
}
