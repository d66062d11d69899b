//! A webhook as a sink: an HTTP server of the owner's choice, which is called with each delivery.
//!
//! We know nothing of its manner, so its status has to do. But somebody else may answer for it: a
//! captive portal sends people to its own page, by a redirection or in place of what was asked for.
//! A redirection and a page among the good answers say nothing of the delivery. Applications do
//! send pages with their refusals, and a portal may, too: such a refusal is tried again, by itself,
//! until the attempts run out.

use crate::config::{self, Secret};
use crate::message::{Delivery, Errand, Holds, Outcome};
use crate::queue::Terms;
use crate::system::tls::Trust;
use crate::system::web::{Call, Client, Limits, is_url};
use crate::verdict::{RATE_LIMITED, Reply, Secrets, excerpt, time_for};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use log::info;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How pages begin.
const PAGES: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// A webhook.
pub struct Webhook {
    settings: config::Webhook,
    /// How every call identifies us.
    authorization: Option<Secret>,
    client: Client,
    terms: Terms,
}

/// Looks at what a start would need.
///
/// # Errors
///
/// Says what is wrong with the settings, the files or the environment.
pub fn check(settings: &config::Webhook) -> Result<(), String> {
    client(settings).map(|_| ())
}

fn client(settings: &config::Webhook) -> Result<Client, String> {
    let limits = Limits { timeout: settings.timeout, connections_max: settings.in_flight_max };
    let tls = &settings.tls;
    let pair = tls.client.as_ref().map(|own| (&own.chain, &own.key));
    Client::trusting(settings.host(), limits, &|| Trust::new(tls.ca.as_ref(), pair))
        .map_err(|what| format!("{}: {what}", settings.sink_name()))
}

impl Webhook {
    /// Makes the client; connects nowhere.
    ///
    /// # Errors
    ///
    /// As [`check`].
    pub fn prepare(settings: &config::Webhook) -> Result<Self, String> {
        let client = client(settings)?;
        let terms = Terms {
            sink: settings.sink_name().into(),
            in_flight_max: settings.in_flight_max,
            backoff: settings.backoff,
            attempts_max: settings.attempts_max,
            in_order: false,
            by_policy: false,
        };
        info!("{}: {} is reached {}", terms.sink, settings.host(), client.way());
        let basic = settings.basic.as_ref().map(|(user, password)| {
            format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
        });
        let bearer = settings.bearer.as_ref().map(|token| format!("Bearer {}", token.expose()));
        let authorization = bearer.or(basic).as_deref().map(Secret::new);
        Ok(Webhook { settings: settings.clone(), authorization, client, terms })
    }

    /// What the queue needs to know of it.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Tries once to hand `delivery` over.
    #[must_use]
    pub fn attempt(&self, delivery: &Delivery) -> Outcome {
        let Errand::Call { path, content_type, headers } = &delivery.errand else {
            return Outcome::never("a webhook takes calls only");
        };
        let url = joined(&self.settings.url, path);
        if !is_url(&url) {
            return Outcome::never("its path cannot be a part of a URL");
        }
        let headers = self.headers(content_type, headers);
        let call = Call {
            method: &self.settings.method,
            url: &url,
            headers: &headers,
            body: Some(&delivery.body),
            limit: self.attempt_max(delivery),
        };
        let secrets = self.secrets();
        match self.client.call(&call) {
            Ok(reply) => judge(&Reply::from(reply), &self.settings.statuses, &secrets),
            Err(why) => {
                let why = excerpt(&why, &secrets);
                Outcome::Later { why, holds: Holds::Sink, after: None }
            }
        }
    }

    /// The headers of a call. The owner's replace others of the same name.
    fn headers<'a>(
        &'a self,
        content_type: &'a str,
        headers: &'a [(String, String)],
    ) -> Vec<(&'a str, &'a str)> {
        let own = || self.settings.headers.iter().map(|(name, it)| (name.as_str(), it.expose()));
        let is_replaced = |name: &str| own().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let authorization = self.authorization.as_ref().map(|it| ("authorization", it.expose()));
        let content_type = Some(("content-type", content_type));
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(content_type.filter(|(_, it)| !it.is_empty()))
            .chain(authorization)
            .filter(|(name, _)| !is_replaced(name))
            .chain(own())
            .collect()
    }

    /// What replies may quote and nobody may see. With many services the URL is a secret.
    fn secrets(&self) -> Secrets<'_> {
        let config::Webhook { url, headers, bearer, basic, .. } = &self.settings;
        let password = basic.as_ref().map(|(_, password)| password);
        let all = [bearer.as_ref(), self.authorization.as_ref(), password];
        let headers = headers.iter().map(|(_, value)| value);
        let all = all.into_iter().flatten().chain(headers).map(Secret::expose);
        Secrets::of(all.chain([&url[self.settings.host().len()..]]).collect())
    }

    /// The longest time an attempt at `delivery` can take.
    #[must_use]
    pub fn attempt_max(&self, delivery: &Delivery) -> Duration {
        self.settings.timeout + time_for(delivery.body.len())
    }

    /// Ends all calls under way, and lets no other begin.
    pub fn cut(&self) {
        self.client.cut();
    }
}

