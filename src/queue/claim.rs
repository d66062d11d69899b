//! What passes between the board and the sinks.

use crate::message::{Delivery, Receipt, SinkName};
use crate::queue::entry::Doubt;
use crate::queue::push::Storing;
use crate::retry::Backoff;
use std::time::Instant;

/// What a sink tells the queue about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its name, as in the lanes of its deliveries.
    pub sink: SinkName,
    /// How many of its deliveries may be under way at a time.
    pub in_flight_max: usize,
    /// How long a delivery waits after failures of its own.
    pub backoff: Backoff,
    /// After this many failures of its own a delivery is given up; `None` for never.
    pub attempts_max: Option<u32>,
    /// Whether it hands over what a lane has in order, one behind the other, as a session that
    /// publishes does: then all of a lane keep their order, as if they shared an order key.
    pub in_order: bool,
    /// Whether its outcomes follow a policy of their own. A delivery that was refused waits for
    /// exactly as long as its outcome says, and alone: those behind it go on. And however many are
    /// refused, their lane stays open.
    pub by_policy: bool,
}

/// A delivery in the hands of a sink. It must be given back with [`Claims::settle`](super::Claims::settle).
#[derive(Debug)]
pub struct Claim {
    /// Its number in the queue, as `ilagent queue list` shows it.
    pub id: u64,
    /// What is to be handed over.
    pub delivery: Delivery,
    /// Which attempt this is, counted from 1, over restarts.
    pub attempt: u32,
    pub(super) lane: u32,
    pub(super) stored: bool,
    pub(super) storing: Storing,
    pub(super) doubt: Option<Box<Doubt>>,
    pub(super) receipt: Option<Receipt>,
    pub(super) since: Instant,
    pub(super) probes: Probes,
    /// It goes together with another one, and is not counted among those under way.
    pub(super) beside: bool,
}

/// What there is to do for a sink.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub enum Next {
    /// This.
    Claim(Claim),
    /// Nothing now; look again at this moment, or when something happens.
    Nothing(Option<Instant>),
    /// Nothing more will come: the agent ends.
    Over,
}

/// The closed gates that this claim probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Probes {
    pub(super) lane: bool,
    pub(super) sink: bool,
}
