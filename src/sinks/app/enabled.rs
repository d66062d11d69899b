//! An HTTP server on this machine, as a rule, which is called with each event of its subscriptions.
//!
//! It says what becomes of an event ([`verdict`]), and the policy of the component that the event
//! came over says what comes of a failure ([`policy`]). Each component is a lane. An application
//! that is not there has failed nothing: everything waits, and nothing is counted. But a connection
//! that ends in the middle may be the event's doing, so the third time it counts as a failure.
//!
//! What the application never takes goes to the topic of dead letters of its subscription, as the
//! payload that came, in the transaction that ends the delivery.

mod bulk;
mod policy;
mod verdict;
mod wellness;

use crate::config::{Dapr, PublishRule, Qos, Retry, Secret, defaults};
use crate::intake::stamp;
use crate::message::{
    DEAD_LETTER, Delivery, Errand, Holds, Keep, LaneName, Outcome, RAW, SinkName, is_sent,
};
use crate::queue::{Claim, Queue, Terms};
use crate::system::plain::plain;
use crate::system::services::Services;
use crate::system::threads::{self, lock};
use crate::system::web::{Call, Client, Failure, Limits, NoReply, is_url};
use crate::verdict::{Reply, Secrets, excerpt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulk::Envelope;
use log::{error, info, warn};
use percent_encoding::percent_decode_str;
use policy::{Breaker, Failed, wait_after};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use verdict::{Verdict, judge};
use wellness::Wellness;

/// How long an application may take to answer, unless a policy says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Sockets are not asked for the time more often than that.
const LATE: Duration = Duration::from_secs(1);

/// So many connections that end in the middle of an event are laid to the event.
const BROKEN_MAX: u32 = 3;

/// Most events whose broken connections are remembered.
const SUSPECTS_MAX: usize = 64;

/// Most unknown routes that are logged.
const ROUTES_TOLD_MAX: usize = 64;

/// An application.
pub struct App {
    client: Client,
    url: String,
    token: Option<Secret>,
    terms: Terms,
    components: Vec<Component>,
    wellness: Option<Arc<Wellness>>,
    /// Deliveries under which connections broke, and how often.
    suspects: Mutex<VecDeque<(u64, u32)>>,
    /// Routes that the application does not have, as far as the log has said so.
    told: Mutex<BTreeSet<String>>,
}

/// What an event came over.
struct Component {
    name: String,
    timeout: Duration,
    retry: Option<Retry>,
    breaker: Option<Mutex<Breaker>>,
    /// How its dead letters are published.
    sink: SinkName,
    qos: Qos,
    retain: bool,
}

/// Looks at what a start would need.
///
/// # Errors
///
/// Says what is wrong with the settings or the machine.
pub fn check(settings: &Dapr) -> Result<(), String> {
    App::prepare(settings).map(|_| ())
}

impl App {
    /// Makes the client; connects nowhere.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub fn prepare(settings: &Dapr) -> Result<Self, String> {
        let sink: SinkName = settings.sink_name().into();
        let app = settings.app.as_ref().ok_or_else(|| format!("{sink}: it has no port"))?;
        let limits = Limits { timeout: TIMEOUT, connections_max: app.in_flight_max };
        let url = app.url();
        let client = Client::direct(&url, limits);
        let wellness = app.health.clone();
        let wellness = wellness.map(|health| Arc::new(Wellness::new(health, &url, client.clone())));
        let now = Instant::now();
        let component = |component: &crate::config::PubSub| Component {
            name: component.name.clone(),
            timeout: component.inbound.timeout.unwrap_or(TIMEOUT),
            retry: component.inbound.retry.clone(),
            breaker: component.inbound.breaker.clone().map(|it| Breaker::new(it, now).into()),
            sink: PublishRule::sink_name(&component.broker).into(),
            qos: component.qos,
            retain: component.retain,
        };
        Ok(App {
            client,
            url,
            token: app.token.clone(),
            terms: Terms {
                sink,
                in_flight_max: app.in_flight_max,
                backoff: defaults::BACKOFF,
                attempts_max: None,
                in_order: false,
                by_policy: true,
            },
            components: settings.components.iter().map(component).collect(),
            wellness,
            suspects: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// What the queue needs to know of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Starts to ask it if it is well, if that is wanted.
    ///
    /// # Errors
    ///
    /// Fails when there is no thread left.
    pub fn watch(&self, queue: &Queue, services: &Services) -> Result<(), String> {
        let Some(wellness) = self.wellness.clone() else { return Ok(()) };
        let (queue, services) = (queue.clone(), services.clone());
        let sink = self.terms.sink.clone();
        let name = format!("sink {sink}");
        let started = threads::spawn(&format!("{name} well"), move || {
            wellness.watch(&services.stop, &|is_well| {
                if is_well {
                    info!("sink {sink}: it says that it is well");
                    queue.hurry(&sink);
                } else {
                    warn!("sink {sink}: it does not say that it is well, so nothing is delivered");
                }
            });
        });
        started.map(|_| ()).map_err(|error| format!("{name}: {error}"))
    }

    /// Tries once to hand over what was claimed: one event, or several of a subscription with the
    /// same route. Says what becomes of each.
    #[must_use]
    pub fn attempt(&self, claims: &[Claim]) -> Vec<Outcome> {
        let lane = &claims[0].delivery.lane;
        let component = self.component(lane);
        let events: Vec<_> = claims.iter().map(|claim| self.event(claim, component)).collect();
        let wanted: Vec<&Event<'_>> =
            events.iter().filter_map(|event| event.as_ref().ok()).collect();
        let dice = fastrand::f64();
        let mut asked = match wanted.is_empty() {
            true => Ok(Vec::new().into_iter()),
            false => self.may_begin(component).map(|()| {
                let verdicts = self.ask(&wanted);
                if let Some(breaker) = component.and_then(|it| it.breaker.as_ref()) {
                    note(breaker, lane, &verdicts);
                }
                verdicts.into_iter()
            }),
        };
        let outcome = |event: Result<Event<'_>, Outcome>| match (event, &mut asked) {
            (Err(outcome), _) => outcome,
            (Ok(_), Err(outcome)) => outcome.clone(),
            (Ok(event), Ok(verdicts)) => {
                let verdict = verdicts.next().unwrap_or(Verdict::Taken);
                self.outcome(&event, verdict, dice)
            }
        };
        events.into_iter().map(outcome).collect()
    }

    /// A delivery as an event; what becomes of it if the application cannot be asked.
    fn event<'a>(
        &self,
        claim: &'a Claim,
        component: Option<&'a Component>,
    ) -> Result<Event<'a>, Outcome> {
        let Errand::Call { path, content_type, headers } = &claim.delivery.errand else {
            return Err(Outcome::never("an application takes calls only"));
        };
        let event = Event { claim, component, path, content_type, headers };
        if claim.delivery.keep.is_over(SystemTime::now()) {
            return Err(event.dropped("expired"));
        }
        if !is_url(&[&self.url, path.as_str()].concat()) {
            let why = "its path cannot be a part of a URL".to_owned();
            return Err(Outcome::Never { why, heir: event.heir() });
        }
        Ok(event)
    }

    /// Whether the application may be asked at present; what becomes of what is for it otherwise.
    fn may_begin(&self, component: Option<&Component>) -> Result<(), Outcome> {
        let later = |why: &str, holds, wait| {
            let why = why.to_owned();
            Outcome::Later { why, holds, after: Some(wait) }
        };
        if let Err(wait) = self.wellness.as_ref().map_or(Ok(()), |it| it.is_well()) {
            return Err(later("it does not say that it is well", Holds::Sink, wait));
        }
        let breaker = component.and_then(|component| component.breaker.as_ref());
        breaker
            .map_or(Ok(()), |it| lock(it).begins(Instant::now()))
            .map_err(|wait| later("its breaker is open", Holds::Lane, wait))
    }

    /// Asks the application to take these; its verdict on each.
    fn ask(&self, events: &[&Event<'_>]) -> Vec<Verdict> {
        let Event { claim, path, content_type, headers, .. } = *events[0];
        let bulk = claim.delivery.errand.bulk().map(|_| {
            let entries = events.iter();
            let mut entries =
                entries.map(|it| (&it.claim.delivery.body[..], it.content_type, it.headers));
            Envelope::of(stamp().id, parts(&claim.delivery.lane), &mut entries)
        });
        let (content_type, body) = match &bulk {
            Some(bulk) => (bulk::CONTENT_TYPE, &bulk.body),
            None => (content_type, &claim.delivery.body),
        };
        let limit = self.timeout(&claim.delivery.lane);
        let token = self.token.as_ref().map(|token| ("dapr-api-token", token.expose()));
        // What is said of one event stands in the envelope.
        let is_of_all = |name: &str| bulk.is_none() || name == bulk::OF_ALL;
        let sent = headers.iter().filter(|(name, _)| is_sent(name) && is_of_all(name));
        let headers: Vec<(&str, &str)> = sent
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain([("content-type", content_type)])
            .chain(token)
            .collect();
        let url = [&self.url, path].concat();
        let call = Call { method: "POST", url: &url, headers: &headers, body: Some(body), limit };
        let secrets = Secrets::of(self.token.iter().map(Secret::expose).collect());
        let NoReply { why, how } = match self.client.ask(&call) {
            Ok(reply) => {
                self.is_cleared(claim.id);
                let reply = Reply::from(reply);
                return match &bulk {
                    Some(bulk) => bulk.judge(&reply, &secrets),
                    None => vec![judge(&reply, &secrets)],
                };
            }
            Err(none) => none,
        };
        let why = excerpt(&why, &secrets);
        let failed = |why| Verdict::Failed { why, status: None };
        let verdict = match how {
            Failure::Away => Verdict::Away(why),
            Failure::Broken if !self.is_suspect(claim.id) => Verdict::Away(why),
            Failure::Late => failed(format!("no answer within {limit:?}")),
            Failure::Broken | Failure::Odd => failed(why),
        };
        vec![verdict; events.len()]
    }

    fn outcome(&self, event: &Event<'_>, verdict: Verdict, dice: f64) -> Outcome {
        match verdict {
            Verdict::Taken => Outcome::Delivered,
            Verdict::Dropped(why) => event.dropped(why),
            Verdict::Unknown => {
                self.has_no(event.path);
                event.dropped("the application has no such route")
            }
            Verdict::Away(why) => Outcome::Later { why, holds: Holds::Sink, after: None },
            Verdict::Failed { why, status } => {
                let attempt = event.claim.attempt;
                let retry = event.component.and_then(|component| component.retry.as_ref());
                let heir = event.heir();
                let failed = Failed { attempt, status };
                match wait_after(failed, retry, heir.is_some(), dice) {
                    None => Outcome::Never { why: given_up(attempt, why), heir },
                    wait => Outcome::Later { why, holds: Holds::Delivery, after: wait },
                }
            }
        }
    }

    /// Whether so many connections have broken under a delivery, this one included, that it may be
    /// the reason.
    fn is_suspect(&self, id: u64) -> bool {
        let mut suspects = lock(&self.suspects);
        let known = suspects.iter().position(|(suspect, _)| *suspect == id);
        let before = known.and_then(|at| suspects.remove(at)).map_or(0, |(_, times)| times);
        suspects.push_back((id, before + 1));
        if suspects.len() > SUSPECTS_MAX {
            suspects.pop_front();
        }
        before + 1 >= BROKEN_MAX
    }

    fn is_cleared(&self, id: u64) {
        lock(&self.suspects).retain(|(suspect, _)| *suspect != id);
    }

    /// Says once that there is no such route.
    fn has_no(&self, path: &str) {
        let mut told = lock(&self.told);
        if told.len() < ROUTES_TOLD_MAX && told.insert(path.to_owned()) {
            let (sink, path) = (&self.terms.sink, plain(path));
            error!("sink {sink}: it has no route {path} (404), so what is for it is dropped");
        }
    }

    /// What a lane's events came over. One that is not in the configuration any more has no policy.
    fn component(&self, lane: &LaneName) -> Option<&Component> {
        let (name, _) = parts(lane);
        self.components.iter().find(|component| component.name == name)
    }

    fn timeout(&self, lane: &LaneName) -> Duration {
        self.component(lane).map_or(TIMEOUT, |component| component.timeout)
    }

    /// The longest time an attempt at `delivery` can take.
    #[must_use]
    pub fn attempt_max(&self, delivery: &Delivery) -> Duration {
        self.timeout(&delivery.lane) + LATE
    }

    /// Ends all calls under way, and lets no other begin.
    pub fn cut(&self) {
        self.client.cut();
    }
}

/// An event that is to be handed over.
struct Event<'a> {
    claim: &'a Claim,
    component: Option<&'a Component>,
    path: &'a str,
    content_type: &'a str,
    headers: &'a [(String, String)],
}

