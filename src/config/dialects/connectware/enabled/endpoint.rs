//! `Cybus::Endpoint`: one topic of a broker outside, and one of the internal broker.

use super::read;
use super::resource::Reading;
use super::rules;
use super::topics::{self, Filter};
use crate::config::document::Node;
use crate::config::document::fields::Fields;
use crate::config::{Qos, Step};

/// Which way messages go.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// From outside to the internal broker.
    In,
    /// From the internal broker to outside.
    Out,
}

/// An endpoint as it is written.
pub(super) struct Endpoint {
    pub(super) way: Way,
    /// The number of its connection.
    pub(super) connection: usize,
    /// What is subscribed to outside; of one that writes, nothing.
    pub(super) filter: Option<Filter>,
    /// The topic outside of one that writes.
    pub(super) topic: String,
    /// Its topic at the internal broker; that of commands ends in `/set`.
    pub(super) internal: String,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) steps: Vec<Step>,
    pub(super) is_wanted: bool,
    /// Where it says what it subscribes or writes to.
    pub(super) at: usize,
}

impl Endpoint {
    /// Where messages of it are, at the internal broker.
    pub(super) fn topic_inside(&self) -> String {
        match self.way {
            Way::In => self.internal.clone(),
            Way::Out => format!("{}/set", self.internal),
        }
    }

    /// The QoS at the internal broker: there, nothing is to be lost.
    pub(super) fn qos_inside(&self) -> Qos {
        self.qos.max(Qos::AtLeastOnce)
    }
}

/// Reads the properties of an endpoint; nothing if it could not be used.
pub(super) fn read(
    reading: &mut Reading<'_, '_>,
    name: &str,
    root: &str,
    fields: &Fields<'_>,
) -> Option<Endpoint> {
    let is_wanted =
        read::choice(fields, "targetState", ["enabled", "disabled"]) != Some("disabled");
    fields.node("agentName");
    let connection = connection(reading, fields);
    let topic = read::text(fields, "topic");
    let topic = topic.and_then(|(text, at)| fields.file.keep(at, below(text)));
    let internal = format!("{root}/{}", topic.as_deref().unwrap_or(name));
    let (qos, retain) = (read::qos(fields), read::truth(fields, "retain"));
    let steps = rules::steps(fields, Some(Vec::new()));
    if fields.has(&["read"]) {
        fields
            .file
            .add(read::key_at(fields, "read"), "MQTT has no read: use `subscribe` or `write`");
    }
    let (way, key, node) = way(fields)?;
    let inner =
        Fields::new(fields.file, node, if way == Way::In { "`subscribe`" } else { "`write`" });
    let qos = read::qos(&inner).or(qos).unwrap_or(Qos::AtLeastOnce);
    let retain = match way {
        Way::In => retain,
        Way::Out => read::truth(&inner, "retain").or(retain),
    };
    let found = read::text(&inner, "topic");
    if !inner.has(&["topic"]) {
        inner.file.add(inner.at, format!("`{key}` needs a `topic`"));
    }
    inner.end();
    let (text, at) = found?;
    let (filter, topic) = match way {
        Way::In => (Some(inner.file.keep(at, Filter::read(text, false))?), String::new()),
        Way::Out => (None, inner.file.keep(at, topics::topic(text))?),
    };
    let (steps, connection) = (steps?, connection?);
    let retain = retain.unwrap_or(false);
    Some(Endpoint { way, connection, filter, topic, internal, qos, retain, steps, is_wanted, at })
}

fn connection(reading: &Reading<'_, '_>, fields: &Fields<'_>) -> Option<usize> {
    if !fields.has(&["connection"]) {
        fields.file.add(fields.at, "an endpoint needs a `connection: !ref …`");
    }
    reading.connection(read::node(fields, "connection")?)
}

/// The one of `subscribe` and `write` that is there.
fn way<'f>(fields: &Fields<'f>) -> Option<(Way, &'static str, &'f Node)> {
    let (read, write) = (fields.node("subscribe"), fields.node("write"));
    match (read, write) {
        (Some(_), None) => Some((Way::In, "subscribe", read::node(fields, "subscribe")?)),
        (None, Some(_)) => Some((Way::Out, "write", read::node(fields, "write")?)),
        (Some(_), Some(_)) => {
            let what = "an endpoint has `subscribe` or `write`, not both: make two of it";
            fields.file.add(read::key_at(fields, "write"), what);
            None
        }
        (None, None) => {
            if !fields.has(&["read"]) {
                fields.file.add(fields.at, "an endpoint needs `subscribe` or `write`");
            }
            None
        }
    }
}

/// The topic of an endpoint below that of its service.
fn below(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Err(
            "at character 1: this is put behind that of the service, so it begins with no \
                    slash"
                .to_owned(),
        );
    }
    topics::topic(text)
}
