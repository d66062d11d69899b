//! The conversation of Kapacitor's client with its server.

use super::{Failure, option};
use crate::config::Surroundings;
use crate::config::document::Source;
use crate::config::document::untyped;
use crate::system::web::{Call, Client, Limits};
use base64::Engine;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long one request may take: a definition is stored before it is answered.
const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Tasks of one page of a list.
const PAGE: usize = 100;

const BASE: &str = "/kapacitor/v1";

/// What stays as it is in a segment of a path and in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A server.
pub(super) struct Api {
    client: Client,
    url: String,
    authorization: Option<String>,
}

impl Api {
    /// The server at a URL, which may hold a user and a password.
    pub(super) fn new(url: &str) -> Result<Self, Failure> {
        let bad = |why: &str| Failure { code: 4, words: format!("the URL of the server: {why}") };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("it has no http://"))?;
        let rest = rest.trim_end_matches('/');
        let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(u, h)| (Some(u), h));
        let authorization = user.map(|user| {
            let user = percent_decode_str(user).decode_utf8_lossy();
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(&*user))
        });
        let url = format!("{scheme}://{host}");
        let limits = Limits { timeout: REQUEST_MAX, connections_max: 1 };
        let client = Client::new(&url, limits).map_err(|why| bad(&why))?;
        Ok(Api { client, url, authorization })
    }

    /// The answer to a request, with whatever status.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let body = body.map(|body| body.to_string().into_bytes());
        let mut headers = vec![("User-Agent", "KapacitorClient")];
        headers.extend(self.authorization.as_deref().map(|it| ("Authorization", it)));
        headers.extend(body.as_ref().map(|_| ("Content-Type", "application/json")));
        let call = Call {
            method,
            url: &format!("{}{path}", self.url),
            headers: &headers,
            body: body.as_deref(),
            limit: REQUEST_MAX,
        };
        let reply = self
            .client
            .call(&call)
            .map_err(|why| Failure::command(format_args!("cannot reach {}: {why}", self.url)))?;
        Ok((reply.status, reply.body.unwrap_or_default()))
    }

    /// The JSON of an answer with the status 200.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let (status, body) = self.request("GET", path, None)?;
        expect(status, &body, 200)?;
        serde_json::from_slice(&body)
            .map_err(|why| Failure::command(format_args!("the answer is no JSON: {why}")))
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        wanted: u16,
    ) -> Result<Value, Failure> {
        let (status, answer) = self.request(method, path, body)?;
        expect(status, &answer, wanted)?;
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// All tasks, or templates, that fit one of the patterns, with these fields.
    pub(super) fn tasks(
        &self,
        which: &str,
        pattern: &str,
        fields: &[&str],
    ) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        loop {
            let fields: String = fields.iter().map(|field| format!("fields={field}&")).collect();
            let page = self.get(&format!(
                "{BASE}/{which}?dot-view=attributes&{fields}limit={PAGE}&offset={}&pattern={}\
                 &replay-id=&script-format=formatted",
                all.len(),
                escaped(pattern)
            ))?;
            let tasks = list(&page, which);
            let count = tasks.len();
            all.extend(tasks);
            if count < PAGE {
                return Ok(all);
            }
        }
    }

    pub(super) fn topics(&self, pattern: &str) -> Result<Vec<Value>, Failure> {
        let path = format!("{BASE}/alerts/topics?min-level=OK&pattern={}", escaped(pattern));
        Ok(list(&self.get(&path)?, "topics"))
    }

    pub(super) fn handlers(&self, link: &str, pattern: &str) -> Result<Vec<Value>, Failure> {
        Ok(list(&self.get(&format!("{link}?pattern={}", escaped(pattern)))?, "handlers"))
    }

    pub(super) fn task(&self, which: &str, id: &str) -> Result<Value, Failure> {
        self.get(&format!("{}?{ONE}", path_of(which, id)))
    }

    /// Creates a task or a template, or changes the one of this id.
    pub(super) fn define(
        &self,
        which: &str,
        id: &str,
        options: &[&str],
        around: &Surroundings<'_>,
    ) -> Result<(), Failure> {
        let Definition { mut body, no_reload } = Definition::read(options, around)?;
        let path = path_of(which, id);
        let (status, known) = self.request("GET", &format!("{path}?{ONE}"), None)?;
        let known: Value = serde_json::from_slice(&known).unwrap_or(Value::Null);
        let fields = body.as_object_mut().expect("it is an object");
        if status != 200 || text(&known, "id").is_empty() {
            fields.insert("id".to_owned(), id.into());
            if which == "tasks" {
                fields.insert("status".to_owned(), "disabled".into());
            }
            return self.send("POST", &format!("{BASE}/{which}"), Some(&body), 200).map(drop);
        }
        self.send("PATCH", &path, Some(&body), 200)?;
        if text(&known, "status") == "enabled" && !no_reload {
            for status in ["disabled", "enabled"] {
                self.send("PATCH", &path, Some(&json!({ "status": status })), 200)?;
            }
        }
        Ok(())
    }

    pub(super) fn set_status(&self, patterns: &[&str], status: &str) -> Result<(), Failure> {
        for pattern in patterns {
            for task in self.tasks("tasks", pattern, &["link"])? {
                let body = json!({ "status": status });
                let verb = if status == "enabled" { "enabling" } else { "disabling" };
                self.send("PATCH", link(&task), Some(&body), 200).map_err(|failure| {
                    let why = failure.words.trim_start_matches("Error: ").to_owned();
                    Failure::command(format_args!("{verb} task {}: {why}", text(&task, "id")))
                })?;
            }
        }
        Ok(())
    }

    /// Creates a handler, or replaces the one of its id.
    pub(super) fn define_handler(
        &self,
        file: &str,
        around: &Surroundings<'_>,
    ) -> Result<(), Failure> {
        let given = document(file, around)?;
        let field = |name: &str| {
            let found = given.as_object().into_iter().flatten();
            found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
        };
        let (topic, id) = (string(field("topic")), string(field("id")));
        if topic.is_empty() || id.is_empty() {
            let what = format!("{file}: a handler has an `id` and a `topic`");
            return Err(Failure::command(what));
        }
        let body = json!({
            "topic": topic,
            "id": id,
            "kind": string(field("kind")),
            "options": field("options").cloned().unwrap_or_else(|| json!({})),
            "match": string(field("match")),
        });
        let all = handlers_of(&topic);
        let one = format!("{all}/{}", escaped(&id));
        let (status, known) = self.request("GET", &one, None)?;
        let known: Value = serde_json::from_slice(&known).unwrap_or(Value::Null);
        let is_new = status != 200 || text(&known, "id").is_empty();
        let (method, path) = if is_new { ("POST", &all) } else { ("PUT", &one) };
        self.send(method, path, Some(&body), 200).map(drop)
    }

    pub(super) fn delete(&self, kind: &str, first: &str, rest: &[&str]) -> Result<(), Failure> {
        let patterns = || std::iter::once(&first).chain(rest);
        let mut found = Vec::new();
        match kind {
            "tasks" | "templates" => {
                for pattern in patterns() {
                    found.extend(self.tasks(kind, pattern, &["link"])?);
                }
            }
            "topics" => {
                for pattern in patterns() {
                    found.extend(self.topics(pattern)?);
                }
            }
            "topic-handlers" => {
                for pattern in rest {
                    found.extend(self.handlers(&handlers_of(first), pattern)?);
                }
            }
            _ => {
                let what = format!(
                    "cannot delete '{kind}' did you mean 'tasks', 'templates', 'topics' or \
                     'topic-handlers'?"
                );
                return Err(Failure::command(what));
            }
        }
        found.iter().try_for_each(|it| self.send("DELETE", link(it), None, 204).map(drop))
    }

    pub(super) fn level(&self, level: &str) -> Result<(), Failure> {
        let body = json!({ "level": level });
        self.send("POST", &format!("{BASE}/loglevel"), Some(&body), 204).map(drop)
    }
}

