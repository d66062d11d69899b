//! `[[mqtt]]`: the brokers that alerts are published to.

use crate::config::document::fields::Fields;
use crate::config::document::{Node, Value};
use crate::config::repeats::repeats;
use crate::config::values::{self, put};
use crate::config::whole::Placed;
use crate::config::{Address, Broker, Secret, defaults, surroundings};
use percent_encoding::percent_decode_str;

/// The name of a broker that is the only one.
const ONLY: &str = "default";

/// All brokers, and the name of the one that handlers publish to if they name none.
pub(super) fn read(
    top: &Fields<'_>,
    warnings: &mut Vec<String>,
) -> (Vec<Placed<Broker>>, Option<String>) {
    if let Some(Node { at, value: Value::Table(_) }) = top.node("mqtt") {
        top.file
            .add(*at, "a broker is written [[mqtt]], with two brackets, as there may be several");
        return (Vec::new(), None);
    }
    let tables = top.tables("mqtt", "[[mqtt]]");
    let is_only = tables.len() == 1;
    let mut marked = Vec::new();
    let mut brokers = Vec::new();
    for fields in &tables {
        let placed = placed(fields, is_only, warnings);
        if fields.truth("default") == Some(true) {
            marked.push((placed.it.name.clone(), fields.place("default")));
        }
        brokers.push(placed);
    }
    let names: Vec<String> = brokers.iter().map(|placed| placed.it.name.clone()).collect();
    for (again, first) in repeats(&names) {
        // Of those that are in use the whole configuration is checked.
        let in_use = brokers[again].is_enabled && brokers[first].is_enabled;
        if !names[again].is_empty() && !in_use {
            let what = format!("there is another broker of the name `{}`", names[again]);
            tables[again].file.add(tables[again].place("name"), what);
        }
    }
    if let [_, (_, second), ..] = marked.as_slice() {
        top.file.add(*second, "another broker is the default already");
    }
    if marked.is_empty() && tables.len() > 1 {
        let what = "no broker is the default; set `default = true` in one of them";
        top.file.add(tables[0].at, what);
    }
    let only = brokers.first().map(|placed| placed.it.name.clone());
    let default = marked.into_iter().next().map(|(name, _)| name).or(only);
    (brokers, default)
}

fn placed(fields: &Fields<'_>, is_only: bool, warnings: &mut Vec<String>) -> Placed<Broker> {
    let is_enabled = fields.truth("enabled").unwrap_or(false);
    let mut name = fields.words("name").unwrap_or_default();
    if name.is_empty() {
        match is_only {
            true => ONLY.clone_into(&mut name),
            false => fields.file.add(fields.at, "a broker needs a `name`, as there are several"),
        }
    }
    let mut it = broker(fields, is_enabled, warnings);
    it.client_id.clone_from(&name);
    fields.text("client-id", &mut |text| match text {
        "" => Ok(()),
        _ => put(&mut it.client_id, values::mqtt_text(text)),
    });
    it.out_client_id = Some(it.client_id.clone());
    it.name = name;
    it.keep_alive = defaults::KAPACITOR_KEEP_ALIVE;
    it.alerts = true;
    super::unused(fields, &["default"], warnings);
    let place = |key| fields.file.place(fields.place(key));
    Placed { it, is_enabled, name: place("name"), id: place("client-id"), needs: Vec::new() }
}

/// Where it is and who we are there.
fn broker(fields: &Fields<'_>, is_enabled: bool, warnings: &mut Vec<String>) -> Broker {
    let mut url = None;
    fields.text("url", &mut |text| {
        url = (is_enabled && !text.is_empty()).then(|| Url::read(text)).transpose()?;
        Ok(())
    });
    let said = fields.words("url").is_some_and(|url| !url.is_empty());
    if is_enabled && !said {
        fields.file.add(fields.at, "an enabled broker needs a `url` such as tcp://localhost:1883");
    }
    let mut username = fields.words("username").filter(|name| !name.is_empty());
    let mut password = None;
    fields.text("password", &mut |text| match text {
        "" => Ok(()),
        _ => put(&mut password, surroundings::secret(text)),
    });
    let Url { address, user } = url.unwrap_or_default();
    if let Some((name, secret)) = user {
        (username, password) = (Some(name), secret);
    }
    if password.is_some() {
        fields.file.holds_secret();
    }
    let mut broker = Broker::at(address);
    // Without a user name a password is not sent.
    broker.password = password.filter(|_| username.is_some());
    broker.username = username;
    tls(fields, &mut broker, is_enabled, warnings);
    broker
}