/// `path` behind `url`. Either may have a query, and both are asked.
fn joined(url: &str, path: &str) -> String {
    let (base, asked) = url.split_once('?').unwrap_or((url, ""));
    let (path, also) = path.split_once('?').unwrap_or((path, ""));
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    let base = if path.is_empty() { base } else { base.trim_end_matches('/') };
    let mark = if asked.is_empty() && also.is_empty() { "" } else { "?" };
    let and = if asked.is_empty() || also.is_empty() { "" } else { "&" };
    [base, slash, path, mark, asked, and, also].concat()
}

fn judge(reply: &Reply, said: &config::Statuses, secrets: &Secrets<'_>) -> Outcome {
    let status = reply.status;
    let is_said = |ranges: &[RangeInclusive<u16>]| ranges.iter().any(|it| it.contains(&status));
    let words = || reply.words(secrets);
    match status {
        _ if is_said(&said.delivered) => Outcome::Delivered,
        _ if is_said(&said.never) => Outcome::never(words()),
        429 => reply.later_or_after(words(), Holds::Lane, RATE_LIMITED),
        _ if is_said(&said.later) => reply.later(words(), Holds::Delivery),
        200..=299 if is_page(reply) => {
            let why = format!("{}: a captive portal?", words());
            reply.later(why, Holds::Sink)
        }
        200..=299 => Outcome::Delivered,
        300..=399 | 407 | 502..=504 | 511 => reply.later(words(), Holds::Sink),
        // They are about our credentials, which can be corrected, and not about the delivery.
        401 | 403 => reply.later(words(), Holds::Lane),
        400..=499 if !matches!(status, 408 | 425) && !is_page(reply) => Outcome::never(words()),
        _ => reply.later(words(), Holds::Delivery),
    }
}

