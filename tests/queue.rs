//! The queue by itself, with real files: order, receipts, isolation, bounds.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

mod support;

use crossbeam_channel::bounded;
use ilagent::config;
use ilagent::message::{
    Delivery, Desk, Errand, Holds, Keep, LaneName, Outcome, Qos, Receipt, Record,
};
use ilagent::queue::admin::{self, Chosen, Command};
use ilagent::queue::{Claims, DeadLetter, Error, Push, Queue, Storing, Terms};
use ilagent::sinks::ilert::BACKOFF;
use ilagent::system::health::Health;
use ilagent::system::threads::Failures;
use proptest::prelude::*;
use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::version_1::TABLES;
use support::{Folder, wait_until};

/// A queue in a folder of its own.
struct Rig {
    folder: Folder,
    settings: config::Queue,
    health: Health,
    queue: Queue,
    claims: Claims,
}

impl Rig {
    fn new(attempts_max: Option<u32>) -> Self {
        let folder = Folder::new();
        let settings = config::Queue { path: folder.join("q.db3"), ..config::Queue::default() };
        let health = Health::default();
        let (queue, claims) = open(&settings, attempts_max, &health);
        Rig { folder, settings, health, queue, claims }
    }

    fn push(&self, delivery: Delivery, storing: Storing, desk: &Arc<Signed>) {
        let desk: Arc<dyn Desk> = desk.clone();
        let ticket = String::from_utf8(delivery.body.clone()).unwrap().parse().unwrap();
        let receipt = Some(Receipt::new(Arc::clone(&desk), ticket, 1));
        self.push_all(vec![Push::Delivery { delivery, storing, receipt }]);
    }

    fn end(&self) {
        self.queue.stop_claims();
        self.queue.close();
    }

    fn restart(&mut self, attempts_max: Option<u32>) {
        self.end();
        (self.queue, self.claims) = open(&self.settings, attempts_max, &self.health);
    }

    /// Pushes as a source does: what finds no room is pushed again.
    fn push_all(&self, mut batch: Vec<Push>) {
        while let Err(Error::Full(refused)) = self.queue.push(batch, None) {
            std::thread::yield_now();
            batch = refused;
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}

fn open(settings: &config::Queue, attempts_max: Option<u32>, health: &Health) -> (Queue, Claims) {
    let failures = Failures(bounded(1).0);
    let queue = Queue::open(settings, true, health, &failures).unwrap();
    let claims = queue.claims(terms("ilert", attempts_max), None);
    (queue, claims)
}

fn terms(sink: &'static str, attempts_max: Option<u32>) -> Terms {
    Terms {
        sink: sink.into(),
        in_flight_max: 10,
        backoff: BACKOFF,
        attempts_max,
        in_order: false,
        by_policy: false,
    }
}

#[derive(Default)]
struct Signed(Mutex<Vec<u64>>);

impl Signed {
    fn all(&self) -> Vec<u64> {
        let mut all = self.0.lock().unwrap().clone();
        all.sort_unstable();
        all
    }
}

impl Desk for Signed {
    fn signed(&self, ticket: u64) {
        self.0.lock().unwrap().push(ticket);
    }
    fn room(&self) {}
}

/// Delivery number `number`, which is also its body and its ticket.
fn delivery(number: usize, lane: &str, key: Option<&str>) -> Delivery {
    Delivery {
        lane: LaneName { sink: "ilert".into(), key: lane.to_owned() },
        order_key: key.map(str::to_owned),
        errand: Errand::Event { path: "/api/events".to_owned() },
        keep: Keep::UntilDelivered,
        body: number.to_string().into_bytes(),
        origin: "test".to_owned(),
    }
}

fn number(delivery: &Delivery) -> usize {
    String::from_utf8_lossy(&delivery.body).parse().unwrap()
}

fn later(holds: Holds) -> Outcome {
    Outcome::Later { why: "no".to_owned(), holds, after: Some(Duration::from_millis(1)) }
}

/// Claims until `count` deliveries have ended, with three workers and the outcomes that `decide`
/// gives; what was delivered, in order.
fn work(
    claims: &Claims,
    count: usize,
    decide: &(dyn Fn(usize, u32) -> Outcome + Sync),
) -> Vec<usize> {
    let (ended, delivered) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while ended.load(Ordering::Relaxed) < count {
                    let patience = Some(Duration::from_millis(20));
                    let Some(claim) = claims.wait(patience) else { continue };
                    let number = number(&claim.delivery);
                    let outcome = decide(number, claim.attempt);
                    match &outcome {
                        Outcome::Delivered => {
                            delivered.lock().unwrap().push(number);
                            ended.fetch_add(1, Ordering::Relaxed);
                        }
                        Outcome::Never { .. } => {
                            ended.fetch_add(1, Ordering::Relaxed);
                        }
                        Outcome::Later { .. } => {}
                    }
                    claims.settle(claim, outcome);
                }
            });
        }
    });
    delivered.into_inner().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, ..ProptestConfig::default() })]

    /// Whatever the outcomes: order within a key, every signed receipt delivered or dead, none
    /// delivered twice.
    #[test]
    fn order_and_receipts_hold_whatever_happens(
        made in prop::collection::vec((0..3_usize, 0..4_usize, any::<bool>(), 0..12_u8), 1..80)
    ) {
        let rig = Rig::new(None);
        let desk = Arc::new(Signed::default());
        for (index, (lane, key, durable, _)) in made.iter().enumerate() {
            let key = (*key > 0).then(|| key.to_string());
            let storing = if *durable { Storing::AtOnce } else { Storing::IfRefused };
            rig.push(delivery(index, &lane.to_string(), key.as_deref()), storing, &desk);
        }
        let tries = Mutex::new(HashMap::<usize, u8>::new());
        let delivered = work(&rig.claims, made.len(), &|number, _| {
            let mut tries = tries.lock().unwrap();
            let tried = tries.entry(number).or_default();
            *tried += 1;
            match (made[number].3, *tried) {
                (0, _) => Outcome::never("never"),
                (1, 1) => later(Holds::Delivery),
                (2, 1) => later(Holds::Lane),
                (3, 1) => later(Holds::Sink),
                _ => Outcome::Delivered,
            }
        });
        let dead = made.iter().filter(|(.., fate)| *fate == 0).count();
        prop_assert_eq!(delivered.len() + dead, made.len());
        wait_until("all receipts are signed", || desk.all().len() == made.len());
        for lane in 0..3 {
            for key in 1..4 {
                let own: Vec<usize> = delivered
                    .iter()
                    .copied()
                    .filter(|n| made[*n].0 == lane && made[*n].1 == key)
                    .collect();
                let durable: Vec<usize> = own.iter().copied().filter(|n| made[*n].2).collect();
                let transit: Vec<usize> = own.iter().copied().filter(|n| !made[*n].2).collect();
                // A source uses one store, so order is a promise within each.
                prop_assert!(durable.is_sorted() && transit.is_sorted(), "{:?}", own);
            }
        }
        wait_until("nothing waits", || rig.health.snapshot().queue.waiting == 0);
    }
}

