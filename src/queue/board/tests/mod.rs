//! The board in virtual time, with a database that is a map and a broker that is a list.

mod fleet;
mod hold;
mod session;
mod table;

use super::*;
use crate::message::{BULK, Delivery, Desk, Errand, Holds, Keep, Outcome};
use crate::queue::change::{Buried, Fate};
use crate::queue::claim::{Claim, Next};
use crate::queue::push::Storing;
use crate::queue::row::{ReadRow, RowId, StoredLane};
use crate::retry::Backoff;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SINK: &str = "ilert";

#[derive(Default)]
struct Signed(Mutex<HashSet<u64>>);

impl Desk for Signed {
    fn signed(&self, ticket: u64) {
        self.0.lock().unwrap().insert(ticket);
    }
    fn room(&self) {}
}

/// How long deliveries are held.
const HOLD: Duration = Duration::from_millis(50);

/// A message that the broker has not seen acknowledged.
#[derive(Clone)]
struct Published {
    number: u64,
    lane: &'static str,
    key: &'static str,
    /// Zero until it is pushed.
    ticket: u64,
    /// The other sinks that it is for, if there are any, have it.
    others_have_it: bool,
}

type Rows = BTreeMap<RowId, (Delivery, u32)>;

/// All there is around a board: what is on disk, what the broker has, what the sink heard.
struct World {
    storing: Storing,
    terms: Terms,
    board: Board,
    sink: SinkId,
    now: Instant,
    /// Pushes on their way to the queue thread.
    requests: VecDeque<(Delivery, Storing, Option<Receipt>)>,
    changes: Vec<Change>,
    reads: BTreeSet<u32>,
    lanes: BTreeMap<u32, LaneName>,
    rows: Rows,
    /// What a power cut may leave of lanes and rows, besides what there is.
    earlier: Vec<(BTreeMap<u32, LaneName>, Rows)>,
    dead: HashSet<u64>,
    desk: Arc<Signed>,
    broker: Vec<Published>,
    published: u64,
    tickets: u64,
    claims: Vec<Claim>,
    heard: Vec<u64>,
    /// The disk cannot be written.
    full: bool,
    /// Rows that were ever written.
    written: u64,
    dice: f64,
}

fn terms() -> Terms {
    let backoff = Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(60) };
    Terms {
        sink: SINK.into(),
        in_flight_max: usize::MAX,
        backoff,
        attempts_max: None,
        in_order: false,
        by_policy: false,
    }
}

/// A delivery whose number is its body. Those of a lane of a certain name go together.
fn delivery(lane: &str, key: &str, number: u64) -> Delivery {
    let mut errand = Errand::Event { path: "/api/events".to_owned() };
    if lane == BULK {
        let headers = vec![(BULK.to_owned(), "10 1000".to_owned())];
        errand = Errand::Call { path: String::new(), content_type: String::new(), headers };
    }
    Delivery {
        lane: LaneName { sink: SINK.into(), key: lane.to_owned() },
        order_key: (!key.is_empty()).then(|| key.to_owned()),
        errand,
        keep: Keep::UntilDelivered,
        body: number.to_string().into_bytes(),
        origin: "test".to_owned(),
    }
}

fn number(delivery: &Delivery) -> u64 {
    String::from_utf8_lossy(&delivery.body).parse().unwrap()
}

fn later(holds: Holds) -> Outcome {
    Outcome::Later { why: "no".to_owned(), holds, after: None }
}

impl World {
    fn new(storing: Storing) -> Self {
        World::of(storing, terms())
    }

    /// With a sink of its own kind.
    fn of(storing: Storing, terms: Terms) -> Self {
        let mut board = Board::new();
        let sink = board.take_on(terms.clone());
        World {
            storing,
            terms,
            board,
            sink,
            now: Instant::now(),
            requests: VecDeque::new(),
            changes: Vec::new(),
            reads: BTreeSet::new(),
            lanes: BTreeMap::new(),
            rows: BTreeMap::new(),
            earlier: Vec::new(),
            dead: HashSet::new(),
            desk: Arc::default(),
            broker: Vec::new(),
            published: 0,
            tickets: 0,
            claims: Vec::new(),
            heard: Vec::new(),
            full: false,
            written: 0,
            dice: 0.5,
        }
    }

