//! Who may enter the routes of Kapacitor: anybody, or whoever knows a name and its password.
//!
//! They are shown as the clients of InfluxDB and Kapacitor do: with Basic authentication, as
//! `Authorization: Token NAME:PASSWORD` (InfluxDB 2), or as `u` and `p` of the query (InfluxDB 1).

use super::door::names_a_page;
use crate::config::Secret;
use crate::system::http::token::same;
use crate::system::http::{Request, Response, form};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use log::info;
use std::borrow::Cow;

/// The names and passwords of one listener.
pub struct BasicAuth(Vec<(String, Secret)>);

impl BasicAuth {
    /// Lets in whoever knows one of `users`; if there is none, everybody but web pages, which could
    /// have the browser of somebody near the box define a handler that runs a program.
    #[must_use]
    pub fn new(users: Vec<(String, Secret)>) -> Self {
        BasicAuth(users)
    }

    /// The answer to a client that may not enter.
    #[must_use]
    pub fn refusal(&self, head: &Request) -> Option<Response> {
        if self.0.is_empty() {
            return names_a_page(head).then(refused_to_a_page);
        }
        let shown = shown(head);
        let is_known = shown.as_ref().is_some_and(|(name, password)| {
            // All are compared, so that the time says nothing about which names there are.
            let known = |(user, secret): &(String, Secret)| {
                same(name, user) & same(password, secret.expose())
            };
            self.0.iter().fold(false, |found, user| found | known(user))
        });
        if is_known {
            return None;
        }
        info!("http: refused a request without the right name and password");
        let why = match shown {
            Some(_) => "authorization failed",
            None => "unable to parse authentication credentials",
        };
        Some(refused(401, why).with("WWW-Authenticate", "Basic realm=\"Kapacitor\""))
    }
}

fn refused_to_a_page() -> Response {
    info!("http: refused a request of a web page, because [http] has no user");
    refused(403, "web pages need a name and a password; set `username` and `password` in [http]")
}

fn refused(status: u16, why: &str) -> Response {
    let body = serde_json::json!({ "error": why, "message": why }).to_string();
    Response::json(status, body)
}

/// Name and password, if the client shows any.
fn shown<'a>(head: &Request<'a>) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let Some(value) = head.header("authorization") else {
        return Some((form::value(head.query, "u")?, form::value(head.query, "p")?));
    };
    let (scheme, rest) = value.split_once(' ')?;
    let pair = match scheme {
        _ if scheme.eq_ignore_ascii_case("basic") => {
            Cow::Owned(String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?)
        }
        _ if scheme.eq_ignore_ascii_case("token") => Cow::Borrowed(rest.trim()),
        _ => return None,
    };
    let (name, password) = pair.split_once(':')?;
    Some((Cow::Owned(name.to_owned()), Cow::Owned(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::http::Header;

    #[track_caller]
    fn check(auth: &BasicAuth, authorization: Option<&str>, query: &str, wanted: Option<&str>) {
        let header =
            authorization.map(|value| Header { name: "Authorization", value: value.as_bytes() });
        let headers: Vec<_> = header.into_iter().collect();
        let request =
            Request { method: "POST", path: "/write", query, headers: &headers, body: b"" };
        let refusal = auth.refusal(&request).map(|response| {
            assert_eq!(response.status, 401);
            String::from_utf8(response.body).unwrap()
        });
        let wanted = wanted.map(|why| format!(r#"{{"error":"{why}","message":"{why}"}}"#));
        assert_eq!(refusal, wanted, "{authorization:?} {query}");
    }

    #[test]
    fn whoever_knows_a_name_and_its_password_may_enter() {
        let user = |name: &str, password: &str| (name.to_owned(), Secret::new(password));
        let auth = BasicAuth::new(vec![user("telegraf", "op:en"), user("other", "x")]);
        let (none, wrong) = ("unable to parse authentication credentials", "authorization failed");
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (authorization, query, wanted) in [
            (Some(basic("telegraf:op:en")), "", None),
            (Some(basic("telegraf:op:en").replace("Basic", "basic")), "", None),
            (Some(basic("other:x")), "", None),
            (Some(basic("other:op:en")), "", Some(wrong)),
            (Some(basic("telegraf:")), "", Some(wrong)),
            (Some(basic("telegraf")), "", Some(none)),
            (Some("Basic !".to_owned()), "", Some(none)),
            (Some("Token telegraf:op:en".to_owned()), "", None),
            (Some("Token secret".to_owned()), "", Some(none)),
            (Some("Bearer telegraf:op:en".to_owned()), "", Some(none)),
            (None, "u=telegraf&p=op%3Aen&db=x", None),
            (None, "u=telegraf&p=op", Some(wrong)),
            (None, "u=telegraf", Some(none)),
            (None, "", Some(none)),
            // What the query says does not count beside a header.
            (Some(basic("telegraf:no")), "u=telegraf&p=op%3Aen", Some(wrong)),
        ] {
            check(&auth, authorization.as_deref(), query, wanted);
        }
    }

    #[test]
    fn without_users_everybody_may_but_web_pages() {
        let auth = BasicAuth::new(Vec::new());
        check(&auth, None, "", None);
        let headers = [Header { name: "Origin", value: b"http://evil.example" }];
        let path = "/kapacitor/v1/tasks";
        let request = Request { method: "POST", path, query: "", headers: &headers, body: b"" };
        assert_eq!(auth.refusal(&request).unwrap().status, 403);
    }
}