#[test]
fn what_waits_survives_a_restart_in_its_order_with_its_attempts() {
    let mut rig = Rig::new(None);
    let desk = Arc::new(Signed::default());
    for index in 0..1_000 {
        rig.push(delivery(index, "lane", Some("key")), Storing::AtOnce, &desk);
    }
    wait_until("all are stored", || desk.all().len() == 1_000);
    let claim = rig.claims.wait(None).unwrap();
    rig.claims.settle(claim, later(Holds::Delivery));
    rig.restart(None);
    wait_until("they are counted", || rig.health.snapshot().queue.waiting == 1_000);
    let attempts = Mutex::new(Vec::new());
    let delivered = work(&rig.claims, 1_000, &|number, attempt| {
        attempts.lock().unwrap().push((number, attempt));
        Outcome::Delivered
    });
    assert!(delivered.is_sorted());
    assert_eq!(attempts.lock().unwrap()[0], (0, 2), "the attempt before the restart counts");
}

#[test]
fn a_push_for_one_sink_never_waits_because_a_worker_of_another_was_woken() {
    const ROUNDS: usize = 200;
    let rig = Rig::new(None);
    let other = rig.queue.claims(terms("file", None), None);
    let (tell, claimed) = bounded(1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| assert!(other.wait(None).is_none(), "nothing is for the other sink"));
        }
        scope.spawn(|| {
            while let Some(claim) = rig.claims.wait(None) {
                let number = number(&claim.delivery);
                rig.claims.settle(claim, Outcome::Delivered);
                tell.send(number).unwrap();
            }
        });
        for number in 0..ROUNDS {
            let delivery = delivery(number, "lane", None);
            let push = Push::Delivery { delivery, storing: Storing::IfRefused, receipt: None };
            rig.queue.push(vec![push], None).unwrap();
            assert_eq!(claimed.recv_timeout(Duration::from_secs(20)), Ok(number));
        }
        rig.queue.stop_claims();
    });
}

#[test]
fn an_heir_waits_in_place_of_the_one_that_is_given_up() {
    let mut rig = Rig::new(None);
    let desk = Arc::new(Signed::default());
    for (first, storing) in [(0, Storing::AtOnce), (10, Storing::IfRefused)] {
        rig.push(delivery(first, "lane", Some("key")), storing, &desk);
        let claim = rig.claims.wait(None).unwrap();
        let heir = Some(Box::new(delivery(first + 1, "dead", None)));
        rig.claims.settle(claim, Outcome::Never { why: "no".to_owned(), heir });
        wait_until("it is stored", || desk.all().contains(&(first as u64)));
        rig.restart(None);
        wait_until("it is counted", || rig.health.snapshot().queue.waiting == 1);
        assert_eq!(work(&rig.claims, 1, &|_, _| Outcome::Delivered), [first + 1]);
    }
    wait_until("nothing waits", || rig.health.snapshot().queue.waiting == 0);
    assert_eq!(rig.health.snapshot().queue.dead_letters, 0, "the heir is what is kept");
}

