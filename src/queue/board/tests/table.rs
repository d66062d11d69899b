//! Scripts in virtual time: what is pushed, claimed and settled when, and what is seen then.
//!
//! Pushes are numbered from 0. `claim 3` says that number 3 is what is claimed, `claim -` that
//! nothing is; `+400` lets 400 ms pass. Dice always fall so that a wait is as long as it can be.

use super::*;

/// Plays a script, step by step.
#[track_caller]
fn play(storing: Storing, script: &'static str) {
    let mut world = World::new(storing);
    world.dice = 1.0;
    for step in script.split([';', '\n']).map(str::trim).filter(|step| !step.is_empty()) {
        let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
        let numbers = || rest.split_whitespace().map(|number| number.parse::<u64>().unwrap());
        match verb {
            "push" => {
                let (lane, key) = rest.split_once('/').unwrap_or((rest, ""));
                world.publish(lane, key);
            }
            "claim" => assert_eq!(world.claim(), rest.parse().ok(), "{step} in {script}"),
            "beside" => assert_eq!(world.claim_beside(), rest.parse().ok(), "{step} in {script}"),
            "settle" => {
                let (number, outcome) = rest.split_once(' ').unwrap();
                world.settle(number.parse().unwrap(), self::outcome(outcome));
            }
            "commit" => {
                while !world.requests.is_empty() {
                    world.collect();
                }
                world.collect();
                world.commit();
            }
            "rows" => {
                let rows = world.rows.values().map(|(delivery, _)| number(delivery));
                assert_eq!(rows.collect::<Vec<_>>(), numbers().collect::<Vec<_>>(), "{script}");
            }
            "signed" => {
                let mut signed: Vec<u64> = world.desk.0.lock().unwrap().iter().copied().collect();
                signed.sort_unstable();
                // A ticket is a number, counted from 1.
                let wanted: Vec<u64> = numbers().map(|number| number + 1).collect();
                assert_eq!(signed, wanted, "{step} in {script}");
            }
            _ => world.now += Duration::from_millis(verb[1..].parse().unwrap()),
        }
    }
}

fn outcome(word: &str) -> Outcome {
    match word {
        "ok" => Outcome::Delivered,
        "never" => Outcome::never("no"),
        "sink" => later(Holds::Sink),
        "lane" => later(Holds::Lane),
        "own" => later(Holds::Delivery),
        _ => panic!("no such outcome: {word}"),
    }
}

#[test]
fn a_sink_that_fails_is_probed_by_one_delivery_at_a_time() {
    for storing in [Storing::IfRefused, Storing::AtOnce] {
        play(
            storing,
            "push a; push b; push c; commit; claim 0; settle 0 sink; claim -
             +399; claim -; +1; claim 1; claim -; settle 1 sink; claim -
             +400; claim 2; settle 2 ok; claim 0; claim 1; claim -",
        );
    }
}

#[test]
fn a_lane_that_is_held_holds_no_other_and_order_is_kept_in_it() {
    play(
        Storing::AtOnce,
        "push a/k; push b/k; push a/k; commit; claim 0; settle 0 lane; claim 1; settle 1 ok; claim -
         +399; claim -; +1; claim 0; claim -; settle 0 ok; claim 2",
    );
}

#[test]
fn a_failure_of_its_own_holds_one_delivery_and_what_follows_it() {
    play(
        Storing::AtOnce,
        "push a/k; push a/k; push a/other; commit; claim 0; settle 0 own; claim 2; settle 2 ok; claim -
         +499; claim -; +1; claim 0; settle 0 own; +999; claim -; +1; claim 0; settle 0 ok; claim 1",
    );
}

#[test]
fn in_direct_mode_what_is_refused_while_others_are_taken_is_set_aside() {
    play(
        Storing::IfRefused,
        "push a/k; push a/k; push b; claim 0; settle 0 own; claim 2; settle 2 ok; signed 2
         commit; rows 0 1; signed 0 1 2; +500; claim 0; settle 0 ok; claim 1; settle 1 ok
         commit; rows",
    );
}

/// A delivery that fails has a row, so those behind it must not wait in memory, where they would
/// hold the broker's window.
#[test]
fn what_comes_behind_a_row_that_fails_gets_one_too() {
    play(
        Storing::IfRefused,
        "push a/k; claim 0; settle 0 own; commit; rows 0; signed 0; push a/k; commit; rows 0 1",
    );
    // While the sink takes nothing the broker keeps it, but not for longer.
    play(
        Storing::IfRefused,
        "push a/k; claim 0; settle 0 own; commit; rows 0; push b; claim 1; settle 1 sink
         push a/k; commit; rows 0; +400; claim 1; settle 1 ok; +100; claim 0; settle 0 own
         commit; rows 0 2; signed 0 1 2",
    );
}

/// The first delivery gets an answer that looks as if the sink were down, each time.
#[test]
fn a_poison_delivery_holds_up_others_once_and_then_waits_alone() {
    for storing in [Storing::IfRefused, Storing::AtOnce] {
        play(
            storing,
            "push a; commit; claim 0; settle 0 sink; claim -
             push b; commit; claim -; +400; claim 1; settle 1 ok
             claim 0; settle 0 sink
             push b; commit; claim 2; settle 2 ok; claim -
             +999; claim -; +1; claim 0; settle 0 sink
             push c; commit; claim 3; settle 3 ok
             push a; commit; claim 4; settle 4 ok; claim -
             +1999; claim -; +1; claim 0; settle 0 ok; claim -; commit; rows",
        );
    }
}

