//! URLs, headers and statuses of HTTP.

use super::{STATUSES, host_and_port, is_secret_option, line};
use std::ops::RangeInclusive;

/// Scheme, host and port of an HTTP server, without the slash at the end.
pub fn base_url(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not of the form http(s)://host or http(s)://host:port");
    let whole = text.strip_suffix('/').unwrap_or(text);
    let (scheme, rest) = whole.split_once("://").ok_or_else(wrong)?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") || rest.contains('@') {
        return Err(wrong());
    }
    // An IPv6 address in a URL needs brackets.
    if !rest.starts_with('[') && rest.matches(':').count() > 1 {
        return Err(wrong());
    }
    host_and_port(rest).ok_or_else(wrong)?;
    Ok(format!("{scheme}://{rest}"))
}

/// The URL of a webhook.
pub fn url(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        return Err(format!("`{text}` is not a URL such as http://127.0.0.1:5000/orders"));
    }
    if !rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err("a URL has no spaces, no `#`, and other characters only as %XX".to_owned());
    }
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("user name and password have their own settings".to_owned());
    }
    if host.is_empty() {
        return Err("this URL names no host".to_owned());
    }
    base_url(&format!("{scheme}://{host}")).map(|_| text.to_owned())
}

/// The method of a webhook's calls, which have a body.
pub fn method(text: &str) -> Result<String, String> {
    match text {
        "POST" | "PUT" | "PATCH" => Ok(text.to_owned()),
        _ => Err(format!("the method is POST, PUT or PATCH, not `{text}`")),
    }
}

/// A user of HTTP's basic authentication.
pub fn user(text: &str) -> Result<String, String> {
    match line(text)? {
        user if user.contains(':') => Err("a user name cannot hold a `:` here".to_owned()),
        user => Ok(user),
    }
}

/// The name of a header that may be added to a call.
pub fn header(text: &str) -> Result<(), String> {
    const OWN: [&str; 6] =
        ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(legal) {
        return Err(format!("`{}` is not the name of a header", text.escape_debug()));
    }
    match OWN.iter().any(|own| own.eq_ignore_ascii_case(text)) {
        true => Err(format!("the header `{text}` is the agent's to write")),
        false => Ok(()),
    }
}

/// The same of a header.
#[must_use]
pub fn is_secret_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_secret_option(&name) || name.contains("auth") || name.contains("cookie")
}

/// A status, `404`, or all of a kind, `5xx`.
pub fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let kind = text.strip_suffix("xx").and_then(|kind| kind.parse::<u16>().ok());
    let found = match kind {
        Some(kind) => kind.checked_mul(100).map(|first| first..=first + 99),
        None => text.parse::<u16>().ok().map(|status| status..=status),
    };
    found
        .filter(|found| STATUSES.contains(&u64::from(*found.start())))
        .ok_or_else(|| format!("`{text}` is not a status such as 404 or 5xx, from 200 to 599"))
}