    /// Somebody publishes a message, and it is pushed.
    fn publish(&mut self, lane: &'static str, key: &'static str) -> u64 {
        let number = self.published;
        self.published += 1;
        self.broker.push(Published { number, lane, key, ticket: 0, others_have_it: false });
        self.push_all();
        number
    }

    /// Pushes what the broker has sent, up to the first that is refused.
    fn push_all(&mut self) {
        let mut next = self.broker.partition_point(|message| message.ticket > 0);
        while next < self.broker.len() && self.push(next) {
            next += 1;
        }
    }

    fn push(&mut self, at: usize) -> bool {
        let message = &mut self.broker[at];
        let delivery = delivery(message.lane, message.key, message.number);
        let to_store = self.board.needs_storing(&delivery, self.storing, self.now);
        if to_store && self.full {
            return false;
        }
        self.tickets += 1;
        message.ticket = self.tickets;
        let desk: Arc<dyn Desk> = self.desk.clone();
        let receipt = Some(Receipt::new(desk, message.ticket, 1));
        if to_store {
            self.board.expect(&delivery);
            self.requests.push_back((delivery, self.storing, receipt));
        } else {
            self.board.add_transit(delivery, self.storing, receipt, self.now);
        }
        true
    }

    fn claim(&mut self) -> Option<u64> {
        let next = self.board.claim(self.sink, self.now);
        self.sign();
        match next {
            Next::Claim(claim) => {
                self.claims.push(claim);
                self.claims.last().map(|claim| number(&claim.delivery))
            }
            _ => None,
        }
    }

    /// Claims what goes together with something that is under way, if there is such a thing.
    fn claim_beside(&mut self) -> Option<u64> {
        let goes_together = |claim: &&Claim| claim.delivery.errand.bulk().is_some();
        let first = self.claims.iter().find(goes_together)?;
        let claim = self.board.claim_beside(first, self.now)?;
        self.sign();
        self.claims.push(claim);
        self.claims.last().map(|claim| number(&claim.delivery))
    }

    /// Ends the attempt at a delivery that is under way.
    fn settle(&mut self, number_wanted: u64, outcome: Outcome) {
        let at = self.claims.iter().position(|claim| number(&claim.delivery) == number_wanted);
        let claim = self.claims.swap_remove(at.expect("it is under way"));
        match outcome {
            Outcome::Delivered => self.heard.push(number_wanted),
            Outcome::Never { .. } => {
                self.dead.insert(number_wanted);
            }
            Outcome::Later { .. } => {}
        }
        self.board.settle(claim, outcome, self.now, self.dice);
        self.sign();
    }

    /// As whoever holds the board does, before anybody else has it.
    fn sign(&mut self) {
        self.board.take_effects().receipts.into_iter().for_each(Receipt::sign);
    }

    /// The queue thread takes the next request, as far as it goes before a commit.
    fn collect(&mut self) {
        self.board.end_hold_if_due(self.now);
        let outbox = self.board.take_outbox();
        self.changes.extend(outbox.changes);
        self.reads.extend(outbox.reads);
        if let Some((delivery, storing, receipt)) = self.requests.pop_front() {
            self.board.insert(delivery, storing, receipt, &mut self.changes);
        }
    }

