//! What a sidecar answers over HTTP, and whom.

use super::path::Path;
use super::refusal::{NOT_READY, PUBLISH_MESSAGE, Refusal};
use super::standing::{NOTE_BYTES_MAX, NOTES_MAX, Standing};
use crate::config;
use crate::sources::http::door::names_a_page;
use crate::sources::http::waiter::Take;
use crate::system::http::token::same;
use crate::system::http::{Request, Response, Routes, form};
use log::info;
use std::sync::Arc;

/// The header in which clients show their token.
const TOKEN: &str = "dapr-api-token";

/// What anybody may ask for, and is answered even when all connections are in use.
const PROBES: [&str; 2] = ["/v1.0/healthz", "/v1.0/healthz/outbound"];

/// What all listeners of a sidecar share.
pub(super) struct Sidecar {
    pub(super) settings: config::Dapr,
    /// Stores a batch in one commit.
    pub(super) store: Box<Take>,
    /// Hands a batch to its sinks without storing it.
    pub(super) pass_on: Box<Take>,
    pub(super) standing: Arc<Standing>,
    /// Asks the agent to stop.
    pub(super) end: fn(),
}

/// The routes of one listener below `/v1.0`.
pub(super) struct Api {
    pub(super) sidecar: Arc<Sidecar>,
    token: Option<config::Secret>,
    /// Only programs on this machine reach it.
    is_private: bool,
    pub(super) body_bytes_max: usize,
}

impl Routes for Api {
    fn door(&self, head: &Request) -> Option<Response> {
        if self.may_enter(head) {
            return None;
        }
        info!("http: refused a request without the right token");
        Some(Response::new(401, "text/plain", "invalid api token"))
    }

    fn is_probe(&self, head: &Request) -> bool {
        PROBES.contains(&head.path)
    }

    /// Blocks until what is published is stored.
    fn answer(&self, request: &Request) -> Option<Response> {
        if let Some(refusal) = self.door(request) {
            return Some(refusal);
        }
        if !request.path.trim_start_matches('/').starts_with("v1.0") {
            return None;
        }
        let answer = self.route(request);
        Some(answer.unwrap_or_else(|refusal| refusal.response(self.app_id())))
    }

    fn refused(&self, status: u16, why: &str) -> Option<Response> {
        let code = if status == 413 { PUBLISH_MESSAGE } else { "ERR_MALFORMED_REQUEST" };
        Some(Refusal::new(status, code, why).response(self.app_id()))
    }
}

/// What a sidecar answers on all other paths.
pub(super) struct Elsewhere;

impl Routes for Elsewhere {
    fn answer(&self, _request: &Request) -> Option<Response> {
        Some(Refusal::not_offered("").response(""))
    }
}

impl Api {
    pub(super) fn new(sidecar: Arc<Sidecar>, settings: &config::Http) -> Self {
        Api {
            sidecar,
            token: settings.token.clone(),
            is_private: settings.bind.is_loopback(),
            body_bytes_max: settings.body_bytes_max,
        }
    }

    pub(super) fn app_id(&self) -> &str {
        &self.sidecar.settings.app_id
    }

    fn may_enter(&self, head: &Request) -> bool {
        let Some(token) = &self.token else { return true };
        let is_free = head.method == "GET" && PROBES.contains(&head.path);
        is_free || head.header(TOKEN).is_some_and(|shown| same(shown, token.expose()))
    }

    fn route(&self, request: &Request) -> Result<Response, Refusal> {
        let invalid = |words| {
            Refusal::new(400, "ERR_TOPIC_NAME_INVALID", words)
                .because("DAPR_PUBSUB_TOPIC_NAME_INVALID")
        };
        let path = Path::read(request.path).map_err(invalid)?;
        let only_reads = matches!(request.method, "GET" | "HEAD");
        if !only_reads && self.token.is_none() && names_a_page(request) {
            let words = "a web page may only do this with a token";
            return Err(Refusal::new(403, "ERR_PUBSUB_FORBIDDEN", words));
        }
        match (path, request.method) {
            (Path::Publish(to), "POST" | "PUT") => self.publish(request, &to),
            (Path::PublishBulk(to), "POST" | "PUT") => self.publish_bulk(request, &to),
            (Path::Healthz, "GET" | "HEAD") => self.healthz(request),
            (Path::HealthzOutbound, "GET" | "HEAD") => Ok(Response::empty(204)),
            (Path::Metadata, "GET" | "HEAD") => Ok(Response::json(200, self.sidecar.metadata())),
            (Path::MetadataKey(key), "PUT") => self.note(key, request),
            (Path::Shutdown, "POST") => self.shutdown(),
            (Path::Other(part), _) => Err(Refusal::not_offered(&part)),
            (_, method) => Err(Refusal::not_offered(&format!("{method} {}", request.path))),
        }
    }

    fn healthz(&self, request: &Request) -> Result<Response, Refusal> {
        let wanted = form::value(request.query, "appid");
        if wanted.is_some_and(|wanted| wanted != self.app_id()) {
            let words = format!("this is the sidecar of {}", self.app_id());
            return Err(Refusal::new(500, "ERR_HEALTH_APPID_NOT_MATCH", words));
        }
        if self.sidecar.standing.is_ready() {
            return Ok(Response::empty(204));
        }
        let words = "dapr is not ready: [the application's subscriptions are not known yet]";
        Err(Refusal::new(500, NOT_READY, words))
    }

    fn note(&self, key: String, request: &Request) -> Result<Response, Refusal> {
        let text = String::from_utf8_lossy(request.body).into_owned();
        if self.sidecar.standing.note(key, text) {
            return Ok(Response::empty(204));
        }
        let words = format!("there is room for {NOTES_MAX} keys of {NOTE_BYTES_MAX} bytes each");
        Err(Refusal::new(400, "ERR_METADATA_FULL", words))
    }

    fn shutdown(&self) -> Result<Response, Refusal> {
        if !self.is_private && self.token.is_none() {
            let words = "only programs on this machine, or with a token, may do this";
            return Err(Refusal::new(403, "ERR_SHUTDOWN_FORBIDDEN", words));
        }
        info!("http: asked to shut down");
        (self.sidecar.end)();
        Ok(Response::empty(204))
    }
}

#[cfg(test)]
pub(super) mod tests;
