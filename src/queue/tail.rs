//! Messages and deliveries as they pass, line by line, for `ilagent tail`.
//!
//! With no reader it costs one look at a number. Each reader has a bounded channel;
//! lines that find no room are counted, and neither sources nor sinks ever wait for a reader.

use crate::message::{Delivery, Errand, Outcome};
use crate::queue::claim::Claim;
use crate::queue::push::Push;
use crate::system::plain::plain;
use crate::system::threads::lock;
use crate::topic::matches;
use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Most readers at a time.
const FOLLOWERS_MAX: usize = 4;

/// Most lines that wait for a reader.
const LINES_MAX: usize = 1_024;

/// Most deliveries named on the line of one message.
const NAMED_MAX: usize = 8;

/// Most characters of a sink's reason.
const WHY_CHARS_MAX: usize = 400;

/// A reader's filter; without one, everything passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What this source brings, such as `mqtt plant`.
    pub source: Option<String>,
    /// What is for this sink.
    pub sink: Option<String>,
    /// What came on topics that this filter matches, or is published on them.
    pub topic: Option<String>,
}

impl Wanted {
    /// As it travels over the control socket.
    pub(in crate::queue) fn to_json(&self) -> Value {
        json!({ "source": self.source, "sink": self.sink, "topic": self.topic })
    }

    /// The reverse of [`Wanted::to_json`].
    pub(in crate::queue) fn from_json(json: &Value) -> Self {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        Wanted { source: text("source"), sink: text("sink"), topic: text("topic") }
    }

    fn takes(&self, delivery: &Delivery, topic: &str) -> bool {
        let target = match &delivery.errand {
            Errand::Publish { topic, .. } => Some(topic.as_str()),
            _ => None,
        };
        let is_on = |filter: &String| {
            matches(filter, topic) || target.is_some_and(|target| matches(filter, target))
        };
        self.sink.as_ref().is_none_or(|sink| delivery.lane.sink.as_str() == sink)
            && self.topic.as_ref().is_none_or(is_on)
    }

    /// What came in.
    fn takes_in(&self, source: &str, topic: &str, pushes: &[Push]) -> bool {
        let is_for_it = |push: &Push| match push {
            Push::Delivery { delivery, .. } => self.takes(delivery, topic),
            Push::DeadLetter { .. } | Push::Record { .. } => false,
        };
        let is_on = |filter: &String| matches(filter, topic);
        self.source.as_ref().is_none_or(|wanted| wanted == source)
            && (pushes.iter().any(is_for_it)
                || self.sink.is_none() && self.topic.as_ref().is_none_or(is_on))
    }

    /// What went out. Which source it came from is not known any more.
    fn takes_out(&self, delivery: &Delivery) -> bool {
        self.source.is_none() && self.takes(delivery, &delivery.origin)
    }
}

/// The readers.
#[derive(Default)]
pub(in crate::queue) struct Tail {
    count: AtomicUsize,
    followers: Mutex<Vec<Follower>>,
}

struct Follower {
    wanted: Wanted,
    lines: Sender<String>,
    missed: Arc<AtomicU32>,
}

/// A reader's end of its channel.
pub(in crate::queue) struct Following {
    tail: Arc<Tail>,
    pub(in crate::queue) lines: Receiver<String>,
    missed: Arc<AtomicU32>,
}

impl Following {
    /// How many lines found no room since the last call.
    pub(in crate::queue) fn missed(&self) -> u32 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut followers = lock(&self.tail.followers);
        followers.retain(|one| !Arc::ptr_eq(&one.missed, &self.missed));
        self.tail.count.store(followers.len(), Ordering::Relaxed);
    }
}

impl Tail {
    /// Adds a reader; `None` if there are too many.
    pub(in crate::queue) fn follow(self: &Arc<Self>, wanted: Wanted) -> Option<Following> {
        let mut followers = lock(&self.followers);
        if followers.len() >= FOLLOWERS_MAX {
            return None;
        }
        let ((lines, received), missed) = (bounded(LINES_MAX), Arc::default());
        followers.push(Follower { wanted, lines, missed: Arc::clone(&missed) });
        self.count.store(followers.len(), Ordering::Relaxed);
        Some(Following { tail: Arc::clone(self), lines: received, missed })
    }

    pub(in crate::queue) fn is_followed(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// A message came in and became `pushes`.
    pub(in crate::queue) fn came(&self, source: &str, topic: &str, bytes: usize, pushes: &[Push]) {
        self.tell(&|wanted| wanted.takes_in(source, topic, pushes), &|line| {
            let _ = write!(line, "in   {}  {}, {bytes} bytes: ", plain(source), plain(topic));
            if pushes.is_empty() {
                line.push_str("nothing becomes of it");
            }
            for (at, push) in pushes.iter().take(NAMED_MAX).enumerate() {
                let comma = if at > 0 { "; " } else { "" };
                let _ = match push {
                    Push::Delivery { delivery, .. } => write!(line, "{comma}{delivery}"),
                    Push::DeadLetter { letter, .. } => {
                        let why = plain(&letter.reason).within(WHY_CHARS_MAX);
                        write!(line, "{comma}a dead letter: {why}")
                    }
                    Push::Record { .. } => write!(line, "{comma}something to remember"),
                };
            }
            if let Some(more) = pushes.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
                let _ = write!(line, "; {more} more");
            }
        });
    }

