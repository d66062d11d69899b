//! `Cybus::Connection`: a broker outside.

use super::read;
use super::resource::Reading;
use crate::config::document::fields::Fields;
use crate::config::{Address, Broker, ClientCertificate, Pem, Scheme, Secret, Tls, Window, values};
use crate::system::tls;
use std::time::Duration;

/// Longest time that messages are kept back after a connection, in milliseconds.
const WINDOW_MILLIS: std::ops::RangeInclusive<u64> = 0..=30_000;

/// Most messages that are kept back after a connection.
const WINDOW_MESSAGES: std::ops::RangeInclusive<u64> = 0..=300_000;

/// What is kept back if only the other limit is given.
const WINDOW: Window = Window { time: Duration::from_millis(10_000), messages_max: 20_000 };

/// Keys that the original may have, but not for MQTT as far as anybody knows.
const UNKNOWN_KEYS: [&str; 5] =
    ["connectTimeout", "reconnectPeriod", "will", "protocolVersion", "connectionStrategy"];

/// A connection as it is written.
pub(super) struct Connection {
    /// Without rules.
    pub(super) broker: Broker,
    pub(super) is_wanted: bool,
    /// Where its client id is given.
    pub(super) id_at: usize,
}

/// Reads the properties of a connection; nothing if they cannot be found.
pub(super) fn read(
    reading: &mut Reading<'_, '_>,
    (id, at): (&str, usize),
    properties: &Fields<'_>,
) -> Option<Connection> {
    let is_wanted = read::choice(properties, "targetState", ["connected", "disconnected"])
        != Some("disconnected");
    properties.node("agentName");
    if let Some(node) = properties.node("inputBuffering") {
        let what = "inputBuffering is not supported: nothing is known of its keys";
        properties.file.add(node.at, what);
    }
    let Some(node) = read::node(properties, "connection") else {
        if !properties.has(&["connection"]) {
            properties
                .file
                .add(properties.at, "a connection needs `connection`, with `host` and `port`");
        }
        return None;
    };
    let fields = Fields::new(properties.file, node, "`connection`");
    let mut broker = Broker::at(address(reading, &fields));
    broker.name = id.to_owned();
    broker.client_id = id.to_owned();
    identity(reading, &fields, &mut broker);
    encryption(reading, &fields, &mut broker);
    window(&fields, &mut broker);
    let id_at = if fields.has(&["clientId"]) { fields.place("clientId") } else { at };
    for key in UNKNOWN_KEYS {
        if let Some(node) = fields.node(key) {
            let what = format!(
                "{key} is not known for MQTT; a connection that is lost is made again within 30 s"
            );
            fields.file.add(node.at, what);
        }
    }
    fields.end();
    Some(Connection { broker, is_wanted, id_at })
}

/// `url`, or `scheme`, `host` and `port`; without a host if that cannot be read.
fn address(reading: &mut Reading<'_, '_>, fields: &Fields<'_>) -> Address {
    let host = read::text(fields, "host").and_then(|(text, at)| host(fields, text, at));
    let port = read::whole(fields, "port", values::PORTS).and_then(|port| u16::try_from(port).ok());
    let scheme = read::text(fields, "scheme").and_then(|(text, at)| scheme(fields, text, at));
    let Some((url, at)) = read::text(fields, "url") else {
        if !fields.has(&["host", "url"]) {
            fields.file.add(fields.at, "a connection needs a `host`, or a `url`");
        }
        return Address { scheme, host: host.unwrap_or_default(), port, path: None };
    };
    let found = values::address(url).and_then(|address| match address.path {
        Some(_) => Err(NO_WEBSOCKET.to_owned()),
        None => Ok(address),
    });
    let Some(found) = fields.file.keep(at, found) else { return Address::default() };
    let differs = host.as_ref().is_some_and(|host| *host != found.host)
        || port.is_some() && found.port.is_some() && port != found.port
        || scheme.is_some() && scheme != Some(found.scheme.unwrap_or(Scheme::Plain));
    if differs {
        reading.warn(at, "`url` wins over `host`, `port` and `scheme`, which say something else");
    }
    found
}

const NO_WEBSOCKET: &str = "MQTT in a WebSocket (`ws`, `wss`) is not known to service files; write \
    a broker of your own into our configuration file for it";

fn host(fields: &Fields<'_>, text: &str, at: usize) -> Option<String> {
    let found = match values::address(text) {
        _ if text.contains("://") => {
            Err("host must be a name or an address without a scheme; the \
                                          scheme has a key of its own"
                .to_owned())
        }
        Ok(Address { host, port: None, .. }) => Ok(host),
        Ok(_) => {
            Err("host must be a name or an address alone; the port has a key of its own".to_owned())
        }
        Err(_) => Err("host must be a name or an address".to_owned()),
    };
    fields.file.keep(at, found)
}

