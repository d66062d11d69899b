//! The page of `GET /`, for whoever stands before the box: do alarms get out, what waits, and why?
//!
//! One document without requests elsewhere. Its beginning (style and script) is always the same and
//! packed at build time; what is live is written here, as tables that need no script. The script
//! asks for the page again while somebody looks at it and changes what differs. Nothing is ever
//! made of HTML that others wrote: see [`html`]. The policy lets run what its hashes name, no more.
//!
//! What is shown to everybody is what `/status` shows. Dead letters and lines of the log have
//! topics and words of others, so where the listener has a token they are for those who show it.

mod html;
mod parts;

use super::{Status, VERSION, report};
use crate::system::http::encoding::{self, Opening};
use crate::system::http::{Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use html::Html;
use parts::Seen;
use ring::digest;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

/// What the build has made of `page.html`.
static OPENING: LazyLock<Opening> =
    LazyLock::new(|| Opening::new(include_bytes!(concat!(env!("OUT_DIR"), "/page.deflate"))));

/// What the page may do, with the hashes of its style and its script.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let page = String::from_utf8_lossy(&OPENING.unpacked()).into_owned();
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(between(&page, "<style>", "</style>")),
        hash(between(&page, "<script type=\"module\">", "</script>")),
    )
});

fn between<'p>(page: &'p str, from: &str, to: &str) -> &'p str {
    page.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map_or("", |(found, _)| found)
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

/// Whether a client wants the page, and not the word that upstream's agent has here.
pub(super) fn is_wanted(head: &Request) -> bool {
    head.path == "/" && head.header("accept").is_some_and(|types| types.contains("text/html"))
}

/// Whether whoever asks may see more and do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The listener has no token: all is shown, and nothing can be done.
    None,
    /// It has one, which was not shown.
    Wanted,
    /// Something else was shown.
    Wrong,
    /// It was shown.
    Shown,
    /// This is a listener for other clients.
    Elsewhere,
}

/// The page as it is now.
pub(super) fn answer(status: &Status, request: &Request, now: Instant) -> Response {
    let snapshot = status.health.snapshot();
    let key = status.key(request);
    let letters = match key {
        Key::None | Key::Shown => status.letters(&snapshot.queue, now),
        Key::Wanted | Key::Wrong | Key::Elsewhere => Arc::default(),
    };
    let seen = Seen {
        version: VERSION,
        up: report::seconds_since(status.started, now),
        trouble: snapshot.trouble(now, status.limits),
        minutes: status.health.minutes(now),
        tables: status.health.tables(),
        snapshot: &snapshot,
        letters: &letters,
        key,
        now,
    };
    let mut html = Html::default();
    parts::main(&mut html, &seen);
    response(request, &html.into_string())
}

fn response(request: &Request, live: &str) -> Response {
    let is_packed = encoding::takes_gzip(request.header("accept-encoding"));
    let body = match is_packed {
        true => OPENING.gzip(live.as_bytes()),
        false => [&OPENING.unpacked(), live.as_bytes()].concat(),
    };
    let page = Response::new(200, "text/html; charset=utf-8", body)
        .with("Content-Security-Policy", POLICY.as_str())
        .with("X-Content-Type-Options", "nosniff")
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Resource-Policy", "same-origin")
        .with("Cache-Control", "no-store")
        .with("Vary", "Accept, Accept-Encoding, Authorization");
    if is_packed { page.with("Content-Encoding", "gzip") } else { page }
}

#[cfg(test)]
mod tests;
