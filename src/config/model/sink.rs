//! Where deliveries go.

use super::{Broker, CallRule, Dapr, Secret, Tls, defaults};
use crate::retry::Backoff;
use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A place to hand deliveries to. Each is an instance: one that is stuck does not hold up another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sink<'a> {
    /// ilert's API.
    Ilert(&'a Ilert),
    /// A webhook.
    Webhook(&'a Webhook),
    /// A file that keeps a journal of what was sent.
    File(&'a FileSink),
    /// An MQTT broker that is published to.
    Mqtt(&'a Broker),
    /// The application of a Dapr sidecar.
    App(&'a Dapr),
}

impl Sink<'_> {
    /// ilert's name among the sinks; no other may have it.
    pub const ILERT: &'static str = "ilert";

    /// Its name in the queue, the log, `/ready` and `/status`; unique among sinks.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Sink::Ilert(_) => Self::ILERT.into(),
            Sink::Webhook(webhook) => webhook.sink_name().into(),
            Sink::File(file) => file.name.as_str().into(),
            Sink::Mqtt(broker) => broker.sink_name().into(),
            Sink::App(dapr) => dapr.sink_name().into(),
        }
    }
}

/// A journal of what was sent: a line of JSON for every delivery that reached its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    /// Its name among the sinks.
    pub name: String,
    /// The file that is written to.
    pub path: PathBuf,
    /// At this size it becomes `PATH.1` and a new file is begun.
    pub rotate_at: u64,
    /// How many older files are kept: `PATH.1` to `PATH.keep`.
    pub keep: u32,
}

impl FileSink {
    /// A journal in this file, with all defaults.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        FileSink {
            name: defaults::JOURNAL.to_owned(),
            path,
            rotate_at: defaults::ROTATE_AT,
            keep: defaults::OLDER_FILES,
        }
    }
}

/// ilert's API and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ilert {
    /// Scheme, host and port of the API, without a slash at the end.
    pub api: String,
    /// The same for heartbeat pings.
    pub beat: String,
    /// API key, for policy updates only.
    pub api_key: Option<Secret>,
    /// Heartbeat monitor that is pinged while the agent is healthy.
    pub heartbeat: Option<Secret>,
    /// Attempts before a delivery becomes a dead letter; `None` never gives up.
    pub attempts_max: Option<u32>,
    /// Most requests at a time.
    pub in_flight_max: usize,
    /// Longest time one request may take.
    pub timeout: Duration,
}

impl Ilert {
    /// ilert with all defaults but the hosts, which are still to be found.
    #[must_use]
    pub fn nowhere() -> Self {
        Ilert { api: String::new(), beat: String::new(), ..Ilert::default() }
    }
}

impl Default for Ilert {
    fn default() -> Self {
        Ilert {
            api: defaults::API.to_owned(),
            beat: defaults::BEAT.to_owned(),
            api_key: None,
            heartbeat: None,
            attempts_max: Some(defaults::ATTEMPTS_MAX),
            in_flight_max: defaults::IN_FLIGHT_MAX,
            timeout: defaults::TIMEOUT,
        }
    }
}

/// An HTTP server that is called with what a rule makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its name among the webhooks.
    pub name: String,
    /// Where it is; the path of a call is put behind it.
    pub url: String,
    /// The method of every call.
    pub method: String,
    /// Headers of every call, with their values.
    pub headers: Vec<(String, Secret)>,
    /// The bearer token, if it wants one.
    pub bearer: Option<Secret>,
    /// User and password, if it wants them.
    pub basic: Option<(String, Secret)>,
    /// The CAs to trust, and our certificate.
    pub tls: Tls,
    /// Longest time one call may take.
    pub timeout: Duration,
    /// Most calls at a time.
    pub in_flight_max: usize,
    /// Waits after failures.
    pub backoff: Backoff,
    /// Attempts before a call becomes a dead letter; `None` never gives up.
    pub attempts_max: Option<u32>,
    /// What statuses mean, where that is not the usual.
    pub statuses: Statuses,
}

impl Webhook {
    /// Its name among the sinks.
    #[must_use]
    pub fn sink_name(&self) -> String {
        CallRule::sink_name(&self.name)
    }

    /// Its URL up to the path; what follows is a secret with many services.
    #[must_use]
    pub fn host(&self) -> &str {
        let after = self.url.find("://").map_or(0, |at| at + 3);
        let length = self.url[after..].find(['/', '?']).unwrap_or(self.url.len() - after);
        &self.url[..after + length]
    }

    /// A webhook at a URL, with all defaults.
    #[must_use]
    pub fn at(url: String) -> Self {
        Webhook {
            name: String::new(),
            url,
            method: defaults::METHOD.to_owned(),
            headers: Vec::new(),
            bearer: None,
            basic: None,
            tls: Tls::default(),
            timeout: defaults::TIMEOUT,
            in_flight_max: defaults::IN_FLIGHT_MAX,
            backoff: defaults::BACKOFF,
            attempts_max: Some(defaults::ATTEMPTS_MAX),
            statuses: Statuses::default(),
        }
    }
}

/// Statuses of a webhook that mean something else than usual. A status in none of these lists
/// means what it usually does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// The call has been delivered.
    pub delivered: Vec<RangeInclusive<u16>>,
    /// It is made again later.
    pub later: Vec<RangeInclusive<u16>>,
    /// It is given up.
    pub never: Vec<RangeInclusive<u16>>,
}
