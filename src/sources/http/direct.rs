//! Straight to a sink, without a rule: `/api/publish/{broker}/{topic}` and
//! `/api/call/{webhook}{path}`, for scripts that have no library for MQTT.

use super::door::{Door, refused};
use crate::config::{CallRule, Config, PublishRule};
use crate::mapping::cloudevent::content_type;
use crate::message::{Delivery, Errand, Keep, LaneName, Qos};
use crate::system::http::{Request, Response, Routes, decode_segment};
use crate::system::plain::plain;
use crate::topic::check_topic;
use log::info;
use serde_json::json;
use std::sync::Arc;

const PUBLISH: &str = "/api/publish/";
const CALL: &str = "/api/call/";

/// How surely a broker gets what is published, if nobody says.
const QOS: Qos = Qos::AtLeastOnce;

/// The routes to the sinks of a configuration.
pub struct Direct {
    door: Arc<Door>,
    brokers: Vec<String>,
    webhooks: Vec<String>,
}

impl Routes for Direct {
    /// Blocks until the message is stored.
    fn answer(&self, request: &Request) -> Option<Response> {
        let to_broker = request.path.strip_prefix(PUBLISH);
        let to_webhook = request.path.strip_prefix(CALL);
        let rest = to_broker.or(to_webhook)?;
        if let Some(refusal) = self.door.refusal(request) {
            return Some(refusal);
        }
        if request.method != "POST" {
            return Some(Response::method_not_allowed("POST"));
        }
        if self.door.is_by_a_page(request) {
            info!("http: refused a request that a web page has sent, as no token is set");
            return Some(refused(403, "a web page may only post with a token"));
        }
        let accepted = match to_broker {
            Some(_) => self.publish(request, rest),
            None => self.call(request, rest),
        };
        Some(accepted.unwrap_or_else(|refusal| refusal))
    }
}

impl Direct {
    /// To what `config` publishes to or calls.
    #[must_use]
    pub fn new(config: &Config, door: Arc<Door>) -> Self {
        let brokers = config.brokers.iter().filter(|broker| config.is_published_to(broker));
        Direct {
            door,
            brokers: brokers.map(|broker| broker.name.clone()).collect(),
            webhooks: config.webhooks.iter().map(|webhook| webhook.name.clone()).collect(),
        }
    }

    fn publish(&self, request: &Request, rest: &str) -> Result<Response, Response> {
        let (name, topic) = rest.split_once('/').unwrap_or((rest, ""));
        let broker = known("broker that is published to", name, &self.brokers)?;
        let topic = decode_segment(topic).ok_or_else(|| refused(400, "the topic is not UTF-8"))?;
        check_topic(&topic).map_err(|what| refused(400, &what))?;
        let (qos, retain) = manner(request.query).ok_or_else(|| {
            refused(400, "a publication has `qos=0`, `1` or `2`, and `retain=true` or `false`")
        })?;
        let errand = Errand::Publish { topic: topic.into_owned(), qos, retain };
        let body = self.door.body(request)?.into_owned();
        self.store(PublishRule::sink_name(broker), errand, body)
    }

    fn call(&self, request: &Request, rest: &str) -> Result<Response, Response> {
        let name = rest.split('/').next().unwrap_or_default();
        let webhook = known("webhook", name, &self.webhooks)?;
        let mut path = rest[name.len()..].to_owned();
        let leaves = |segment| matches!(decode_segment(segment).as_deref(), Some("." | ".."));
        if path.split('/').any(leaves) {
            return Err(refused(400, "a path may not have `.` or `..` in it"));
        }
        if !request.query.is_empty() {
            path.extend(["?", request.query]);
        }
        let body = self.door.body(request)?.into_owned();
        let content_type = request.header("content-type").unwrap_or(content_type(&body));
        let errand =
            Errand::Call { path, content_type: content_type.to_owned(), headers: Vec::new() };
        self.store(CallRule::sink_name(webhook), errand, body)
    }

