//! `[[webhook]]`: an HTTP server to call.

use crate::config::document::Value;
use crate::config::document::fields::Fields;
use crate::config::values::{self, put};
use crate::config::whole::Placed;
use crate::config::{Statuses, Webhook, surroundings};
use std::ops::RangeInclusive;

/// Reads all webhooks.
pub(super) fn webhooks(tables: &[Fields<'_>]) -> Vec<Placed<Webhook>> {
    tables.iter().map(placed).collect()
}

fn placed(fields: &Fields<'_>) -> Placed<Webhook> {
    let is_enabled = fields.truth("enabled").unwrap_or(true);
    let it = webhook(fields);
    fields.end();
    let place = |key| fields.file.place(fields.place(key));
    Placed { it, is_enabled, name: place("name"), id: place("url"), needs: Vec::new() }
}

/// The webhook, without a name or URL that cannot be read.
fn webhook(fields: &Fields<'_>) -> Webhook {
    let mut url = None;
    fields.text("url", &mut |text| put(&mut url, values::url(text)));
    let mut hook = Webhook::at(url.unwrap_or_default());
    fields.text("name", &mut |text| put(&mut hook.name, values::line(text)));
    for (key, example) in [("name", "shop"), ("url", "http://127.0.0.1:5000/orders")] {
        if !fields.has(&[key]) {
            fields
                .file
                .add(fields.at, format!("[[webhook]] needs a `{key}` such as \"{example}\""));
        }
    }
    fields.text("method", &mut |text| put(&mut hook.method, values::method(text)));
    identity(fields, &mut hook);
    let is_plain = hook.url.to_ascii_lowercase().starts_with("http://");
    hook.tls = fields.tls_files(
        is_plain.then_some("this has no effect without a `url` that begins with https://"),
    );
    effort(fields, &mut hook);
    hook.statuses = statuses(fields);
    hook
}

/// Who we are, and other headers.
fn identity(fields: &Fields<'_>, hook: &mut Webhook) {
    hook.bearer = fields.secret("token", "token-file");
    let mut user = None;
    fields.text("username", &mut |text| put(&mut user, values::user(text)));
    let password = fields.secret("password", "password-file");
    let has_password = fields.has(&["password", "password-file"]);
    match (fields.has(&["username"]), has_password) {
        (true, false) => {
            let what = "this needs a `password` or `password-file`";
            fields.file.add(fields.place("username"), what);
        }
        (false, true) => {
            let key = if fields.has(&["password"]) { "password" } else { "password-file" };
            let what = "a password has no effect without a `username`";
            fields.file.add(fields.place(key), what);
        }
        _ => (),
    }
    if fields.has(&["username"]) && fields.has(&["token", "token-file"]) {
        fields.file.add(fields.place("username"), "give this or a `token`, not both");
    }
    hook.basic = user.zip(password);
    headers(fields, hook);
}

fn headers(fields: &Fields<'_>, hook: &mut Webhook) {
    let is_known = fields.has(&["username", "token", "token-file"]);
    fields.pairs("headers", &mut |name, text| {
        values::header(name)?;
        if hook.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(format!("the header `{name}` is there twice"));
        }
        if is_known && name.eq_ignore_ascii_case("authorization") {
            return Err("give this or `token` or `username`, not both".to_owned());
        }
        hook.headers.push((name.to_owned(), surroundings::secret(text)?));
        Ok(())
    });
    if hook.headers.iter().any(|(name, _)| values::is_secret_header(name)) {
        fields.file.holds_secret();
    }
}

/// How long, how often and how many at a time.
fn effort(fields: &Fields<'_>, hook: &mut Webhook) {
    fields.number("timeout", &mut |text| {
        put(&mut hook.timeout, values::duration(text, values::TIMEOUTS))
    });
    fields.number("in-flight", &mut |text| {
        put(&mut hook.in_flight_max, values::count_usize(text, values::IN_FLIGHT))
    });
    fields.number("max-retries", &mut |text| put(&mut hook.attempts_max, values::attempts(text)));
    let backoff = &mut hook.backoff;
    for (key, wait) in [("back-off", &mut backoff.first), ("back-off-max", &mut backoff.longest)] {
        fields.number(key, &mut |text| put(wait, values::moment(text, values::BACKOFFS)));
    }
    if backoff.first > backoff.longest {
        let key = if fields.has(&["back-off-max"]) { "back-off-max" } else { "back-off" };
        let what = "`back-off` is the first wait and cannot be longer than `back-off-max`";
        fields.file.add(fields.place(key), what);
    }
}

/// What statuses mean, each in one list at most.
fn statuses(fields: &Fields<'_>) -> Statuses {
    let mut statuses = Statuses::default();
    let mut all: Vec<RangeInclusive<u16>> = Vec::new();
    for (key, list) in [
        ("delivered", &mut statuses.delivered),
        ("later", &mut statuses.later),
        ("never", &mut statuses.never),
    ] {
        for node in fields.list(key) {
            let read = match &node.value {
                Value::Number(text) | Value::Text(text) => values::status(text),
                other => {
                    Err(format!("this is a status such as 404 or \"5xx\", not {}", other.kind()))
                }
            };
            let Some(range) = fields.file.keep(node.at, read) else { continue };
            if all.iter().any(|other| other.start() <= range.end() && range.start() <= other.end())
            {
                fields.file.add(node.at, "this status has a meaning already");
            }
            all.push(range.clone());
            list.push(range);
        }
    }
    statuses
}
