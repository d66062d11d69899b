//! Handlers: where alerts go.
//!
//! A handler is written in a script or read from a definition. It says which events it wants, and
//! what is to be done about each as an [`Action`]; whoever runs the engine does it.

mod act;
mod gather;
mod matching;
mod read;

pub use act::Action;
pub use gather::Gathering;

use super::lambda::Lambda;
use super::template::Template;
use crate::config::Secret;
use crate::message::Qos;

/// A handler of a topic, or of an alert in a script.
#[derive(Clone, Debug)]
pub struct HandlerSpec {
    /// Its name, unique in its topic.
    pub id: String,
    /// The topic it listens to; empty for handlers in scripts.
    pub topic: String,
    /// What it does.
    pub kind: HandlerKind,
    /// Which events it wants; all of them without it.
    pub matches: Option<Lambda>,
}

/// What a handler does with an event.
#[derive(Clone, Debug)]
pub enum HandlerKind {
    /// Publishes the message.
    Mqtt {
        /// The name of the broker; the default one without it.
        broker: Option<String>,
        /// Where it is published.
        topic: Template,
        /// How safely.
        qos: Qos,
        /// Whether the broker keeps it.
        retained: bool,
    },
    /// Appends the event as a line to a file.
    Log {
        /// The file.
        path: String,
        /// Who may read it.
        mode: u32,
    },
    /// Runs a program with the event as its input.
    Exec {
        /// The program.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// Sends the event through a connection of its own.
    Tcp {
        /// `host:port`
        address: String,
    },
    /// Posts the event.
    Post {
        /// Where to.
        url: String,
        /// What goes with it.
        headers: Vec<(String, String)>,
        /// How long it may take, in nanoseconds.
        timeout: Option<i64>,
    },
    /// Passes the event on to other topics.
    Publish {
        /// Their names.
        topics: Vec<String>,
    },
    /// Makes one event of all those of an interval.
    Aggregate {
        /// The id of that event.
        id: String,
        /// How long it gathers, in nanoseconds.
        interval: i64,
        /// The topic it goes to.
        topic: String,
        /// What it says; how many there were, if the handler does not say.
        message: Option<Template>,
    },
    /// Raises an alert at ilert, and resolves it when all is well again.
    Ilert {
        /// The key of the alert source.
        integration_key: Secret,
    },
}

impl HandlerKind {
    /// All words for kinds.
    pub const NAMES: [&str; 8] =
        ["mqtt", "log", "exec", "tcp", "post", "publish", "aggregate", "ilert"];

    /// The word for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            HandlerKind::Mqtt { .. } => "mqtt",
            HandlerKind::Log { .. } => "log",
            HandlerKind::Exec { .. } => "exec",
            HandlerKind::Tcp { .. } => "tcp",
            HandlerKind::Post { .. } => "post",
            HandlerKind::Publish { .. } => "publish",
            HandlerKind::Aggregate { .. } => "aggregate",
            HandlerKind::Ilert { .. } => "ilert",
        }
    }
}
