//! `[[connectware]]` in our own file: one service each.

use crate::config::dialects::connectware::{Given, INTERNAL, ReadBroker, Wanted, internal};
use crate::config::document::fields::Fields;
use crate::config::document::{Entry, Node, Value};
use crate::config::values;
use crate::config::whole::Placed;
use crate::config::{Address, Broker, suggest};
use crate::system::plain::plain;
use crate::topic;

/// Reads the tables. `brokers` are those of the same file.
/// `read` reads the table of one that is only used here.
pub(crate) fn own(
    tables: &[Fields<'_>],
    brokers: &[Placed<Broker>],
    read: ReadBroker<'_>,
) -> Vec<Wanted> {
    tables.iter().filter_map(|fields| one(fields, brokers, read)).collect()
}

fn one(fields: &Fields<'_>, brokers: &[Placed<Broker>], read: ReadBroker<'_>) -> Option<Wanted> {
    let mut status_topic = None;
    fields.text("status-topic", &mut |text| {
        status_topic = Some(text.to_owned());
        topic::check_topic(text)
    });
    let (mut file, mut id, mut values_file) = (None, None, None);
    let place = |key| fields.file.place(fields.place(key));
    fields.text("file", &mut |text| values::put(&mut file, values::filled(text)));
    fields.text("id", &mut |text| values::put(&mut id, values::filled(text)));
    fields.text("parameters-file", &mut |text| values::put(&mut values_file, values::filled(text)));
    if !fields.has(&["file"]) {
        fields
            .file
            .add(fields.at, "[[connectware]] needs a `file`, the service commissioning file");
    }
    let wanted = Wanted {
        file: file.unwrap_or_default(),
        place: place("file"),
        id: id.map(|id: String| (id, place("id"))),
        values: given(fields),
        values_file: values_file.map(|file: String| (file, place("parameters-file"))),
        values_are_shared: false,
        is_enabled: fields.truth("enabled").unwrap_or(true),
        status_topic,
        internal: broker(fields, brokers, read),
        internal_clean: fields.truth("internal-clean").unwrap_or(false),
        skip_unsupported: fields.truth("skip-unsupported").unwrap_or(false),
    };
    fields.end();
    (!wanted.file.is_empty()).then_some(wanted)
}

/// `parameters`, a table.
fn given(fields: &Fields<'_>) -> Vec<Given> {
    let given = |entry: &Entry| Given {
        name: entry.key.clone(),
        value: entry.node.value.clone(),
        is_bare: false,
        place: fields.file.place(entry.node.at),
    };
    match fields.node("parameters") {
        None => Vec::new(),
        Some(Node { value: Value::Table(entries), .. }) => {
            fields.file.holds_secret();
            entries.iter().map(given).collect()
        }
        Some(node) => {
            let what = format!("`parameters` is a table, not {}", node.value.kind());
            fields.file.add(node.at, what);
            Vec::new()
        }
    }
}

/// `broker`: the URL of the internal broker, or the name of a `[[mqtt]]`, whose address, user and
/// TLS it has, or a table with the same keys.
fn broker(fields: &Fields<'_>, brokers: &[Placed<Broker>], read: ReadBroker<'_>) -> Broker {
    if let Some(node @ Node { value: Value::Table(_), .. }) = fields.node("broker") {
        let inner = Fields::new(fields.file, node, "`broker`");
        let broker = read(&inner);
        inner.end();
        return broker;
    }
    let mut found = None;
    fields.text("broker", &mut |text| {
        if text.contains("://") {
            return values::put(&mut found, internal(text));
        }
        found = brokers.iter().find(|placed| placed.it.name == text).map(|placed| Broker {
            buffer: false,
            alerts: false,
            status: None,
            shared_group: None,
            ..placed.it.clone()
        });
        if found.is_some() {
            return Ok(());
        }
        let names = brokers.iter().map(|placed| placed.it.name.as_str());
        let hint = match suggest::nearest(text, names) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => String::new(),
        };
        Err(format!("there is no [[mqtt]] of the name `{}`{hint}", plain(text)))
    });
    found.or_else(|| internal(INTERNAL).ok()).unwrap_or_else(|| Broker::at(Address::default()))
}