/// Whether the body is a web page. Frameworks call any text HTML, so its type does not count, unless
/// it is longer than any answer to a call.
fn is_page(reply: &Reply) -> bool {
    let Some(body) = &reply.body else { return reply.is_page() };
    let text = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body).trim_ascii_start();
    let begins = |page: &[u8]| {
        text.get(..page.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(page))
    };
    PAGES.into_iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "bearer-token-7";

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: Some(body.into()), ..Reply::default() }
    }

    fn verdict(reply: &Reply, said: &config::Statuses) -> Result<Outcome, Holds> {
        match judge(reply, said, &Secrets::of(vec![SECRET])) {
            Outcome::Later { holds, .. } => Err(holds),
            outcome => Ok(outcome),
        }
    }

    #[test]
    fn a_status_says_what_comes_of_a_call() {
        let usual = config::Statuses::default();
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(verdict(&reply(status, ""), &usual), Ok(Outcome::Delivered), "{status}");
        }
        for status in [400, 402, 404, 405, 406, 409, 410, 413, 422, 451] {
            let wanted = Ok(Outcome::never(format!("status {status}: no to bearer…")));
            assert_eq!(verdict(&reply(status, "no to bearer-token-7"), &usual), wanted);
        }
        for (status, holds) in [
            (302, Holds::Sink),
            (307, Holds::Sink),
            (401, Holds::Lane),
            (403, Holds::Lane),
            (407, Holds::Sink),
            (408, Holds::Delivery),
            (425, Holds::Delivery),
            (429, Holds::Lane),
            (500, Holds::Delivery),
            (501, Holds::Delivery),
            (502, Holds::Sink),
            (503, Holds::Sink),
            (504, Holds::Sink),
            (511, Holds::Sink),
            (599, Holds::Delivery),
        ] {
            assert_eq!(verdict(&reply(status, "words"), &usual), Err(holds), "{status}");
        }
    }

    #[test]
    fn a_page_may_be_a_portals() {
        let usual = config::Statuses::default();
        let page = |status| reply(status, "\u{feff}\n <!DOCTYPE HTML><title>Please log in");
        for (reply, wanted) in [
            (page(200), Err(Holds::Sink)),
            (reply(200, "<HTML>"), Err(Holds::Sink)),
            (page(404), Err(Holds::Delivery)),
            (page(500), Err(Holds::Delivery)),
            // What Flask makes of `return "ok"`.
            (
                Reply { content_type: "text/html; charset=utf-8".to_owned(), ..reply(200, "ok") },
                Ok(Outcome::Delivered),
            ),
            (Reply { body: None, ..reply(200, "") }, Ok(Outcome::Delivered)),
            (
                Reply { body: None, content_type: "text/html".to_owned(), ..reply(200, "") },
                Err(Holds::Sink),
            ),
        ] {
            assert_eq!(verdict(&reply, &usual), wanted, "{reply:?}");
        }
    }

    #[test]
    fn statuses_may_mean_something_else() {
        let said = config::Statuses {
            delivered: vec![404..=404, 300..=399, 201..=201],
            later: vec![400..=400, 410..=410],
            never: vec![500..=599],
        };
        for (reply, wanted) in [
            (reply(404, "<html>"), Ok(Outcome::Delivered)),
            (reply(302, ""), Ok(Outcome::Delivered)),
            (reply(201, "<html>"), Ok(Outcome::Delivered)),
            (reply(400, ""), Err(Holds::Delivery)),
            (reply(503, ""), Ok(Outcome::never("status 503"))),
            (reply(422, ""), Ok(Outcome::never("status 422"))),
            (reply(429, ""), Err(Holds::Lane)),
        ] {
            assert_eq!(verdict(&reply, &said), wanted, "{reply:?}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_obeyed() {
        let secs = Duration::from_secs;
        for (status, asked, wanted) in [
            (429, None, Some(RATE_LIMITED)),
            (429, Some("7"), Some(secs(7))),
            (503, Some("7"), Some(secs(7))),
            (503, Some("9999999"), Some(secs(300))),
            (500, Some("7"), Some(secs(7))),
            (500, None, None),
            (302, Some("0"), None),
        ] {
            let reply = Reply { retry_after: asked.map(str::to_owned), ..reply(status, "") };
            let outcome = judge(&reply, &config::Statuses::default(), &Secrets::of(vec![]));
            let Outcome::Later { after, .. } = outcome else { panic!("{outcome:?}") };
            assert_eq!(after, wanted, "{status} {asked:?}");
        }
    }

    #[test]
    fn a_path_is_put_behind_the_url() {
        for (url, path, wanted) in [
            ("http://a", "", "http://a"),
            ("http://a/", "", "http://a/"),
            ("http://a/b", "/c", "http://a/b/c"),
            ("http://a/b/", "/c", "http://a/b/c"),
            ("http://a/b", "c/", "http://a/b/c/"),
            ("http://a/b?x=1", "", "http://a/b?x=1"),
            ("http://a/b?x=1", "/c", "http://a/b/c?x=1"),
            ("http://a/b?x=1", "/c?y=2", "http://a/b/c?x=1&y=2"),
            ("http://a", "?y=2", "http://a?y=2"),
        ] {
            assert_eq!(joined(url, path), wanted);
        }
    }

    #[test]
    fn headers_of_the_owner_replace_others() {
        let own = |name: &str, value| (name.to_owned(), Secret::new(value));
        let of_call = [("ce-id".to_owned(), "7".to_owned())];
        for (settings, content_type, wanted) in [
            (config::Webhook::at("http://a".to_owned()), "", &[("ce-id", "7")][..]),
            (
                config::Webhook {
                    basic: Some(("Aladdin".to_owned(), Secret::new("open sesame"))),
                    headers: vec![own("X-Site", "7"), own("Content-Type", "text/x")],
                    ..config::Webhook::at("http://a".to_owned())
                },
                "text/plain",
                &[
                    ("ce-id", "7"),
                    ("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
                    ("X-Site", "7"),
                    ("Content-Type", "text/x"),
                ],
            ),
        ] {
            let webhook = Webhook::prepare(&settings).unwrap();
            assert_eq!(webhook.headers(content_type, &of_call), wanted);
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let settings = config::Webhook {
            name: "chat".to_owned(),
            headers: vec![("x-key".to_owned(), Secret::new("header-secret"))],
            bearer: Some(Secret::new("bearer-secret")),
            basic: Some(("user".to_owned(), Secret::new("basic-secret"))),
            ..config::Webhook::at("http://127.0.0.1:1/services/T0/B0/XYZ?k=1".to_owned())
        };
        assert_eq!(settings.host(), "http://127.0.0.1:1");
        let webhook = Webhook::prepare(&settings).unwrap();
        let text = "header-secret Bearer bearer-secret basic-secret /services/T0/B0/XYZ?k=1";
        assert_eq!(webhook.secrets().mask(text), "header… Bearer… basic-… /servi…");
    }
}
