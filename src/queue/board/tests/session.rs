//! A session that publishes, at random: it takes all of a lane in order, one behind the other, and
//! keeps what it has taken over connections.

use super::*;

/// A sink that hands over in order.
struct Session {
    world: World,
    /// How many of the claims were written on this connection.
    sent: usize,
    is_away: bool,
}

impl Session {
    fn new(storing: Storing) -> Self {
        let world = World::of(storing, Terms { in_order: true, ..terms() });
        Session { world, sent: 0, is_away: false }
    }

    fn send(&mut self) {
        if let Some(claim) = self.world.claims.get(self.sent) {
            self.world.heard.push(number(&claim.delivery));
            self.sent += 1;
        }
    }

    /// The first that was sent is answered.
    fn is_answered(&mut self, outcome: Outcome) {
        if self.sent == 0 {
            return;
        }
        self.sent -= 1;
        let claim = self.world.claims.remove(0);
        if let Outcome::Never { .. } = outcome {
            self.world.dead.insert(number(&claim.delivery));
        }
        self.world.board.settle(claim, outcome, self.world.now, 0.5);
        self.world.sign();
    }

    /// All that was not answered goes out again.
    fn is_lost(&mut self) {
        self.sent = 0;
    }

    fn goes_away(&mut self) {
        self.is_lost();
        let World { board, claims, sink, now, .. } = &mut self.world;
        board.goes_away(*sink, &mut claims.iter_mut(), *now);
        self.is_away = true;
        self.world.sign();
    }

    fn comes_back(&mut self) {
        if std::mem::take(&mut self.is_away) {
            self.world.board.comes_back(self.world.sink);
        }
    }

    /// Killed, or without power for a moment.
    fn is_killed(&mut self, dice: &mut fastrand::Rng) {
        if dice.bool() {
            self.world.undo_some(dice);
        }
        self.world.kill_after_all(dice);
        (self.sent, self.is_away) = (0, false);
    }

    fn stops(&mut self) {
        self.world.stop();
        (self.sent, self.is_away) = (0, false);
    }

    fn drain(&mut self) {
        self.comes_back();
        self.world.full = false;
        for _ in 0..10_000 {
            self.world.now += Duration::from_secs(61);
            self.world.collect();
            self.world.commit();
            while self.world.claim().is_some() {}
            while self.sent < self.world.claims.len() {
                self.send();
            }
            while self.sent > 0 {
                self.is_answered(Outcome::Delivered);
            }
            self.world.others_take_all();
            self.world.acknowledge(false);
            let World { rows, broker, requests, changes, .. } = &self.world;
            if rows.is_empty() && broker.is_empty() && requests.is_empty() && changes.is_empty() {
                return;
            }
        }
        panic!("{} rows are left", self.world.rows.len());
    }
}

/// One thing after another at random. What the broker got is in order, the first time and the last
/// time it got it. With several ways of storing there are several sources, or one whose settings
/// change: then the order is that in which they are taken in, unless a crash or a full disk says
/// which of them are there.
fn any_life(ways: &[Storing], seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut session = Session::new(ways[0]);
    let kills = ways.len() == 1;
    let mut made = Vec::new();
    for _ in 0..600 {
        match dice.u32(0..100) {
            0..12 if ways == [Storing::IfAway] && !session.world.broker.is_empty() => {
                let at = dice.usize(0..session.world.broker.len());
                session.world.broker[at].others_have_it = true;
            }
            0..25 => {
                session.world.storing = ways[dice.usize(0..ways.len())];
                made.push(session.world.publish("a", ""));
            }
            25..40 if !session.is_away => drop(session.world.claim()),
            40..55 if !session.is_away => session.send(),
            55..66 => session.is_answered(Outcome::Delivered),
            66 => session.is_answered(Outcome::never("never")),
            67..69 => session.is_lost(),
            69 => session.goes_away(),
            70..73 => session.comes_back(),
            73..83 => session.world.collect(),
            83..89 => session.world.commit(),
            89..93 => session.world.now += Duration::from_millis(dice.u64(1..100)),
            93..95 => session.world.acknowledge(false),
            95..97 if kills => session.is_killed(&mut dice),
            97 if kills => session.stops(),
            98 if kills => session.world.full = dice.bool(),
            _ => {}
        }
    }
    session.drain();
    session.world.is_heard(&made, true, &format!("seed {seed}, {ways:?}"));
}

#[test]
fn no_kill_or_stop_lets_a_publication_overtake_another() {
    let all: [&[Storing]; 6] = [
        &[Storing::IfRefused],
        &[Storing::IfAway],
        &[Storing::IfOthersPass],
        &[Storing::AtOnce],
        &[Storing::Within(HOLD)],
        &[Storing::IfRefused, Storing::AtOnce],
    ];
    for ways in all {
        for seed in 0..lives() {
            any_life(ways, seed);
        }
    }
}

#[test]
fn what_is_not_to_be_stored_follows_what_is_on_its_way_to_the_database() {
    let mut session = Session::new(Storing::AtOnce);
    let stored = session.world.publish("a", "");
    session.world.storing = Storing::IfRefused;
    let direct = session.world.publish("a", "");
    assert_eq!(session.world.claim(), None, "neither is there yet");
    session.world.collect();
    session.world.collect();
    session.world.commit();
    let claimed = [session.world.claim(), session.world.claim()];
    assert_eq!(claimed, [Some(stored), Some(direct)]);
}
