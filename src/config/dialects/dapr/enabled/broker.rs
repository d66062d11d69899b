//! A component of the type `pubsub.mqtt` or `pubsub.mqtt3`: a broker.

mod url;

use super::component::Component;
use super::items::Values;
use super::settings::Settings;
use crate::config::document::{Node, Value};
use crate::config::values::{self, put};
use crate::config::whole::Placed;
use crate::config::{
    Broker, ClientCertificate, Confirm, Pem, Policy, PubSub, Qos, Scopes, Surroundings, Tls,
    defaults,
};
use crate::system::tls;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// A broker with two connections, each with a client id of its own.
pub(super) const MQTT: &str = "pubsub.mqtt";

/// The same in later versions, which know one client id.
pub(super) const MQTT3: &str = "pubsub.mqtt3";

/// Room for what is around the data of an event.
const ENVELOPE_BYTES: usize = 64 * 1024;

/// What Dapr knows of every component, and what means nothing here.
const IDLE: [&str; 4] =
    ["disableEntityManagement", "concurrencyMode", "processMode", "maxConcurrentHandlers"];

/// What Dapr once had instead of policies.
const FORMER: [&str; 2] = ["backOffMaxRetries", "maxRetriableErrorsPerSec"];

/// `true` or `false`, in the words of Dapr.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match &text.trim().to_ascii_lowercase()[..] {
        "true" | "yes" | "y" | "t" | "on" | "1" => Ok(true),
        "false" | "no" | "n" | "f" | "off" | "0" => Ok(false),
        _ => Err(format!("this is true or false, not `{text}`")),
    }
}

/// The broker and what is done there.
pub(super) fn read(
    component: &Component<'_>,
    values: &mut Values<'_>,
    settings: &Settings,
    around: &Surroundings<'_>,
) -> (Placed<Broker>, PubSub) {
    let mut broker = connection(component, values, around);
    identity(component, values, settings, &mut broker);
    let (mut qos, mut retain, mut confirm) = (Qos::AtLeastOnce, false, Confirm::default());
    values.read("qos", &mut |text| put(&mut qos, values::qos(text)));
    values.read("retain", &mut |text| put(&mut retain, truth(text)));
    values.read("ilagent.confirm", &mut |text| put(&mut confirm, confirmed(text, qos)));
    // Of what the broker does not keep there has to be a store here.
    broker.buffer = qos == Qos::AtMostOnce || broker.clean;
    broker.hold = Duration::ZERO;
    // What another sidecar was allowed to publish has to fit, in base64 if need be.
    let body = settings.http.iter().map(|http| http.body_bytes_max).max().unwrap_or_default();
    broker.packet_bytes_max = broker.packet_bytes_max.max(body / 3 * 4 + ENVELOPE_BYTES);
    let scopes = scopes(values, &settings.app_id);
    for name in FORMER {
        if let Some(at) = values.find(name).map(|found| found.at) {
            let what = "this has no effect; write a Resiliency with a retry policy instead";
            values.warn(at, what);
        }
    }
    values.end(&IDLE);
    let prefix = if values.has_namespace { settings.namespace.clone() } else { String::new() };
    let pubsub = PubSub {
        name: component.name.clone(),
        kind: component.kind.clone(),
        version: component.listed().version,
        broker: component.name.clone(),
        qos,
        retain,
        prefix,
        scopes,
        confirm,
        inbound: Policy::default(),
        outbound: Policy::default(),
    };
    let id = values.place("consumerID", component.at);
    let placed = Placed {
        it: broker,
        is_enabled: true,
        name: component.place.clone(),
        id,
        needs: Vec::new(),
    };
    (placed, pubsub)
}

