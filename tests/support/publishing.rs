//! The part of the agent that publishes: a queue and the session with a broker, with the test in
//! the place of the sources.

use super::session::broker;
use super::{Folder, wait_until};
use crossbeam_channel::bounded;
use ilagent::config::{self, Broker, Qos};
use ilagent::message::{Delivery, Desk, Errand, Keep, LaneName, Receipt};
use ilagent::queue::{Push, Queue, Storing};
use ilagent::sinks::mqtt::{Running, prepare};
use ilagent::system::health::{self, Health, Limits};
use ilagent::system::services::Services;
use ilagent::system::stop;
use ilagent::system::threads::Failures;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Publishing {
    pub health: Health,
    pub queue: Queue,
    pub settings: config::Queue,
    signed: Arc<Signed>,
    running: Option<Running>,
    pushed: u64,
    _folder: Folder,
}

/// The tickets that were signed, in order.
#[derive(Default)]
struct Signed(Mutex<Vec<u64>>);

impl Desk for Signed {
    fn signed(&self, ticket: u64) {
        self.0.lock().unwrap().push(ticket);
    }
    fn room(&self) {}
}

impl Publishing {
    /// Begins to publish to the broker at `port`.
    pub fn to(port: u16) -> Self {
        Publishing::with(&broker(port))
    }

    pub fn with(broker: &Broker) -> Self {
        let folder = Folder::new();
        let settings = config::Queue { path: folder.join("q.db3"), ..config::Queue::default() };
        let (health, failures) = (Health::default(), Failures(bounded(1).0));
        let queue = Queue::open(&settings, true, &health, &failures).unwrap();
        let services = Services {
            health: health.clone(),
            limits: Limits { age_max: Duration::from_secs(600) },
            failures,
            stop: stop::pair().1,
            here: stop::pair().0,
        };
        let publisher = prepare(broker).unwrap();
        let running = Some(publisher.start(&queue, &services, &Arc::from([])).unwrap());
        let signed = Arc::default();
        Publishing { health, queue, settings, signed, running, pushed: 0, _folder: folder }
    }

    /// Hands a publication in; its ticket is its number, counted from 0.
    pub fn publish(&mut self, topic: &str, qos: Qos, payload: &str) {
        self.push(topic, qos, false, payload, Storing::IfRefused);
    }

    pub fn push(&mut self, topic: &str, qos: Qos, retain: bool, payload: &str, storing: Storing) {
        let delivery = Delivery {
            lane: LaneName { sink: "mqtt plant".into(), key: String::new() },
            order_key: None,
            errand: Errand::Publish { topic: topic.to_owned(), qos, retain },
            keep: Keep::UntilDelivered,
            body: payload.as_bytes().to_vec(),
            origin: "test".to_owned(),
        };
        let desk: Arc<dyn Desk> = self.signed.clone();
        let receipt = Some(Receipt::new(desk, self.pushed, 1));
        self.pushed += 1;
        self.queue.push(vec![Push::Delivery { delivery, storing, receipt }], None).unwrap();
    }

    /// The tickets that were signed so far, in order.
    pub fn signed(&self) -> Vec<u64> {
        self.signed.0.lock().unwrap().clone()
    }

    #[track_caller]
    pub fn wait_until_all_are_signed(&self) {
        wait_until("everything is signed", || self.signed().len() as u64 == self.pushed);
    }

    pub fn sink(&self) -> health::Sink {
        let sinks = self.health.snapshot().sinks;
        sinks.into_iter().find(|(name, _)| name == "mqtt plant").unwrap().1
    }

    #[track_caller]
    pub fn wait_for_letters(&self, count: u64) {
        wait_until("dead letters are kept", || self.health.snapshot().queue.dead_letters == count);
    }

    /// How many deliveries the queue has when it is opened again, after [`Publishing::stop`].
    pub fn waiting_after_a_restart(&self) -> u64 {
        let health = Health::default();
        let queue = Queue::open(&self.settings, true, &health, &Failures(bounded(1).0)).unwrap();
        wait_until("it is counted", || health.snapshot().queue.waiting > 0);
        queue.stop_claims();
        queue.close();
        health.snapshot().queue.waiting
    }

    /// Stops it and says how long that took.
    pub fn stop(&mut self) -> Duration {
        let begin = Instant::now();
        if let Some(mut running) = self.running.take() {
            running.stop();
            assert!(running.join(begin + Duration::from_secs(20)), "it ends");
        }
        self.queue.stop_claims();
        self.queue.close();
        begin.elapsed()
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.stop();
    }
}
