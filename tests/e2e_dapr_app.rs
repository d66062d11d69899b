//! Events for an application that was written for Dapr: what it is sent, what its answers mean, and
//! what becomes of events that it does not take.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]
#![cfg(feature = "dapr")]

mod support;

use crossbeam_channel::bounded;
use ilagent::config::{
    self, App, Breaker, Confirm, Dapr, Pace, Policy, PubSub, Retry, Scopes, Secret, Trip, defaults,
};
use ilagent::message::{BULK, DEAD_LETTER, Delivery, Errand, Keep, LaneName, Outcome, Qos, RAW};
use ilagent::queue::{Claims, Push, Queue, Storing, Terms};
use ilagent::sinks::Sink;
use ilagent::sinks::app;
use ilagent::sinks::crew::Crew;
use ilagent::system::health::{Health, Limits};
use ilagent::system::services::Services;
use ilagent::system::stop::{self, Stopper};
use ilagent::system::threads::Failures;
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use support::broker::Broker;
use support::dapr::{Sidecar, component};
use support::publisher::Publisher;
use support::stand_in::{Answer, Request, StandIn};
use support::{Folder, PATIENCE, until, wait_until};

/// How long an application may take for its answers to what is under way at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

const MS: fn(u64) -> Duration = Duration::from_millis;

/// The sink of an application between a queue and a stand-in, and what claims its dead letters.
struct Rig {
    settings: config::Queue,
    dapr: Dapr,
    running: Option<Running>,
    _folder: Folder,
}

struct Running {
    queue: Queue,
    crew: Crew,
    letters: Claims,
    health: Health,
    _stopper: Stopper,
}

impl Rig {
    fn new(app: &StandIn, inbound: Policy) -> Self {
        let folder = Folder::new();
        let settings = config::Queue { path: folder.join("q.db3"), ..config::Queue::default() };
        let mut rig = Rig { settings, dapr: dapr(app, inbound), running: None, _folder: folder };
        rig.start();
        rig
    }

    fn start(&mut self) {
        let health = Health::default();
        let (failures, (stopper, stop), (here, _)) =
            (Failures(bounded(1).0), stop::pair(), stop::pair());
        let queue = Queue::open(&self.settings, true, &health, &failures).unwrap();
        let limits = Limits { age_max: defaults::AGE_MAX };
        let services = Services { health: health.clone(), limits, failures, stop, here };
        let app = Box::new(app::App::prepare(&self.dapr).unwrap());
        app.watch(&queue, &services).unwrap();
        let crew = Crew::start(Sink::App(app), &queue, &services, &Arc::from([])).unwrap();
        let letters = queue.claims(
            Terms {
                sink: "mqtt plant".into(),
                in_flight_max: 10,
                backoff: defaults::BACKOFF,
                attempts_max: None,
                in_order: true,
                by_policy: false,
            },
            None,
        );
        self.running = Some(Running { queue, crew, letters, health, _stopper: stopper });
    }

