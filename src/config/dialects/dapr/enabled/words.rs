//! The words of a subscription.

use crate::config::Raw;
use crate::config::values::go;
use crate::topic;

/// A path at the application, with its leading slash.
pub(super) fn app_path(text: &str) -> String {
    format!("/{}", text.trim_start_matches('/'))
}

/// Checks what may be subscribed to: a topic filter, perhaps of a shared subscription.
pub(super) fn subscription_filter(text: &str) -> Result<(), String> {
    topic::check_filter(topic::unshared(text))
}

/// Checks where what is not taken from `filter` may go.
pub(super) fn dead_letter_topic(text: &str, filter: &str) -> Result<(), String> {
    topic::check_topic(text)?;
    match text == filter {
        true => Err("what is not taken from this topic cannot go back to it".to_owned()),
        false => Ok(()),
    }
}

/// What payloads are.
pub(super) fn raw(text: &str) -> Result<Raw, String> {
    match (text, go::boolean(text)) {
        ("auto", _) => Ok(Raw::Auto),
        (_, Some(true)) => Ok(Raw::Yes),
        (_, Some(false)) => Ok(Raw::No),
        _ => Err(format!("this is true, false or auto, not `{text}`")),
    }
}