fn scheme(fields: &Fields<'_>, text: &str, at: usize) -> Option<Scheme> {
    let found = match text {
        "mqtt" | "tcp" => Ok(Scheme::Plain),
        "mqtts" | "tls" => Ok(Scheme::Tls),
        "ws" | "wss" => Err(NO_WEBSOCKET.to_owned()),
        _ => Err("scheme must be mqtt, tcp, mqtts or tls".to_owned()),
    };
    fields.file.keep(at, found)
}

/// Who we are there, and what the broker keeps for us.
///
/// An empty user name or password is none: defaults of parameters are often empty.
fn identity(reading: &Reading<'_, '_>, fields: &Fields<'_>, broker: &mut Broker) {
    let file = fields.file;
    let filled = |key| read::text(fields, key).filter(|(text, _)| !text.is_empty());
    if let Some((text, at)) = filled("username") {
        broker.username = file.keep(at, values::mqtt_text(text));
    }
    if let Some((text, at)) = filled("password") {
        broker.password = file.keep(at, values::mqtt_text(text)).map(Secret::new);
        if reading.names.origin_at(at).is_none() {
            file.holds_secret();
        }
        if !fields.has(&["username"]) {
            file.add(read::key_at(fields, "password"), "a password needs a `username`");
        }
    }
    if let Some((text, at)) = read::text(fields, "clientId")
        && let Some(id) = file.keep(at, values::mqtt_text(text))
    {
        broker.client_id = id;
    }
    broker.clean = read::truth(fields, "clean").unwrap_or(true);
    if let Some(seconds) = read::whole(fields, "keepalive", 0..=65_535) {
        broker.keep_alive = Duration::from_secs(seconds);
    }
}

/// TLS: whom we trust, and how we show who we are.
fn encryption(reading: &mut Reading<'_, '_>, fields: &Fields<'_>, broker: &mut Broker) {
    let trusts_all = read::truth(fields, "trustAllCertificates").unwrap_or(false);
    let ca = pem(fields, "caCert");
    if let Some(ca) = &ca {
        fields.file.keep(fields.place("caCert"), tls::check_ca(ca));
    }
    let is_mutual = read::truth(fields, "mutualAuthentication").unwrap_or(false);
    let client = client(fields, is_mutual);
    if client.is_some() && !is_mutual {
        let what = "the client certificate is not sent, as `mutualAuthentication` is false";
        reading.warn(fields.place("clientCert"), what);
    }
    let keys = [
        "caCert",
        "clientCert",
        "clientPrivateKey",
        "trustAllCertificates",
        "mutualAuthentication",
    ];
    let Some(tls) = &mut broker.tls else {
        if let Some(key) = keys.into_iter().find(|key| fields.has(&[key])) {
            let what =
                "this has no effect without `scheme: mqtts`: the connection is not encrypted";
            reading.warn(fields.place(key), what);
        }
        return;
    };
    if trusts_all {
        let what = "whoever answers is trusted with the password and all messages, because \
                    certificates are not checked";
        reading.warn(fields.place("trustAllCertificates"), what);
    }
    *tls = Tls { ca, unverified: trusts_all, client: client.filter(|_| is_mutual) };
}

/// `clientCert` and `clientPrivateKey`, if both are there.
fn client(fields: &Fields<'_>, is_mutual: bool) -> Option<ClientCertificate> {
    let (chain, key) = (pem(fields, "clientCert"), pem(fields, "clientPrivateKey"));
    match (fields.has(&["clientCert"]), fields.has(&["clientPrivateKey"])) {
        (true, false) => {
            fields
                .file
                .add(read::key_at(fields, "clientCert"), "this needs a `clientPrivateKey` as well");
        }
        (false, true) => {
            fields
                .file
                .add(read::key_at(fields, "clientPrivateKey"), "this needs a `clientCert` as well");
        }
        (false, false) if is_mutual => {
            let what = "mutualAuthentication needs `clientCert` and `clientPrivateKey`";
            fields.file.add(fields.place("mutualAuthentication"), what);
        }
        _ => (),
    }
    let (chain, key) = chain.zip(key)?;
    fields.file.keep(fields.place("clientCert"), tls::check_pair(&chain, &key))?;
    Some(ClientCertificate { chain, key })
}

fn pem(fields: &Fields<'_>, key: &'static str) -> Option<Pem> {
    let (text, _) = read::text(fields, key)?;
    Some(Pem::text(key, text))
}

/// What is kept back after a connection.
fn window(fields: &Fields<'_>, broker: &mut Broker) {
    let time = read::whole(fields, "messageBufferWindowMs", WINDOW_MILLIS);
    let most = read::whole(fields, "maxBufferedMessages", WINDOW_MESSAGES);
    if time.is_none() && most.is_none() {
        return;
    }
    let window = Window {
        time: time.map_or(WINDOW.time, Duration::from_millis),
        messages_max: most
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(WINDOW.messages_max),
    };
    broker.window = Some(window).filter(|it| !it.time.is_zero() && it.messages_max > 0);
}