/// How one task is asked for.
const ONE: &str = "dot-view=attributes&replay-id=&script-format=formatted";

/// What `define` says of a task.
struct Definition {
    body: Value,
    no_reload: bool,
}

impl Definition {
    fn read(options: &[&str], around: &Surroundings<'_>) -> Result<Self, Failure> {
        let (mut body, mut dbrps, mut no_reload) = (json!({}), Vec::new(), false);
        let mut words = options.iter();
        while let Some(word) = words.next() {
            let Some((name, value)) = option(word) else {
                let what = format!("`{word}` is one word too many: the id comes first");
                return Err(Failure::arguments(what));
            };
            if name == "no-reload" {
                no_reload = value.is_none_or(|value| value == "true");
                continue;
            }
            let value = value.or_else(|| words.next().copied());
            let value =
                value.ok_or_else(|| Failure::arguments(format!("`-{name}` needs a value")))?;
            match name {
                "tick" => body["script"] = content(value, around)?.into(),
                // It is known from the script.
                "type" => (),
                "dbrp" => dbrps.push(dbrp(value)?),
                "template" => body["template-id"] = value.into(),
                "vars" => body["vars"] = document(value, around)?,
                "file" => {
                    let Value::Object(given) = document(value, around)? else {
                        return Err(Failure::command(format_args!("{value}: it is no object")));
                    };
                    for (key, value) in given {
                        match (key.as_str(), value) {
                            ("dbrps", Value::Array(list)) => {
                                for one in list {
                                    dbrps.push(match one {
                                        Value::String(text) => dbrp(&text)?,
                                        other => other,
                                    });
                                }
                            }
                            (_, value) => body[key] = value,
                        }
                    }
                }
                _ => return Err(Failure::arguments(format!("there is no option `-{name}`"))),
            }
        }
        if !dbrps.is_empty() {
            body["dbrps"] = dbrps.into();
        }
        Ok(Definition { body, no_reload })
    }
}

