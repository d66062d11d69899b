//! What a template sees. There is more of it the later it is rendered: an id is made from names and
//! tags, a message from those and the id, details from all that and the message.

use super::clock::{self, Moment};
use super::value::Value;
use crate::alerts::event::{Event, Level};
use crate::alerts::json::{self, NotFinite, push};
use crate::alerts::point::{Fields, Tags};
use crate::alerts::zone::Zone;

/// Where an alert comes from: `.ServerInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// `.Hostname`
    pub hostname: String,
    /// `.ClusterID`
    pub cluster_id: String,
    /// `.ServerID`
    pub server_id: String,
}

/// What a template sees.
#[derive(Clone, Debug)]
pub struct Data<'a> {
    /// The measurement.
    name: &'a str,
    task: &'a str,
    group: &'a str,
    tags: &'a Tags,
    server: Option<&'a Server>,
    alert: Option<Alert<'a>>,
    message: Option<&'a str>,
    details: Option<&'a str>,
    gathered: Option<Gathered>,
    zone: Option<&'a Zone>,
}

/// What is known once an alert has an id.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// Its id.
    pub id: &'a str,
    /// The fields of the point behind it.
    pub fields: &'a Fields,
    /// How bad it is.
    pub level: Level,
    /// When, in nanoseconds since 1970.
    pub time: i64,
    /// For how long, in nanoseconds.
    pub duration: i64,
}

/// What several events became one of.
#[derive(Clone, Copy, Debug)]
struct Gathered {
    count: usize,
    interval: i64,
}

impl<'a> Data<'a> {
    /// What an id is made of. A group that is the only one is called `nil`.
    #[must_use]
    pub fn of_id(
        name: &'a str,
        task: &'a str,
        group: &'a str,
        tags: &'a Tags,
        server: &'a Server,
    ) -> Self {
        let group = if group.is_empty() { "nil" } else { group };
        let (alert, message, details, gathered, zone) = (None, None, None, None, None);
        let server = Some(server);
        Data { name, task, group, tags, server, alert, message, details, gathered, zone }
    }

    /// What a message is made of.
    #[must_use]
    pub fn with_alert(self, alert: Alert<'a>) -> Self {
        Data { alert: Some(alert), ..self }
    }

    /// What details are made of.
    #[must_use]
    pub fn with_message(self, message: &'a str) -> Self {
        Data { message: Some(message), ..self }
    }

    /// What a handler's templates see of an event, such as the topic of a publication.
    #[must_use]
    pub fn of_event(event: &'a Event) -> Self {
        let alert = Alert {
            id: &event.id,
            fields: &event.fields,
            level: event.level,
            time: event.time,
            duration: event.duration,
        };
        Data {
            name: &event.name,
            task: &event.task,
            group: &event.group,
            tags: &event.tags,
            server: None,
            alert: Some(alert),
            message: Some(&event.message),
            details: Some(&event.details),
            gathered: None,
            zone: None,
        }
    }

    /// The same, for an event made of this many others within this many nanoseconds.
    #[must_use]
    pub fn gathered(self, count: usize, interval: i64) -> Self {
        Data { gathered: Some(Gathered { count, interval }), ..self }
    }

    /// In how much time they came, in words.
    pub(in crate::alerts) fn interval_text(&self) -> String {
        clock::duration_text(self.gathered.map_or(0, |gathered| gathered.interval))
    }

    /// Where `.Time.Local` is this zone's time, not UTC.
    #[must_use]
    pub fn local(self, zone: Option<&'a Zone>) -> Self {
        Data { zone, ..self }
    }

    /// The names of all that is there.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.members().into_iter().map(|(name, _)| name).collect()
    }

    /// One of it.
    pub(super) fn member(&self, name: &str) -> Option<Value<'a>> {
        Some(match name {
            "Name" => Value::text(self.name),
            "TaskName" => Value::text(self.task),
            "Group" => Value::text(self.group),
            "Tags" => Value::Tags(self.tags),
            "ServerInfo" => Value::Server(self.server?),
            "ID" => Value::text(self.alert?.id),
            "Fields" => Value::Fields(self.alert?.fields),
            "Level" => Value::text(self.alert?.level.name()),
            "Time" => Value::Time(Moment::utc(self.alert?.time, self.zone)),
            "Duration" => Value::duration(self.alert?.duration),
            "Message" => Value::text(self.message?),
            "Details" => Value::text(self.details?),
            "Count" => Value::count(self.gathered?.count),
            "Interval" => Value::duration(self.gathered?.interval),
            _ => return None,
        })
    }

    /// All of it, in Kapacitor's order.
    pub(super) fn members(&self) -> Vec<(&'static str, Value<'a>)> {
        const NAMES: [&str; 14] = [
            "Name",
            "TaskName",
            "Group",
            "Tags",
            "ServerInfo",
            "ID",
            "Fields",
            "Level",
            "Time",
            "Duration",
            "Message",
            "Details",
            "Count",
            "Interval",
        ];
        NAMES.into_iter().filter_map(|name| Some((name, self.member(name)?))).collect()
    }
}

impl Server {
    pub(super) fn member(&self, name: &str) -> Option<Value<'_>> {
        self.members().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(super) fn members(&self) -> [(&'static str, Value<'_>); 3] {
        [
            ("Hostname", Value::text(&self.hostname)),
            ("ClusterID", Value::text(&self.cluster_id)),
            ("ServerID", Value::text(&self.server_id)),
        ]
    }
}

/// Writes a value as JSON.
///
/// # Errors
///
/// Fails if there is a number in it that JSON has no word for.
pub(super) fn write_json(out: &mut String, value: &Value<'_>) -> Result<(), NotFinite> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(value) => push(out, format_args!("{value}")),
        Value::Int(value, _) => push(out, format_args!("{value}")),
        Value::Float(value) => json::float(out, *value)?,
        Value::Text(text) => json::text(out, text),
        Value::Time(moment) => {
            json::text(out, &moment.format("2006-01-02T15:04:05.999999999Z07:00"));
        }
        Value::Tags(_) | Value::Fields(_) => object(out, value.pairs().unwrap_or_default())?,
        Value::Server(server) => object(out, server.members())?,
        Value::Data(data) => object(out, data.members())?,
    }
    Ok(())
}

fn object<'a>(
    out: &mut String,
    members: impl IntoIterator<Item = (&'a str, Value<'a>)>,
) -> Result<(), NotFinite> {
    out.push('{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::text(out, name);
        out.push(':');
        write_json(out, &value)?;
    }
    out.push('}');
    Ok(())
}
