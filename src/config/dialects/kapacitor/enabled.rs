//! Kapacitor's words.
//!
//! As in Kapacitor, what a variable of the environment says wins over the file, and a key or table
//! that means nothing here is no fault, since a file that works there has to work here. It is named
//! in a warning, so that a misspelt one is found.

mod brokers;
mod own;
mod variables;

pub(crate) use own::own;

use crate::config::document::fields::{Fields, File};
use crate::config::document::{Entry, Node, Source, Value, toml};
use crate::config::values::{self, put};
use crate::config::whole::Part;
use crate::config::{Http, Kapacitor, Place, Precision, Surroundings, Udp, suggest};
use crate::system::plain::plain;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// The database file in the folder `data_dir`.
const DATABASE: &str = "ilagent.db3";

/// The port of a `[[udp]]` that names none.
const UDP_PORT: u16 = 9100;

/// The file to read if none was named, as Kapacitor has it.
#[must_use]
pub fn whereabouts(around: &Surroundings<'_>) -> String {
    if let Some(path) = around.variable("KAPACITOR_CONFIG_PATH") {
        return path;
    }
    let own = around.variable("HOME").map(|home| format!("{home}/.kapacitor/kapacitor.conf"));
    let is_there = |path: &String| matches!((around.read)(Path::new(path)), Ok(Some(_)) | Err(_));
    own.filter(is_there).unwrap_or_else(|| "/etc/kapacitor/kapacitor.conf".to_owned())
}

/// What a `kapacitor.conf` says of the model, with every fault in it. `name` is its name in faults.
#[must_use]
pub fn part(name: &str, text: &str, around: &Surroundings<'_>) -> Part {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source { name, text };
    let mut part = Part::default();
    match toml::parse(text) {
        Ok(mut tree) => {
            lower(&mut tree);
            variables::apply(&mut tree, around, &mut part.faults);
            let file = File::new(source, None, around);
            let faults = std::mem::take(&mut part.faults);
            part = whole(&file, &tree);
            part.faults = faults;
            part.faults.0.extend(file.faults().0);
            part.warnings.extend(file.warnings());
        }
        Err(errors) => {
            errors.into_iter().for_each(|(at, what)| part.faults.add(source.place(at), what));
        }
    }
    part
}

/// Keys are the same in whatever case they are written.
fn lower(node: &mut Node) {
    match &mut node.value {
        Value::Table(entries) => entries.iter_mut().for_each(|entry| {
            entry.key = entry.key.to_ascii_lowercase();
            lower(&mut entry.node);
        }),
        Value::List(nodes) => nodes.iter_mut().for_each(lower),
        _ => (),
    }
}

/// Reads all tables.
fn whole(file: &File<'_>, tree: &Node) -> Part {
    let empty = Node { at: 0, value: Value::Table(Vec::new()) };
    let top = Fields::new(file, tree, "the file");
    let table = |key, what| Fields::new(file, top.node(key).unwrap_or(&empty), what);
    let mut warnings = Vec::new();
    let mut kapacitor = Kapacitor::default();
    top.text("hostname", &mut |text| put(&mut kapacitor.hostname, values::filled(text)));
    kapacitor.default_retention_policy = top.words("default-retention-policy").unwrap_or_default();
    let mut database = None;
    top.text("data-dir", &mut |text| {
        put(&mut database, values::filled(text).map(|folder| Path::new(&folder).join(DATABASE)))
    });
    let listener = table("http", "[http]");
    let http = http(&listener);
    unused(
        &listener,
        &[
            "log-enabled",
            "write-tracing",
            "pprof-enabled",
            "https-certificate",
            "https-private-key",
            "shutdown-timeout",
            "shared-secret",
            "bind-socket",
            "unix-socket-enabled",
        ],
        &mut warnings,
    );
    let loading = table("load", "[load]");
    kapacitor.load = load(&loading);
    unused(&loading, &[], &mut warnings);
    let alert = table("alert", "[alert]");
    own::alerts(&alert, &mut kapacitor);
    unused(&alert, &["persist-topics", "topic-buffer-length"], &mut warnings);
    let logging = table("logging", "[logging]");
    unused(&logging, &["file", "level"], &mut warnings);
    let (brokers, default) = brokers::read(&top, &mut warnings);
    kapacitor.default_broker = default;
    let listeners = top.tables("udp", "[[udp]]");
    kapacitor.udp = listeners.iter().filter_map(udp).collect();
    top.node("skip-config-overrides");
    let others: Vec<_> = top.others().iter().map(|entry| shown(entry)).collect();
    if !others.is_empty() {
        let name = match file.place(0) {
            Place::File { file, .. } | Place::Name(file) => file,
        };
        warnings.push(format!("config: not used here of {}: {}", plain(&name), others.join(", ")));
    }
    Part {
        brokers,
        http: vec![http],
        kapacitor: Some(kapacitor),
        database,
        warnings,
        ..Part::default()
    }
}

