//! `ilagent status`: how a running agent is, for a person in front of a terminal.

use crate::config::values::{age_words, size_words};
use crate::system::plain::line;
use argh::{ArgsInfo, FromArgs};
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

/// How often `--watch` looks.
pub const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// Where what is said of a part begins.
const COLUMN: usize = 24;

/// Moves to the upper left corner and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Show how the running agent is. The exit code is 0 if it is ready, else 1.
#[derive(ArgsInfo, FromArgs)]
pub struct Status {
    /// print the JSON document of GET /status
    #[argh(switch)]
    json: bool,
    /// look every two seconds, until you stop it
    #[argh(switch)]
    pub watch: bool,
}

/// What to print, and what it means.
pub struct Shown {
    /// With a line end.
    pub text: String,
    /// Whether the agent is ready.
    pub ready: bool,
}

impl Status {
    /// Shows the document of `/status`.
    #[must_use]
    pub fn shown(&self, document: &str, colours: bool) -> Shown {
        let report: Value = serde_json::from_str(document).unwrap_or_default();
        let ready = report["ready"] == true;
        let text = if self.json {
            format!("{document}\n")
        } else {
            let start = if self.watch && colours { CLEAR } else { "" };
            format!("{start}{}", Page { colours, text: String::new() }.of(&report))
        };
        Shown { text, ready }
    }

    /// What a watch shows while there is no agent.
    #[must_use]
    pub fn absent(&self, why: &str, colours: bool) -> String {
        let start = if colours && !self.json { CLEAR } else { "" };
        format!("{start}{}\n", line(why))
    }
}

/// How good what a line says is.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    Middling,
    Bad,
}

struct Page {
    colours: bool,
    text: String,
}

impl Page {
    fn of(mut self, report: &Value) -> String {
        self.head(report);
        for session in list(&report["sessions"]) {
            self.session(session);
        }
        self.queue(&report["queue"]);
        for sink in list(&report["sinks"]) {
            self.sink(sink);
        }
        for service in list(&report["services"]) {
            self.service(service);
        }
        self.text
    }

    fn head(&mut self, report: &Value) {
        let version = word(&report["version"]);
        let up = seconds(&report["uptime_seconds"]).unwrap_or_default();
        let (mood, state) = match &report["trouble"] {
            _ if report["stopping"] == true => (Mood::Middling, "stopping".to_owned()),
            Value::Null => (Mood::Good, "ready".to_owned()),
            trouble => {
                let parts = [&trouble["component"], &trouble["name"], &trouble["error"]];
                let parts: Vec<String> =
                    parts.into_iter().map(word).filter(|part| !part.is_empty()).collect();
                (Mood::Bad, format!("not ready: {}", parts.join(": ")))
            }
        };
        let state = self.coloured(mood, &state);
        let _ = writeln!(self.text, "ilagent {version}, up {up}: {state}");
    }

    fn session(&mut self, session: &Value) {
        let name = format!("{} {}", word(&session["component"]), word(&session["name"]));
        let error = word(&session["error"]);
        let connected = session["connected"] == true;
        let subscribed = session["subscriptions_ready"] == true;
        let (mood, state) = match (connected, subscribed) {
            (true, true) => (Mood::Good, "connected"),
            (true, false) => (Mood::Middling, "connected, not subscribed yet"),
            (false, _) => (Mood::Bad, "not connected"),
        };
        let state = if error.is_empty() { state.to_owned() } else { format!("{state}: {error}") };
        self.part(&name, mood, &state);
    }

    fn queue(&mut self, queue: &Value) {
        let count = |key: &str| queue[key].as_u64().unwrap_or_default();
        let mut said = vec![match count("waiting") {
            0 => "nothing waits".to_owned(),
            waiting => format!("{waiting} waiting, {}", size(count("bytes"))),
        }];
        if let Some(age) = seconds(&queue["oldest_age_seconds"]) {
            said.push(format!("the oldest for {age}"));
        }
        let mut mood = Mood::Good;
        if queue["full"] == true {
            mood = Mood::Bad;
            said.push("full: sources have to wait".to_owned());
        }
        for (key, words) in [
            ("dead_letters", "dead letters: ilagent queue list"),
            ("dead_letters_lost", "dead letters lost"),
            ("messages_unkept", "messages that no rule could use"),
        ] {
            if count(key) > 0 {
                mood = if mood == Mood::Bad { mood } else { Mood::Middling };
                said.push(format!("{} {words}", count(key)));
            }
        }
        let aside =
            list(&queue["put_aside"]).iter().map(|file| format!("put aside: {}", word(file)));
        said.extend(aside);
        let error = word(&queue["error"]);
        if !error.is_empty() {
            mood = Mood::Bad;
            said.push(error);
        }
        self.part("queue", mood, &said.join(", "));
    }

    fn sink(&mut self, sink: &Value) {
        let name = word(&sink["name"]);
        let name = if name == "ilert" { name } else { format!("to {name}") };
        let mut said =
            vec![format!("{} delivered", sink["delivered"].as_u64().unwrap_or_default())];
        if let Some(age) = seconds(&sink["seconds_since_last_delivery"]) {
            said.push(format!("the last {age} ago"));
        }
        if let Some(given_up) = sink["given_up"].as_u64().filter(|count| *count > 0) {
            said.push(format!("{given_up} given up"));
        }
        let error = word(&sink["error"]);
        let mood = match seconds(&sink["failing_for_seconds"]) {
            Some(time) => {
                said.push(format!("failing for {time}: {error}"));
                Mood::Bad
            }
            None => Mood::Good,
        };
        self.part(&name, mood, &said.join(", "));
    }

