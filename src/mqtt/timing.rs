//! How patient a session is, and how much it takes in hand.

use crate::retry::Backoff;
use std::time::Duration;

/// How many messages may be in our hands, not safe or not acknowledged; then reading stops.
pub const IN_HAND_MAX: usize = 4_096;

/// How patient a session is.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For look-up, TCP, TLS and CONNACK together.
    pub connect: Duration,
    /// A broker that reads nothing for this long is given up.
    pub stall: Duration,
    /// Between two looks at the TLS files.
    pub files: Duration,
    /// Between two attempts to connect.
    pub reconnect: Backoff,
    /// A connection that lasted this long resets the back-off.
    pub good: Duration,
    /// Between two attempts to subscribe to what was refused.
    pub subscribe: Backoff,
    /// Before a subscription that makes the broker close the connection is tried again.
    pub left_out: Duration,
    /// Before news about retained messages is written down.
    pub remember: Duration,
    /// While somebody asks for our state: the silence after which the broker is pinged.
    pub watch: Duration,
    /// Before a ping without an answer is reported.
    pub worry: Duration,
    /// At the stop, for receipts that are not signed yet.
    pub farewell: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Timing {
            connect: secs(10),
            stall: secs(10),
            files: secs(30),
            reconnect: Backoff { first: Duration::from_millis(100), longest: secs(30) },
            good: secs(30),
            subscribe: Backoff { first: secs(15), longest: secs(30) },
            left_out: secs(300),
            remember: secs(2),
            watch: secs(15),
            worry: secs(10),
            farewell: Duration::from_millis(1_500),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSIONS: usize = 2_000;
    const OUTAGE: usize = 3_600;

    /// Connections of a second to a broker that all sessions lose at once, in multiples of their
    /// number: at the beginning, and at the end of an hour. When it is back each connects once.
    #[test]
    fn sessions_of_a_fleet_do_not_come_back_all_at_once() {
        let Timing { reconnect, .. } = Timing::default();
        let mut dice = fastrand::Rng::with_seed(7);
        let mut attempts = vec![0_u32; OUTAGE + 60];
        for _ in 0..SESSIONS {
            let (mut at, mut failures) = (Duration::ZERO, 0);
            while at < Duration::from_secs(OUTAGE as u64) {
                failures += 1;
                at += reconnect.wait_after(failures, dice.f64());
                let second = usize::try_from(at.as_secs()).unwrap();
                attempts[second] += 1;
            }
        }
        let peak = |seconds: std::ops::Range<usize>| {
            let most = attempts[seconds].iter().copied().max().unwrap();
            f64::from(most) / f64::from(u32::try_from(SESSIONS).unwrap())
        };
        let (begin, later, back) = (peak(0..60), peak(1_800..OUTAGE), peak(OUTAGE..OUTAGE + 60));
        assert!((3.0..4.5).contains(&begin), "{begin}: three or four attempts in the first second");
        assert!(later < 0.07, "{later}: one in 22 s");
        assert!(back < 0.07, "{back}: they come back within half a minute");
    }
}