#[test]
fn one_that_comes_while_only_poison_is_tried_goes_with_the_next_probe() {
    play(
        Storing::AtOnce,
        "push a/k; push a/k; commit; claim 0; settle 0 sink; +400; claim 0; settle 0 sink
         +100; push b; commit; claim -; +300; claim 2; settle 2 ok; claim 0; settle 0 sink
         push b; commit; claim 3; settle 3 ok; claim -",
    );
}

/// Each delivery of lane `a` gets such an answer, and none of `b` waits for them.
#[test]
fn a_lane_of_poison_holds_up_others_once() {
    play(
        Storing::AtOnce,
        "push a; push b; commit; claim 0; settle 0 sink; claim -; +400; claim 1; settle 1 ok
         push a; push b; commit; claim 0; settle 0 sink; +1; claim 3; settle 3 ok
         claim 2; settle 2 sink; push b; commit; +1; claim 4; settle 4 ok
         push a; push b; commit; claim 5; settle 5 sink; claim 6; settle 6 ok; claim -",
    );
}

#[test]
fn a_sink_that_fails_for_all_is_not_taken_for_poison() {
    play(
        Storing::AtOnce,
        "push a; push b; commit; claim 0; claim 1; settle 0 sink; settle 1 ok; claim 0; settle 0 ok
         push a; push b; commit; claim 2; claim 3; settle 2 sink; settle 3 sink; claim -
         +399; claim -; +1; claim 2; settle 2 sink; claim -; +400; claim 3; settle 3 ok; claim 2",
    );
}

#[test]
fn a_hundred_thousand_of_a_failing_lane_do_not_delay_a_healthy_one() {
    let mut world = World::new(Storing::AtOnce);
    for _ in 0..100_000 {
        world.publish("failing", "");
        world.collect();
    }
    world.commit();
    let healthy = world.publish("healthy", "");
    world.collect();
    world.commit();
    let mut attempts = 0;
    while let Some(claimed) = world.claim() {
        attempts += 1;
        assert!(attempts < 10, "before the healthy one");
        let is_healthy = claimed == healthy;
        world.settle(claimed, if is_healthy { Outcome::Delivered } else { later(Holds::Delivery) });
        if is_healthy {
            return;
        }
    }
    panic!("the healthy one is not due");
}

#[test]
fn what_is_withdrawn_is_not_attempted() {
    /// Odd tickets are somebody else's.
    #[derive(Default)]
    struct Odd(Signed);
    impl Desk for Odd {
        fn signed(&self, ticket: u64) {
            self.0.signed(ticket);
        }
        fn room(&self) {}
        fn is_withdrawn(&self, ticket: u64) -> bool {
            ticket % 2 == 1
        }
    }
    let mut world = World::new(Storing::IfRefused);
    let desk = Arc::new(Odd::default());
    for number in 0..6 {
        let receipt = Some(Receipt::new(desk.clone(), number, 1));
        world.board.add_transit(delivery("a", "k", number), Storing::IfRefused, receipt, world.now);
    }
    for wanted in [0, 2, 4] {
        assert_eq!(world.claim(), Some(wanted));
        world.settle(wanted, Outcome::Delivered);
    }
    assert_eq!(world.claim(), None);
    assert_eq!(desk.0.0.lock().unwrap().len(), 6, "their receipts are handed in all the same");
}

#[test]
fn what_is_perishable_is_kept_once_and_for_a_while() {
    let mut world = World::new(Storing::IfRefused);
    let ping = |number| {
        let errand = Errand::Ping { key: "k".to_owned() };
        let keep = Keep::AtMost(Duration::from_secs(30));
        Delivery { errand, keep, body: Vec::new(), ..delivery("beat", "", number) }
    };
    let push = |world: &mut World, ticket| {
        let receipt = Some(Receipt::new(world.desk.clone(), ticket, 1));
        world.board.add_transit(ping(ticket), Storing::IfRefused, receipt, world.now);
        world.sign();
        assert!(world.desk.0.lock().unwrap().contains(&ticket), "nobody waits for it");
    };
    push(&mut world, 1);
    push(&mut world, 2);
    assert_eq!(world.board.transit.count, 1, "the second says nothing new");
    world.now += Duration::from_secs(31);
    assert!(!matches!(world.board.claim(world.sink, world.now), Next::Claim(_)));
    let warnings = world.board.take_effects().warnings;
    assert_eq!(warnings, ["heartbeat for ilert/*** was not delivered in time and is dropped"]);
    assert_eq!(world.board.transit.count, 0);
}

/// Those of a lane that go together are claimed by whoever has the first, and by nobody else; and
/// what comes back goes before what was not claimed.
#[test]
fn what_goes_together_is_one_request_at_a_time_and_in_order() {
    for storing in [Storing::IfRefused, Storing::AtOnce] {
        play(
            storing,
            "push :bulk; push :bulk; push :bulk; push :bulk; push b; commit
             claim 0; beside 1; claim 4; claim -; settle 4 ok; settle 0 sink; settle 1 sink; claim -
             +400; claim 0; beside 1; beside 2; claim -; settle 0 ok; settle 1 ok; claim -
             settle 2 ok; claim 3; settle 3 ok; claim -; commit; rows; signed 0 1 2 3 4",
        );
    }
}

#[test]
fn one_of_a_request_that_is_refused_is_claimed_again_by_itself() {
    play(
        Storing::IfRefused,
        "push :bulk; push :bulk; claim 0; beside 1; settle 0 own; settle 1 ok; push :bulk
         claim 2; settle 2 ok; commit; rows 0; signed 0 1 2; +500; claim 0; settle 0 ok; commit; rows",
    );
}
