//! What a person does about dead letters and what waits, from the page: `/api/queue/retry?id=d7` and
//! `/api/queue/drop?id=d7`. It deletes what cannot be had again, so without a token nobody may.

use super::door::{Door, refused};
use crate::queue::admin::{Chosen, Command};
use crate::system::http::{Request, Response, Routes, form};
use crate::system::plain::line;
use log::info;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const QUEUE: &str = "/api/queue/";

/// Most deliveries and dead letters of one request.
const IDS_MAX: usize = 100;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// Has the queue do something, within a time.
pub type Ask = dyn Fn(Command, Duration) -> Result<String, String> + Send + Sync;

/// The routes of one listener.
pub struct Person {
    door: Arc<Door>,
    ask: Box<Ask>,
}

impl Routes for Person {
    /// Blocks until it is done.
    fn answer(&self, request: &Request) -> Option<Response> {
        let make: fn(Chosen) -> Command = match request.path.strip_prefix(QUEUE)? {
            "retry" => Command::Retry,
            "drop" => Command::Drop,
            _ => return None,
        };
        if let Some(refusal) = self.door.refusal(request) {
            return Some(refusal);
        }
        if !self.door.has_token() {
            return Some(refused(
                403,
                "only with a token of the listener; `ilagent queue` needs none",
            ));
        }
        if request.method != "POST" {
            return Some(Response::method_not_allowed("POST"));
        }
        let ids: Vec<String> =
            form::values(request.query, "id").map(|id| id.into_owned()).collect();
        if ids.is_empty() || ids.len() > IDS_MAX {
            return Some(refused(400, "name what is meant: `?id=d7`, up to 100 of them"));
        }
        Some(self.done(make(Chosen::Ids(ids))))
    }
}

impl Person {
    /// For those whom `door` lets in.
    #[must_use]
    pub fn new(door: Arc<Door>, ask: Box<Ask>) -> Self {
        Person { door, ask }
    }

    fn done(&self, command: Command) -> Response {
        match (self.ask)(command, PATIENCE) {
            Ok(text) => {
                info!("http: for a person: {}", line(text.trim_end()));
                Response::json(200, json!({ "text": text.trim_end() }).to_string())
            }
            Err(why) => refused(409, &why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Http, Secret};
    use crate::system::http::Header;

    fn ask(token: Option<&str>, method: &str, path: &str, shown: &str) -> Option<(u16, String)> {
        let settings = Http { token: token.map(Secret::new), ..Http::on_port(0) };
        let door = Door::with(&settings, Box::new(|_| Ok(())));
        let person = Person::new(
            Arc::new(door),
            Box::new(|command, _| match command {
                Command::Drop(Chosen::Ids(ids)) if ids == ["d8"] => {
                    Err("no such \"d8\"".to_owned())
                }
                command => Ok(format!("{command:?}\n")),
            }),
        );
        let headers = [Header { name: "Authorization", value: shown.as_bytes() }];
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = Request { method, path, query, headers: &headers, body: b"" };
        let response = person.answer(&request)?;
        Some((response.status, String::from_utf8(response.body).unwrap()))
    }

    #[test]
    fn only_the_token_opens_it() {
        let token = Some("open sesame");
        for (token, method, shown, status) in [
            (token, "POST", "Bearer open sesame", 200),
            (token, "POST", "Bearer open", 401),
            (token, "POST", "Basic open sesame", 401),
            (token, "POST", "", 401),
            (token, "GET", "Bearer open sesame", 405),
            (token, "GET", "", 401),
            // Without one nobody may, whatever is shown.
            (None, "POST", "Bearer ", 403),
            (None, "POST", "", 403),
        ] {
            for path in ["/api/queue/retry?id=d7", "/api/queue/drop?id=d7"] {
                let answer = ask(token, method, path, shown).unwrap();
                assert_eq!(answer.0, status, "{method} {path} {shown}: {}", answer.1);
            }
        }
    }

    #[test]
    fn what_is_meant_has_to_be_named() {
        let post = |path: &str| ask(Some("t"), "POST", path, "Bearer t");
        let text = |what: &str| Some((200, json!({ "text": what }).to_string()));
        assert_eq!(post("/api/queue/retry?id=d7&id=9"), text(r#"Retry(Ids(["d7", "9"]))"#));
        assert_eq!(post("/api/queue/drop?id=d7"), text(r#"Drop(Ids(["d7"]))"#));
        let many = format!("/api/queue/drop?{}", "id=1&".repeat(IDS_MAX + 1));
        for path in ["/api/queue/drop", "/api/queue/drop?all=1", "/api/queue/retry?", &many] {
            assert_eq!(post(path).unwrap().0, 400, "{path}");
        }
        let refused = r#"{"error":"no such \"d8\""}"#.to_owned();
        assert_eq!(post("/api/queue/drop?id=d8"), Some((409, refused)));
        for path in ["/api/queue", "/api/queue/", "/api/queue/list", "/api/queue/drop/d7", "/"] {
            assert_eq!(post(path), None, "{path}");
        }
    }
}
