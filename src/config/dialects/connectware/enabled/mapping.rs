//! `Cybus::Mapping`: topics of a broker that become topics of another, or of the same one.

use super::endpoint::Way;
use super::read;
use super::resource::Reading;
use super::rules;
use super::topics::{self, Filter};
use crate::config::document::fields::Fields;
use crate::config::document::{Node, Value};
use crate::config::{Qos, Step};
use crate::topic::TopicTemplate;

/// A mapping as it is written: a list of these.
pub(super) struct Mapping {
    pub(super) from: Vec<Inlet>,
    pub(super) to: Outlet,
    pub(super) steps: Vec<Step>,
}

/// Where messages come from.
pub(super) struct Inlet {
    /// The number of the connection; the internal broker without one.
    pub(super) connection: Option<usize>,
    pub(super) filter: Filter,
    pub(super) qos: Qos,
    pub(super) label: Option<TopicTemplate>,
    /// The topic that its messages become.
    pub(super) topic: TopicTemplate,
}

/// Where they go.
pub(super) struct Outlet {
    pub(super) connection: Option<usize>,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    /// Where the topic is given.
    pub(super) at: usize,
}

/// What stands in `publish`.
enum Text {
    /// A topic that may use captures.
    Template(String),
    /// A topic as it is.
    Literal(String),
}

/// Reads the properties of a mapping; what could not be used is left out.
pub(super) fn read(reading: &mut Reading<'_, '_>, fields: &Fields<'_>) -> (Vec<Mapping>, bool) {
    let is_wanted =
        read::choice(fields, "targetState", ["enabled", "disabled"]) != Some("disabled");
    fields.node("agentName");
    let mut mappings = Vec::new();
    match read::node(fields, "mappings") {
        Some(Node { value: Value::List(nodes), .. }) if !nodes.is_empty() => {
            mappings.extend(nodes.iter().filter_map(|node| one(reading, node)));
        }
        Some(node) => {
            let what =
                "`mappings` is a list with one item at least, each with `subscribe` and `publish`";
            fields.file.add(node.at, what);
        }
        None if fields.has(&["mappings"]) => (),
        None => fields.file.add(fields.at, "a mapping needs `mappings`, a list"),
    }
    fields.end();
    (mappings, is_wanted)
}

fn one(reading: &mut Reading<'_, '_>, node: &Node) -> Option<Mapping> {
    let fields = Fields::new(reading.file, node, "a mapping");
    if !matches!(node.value, Value::Table(_)) {
        return None;
    }
    let sources = sources(reading, &fields);
    let names = |it: &Source| it.filter.captures().into_iter().map(|(name, _)| name);
    let captures = sources.as_ref().map(|all| all.iter().flat_map(names).collect());
    let steps = rules::steps(&fields, captures);
    let to = read::node(&fields, "publish");
    if !fields.has(&["publish"]) {
        fields.file.add(fields.at, "a mapping needs `publish`");
    }
    fields.end();
    let publish = Fields::new(fields.file, to?, "`publish`");
    let target = target(reading, &publish);
    publish.end();
    let (text, to) = target?;
    // What is wrong with the rules is said already; their variables are not known then.
    let steps = steps?;
    let variables = rules::variables(&steps);
    let from =
        sources?.into_iter().map(|source| source.with_topic(&fields, &text, &variables, to.at));
    let from: Vec<Option<Inlet>> = from.collect();
    let from: Vec<Inlet> = from.into_iter().collect::<Option<_>>()?;
    warn_of_labels(reading, node, &from, &steps);
    Some(Mapping { from, to, steps })
}

/// A constant label under a wildcard: each topic takes the place of the one before it.
fn warn_of_labels(reading: &mut Reading<'_, '_>, node: &Node, from: &[Inlet], steps: &[Step]) {
    let is_overwritten = |from: &Inlet| {
        let is_constant = from.label.as_ref().is_some_and(|it| it.literals().eq([it.as_str()]));
        is_constant && from.filter.filter.contains(['+', '#'])
    };
    if steps.contains(&Step::Collect) && from.iter().any(is_overwritten) {
        let what =
            "a label that is the same for all topics of a wildcard holds the last of them only";
        reading.warn(node.at, what);
    }
}

/// One item of `subscribe`.
struct Source {
    connection: Option<usize>,
    filter: Filter,
    qos: Qos,
    label: Option<(String, usize)>,
}