/// Where it is, and how it is reached.
fn connection(
    component: &Component<'_>,
    values: &mut Values<'_>,
    around: &Surroundings<'_>,
) -> Broker {
    let mut url = None;
    let found = values.find("url").map(|found| (found.text.clone(), found.at, found.is_written));
    let (text, at, is_written) = found.unwrap_or((String::new(), component.at, false));
    match Url::read(text.trim()) {
        Ok(found) => url = Some(found),
        Err(_) if values.has_failed("url") => (),
        Err(what) => {
            let place = values.source.place(at);
            values.faults.add(place, what);
        }
    }
    let Url { address, username, password } = url.unwrap_or_default();
    let mut broker = Broker::at(address);
    broker.name.clone_from(&component.name);
    broker.keep_alive = defaults::DAPR_KEEP_ALIVE;
    broker.username = username;
    broker.password = password;
    let mut holds_secret = is_written && broker.password.is_some();
    let is_known = !broker.host.is_empty();
    let files = certificates(values, is_known && broker.tls.is_none(), around, &mut holds_secret);
    match &mut broker.tls {
        Some(tls) => *tls = files,
        None if is_known && files != Tls::default() => {
            let what = "the connection is not encrypted, as the `url` does not begin with \
                        mqtts:// or ssl://, so that certificates have no effect";
            values.warn(at, what);
        }
        None => (),
    }
    if holds_secret {
        values.warnings.extend(around.warning(Path::new(values.source.name)));
    }
    broker
}

/// The certificates, which are checked unless they have no effect.
fn certificates(
    values: &mut Values<'_>,
    is_idle: bool,
    around: &Surroundings<'_>,
    holds_secret: &mut bool,
) -> Tls {
    let ca = pem(values, "caCert", around);
    let chain = pem(values, "clientCert", around);
    let key = pem(values, "clientKey", around);
    *holds_secret |= key.as_ref().is_some_and(|key| key.is_written);
    let mut fault = |found: &Found, what: String| {
        let hint = match found.is_escaped {
            true => "; line breaks are lost in a value in single quotes",
            false => "",
        };
        let place = values.source.place(found.at);
        values.faults.add(place, format!("{what}{hint}"));
    };
    if !is_idle {
        if let Some(ca) = ca.as_ref().filter(|ca| ca.pem.path().is_none())
            && let Err(what) = tls::check_ca(&ca.pem)
        {
            fault(ca, what);
        }
        if let Some((chain, key)) = chain.as_ref().zip(key.as_ref())
            && chain.pem.path().or(key.pem.path()).is_none()
            && let Err(what) = tls::check_pair(&chain.pem, &key.pem)
        {
            fault(if what.starts_with(CERTIFICATE) { chain } else { key }, what);
        }
    }
    match (&chain, &key) {
        (Some(chain), None) => fault(chain, "this needs a `clientKey` as well".to_owned()),
        (None, Some(key)) => fault(key, "this needs a `clientCert` as well".to_owned()),
        _ => (),
    }
    let client =
        chain.zip(key).map(|(chain, key)| ClientCertificate { chain: chain.pem, key: key.pem });
    Tls { ca: ca.map(|ca| ca.pem), client, ..Tls::default() }
}

/// The name of the certificate that we show, with which faults about it begin.
const CERTIFICATE: &str = "clientCert";

struct Found {
    pem: Pem,
    at: usize,
    is_written: bool,
    /// Its line ends were written as `\n`.
    is_escaped: bool,
}

/// A certificate or key: its text, or `file:` and a path.
fn pem(values: &mut Values<'_>, name: &'static str, around: &Surroundings<'_>) -> Option<Found> {
    let found = values.find(name).filter(|found| !found.text.trim().is_empty())?;
    let (at, is_written) = (found.at, found.is_written);
    if let Some(path) = found.text.trim().strip_prefix("file:") {
        match around.path(path) {
            Ok(path) => {
                let pem = Pem::File(path);
                return Some(Found { pem, at, is_written: false, is_escaped: false });
            }
            Err(what) => {
                values.faults.add(values.source.place(at), what);
                return None;
            }
        }
    }
    let is_escaped = found.text.contains("\\n");
    let pem = Pem::text(name, &found.text.replace("\\n", "\n"));
    Some(Found { pem, at, is_written, is_escaped })
}