/// The files of TLS, which have an effect only where the URL asks for it.
fn tls(fields: &Fields<'_>, broker: &mut Broker, is_enabled: bool, warnings: &mut Vec<String>) {
    let unverified = fields.truth("insecure-skip-verify").unwrap_or(false);
    if !is_enabled {
        // The files of a broker that is not used need not be there.
        fields.has(&["ssl-ca"]);
        fields.has(&["ssl-cert"]);
        fields.has(&["ssl-key"]);
        return;
    }
    let files = fields.tls_files(None);
    match &mut broker.tls {
        Some(tls) => {
            *tls = files;
            tls.unverified = unverified;
            if unverified {
                let place = fields.file.place(fields.place("insecure-skip-verify"));
                warnings.push(format!(
                    "config: {place}: whoever answers is trusted with the password and all alerts, \
                     because certificates are not checked"
                ));
            }
        }
        None if files.ca.is_some() || files.client.is_some() => {
            let place = fields.file.place(fields.place("url"));
            warnings.push(format!(
                "config: {place}: the connection is not encrypted, as the `url` does not begin \
                 with ssl:// or wss://, so that the `ssl-…` files have no effect"
            ));
        }
        None => (),
    }
}

/// A URL, which may hold a user and a password.
#[derive(Default)]
struct Url {
    address: Address,
    user: Option<(String, Option<Secret>)>,
}

impl Url {
    fn read(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let scheme = match &scheme.to_ascii_lowercase()[..] {
            "tcp" | "mqtt" => "mqtt",
            "ssl" | "tls" | "mqtts" | "mqtt+ssl" | "tcps" => "mqtts",
            "ws" => "ws",
            "wss" => "wss",
            "unix" => return Err("a broker behind a Unix socket is not supported".to_owned()),
            other => {
                return Err(format!(
                    "`{other}://` is not supported; use tcp://, ssl://, ws:// or wss://"
                ));
            }
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let local = if host.starts_with(':') { "127.0.0.1" } else { "" };
        // A path is a matter of WebSockets, where it is taken as it is.
        let path = match (scheme.starts_with("ws"), path) {
            (false, _) => "",
            (true, "") => "/",
            (true, path) => path,
        };
        let address = values::address(&format!("{scheme}://{local}{host}{path}"));
        let address = address.map_err(|_| {
            // It may hold a password.
            "this is not a URL such as tcp://localhost:1883 or wss://broker/mqtt".to_owned()
        })?;
        let user = user.map(|user| {
            let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            match user.split_once(':') {
                Some((name, password)) => {
                    Ok((decoded(name), Some(surroundings::secret(&decoded(password))?)))
                }
                None => Ok::<_, String>((decoded(user), None)),
            }
        });
        Ok(Url { address, user: user.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_that_kapacitor_takes() {
        for (text, wanted) in [
            ("tcp://localhost:1883", "localhost:1883"),
            ("mqtt://localhost", "localhost:1883"),
            ("ssl://123.45.67.89:1883", "tls 123.45.67.89:1883"),
            ("tls://b", "tls b:8883"),
            ("mqtts://b:1", "tls b:1"),
            ("mqtt+ssl://b:1", "tls b:1"),
            ("tcps://b:1", "tls b:1"),
            ("ws://b", "b:80/"),
            ("wss://b:9/x/y?z", "tls b:9/x/y?z"),
            ("b:1", "b:1"),
            (":1883", "127.0.0.1:1883"),
            ("tcp://me:h%40sh@b:1", "me/h@sh b:1"),
            ("SSL://me@b:1", "me tls b:1"),
            ("tcp://b:1/ignored", "b:1"),
        ] {
            let Url { address, user } = Url::read(text).unwrap();
            let broker = Broker::at(address);
            let user = user.map_or(String::new(), |(name, password)| {
                let password = password.map(|it| format!("/{}", it.expose()));
                format!("{name}{} ", password.unwrap_or_default())
            });
            let tls = if broker.tls.is_some() { "tls " } else { "" };
            let path = broker.websocket.unwrap_or_default();
            let found = format!("{user}{tls}{}:{}{path}", broker.host, broker.port);
            assert_eq!(found, wanted, "{text}");
        }
        for text in ["unix:///tmp/x", "http://b:1", "tcp://", "tcp://b:x", "tcp://me:p@ b:1"] {
            let why = Url::read(text).err().expect(text);
            assert!(!why.contains("me:p"), "{why}");
        }
    }
}
