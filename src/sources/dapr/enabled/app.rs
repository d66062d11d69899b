//! The application's side: waits until it listens, asks what it subscribes to, and has the brokers
//! of its components send that.
//!
//! A broker is not asked for anything before the list is known, and a session that it keeps is not
//! connected to. So what it has kept waits there, and nothing is read that nobody wants yet. The
//! same holds while the application is away. It may be another one when it is back, so it is asked
//! again.

mod lines;
mod list;
mod port;

use super::standing::Standing;
use crate::config::{self, AppRule, Broker, Config, Dapr, Secret, Subscription};
use crate::intake::Intake;
use crate::message::SinkName;
use crate::queue::Queue;
use crate::retry::Backoff;
use crate::sources::{Inside, mqtt};
use crate::system::health::{Component, Health, Session};
use crate::system::plain::line;
use crate::system::pulse::{Part, Pulse};
use crate::system::services::Services;
use crate::system::stop::Stop;
use crate::system::threads;
use crate::system::web::{Call, Client, Limits};
use crossbeam_channel::{Receiver, Sender, bounded, select};
use lines::Lines;
use list::Entry;
use log::{error, info, warn};
use port::Start;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The longest that the application may take to answer a question. It is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Between two looks for an application that does not listen.
const LOOK: Backoff =
    Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };

/// Between two questions to one that listens, but has no answer.
const ASK: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// Between two looks if it is still the same.
const WATCH: Duration = Duration::from_secs(3);

/// An application that is ready to be asked.
pub(super) struct App {
    dapr: Dapr,
    app: config::App,
    /// The brokers of its components.
    brokers: Vec<Broker>,
    intake: Intake,
    queue: Queue,
    standing: Arc<Standing>,
    client: Client,
}

impl App {
    /// Checks all that can be checked before it is asked; `None` if there is no application.
    ///
    /// # Errors
    ///
    /// All that is wrong, one line each.
    pub(super) fn prepare(
        config: &Config,
        inside: &Inside<'_>,
        standing: &Arc<Standing>,
    ) -> Result<Option<Self>, Vec<String>> {
        let Some(dapr) = &config.dapr else { return Ok(None) };
        let Some(app) = &dapr.app else { return Ok(None) };
        let is_component =
            |broker: &&Broker| dapr.components.iter().any(|known| known.broker == broker.name);
        let brokers: Vec<Broker> = config.brokers.iter().filter(is_component).cloned().collect();
        let fault = |broker: &Broker| {
            mqtt::check(broker).err().map(|why| format!("mqtt {}: {why}", broker.name))
        };
        let wrong: Vec<String> = brokers.iter().filter_map(fault).collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        // A server of one thread would wait for a connection that is idle.
        let limits = Limits { timeout: ANSWER_MAX, connections_max: 0 };
        Ok(Some(App {
            dapr: dapr.clone(),
            app: app.clone(),
            brokers,
            intake: inside.intake.clone(),
            queue: inside.queue.clone(),
            standing: Arc::clone(standing),
            client: Client::direct(&app.url(), limits),
        }))
    }

    /// Begins to look for the application.
    ///
    /// # Errors
    ///
    /// Says why the thread cannot be started.
    pub(super) fn start(self, services: &Services) -> Result<Running, String> {
        let Services { stop, failures, health, .. } = services;
        let lines = Arc::new(Lines {
            intake: self.intake,
            queue: self.queue.clone(),
            health: health.clone(),
            failures: failures.clone(),
            state: Default::default(),
        });
        health.app(&self.dapr.app_id, |session| "not asked yet".clone_into(&mut session.error));
        let (bell, rung) = bounded(1);
        let asking = Asking {
            name: format!("app {}", self.dapr.app_id),
            dapr: self.dapr,
            app: self.app,
            brokers: self.brokers,
            queue: self.queue,
            standing: self.standing,
            client: self.client.clone(),
            lines: Arc::clone(&lines),
            health: health.clone(),
            stop: stop.clone(),
            rung,
            pulse: Pulse::default(),
            said: Vec::new(),
        };
        let (client, pulse) = (self.client, asking.pulse.clone());
        let thread = threads::spawn("app", move || asking.run());
        let thread = thread.map_err(|why| format!("app: {why}"))?;
        Ok(Running { thread, lines, client, bell, pulse })
    }
}

