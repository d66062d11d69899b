//! Escalation policies: who is on duty goes into a level of the policy a routing key names.

use super::judge::{Reply, excerpt, judge};
use super::secrets::Secrets;
use super::{answer, config};
use crate::message::{Holds, Outcome, PolicyUpdate};
use crate::system::plain::plain;
use serde_json::{Value, json};
use ureq::http::header;
use ureq::{Agent, Error};

/// Minutes a level waits when the policy does not say.
const TIMEOUT: i64 = 1;

/// Finds user and policy, then replaces the users of the level; its timeout is kept.
pub(super) fn update(agent: &Agent, settings: &config::Ilert, body: &[u8]) -> Outcome {
    let update: PolicyUpdate = match serde_json::from_slice(body) {
        Ok(update) => update,
        Err(error) => return Outcome::Never { why: format!("not a policy update: {error}") },
    };
    let secrets = Secrets::of(settings, "");
    let api = Api { agent, settings, secrets };
    match api.update(&update) {
        Ok(()) => {
            log::info!(
                "ilert: escalation policy of '{}', level {} updated",
                plain(&update.routing_key),
                update.shift
            );
            Outcome::Delivered
        }
        Err(outcome) => outcome,
    }
}

struct Api<'a> {
    agent: &'a Agent,
    settings: &'a config::Ilert,
    secrets: Secrets<'a>,
}

impl Api<'_> {
    fn update(&self, update: &PolicyUpdate) -> Result<(), Outcome> {
        let user = self.user(&update.email)?;
        let policy = self.policy(&update.routing_key)?;
        let id = self.id(&policy, "the escalation policy")?;
        let rule = usize::try_from(update.shift)
            .ok()
            .and_then(|level| policy["escalationRules"].get(level));
        let timeout = rule.and_then(|rule| rule["escalationTimeout"].as_i64()).unwrap_or(TIMEOUT);
        let level = json!({ "escalationTimeout": timeout, "users": [{ "id": user }] });
        let path = format!("/api/escalation-policies/{id}/levels/{}", update.shift);
        self.call("level", &|| self.with_body(self.agent.put(self.url(&path)), &level)).map(|_| ())
    }

    fn user(&self, email: &str) -> Result<i64, Outcome> {
        let asked = json!({ "email": email });
        let url = self.url("/api/users/search-email");
        let user = self.call("user", &|| self.with_body(self.agent.post(&url), &asked))?;
        self.id(&user, "the user")
    }

    fn policy(&self, routing_key: &str) -> Result<Value, Outcome> {
        let url = self.url("/api/escalation-policies/resolve");
        self.call("policy", &|| {
            let request = self.agent.get(&url).query("routing-key", routing_key);
            match self.authorization() {
                Some(token) => request.header(header::AUTHORIZATION, token).call(),
                None => request.call(),
            }
        })
    }

    fn with_body(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        body: &Value,
    ) -> Result<ureq::http::Response<ureq::Body>, Error> {
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = match self.authorization() {
            Some(token) => request.header(header::AUTHORIZATION, token),
            None => request,
        };
        request.send(body.to_string())
    }

    fn authorization(&self) -> Option<String> {
        self.settings.api_key.as_ref().map(|key| format!("Bearer {}", key.expose()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.api)
    }

    /// Makes one request and reads the document it is answered with.
    fn call(
        &self,
        what: &str,
        request: &dyn Fn() -> Result<ureq::http::Response<ureq::Body>, Error>,
    ) -> Result<Value, Outcome> {
        let reply = answer(request, &self.secrets)?;
        match judge(&reply, &self.secrets) {
            Outcome::Delivered => self.document(&reply, what),
            Outcome::Later { why, holds, after } => {
                Err(Outcome::Later { why: format!("{what}: {why}"), holds, after })
            }
            Outcome::Never { why } => Err(Outcome::Never { why: format!("{what}: {why}") }),
        }
    }

    fn document(&self, reply: &Reply, what: &str) -> Result<Value, Outcome> {
        let body = reply.body.as_deref().unwrap_or_default();
        serde_json::from_slice(body).map_err(|error| {
            let words = reply.words(&self.secrets);
            not_understood(format!("{what}: the reply is not JSON: {error} ({words})"))
        })
    }

    /// The number of what was asked for. A document without one may be anybody's, so it ends
    /// nothing; if it is ilert's, the attempts come to an end.
    fn id(&self, document: &Value, what: &str) -> Result<i64, Outcome> {
        document["id"].as_i64().ok_or_else(|| {
            let shown = excerpt(&document.to_string(), &self.secrets);
            not_understood(format!("the reply does not name the id of {what}: {shown}"))
        })
    }
}

fn not_understood(why: String) -> Outcome {
    Outcome::Later { why, holds: Holds::Delivery, after: None }
}