    /// Answers 202 when it is on disk, and not before.
    fn store(&self, sink: String, errand: Errand, body: Vec<u8>) -> Result<Response, Response> {
        let what = format!("a {} for {}, {}", errand.kind(), plain(&sink), errand.masked_target());
        let answer = json!({ "status": "accepted", "sink": sink }).to_string();
        let delivery = Delivery {
            lane: LaneName { sink: sink.into(), key: String::new() },
            order_key: None,
            errand,
            keep: Keep::UntilDelivered,
            body,
            origin: "http".to_owned(),
        };
        self.door.store(delivery, &what)?;
        Ok(Response::json(202, answer))
    }
}

/// The name in a segment, if it is one of `names`; otherwise the answer that says which there are.
fn known<'a>(kind: &str, segment: &str, names: &'a [String]) -> Result<&'a str, Response> {
    let name = decode_segment(segment).unwrap_or_default();
    names.iter().map(String::as_str).find(|known| *known == name).ok_or_else(|| {
        let why = format!("there is no {kind} of the name `{}`", plain(&name));
        Response::json(404, json!({ "error": why, "known": names }).to_string())
    })
}

/// Quality of service and retain flag from a query; `None` if it says something else.
fn manner(query: &str) -> Option<(Qos, bool)> {
    let (mut qos, mut retain) = (QOS, false);
    for said in query.split('&').filter(|said| !said.is_empty()) {
        match said {
            "qos=0" => qos = Qos::AtMostOnce,
            "qos=1" => qos = Qos::AtLeastOnce,
            "qos=2" => qos = Qos::ExactlyOnce,
            "retain=true" => retain = true,
            "retain=false" => retain = false,
            _ => return None,
        }
    }
    Some((qos, retain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Http, Secret};
    use crate::queue::{self, Push, Storing};
    use crate::system::http::Header;
    use std::sync::Mutex;

    type Stored = Arc<Mutex<Vec<Delivery>>>;

    /// The routes, and what they store.
    fn direct(token: Option<&str>, is_full: bool) -> (Direct, Stored) {
        let stored = Stored::default();
        let settings = Http { token: token.map(Secret::new), ..Http::on_port(0) };
        let store = Arc::clone(&stored);
        let take = move |batch: Vec<Push>| {
            if is_full {
                return Err(queue::Error::Full(batch));
            }
            for push in batch {
                if let Push::Delivery { delivery, storing: Storing::AtOnce, receipt } = push {
                    store.lock().unwrap().push(delivery);
                    receipt.unwrap().sign();
                }
            }
            Ok(())
        };
        let door = Arc::new(Door::with(&settings, Box::new(take)));
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let direct = Direct { door, brokers: names(&["plant", "a b"]), webhooks: names(&["shop"]) };
        (direct, stored)
    }

    fn post(direct: &Direct, target: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
        let request = Request { method: "POST", path, query, headers: &headers, body: b"{}" };
        let response = direct.answer(&request).unwrap();
        (response.status, String::from_utf8(response.body).unwrap())
    }

    #[test]
    fn a_publication_has_the_topic_and_manner_of_its_path() {
        for (target, sink, topic, note) in [
            ("/api/publish/plant/a/b", "mqtt plant", "a/b", "qos 1"),
            ("/api/publish/plant//a%2Fb%20%C3%BC/", "mqtt plant", "/a/b ü/", "qos 1"),
            ("/api/publish/a%20b/x?qos=2&retain=true", "mqtt a b", "x", "qos 2 retain"),
            ("/api/publish/plant/x?retain=false&qos=0", "mqtt plant", "x", "qos 0"),
        ] {
            let (direct, stored) = direct(None, false);
            let answer = format!(r#"{{"sink":"{sink}","status":"accepted"}}"#);
            assert_eq!(post(&direct, target, &[]), (202, answer), "{target}");
            let delivery = stored.lock().unwrap().pop().unwrap();
            assert_eq!((delivery.errand.kind(), delivery.errand.target()), ("publish", topic));
            assert_eq!(delivery.errand.note().as_deref(), Some(note), "{target}");
            assert_eq!((delivery.lane.sink.as_str(), delivery.body.as_slice()), (sink, &b"{}"[..]));
        }
    }

    #[test]
    fn a_call_has_the_path_and_type_of_its_request() {
        let (direct, stored) = direct(None, false);
        for (target, content_type, path, note) in [
            ("/api/call/shop", None, "", "application/json"),
            ("/api/call/shop/", Some("text/plain"), "/", "text/plain"),
            ("/api/call/shop/a%2Fb/c?d=e", Some(""), "/a%2Fb/c?d=e", ""),
        ] {
            let headers: Vec<_> = content_type.iter().map(|it| ("Content-Type", *it)).collect();
            assert_eq!(post(&direct, target, &headers).0, 202, "{target}");
            let delivery = stored.lock().unwrap().pop().unwrap();
            assert_eq!((delivery.errand.kind(), delivery.errand.target()), ("call", path));
            assert_eq!(delivery.errand.note().as_deref(), Some(note), "{target}");
            assert_eq!(delivery.lane.sink.as_str(), "webhook shop");
        }
    }

    #[test]
    fn what_cannot_be_handed_over_is_refused_in_words() {
        let (direct, stored) = direct(None, false);
        for (target, status, words) in [
            ("/api/publish/shop/a", 404, r#""known":["plant","a b"]"#),
            ("/api/publish/", 404, "no broker that is published to of the name ``"),
            ("/api/call/plant", 404, r#""known":["shop"]"#),
            ("/api/publish/plant", 400, "a topic may not be empty"),
            ("/api/publish/plant/a/%23", 400, "wildcard `#`"),
            ("/api/publish/plant/a+b", 400, "wildcard `+`"),
            ("/api/publish/plant/a%00", 400, "NUL"),
            ("/api/publish/plant/%FF", 400, "not UTF-8"),
            ("/api/publish/plant/a?qos=3", 400, "`qos=0`, `1` or `2`"),
            ("/api/publish/plant/a?retained=true", 400, "`retain=true` or `false`"),
            ("/api/call/shop/../x", 400, "`.` or `..`"),
            ("/api/call/shop/%2e%2E/x", 400, "`.` or `..`"),
        ] {
            let (found, body) = post(&direct, target, &[]);
            assert_eq!(found, status, "{target}: {body}");
            assert!(body.contains(words), "{target}: {body}");
        }
        let (status, _) = post(&direct, "/api/call/shop", &[("Content-Encoding", "br")]);
        assert_eq!(status, 415);
        assert!(stored.lock().unwrap().is_empty());
    }

    #[test]
    fn a_web_page_needs_the_token_and_others_may_need_it() {
        let origin = ("Origin", "http://evil.example");
        let bearer = ("Authorization", "Bearer opensesame");
        for (token, headers, status) in [
            (None, &[][..], 202),
            (None, &[origin], 403),
            (Some("opensesame"), &[], 401),
            (Some("opensesame"), &[bearer], 202),
            (Some("opensesame"), &[bearer, origin], 202),
        ] {
            let (direct, _) = direct(token, false);
            for target in ["/api/publish/plant/a", "/api/call/shop"] {
                assert_eq!(post(&direct, target, headers).0, status, "{token:?} {headers:?}");
            }
        }
    }

    #[test]
    fn a_full_queue_and_other_methods_are_answered_as_for_events() {
        let (full, _) = direct(None, true);
        let refused = (503, r#"{"error":"the queue is full"}"#.to_owned());
        assert_eq!(post(&full, "/api/call/shop", &[]), refused);
        let get = |path| {
            let request = Request { method: "GET", path, query: "", headers: &[], body: b"" };
            full.answer(&request).map(|response| response.status)
        };
        assert_eq!(get("/api/publish/plant/a"), Some(405));
        assert_eq!(get("/api/publish"), None);
        assert_eq!(get("/api/events"), None);
    }
}