/// A table or key as it is written in a file.
fn shown(entry: &Entry) -> String {
    let key = plain(&entry.key);
    match &entry.node.value {
        Value::Table(_) => format!("[{key}]"),
        Value::List(nodes) if nodes.iter().all(|it| matches!(it.value, Value::Table(_))) => {
            format!("[[{key}]]")
        }
        _ => format!("`{key}`"),
    }
}

/// Warns of keys that mean nothing at all; `idle` are keys that mean something to Kapacitor alone.
fn unused(fields: &Fields<'_>, idle: &[&'static str], warnings: &mut Vec<String>) {
    idle.iter().for_each(|key| {
        fields.node(key);
    });
    for entry in fields.others() {
        let hint = match suggest::nearest(&entry.key, fields.known()) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => String::new(),
        };
        let place = fields.file.place(entry.at);
        let key = plain(&entry.key);
        warnings.push(format!("config: {place}: there is no key `{key}` in {}{hint}", fields.what));
    }
}

/// `[http]`: Kapacitor's keys, and ours for a user and the bounds.
fn http(fields: &Fields<'_>) -> Http {
    let mut http = Http::for_kapacitor();
    fields.text("bind-address", &mut |text| {
        (http.bind, http.port) = address(text, http.port)?;
        Ok(())
    });
    if fields.truth("https-enabled") == Some(true) {
        let what = "this listener speaks plain HTTP; for TLS put a proxy in front of it and bind \
                    127.0.0.1";
        fields.file.add(fields.place("https-enabled"), what);
    }
    own::bounds(fields, &mut http);
    http.users = own::users(fields);
    match fields.truth("auth-enabled") {
        Some(true) if http.users.is_empty() && !fields.has(&["username"]) => {
            let what = "users of a Kapacitor are in its database; name one here with `username` \
                        and `password` (or `password-file`)";
            fields.file.add(fields.place("auth-enabled"), what);
        }
        Some(false) => http.users.clear(),
        _ => (),
    }
    http
}

/// `host:port` to listen on, as Go has it: without a host, all addresses.
fn address(text: &str, port: u16) -> Result<(IpAddr, u16), String> {
    let (host, given) = match text.rsplit_once(':') {
        Some((host, given)) if !host.contains(':') || host.ends_with(']') => (host, Some(given)),
        _ => (text, None),
    };
    let bind = match host {
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => values::ip(host)?,
    };
    let port = given.map_or(Ok(port), |port| values::port(port, values::LISTENING_PORTS))?;
    Ok((bind, port))
}

/// `[load]`: the folder, if it is enabled.
fn load(fields: &Fields<'_>) -> Option<PathBuf> {
    let is_enabled = fields.truth("enabled").unwrap_or(false);
    let dir = fields.words("dir").unwrap_or_default();
    if is_enabled && !dir.starts_with('/') {
        fields.file.add(fields.place("dir"), "the `dir` of [load] is an absolute path");
    }
    is_enabled.then(|| PathBuf::from(dir))
}

/// One `[[udp]]`, if it is enabled.
fn udp(fields: &Fields<'_>) -> Option<Udp> {
    let is_enabled = fields.truth("enabled").unwrap_or(false);
    let mut to = (IpAddr::V4(Ipv4Addr::LOCALHOST), UDP_PORT);
    fields.text("bind-address", &mut |text| put(&mut to, address(text, UDP_PORT)));
    let database = fields.words("database").unwrap_or_default();
    let retention_policy = fields.words("retention-policy").unwrap_or_default();
    let mut precision = Precision::default();
    fields.text("precision", &mut |text| put(&mut precision, Precision::of(text)));
    if is_enabled && database.is_empty() {
        fields.file.add(fields.at, "[[udp]] needs a `database` for its points");
    }
    is_enabled.then_some(Udp { bind: to.0, port: to.1, database, retention_policy, precision })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_in_go() {
        for (text, wanted) in [
            (":9092", Some("0.0.0.0:9092")),
            ("localhost:9092", Some("127.0.0.1:9092")),
            ("192.168.1.1:80", Some("192.168.1.1:80")),
            ("[::1]:80", Some("[::1]:80")),
            ("127.0.0.1", Some("127.0.0.1:7")),
            ("router:80", None),
            (":http", None),
            (":99999", None),
        ] {
            let found = address(text, 7).ok().map(|(ip, port)| std::net::SocketAddr::new(ip, port));
            assert_eq!(found.map(|it| it.to_string()).as_deref(), wanted, "{text}");
        }
    }
}
