//! Tasks, topics and handlers over HTTP, as Kapacitor's clients ask for them.

use crate::config;
use crate::message::Receipt;
use crate::queue::Push;
use crate::sources::http::basic_auth::BasicAuth;
use crate::sources::http::waiter::{self, NotSafe};
use crate::system::http::encoding;
use crate::system::http::{Request, Response, Routes, decode_segment, form};
use crate::system::log::set_level;
use crate::watch::{Definitions, Refusal, Which};
use log::info;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a definition may take to be stored.
const STORE_MAX: Duration = Duration::from_secs(10);

/// Tasks of one answer, if the client does not say.
const TASKS: usize = 100;

/// The version that clients are told: the one whose conversation this is.
const VERSION: &str = "1.8.3";

const JSON: &str = "application/json; charset=utf-8";

/// The routes below `/kapacitor/v1` that define and show things.
pub(super) struct Api {
    definitions: Arc<Definitions>,
    auth: Arc<BasicAuth>,
    body_bytes_max: usize,
    hostname: String,
    requests: AtomicU32,
}

/// What an answer holds.
type Answer = Result<Option<Value>, Refusal>;

impl Routes for Api {
    fn door(&self, head: &Request) -> Option<Response> {
        below(head.path).and_then(|_| self.auth.refusal(head))
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        let path = below(request.path)?;
        if let Some(refusal) = self.auth.refusal(request) {
            return Some(refusal);
        }
        let segments: Vec<_> = path.split('/').map(decode_segment).collect();
        let segments: Option<Vec<&str>> = segments.iter().map(Option::as_deref).collect();
        let answer = match segments.as_deref() {
            Some(segments) => self.route(request, segments),
            None => Err(Refusal::new(400, "the path is not UTF-8")),
        };
        Some(self.response(answer))
    }
}

/// The path below the root of the API.
fn below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/kapacitor/v1")?;
    let rest = rest.strip_prefix("preview").unwrap_or(rest);
    rest.strip_prefix('/')
}

impl Api {
    pub(super) fn new(
        definitions: Arc<Definitions>,
        auth: Arc<BasicAuth>,
        settings: &config::Http,
        hostname: &str,
    ) -> Self {
        Api {
            definitions,
            auth,
            body_bytes_max: settings.body_bytes_max,
            hostname: hostname.to_owned(),
            requests: AtomicU32::new(0),
        }
    }

    fn response(&self, answer: Answer) -> Response {
        let response = match answer {
            Ok(None) => Response::empty(204),
            Ok(Some(value)) => Response::new(200, JSON, format!("{value:#}\n")),
            Err(Refusal { status, words }) => {
                let body = json!({ "error": words, "message": words });
                Response::new(status, JSON, format!("{body:#}\n"))
            }
        };
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        response.with("X-Kapacitor-Version", VERSION).with("Request-Id", number.to_string())
    }

    fn route(&self, request: &Request, path: &[&str]) -> Answer {
        match path {
            ["tasks", rest @ ..] => self.tasks(request, Which::Tasks, rest),
            ["templates", rest @ ..] => self.tasks(request, Which::Templates, rest),
            ["alerts", "topics", rest @ ..] => self.topics(request, rest),
            ["service-tests", rest @ ..] => self.service_tests(request, rest),
            ["loglevel"] if request.method == "POST" => {
                let body = self.body(request)?;
                let level = body.get("level").and_then(Value::as_str).unwrap_or_default();
                match set_level(level) {
                    true => Ok(None),
                    false => Err(Refusal::new(400, "invalid log level")),
                }
            }
            ["debug", "vars"] if request.method == "GET" => Ok(Some(self.vars())),
            _ => Err(Refusal::new(404, "Not Found")),
        }
    }

    fn tasks(&self, request: &Request, which: Which, path: &[&str]) -> Answer {
        let definitions = &self.definitions;
        let fields: Vec<_> = form::values(request.query, "fields").collect();
        let fields: Vec<&str> = fields.iter().map(|field| &**field).collect();
        let safe = &self.safe();
        match (request.method, path, which) {
            ("GET", [], _) => {
                let pattern = form::value(request.query, "pattern").unwrap_or_default();
                let number = |name, otherwise| {
                    let value = form::value(request.query, name);
                    value.and_then(|value| value.parse().ok()).unwrap_or(otherwise)
                };
                let page = (number("offset", 0), number("limit", TASKS));
                Ok(Some(definitions.tasks(which, &pattern, &fields, page)))
            }
            ("POST", [], _) => definitions.create_task(which, &self.body(request)?, safe).map(Some),
            ("GET", [id], _) => definitions.task(which, id, &fields).map(Some),
            ("PATCH", [id], Which::Tasks) => {
                definitions.change_task(id, &self.body(request)?, safe).map(Some)
            }
            ("PATCH", [id], Which::Templates) => {
                definitions.change_template(id, &self.body(request)?, safe).map(Some)
            }
            ("DELETE", [id], Which::Tasks) => definitions.delete_task(id, safe).map(|()| None),
            ("DELETE", [id], Which::Templates) => {
                definitions.delete_template(id, safe).map(|()| None)
            }
            ("GET", [id, name], Which::Tasks) => definitions.output(id, name).map(Some),
            _ => Err(Refusal::new(404, "Not Found")),
        }
    }