/// `"db"."rp"`, with quotes or without.
fn dbrp(text: &str) -> Result<Value, Failure> {
    let wrong = || {
        Failure::arguments(format!("`{text}` is not of the form \"database\".\"retention policy\""))
    };
    let (db, rp) = match text.strip_prefix('"') {
        Some(rest) => {
            let (db, rest) = rest.split_once('"').ok_or_else(wrong)?;
            (db, rest.strip_prefix('.').ok_or_else(wrong)?)
        }
        None => text.split_once('.').ok_or_else(wrong)?,
    };
    Ok(json!({ "db": db, "rp": rp.trim_matches('"') }))
}

fn expect(status: u16, body: &[u8], wanted: u16) -> Result<(), Failure> {
    if status == wanted {
        return Ok(());
    }
    let said = serde_json::from_slice::<Value>(body).ok();
    let error = said.as_ref().map(|said| text(said, "error")).unwrap_or_default();
    Err(match error {
        "" => {
            let body = String::from_utf8_lossy(body);
            Failure::command(format_args!("invalid response: code {status}: body: {body}"))
        }
        error => Failure::command(error),
    })
}

/// The text of a file.
fn content(path: &str, around: &Surroundings<'_>) -> Result<String, Failure> {
    match (around.read)(Path::new(path)) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(Failure::command(format_args!("open {path}: no such file or directory"))),
        Err(why) => Err(Failure::command(why)),
    }
}

/// A file in YAML or JSON.
fn document(path: &str, around: &Surroundings<'_>) -> Result<Value, Failure> {
    let text = content(path, around)?;
    untyped::read(path, &text).map_err(|(at, what)| {
        let place = Source { name: path, text: &text }.place(at);
        Failure::command(format_args!("{place}: {what}"))
    })
}

pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn path_of(which: &str, id: &str) -> String {
    format!("{BASE}/{which}/{}", escaped(id))
}

pub(super) fn path_of_topic(topic: &str) -> String {
    format!("{BASE}/alerts/topics/{}", escaped(topic))
}

pub(super) fn handlers_of(topic: &str) -> String {
    format!("{}/handlers", path_of_topic(topic))
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn string(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn list(value: &Value, key: &str) -> Vec<Value> {
    value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Where a thing is, as the server says.
fn link(value: &Value) -> &str {
    value.pointer("/link/href").and_then(Value::as_str).unwrap_or_default()
}