    fn commit(&mut self) {
        if self.full {
            self.board.cannot_be_written(&mut self.changes, self.now);
            return self.sign();
        }
        self.board.can_be_written(self.now);
        let fate = if self.changes.iter().all(Change::may_be_undone) {
            if !self.changes.is_empty() {
                self.earlier.push((self.lanes.clone(), self.rows.clone()));
            }
            Fate::MayBeUndone
        } else {
            self.earlier.clear();
            Fate::Stays
        };
        for change in &self.changes {
            match change {
                Change::AddLane(number, name) => {
                    self.lanes.insert(*number, name.clone());
                }
                Change::Insert(row, delivery, ..) => {
                    assert!(self.rows.insert(*row, (delivery.clone(), 0)).is_none());
                    self.written += 1;
                }
                Change::SetAside(lane, entry, ..) => {
                    let row = RowId { lane: *lane, seq: entry.seq };
                    let stored = (entry.delivery.clone(), entry.attempts);
                    assert!(self.rows.insert(row, stored).is_none());
                    self.written += 1;
                }
                Change::Bury(Buried::Row(row), ..)
                | Change::Delete(row)
                | Change::Drop(row)
                | Change::GiveWay(row) => {
                    self.rows.remove(row);
                }
                Change::ForgetLane(number) => {
                    self.lanes.remove(number);
                }
                _ => {}
            }
        }
        if !self.changes.is_empty() {
            self.board.committed(std::mem::take(&mut self.changes), fate, self.now);
        }
        self.sign();
        let Board { sinks, stored, transit, .. } = &self.board;
        let (stored, transit) = (stored.count, transit.count);
        assert_eq!((sinks[0].stored, sinks[0].transit), (stored, transit), "the only sink");
        for number in std::mem::take(&mut self.reads) {
            let Some((from, limit)) = self.board.to_read(number) else { continue };
            let of_lane = RowId { lane: number, seq: from }..RowId { lane: number + 1, seq: 0 };
            let all: Vec<_> = self.rows.range(of_lane).collect();
            let next = all.get(limit).map(|(row, _)| row.seq);
            let rows = all.into_iter().take(limit).map(|(row, (delivery, attempts))| ReadRow {
                seq: row.seq,
                delivery: delivery.clone(),
                attempts: *attempts,
            });
            let rows = rows.collect();
            self.board.add_read(number, rows, next, self.now);
        }
        self.push_all();
    }

    /// The broker hears of what is signed, in order. At an orderly end with gaps.
    fn acknowledge(&mut self, gaps: bool) {
        let signed = self.desk.0.lock().unwrap();
        for message in self.broker.iter().filter(|message| signed.contains(&message.ticket)) {
            let number = &message.number;
            let is_stored = || self.rows.values().any(|(row, _)| self::number(row) == *number);
            let is_safe = self.heard.contains(number) || self.dead.contains(number) || is_stored();
            assert!(is_safe, "{number} is signed, and neither heard nor stored");
        }
        let (mut open, mut is_over) = (false, false);
        self.broker.retain(|message| {
            let is_signed = signed.contains(&message.ticket);
            let others_have_it = message.others_have_it || self.storing != Storing::IfAway;
            if is_signed && others_have_it {
                return is_over || open && !gaps;
            }
            open = true;
            // Once a part of a message is done, what is behind it has to come again with it.
            is_over |= self.storing == Storing::IfAway && is_signed != message.others_have_it;
            true
        });
    }

    /// The other sinks have everything.
    fn others_take_all(&mut self) {
        self.broker.iter_mut().for_each(|message| message.others_have_it = true);
    }

    /// What was not given up is heard, and in order both the first and the last time.
    fn is_heard(&self, numbers: &[u64], in_order: bool, said: &str) {
        let first = |n: &u64| self.heard.iter().position(|heard| heard == n);
        let last = |n: &u64| self.heard.iter().rposition(|heard| heard == n);
        let heard: Vec<u64> =
            self.heard.iter().copied().filter(|number| numbers.contains(number)).collect();
        let alive: Vec<u64> = numbers.iter().copied().filter(|n| !self.dead.contains(n)).collect();
        assert!(alive.iter().all(|n| first(n).is_some()), "all are heard, {said}: {heard:?}");
        if in_order {
            assert!(alive.iter().map(first).is_sorted(), "in order at first, {said}: {heard:?}");
            assert!(alive.iter().map(last).is_sorted(), "in order at last, {said}: {heard:?}");
        }
    }

