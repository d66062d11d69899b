//! What all routes below `/api/` share: who may enter, how large and how packed a body may be, and
//! the answer to a message that is not safe.

use super::waiter::{self, NotSafe, Take};
use crate::config;
use crate::message::Delivery;
use crate::queue::{Push, Queue, Storing};
use crate::system::http::encoding::{self, Packed};
use crate::system::http::{Request, Response, token};
use log::{info, warn};
use std::borrow::Cow;
use std::time::Duration;

/// What people call this source.
const SOURCE: &str = "http";

/// Where the routes are.
const API: &str = "/api/";

/// How long a message may take to be stored before its client is asked to send it again.
const STORE_MAX: Duration = Duration::from_secs(10);
/// When a client that was refused for lack of room should try again, in seconds.
pub(super) const RETRY_AFTER: &str = "5";

/// The door of one listener.
pub struct Door {
    token: Option<config::Secret>,
    take: Box<Take>,
    pub(super) store_max: Duration,
    body_bytes_max: usize,
}

impl Door {
    /// What comes in goes to `queue`.
    #[must_use]
    pub fn new(settings: &config::Http, queue: Queue) -> Self {
        let take = move |batch: Vec<Push>| {
            queue.came(SOURCE, batch.len());
            if queue.is_followed() {
                tell(&queue, &batch);
            }
            queue.push(batch, None)
        };
        Door::with(settings, Box::new(take))
    }

    pub(super) fn with(settings: &config::Http, take: Box<Take>) -> Self {
        Door {
            token: settings.token.clone(),
            take,
            store_max: STORE_MAX,
            body_bytes_max: settings.body_bytes_max,
        }
    }

    /// The answer to a client without the token.
    pub(super) fn refusal(&self, head: &Request) -> Option<Response> {
        if !head.path.starts_with(API) || self.may_enter(head) {
            return None;
        }
        info!("http: refused a request without the right token");
        Some(Response::empty(401).with("WWW-Authenticate", "Bearer"))
    }

    fn may_enter(&self, request: &Request) -> bool {
        let Some(wanted) = &self.token else { return true };
        token::shown(request).is_some_and(|shown| token::same(shown, wanted.expose()))
    }

    /// Whether clients have to show a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether a page in somebody's browser may have sent it; no page knows the token.
    pub(super) fn is_by_a_page(&self, request: &Request) -> bool {
        self.token.is_none() && names_a_page(request)
    }

    /// The body, unpacked, or the answer to one that cannot be.
    pub(super) fn body<'a>(&self, request: &Request<'a>) -> Result<Cow<'a, [u8]>, Response> {
        let encoding = request.header("content-encoding");
        encoding::unpacked(encoding, request.body, self.body_bytes_max).map_err(cannot_unpack)
    }

    /// Returns when `delivery`, which the log calls `what`, is on disk, and not before.
    pub(super) fn store(&self, delivery: Delivery, what: &str) -> Result<(), Response> {
        let batch = vec![Push::Delivery { delivery, storing: Storing::AtOnce, receipt: None }];
        match waiter::store(batch, &*self.take, self.store_max) {
            Ok(()) => {
                info!("http: accepted {what}");
                Ok(())
            }
            Err(NotSafe::InTime) => {
                warn!("http: {what}, was not stored in time");
                Err(come_again("not stored in time; it may still be delivered"))
            }
            Err(NotSafe::Refused(error)) => {
                warn!("http: refused {what}: {error}");
                Err(come_again(waiter::words(&error)))
            }
        }
    }
}

/// Tells those who follow what has come.
fn tell(queue: &Queue, batch: &[Push]) {
    for push in batch {
        if let Push::Delivery { delivery, .. } = push {
            queue.tell(SOURCE, &delivery.origin, delivery.body.len(), std::slice::from_ref(push));
        }
    }
}

fn cannot_unpack(why: Packed) -> Response {
    info!("http: refused a request: its body cannot be unpacked ({why:?})");
    match why {
        Packed::Broken => Response::text(400, "the body is not what its Content-Encoding says"),
        Packed::TooLarge => Response::text(413, "the request body is too large"),
        Packed::Unknown => {
            let what = "send it plain, or with \"Content-Encoding: gzip\" or \"deflate\"";
            Response::text(415, what).with("Accept-Encoding", encoding::KNOWN)
        }
    }
}

/// The answer to a client for whom there is no room now.
pub(super) fn come_again(why: &str) -> Response {
    refused(503, why).with("Retry-After", RETRY_AFTER)
}

/// An answer that says in JSON why not.
pub(super) fn refused(status: u16, why: &str) -> Response {
    Response::json(status, serde_json::json!({ "error": why }).to_string())
}

/// Browsers name the page in whatever it posts.
pub(in crate::sources) fn names_a_page(request: &Request) -> bool {
    request.headers.iter().any(|header| header.name.eq_ignore_ascii_case("origin"))
}
