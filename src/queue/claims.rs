//! What a sink takes from the queue: claims, and a place of its own to wait for them.

use crate::message::{Bulk, Outcome};
use crate::queue::board::{Board, SinkId};
use crate::queue::claim::{Claim, Next, Terms};
use crate::queue::shared::Shared;
use crate::queue::waiting::{Ring, Waiting};
use crate::system::threads::lock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Most deliveries that go together, and bytes of them: with so many there are no more.
const BULK_MAX: usize = 1_000;
const BULK_BYTES_MAX: usize = 1024 * 1024;

/// The claims of one sink. Clones are for its other threads.
#[derive(Clone)]
pub struct Claims {
    shared: Arc<Shared>,
    sink: SinkId,
    waiting: Arc<Waiting>,
}

impl Claims {
    pub(super) fn of(shared: Arc<Shared>, terms: Terms, ring: Option<Ring>) -> Self {
        let waiting = Arc::new(Waiting::new(ring));
        let sink = lock(&shared.board).take_on(terms);
        let mut all = lock(&shared.waiting);
        all.retain(|(known, _)| *known != sink);
        all.push((sink, Arc::clone(&waiting)));
        drop(all);
        Claims { shared, sink, waiting }
    }

    /// Waits until a delivery may be attempted, and claims it. `None` when claims are over, or
    /// when `patience` is.
    #[must_use]
    pub fn wait(&self, patience: Option<Duration>) -> Option<Claim> {
        let give_up = patience.map(|patience| Instant::now() + patience);
        let mut board = lock(&self.shared.board);
        loop {
            let now = Instant::now();
            let look_again = match self.look(&mut board, now) {
                Next::Claim(claim) => {
                    self.shared.act(board);
                    return Some(claim);
                }
                Next::Nothing(_) if board.has_effects() => {
                    self.shared.act(board);
                    board = lock(&self.shared.board);
                    continue;
                }
                Next::Nothing(look_again) => look_again,
                Next::Over => return None,
            };
            if give_up.is_some_and(|at| at <= now) {
                drop(board);
                // Another one may have relied on this one's look at the clock.
                self.waiting.wake();
                return None;
            }
            let until = look_again.into_iter().chain(give_up).min();
            board = self.waiting.sleep(board, until.map(|at| at.saturating_duration_since(now)));
        }
    }

    /// Claims what goes together with `first`: more of its lane, in order, until `most` are there
    /// or `wait` is over.
    #[must_use]
    pub fn fill(&self, first: Claim, Bulk { most, wait }: Bulk) -> Vec<Claim> {
        let until = Instant::now() + wait;
        let mut bytes = first.delivery.body.len();
        let mut claims = vec![first];
        let mut board = lock(&self.shared.board);
        loop {
            let now = Instant::now();
            let has_room = |count, bytes| count < most.min(BULK_MAX) && bytes < BULK_BYTES_MAX;
            while has_room(claims.len(), bytes)
                && let Some(claim) = board.claim_beside(&claims[0], now)
            {
                bytes += claim.delivery.body.len();
                claims.push(claim);
            }
            let is_over = self.waiting.over.load(Ordering::Acquire)
                || self.shared.stopped.load(Ordering::Acquire);
            if !has_room(claims.len(), bytes) || is_over || now >= until {
                self.shared.act(board);
                return claims;
            }
            if board.has_effects() {
                self.shared.act(board);
                board = lock(&self.shared.board);
                continue;
            }
            board = self.waiting.sleep_for_more(board, until - now);
        }
    }

    /// What there is to do now; never blocks for longer than another look at the board takes.
    #[must_use]
    pub fn next(&self, now: Instant) -> Next {
        let mut board = lock(&self.shared.board);
        let next = self.look(&mut board, now);
        self.shared.act(board);
        next
    }

    /// The sink cannot hand over at present, and keeps these claims.
    pub fn goes_away(&self, under_way: &mut dyn Iterator<Item = &mut Claim>) {
        let mut board = lock(&self.shared.board);
        board.goes_away(self.sink, under_way, Instant::now());
        self.shared.act(board);
    }

    /// The sink can hand over again.
    pub fn comes_back(&self) {
        lock(&self.shared.board).comes_back(self.sink);
    }

    fn look(&self, board: &mut Board, now: Instant) -> Next {
        let is_over = self.waiting.over.load(Ordering::Acquire);
        if is_over { Next::Over } else { self.shared.next(board, self.sink, now) }
    }