impl Source {
    fn with_topic(
        self,
        fields: &Fields<'_>,
        text: &Text,
        variables: &[String],
        at: usize,
    ) -> Option<Inlet> {
        let Source { connection, filter, qos, label } = self;
        let label = match &label {
            Some((text, at)) => Some(fields.file.keep(*at, filter.template(text, &[]))?),
            None => None,
        };
        let topic = match text {
            Text::Template(text) => filter.template(text, variables),
            Text::Literal(text) => filter.literal(text),
        };
        let topic = fields.file.keep(at, topic)?;
        Some(Inlet { connection, filter, qos, label, topic })
    }
}

/// `subscribe`, a map or a list of maps; nothing if one of them could not be used.
fn sources(reading: &mut Reading<'_, '_>, fields: &Fields<'_>) -> Option<Vec<Source>> {
    let Some(node) = read::node(fields, "subscribe") else {
        if !fields.has(&["subscribe"]) {
            fields.file.add(fields.at, "a mapping needs `subscribe`");
        }
        return None;
    };
    let nodes = match &node.value {
        Value::List(nodes) => nodes.as_slice(),
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        fields.file.add(node.at, "`subscribe` needs a topic at least");
    }
    let sources: Vec<_> = nodes.iter().map(|node| source(reading, node)).collect();
    sources.into_iter().collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}

fn source(reading: &Reading<'_, '_>, node: &Node) -> Option<Source> {
    let fields = Fields::new(reading.file, node, "`subscribe`");
    if !matches!(node.value, Value::Table(_)) {
        return None;
    }
    let connection = connection(reading, &fields);
    let qos = read::qos(&fields).unwrap_or(Qos::AtLeastOnce);
    let label = read::text(&fields, "label").map(|(text, at)| (text.to_owned(), at));
    let found = one_of(&fields);
    let endpoint = found.filter(|(key, _)| *key == "endpoint");
    let filter = match found {
        None => None,
        Some(("topic", _)) => read::text(&fields, "topic")
            .and_then(|(text, at)| fields.file.keep(at, Filter::read(text, true))),
        Some((_, node)) => reading.endpoint(node).and_then(|endpoint| {
            if endpoint.way == Way::Out {
                let what = "an endpoint that writes has no messages to subscribe to: name one with \
                            `subscribe`, or its topic";
                fields.file.add(node.at, what);
            }
            fields.file.keep(node.at, Filter::read(&endpoint.topic_inside(), false))
        }),
    };
    inside_only(&fields, endpoint.is_some());
    fields.end();
    Some(Source { connection: connection?, filter: filter?, qos, label })
}

/// The text of the topic, and where messages go.
fn target(reading: &Reading<'_, '_>, fields: &Fields<'_>) -> Option<(Text, Outlet)> {
    let connection = connection(reading, fields);
    let qos = read::qos(fields).unwrap_or(Qos::AtLeastOnce);
    let retain = read::truth(fields, "retain").unwrap_or(false);
    let (key, node) = one_of(fields)?;
    inside_only(fields, key == "endpoint");
    let text = match key {
        "topic" => {
            let (text, at) = read::text(fields, "topic")?;
            Text::Template(fields.file.keep(at, topics::topic(text))?)
        }
        _ => {
            let endpoint = reading.endpoint(node)?;
            if endpoint.way == Way::In {
                let what = "an endpoint that subscribes takes no commands: name one with `write`";
                fields.file.add(node.at, what);
                return None;
            }
            Text::Literal(endpoint.topic_inside())
        }
    };
    Some((text, Outlet { connection: connection?, qos, retain, at: node.at }))
}

/// The connection, or the internal broker; nothing if it could not be used.
fn connection(reading: &Reading<'_, '_>, fields: &Fields<'_>) -> Option<Option<usize>> {
    match read::node(fields, "connection") {
        Some(node) => reading.connection(node).map(Some),
        None => (!fields.has(&["connection"])).then_some(None),
    }
}

/// Endpoints are at the internal broker.
fn inside_only(fields: &Fields<'_>, is_endpoint: bool) {
    if is_endpoint && fields.has(&["connection"]) {
        let what = "the topics of an endpoint are at the internal broker: leave `connection` out";
        fields.file.add(fields.place("connection"), what);
    }
}

/// The one of `topic` and `endpoint` that is there.
fn one_of<'f>(fields: &Fields<'f>) -> Option<(&'static str, &'f Node)> {
    match (fields.node("topic"), fields.node("endpoint")) {
        (Some(_), None) => Some(("topic", read::node(fields, "topic")?)),
        (None, Some(_)) => Some(("endpoint", read::node(fields, "endpoint")?)),
        (Some(_), Some(second)) => {
            fields.file.add(second.at, "give `topic` or `endpoint`, not both");
            None
        }
        (None, None) => {
            fields.file.add(fields.at, format!("{} needs a `topic` or an `endpoint`", fields.what));
            None
        }
    }
}