#[test]
fn a_dead_letter_goes_back_to_its_own_sink() {
    let rig = Rig::new(None);
    let claims = rig.queue.claims(terms("file", None), None);
    let mut delivery = delivery(1, "lane", None);
    delivery.lane.sink = "file".into();
    let push = Push::Delivery { delivery, storing: Storing::AtOnce, receipt: None };
    rig.queue.push(vec![push], None).unwrap();
    claims.settle(claims.wait(None).unwrap(), Outcome::never("no"));
    wait_until("it is kept", || rig.health.snapshot().queue.dead_letters == 1);
    admin::run(&rig.settings.path, &Command::Retry(Chosen::All)).unwrap();
    let again = claims.wait(Some(Duration::from_secs(20))).expect("it waits again");
    assert_eq!(again.delivery.lane.sink.as_str(), "file");
    claims.settle(again, Outcome::Delivered);
}

#[test]
fn commands_for_one_sink_leave_the_others_alone() {
    let mut rig = Rig::new(None);
    let desk = Arc::new(Signed::default());
    for index in 0..6 {
        let mut delivery = delivery(index, &format!("lane {index}"), None);
        if index % 2 == 1 {
            delivery.lane.sink = "mqtt gone".into();
        }
        rig.push(delivery, Storing::AtOnce, &desk);
    }
    wait_until("all are stored", || desk.all().len() == 6);
    rig.claims.settle(rig.claims.wait(None).unwrap(), Outcome::never("no"));
    wait_until("it is kept", || rig.health.snapshot().queue.dead_letters == 1);
    let path = rig.settings.path.clone();
    let run = |command: Command| admin::run(&path, &command);
    let list = |sink: &str| Command::List { limit: 10, json: false, sink: Some(sink.to_owned()) };
    let of = |sink: &str| Chosen::OfSink(sink.to_owned());
    // Asked of the agent, and of the file alone.
    let said = run(list("mqtt gone")).unwrap();
    assert!(said.ends_with("\nmqtt gone: 3 waiting, 0 in flight, 0 dead\n"), "{said}");
    let said = run(list("ilert")).unwrap();
    assert!(said.ends_with("\nilert: 2 waiting, 0 in flight, 1 dead\n"), "{said}");
    let wrong = "there is no sink `mqtt`; the queue knows `ilert`, `mqtt gone`";
    assert_eq!(run(Command::Drop(of("mqtt"))), Err(wrong.to_owned()));
    let said = run(Command::Drop(of("mqtt gone"))).unwrap();
    assert_eq!(said, "3 waiting deliveries and 0 dead letters dropped\n");
    let said = run(Command::Retry(of("ilert"))).unwrap();
    assert_eq!(said, "all waiting deliveries are tried now, 1 dead letters wait again\n");
    rig.queue.close();
    let said = run(Command::Drop(of("ilert"))).unwrap();
    assert_eq!(said, "3 waiting deliveries and 0 dead letters dropped\n");
    rig.restart(None);
    wait_until("nothing waits", || rig.health.snapshot().queue.waiting == 0);
}

#[test]
fn errands_survive_restarts_and_dead_letters_whole() {
    let mut rig = Rig::new(None);
    let errands = [
        Errand::Event { path: "/api/events".to_owned() },
        Errand::Publish { topic: "a/b".to_owned(), qos: Qos::ExactlyOnce, retain: true },
        Errand::Call {
            path: String::new(),
            content_type: "text/plain".to_owned(),
            headers: vec![("ce-id".to_owned(), "7".to_owned())],
        },
    ];
    let desk = Arc::new(Signed::default());
    for (index, errand) in errands.iter().enumerate() {
        let one = Delivery { errand: errand.clone(), ..delivery(index, "lane", None) };
        rig.push(one, Storing::AtOnce, &desk);
    }
    wait_until("all are stored", || desk.all().len() == errands.len());
    for outcome in [Outcome::never("no"), Outcome::Delivered] {
        rig.restart(None);
        for errand in &errands {
            let claim = rig.claims.wait(Some(Duration::from_secs(20))).expect("it waits");
            assert_eq!(claim.delivery.errand, *errand);
            rig.claims.settle(claim, outcome.clone());
        }
        wait_until("all have ended", || rig.health.snapshot().queue.waiting == 0);
        if outcome != Outcome::Delivered {
            wait_until("they are kept", || rig.health.snapshot().queue.dead_letters == 3);
            let shown =
                admin::run(&rig.settings.path, &Command::Show { id: "d2".to_owned(), raw: false })
                    .unwrap();
            assert!(shown.contains("qos 2 retain"), "{shown}");
            admin::run(&rig.settings.path, &Command::Retry(Chosen::All)).unwrap();
        }
    }
}

