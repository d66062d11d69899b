//! A handler from its definition: a file, or what the API is given. All that is wrong is said at
//! once.
//!
//! Kapacitor ignores a key that it does not know; here it is a fault, because a `match` that is
//! misspelled would let everything pass. It checks a topic and a broker when an alert comes, which
//! is too late; what can be known is checked here.

use super::{HandlerKind, HandlerSpec};
use crate::alerts::lambda::Lambda;
use crate::alerts::script::parse_expression;
use crate::alerts::template::Template;
use crate::config::suggest::nearest;
use crate::config::{Secret, values};
use crate::message::{Qos, path_segment};
use crate::topic::check_topic;
use serde_json::{Map, Value};

/// The keys of a definition; `link` is in what the API has given out.
const KEYS: [&str; 6] = ["topic", "id", "kind", "match", "options", "link"];

/// Kinds of Kapacitor's that send to one service each.
const SERVICES: [&str; 20] = [
    "alerta",
    "bigpanda",
    "discord",
    "hipchat",
    "kafka",
    "opsgenie",
    "opsgenie2",
    "pagerduty",
    "pagerduty2",
    "pushover",
    "sensu",
    "servicenow",
    "slack",
    "smtp",
    "snmptrap",
    "talk",
    "teams",
    "telegram",
    "victorops",
    "zenoss",
];

/// Who may read a new log: its owner.
const MODE: u32 = 0o600;

/// The longest that events are gathered, in nanoseconds: a week.
const INTERVAL_MAX: i64 = 7 * 24 * 3600 * 1_000_000_000;

impl HandlerSpec {
    /// Reads a definition.
    ///
    /// # Errors
    ///
    /// Says all that is wrong with it, a line for each.
    pub fn read(definition: &Value) -> Result<Self, String> {
        let Value::Object(entries) = definition else {
            return Err("a handler has the keys `id`, `topic`, `kind` and `options`".to_owned());
        };
        let mut faults = Vec::new();
        let mut keys = Keys { entries, scope: "", taken: KEYS.to_vec(), faults: &mut faults };
        let id = keys.name("id", "");
        let topic = keys.name("topic", ":");
        let matches = keys.text("match").and_then(|text| keys.expression(&text));
        let kind = keys.text("kind").unwrap_or_default();
        let none = Map::new();
        let options = match keys.get("options") {
            Some(Value::Object(options)) => options,
            None | Some(Value::Null) => &none,
            Some(_) => {
                keys.fault("`options` is a table");
                &none
            }
        };
        keys.check_unknown();
        let mut options =
            Keys { entries: options, scope: "", taken: Vec::new(), faults: &mut faults };
        let kind = options.kind(&kind);
        match kind {
            Some(kind) if faults.is_empty() => Ok(HandlerSpec { id, topic, kind, matches }),
            _ => Err(faults.join("\n")),
        }
    }
}

/// Entries of a definition that are being read; the case of their keys does not matter.
struct Keys<'a, 'f> {
    entries: &'a Map<String, Value>,
    /// What is said in front of every fault.
    scope: &'static str,
    /// Keys that are known.
    taken: Vec<&'static str>,
    faults: &'f mut Vec<String>,
}