    /// An attempt has ended.
    pub(in crate::queue) fn ended(&self, claim: &Claim, outcome: &Outcome, now: Instant) {
        let Claim { delivery, attempt, .. } = claim;
        self.tell(&|wanted| wanted.takes_out(delivery), &|line| {
            let _ = write!(
                line,
                "out  {}  {delivery}, from {}, attempt {attempt}: ",
                delivery.lane.sink,
                plain(&delivery.origin)
            );
            let why = |why| plain(why).within(WHY_CHARS_MAX);
            let _ = match outcome {
                Outcome::Delivered => {
                    let took = now.saturating_duration_since(claim.since).as_millis();
                    write!(line, "delivered, {took} ms after it came")
                }
                Outcome::Later { why: words, .. } => {
                    write!(line, "failed, will be tried again: {}", why(words))
                }
                Outcome::Never { why: words, .. } => write!(line, "given up: {}", why(words)),
            };
        });
    }

    fn tell(&self, takes: &dyn Fn(&Wanted) -> bool, put: &dyn Fn(&mut String)) {
        if !self.is_followed() {
            return;
        }
        let mut line = String::new();
        for follower in lock(&self.followers).iter().filter(|one| takes(&one.wanted)) {
            if follower.lines.is_full() {
                follower.missed.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if line.is_empty() {
                line = clock(SystemTime::now());
                put(&mut line);
            }
            if follower.lines.try_send(line.clone()).is_err() {
                follower.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The time of day in UTC, and a space.
fn clock(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86_400;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:03}Z ", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Keep, LaneName, Qos};
    use crate::queue::push::{DeadLetter, Storing};
    use std::time::Duration;

    fn delivery(sink: &str, errand: Errand, origin: &str) -> Delivery {
        Delivery {
            lane: LaneName { sink: sink.to_owned().into(), key: String::new() },
            order_key: None,
            errand,
            keep: Keep::UntilDelivered,
            body: b"body".to_vec(),
            origin: origin.to_owned(),
        }
    }

    fn push(sink: &str, to: &str, origin: &str) -> Push {
        let errand = Errand::Publish { topic: to.to_owned(), qos: Qos::AtLeastOnce, retain: false };
        Push::Delivery {
            delivery: delivery(sink, errand, origin),
            storing: Storing::AtOnce,
            receipt: None,
        }
    }

    fn dead(reason: &str) -> Push {
        let letter = DeadLetter {
            reason: reason.to_owned(),
            lane: None,
            order_key: None,
            errand: None,
            origin: "a/b".to_owned(),
            body: Vec::new(),
        };
        Push::DeadLetter { letter, receipt: None }
    }

    fn wanted(source: &str, sink: &str, topic: &str) -> Wanted {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Wanted { source: some(source), sink: some(sink), topic: some(topic) }
    }

    #[test]
    fn who_follows_sees_what_was_asked_for() {
        for (asked, comes) in [
            (wanted("", "", ""), true),
            (wanted("mqtt plant", "", ""), true),
            (wanted("mqtt", "", ""), false),
            (wanted("", "mqtt cloud", ""), true),
            (wanted("", "ilert", ""), false),
            (wanted("", "", "a/+"), true),
            (wanted("", "", "to/#"), true),
            (wanted("", "", "c"), false),
            (wanted("mqtt plant", "mqtt cloud", "#"), true),
            (wanted("mqtt plant", "ilert", "#"), false),
        ] {
            let tail = Arc::new(Tail::default());
            let following = tail.follow(asked.clone()).unwrap();
            tail.came("mqtt plant", "a/b", 4, &[push("mqtt cloud", "to/b", "a/b")]);
            assert_eq!(following.lines.try_recv().is_ok(), comes, "{asked:?}");
            assert_eq!(Wanted::from_json(&asked.to_json()), asked);
        }
    }

    #[test]
    fn a_line_says_what_became_of_a_message_and_nothing_acts_in_it() {
        let tail = Arc::new(Tail::default());
        let following = tail.follow(Wanted::default()).unwrap();
        let line = || following.lines.try_recv().unwrap().split_once(' ').unwrap().1.to_owned();
        tail.came(
            "mqtt plant",
            "a\n\u{1b}[2J",
            4,
            &[push("mqtt cloud", "b", "a"), dead("no\tJSON")],
        );
        assert_eq!(
            line(),
            r"in   mqtt plant  a\n\u{1b}[2J, 4 bytes: publish for mqtt cloud; a dead letter: no\tJSON"
        );
        tail.came("http", "a", 0, &[]);
        assert_eq!(line(), "in   http  a, 0 bytes: nothing becomes of it");
        let many: Vec<Push> = (0..NAMED_MAX + 2).map(|_| dead("x")).collect();
        tail.came("http", "a", 0, &many);
        assert!(line().ends_with("; 2 more"));
        assert_eq!(clock(UNIX_EPOCH + Duration::from_millis(86_399_007)), "23:59:59.007Z ");
    }

    #[test]
    fn nobody_is_waited_for_and_what_was_missed_is_counted() {
        let tail = Arc::new(Tail::default());
        assert!(!tail.is_followed());
        let slow = tail.follow(Wanted::default()).unwrap();
        for _ in 0..LINES_MAX + 7 {
            tail.came("http", "a", 1, &[]);
        }
        assert_eq!((slow.lines.len(), slow.missed(), slow.missed()), (LINES_MAX, 7, 0));
        let others: Vec<_> = (1..FOLLOWERS_MAX).map(|_| tail.follow(Wanted::default())).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(tail.follow(Wanted::default()).is_none(), "there are too many");
        drop(slow);
        assert!(tail.follow(Wanted::default()).is_some());
        drop(others);
        assert!(!tail.is_followed());
    }
}