/// Who we are there.
fn identity(
    component: &Component<'_>,
    values: &mut Values<'_>,
    settings: &Settings,
    broker: &mut Broker,
) {
    let (mut consumer, mut producer) = (settings.app_id.clone(), None);
    values.read("consumerID", &mut |text| put(&mut consumer, values::mqtt_text(text)));
    values.read("producerID", &mut |text| put(&mut producer, values::mqtt_text(text)));
    values.read("cleanSession", &mut |text| put(&mut broker.clean, truth(text)));
    let random = values.find("consumerID").filter(|found| found.is_random).map(|found| found.at);
    if let Some(at) = random.filter(|_| !broker.clean) {
        let what = "each start leaves a session of another name at the broker; set cleanSession to \
                    \"true\"";
        values.warn(at, what);
    }
    let publisher = format!("{consumer}-producer");
    let (subscriber, publisher) = match producer {
        Some(producer) if producer != consumer => (consumer, producer),
        // Each session has one role, so that one of them has another name.
        Some(_) => (consumer, publisher),
        None if component.kind == MQTT3 => (consumer, publisher),
        None => (format!("{consumer}-consumer"), publisher),
    };
    broker.client_id = subscriber;
    broker.out_client_id = Some(publisher);
}

fn confirmed(text: &str, qos: Qos) -> Result<Confirm, String> {
    match text {
        "stored" => Ok(Confirm::Stored),
        "broker" if qos == Qos::AtMostOnce => Err("a broker confirms nothing of QoS 0".to_owned()),
        "broker" => Ok(Confirm::Broker),
        _ => Err(format!("this is `stored` or `broker`, not `{text}`")),
    }
}

/// What the application may publish and subscribe to.
fn scopes(values: &mut Values<'_>, app: &str) -> Scopes {
    Scopes {
        allowed: topics(values, "allowedTopics"),
        protected: topics(values, "protectedTopics"),
        publish: of_app(values, "publishingScopes", app),
        subscribe: of_app(values, "subscriptionScopes", app),
    }
}

fn topics(values: &mut Values<'_>, name: &'static str) -> Vec<String> {
    let Some(found) = values.find(name) else { return Vec::new() };
    let (at, text) = (found.at, found.text.clone());
    let topics = list(&text);
    plain(values, at, &topics);
    topics
}

/// `app1=a,b;app2=c`.
fn of_app(values: &mut Values<'_>, name: &'static str, app: &str) -> Option<Vec<String>> {
    let found = values.find(name)?;
    let (at, text) = (found.at, found.text.clone());
    let inside = values.source.inside(&Node { at, value: Value::Text(text.clone()) });
    let (mut own, mut column) = (None, 1);
    for entry in text.split(';') {
        let (before, named) = (column, entry.split_once('='));
        column += entry.chars().count() + 1;
        if entry.trim().is_empty() {
            continue;
        }
        let what = match named {
            None => "this is of the form app1=a,b;app2=c: a `=` is missing",
            Some((name, _)) if name.trim().is_empty() => "the id of an application is missing",
            Some((name, topics)) => {
                let topics = list(topics);
                plain(values, at, &topics);
                if name.trim() == app {
                    own = Some(topics);
                }
                continue;
            }
        };
        let blanks = entry.chars().take_while(|letter| letter.is_whitespace()).count();
        values.faults.add(inside.shifted(1, before + blanks), what);
    }
    own
}

fn list(text: &str) -> Vec<String> {
    let topics = text.split(',').map(str::trim).filter(|topic| !topic.is_empty());
    topics.map(str::to_owned).collect()
}

/// Warns of topics that look like filters.
fn plain(values: &mut Values<'_>, at: usize, topics: &[String]) {
    if topics.iter().any(|topic| topic.contains(['+', '#'])) {
        values.warn(
            at,
            "topics are compared as texts here, so that `+` and `#` stand for themselves",
        );
    }
}
