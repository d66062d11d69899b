//! What `ilagent queue` is asked for, and how it travels over the control socket.

use serde_json::{Value, json};
use std::path::Path;

/// Most lines of each kind in one answer, which is made in the thread that also commits.
pub const LIST_MAX: u32 = 10_000;

/// What to do. Ids are as `list` shows them: a number for a waiting delivery, `d` and a number
/// for a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// All waiting deliveries and dead letters, oldest first, at most `limit` of each.
    List {
        /// Most lines of each kind.
        limit: usize,
        /// As JSON lines.
        json: bool,
        /// Those of this sink only.
        sink: Option<String>,
    },
    /// One of them, with its body.
    Show {
        /// Which.
        id: String,
        /// The body alone, byte for byte.
        raw: bool,
    },
    /// Waiting deliveries are tried now; dead letters go back to the queue.
    Retry(Chosen),
    /// They are deleted.
    Drop(Chosen),
    /// Rows of another file, one that was put aside, go into the queue.
    Recover(String),
}

/// Which ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// These.
    Ids(Vec<String>),
    /// All of them, waiting and dead.
    All,
    /// All of this sink, waiting and dead.
    OfSink(String),
}

impl Command {
    /// What to print of the text that [`run`](super::run) gave, in bytes.
    #[must_use]
    pub fn output(&self, text: &str) -> Vec<u8> {
        match self {
            // As `as_characters` wrote them; there are no others.
            Command::Show { raw: true, .. } => {
                text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
            }
            Command::Show { .. }
            | Command::List { .. }
            | Command::Retry(_)
            | Command::Drop(_)
            | Command::Recover(_) => text.as_bytes().to_vec(),
        }
    }

    /// With paths that mean the same to an agent that works in another folder.
    pub(super) fn with_whole_path(self) -> Result<Self, String> {
        let Command::Recover(path) = self else { return Ok(self) };
        let whole = Path::new(&path).canonicalize().map_err(|error| format!("{path}: {error}"))?;
        let text = whole.to_str().ok_or_else(|| format!("{path}: its name is no text"))?;
        Ok(Command::Recover(text.to_owned()))
    }

    /// Whether the database is written for it.
    pub(in crate::queue) fn changes_something(&self) -> bool {
        matches!(self, Command::Retry(_) | Command::Drop(_) | Command::Recover(_))
    }

    /// As it travels over the control socket.
    pub(in crate::queue) fn to_json(&self) -> Value {
        let chosen = |chosen: &Chosen| match chosen {
            Chosen::All => Value::Null,
            Chosen::Ids(ids) => json!(ids),
            // No list, so that an agent that knows nothing of it does not take it for one.
            Chosen::OfSink(sink) => json!({ "sink": sink }),
        };
        match self {
            Command::List { limit, json, sink: None } => {
                json!({ "list": { "limit": limit, "json": json } })
            }
            // Another word, for the same reason.
            Command::List { limit, json, sink } => {
                json!({ "list of sink": { "limit": limit, "json": json, "sink": sink } })
            }
            Command::Show { id, raw: false } => json!({ "show": id }),
            Command::Show { id, raw: true } => json!({ "show raw": id }),
            Command::Retry(which) => json!({ "retry": chosen(which) }),
            Command::Drop(which) => json!({ "drop": chosen(which) }),
            Command::Recover(path) => json!({ "recover": path }),
        }
    }

    /// The reverse of [`Command::to_json`].
    pub(in crate::queue) fn from_json(json: &Value) -> Option<Self> {
        let (word, value) = json.as_object()?.iter().next()?;
        let chosen = || match value {
            Value::Null => Some(Chosen::All),
            Value::Object(of) => Some(Chosen::OfSink(of.get("sink")?.as_str()?.to_owned())),
            ids => Some(Chosen::Ids(
                ids.as_array()?
                    .iter()
                    .filter_map(|id| id.as_str().map(ToOwned::to_owned))
                    .collect(),
            )),
        };
        Some(match word.as_str() {
            "list" | "list of sink" => Command::List {
                limit: usize::try_from(value["limit"].as_u64()?.min(LIST_MAX.into())).ok()?,
                json: value["json"].as_bool()?,
                sink: value["sink"].as_str().map(ToOwned::to_owned),
            },
            "show" => Command::Show { id: value.as_str()?.to_owned(), raw: false },
            "show raw" => Command::Show { id: value.as_str()?.to_owned(), raw: true },
            "retry" => Command::Retry(chosen()?),
            "drop" => Command::Drop(chosen()?),
            "recover" => Command::Recover(value.as_str()?.to_owned()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_travel_unchanged() {
        for command in [
            Command::List { limit: 20, json: true, sink: None },
            Command::List { limit: 20, json: false, sink: Some("mqtt plant".to_owned()) },
            Command::Drop(Chosen::OfSink("mqtt plant".to_owned())),
            Command::Show { id: "d7".to_owned(), raw: false },
            Command::Show { id: "d7".to_owned(), raw: true },
            Command::Retry(Chosen::All),
            Command::Drop(Chosen::Ids(vec!["1".to_owned(), "d2".to_owned()])),
            Command::Recover("/q.db3.corrupt-1".to_owned()),
        ] {
            assert_eq!(Command::from_json(&command.to_json()), Some(command));
        }
    }
}