    fn stop(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.queue.stop_claims();
        // Its last answers count; a test that leaves one open ends all the same.
        if !running.crew.join(Instant::now() + LAST_ANSWERS) {
            running.crew.cut();
        }
        assert!(running.crew.join(Instant::now() + PATIENCE));
        running.queue.close();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    fn push(&self, event: Delivery) {
        let push = Push::Delivery { delivery: event, storing: Storing::AtOnce, receipt: None };
        self.running().queue.push(vec![push], None).unwrap();
    }

    /// The next dead letter that is published: its topic, its payload, and how.
    fn letter(&self) -> (String, Vec<u8>, Qos, bool) {
        let claim = self.running().letters.wait(Some(PATIENCE)).expect("a letter is published");
        let Errand::Publish { topic, qos, retain } = claim.delivery.errand.clone() else {
            panic!()
        };
        let body = claim.delivery.body.clone();
        self.running().letters.settle(claim, Outcome::Delivered);
        (topic, body, qos, retain)
    }

    fn wait_empty(&self) {
        wait_until("nothing waits", || self.running().health.snapshot().queue.waiting == 0);
    }

    fn buried(&self) -> u64 {
        self.running().health.snapshot().queue.dead_letters
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
    }
}

fn dapr(app: &StandIn, inbound: Policy) -> Dapr {
    let port = app.url().rsplit_once(':').unwrap().1.parse().unwrap();
    Dapr {
        app_id: "press".to_owned(),
        namespace: "default".to_owned(),
        head_bytes_max: defaults::DAPR_HEAD_BYTES_MAX,
        app: Some(App {
            host: "127.0.0.1".to_owned(),
            port,
            tls: false,
            token: Some(Secret::new("app-token-7")),
            in_flight_max: 4,
            is_asked_config: false,
            is_asked_subscriptions: false,
            health: None,
        }),
        components: vec![PubSub {
            name: "plantbus".to_owned(),
            kind: "pubsub.mqtt".to_owned(),
            version: "v1".to_owned(),
            broker: "plant".to_owned(),
            qos: Qos::AtLeastOnce,
            retain: true,
            prefix: String::new(),
            scopes: Scopes::default(),
            confirm: Confirm::Stored,
            inbound,
            outbound: Policy::default(),
        }],
        others: Vec::new(),
        subscriptions: Vec::new(),
    }
}

/// Tried again after `wait`, so often at most.
fn retries(wait: u64, retries_max: u32) -> Policy {
    let retry =
        Retry { pace: Pace::Constant(MS(wait)), retries_max: Some(retries_max), statuses: None };
    Policy { retry: Some(retry), ..Policy::default() }
}

/// An event of a topic, with more headers.
fn event(topic: &str, body: &str, headers: &[(&str, &str)]) -> Delivery {
    let of_topic = [("Pubsubname", "plantbus"), ("Mqtt-Topic", topic)];
    let all = of_topic.iter().chain(headers);
    Delivery {
        lane: LaneName { sink: "app press".into(), key: "plantbus".to_owned() },
        order_key: Some(topic.to_owned()),
        errand: Errand::Call {
            path: "/orders".to_owned(),
            content_type: "application/cloudevents+json".to_owned(),
            headers: all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        },
        keep: Keep::UntilDelivered,
        body: body.as_bytes().to_vec(),
        origin: topic.to_owned(),
    }
}

fn said(word: &str) -> Answer {
    Answer::json(200, &format!(r#"{{"status":"{word}"}}"#))
}

fn bodies(requests: &[Request]) -> Vec<String> {
    requests.iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect()
}

#[test]
fn an_event_is_a_request_whose_answer_says_what_becomes_of_it() {
    let app = StandIn::new();
    let rig = Rig::new(&app, Policy::default());
    app.answer(|request| match request.body.as_slice() {
        b"{\"n\":1}" => Answer::Status(204),
        b"{\"n\":2}" | b"{\"n\":3}" => said("DROP"),
        _ => Answer::Status(404),
    });
    let letter = (DEAD_LETTER, "a/dead%20%E2%98%83");
    rig.push(event("a", r#"{"n":1}"#, &[("Retained", "false"), letter]));
    rig.push(event("a", r#"{"n":2}"#, &[]));
    rig.push(event("a", r#"{"n":3}"#, &[letter]));
    let wanted = ("a/dead ☃".to_owned(), br#"{"n":3}"#.to_vec(), Qos::AtLeastOnce, true);
    assert_eq!(rig.letter(), wanted);
    // What came was bytes, and bytes are what is published.
    let built = r#"{"id":"1","data_base64":"AQBi","topic":"a"}"#;
    rig.push(event("a", built, &[letter, (RAW, "yes")]));
    assert_eq!(rig.letter(), ("a/dead ☃".to_owned(), b"\x01\x00b".to_vec(), wanted.2, true));
    for (number, letters) in [(8, &[][..]), (9, &[letter][..])] {
        let keep = Keep::Before(UNIX_EPOCH + MS(1));
        rig.push(Delivery { keep, ..event("a", &format!("{{\"n\":{number}}}"), letters) });
    }
    assert_eq!(rig.letter().1, br#"{"n":9}"#, "it is too late for it");
    rig.wait_empty();
    assert_eq!(rig.buried(), 0, "what the application does not want is not kept");

    let requests = app.requests();
    assert_eq!(bodies(&requests), [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, built]);
    let first = &requests[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/orders"));
    for (name, wanted) in [
        ("content-type", "application/cloudevents+json"),
        ("dapr-api-token", "app-token-7"),
        ("pubsubname", "plantbus"),
        ("mqtt-topic", "a"),
        ("retained", "false"),
    ] {
        assert_eq!(first.header(name), Some(wanted), "{name}");
    }
    let is_ours = |(name, _): &(String, String)| name.is_empty() || name.contains("dead");
    assert!(!first.headers.iter().any(is_ours), "{:?}", first.headers);
}

#[test]
fn what_is_refused_is_tried_again_by_policy_while_others_pass_and_over_restarts() {
    let app = StandIn::new();
    let mut rig = Rig::new(&app, retries(50, 4));
    app.answer(|request| match request.body.as_slice() {
        b"bad" => said("RETRY"),
        b"worse" => Answer::Status(503),
        _ => Answer::Status(200),
    });
    rig.push(event("a", "bad", &[(DEAD_LETTER, "dead")]));
    rig.push(event("a", "worse", &[]));
    (0..20).for_each(|number| rig.push(event("a", &number.to_string(), &[])));
    let of = |wanted: &str| {
        let requests = app.requests();
        requests.into_iter().filter(|it| it.body == wanted.as_bytes()).collect::<Vec<_>>()
    };
    wait_until("it is tried twice", || of("bad").len() >= 2 && of("19").len() == 1);
    rig.stop();
    rig.start();
    assert_eq!(rig.letter().1, b"bad");
    wait_until("the other one is kept", || rig.buried() == 1);
    rig.wait_empty();
    assert_eq!((of("bad").len(), of("worse").len()), (5, 5), "also those before the restart");
    let good: Vec<String> = bodies(&app.requests())
        .into_iter()
        .filter(|it| !["bad", "worse"].contains(&&**it))
        .collect();
    assert_eq!(good, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    let waits: Vec<_> = of("worse").windows(2).map(|two| two[1].at - two[0].at).collect();
    let whole = waits.iter().filter(|wait| **wait >= MS(45)).count();
    assert!(whole >= 3, "only the restart ends a wait: {waits:?}");
}

/// Events of a subscription whose events go together: their numbers, pushed in one commit.
fn push_bulk(rig: &Rig, numbers: std::ops::Range<u64>) {
    let headers = [(DEAD_LETTER, "dead"), (BULK, "4 300")];
    let push = |number: u64| {
        let mut delivery = event("orders", &format!("{{\"n\":{number}}}"), &headers);
        delivery.lane.key = "plantbus/orders".to_owned();
        delivery.order_key = None;
        Push::Delivery { delivery, storing: Storing::AtOnce, receipt: None }
    };
    rig.running().queue.push_whole(numbers.map(push).collect()).unwrap();
}

/// The numbers of the events of each request.
fn bulks(app: &StandIn) -> Vec<Vec<u64>> {
    let numbers = |request: &Request| {
        let document = request.json();
        assert_eq!(document["topic"], "orders");
        let entries = document["entries"].as_array().unwrap().iter();
        entries.map(|entry| entry["event"]["n"].as_u64().unwrap()).collect()
    };
    app.requests().iter().map(numbers).collect()
}

/// What an application answers that says something of each event: an empty text is nothing.
fn statuses(request: &Request, word: fn(u64) -> &'static str) -> Answer {
    let document = request.json();
    let entries = document["entries"].as_array().unwrap().iter();
    let statuses = entries.filter_map(|entry| {
        let word = word(entry["event"]["n"].as_u64().unwrap());
        (!word.is_empty()).then(|| json!({"entryId": entry["entryId"], "status": word}))
    });
    Answer::json(200, &json!({"statuses": statuses.collect::<Vec<_>>()}).to_string())
}

#[test]
fn events_that_go_together_are_one_request_and_each_has_its_own_end() {
    let app = StandIn::new();
    let mut rig = Rig::new(&app, retries(1, 2));
    app.answer(|request| {
        statuses(request, |number| match number {
            1 => "RETRY",
            2 => "DROP",
            3 => "",
            _ => "SUCCESS",
        })
    });
    push_bulk(&rig, 0..4);
    let mut letters = [(); 3].map(|()| rig.letter().1);
    letters.sort();
    assert_eq!(letters, [br#"{"n":1}"#, br#"{"n":2}"#, br#"{"n":3}"#]);
    rig.wait_empty();
    let all = bulks(&app);
    assert_eq!(all[0], [0, 1, 2, 3]);
    let count = |wanted| all.iter().flatten().filter(|number| **number == wanted).count();
    assert_eq!([0, 1, 2, 3].map(count), [1, 3, 1, 3], "only what is left: {all:?}");
    let first = &app.requests()[0];
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!((first.header("pubsubname"), first.header("mqtt-topic")), (Some("plantbus"), None));

    // While it is away nothing fails, and nothing overtakes over a restart.
    let before = all.len();
    app.go_away();
    push_bulk(&rig, 10..20);
    let failed = || rig.running().health.snapshot().sinks[0].1.failed_attempts;
    let refused = failed();
    wait_until("it is tried", || failed() > refused);
    rig.stop();
    rig.start();
    app.come_back();
    rig.running().queue.hurry(&"app press".into());
    let later = || bulks(&app).split_off(before).concat();
    wait_until("all have come", || later().len() >= 10);
    rig.wait_empty();
    assert_eq!(later(), (10..20).collect::<Vec<_>>());
    assert_eq!(rig.buried(), 0);
}

#[test]
fn an_application_that_is_not_there_has_failed_nothing() {
    let app = StandIn::new();
    app.go_away();
    // One failure would be the end.
    let rig = Rig::new(&app, Policy::default());
    let letter = [(DEAD_LETTER, "dead")];
    (0..5).for_each(|number| rig.push(event("a", &number.to_string(), &letter)));
    let error = || rig.running().health.snapshot().sinks[0].1.failed_attempts;
    wait_until("it is tried", || error() >= 2);
    app.come_back();
    rig.running().queue.hurry(&"app press".into());
    wait_until("all are taken", || app.count() == 5);
    rig.wait_empty();
    assert_eq!(bodies(&app.requests()), ["0", "1", "2", "3", "4"]);

    // One that ends the application each time is given up, and the others are not.
    app.answer(|request| match request.body.as_slice() {
        b"crash" => Answer::Lost,
        _ => Answer::Status(200),
    });
    rig.push(event("a", "crash", &letter));
    rig.push(event("a", "after", &letter));
    assert_eq!(rig.letter().1, b"crash");
    wait_until("the next one is taken", || bodies(&app.requests()).contains(&"after".to_owned()));
    rig.wait_empty();
}

#[test]
fn an_application_that_does_not_answer_in_time_has_failed() {
    let app = StandIn::new();
    app.answer_all(Answer::Hang);
    let rig = Rig::new(&app, Policy { timeout: Some(MS(100)), ..retries(1, 1) });
    rig.push(event("a", "slow", &[(DEAD_LETTER, "dead")]));
    assert_eq!(rig.letter().1, b"slow");
    assert_eq!(app.count(), 2);
    app.answer_all(Answer::Status(200));
}

#[test]
fn an_open_breaker_holds_everything_back_and_counts_nothing() {
    let app = StandIn::new();
    app.answer_all(Answer::Status(500));
    let breaker = Breaker {
        probes_max: 1,
        interval: Duration::ZERO,
        open: MS(400),
        trip: Trip::ConsecutiveFailures(2),
    };
    let rig = Rig::new(&app, Policy { breaker: Some(breaker), ..retries(1, 3) });
    rig.push(event("a", "1", &[]));
    wait_until("it is open", || {
        let (_, sink) = rig.running().health.snapshot().sinks[0].clone();
        sink.error == "its breaker is open"
    });
    let opened = app.requests().last().unwrap().at;
    assert_eq!(app.count(), 2);
    app.answer_all(Answer::Status(200));
    (2..5).for_each(|number| rig.push(event("a", &number.to_string(), &[])));
    let next = until("one finds out", || app.requests().get(2).cloned());
    assert!(next.at - opened >= MS(350), "{:?}", next.at - opened);
    wait_until("all are taken", || app.count() == 6);
    rig.wait_empty();
    assert_eq!(rig.buried(), 0);
}

#[test]
fn nothing_is_delivered_before_the_application_says_that_it_is_well() {
    let app = StandIn::new();
    let is_asked = |request: &Request| request.path == "/healthz";
    app.answer(move |request| Answer::Status(if is_asked(request) { 503 } else { 200 }));
    let mut rig = Rig::new(&app, Policy::default());
    rig.stop();
    let health = config::AppHealth {
        path: "healthz".to_owned(),
        interval: MS(20),
        timeout: MS(500),
        failures: 2,
    };
    rig.dapr.app.as_mut().unwrap().health = Some(health);
    rig.start();
    rig.push(event("a", "1", &[]));
    let asked = || app.requests().iter().filter(|it| is_asked(it)).count();
    wait_until("it is asked", || asked() > 3);
    assert_eq!(app.count(), asked());
    app.answer_all(Answer::Status(200));
    wait_until("it is delivered", || app.requests().iter().any(|it| !is_asked(it)));
    rig.wait_empty();
}

/// The whole agent, in front of a broker that lets 20 messages be under way.
#[test]
fn what_an_application_refuses_waits_here_over_kills_and_the_rest_passes() {
    const REFUSED: usize = 25;
    let (broker, app) = (Broker::new(), StandIn::new());
    app.answer(|it| Answer::Status(if it.path == "/bad" { 500 } else { 200 }));
    let url = app.url();
    let port = url.rsplit(':').next().unwrap();
    let arguments = ["--app-port", port, "--disable-init-endpoints", "config,subscribe"];
    let mut sidecar = Sidecar::new(&arguments);
    let subscription = |topic: &str| {
        format!(
            "---\napiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {{name: {topic}}}\n\
             spec: {{pubsubname: plantbus, topic: {topic}, route: /{topic}}}\n"
        )
    };
    let files = component("plantbus", broker.port(), "");
    sidecar.folder.write("res/a.yaml", &(files + &subscription("bad") + &subscription("good")));
    sidecar.start();
    wait_until("it is subscribed", || sidecar.status("GET", "/ready") == Some(204));
    let mut publisher = Publisher::new(broker.port());
    publisher.burst("bad", (0..REFUSED).map(|number| format!("{{\"n\":{number}}}")));
    publisher.publish("good", "{}");
    let taken = |path: &str| {
        let requests = app.requests();
        let taken = requests.iter().filter(|it| it.path == path && it.status == 200);
        taken.map(|it| it.body.clone()).collect::<HashSet<_>>().len()
    };
    wait_until("the one behind them is taken", || taken("/good") == 1);
    broker.wait_for_acks("press7-consumer", REFUSED + 1);
    sidecar.kill();
    assert_eq!(sidecar.waiting().len(), REFUSED);
    app.answer_all(Answer::Status(200));
    sidecar.start();
    wait_until("all are taken", || taken("/bad") == REFUSED);
    wait_until("nothing waits", || sidecar.waiting().is_empty() && sidecar.dead().is_empty());
}