    /// A new process: what is on disk is read, and the broker sends again what it has.
    fn start_again(&mut self) {
        self.desk = Arc::default();
        self.board = Board::new();
        self.sink = self.board.take_on(self.terms.clone());
        self.requests.clear();
        self.changes.clear();
        self.reads.clear();
        self.claims.clear();
        let mut ends: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for row in self.rows.keys() {
            ends.entry(row.lane)
                .and_modify(|(_, last)| *last = row.seq)
                .or_insert((row.seq, row.seq));
        }
        let stored = ends.into_iter().map(|(number, seqs)| StoredLane {
            number,
            name: self.lanes[&number].clone(),
            seqs,
        });
        self.board.restore(stored.collect());
        self.reads = self.board.lanes_to_read();
        self.full = false;
        // A database that is opened first waits for the disk.
        self.earlier.clear();
        for message in &mut self.broker {
            (message.ticket, message.others_have_it) = (0, false);
        }
        self.push_all();
    }

    fn kill(&mut self, dice: &mut fastrand::Rng) {
        // What was under way may have been heard.
        for claim in &self.claims {
            if dice.bool() {
                self.heard.push(number(&claim.delivery));
            }
        }
        self.kill_after_all(dice);
    }

    /// A kill at a moment when what was heard is known.
    fn kill_after_all(&mut self, dice: &mut fastrand::Rng) {
        if dice.bool() {
            self.acknowledge(false);
        }
        self.start_again();
    }

    /// A kill that also undoes some of what is committed and may be undone, the newest first.
    fn cut_the_power(&mut self, dice: &mut fastrand::Rng) {
        self.undo_some(dice);
        self.kill(dice);
    }

    fn undo_some(&mut self, dice: &mut fastrand::Rng) {
        let left = dice.usize(0..=self.earlier.len());
        if let Some((lanes, rows)) = self.earlier.drain(left..).next() {
            (self.lanes, self.rows) = (lanes, rows);
        }
    }

    fn stop(&mut self) {
        while !self.requests.is_empty() {
            self.collect();
        }
        self.collect();
        self.commit();
        // What was settled while its copy was on its way to the database.
        self.collect();
        self.commit();
        self.acknowledge(self.storing != Storing::IfOthersPass);
        self.start_again();
    }

    /// Everything is delivered from now on.
    fn drain(&mut self) {
        self.full = false;
        for _ in 0..10_000 {
            self.now += Duration::from_secs(61);
            self.collect();
            self.commit();
            while self.claim().is_some() {}
            for number in
                self.claims.iter().map(|claim| number(&claim.delivery)).collect::<Vec<_>>()
            {
                self.settle(number, Outcome::Delivered);
            }
            self.others_take_all();
            self.acknowledge(false);
            let nothing = self.rows.is_empty() && self.broker.is_empty();
            if nothing && self.requests.is_empty() && self.changes.is_empty() {
                return;
            }
        }
        panic!("{} rows and {} messages are left", self.rows.len(), self.broker.len());
    }
}

