//! MQTT topics and topic filters (MQTT 3.1.1 and 5, section 4.7). Pure.

/// Says why a topic filter cannot be subscribed to.
///
/// # Errors
///
/// In words, as the end of a sentence that names the filter.
pub fn check_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() {
        return Err("a topic filter cannot be empty".to_owned());
    }
    let levels: Vec<&str> = filter.split('/').collect();
    for (index, level) in levels.iter().enumerate() {
        let last = index + 1 == levels.len();
        if level.contains('#') && (*level != "#" || !last) {
            return Err(format!("`{filter}`: `#` must be the whole last level"));
        }
        if level.contains('+') && *level != "+" {
            return Err(format!("`{filter}`: `+` must be a whole level"));
        }
    }
    Ok(())
}