    fn service(&mut self, service: &Value) {
        let mood = match service["state"].as_str() {
            Some("enabled") => Mood::Good,
            Some("disabled") => Mood::Middling,
            _ => Mood::Bad,
        };
        self.part(&format!("service {}", word(&service["id"])), mood, &word(&service["state"]));
        for resource in list(&service["resources"]) {
            let [id, actual, reason] =
                [&resource["id"], &resource["actual"], &resource["reason"]].map(word);
            if resource["actual"] == resource["expected"] {
                continue;
            }
            let since = word(&resource["since"]);
            let since = if since.is_empty() { since } else { format!(" since {since}") };
            let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
            let why = format!("{actual}{since}{reason}");
            self.part(&format!("  {id}"), Mood::Bad, &why);
        }
    }

    fn part(&mut self, name: &str, mood: Mood, words: &str) {
        let words = self.coloured(mood, words);
        let _ = writeln!(self.text, "  {name:<COLUMN$} {words}");
    }

    fn coloured(&self, mood: Mood, words: &str) -> String {
        let colour = match mood {
            _ if !self.colours => return words.to_owned(),
            Mood::Good => 32,
            Mood::Middling => 33,
            Mood::Bad => 31,
        };
        format!("\x1b[{colour}m{words}\x1b[0m")
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text of the report, which may come from the network.
fn word(value: &Value) -> String {
    line(value.as_str().unwrap_or_default()).into_owned()
}

fn size(bytes: u64) -> String {
    let unit = [1 << 20, 1 << 10, 1].into_iter().find(|unit| bytes >= *unit).unwrap_or(1);
    size_words(bytes / unit * unit)
}

fn seconds(value: &Value) -> Option<String> {
    value.as_u64().map(age_words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ONCE: Status = Status { json: false, watch: false };

    fn report() -> Value {
        json!({
            "version": "1.2.3", "uptime_seconds": 11_520, "ready": true, "trouble": null,
            "stopping": false,
            "sessions": [
                { "component": "mqtt", "name": "plant", "connected": true,
                  "subscriptions_ready": true, "error": "" },
                { "component": "mqtt", "name": "cloud", "connected": false,
                  "subscriptions_ready": false, "error": "connection refused" },
            ],
            "queue": { "waiting": 12, "bytes": 4_600, "full": false, "oldest_age_seconds": 200,
                       "dead_letters": 2, "dead_letters_lost": 0, "messages_unkept": 0,
                       "put_aside": [], "error": "" },
            "sinks": [
                { "name": "ilert", "delivered": 1_204, "given_up": 0,
                  "seconds_since_last_delivery": 2, "failing_for_seconds": null, "error": "" },
                { "name": "webhook shop", "delivered": 0, "given_up": 1,
                  "seconds_since_last_delivery": null, "failing_for_seconds": 300,
                  "error": "status 503" },
            ],
            "services": [
                { "id": "one", "state": "enabled", "resources": [] },
                { "id": "two", "state": "disabled", "resources": [] },
                { "id": "valve4", "state": "deviated", "resources": [
                    { "id": "valve4-field", "type": "connection", "expected": "connected",
                      "actual": "reconnecting", "since": "2026-01-02T03:04:05Z",
                      "reason": "connection refused" },
                    { "id": "valve4-flow", "type": "endpoint", "expected": "enabled",
                      "actual": "enabled", "reason": "" } ] },
            ],
        })
    }

    #[test]
    fn a_person_sees_each_part_on_a_line() {
        let shown = ONCE.shown(&report().to_string(), false);
        assert!(shown.ready);
        assert_eq!(
            shown.text,
            "ilagent 1.2.3, up 3 h: ready
  mqtt plant               connected
  mqtt cloud               not connected: connection refused
  queue                    12 waiting, 4 KB, the oldest for 3 min, 2 dead letters: ilagent queue list
  ilert                    1204 delivered, the last 2 s ago
  to webhook shop          0 delivered, 1 given up, failing for 5 min: status 503
  service one              enabled
  service two              disabled
  service valve4           deviated
    valve4-field           reconnecting since 2026-01-02T03:04:05Z: connection refused
"
        );
    }

    #[test]
    fn what_keeps_it_from_being_ready_comes_first() {
        let mut report = report();
        report["ready"] = json!(false);
        report["trouble"] = json!({ "component": "mqtt", "name": "cloud", "error": "refused" });
        let shown = ONCE.shown(&report.to_string(), false);
        assert!(!shown.ready);
        assert!(shown.text.contains(": not ready: mqtt: cloud: refused\n"), "{}", shown.text);
        report["stopping"] = json!(true);
        assert!(ONCE.shown(&report.to_string(), false).text.contains(": stopping\n"));
    }

    #[test]
    fn colours_and_the_cursor_are_for_terminals() {
        let watch = Status { json: false, watch: true };
        let text = watch.shown(&report().to_string(), true).text;
        assert!(text.starts_with(CLEAR) && text.contains("\x1b[31mnot connected"));
        for status in [&watch, &ONCE] {
            assert!(!status.shown(&report().to_string(), false).text.contains('\x1b'));
        }
        let mut hostile = report();
        hostile["sinks"][1]["error"] = json!("\u{1b}]0;title\u{7}");
        let shown = ONCE.shown(&hostile.to_string(), false).text;
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    }

    #[test]
    fn json_is_passed_on() {
        let status = Status { json: true, watch: false };
        assert_eq!(status.shown("{\"ready\":true}", true).text, "{\"ready\":true}\n");
    }
}
