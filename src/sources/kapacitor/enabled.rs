//! Builds the stage of points and alerts from a configuration, starts it and stops it.

mod routes;

use crate::alerts::template::Server;
use crate::alerts::topics::{self, Topics};
use crate::alerts::zone::Zone;
use crate::alerts::{self, Engine, Settings};
use crate::config::{Broker, Config, Http, Rule, Target};
use crate::message::Accept;
use crate::queue::Queue;
use crate::sources::gauge::Gauge;
use crate::sources::http::basic_auth::BasicAuth;
use crate::sources::http::points::Points;
use crate::sources::udp;
use crate::system::http::Routes;
use crate::system::pulse::Part;
use crate::system::services::Services;
use crate::system::zone;
use crate::watch::{self, Definitions, Deliver, Hands, Watch};
use log::{error, info, warn};
use routes::Api;
use std::sync::Arc;
use std::thread::JoinHandle;

/// What is ready to start: the definitions are read back, and all sockets are bound.
pub struct Kapacitor {
    watch: Arc<Watch>,
    definitions: Arc<Definitions>,
    hands: Hands,
    listeners: Vec<udp::Listener>,
    hostname: String,
    retention_policy: String,
}

/// Reads the load directory, and keeps nothing of it.
///
/// # Errors
///
/// All that is wrong in it, one line each.
pub fn check(config: &Config) -> Result<(), Vec<String>> {
    let folder = config.kapacitor.as_ref().and_then(|it| it.load.as_ref());
    folder.map_or(Ok(()), |folder| watch::check(folder, config))
}

/// Gets it ready, if the configuration asks for it.
///
/// # Errors
///
/// All that is wrong in the load directory, or which address cannot be listened on.
pub fn prepare(config: &Config, queue: &Queue) -> Result<Option<Kapacitor>, Vec<String>> {
    let Some(settings) = &config.kapacitor else { return Ok(None) };
    let (actions, hands) = watch::actions();
    let topics = Topics::restored(queue.records(topics::SCOPE));
    let server = Server { hostname: settings.hostname.as_str().into(), ..Server::default() };
    let zone = local_time();
    let engine =
        Settings { server, zone: zone.clone(), failed_is_false: settings.missing_fields_recover };
    let engine = Engine::new(engine, queue.records(alerts::SCOPE));
    let watch = Watch::new(engine, Deliver::new(config, topics, zone, actions), queue.clone());
    let definitions = Definitions::restored(Arc::clone(&watch), queue.clone(), settings);
    definitions.load()?;
    let bound = settings.udp.iter().map(udp::bind).collect::<Result<Vec<_>, _>>();
    Ok(Some(Kapacitor {
        watch,
        definitions,
        hands,
        listeners: bound.map_err(|why| vec![why])?,
        hostname: settings.hostname.clone(),
        retention_policy: settings.default_retention_policy.clone(),
    }))
}

/// What scripts call local time.
fn local_time() -> Zone {
    let Some(rule) = zone::rule() else { return Zone::default() };
    Zone::read(&rule).unwrap_or_else(|| {
        warn!("alerts: the local time {rule:?} is not understood; scripts see UTC");
        Zone::default()
    })
}

impl Kapacitor {
    /// What its listener answers.
    #[must_use]
    pub fn routes(&self, settings: &Http) -> Vec<Arc<dyn Routes>> {
        let auth = Arc::new(BasicAuth::new(settings.users.clone()));
        let watch = Arc::clone(&self.watch);
        let limit = settings.body_bytes_max;
        let points = Points::new(watch, Arc::clone(&auth), limit, &self.retention_policy);
        let api = Api::new(Arc::clone(&self.definitions), auth, settings, &self.hostname);
        vec![Arc::new(points), Arc::new(api)]
    }

    /// Takes what are points out of the messages of a broker; the rest goes to `others`.
    #[must_use]
    pub fn gauge(&self, broker: &Broker, others: Box<dyn Accept>) -> Box<dyn Accept> {
        let is_point = |rule: &Rule| matches!(rule.to, Target::Point(_));
        if !broker.rules.iter().any(is_point) {
            return others;
        }
        let watch = Arc::clone(&self.watch);
        Box::new(Gauge::new(others, watch, broker.rules.clone(), broker.routing))
    }

    /// Starts its threads.
    ///
    /// # Errors
    ///
    /// Says which cannot be started.
    pub fn start(self, services: &Services) -> Result<Running, String> {
        let Services { stop, failures, .. } = services;
        let failed = |error: std::io::Error| format!("alerts: {error}");
        let (tasks, topics) = (Arc::clone(&self.definitions), Arc::clone(&self.definitions));
        services.health.shows(move || tasks.tasks_shown());
        services.health.shows(move || topics.topics_shown());
        let hands = self.hands.start(stop, failures).map_err(failed)?;
        let watch = self.watch.start(stop, failures).map_err(failed)?;
        let mut listeners = Vec::new();
        for listener in self.listeners {
            let running = listener.start(Arc::clone(&self.watch), stop);
            listeners.push(running.map_err(|error| format!("udp: {error}"))?);
        }
        let (tasks, enabled) = self.definitions.counts();
        info!("alerts: {enabled} of {tasks} tasks are enabled");
        Ok(Running { watch, hands, listeners, definitions: self.definitions })
    }
}

/// The stage at work.
pub struct Running {
    watch: watch::Running,
    hands: JoinHandle<()>,
    listeners: Vec<udp::Running>,
    definitions: Arc<Definitions>,
}

impl Running {
    /// The thread whose loop must keep turning.
    #[must_use]
    pub fn part(&self) -> Part {
        self.watch.part()
    }

    /// Reads the load directory again; if something in it is wrong, all stays as it was.
    pub fn look_again(&self) {
        for wrong in self.definitions.load().err().into_iter().flatten() {
            error!("alerts: {wrong}");
        }
    }

    /// Wakes it, so that it notices the stop at once.
    pub fn wake(&self) {
        self.listeners.iter().for_each(udp::Running::wake);
    }

    /// Waits for its end.
    pub fn join(self) {
        self.listeners.into_iter().for_each(udp::Running::join);
        self.watch.join();
        if self.hands.join().is_err() {
            error!("alerts: the thread of the handlers ended in disorder");
        }
    }
}
