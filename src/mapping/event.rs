//! Stand-in for the mapping of events, which is written elsewhere.

use crate::config::Enrichment;
use crate::message::{Delivery, Kind, Lane};

/// An event that came over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpEvent {
    /// What goes to the queue.
    pub delivery: Delivery,
    /// What the client is shown.
    pub echo: Vec<u8>,
}

/// Why an event is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// What the client is told.
    pub body: Vec<u8>,
}

/// Maps the body of a POST.
///
/// # Errors
///
/// Says what the client is answered.
pub fn from_http(body: &[u8], _enrichment: &Enrichment) -> Result<HttpEvent, Reject> {
    let bad = |words: String| Reject {
        status: 400,
        content_type: "text/plain; charset=utf-8",
        body: words.into_bytes(),
    };
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|e| bad(format!("Json deserialize error: {e}")))?;
    let text = |name: &str| value.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    let key = text("integrationKey")
        .ok_or_else(|| bad("Json deserialize error: missing field `integrationKey`".to_owned()))?;
    let delivery = Delivery {
        lane: Lane { sink: "ilert".to_owned(), key },
        order_key: text("alertKey"),
        kind: Kind::Event,
        target: "/api/events".to_owned(),
        body: body.to_vec(),
        origin: "http".to_owned(),
    };
    Ok(HttpEvent { delivery, echo: body.to_vec() })
}
