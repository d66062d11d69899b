//! Publishing: one message or several become deliveries to the broker of a component, and are
//! answered once they are stored.

use super::path::Topic;
use super::refusal::Refusal;
use super::routes::Api;
use crate::config::{Confirm, PubSub, PublishRule};
use crate::intake::stamp;
use crate::mapping::cloudevent;
use crate::mapping::dapr::bulk::{self, Unfit};
use crate::mapping::dapr::envelope::{Envelope, Trace};
use crate::mapping::dapr::manner::{Manner, Pair};
use crate::message::{Delivery, Errand, Keep, LaneName};
use crate::queue::{Push, Storing};
use crate::sources::http::waiter::{self, NotSafe};
use crate::system::http::encoding::{self, Packed};
use crate::system::http::{Request, Response, form};
use crate::system::plain::plain;
use crate::topic::check_topic;
use log::debug;
use std::borrow::Cow;
use std::time::Duration;

/// How long publications may take to be stored.
const STORE_MAX: Duration = Duration::from_secs(10);

/// How long a broker may take to confirm them, where that is waited for.
const CONFIRM_MAX: Duration = Duration::from_secs(20);

/// How long a `traceparent` is at least, with its four parts of hexadecimal digits.
const TRACE_PARENT_BYTES: usize = 55;

impl Api {
    pub(super) fn publish(&self, request: &Request, to: &Topic) -> Result<Response, Refusal> {
        let component = self.component(to)?;
        let body = self.body(request, to)?;
        let asked: Vec<Pair> = metadata(request.query).collect();
        let content_type = request.header("content-type").filter(|kind| !kind.is_empty());
        let published = Published { component, to, content_type, trace: &trace(request) };
        let delivery = published.delivery(self.app_id(), &asked, body)?;
        self.take(component, vec![delivery], to)?;
        debug!("http: accepted a publication to {}", plain(&to.topic));
        Ok(Response::empty(204))
    }

    /// Takes all entries, or none.
    pub(super) fn publish_bulk(&self, request: &Request, to: &Topic) -> Result<Response, Refusal> {
        let component = self.component(to)?;
        let body = self.body(request, to)?;
        let asked: Vec<Pair> = metadata(request.query).collect();
        let trace = trace(request);
        let entries = bulk::entries(&body).map_err(|unfit| refusal_of(unfit, to))?;
        let (mut ids, mut deliveries) = (Vec::new(), Vec::with_capacity(entries.len()));
        for entry in entries {
            let content_type = Some(&*entry.content_type);
            let published = Published { component, to, content_type, trace: &trace };
            let asked = [entry.metadata, asked.clone()].concat();
            deliveries.push(published.delivery(self.app_id(), &asked, entry.body)?);
            ids.push(entry.id.into_owned());
        }
        if !deliveries.is_empty() {
            self.take(component, deliveries, to).map_err(|refusal| refusal.of(ids))?;
        }
        Ok(Response::empty(204))
    }

    fn component(&self, to: &Topic) -> Result<&PubSub, Refusal> {
        let settings = &self.sidecar.settings;
        if settings.components.is_empty() {
            let words = format!("pubsub {} is not configured: no component is loaded", to.pubsub);
            let refusal = Refusal::new(400, "ERR_PUBSUB_NOT_CONFIGURED", words);
            return Err(refusal.because("DAPR_PUBSUB_NOT_CONFIGURED"));
        }
        settings.component(&to.pubsub).ok_or_else(|| {
            let words = format!("pubsub {} is not found", to.pubsub);
            Refusal::new(404, "ERR_PUBSUB_NOT_FOUND", words).because("DAPR_PUBSUB_NOT_FOUND")
        })
    }

    /// The body, unpacked.
    fn body<'a>(&self, request: &Request<'a>, to: &Topic) -> Result<Cow<'a, [u8]>, Refusal> {
        let encoding = request.header("content-encoding");
        encoding::unpacked(encoding, request.body, self.body_bytes_max).map_err(|why| match why {
            Packed::TooLarge => Refusal::publish(413, to, "the request body is too large"),
            Packed::Broken => {
                Refusal::publish(400, to, "the body is not what its Content-Encoding says")
            }
            Packed::Unknown => Refusal::publish(415, to, "the body is packed in an unknown way"),
        })
    }

    /// Returns when all of it is stored, in one commit, or confirmed by the broker, as the component
    /// says.
    fn take(
        &self,
        component: &PubSub,
        deliveries: Vec<Delivery>,
        to: &Topic,
    ) -> Result<(), Refusal> {
        let batch = |storing| {
            let push = |delivery| Push::Delivery { delivery, storing, receipt: None };
            deliveries.into_iter().map(push).collect()
        };
        let (taken, late) = match component.confirm {
            Confirm::Stored => (
                waiter::store(batch(Storing::AtOnce), &*self.sidecar.store, STORE_MAX),
                "not stored in time; it may still be published",
            ),
            Confirm::Broker => (
                waiter::hand_over(batch(Storing::IfRefused), &*self.sidecar.pass_on, CONFIRM_MAX),
                "the broker has not confirmed it in time; it is withdrawn unless it was under way",
            ),
        };
        taken.map_err(|not| match not {
            NotSafe::InTime => Refusal::publish(500, to, late),
            NotSafe::Refused(error) => Refusal::publish(503, to, waiter::words(&error)),
        })
    }
}

