//! The kinds `publish` and `call` of a subscription: what a message becomes for a broker or a
//! webhook.

use crate::config::document::Node;
use crate::config::document::fields::{Fields, text};
use crate::config::repeats::repeats;
use crate::config::values::{self, put};
use crate::config::{CallRule, Format, JsonPath, PublishRule, Qos, Target};
use crate::topic::{Pattern, TopicTemplate, check_topic};

/// A route as it is written. Its topic or path depends on the filter of each rule.
pub(super) struct Route<'f> {
    fields: &'f Fields<'f>,
    /// The names of its sinks, and where they stand.
    pub(super) sinks: Vec<(String, usize)>,
    kind: Kind,
}

enum Kind {
    Publish { qos: Option<Qos>, retain: Option<bool> },
    Call { format: Format, order_by: Option<JsonPath> },
}

impl<'f> Route<'f> {
    /// Reads all but the topic.
    pub(super) fn publish(fields: &'f Fields<'f>) -> Self {
        let (mut qos, retain) = (None, fields.truth("retain"));
        fields.number("qos-out", &mut |text| put(&mut qos, values::qos(text)));
        Route { fields, sinks: sinks(fields, "broker"), kind: Kind::Publish { qos, retain } }
    }

    /// Reads all but the path.
    pub(super) fn call(fields: &'f Fields<'f>) -> Self {
        let (mut format, mut order_by) = (Format::Raw, None);
        fields.text("format", &mut |text| put(&mut format, values::format(text)));
        fields.text("order-by", &mut |text| put(&mut order_by, values::path(text)));
        Route { fields, sinks: sinks(fields, "webhook"), kind: Kind::Call { format, order_by } }
    }

    /// What becomes of a message that `pattern` matches, for each sink. Nothing if that cannot be
    /// read.
    pub(super) fn targets(&self, pattern: &Pattern) -> Vec<Target> {
        let made = match &self.kind {
            Kind::Publish { .. } => topic(self.fields, pattern),
            Kind::Call { .. } => path(self.fields, pattern),
        };
        let Some(made) = made else { return Vec::new() };
        let target = |(name, _): &(String, usize)| match &self.kind {
            Kind::Publish { qos, retain } => Target::Publish(Box::new(PublishRule {
                to: name.clone(),
                topic: made.clone(),
                qos: *qos,
                retain: *retain,
                shape: None,
            })),
            Kind::Call { format, order_by } => Target::Call(Box::new(CallRule {
                to: name.clone(),
                path: made.clone(),
                format: *format,
                order_by: order_by.clone(),
            })),
        };
        self.sinks.iter().map(target).collect()
    }
}

/// `to`, a name or a list of them.
fn sinks(fields: &Fields<'_>, kind: &str) -> Vec<(String, usize)> {
    let read = |node: &Node| {
        let name = fields.file.keep(node.at, text(&node.value).and_then(values::filled))?;
        Some((name, node.at))
    };
    let sinks: Vec<_> = fields.list("to").iter().filter_map(read).collect();
    let names: Vec<_> = sinks.iter().map(|(name, _)| name.clone()).collect();
    for (again, _) in repeats(&names) {
        let (name, at) = &sinks[again];
        fields.file.add(*at, format!("the {kind} `{name}` is there twice"));
    }
    if fields.list("to").is_empty() {
        let what = format!("{} needs `to`, the name of a {kind} or a list of them", fields.what);
        fields.file.add(fields.place("to"), what);
    }
    sinks
}

/// `target`, or `cut-prefix` and `add-prefix`; without any of them, the topic as it is.
fn topic(fields: &Fields<'_>, pattern: &Pattern) -> Option<TopicTemplate> {
    let (target, cut, add) =
        (fields.words("target"), fields.words("cut-prefix"), fields.words("add-prefix"));
    let by_prefix = fields.has(&["cut-prefix", "add-prefix"]);
    let key = match (fields.has(&["target"]), fields.has(&["cut-prefix"])) {
        (true, _) => "target",
        (false, true) => "cut-prefix",
        (false, false) => "add-prefix",
    };
    let at = fields.place(key);
    if by_prefix && key == "target" {
        fields.file.add(at, "give this or `cut-prefix` and `add-prefix`, not both");
        return None;
    }
    let made = match target {
        Some(text) => TopicTemplate::parse(&text, pattern),
        None if by_prefix => TopicTemplate::prefixed(
            cut.as_deref().unwrap_or_default(),
            add.as_deref().unwrap_or_default(),
            pattern,
        ),
        None if key == "target" => return None,
        None => Ok(TopicTemplate::same()),
    };
    fields.file.keep(at, made.and_then(|made| can_be_published(made, pattern)))
}

/// The template, if a topic can come of it.
fn can_be_published(made: TopicTemplate, pattern: &Pattern) -> Result<TopicTemplate, String> {
    if made.is_empty() {
        check_topic("")?;
    }
    made.literals().try_for_each(check_topic)?;
    match made.reach(&pattern.filter, &pattern.filter) {
        Some(_) => Ok(made),
        None => Err(format!("nothing is left of the topic `{}`", pattern.filter)),
    }
}

/// `path`, below the URL of the webhook.
fn path(fields: &Fields<'_>, pattern: &Pattern) -> Option<TopicTemplate> {
    let mut path = None;
    fields.text("path", &mut |text| {
        let made = TopicTemplate::parse(text, pattern)?;
        let legal = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !made.literals().all(|literal| literal.bytes().all(legal)) {
            return Err("a path has no spaces, no `#`, and other characters only as %XX".to_owned());
        }
        put(&mut path, Ok(made))
    });
    match fields.has(&["path"]) {
        true => path,
        false => TopicTemplate::parse("", pattern).ok(),
    }
}