/// One thing after another at random, with kills, power cuts and stops in between. What the sink
/// heard of an order key is in order, the first time and the last time it heard it, unless what is
/// refused by policy lets others pass.
fn any_life(storing: Storing, by_policy: bool, seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut world = World::of(storing, Terms { by_policy, ..terms() });
    let chains = [("a", "1"), ("a", "2"), ("b", "1"), ("a", ""), (BULK, "")];
    let mut made: HashMap<(&str, &str), Vec<u64>> = HashMap::new();
    for _ in 0..600 {
        match dice.u32(0..100) {
            // Another sink has a message, be it here or not.
            0..12 if storing == Storing::IfAway && !world.broker.is_empty() => {
                let at = dice.usize(0..world.broker.len());
                world.broker[at].others_have_it = true;
            }
            0..25 => {
                let (lane, key) = chains[dice.usize(0..chains.len())];
                let number = world.publish(lane, key);
                made.entry((lane, key)).or_default().push(number);
            }
            25..45 => drop(world.claim()),
            45..50 => drop(world.claim_beside()),
            50..75 if !world.claims.is_empty() => {
                let at = dice.usize(0..world.claims.len());
                let number = number(&world.claims[at].delivery);
                let outcome = match dice.u32(0..20) {
                    0..4 => later(Holds::Lane),
                    4..8 => later(Holds::Delivery),
                    8 => later(Holds::Sink),
                    9 => Outcome::never("never"),
                    _ => Outcome::Delivered,
                };
                world.settle(number, outcome);
            }
            75..85 => world.collect(),
            85..90 => world.commit(),
            90..94 => world.now += Duration::from_millis(dice.u64(1..2_000)),
            94..96 => world.acknowledge(false),
            97 => world.kill(&mut dice),
            96 => world.cut_the_power(&mut dice),
            98 => world.stop(),
            _ => world.full = dice.bool(),
        }
    }
    world.drain();
    for ((lane, key), numbers) in made {
        let said = format!("seed {seed}, {storing:?}, {by_policy}, {lane} {key}");
        world.is_heard(&numbers, !key.is_empty() && !by_policy, &said);
    }
}

#[test]
fn what_is_for_a_sink_that_is_away_is_stored_when_others_would_wait_with_it() {
    for (storing, rows) in [(Storing::IfAway, 3), (Storing::IfRefused, 0)] {
        let mut world = World::new(storing);
        let (first, second) = (world.publish("a", ""), world.publish("a", ""));
        assert_eq!(world.claim(), Some(first), "it is under way");
        let (sink, now) = (world.sink, world.now);
        world.board.goes_away(sink, &mut world.claims.iter_mut(), now);
        let third = world.publish("a", "");
        while !world.requests.is_empty() || world.board.wants_nudge() {
            world.collect();
            world.commit();
        }
        assert_eq!(world.rows.len(), rows, "{storing:?}");
        assert_eq!(world.desk.0.lock().unwrap().len(), rows);
        world.board.comes_back(sink);
        world.settle(first, Outcome::Delivered);
        for number in [second, third] {
            assert_eq!(world.claim(), Some(number));
            world.settle(number, Outcome::Delivered);
        }
        world.collect();
        world.commit();
        assert_eq!(world.rows.len(), 0);
        assert_eq!(world.desk.0.lock().unwrap().len(), 3);
    }
}

#[test]
fn a_sink_hears_that_what_was_set_aside_will_fall_due() {
    let mut world = World::new(Storing::IfRefused);
    let number = world.publish("a", "");
    assert_eq!(world.claim(), Some(number));
    world.settle(number, later(Holds::Delivery));
    assert_eq!(world.claim(), None, "there is nothing to wait for yet");
    world.collect();
    world.board.committed(std::mem::take(&mut world.changes), Fate::Stays, world.now);
    assert!(world.board.take_effects().calls.contains(&world.sink));
    let next = world.board.claim(world.sink, world.now);
    assert!(matches!(next, Next::Nothing(Some(at)) if at > world.now), "{next:?}");
}

#[test]
fn no_kill_or_stop_lets_one_of_an_order_key_overtake_another() {
    let all = [
        Storing::IfRefused,
        Storing::IfAway,
        Storing::IfOthersPass,
        Storing::AtOnce,
        Storing::Within(HOLD),
    ];
    for storing in all {
        for seed in 0..lives() {
            any_life(storing, seed % 4 == 0, seed);
        }
    }
}