/// Where something is published, and what its request says of all that is in it.
struct Published<'a> {
    component: &'a PubSub,
    to: &'a Topic,
    content_type: Option<&'a str>,
    trace: &'a Trace,
}

impl Published<'_> {
    /// What is for the broker. The checks are in the order of the original.
    fn delivery(&self, app_id: &str, asked: &[Pair], body: Cow<[u8]>) -> Result<Delivery, Refusal> {
        let Published { component, to, .. } = *self;
        let manner = Manner::read(asked).map_err(|what| {
            let words = format!("failed deserializing metadata. Error: {what}");
            Refusal::new(400, "ERR_PUBSUB_REQUEST_METADATA", words)
                .because("DAPR_PUBSUB_METADATA_DESERIALIZATION")
                .about(to)
        })?;
        let stamp = stamp();
        // While the clock has not been set nobody could tell when something ends.
        let lifetime = manner.ttl.filter(|_| cloudevent::is_set(stamp.time));
        let expires = lifetime.and_then(|ttl| stamp.time.checked_add(ttl));
        let envelope = Envelope {
            app_id,
            pubsub: &to.pubsub,
            topic: &to.topic,
            content_type: self.content_type,
            stamp: &stamp,
            trace: self.trace,
            expires,
            said: &manner.said,
        };
        let body = if manner.is_raw { Some(body.into_owned()) } else { envelope.around(&body) };
        let body = body.ok_or_else(|| {
            Refusal::new(500, "ERR_PUBSUB_CLOUD_EVENTS_SER", "cannot create cloudevent")
                .because("DAPR_PUBSUB_CLOUD_EVENT_CREATION")
                .about(to)
        })?;
        Ok(Delivery {
            lane: LaneName {
                sink: PublishRule::sink_name(&component.broker).into(),
                key: String::new(),
            },
            // The broker gets what is for it in order in any case.
            order_key: None,
            errand: Errand::Publish {
                topic: self.topic(app_id)?,
                qos: component.qos,
                retain: manner.retain.unwrap_or(component.retain),
            },
            keep: expires.map_or(Keep::UntilDelivered, Keep::Before),
            body,
            origin: "dapr".to_owned(),
        })
    }

    /// The topic at the broker, if this application may publish to it.
    fn topic(&self, app_id: &str) -> Result<String, Refusal> {
        let Topic { topic, .. } = self.to;
        let whole = format!("{}{topic}", self.component.prefix);
        check_topic(&whole).map_err(|what| {
            Refusal::new(400, "ERR_TOPIC_NAME_INVALID", what)
                .because("DAPR_PUBSUB_TOPIC_NAME_INVALID")
                .about(self.to)
        })?;
        if !self.component.scopes.allow_publishing(topic) {
            let words = format!("topic {topic} is not allowed for app id {app_id}");
            let refusal = Refusal::new(403, "ERR_PUBSUB_FORBIDDEN", words);
            return Err(refusal.because("DAPR_PUBSUB_FORBIDDEN").about(self.to));
        }
        Ok(whole)
    }
}

fn refusal_of(unfit: Unfit, to: &Topic) -> Refusal {
    let Topic { pubsub, topic } = to;
    let marshaling = format!("error marshaling events to bytes for topic {topic} pubsub {pubsub}");
    let (reason, words) = match unfit {
        Unfit::Unreadable(what) => (
            "DAPR_PUBSUB_UNMARSHAL_EVENTS",
            format!(
                "error when unmarshaling the request for topic {topic} pubsub {pubsub}: {what}"
            ),
        ),
        Unfit::Unnamed => (
            "DAPR_PUBSUB_MARSHAL_EVENTS",
            format!("{marshaling}. error: entryId is duplicated or not present for entry"),
        ),
        Unfit::Body(what) => {
            ("DAPR_PUBSUB_MARSHAL_ENVELOPE", format!("{marshaling}. error: {what}"))
        }
    };
    Refusal::new(400, "ERR_PUBSUB_EVENTS_SER", words).because(reason).about(to)
}

/// What the query of a request asks for: `metadata.KEY=VALUE`.
fn metadata(query: &str) -> impl Iterator<Item = Pair<'_>> {
    form::pairs(query).filter_map(|(name, value)| {
        let key = name.strip_prefix("metadata.")?.to_owned();
        Some((Cow::Owned(key), value))
    })
}

/// The trace of a request, or a new one.
fn trace(request: &Request) -> Trace {
    let given = request.header("traceparent").filter(|parent| is_trace_parent(parent));
    let random = || format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..));
    Trace {
        parent: given.map_or_else(random, str::to_owned),
        state: request.header("tracestate").unwrap_or_default().to_owned(),
    }
}

fn is_trace_parent(text: &str) -> bool {
    let lengths = text.split('-').take(4).map(str::len);
    text.len() >= TRACE_PARENT_BYTES
        && lengths.eq([2, 32, 16, 2])
        && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