#[test]
fn the_queue_is_bounded_and_says_when_there_is_room() {
    struct Room(AtomicUsize);
    impl Desk for Room {
        fn signed(&self, _: u64) {}
        fn room(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let rig = Rig::new(None);
    let room = Arc::new(Room(AtomicUsize::new(0)));
    let desk: Arc<dyn Desk> = room.clone();
    let mut taken = 0;
    let refused = loop {
        let delivery = delivery(taken, "lane", None);
        let push = Push::Delivery { delivery, storing: Storing::IfRefused, receipt: None };
        match rig.queue.push(vec![push], Some(&desk)) {
            Ok(()) => taken += 1,
            Err(Error::Full(batch)) => break batch,
            Err(other) => panic!("{other}"),
        }
        assert!(taken < 100_000, "there is no bound");
    };
    assert_eq!(refused.len(), 1, "the batch comes back");
    work(&rig.claims, taken, &|_, _| Outcome::Delivered);
    wait_until("the desk hears of room", || room.0.load(Ordering::Relaxed) == 1);
    rig.queue.push(refused, Some(&desk)).unwrap();
}

#[test]
fn dead_letters_are_bounded() {
    let mut rig = Rig::new(Some(1));
    rig.end();
    rig.settings.dead_letters_max = 5;
    (rig.queue, rig.claims) = open(&rig.settings, Some(1), &rig.health);
    let desk = Arc::new(Signed::default());
    let refuse = |range: std::ops::Range<usize>| {
        let count = range.len();
        for index in range {
            rig.push(delivery(index, "lane", None), Storing::AtOnce, &desk);
        }
        work(&rig.claims, count, &|_, _| Outcome::never("no"));
    };
    let kept = || rig.health.snapshot().queue.dead_letters;
    refuse(0..3);
    wait_until("three are kept", || kept() == 3);
    let chatter = |ticket: u64| {
        let letter = DeadLetter {
            reason: format!("not JSON, number {ticket}"),
            lane: None,
            order_key: None,
            errand: None,
            origin: "house/lamp".to_owned(),
            body: b"online".to_vec(),
        };
        let receipt = Some(Receipt::new(desk.clone(), ticket, 1));
        rig.queue.push(vec![Push::DeadLetter { letter, receipt }], None).unwrap();
    };
    (100..110).for_each(chatter);
    wait_until("all are done with", || desk.all().len() == 3 + 10);
    wait_until("no more are kept than may be", || kept() == 5);
    assert_eq!(rig.health.snapshot().queue.dead_letters_lost, 0, "none had to go for them");
    refuse(3..5);
    wait_until("all are done with", || desk.all().len() == 5 + 10);
    chatter(110);
    wait_until("it is done with", || desk.all().len() == 5 + 11);
    let snapshot = rig.health.snapshot().queue;
    assert_eq!((snapshot.dead_letters, snapshot.dead_letters_lost), (5, 0), "words went first");
    refuse(5..20);
    wait_until("what had to go is counted", || rig.health.snapshot().queue.dead_letters_lost == 15);
    assert_eq!(kept(), 5);
}

#[test]
fn what_is_remembered_survives_a_restart() {
    let mut rig = Rig::new(None);
    rig.queue.remember("mqtt", "one", Some("1".to_owned()));
    rig.queue.remember("mqtt", "two", Some("2".to_owned()));
    rig.queue.remember("mqtt", "two", Some("3".to_owned()));
    rig.queue.remember("http", "one", Some("another scope".to_owned()));
    rig.queue.remember("mqtt", "one", None);
    for _ in 0..2 {
        assert_eq!(rig.queue.record("mqtt", "one"), None);
        assert_eq!(rig.queue.record("mqtt", "two").as_deref(), Some("3"));
        assert_eq!(rig.queue.record("http", "one").as_deref(), Some("another scope"));
        rig.restart(None);
    }
}

#[test]
fn what_is_pushed_with_records_is_stored_with_them_or_not_at_all() {
    let folder = Folder::new();
    // In direct mode too: the database is made for it.
    let settings =
        config::Queue { path: folder.join("q.db3"), bytes_max: 1_000, ..config::Queue::default() };
    let health = Health::default();
    let failures = Failures(bounded(1).0);
    let queue = Queue::open(&settings, false, &health, &failures).unwrap();
    let desk = Arc::<Signed>::default();
    let record = |key: &str, value: Option<&str>| {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        Push::Record { record: Record { scope: "level".into(), key, value }, receipt: None }
    };
    let delivery = |number| Push::Delivery {
        delivery: delivery(number, "a", None),
        storing: Storing::Within(Duration::from_secs(60)),
        receipt: None,
    };
    let push = |ticket, batch: Vec<Push>| {
        let receipt = Receipt::new(desk.clone() as Arc<dyn Desk>, ticket, batch.len());
        queue.push_whole(batch.into_iter().map(|push| push.with_receipt(receipt.clone())).collect())
    };
    push(1, vec![record("one", Some("OK")), record("two", Some("OK"))]).unwrap();
    push(2, vec![delivery(1), record("one", Some("CRITICAL")), delivery(2)]).unwrap();
    push(3, vec![record("two", None), record("three", Some("INFO"))]).unwrap();
    wait_until("all is safe", || desk.all() == [1, 2, 3]);
    let long = "x".repeat(1_000);
    let refused = push(4, vec![delivery(3), record("one", Some(&long))]).unwrap_err();
    assert!(matches!(&refused, Error::Full(batch) if batch.len() == 2), "{refused:?}");

    // As after a SIGKILL: another process reads what this one has in the file.
    let copy = config::Queue { path: folder.join("copy.db3"), ..settings.clone() };
    for suffix in ["", "-wal"] {
        let name = |path: &std::path::Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(&settings.path), name(&copy.path)).unwrap();
    }
    let again = Queue::open(&copy, false, &Health::default(), &failures).unwrap();
    let claims = again.claims(terms("ilert", None), None);
    for queue in [&queue, &again] {
        let found = queue.records("level");
        let found: Vec<_> = found.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(found, [("one", "CRITICAL"), ("three", "INFO")]);
        assert!(queue.records("other").is_empty());
    }
    let claimed = claims.wait(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(number(&claimed.delivery), 1);
    for queue in [queue, again] {
        queue.stop_claims();
        queue.close();
    }
}

#[test]
fn a_database_is_made_to_remember_but_not_to_forget() {
    let rig = Rig::new(None);
    let path = rig.folder.join("direct.db3");
    let settings = config::Queue { path: path.clone(), ..config::Queue::default() };
    let open =
        || Queue::open(&settings, false, &Health::default(), &Failures(bounded(1).0)).unwrap();
    let queue = open();
    queue.remember("mqtt", "client", None);
    assert_eq!(queue.record("mqtt", "client"), None);
    queue.close();
    assert!(!path.exists());
    let queue = open();
    queue.remember("mqtt", "client", Some("granted".to_owned()));
    queue.close();
    let queue = open();
    assert_eq!(queue.record("mqtt", "client").as_deref(), Some("granted"));
    queue.close();
}

#[test]
fn what_only_remembers_does_without_a_database_that_cannot_be_used() {
    let rig = Rig::new(None);
    let path = rig.folder.join("direct.db3");
    let settings = config::Queue { path: path.clone(), ..config::Queue::default() };
    let health = Health::default();
    let queue = Queue::open(&settings, false, &health, &Failures(bounded(1).0)).unwrap();
    std::fs::create_dir(&path).unwrap();
    let remember = |value: &str| queue.remember("mqtt", "client", Some(value.to_owned()));
    for value in ["granted", "granted again"] {
        remember(value);
        wait_until("it is given up", || queue.record("mqtt", "client").is_none());
        assert_eq!(health.snapshot().queue.error, "");
    }

    // A dead letter cannot do without.
    let letter = DeadLetter {
        reason: "refused".to_owned(),
        lane: None,
        order_key: None,
        errand: None,
        origin: "test".to_owned(),
        body: b"x".to_vec(),
    };
    let signed = Arc::<Signed>::default();
    let receipt = Some(Receipt::new(Arc::clone(&signed) as Arc<dyn Desk>, 1, 1));
    queue.push(vec![Push::DeadLetter { letter, receipt }], None).unwrap();
    wait_until("it is reported", || !health.snapshot().queue.error.is_empty());
    assert!(signed.all().is_empty());
    std::fs::remove_dir(&path).unwrap();
    wait_until("it is kept", || signed.all() == [1]);
    wait_until("all is well", || health.snapshot().queue.error.is_empty());
    remember("granted at last");
    assert_eq!(queue.record("mqtt", "client").as_deref(), Some("granted at last"));
    queue.close();
}

#[test]
fn a_file_of_version_1_is_taken_over_with_all_that_waits_in_it() {
    const WAITING: &str = "
        INSERT INTO lanes VALUES (1, 'ilert', 'a'), (2, 'ilert', 'b');
        INSERT INTO deliveries VALUES
          ((1 << 40) | 1, 'event', 'k', '/api/events', 'test', 3, 0, x'30'),
          ((2 << 40) | 2, 'event', NULL, '/api/events', 'test', 0, 0, x'31'),
          ((1 << 40) | 3, 'event', 'k', '/api/events', 'test', 0, 0, x'32');
        INSERT INTO dead_letters VALUES
          (7, 'refused', 'event', 'a', 'k', '/api/events', 'test', 0, x'33');";
    let mut rig = Rig::new(None);
    rig.end();
    std::fs::remove_file(&rig.settings.path).unwrap();
    let old = rusqlite::Connection::open(&rig.settings.path).unwrap();
    old.execute_batch(&format!("{TABLES}{WAITING}")).unwrap();
    drop(old);
    (rig.queue, rig.claims) = open(&rig.settings, None, &rig.health);
    wait_until("they are counted", || {
        let queue = rig.health.snapshot().queue;
        (queue.waiting, queue.dead_letters) == (3, 1)
    });
    let first = Mutex::new(Vec::new());
    let mut delivered = work(&rig.claims, 3, &|number, attempt| {
        first.lock().unwrap().push((number, attempt));
        Outcome::Delivered
    });
    delivered.sort_unstable();
    assert_eq!(delivered, [0, 1, 2]);
    assert!(first.lock().unwrap().contains(&(0, 4)), "its attempts count");
    rig.restart(None);
    wait_until("the dead letter is there", || rig.health.snapshot().queue.dead_letters == 1);
    assert_eq!(rig.health.snapshot().queue.waiting, 0);
}

/// Changes the file behind the agent's back, as flipped bits do.
fn alter(settings: &config::Queue, statements: &str) {
    let file = rusqlite::Connection::open(&settings.path).unwrap();
    // That a column is never NULL is a rule of the schema, not of the file.
    file.execute_batch(
        "PRAGMA writable_schema=ON;
         UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '');",
    )
    .unwrap();
    drop(file);
    rusqlite::Connection::open(&settings.path).unwrap().execute_batch(statements).unwrap();
}

#[test]
fn a_row_that_cannot_be_read_is_put_away_alone() {
    const THIRD: &str = "WHERE (id & ((1 << 40) - 1)) = 3";
    for change in [
        "origin = CAST(x'68f47470' AS TEXT)",
        "order_key = CAST(x'ff' AS TEXT)",
        "kind = NULL",
        "kind = 'polisy'",
        "attempts = 'many'",
        "attempts = attempts + 1",
        "body = 'text'",
        "body = x'39'",
        "target = '/api/eventr'",
        "sum = NULL",
        "id = id + 100",
        "id = id + (7 << 40)",
        "id = -id",
    ] {
        let mut rig = Rig::new(None);
        let desk = Arc::new(Signed::default());
        for index in 0..30 {
            rig.push(delivery(index, "lane", Some("key")), Storing::AtOnce, &desk);
        }
        wait_until("all are stored", || desk.all().len() == 30);
        rig.end();
        alter(&rig.settings, &format!("UPDATE deliveries SET {change} {THIRD}"));
        (rig.queue, rig.claims) = open(&rig.settings, None, &rig.health);
        let delivered = work(&rig.claims, 29, &|_, _| Outcome::Delivered);
        let others: Vec<usize> = (0..30).filter(|index| *index != 2).collect();
        assert_eq!(delivered, others, "{change}");
        wait_until("it is put away", || rig.health.snapshot().queue.dead_letters == 1);
        wait_until("nothing waits", || rig.health.snapshot().queue.waiting == 0);
        rig.end();
        let list = Command::List { limit: 10, json: false, sink: None };
        let list = admin::run(&rig.settings.path, &list).unwrap();
        assert!(list.contains("damaged"), "{change}: {list}");
        let retry = Command::Retry(Chosen::All);
        let retried = admin::run(&rig.settings.path, &retry).unwrap();
        assert!(retried.contains("0 dead letters wait again"), "{change}: {retried}");
    }
}

#[test]
fn a_lane_that_lost_its_name_is_delivered() {
    for change in [
        "UPDATE lanes SET key = 'lang'",
        "UPDATE lanes SET sink = CAST(x'ff' AS TEXT)",
        "UPDATE lanes SET number = number + 5",
        "DELETE FROM lanes",
    ] {
        let mut rig = Rig::new(None);
        let desk = Arc::new(Signed::default());
        for index in 0..5 {
            rig.push(delivery(index, "lane", Some("key")), Storing::AtOnce, &desk);
        }
        wait_until("all are stored", || desk.all().len() == 5);
        rig.end();
        alter(&rig.settings, change);
        (rig.queue, rig.claims) = open(&rig.settings, None, &rig.health);
        let delivered = work(&rig.claims, 5, &|_, _| Outcome::Delivered);
        assert_eq!(delivered, [0, 1, 2, 3, 4], "{change}");
    }
}

#[test]
fn what_is_altered_in_other_tables_is_not_taken_for_true() {
    let mut rig = Rig::new(Some(1));
    let desk = Arc::new(Signed::default());
    for index in 0..2 {
        rig.push(delivery(index, "lane", Some("key")), Storing::AtOnce, &desk);
    }
    work(&rig.claims, 2, &|_, _| Outcome::never("no"));
    rig.queue.remember("mqtt", "client", Some("granted".to_owned()));
    assert_eq!(rig.queue.record("mqtt", "client").as_deref(), Some("granted"));
    wait_until("both are kept", || rig.health.snapshot().queue.dead_letters == 2);
    rig.end();
    alter(
        &rig.settings,
        "UPDATE dead_letters SET body = x'ff', reason = CAST(x'ff' AS TEXT) WHERE id = 1;
         UPDATE records SET value = 'grantee' WHERE scope = 'mqtt'",
    );
    let retry = Command::Retry(Chosen::All);
    let retried = admin::run(&rig.settings.path, &retry).unwrap();
    assert!(retried.contains("1 dead letters wait again; 1 that are no"), "{retried}");
    (rig.queue, rig.claims) = open(&rig.settings, None, &rig.health);
    assert_eq!(work(&rig.claims, 1, &|_, _| Outcome::Delivered), [1]);
    assert_eq!(rig.queue.record("mqtt", "client"), None);
}

/// A closed file of one page size with 200 deliveries of ten lanes, and its bytes.
fn filled() -> (Rig, Vec<u8>) {
    let rig = Rig::new(None);
    let desk = Arc::new(Signed::default());
    for index in 0..200 {
        rig.push(long(index), Storing::AtOnce, &desk);
    }
    wait_until("all are stored", || desk.all().len() == 200);
    rig.end();
    let bytes = std::fs::read(&rig.settings.path).unwrap();
    (rig, bytes)
}

/// One that takes some room, in one of ten lanes.
fn long(index: usize) -> Delivery {
    let mut long = delivery(index, &format!("lane{}", index % 10), Some("key"));
    long.origin = "x".repeat(300 + index % 7 * 200);
    long
}

/// What is delivered of what waits: only what was pushed, each once at most.
fn drain(rig: &mut Rig) -> usize {
    rig.health = Health::default();
    (rig.queue, rig.claims) = open(&rig.settings, None, &rig.health);
    let mut seen = std::collections::HashSet::new();
    // Its answer comes after the first look at what waits.
    let _ = rig.queue.record("none", "none");
    wait_until("nothing waits", || {
        while let Some(claim) = rig.claims.wait(Some(Duration::ZERO)) {
            let number = number(&claim.delivery);
            let wanted = long(number);
            assert_eq!(claim.delivery.body, wanted.body);
            assert_eq!(claim.delivery.origin, wanted.origin);
            assert_eq!(claim.delivery.errand, wanted.errand);
            assert_eq!(claim.delivery.order_key, wanted.order_key);
            assert!(seen.insert(number), "{number} is delivered once");
            rig.claims.settle(claim, Outcome::Delivered);
        }
        rig.health.snapshot().queue.waiting == 0
    });
    rig.end();
    seen.len()
}

fn put(rig: &Rig, bytes: &[u8]) {
    for entry in std::fs::read_dir(rig.folder.path()).unwrap() {
        let _ = std::fs::remove_file(entry.unwrap().path());
    }
    std::fs::write(&rig.settings.path, bytes).unwrap();
}

#[test]
fn a_damaged_page_costs_what_was_on_it_and_no_more() {
    const PAGE: usize = 1_024;
    let (mut rig, whole) = filled();
    let pages = whole.len() / PAGE;
    for (number, fill) in
        (0..pages).step_by(1 + pages / 40).chain(0..12).zip([0, 255, 0x0d].into_iter().cycle())
    {
        let mut damaged = whole.clone();
        damaged[number * PAGE..][..PAGE].fill(fill);
        put(&rig, &damaged);
        let delivered = drain(&mut rig);
        assert!(delivered >= 190, "page {}: {delivered} of 200", number + 1);
        let aside = (1..9).filter(|n| rig.folder.join(&format!("q.db3.corrupt-{n}")).exists());
        assert!(aside.count() <= 2);
    }
}

#[test]
fn a_file_that_is_damaged_while_it_is_in_use_is_salvaged_by_the_agent_that_runs() {
    const COUNT: usize = 2_000;
    let mut rig = Rig::new(None);
    let push = |delivery| Push::Delivery { delivery, storing: Storing::AtOnce, receipt: None };
    rig.push_all((0..COUNT).map(|number| push(long(number))).collect());
    wait_until("all are stored", || rig.health.snapshot().queue.waiting == COUNT as u64);
    rig.restart(None);
    let file = std::fs::File::options().write(true).open(&rig.settings.path).unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    file.write_all_at(&[0xff; 10 * 1_024], middle).unwrap();
    let mut seen = std::collections::HashSet::new();
    wait_until("nothing waits", || {
        while let Some(claim) = rig.claims.wait(Some(Duration::ZERO)) {
            let number = number(&claim.delivery);
            assert_eq!(claim.delivery, long(number));
            assert!(seen.insert(number), "{number} is delivered once");
            rig.claims.settle(claim, Outcome::Delivered);
        }
        rig.health.snapshot().queue.waiting == 0
    });
    assert!(seen.len() >= COUNT - 50, "{} of {COUNT}", seen.len());
    assert!(rig.folder.join("q.db3.corrupt-1").exists());
    wait_until("it is shown", || rig.health.snapshot().queue.put_aside.len() == 1);
    rig.push_all(vec![push(delivery(7, "lane", None))]);
    assert_eq!(work(&rig.claims, 1, &|_, _| Outcome::Delivered), [7]);
}

/// `FLIP_ROUNDS=1000` takes longer and finds more.
#[test]
fn flipped_bits_never_keep_it_from_starting_and_never_deliver_another_event() {
    let rounds = std::env::var("FLIP_ROUNDS").ok().and_then(|text| text.parse().ok());
    let (mut rig, whole) = filled();
    for round in 0..rounds.unwrap_or(100) {
        let mut damaged = whole.clone();
        let at = fastrand::usize(0..damaged.len());
        damaged[at] ^= 1 << fastrand::u8(0..8);
        put(&rig, &damaged);
        let delivered = drain(&mut rig);
        let kept = rig.health.snapshot().queue.dead_letters;
        assert!(delivered >= 150, "round {round}, byte {at}: {delivered} and {kept} of 200");
        let aside = rig.folder.join("q.db3.corrupt-1").exists();
        assert!(delivered == 200 || kept > 0 || aside, "round {round}, byte {at}: unsaid");
    }
}

#[test]
fn bits_flipped_in_the_names_of_tables_and_in_the_version_are_damage_like_others() {
    const USER_VERSION_ENDS: usize = 63;
    let (mut rig, whole) = filled();
    let place = |word: &str| whole.windows(word.len()).position(|bytes| bytes == word.as_bytes());
    let texts = ["TABLE lanes", "TABLE deliveries", "TABLE dead_letters", "TABLE records"]
        .map(|text| place(text).unwrap() + "TABLE ".len());
    let columns = ["order_key TEXT", "sum INTEGER"].map(|text| place(text).unwrap());
    let flips = texts.into_iter().chain(columns).map(|at| (at, 1));
    for (at, bit) in flips.chain([1, 2, 4, 8].map(|bit| (USER_VERSION_ENDS, bit))) {
        let mut damaged = whole.clone();
        damaged[at] ^= bit;
        put(&rig, &damaged);
        assert_eq!(drain(&mut rig), 200, "byte {at}, bit {bit}");
    }
}

#[test]
fn a_full_queue_is_full_until_sources_are_let_in_again() {
    const LIMIT: u64 = 64 * 1024;
    let mut rig = Rig::new(None);
    rig.queue.stop_claims();
    rig.queue.close();
    rig.settings.bytes_max = LIMIT;
    (rig.queue, rig.claims) = open(&rig.settings, None, &rig.health);
    let large = |number: usize, bytes: usize| {
        let body = format!("{}{number}", "0".repeat(bytes)).into_bytes();
        let delivery = Delivery { body, ..delivery(number, "lane", None) };
        Push::Delivery { delivery, storing: Storing::AtOnce, receipt: None }
    };
    let state = || rig.health.snapshot().queue;
    // What is larger than all the room is taken when nothing else is there.
    rig.queue.push(vec![large(0, 100_000)], None).unwrap();
    wait_until("it is stored", || state().bytes > LIMIT);
    work(&rig.claims, 1, &|_, _| Outcome::Delivered);
    // Of a batch as much is taken as there is room for.
    let batch = (1..=100).map(|number| large(number, 1_000)).collect();
    let Err(Error::Full(rest)) = rig.queue.push(batch, None) else { panic!("all found room") };
    let taken = 100 - rest.len();
    wait_until("they are stored", || state().waiting == taken as u64);
    assert!(state().bytes <= LIMIT, "{:?}", state());
    assert!(state().full);
    work(&rig.claims, 3, &|_, _| Outcome::Delivered);
    assert!(state().full && state().bytes > LIMIT / 10 * 9, "{:?}", state());
    work(&rig.claims, 10, &|_, _| Outcome::Delivered);
    wait_until("it is not full any more", || !state().full);
}

#[test]
fn in_direct_mode_a_database_that_another_agent_has_is_found_at_the_door() {
    let rig = Rig::new(None);
    let failures = Failures(bounded(1).0);
    let second = Queue::open(&rig.settings, false, &Health::default(), &failures);
    assert!(second.is_err_and(|why| why.contains("is in use by another ilagent")));
}
