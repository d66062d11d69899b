//! What is held: written only if it takes long, signed only when it is safe.

use super::*;

impl World {
    fn holding() -> Self {
        World::new(Storing::Within(HOLD))
    }

    fn signed(&self) -> usize {
        self.desk.0.lock().unwrap().len()
    }

    /// The queue thread's timer goes off, if it is set.
    fn wait_for_timer(&mut self) {
        self.now = self.board.set_timer().expect("the timer is set");
        self.collect();
    }
}

#[test]
fn what_is_delivered_in_time_is_never_written() {
    let mut world = World::holding();
    for round in 0..100 {
        let number = world.publish("a", if round % 2 == 0 { "k" } else { "" });
        assert!(world.board.wants_nudge() == (round == 0), "the timer is set once");
        world.collect();
        world.board.set_timer();
        assert_eq!(world.claim(), Some(number));
        world.now += HOLD / 2;
        assert_eq!(world.signed(), round, "nobody has it yet");
        world.settle(number, Outcome::Delivered);
        assert_eq!(world.signed(), round + 1);
        world.collect();
        world.commit();
    }
    assert_eq!(world.written, 0);
    assert_eq!(world.board.set_timer(), None, "nothing is held");
}

#[test]
fn what_takes_longer_is_stored_in_one_commit_with_all_that_wait() {
    let mut world = World::holding();
    let numbers: Vec<u64> = ["k", "k", "", "other"].map(|key| world.publish("a", key)).into();
    assert_eq!((world.claim(), world.claim()), (Some(numbers[0]), Some(numbers[2])));
    world.now += HOLD / 2;
    let late = world.publish("b", "");
    world.collect();
    world.commit();
    assert_eq!((world.rows.len(), world.signed()), (0, 0), "it is not time yet");
    world.wait_for_timer();
    assert_eq!(world.signed(), 0, "it is on its way");
    world.commit();
    assert_eq!((world.rows.len(), world.signed()), (5, 5), "what is under way, too");
    world.acknowledge(false);
    assert!(world.broker.is_empty());
    for number in [numbers[0], numbers[2]] {
        world.settle(number, Outcome::Delivered);
    }
    world.collect();
    world.commit();
    assert_eq!(world.rows.len(), 3, "rows of what is delivered are deleted");
    world.drain();
    assert_eq!(world.heard.len(), 5, "nothing is delivered twice: {late} neither");
}

#[test]
fn an_attempt_that_ends_during_the_commit_counts_after_it() {
    for (full, outcome, rows, heard) in [
        (false, Outcome::Delivered, 0, 1),
        (true, Outcome::Delivered, 0, 1),
        (false, later(Holds::Sink), 1, 0),
        (true, later(Holds::Sink), 0, 0),
    ] {
        let mut world = World::holding();
        let number = world.publish("a", "k");
        assert_eq!(world.claim(), Some(number));
        world.wait_for_timer();
        world.settle(number, outcome);
        assert_eq!(world.signed(), 0, "it is on its way");
        world.full = full;
        world.commit();
        world.collect();
        world.commit();
        assert_eq!((world.rows.len(), world.heard.len()), (rows, heard));
        assert_eq!(world.signed(), rows + heard, "it is safe, or the broker keeps it");
        world.drain();
        assert_eq!(world.heard, [number]);
    }
}

#[test]
fn what_follows_a_row_that_may_be_back_is_signed_when_it_cannot() {
    let mut world = World::holding();
    let alert = world.publish("a", "k");
    world.wait_for_timer();
    world.commit();
    assert_eq!((world.claim(), world.signed()), (Some(alert), 1));
    world.settle(alert, Outcome::Delivered);
    world.collect();
    world.commit();
    assert_eq!((world.rows.len(), world.earlier.len()), (0, 1), "a power cut may undo it");
    let (resolve, other) = (world.publish("a", "k"), world.publish("a", ""));
    assert_eq!((world.claim(), world.claim()), (Some(resolve), Some(other)));
    world.settle(other, Outcome::Delivered);
    assert_eq!(world.signed(), 2, "it has no order to keep");
    world.settle(resolve, Outcome::Delivered);
    assert_eq!(world.signed(), 2);
    world.collect();
    world.commit();
    assert_eq!((world.signed(), world.earlier.len()), (3, 0));
}

/// Else the row, which the broker would get again, would be the last word on its topic.
#[test]
fn publications_are_signed_behind_a_row_that_may_be_back() {
    let mut world = World::holding();
    world.board.take_on(Terms { in_order: true, ..terms() });
    let old = world.publish("a", "");
    world.wait_for_timer();
    world.commit();
    assert_eq!(world.claim(), Some(old));
    world.settle(old, Outcome::Delivered);
    let new = world.publish("a", "");
    assert_eq!(world.claim(), Some(new));
    world.settle(new, Outcome::Delivered);
    assert_eq!(world.signed(), 1, "the older row is still there");
    world.collect();
    world.commit();
    assert_eq!(world.signed(), 2);
}

#[test]
fn holding_ends_when_it_is_no_use() {
    // More than the sink has under way at a time: all of them are stored, and so is what follows.
    let mut world = World::holding();
    for _ in 0..16 {
        world.publish("a", "");
        world.claim();
    }
    world.collect();
    assert!(world.changes.is_empty() && world.requests.is_empty());
    world.publish("a", "");
    world.collect();
    world.commit();
    assert_eq!((world.rows.len(), world.signed()), (17, 17));
    // A sink that takes nothing.
    let mut world = World::holding();
    let first = world.publish("a", "");
    world.claim();
    world.settle(first, later(Holds::Sink));
    world.publish("a", "");
    world.collect();
    world.commit();
    assert_eq!((world.rows.len(), world.signed()), (2, 2));
    // Too large to be kept twice.
    let mut world = World::holding();
    let large = Delivery { body: vec![b'x'; 300 * 1024], ..delivery("a", "", 0) };
    assert!(world.board.needs_storing(&large, Storing::Within(HOLD), world.now));
}

#[test]
fn a_lane_without_order_keys_keeps_its_order() {
    let mut world = World::holding();
    let numbers: Vec<u64> = (0..3).map(|_| world.publish("a", "")).collect();
    world.wait_for_timer();
    let late = world.publish("a", "");
    assert_eq!(world.requests.len(), 1, "it follows the others into the database");
    world.collect();
    world.commit();
    for wanted in numbers.into_iter().chain([late]) {
        assert_eq!(world.claim(), Some(wanted));
    }
}

#[test]
fn a_disk_that_cannot_be_written_keeps_nothing_from_its_sink() {
    let mut world = World::holding();
    world.full = true;
    let first = world.publish("a", "k");
    let second = world.publish("a", "k");
    assert_eq!(world.claim(), Some(first));
    world.wait_for_timer();
    world.commit();
    assert_eq!(world.board.set_timer(), None, "nothing can be stored, so nothing is tried");
    world.settle(first, Outcome::Delivered);
    assert_eq!(world.claim(), Some(second));
    world.settle(second, Outcome::Delivered);
    assert_eq!((world.signed(), world.written), (2, 0));
}