    /// Ends the claims of this sink: waiting ones return `None`, and so do later ones.
    pub fn stop(&self) {
        let board = lock(&self.shared.board);
        self.waiting.over.store(true, Ordering::Release);
        drop(board);
        self.waiting.wake_all();
    }

    /// Gives a claimed delivery back with the outcome of the attempt.
    pub fn settle(&self, claim: Claim, outcome: Outcome) {
        self.settle_all(vec![(claim, outcome)]);
    }

    /// Gives several back at once.
    pub fn settle_all(&self, ended: Vec<(Claim, Outcome)>) {
        let now = Instant::now();
        self.show(&ended, now);
        let mut board = lock(&self.shared.board);
        for (claim, outcome) in ended {
            board.settle(claim, outcome, now, fastrand::f64());
        }
        self.shared.report(&board);
        self.shared.act(board);
        self.shared.tell_of_room();
    }

    /// Notes how long deliveries took, and tells those who follow.
    fn show(&self, ended: &[(Claim, Outcome)], now: Instant) {
        let Some((Claim { delivery, .. }, _)) = ended.first() else { return };
        self.shared.health.sink(delivery.lane.sink.as_str(), |sink| {
            let delivered = ended.iter().filter(|(_, outcome)| *outcome == Outcome::Delivered);
            for (claim, _) in delivered {
                sink.latency.note(now.saturating_duration_since(claim.since));
            }
        });
        if self.shared.tail.is_followed() {
            ended.iter().for_each(|(claim, outcome)| self.shared.tail.ended(claim, outcome, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::message::{Delivery, Desk, Errand, Keep, LaneName, Receipt};
    use crate::queue::Queue;
    use crate::queue::push::{Push, Storing};
    use crate::retry::Backoff;
    use crate::system::health::Health;
    use crate::system::threads::Failures;
    use crossbeam_channel::{Receiver, Sender, bounded};
    use std::time::Duration;

    /// Takes its time for the first signature, and says of each which it was.
    struct Slow(Sender<u64>, Receiver<()>);

    impl Desk for Slow {
        fn signed(&self, ticket: u64) {
            self.0.send(ticket).unwrap();
            if ticket == 1 {
                self.1.recv().unwrap();
            }
        }
        fn room(&self) {}
    }

    #[test]
    fn what_is_settled_later_is_signed_later_and_nobody_waits_for_the_board_meanwhile() {
        let folder = std::env::temp_dir().join(format!("ilagent-claims-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let settings = config::Queue { path: folder.join("q.db3"), ..config::Queue::default() };
        let failures = Failures(bounded(1).0);
        let queue = Queue::open(&settings, true, &Health::default(), &failures).unwrap();
        let second = Duration::from_secs(1);
        let backoff = Backoff { first: second, longest: second };
        let terms = Terms {
            sink: "s".into(),
            in_flight_max: 2,
            backoff,
            attempts_max: None,
            in_order: false,
            by_policy: false,
        };
        let claims = queue.claims(terms, None);
        let ((tell, told), (go_on, may_go_on)) = (bounded(2), bounded(1));
        let desk: Arc<dyn Desk> = Arc::new(Slow(tell, may_go_on));
        for ticket in [1, 2] {
            let delivery = Delivery {
                lane: LaneName { sink: "s".into(), key: String::new() },
                order_key: None,
                errand: Errand::Event { path: "/".to_owned() },
                keep: Keep::UntilDelivered,
                body: Vec::new(),
                origin: String::new(),
            };
            let receipt = Some(Receipt::new(Arc::clone(&desk), ticket, 1));
            let push = Push::Delivery { delivery, storing: Storing::IfRefused, receipt };
            queue.push(vec![push], None).unwrap();
        }
        let settle = |claim: Claim| {
            let claims = claims.clone();
            std::thread::spawn(move || claims.settle(claim, Outcome::Delivered))
        };
        let (first, second) = (claims.wait(None).unwrap(), claims.wait(None).unwrap());
        let first = settle(first);
        assert_eq!(told.recv(), Ok(1));
        let second = settle(second);
        while lock(&queue.0.board).transit.count > 0 {
            std::thread::yield_now();
        }
        assert!(told.is_empty(), "the board is free, and the second has to wait for the first");
        go_on.send(()).unwrap();
        assert_eq!(told.recv(), Ok(2));
        first.join().unwrap();
        second.join().unwrap();
        queue.stop_claims();
        queue.close();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