/// The thread that asks.
struct Asking {
    /// For the log.
    name: String,
    dapr: Dapr,
    app: config::App,
    brokers: Vec<Broker>,
    queue: Queue,
    standing: Arc<Standing>,
    client: Client,
    lines: Arc<Lines>,
    health: Health,
    stop: Stop,
    rung: Receiver<()>,
    pulse: Pulse,
    /// What was said about the present list, so that the same one says nothing again.
    said: Vec<String>,
}

impl Asking {
    /// Until the stop.
    fn run(mut self) {
        let mut failures = 0;
        while let Some(start) = self.wait_until_it_listens() {
            match self.ask() {
                Ok(asked) => {
                    failures = 0;
                    let is_well = self.follow(asked);
                    self.queue.hurry(&SinkName::from(self.dapr.sink_name()));
                    if self.goes_away(&start, is_well) {
                        return;
                    }
                }
                Err(why) => {
                    failures += 1;
                    self.is_in_trouble(true, &why);
                    if self.is_stopped_within(ASK.wait_after(failures, fastrand::f64())) {
                        return;
                    }
                }
            }
        }
    }

    /// The application that listens; `None` at the stop.
    fn wait_until_it_listens(&mut self) -> Option<Start> {
        let (host, port) = (&self.app.host, self.app.port);
        let mut looked = 0;
        loop {
            match port::look(host, port) {
                Ok(start) => return Some(start),
                Err(why) => {
                    let why = format!("it does not listen on {host}:{port}: {why}");
                    self.health.app(&self.dapr.app_id, |session| {
                        session.connected = false;
                        session.subscriptions_ready = false;
                        session.error.clone_from(&why);
                    });
                    if looked == 0 {
                        info!("{}: {}; waiting for it", self.name, line(&why));
                    }
                }
            }
            looked += 1;
            if self.is_stopped_within(LOOK.wait_after(looked, fastrand::f64())) {
                return None;
            }
        }
    }

    /// What the application subscribes to.
    fn ask(&self) -> Result<Vec<Entry>, String> {
        if self.app.is_asked_config {
            // Some set themselves up by this question. What they answer is about actors.
            self.get("/dapr/config")?;
        }
        if !self.app.is_asked_subscriptions {
            return Ok(Vec::new());
        }
        match self.get("/dapr/subscribe")? {
            (200, Some(body)) => list::read(&body),
            (200, None) => Err("its list of subscriptions is too long".to_owned()),
            (404, _) => Ok(Vec::new()),
            (status, _) => Err(format!("it answers GET /dapr/subscribe with status {status}")),
        }
    }

    fn get(&self, path: &str) -> Result<(u16, Option<Vec<u8>>), String> {
        let url = format!("{}{path}", self.app.url());
        let mut headers = vec![("dapr-app-id", self.dapr.app_id.as_str())];
        headers
            .extend(self.app.token.as_ref().map(|token| ("dapr-api-token", Secret::expose(token))));
        let call =
            Call { method: "GET", url: &url, headers: &headers, body: None, limit: ANSWER_MAX };
        let reply = self.client.call(&call).map_err(|why| format!("GET {path}: {why}"))?;
        Ok((reply.status, reply.body))
    }

    /// Subscribes to what counts; says what cannot be done. Whether all of it can.
    fn follow(&mut self, asked: Vec<Entry>) -> bool {
        let (asked, wrong): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
        let mut wrong: Vec<String> = wrong.into_iter().filter_map(Result::err).collect();
        let asked: Vec<Subscription> = asked.into_iter().flatten().collect();
        let all = list::joined(&self.dapr.subscriptions, asked);
        let mut brokers: Vec<Broker> = Vec::new();
        for subscription in &all {
            match self.rule(subscription) {
                Ok((name, rule)) => match brokers.iter_mut().find(|broker| broker.name == name) {
                    Some(broker) => broker.rules.push(rule),
                    None => brokers.extend(self.broker(&name).map(|broker| {
                        let rules = vec![rule];
                        Broker { rules, ..broker.clone() }
                    })),
                },
                Err(why) => {
                    let Subscription { pubsub, topic, .. } = subscription;
                    wrong.push(format!("the subscription to `{topic}` of {pubsub}: {why}"));
                }
            }
        }
        let count: usize = brokers.iter().map(|broker| broker.rules.len()).sum();
        let is_started = self.lines.set(brokers);
        wrong.extend(is_started.err().into_iter().flatten());
        self.tell(count, &wrong);
        self.standing.show(all);
        self.standing.ready(true);
        wrong.is_empty()
    }

    fn broker(&self, name: &str) -> Option<&Broker> {
        self.brokers.iter().find(|broker| broker.name == name)
    }