#[test]
fn the_first_for_a_sink_that_is_away_is_stored_as_those_behind_it() {
    let mut world = World::of(Storing::IfAway, Terms { in_order: true, ..terms() });
    let (sink, now) = (world.sink, world.now);
    world.board.goes_away(sink, &mut world.claims.iter_mut(), now);
    world.publish("a", "");
    world.publish("a", "");
    world.collect();
    world.collect();
    world.commit();
    assert_eq!(world.rows.len(), 2);
    // What comes when the sink is back follows those that are still on their way.
    world.publish("a", "");
    world.board.comes_back(sink);
    let last = world.publish("a", "");
    assert_eq!(world.requests.len(), 2);
    let mut order = Vec::new();
    for _ in 0..4 {
        world.collect();
        world.commit();
        while let Some(number) = world.claim() {
            world.settle(number, Outcome::Delivered);
            order.push(number);
        }
    }
    assert!(order.is_sorted() && order.last() == Some(&last), "{order:?}");
}

#[test]
fn numbers_of_lanes_begin_again_when_they_are_used_up() {
    let mut world = World::new(Storing::AtOnce);
    world.publish("kept", "k");
    world.collect();
    world.commit();
    world.board.next_lane = LANE_MAX - 1;
    for lane in ["a", "b", "c", "d"] {
        world.publish(lane, "k");
        world.collect();
        world.commit();
    }
    let lanes: Vec<u32> = world.rows.keys().map(|row| row.lane).collect();
    assert_eq!(lanes, [1, 2, 3, LANE_MAX - 1, LANE_MAX]);
    world.stop();
    world.drain();
    assert_eq!(world.heard.len(), 5);
}

#[test]
fn what_stands_behind_one_that_is_under_way_without_a_row_is_not_signed() {
    let mut world = World::new(Storing::IfRefused);
    let alert = world.publish("a", "pump");
    let other = world.publish("a", "other");
    let resolve = world.publish("a", "pump");
    assert_eq!((world.claim(), world.claim(), world.claim()), (Some(alert), Some(other), None));
    world.settle(other, later(Holds::Lane));
    world.collect();
    world.commit();
    assert_eq!(world.rows.len(), 1, "only the other one is set aside");
    let late = world.publish("a", "pump");
    world.collect();
    world.commit();
    assert_eq!(world.rows.len(), 1, "what comes later follows its own");
    world.stop();
    world.drain();
    let of_pump: Vec<u64> = world.heard.iter().copied().filter(|n| *n != other).collect();
    assert_eq!(of_pump, [alert, resolve, late]);
}

/// Two sinks side by side: whom each step calls, and what each finds then.
#[test]
fn what_happens_at_one_sink_calls_nobody_of_another() {
    let mut board = Board::new();
    let of = |sink: &'static str| Terms { sink: sink.into(), in_flight_max: 1, ..terms() };
    let (a, b) = (board.take_on(of("a")), board.take_on(of("b")));
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let push = |board: &mut Board, sink: &'static str| {
        let lane = LaneName { sink: sink.into(), key: "k".to_owned() };
        let delivery = Delivery { lane, ..delivery("k", "", 0) };
        board.add_transit(delivery, Storing::IfRefused, None, start);
    };
    let called = |board: &mut Board| Vec::from_iter(board.take_effects().calls);
    let claim = |board: &mut Board, sink, ms| match board.claim(sink, at(ms)) {
        Next::Claim(claim) => Ok(claim),
        Next::Nothing(look_again) => Err(look_again),
        Next::Over => panic!("the board does not end"),
    };
    push(&mut board, "a");
    assert_eq!(called(&mut board), [a]);
    assert!(claim(&mut board, b, 0).is_err_and(|look_again| look_again.is_none()));
    push(&mut board, "b");
    assert_eq!(called(&mut board), [b]);
    let (of_a, of_b) = (claim(&mut board, a, 0).unwrap(), claim(&mut board, b, 0).unwrap());
    assert_eq!(called(&mut board), [], "nothing is left for others");
    push(&mut board, "b");
    assert!(claim(&mut board, b, 0).is_err(), "no more may be under way");
    called(&mut board);
    board.settle(of_a, later(Holds::Sink), at(10), 1.0);
    assert_eq!(called(&mut board), [a]);
    assert_eq!(claim(&mut board, a, 10).unwrap_err(), Some(at(410)), "its gate is closed");
    board.settle(of_b, Outcome::Delivered, at(20), 1.0);
    assert_eq!(called(&mut board), [b]);
    let of_b = claim(&mut board, b, 20).expect("the other one's gate is open");
    board.settle(of_b, later(Holds::Delivery), at(30), 1.0);
    let changes = board.take_outbox().changes;
    board.committed(changes, Fate::Stays, at(30));
    assert_eq!(claim(&mut board, b, 30).unwrap_err(), Some(at(530)), "its own back-off");
    let probe = claim(&mut board, a, 410).expect("it is due");
    board.settle(probe, Outcome::Delivered, at(420), 1.0);
    assert_eq!(called(&mut board), [a]);
    assert_eq!(claim(&mut board, a, 600).unwrap_err(), None, "it has no timer of the other one");
    assert_eq!(called(&mut board), [], "it does not look at the other one's clock");
    assert!(claim(&mut board, b, 600).is_ok());
}