impl<'a> Keys<'a, '_> {
    fn kind(&mut self, kind: &str) -> Option<HandlerKind> {
        let read = match kind {
            "mqtt" => self.mqtt(),
            "log" => self.log(),
            "exec" => self.exec(),
            "tcp" => self.tcp(),
            "post" => self.post(),
            "publish" => self.publish(),
            "aggregate" => self.aggregate(),
            "ilert" => self.ilert(),
            _ => {
                self.faults.push(unknown_kind(kind));
                return None;
            }
        };
        self.check_unknown();
        read
    }

    fn mqtt(&mut self) -> Option<HandlerKind> {
        self.scope = "options of mqtt: ";
        let broker = self.text("broker-name").filter(|broker| !broker.is_empty());
        let topic = self.needed("topic").and_then(|topic| {
            let constant = !topic.contains("{{");
            if let (true, Err(why)) = (constant, check_topic(&topic)) {
                self.fault(&format!("`topic`: {why}"));
            }
            self.template("topic", &topic)
        });
        let qos = self.quality();
        let retained = self.truth("retained");
        Some(HandlerKind::Mqtt { broker, topic: topic?, qos: qos?, retained })
    }

    fn log(&mut self) -> Option<HandlerKind> {
        self.scope = "options of log: ";
        let path = self.needed("path")?;
        if !path.starts_with('/') {
            self.fault(&format!("`path` is absolute, as /tmp/alerts.log, not `{path}`"));
        }
        let mode = match self.get("mode") {
            None | Some(Value::Null) => Some(MODE),
            Some(Value::String(octal)) => u32::from_str_radix(octal, 8).ok(),
            Some(other) => other.as_u64().and_then(|mode| u32::try_from(mode).ok()),
        };
        let mode = mode.filter(|mode| *mode <= 0o777 && mode & 0o200 != 0);
        if mode.is_none() {
            self.fault("`mode` is such as 0644, and lets the owner write");
        }
        Some(HandlerKind::Log { path, mode: mode? })
    }

    fn exec(&mut self) -> Option<HandlerKind> {
        self.scope = "options of exec: ";
        let program = self.needed("prog");
        let arguments = self.texts("args");
        Some(HandlerKind::Exec { program: program?, arguments })
    }

    fn tcp(&mut self) -> Option<HandlerKind> {
        self.scope = "options of tcp: ";
        let address = self.needed("address")?;
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let port: Option<u16> = port.and_then(|(_, port)| port.parse().ok());
        if port.is_none_or(|port| port == 0) {
            self.fault(&format!("`address` is host:port, not `{address}`"));
        }
        Some(HandlerKind::Tcp { address })
    }

    fn post(&mut self) -> Option<HandlerKind> {
        self.scope = "options of post: ";
        if self.text("endpoint").is_some_and(|name| !name.is_empty()) {
            self.fault("`endpoint` names a [[httppost]], which is not supported: give a `url`");
        }
        let url = self.needed("url")?;
        let url = values::url(&url).map_err(|why| self.fault(&format!("`url`: {why}"))).ok();
        let headers = self.headers();
        let timeout = self.nanos("timeout").filter(|nanos| *nanos > 0);
        if self.truth("skip-ssl-verification") {
            self.fault("`skip-ssl-verification` is not supported: certificates are always checked");
        }
        self.truth("capture-response"); // It would only go to the log.
        Some(HandlerKind::Post { url: url?, headers, timeout })
    }

    fn publish(&mut self) -> Option<HandlerKind> {
        self.scope = "options of publish: ";
        let topics = self.texts("topics");
        for topic in topics.iter().filter(|topic| !is_name(topic, ":")) {
            self.fault(&format!("`{topic}` is not the name of a topic"));
        }
        if topics.is_empty() {
            self.fault("`topics` is missing: the topics to publish to");
        }
        Some(HandlerKind::Publish { topics })
    }

    fn aggregate(&mut self) -> Option<HandlerKind> {
        self.scope = "options of aggregate: ";
        let topic = self.name("topic", ":");
        let id = self.text("id").filter(|id| !id.is_empty());
        let interval = self.nanos("interval");
        if interval.is_none_or(|nanos| !(1..=INTERVAL_MAX).contains(&nanos)) {
            self.fault("`interval` is needed, from 1ns to 168h");
        }
        let message = self.text("message").filter(|message| !message.is_empty());
        let message = message.and_then(|message| self.template("message", &message));
        let id = id.unwrap_or_else(|| format!("aggregate:{topic}"));
        Some(HandlerKind::Aggregate { id, interval: interval?, topic, message })
    }

    fn ilert(&mut self) -> Option<HandlerKind> {
        self.scope = "options of ilert: ";
        let key = self.needed("integration-key")?;
        if path_segment(&key).is_none() {
            self.fault("`integration-key` is not the key of an alert source");
        }
        Some(HandlerKind::Ilert { integration_key: Secret::new(key) })
    }

    /// 0, 1, 2, or Kapacitor's words for them.
    fn quality(&mut self) -> Option<Qos> {
        let qos = match self.get("qos") {
            None | Some(Value::Null) => Some(Qos::AtMostOnce),
            Some(Value::String(word)) => match word.as_str() {
                "at-most-once" => Some(Qos::AtMostOnce),
                "at-least-once" => Some(Qos::AtLeastOnce),
                "exactly-once" | "exactly-one" => Some(Qos::ExactlyOnce),
                _ => None,
            },
            Some(other) => match other.as_u64() {
                Some(0) => Some(Qos::AtMostOnce),
                Some(1) => Some(Qos::AtLeastOnce),
                Some(2) => Some(Qos::ExactlyOnce),
                _ => None,
            },
        };
        if qos.is_none() {
            self.fault("`qos` is 0, 1 or 2, or at-most-once, at-least-once or exactly-once");
        }
        qos
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        match self.get("headers") {
            None | Some(Value::Null) => (),
            Some(Value::Object(entries)) => {
                for (name, value) in entries {
                    let text = value.as_str().ok_or("its value is a text".to_owned());
                    let value = text.and_then(values::line);
                    match values::header(name).and(value) {
                        Ok(value) => headers.push((name.clone(), value)),
                        Err(why) => self.fault(&format!("the header `{name}`: {why}")),
                    }
                }
            }
            Some(_) => self.fault("`headers` is a table of names and texts"),
        }
        headers
    }

    /// A duration as Go writes it, or a number of nanoseconds.
    fn nanos(&mut self, key: &'static str) -> Option<i64> {
        let nanos = match self.get(key)? {
            Value::Null => return None,
            Value::Number(nanos) => nanos.as_i64(),
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => values::go::duration(text).filter(|nanos| *nanos > 0),
            _ => None,
        };
        if nanos.is_none() {
            self.fault(&format!("`{key}` is a time such as 10s, 1m30s or 500ms"));
        }
        nanos
    }

    fn template(&mut self, key: &str, text: &str) -> Option<Template> {
        Template::parse(text).map_err(|fault| self.fault(&format!("`{key}`: {fault}"))).ok()
    }

    fn expression(&mut self, text: &str) -> Option<Lambda> {
        if text.trim().is_empty() {
            return None;
        }
        let parsed = parse_expression(text).and_then(|expression| Lambda::matching(&expression));
        parsed.map_err(|fault| self.fault(&format!("match, {fault}"))).ok()
    }

    /// A name of an id or a topic.
    fn name(&mut self, key: &'static str, also: &str) -> String {
        let name = self.text(key).unwrap_or_default();
        if !is_name(&name, also) {
            let also = if also.is_empty() { "" } else { ", `:`" };
            self.fault(&format!(
                "`{key}` has letters, digits, `-`, `.`, `_`{also} and nothing else, and at least \
                 one of them, not `{name}`"
            ));
        }
        name
    }

    fn needed(&mut self, key: &'static str) -> Option<String> {
        let had = self.faults.len();
        let text = self.text(key).filter(|text| !text.is_empty());
        if text.is_none() && self.faults.len() == had {
            self.fault(&format!("`{key}` is missing"));
        }
        text
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        match self.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => {
                self.fault(&format!("`{key}` is a text; put {other} in quotes"));
                None
            }
        }
    }

    fn texts(&mut self, key: &'static str) -> Vec<String> {
        let texts = match self.get(key) {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(all)) => {
                all.iter().map(|one| one.as_str().map(str::to_owned)).collect()
            }
            Some(_) => None,
        };
        if texts.is_none() {
            self.fault(&format!("`{key}` is a list of texts"));
        }
        texts.unwrap_or_default()
    }

    fn truth(&mut self, key: &'static str) -> bool {
        match self.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(truth)) => *truth,
            Some(other) => {
                self.fault(&format!("`{key}` is true or false, not {other}"));
                false
            }
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.taken.push(key);
        let found = self.entries.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value)
    }

    fn check_unknown(&mut self) {
        for key in self.entries.keys() {
            if self.taken.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                continue;
            }
            let hint = match nearest(key, self.taken.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let mut known: Vec<&str> = self.taken.clone();
                    known.dedup();
                    format!("there are {}", known.join(", "))
                }
            };
            self.fault(&format!("`{}` is no key here; {hint}", key.escape_debug()));
        }
    }

    fn fault(&mut self, what: &str) {
        self.faults.push(format!("{}{what}", self.scope));
    }
}

fn unknown_kind(kind: &str) -> String {
    if kind.is_empty() {
        return format!("`kind` is missing: one of {}", HandlerKind::NAMES.join(", "));
    }
    if SERVICES.contains(&kind) {
        return format!(
            "the kind `{kind}` is not supported: kinds post and exec reach other services, and \
             ilert raises an alert at ilert"
        );
    }
    let kind = kind.escape_debug();
    format!("there is no kind `{kind}`, only {}", HandlerKind::NAMES.join(", "))
}

fn is_name(name: &str, also: &str) -> bool {
    let is_plain = |letter: char| {
        letter.is_alphabetic()
            || letter.is_ascii_digit()
            || "-._".contains(letter)
            || also.contains(letter)
    };
    !name.is_empty() && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests;
