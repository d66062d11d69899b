//! The URL of a broker, which may hold a user and a password, so that no fault shows it.

use crate::config::values::{self};
use crate::config::{Address, Scheme, Secret};
use percent_encoding::percent_decode_str;

/// Where a broker is, and who we are there.
#[derive(Debug, Default)]
pub(super) struct Url {
    pub(super) address: Address,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
}

/// What a URL looks like.
const LIKE: &str = "such as mqtt://broker:1883 or mqtts://broker:8883";

impl Url {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err(format!("this component needs a `url`, {LIKE}"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("this is no URL {LIKE}: it has no scheme"));
        };
        let scheme = match &scheme.to_ascii_lowercase()[..] {
            "mqtt" | "tcp" => Scheme::Plain,
            "mqtts" | "ssl" | "tls" | "tcps" => Scheme::Tls,
            other @ ("ws" | "wss" | "unix") => {
                return Err(format!("`{other}://` is not supported here; use mqtt:// or mqtts://"));
            }
            _ => return Err(format!("this is no URL {LIKE}: its scheme is unknown")),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains('@') {
            return Err(
                "a `/`, `?` or `#` in a user or password is percent-encoded: %2F, %3F, %23"
                    .to_owned(),
            );
        }
        if !matches!(path, "" | "/") {
            return Err("the URL of a broker has no path, query or fragment".to_owned());
        }
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(['[', ']'])) || host.contains("[:") && !is_ip(host)
        {
            return Err("the square brackets of the manual stand for what may be left out; write \
                        mqtt://broker:1883"
                .to_owned());
        }
        let address = values::address(host)
            .map_err(|_| format!("this is no URL {LIKE}: the host or port is not one"))?;
        let (username, password) = match user {
            Some(user) => credentials(user)?,
            None => (None, None),
        };
        Ok(Url { address: Address { scheme: Some(scheme), ..address }, username, password })
    }
}

fn is_ip(host: &str) -> bool {
    host.starts_with('[')
}

fn credentials(user: &str) -> Result<(Option<String>, Option<Secret>), String> {
    let decoded = |text| {
        let text = percent_decode_str(text).decode_utf8();
        text.map_err(|_| "the user or password is not UTF-8 when it is decoded".to_owned())
    };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let password = decoded(password)?;
    let password = (!password.is_empty()).then(|| Secret::new(password));
    let name = decoded(name)?.into_owned();
    // A password alone is sent with an empty name.
    let name = (!name.is_empty() || password.is_some()).then_some(name);
    Ok((name, password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Broker;

    #[test]
    fn a_url_says_where_and_who() {
        for (text, wanted) in [
            ("tcp://127.0.0.1:1883", "127.0.0.1:1883"),
            ("mqtt://h", "h:1883"),
            ("mqtt://h:8883", "h:8883"),
            ("MQTTS://h", "tls h:8883"),
            ("ssl://h:1", "tls h:1"),
            ("tls://h", "tls h:8883"),
            ("tcps://h/", "tls h:8883"),
            ("tcp://[::1]:1884", "::1:1884"),
            ("mqtt://reader:p%40ss@127.0.0.1", "reader/p@ss 127.0.0.1:1883"),
            ("mqtt://me:p@ss@h", "me/p@ss h:1883"),
            ("mqtt://me@h", "me h:1883"),
            ("mqtt://me:@h", "me h:1883"),
            ("mqtt://:p@h", "/p h:1883"),
            ("mqtt://a:%23%2F@h", "a/#/ h:1883"),
        ] {
            let Url { address, username, password } = Url::read(text).unwrap();
            let broker = Broker::at(address);
            let password = password.map(|it| format!("/{}", it.expose())).unwrap_or_default();
            let user = username.map(|name| format!("{name}{password} ")).unwrap_or_default();
            let tls = if broker.tls.is_some() { "tls " } else { "" };
            let found = format!("{user}{tls}{}:{}", broker.host, broker.port);
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_said_without_showing_it() {
        for (text, words) in [
            ("", "needs a `url`"),
            ("host:1883", "it has no scheme"),
            ("http://me:hush@h", "its scheme is unknown"),
            ("ws://h", "`ws://` is not supported"),
            ("unix:///tmp/x", "`unix://` is not supported"),
            ("mqtt://me:hu/sh@h", "percent-encoded"),
            ("mqtt://me:hu#sh@h", "percent-encoded"),
            ("mqtt://me:hu?sh@h", "percent-encoded"),
            ("mqtt://h/topic", "no path"),
            ("mqtt://h?a=b", "no path"),
            ("mqtt://me:hush@h:99999", "the host or port is not one"),
            ("mqtt://me:hush@", "the host or port is not one"),
            ("mqtt://me:%ff@h", "not UTF-8"),
            ("tcp://[username][:password]@host.domain[:port]", "square brackets"),
            ("tcp://host.domain[:port]", "square brackets"),
        ] {
            let why = Url::read(text).expect_err(text);
            assert!(why.contains(words) && !why.contains("hu"), "{text}: {why}");
        }
    }
}