    fn topics(&self, request: &Request, path: &[&str]) -> Answer {
        let definitions = &self.definitions;
        let query = |name| form::value(request.query, name).unwrap_or_default();
        let safe = &self.safe();
        match (request.method, path) {
            ("GET", []) => definitions.topics(&query("pattern"), &query("min-level")).map(Some),
            ("GET", [topic]) => definitions.topic(topic).map(Some),
            ("DELETE", [topic]) => definitions.delete_topic(topic, safe).map(|()| None),
            ("GET", [topic, "events"]) => definitions.events(topic, &query("min-level")).map(Some),
            ("GET", [topic, "events", event]) => definitions.event(topic, event).map(Some),
            ("GET", [topic, "handlers"]) => {
                definitions.handlers(topic, &query("pattern")).map(Some)
            }
            ("POST", [topic, "handlers"]) => {
                let body = self.definition(request)?;
                definitions.create_handler(topic, &body, safe).map(Some)
            }
            ("GET", [topic, "handlers", id]) => definitions.handler(topic, id).map(Some),
            ("PUT", [topic, "handlers", id]) => {
                let body = self.definition(request)?;
                definitions.replace_handler(topic, id, &body, safe).map(Some)
            }
            ("PATCH", [topic, "handlers", id]) => {
                let patch = self.definition(request)?;
                definitions.patch_handler(topic, id, &patch, safe).map(Some)
            }
            ("DELETE", [topic, "handlers", id]) => {
                definitions.delete_handler(topic, id, safe).map(|()| None)
            }
            _ => Err(Refusal::new(404, "Not Found")),
        }
    }

    /// There is one service: MQTT.
    fn service_tests(&self, request: &Request, path: &[&str]) -> Answer {
        const HREF: &str = "/kapacitor/v1/service-tests";
        let broker = self.definitions.default_broker().unwrap_or_default();
        let options = json!({
            "broker-name": broker,
            "topic": "",
            "message": "test MQTT message",
            "qos": "at-most-once",
            "retained": false,
        });
        let service = json!({
            "link": { "rel": "self", "href": format!("{HREF}/mqtt") },
            "name": "mqtt",
            "options": options,
        });
        match (request.method, path) {
            ("GET", []) => {
                let pattern = form::value(request.query, "pattern").unwrap_or_default();
                let services =
                    if crate::watch::fits(&pattern, "mqtt") { vec![service] } else { vec![] };
                let link = json!({ "rel": "self", "href": HREF });
                Ok(Some(json!({ "link": link, "services": services })))
            }
            ("GET", ["mqtt"]) => Ok(Some(service)),
            ("POST", ["mqtt"]) => {
                let given = self.body(request)?;
                let tested = self.definitions.test_mqtt(&given, &self.safe());
                let message = tested.as_ref().err().cloned().unwrap_or_default();
                Ok(Some(json!({ "success": tested.is_ok(), "message": message })))
            }
            (_, [name]) => Err(Refusal::new(404, format!("service {name:?} not found"))),
            _ => Err(Refusal::new(404, "Not Found")),
        }
    }

    fn vars(&self) -> Value {
        let (tasks, enabled) = self.definitions.counts();
        json!({
            "cluster_id": "",
            "server_id": "",
            "host": self.hostname,
            "num_tasks": tasks,
            "num_enabled_tasks": enabled,
            "num_subscriptions": 0,
            "platform": "ilagent",
            "product": "kapacitor",
            "version": env!("CARGO_PKG_VERSION"),
            "kapacitor": self.definitions.ingress(),
        })
    }

    fn definition(&self, request: &Request) -> Result<Value, Refusal> {
        self.body(request).map_err(|refusal| Refusal {
            words: format!("invalid handler json: {}", refusal.words),
            ..refusal
        })
    }

    fn body(&self, request: &Request) -> Result<Value, Refusal> {
        let encoding = request.header("content-encoding");
        let body = encoding::unpacked(encoding, request.body, self.body_bytes_max)
            .map_err(|_| Refusal::new(400, "the body cannot be unpacked"))?;
        serde_json::from_slice(&body).map_err(|why| Refusal::new(400, why.to_string()))
    }

    /// Waits until what it is given is stored.
    fn safe(&self) -> impl Fn(Vec<Push>) -> Result<(), Refusal> + '_ {
        |batch: Vec<Push>| {
            let queue = self.definitions.queue();
            let push = |receipts: &dyn Fn(usize) -> Receipt| {
                let receipt = receipts(batch.len());
                let batch = batch.into_iter().map(|push| push.with_receipt(receipt.clone()));
                queue.push_whole(batch.collect()).map(|()| true)
            };
            waiter::until_safe(push, STORE_MAX).map_err(|why| {
                let words = match &why {
                    NotSafe::InTime => "it was not stored in time",
                    NotSafe::Refused(error) => waiter::words(error),
                };
                info!("http: a definition was not stored: {words}");
                Refusal::new(503, words)
            })
        }
    }
}