#[test]
fn one_that_is_given_up_and_its_heir_are_written_together() {
    let mut world = World::new(Storing::AtOnce);
    let first = world.publish("a", "");
    world.collect();
    world.commit();
    assert_eq!(world.claim(), Some(first));
    let heir = Some(Box::new(delivery("b", "", 7)));
    world.board.settle(
        world.claims.remove(0),
        Outcome::Never { why: "no".to_owned(), heir },
        world.now,
        0.5,
    );
    let changes = world.board.take_outbox().changes;
    let words: Vec<&str> = changes
        .iter()
        .map(|change| match change {
            Change::AddLane(..) => "add lane",
            Change::Insert(_, delivery, ..) if number(delivery) == 7 => "insert heir",
            Change::GiveWay(_) => "give way",
            _ => "something else",
        })
        .collect();
    assert_eq!(words, ["add lane", "insert heir", "give way"], "of one outbox, so of one commit");
}

#[test]
fn what_is_refused_by_policy_waits_alone_and_those_behind_it_go_on() {
    for storing in [Storing::AtOnce, Storing::IfRefused] {
        let mut world = World::new(storing);
        world.board.take_on(Terms { by_policy: true, ..terms() });
        let [first, second, third] = [(); 3].map(|()| world.publish("a", "pump"));
        (0..3).for_each(|_| world.collect());
        world.commit();
        assert_eq!((world.claim(), world.claim()), (Some(first), None), "one at a time");
        let wait = Duration::from_millis(7);
        let why = "no".to_owned();
        world.settle(first, Outcome::Later { why, holds: Holds::Delivery, after: Some(wait) });
        world.collect();
        world.commit();
        assert_eq!((world.claim(), world.claim()), (Some(second), None), "{storing:?}");
        world.settle(second, Outcome::Delivered);
        assert_eq!((world.claim(), world.claim()), (Some(third), None), "{storing:?}");
        world.settle(third, Outcome::Delivered);
        world.now += wait;
        assert_eq!(world.claim(), Some(first), "its wait is no longer than it was said to be");
        assert_eq!(world.claims[0].attempt, 2);
        world.settle(first, Outcome::Delivered);
        world.collect();
        world.commit();
        let Board { stored, transit, .. } = &world.board;
        assert_eq!((stored.bytes, transit.bytes), (0, 0), "{storing:?}");
    }
}

#[test]
fn a_lane_stays_open_however_many_are_refused_by_policy() {
    let mut world = World::new(Storing::IfRefused);
    world.board.take_on(Terms { by_policy: true, ..terms() });
    for _ in 0..300 {
        let refused = world.publish("a", "pump");
        assert_eq!(world.claim(), Some(refused));
        world.settle(refused, later(Holds::Delivery));
    }
}

/// `BOARD_LIVES=5000 cargo test --lib board` takes longer and finds more.
fn lives() -> u64 {
    std::env::var("BOARD_LIVES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}