impl Event<'_> {
    /// Nobody wants it.
    fn dropped(&self, why: &str) -> Outcome {
        match self.heir() {
            None => Outcome::Delivered,
            heir => Outcome::Never { why: why.to_owned(), heir },
        }
    }

    /// What takes its place when it is given up: the payload that came, on the topic of dead
    /// letters.
    fn heir(&self) -> Option<Box<Delivery>> {
        let said = |wanted: &str| self.headers.iter().find(|(name, _)| name == wanted);
        let (component, (_, topic)) = (self.component?, said(DEAD_LETTER)?);
        let topic = percent_decode_str(topic).decode_utf8().ok()?.into_owned();
        let delivery = &self.claim.delivery;
        let raw = said(RAW).and_then(|_| base64(&delivery.body));
        let raw = raw.and_then(|text| STANDARD.decode(text.as_bytes()).ok());
        Some(Box::new(Delivery {
            lane: LaneName { sink: component.sink.clone(), key: String::new() },
            order_key: None,
            errand: Errand::Publish { topic, qos: component.qos, retain: component.retain },
            keep: Keep::UntilDelivered,
            body: raw.unwrap_or_else(|| delivery.body.clone()),
            origin: delivery.origin.clone(),
        }))
    }
}

/// The name of its component, and the topic of its subscription if that has a lane of its own.
fn parts(lane: &LaneName) -> (&str, &str) {
    lane.key.split_once('/').unwrap_or((&lane.key, ""))
}

/// One failure says that the attempt failed.
fn note(breaker: &Mutex<Breaker>, lane: &LaneName, verdicts: &[Verdict]) {
    let is_failed = |verdict: &&Verdict| matches!(verdict, Verdict::Failed { .. });
    let well = match verdicts.iter().find(is_failed).or(verdicts.first()) {
        Some(Verdict::Taken | Verdict::Dropped(_) | Verdict::Unknown) => Some(true),
        Some(Verdict::Failed { .. }) => Some(false),
        Some(Verdict::Away(_)) | None => None,
    };
    if lock(breaker).ended(well, Instant::now()) {
        warn!("sink {lane}: its breaker opens, so nothing is delivered for a while");
    }
}

fn given_up(attempts: u32, why: String) -> String {
    match attempts {
        1 => why,
        _ => format!("given up after {attempts} attempts, the last one: {why}"),
    }
}

/// What an event was built from, in base64.
fn base64(event: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Built<'a> {
        #[serde(borrow)]
        data_base64: Cow<'a, str>,
    }
    serde_json::from_slice(event).ok().map(|Built { data_base64 }| data_base64)
}
