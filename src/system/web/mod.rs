//! HTTP as a client: the way to a host, one client for every sink, and media types, which
//! listeners read, too.

mod client;
mod way;

pub use client::{Call, Client, Failure, Limits, NoReply, Reply};
pub use way::Way;

/// Whether a text can be asked for: a whole URL of a host.
#[must_use]
pub fn is_url(text: &str) -> bool {
    let parsed = text.parse::<ureq::http::Uri>();
    parsed.is_ok_and(|url| url.host().is_some_and(|host| !host.is_empty()))
}

/// Whether a media type is `application/json` or a relative of it, parameters aside.
#[must_use]
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let suffix = subtype.rsplit_once('+').map(|(_, suffix)| suffix);
    (kind.eq_ignore_ascii_case("application") && subtype.eq_ignore_ascii_case("json"))
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"))
}
