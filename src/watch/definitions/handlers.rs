//! Handlers of topics: defined, changed, deleted.

use super::{
    BASE, Definitions, HANDLERS, HANDLERS_MAX, Handler, Refusal, Safe, escaped, fits, forgotten,
    href, no_topic, store, stored,
};
use crate::alerts::Event;
use crate::alerts::handlers::HandlerSpec;
use crate::message::Record;
use crate::system::threads::lock;
use serde_json::{Value, json};

impl Definitions {
    /// The handlers of a topic that fit a pattern.
    pub fn handlers(&self, topic: &str, pattern: &str) -> Result<Value, Refusal> {
        let is_there = lock(&self.watch.state).deliver.topics.get(topic).is_some();
        if !is_there {
            return Err(no_topic(topic));
        }
        let known = lock(&self.known);
        let ids = known.handlers.iter().filter_map(|(place, handler)| {
            let (of, id) = place.split_once('\n')?;
            (of == topic && fits(pattern, id)).then(|| object(topic, id, handler))
        });
        let handlers: Vec<Value> = ids.collect();
        let link = json!({ "rel": "self", "href": format!("{}/handlers", href(topic)) });
        Ok(json!({ "link": link, "topic": topic, "handlers": handlers }))
    }

    /// One handler.
    pub fn handler(&self, topic: &str, id: &str) -> Result<Value, Refusal> {
        let known = lock(&self.known);
        let handler = known.handlers.get(&place(topic, id)).ok_or_else(|| unknown(id))?;
        Ok(object(topic, id, handler))
    }

    /// A new handler.
    pub fn create_handler(
        &self,
        topic: &str,
        body: &Value,
        safe: &Safe<'_>,
    ) -> Result<Value, Refusal> {
        let (id, spec, handler) = self.read(topic, body)?;
        let mut known = lock(&self.known);
        if known.handlers.contains_key(&place(topic, &id)) {
            let what = format!("cannot register handler, handler with ID {id:?} already exists");
            return Err(Refusal::new(500, what));
        }
        if known.handlers.len() >= HANDLERS_MAX {
            let what = format!("there are {HANDLERS_MAX} handlers, which is the most");
            return Err(Refusal::new(400, what));
        }
        store(vec![record(topic, &id, &handler)], safe)?;
        lock(&self.watch.state).deliver.topics.put(spec);
        let object = object(topic, &id, &handler);
        known.handlers.insert(place(topic, &id), Box::new(handler));
        Ok(object)
    }

    /// Another handler in place of one; it may have another id.
    pub fn replace_handler(
        &self,
        topic: &str,
        id: &str,
        body: &Value,
        safe: &Safe<'_>,
    ) -> Result<Value, Refusal> {
        let (new, spec, handler) = self.read(topic, body)?;
        let mut known = lock(&self.known);
        if !known.handlers.contains_key(&place(topic, id)) {
            return Err(unknown(id));
        }
        let mut records = vec![record(topic, &new, &handler)];
        if new != id {
            records.push(forgotten(HANDLERS, place(topic, id)));
        }
        store(records, safe)?;
        let mut state = lock(&self.watch.state);
        if new != id {
            state.deliver.topics.remove(topic, id);
            known.handlers.remove(&place(topic, id));
        }
        state.deliver.topics.put(spec);
        let object = object(topic, &new, &handler);
        known.handlers.insert(place(topic, &new), Box::new(handler));
        Ok(object)
    }

    /// A change of a handler by a JSON patch.
    pub fn patch_handler(
        &self,
        topic: &str,
        id: &str,
        patch: &Value,
        safe: &Safe<'_>,
    ) -> Result<Value, Refusal> {
        let mut body = {
            let known = lock(&self.known);
            let handler = known.handlers.get(&place(topic, id)).ok_or_else(|| unknown(id))?;
            handler.given.clone()
        };
        apply(&mut body, patch)
            .ok_or_else(|| Refusal::new(400, "failed to update handler: bad patch"))?;
        self.replace_handler(topic, id, &body, safe)
    }

    /// The end of a handler. One that is not there is no fault.
    pub fn delete_handler(&self, topic: &str, id: &str, safe: &Safe<'_>) -> Result<(), Refusal> {
        let mut known = lock(&self.known);
        if !known.handlers.contains_key(&place(topic, id)) {
            return Ok(());
        }
        store(vec![forgotten(HANDLERS, place(topic, id))], safe)?;
        lock(&self.watch.state).deliver.topics.remove(topic, id);
        known.handlers.remove(&place(topic, id));
        Ok(())
    }