    /// The rule for a subscription, and the name of its broker.
    fn rule(&self, subscription: &Subscription) -> Result<(String, config::Rule), String> {
        let component = self
            .dapr
            .component(&subscription.pubsub)
            .ok_or("there is no such pub/sub component")?;
        let app_id = &self.dapr.app_id;
        if !component.scopes.allow_subscribing(&subscription.topic) {
            return Err(format!("its scopes do not allow that to app {app_id}"));
        }
        if let Some(topic) = &subscription.dead_letter_topic
            && !component.scopes.allow_publishing(topic)
        {
            return Err(format!("app {app_id} may not publish to its dead-letter topic `{topic}`"));
        }
        self.warn_of_loop(subscription);
        let rule = AppRule::rule(&self.dapr, component, subscription);
        let rule = rule.map_err(|(place, fault)| format!("rule {}: {fault}", place + 1))?;
        Ok((component.broker.clone(), rule))
    }

    /// What was declared was looked at when it was read.
    fn warn_of_loop(&self, subscription: &Subscription) {
        let Subscription { topic, dead_letter_topic, is_declared, .. } = subscription;
        let own = dead_letter_topic.as_ref().filter(|own| subscription.matches(own));
        if let Some(own) = own.filter(|_| !is_declared) {
            let words =
                format!("the subscription to `{topic}` gets its own dead letters (`{own}`)");
            warn!("{}: {}", self.name, line(&words));
        }
    }

    /// Says and shows what became of a list.
    fn tell(&mut self, count: usize, wrong: &[String]) {
        let mut said = vec![format!("subscriptions: {count}")];
        said.extend_from_slice(wrong);
        if said != self.said {
            info!("{}: it listens on {}; {}", self.name, self.app.url(), said[0]);
            wrong.iter().for_each(|why| error!("{}: {}", self.name, line(why)));
            self.said = said;
        }
        self.health.app(&self.dapr.app_id, |session| {
            *session = Session {
                component: Component::App,
                connected: true,
                subscriptions_ready: wrong.is_empty(),
                error: wrong.first().cloned().unwrap_or_default(),
                since: session.since,
            };
        });
    }

    /// Something is wrong that may be over at the next question.
    fn is_in_trouble(&mut self, connected: bool, why: &str) {
        if self.said.first().is_none_or(|said| said != why) {
            warn!("{}: {}; it is asked again", self.name, line(why));
            self.said = vec![why.to_owned()];
        }
        self.health.app(&self.dapr.app_id, |session| {
            session.connected = connected;
            session.subscriptions_ready = false;
            why.clone_into(&mut session.error);
        });
    }

    /// Waits until the application is another one, or until something that was wrong may be better;
    /// `true` at the stop.
    fn goes_away(&mut self, start: &Start, is_well: bool) -> bool {
        let again = (!is_well).then(|| Instant::now() + ASK.longest);
        loop {
            if self.is_stopped_within(WATCH) {
                return true;
            }
            match port::look(&self.app.host, self.app.port) {
                Ok(now) if now == *start => (),
                Ok(_) => {
                    info!("{}: it was started again", self.name);
                    return false;
                }
                Err(_) => {
                    self.lines.rest();
                    return false;
                }
            }
            if again.is_some_and(|again| again <= Instant::now()) {
                return false;
            }
        }
    }

    /// Waits, and answers whoever asks if this thread is alive meanwhile; `true` at the stop.
    fn is_stopped_within(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            select! {
                recv(self.stop.receiver()) -> _ => return true,
                recv(self.rung) -> _ => {
                    if self.stop.is_set() {
                        return true;
                    }
                    if self.lines.are_alive() {
                        self.pulse.answer();
                    }
                }
                default(until.saturating_duration_since(Instant::now())) => return false,
            }
        }
    }
}

/// An application that is asked, and its subscribers.
pub(super) struct Running {
    thread: JoinHandle<()>,
    lines: Arc<Lines>,
    client: Client,
    bell: Sender<()>,
    pulse: Pulse,
}

impl Running {
    /// The thread whose loop must keep turning.
    pub(super) fn part(&self) -> Part {
        let bell = self.bell.clone();
        let ring = move || {
            let _ = bell.try_send(());
        };
        Part::new("app", (self.pulse.clone(), ring))
    }

    /// Ends the subscribers and the questions. The stop is set.
    pub(super) fn wake(&self) {
        self.client.cut();
        self.lines.close();
        let _ = self.bell.try_send(());
    }

    /// Waits for its end.
    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            error!("app: its thread ended in disorder");
        }
        self.lines.join();
    }
}
