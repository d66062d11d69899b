//! Escalation policies: puts the person on duty on a level of the policy that a routing key names.

use super::judge::judge;
use super::{Client, JSON, answer, secrets};
use crate::message::{Holds, Outcome, PolicyUpdate};
use crate::system::plain::plain;
use crate::system::web::Call;
use crate::verdict::{Reply, Secrets, excerpt};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// Minutes a level waits if the policy does not say.
const TIMEOUT: i64 = 1;

/// Finds the user and the policy, then replaces the users of the level and keeps its timeout.
pub(super) fn update(client: &Client, body: &[u8]) -> Outcome {
    let update: PolicyUpdate = match serde_json::from_slice(body) {
        Ok(update) => update,
        Err(error) => return Outcome::never(format!("not a policy update: {error}")),
    };
    let api = Api { client, secrets: secrets(&client.settings, "") };
    match api.update(&update) {
        Ok(()) => {
            log::info!(
                "ilert: escalation policy of '{}', level {} updated",
                plain(&update.routing_key),
                update.shift
            );
            Outcome::Delivered
        }
        Err(outcome) => outcome,
    }
}

struct Api<'a> {
    client: &'a Client,
    secrets: Secrets<'a>,
}

impl Api<'_> {
    fn update(&self, update: &PolicyUpdate) -> Result<(), Outcome> {
        let user = self.user(&update.email)?;
        let policy = self.policy(&update.routing_key)?;
        let id = self.id(&policy, "the escalation policy")?;
        let rule = usize::try_from(update.shift)
            .ok()
            .and_then(|level| policy["escalationRules"].get(level));
        let timeout = rule.and_then(|rule| rule["escalationTimeout"].as_i64()).unwrap_or(TIMEOUT);
        let level = json!({ "escalationTimeout": timeout, "users": [{ "id": user }] });
        let path = format!("/api/escalation-policies/{id}/levels/{}", update.shift);
        self.call("level", "PUT", &path, Some(&level)).map(|_| ())
    }

    fn user(&self, email: &str) -> Result<i64, Outcome> {
        let asked = json!({ "email": email });
        let user = self.call("user", "POST", "/api/users/search-email", Some(&asked))?;
        self.id(&user, "the user")
    }

    fn policy(&self, routing_key: &str) -> Result<Value, Outcome> {
        let key = utf8_percent_encode(routing_key, NON_ALPHANUMERIC);
        let path = format!("/api/escalation-policies/resolve?routing-key={key}");
        self.call("policy", "GET", &path, None)
    }

    /// Makes one request and reads the document in the answer.
    fn call(
        &self,
        what: &str,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Outcome> {
        let Client { api, settings, .. } = self.client;
        let bearer = settings.api_key.as_ref().map(|key| format!("Bearer {}", key.expose()));
        let content_type = body.map(|_| ("content-type", JSON));
        let authorization = bearer.as_deref().map(|bearer| ("authorization", bearer));
        let headers: Vec<_> = content_type.into_iter().chain(authorization).collect();
        let body = body.map(Value::to_string);
        let call = Call {
            method,
            url: &format!("{}{path}", settings.api),
            headers: &headers,
            body: body.as_deref().map(str::as_bytes),
            limit: settings.timeout,
        };
        let reply = answer(api, &call, &self.secrets)?;
        match judge(&reply, &self.secrets) {
            Outcome::Delivered => self.document(&reply, what),
            Outcome::Later { why, holds, after } => {
                Err(Outcome::Later { why: format!("{what}: {why}"), holds, after })
            }
            Outcome::Never { why, .. } => Err(Outcome::never(format!("{what}: {why}"))),
        }
    }

    fn document(&self, reply: &Reply, what: &str) -> Result<Value, Outcome> {
        let body = reply.body.as_deref().unwrap_or_default();
        serde_json::from_slice(body).map_err(|error| {
            let words = reply.words(&self.secrets);
            not_understood(format!("{what}: the reply is not JSON: {error} ({words})"))
        })
    }

    /// The id in a document. One without an id may be anybody's, so it does not end the delivery;
    /// if it is ilert's, the attempts run out.
    fn id(&self, document: &Value, what: &str) -> Result<i64, Outcome> {
        document["id"].as_i64().ok_or_else(|| {
            let shown = excerpt(&document.to_string(), &self.secrets);
            not_understood(format!("the reply does not name the id of {what}: {shown}"))
        })
    }
}

fn not_understood(why: String) -> Outcome {
    Outcome::Later { why, holds: Holds::Delivery, after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    /// An update, to an API that gives these answers in turn, one to a connection.
    fn answered(answers: &'static [&'static str]) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                read_request(&mut stream);
                let (head, body) = answer.split_once('|').unwrap();
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        let settings = config::Ilert { api: url.clone(), beat: url, ..config::Ilert::default() };
        let update = br#"{"email":"x@y.z","shift":0,"routingKey":"A"}"#;
        Client::new(&settings).unwrap().policy(update)
    }

    /// All of it: what is closed unread is a reset on the other side.
    fn read_request(stream: &mut TcpStream) {
        let mut text = String::new();
        let wanted = |text: &str| {
            let (head, body) = text.split_once("\r\n\r\n")?;
            let length = head.to_ascii_lowercase().split_once("content-length: ")?.1.to_owned();
            Some((body.len(), length.lines().next()?.trim().parse::<usize>().ok()?))
        };
        while !text.contains("\r\n\r\n") || wanted(&text).is_some_and(|(has, all)| has < all) {
            let mut part = [0; 4096];
            match stream.read(&mut part) {
                Ok(0) | Err(_) => return,
                Ok(read) => text.push_str(&String::from_utf8_lossy(&part[..read])),
            }
        }
    }

    #[test]
    fn only_ilert_itself_ends_an_update() {
        const USER: &str = "200 OK\r\nContent-Type: application/json|{\"id\":7}";
        const PORTAL: &str = "200 OK\r\nContent-Type: text/html|<html>Please log in</html>";
        const GATEWAY: &str = "404 Not Found\r\nContent-Type: text/plain|404 page not found";
        const NOBODY: &str = "404 Not Found\r\nContent-Type: application/json|{\"status\":404}";
        const SOMEBODY: &str = "200 OK\r\nContent-Type: application/json|{\"ok\":true}";
        let sink = Some(Holds::Sink);
        for (answers, held) in [
            (&[USER, USER, USER][..], None),
            (&[NOBODY], None),
            (&[USER, NOBODY], None),
            (&[PORTAL], sink),
            (&[USER, GATEWAY], sink),
            (&[USER, USER, PORTAL], sink),
            (&[USER, USER, "200 OK|"], sink),
            (&[SOMEBODY], Some(Holds::Delivery)),
        ] {
            let outcome = answered(answers);
            let found = match &outcome {
                Outcome::Later { holds, .. } => Some(*holds),
                Outcome::Delivered | Outcome::Never { .. } => None,
            };
            assert_eq!(found, held, "{answers:?}: {outcome:?}");
        }
    }
}