    /// Publishes a message to a broker, to see if that works.
    ///
    /// # Errors
    ///
    /// Says why it does not.
    pub fn test_mqtt(&self, options: &Value, safe: &Safe<'_>) -> Result<(), String> {
        let text = |key: &str| options.get(key).and_then(Value::as_str).unwrap_or_default();
        if text("topic").is_empty() {
            return Err("missing MQTT topic".to_owned());
        }
        let handler = json!({
            "id": "test",
            "topic": "test",
            "kind": "mqtt",
            "options": { "broker-name": text("broker-name"), "topic": text("topic") },
        });
        let handler = HandlerSpec::read(&handler)?;
        let message = match text("message") {
            "" => "test MQTT message",
            said => said,
        };
        let event = Event { message: message.to_owned(), ..Event::default() };
        let tested = lock(&self.watch.state).deliver.test(&handler, &event)?;
        safe(vec![tested]).map_err(|refusal| refusal.words)
    }

    /// A handler that can do its work.
    fn read(&self, topic: &str, body: &Value) -> Result<(String, HandlerSpec, Handler), Refusal> {
        let read = read(topic, body)?;
        self.brokers.check(&read.1).map_err(invalid)?;
        Ok(read)
    }

    pub(super) fn restore_handler(&self, topic: &str, id: &str, handler: &Handler) {
        match read(topic, &handler.given) {
            Ok((_, spec, _)) => lock(&self.watch.state).deliver.topics.put(spec),
            Err(refusal) => {
                log::error!("alerts: the handler {id} of {topic}: {}", refusal.words);
            }
        }
    }
}

/// A handler as a body of the API defines it: its id, what it does, what is kept.
pub(in crate::watch) fn read(
    topic: &str,
    body: &Value,
) -> Result<(String, HandlerSpec, Handler), Refusal> {
    let field = |key: &str| {
        let all = body.as_object().into_iter().flatten();
        all.filter(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.clone())
            .next()
    };
    let mut given = json!({
        "topic": topic,
        "id": field("id").unwrap_or_default(),
        "kind": field("kind").unwrap_or_default(),
        "options": field("options").filter(|it| !it.is_null()).unwrap_or_else(|| json!({})),
    });
    let matches = field("match").filter(|it| !it.is_null() && *it != json!(""));
    if let Some(matches) = matches {
        given["match"] = matches;
    }
    let spec = HandlerSpec::read(&given).map_err(invalid)?;
    Ok((spec.id.clone(), spec, Handler { given, loaded: false }))
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn invalid(words: String) -> Refusal {
    Refusal::new(400, format!("invalid handler spec: {words}"))
}

pub(in crate::watch) fn record(topic: &str, id: &str, handler: &Handler) -> Record {
    let text = serde_json::to_string(handler).expect("it is JSON already");
    stored(HANDLERS, place(topic, id), text)
}

fn object(topic: &str, id: &str, handler: &Handler) -> Value {
    let of = |key: &str| handler.given.get(key).cloned().unwrap_or_default();
    let href = format!("{BASE}/alerts/topics/{}/handlers/{}", escaped(topic), escaped(id));
    json!({
        "link": { "rel": "self", "href": href },
        "id": id,
        "kind": of("kind"),
        "options": of("options"),
        "match": handler.given.get("match").cloned().unwrap_or_else(|| json!("")),
    })
}

/// Where it is known, and the name of its record.
pub(in crate::watch) fn place(topic: &str, id: &str) -> String {
    format!("{topic}\n{id}")
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(404, format!("unknown handler: {id:?}"))
}

/// Applies a JSON patch of `add`, `replace` and `remove`.
fn apply(body: &mut Value, patch: &Value) -> Option<()> {
    for step in patch.as_array()? {
        let (way, last) = step.get("path")?.as_str()?.rsplit_once('/')?;
        let last = last.replace("~1", "/").replace("~0", "~");
        let parent = body.pointer_mut(way)?.as_object_mut()?;
        match step.get("op")?.as_str()? {
            "add" | "replace" => drop(parent.insert(last, step.get("value")?.clone())),
            "remove" => drop(parent.remove(&last)?),
            _ => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names() {
        let body = json!({ "kind": "mqtt", "options": { "qos": 1 } });
        for (patch, wanted) in [
            (
                json!([{ "op": "replace", "path": "/kind", "value": "log" }]),
                Some(json!({ "kind": "log", "options": { "qos": 1 } })),
            ),
            (
                json!([{ "op": "add", "path": "/options/topic", "value": "a" }, { "op": "remove", "path": "/options/qos" }]),
                Some(json!({ "kind": "mqtt", "options": { "topic": "a" } })),
            ),
            (json!([{ "op": "test", "path": "/kind", "value": "mqtt" }]), None),
            (json!([{ "op": "remove", "path": "/options/none" }]), None),
            (json!({}), None),
        ] {
            let mut changed = body.clone();
            let applied = apply(&mut changed, &patch).map(|()| changed);
            assert_eq!(applied, wanted, "{patch}");
        }
    }
}
