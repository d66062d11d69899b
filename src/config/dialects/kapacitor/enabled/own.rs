//! `[kapacitor]` in our own file, and the keys that Kapacitor has no words for.

use crate::config::document::fields::Fields;
use crate::config::document::{Node, Value};
use crate::config::values::{self, put};
use crate::config::{Http, Kapacitor, Precision, Secret, Udp};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// What `[kapacitor]` says.
pub(crate) struct Own {
    pub(crate) kapacitor: Kapacitor,
    pub(crate) http: Http,
}

/// Reads the table. `brokers` are those of the same file.
pub(crate) fn own(fields: &Fields<'_>, brokers: &[Node], hold: Duration) -> Own {
    let mut kapacitor = Kapacitor { hold, ..Kapacitor::default() };
    let mut http = Http::for_kapacitor();
    fields.text("hostname", &mut |text| put(&mut kapacitor.hostname, values::filled(text)));
    kapacitor.default_retention_policy =
        fields.words("default-retention-policy").unwrap_or_default();
    alerts(fields, &mut kapacitor);
    fields.text("load", &mut |text| {
        put(&mut kapacitor.load, values::filled(text).map(PathBuf::from))
    });
    fields.number("port", &mut |text| {
        put(&mut http.port, values::port(text, values::LISTENING_PORTS))
    });
    fields.text("bind", &mut |text| put(&mut http.bind, values::ip(text)));
    bounds(fields, &mut http);
    http.users = users(fields);
    let listeners = fields.tables("udp", "[[kapacitor.udp]]");
    kapacitor.udp = listeners.iter().map(udp).collect();
    kapacitor.default_broker = default_of(fields, brokers);
    fields.end();
    Own { kapacitor, http }
}

/// The broker with the mark, or the only one.
fn default_of(fields: &Fields<'_>, brokers: &[Node]) -> Option<String> {
    let find = |node: &Node, wanted: &str| match &node.value {
        Value::Table(entries) => {
            entries.iter().find(|entry| entry.key == wanted).map(|entry| entry.node.clone())
        }
        _ => None,
    };
    let is_default =
        |node: &&Node| find(node, "default").is_some_and(|mark| mark.value == Value::Truth(true));
    let marked: Vec<&Node> = brokers.iter().filter(is_default).collect();
    if let [_, second, ..] = marked.as_slice() {
        fields.file.add(second.at, "another broker is the default already");
    }
    let only = brokers.first().filter(|_| brokers.len() == 1);
    let name = find(marked.first().copied().or(only)?, "name")?;
    if let Value::Text(name) = name.value { Some(name) } else { None }
}

/// What is said of alerts.
pub(super) fn alerts(fields: &Fields<'_>, kapacitor: &mut Kapacitor) {
    kapacitor.missing_fields_recover = fields.truth("missing-fields-recover").unwrap_or(false);
    fields
        .number("hold", &mut |text| put(&mut kapacitor.hold, values::moment(text, values::HOLDS)));
}

/// The bounds of the listener.
pub(super) fn bounds(fields: &Fields<'_>, http: &mut Http) {
    fields.number("body-limit", &mut |text| {
        put(&mut http.body_bytes_max, values::size_usize(text, values::BODY_BYTES))
    });
    fields.number("connections", &mut |text| {
        put(&mut http.connections_max, values::count_usize(text, values::CONNECTIONS))
    });
}

/// Who may use the listener.
pub(super) fn users(fields: &Fields<'_>) -> Vec<(String, Secret)> {
    let mut user = None;
    fields.text("username", &mut |text| put(&mut user, values::user(text)));
    let password = fields.secret("password", "password-file");
    match (fields.has(&["username"]), fields.has(&["password", "password-file"])) {
        (true, false) => {
            let what = "this needs a `password` or `password-file`";
            fields.file.add(fields.place("username"), what);
        }
        (false, true) => {
            let key = if fields.has(&["password"]) { "password" } else { "password-file" };
            fields.file.add(fields.place(key), "a password has no effect without a `username`");
        }
        _ => (),
    }
    user.zip(password).into_iter().collect()
}

/// One `[[kapacitor.udp]]`.
fn udp(fields: &Fields<'_>) -> Udp {
    let mut udp = Udp {
        bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: super::UDP_PORT,
        database: fields.words("database").unwrap_or_default(),
        retention_policy: fields.words("retention-policy").unwrap_or_default(),
        precision: Precision::default(),
    };
    fields.text("precision", &mut |text| put(&mut udp.precision, Precision::of(text)));
    fields.number("port", &mut |text| put(&mut udp.port, values::port(text, values::PORTS)));
    fields.text("bind", &mut |text| put(&mut udp.bind, values::ip(text)));
    if udp.database.is_empty() {
        fields.file.add(fields.at, "[[kapacitor.udp]] needs a `database` for its points");
    }
    fields.end();
    udp
}
