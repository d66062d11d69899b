//! Several publications in one body: an array of entries, each with an id, a body, what that is, and
//! metadata of its own.

use super::envelope::media_type;
use super::manner::Pair;
use crate::mapping::json::Json;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Most entries of one body.
const ENTRIES_MAX: usize = 10_000;

/// One publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What its client calls it.
    pub id: Cow<'a, str>,
    /// What its body is.
    pub content_type: Cow<'a, str>,
    /// What it asks for, before what its request asks for.
    pub metadata: Vec<Pair<'a>>,
    /// Its body.
    pub body: Cow<'a, [u8]>,
}

/// Why entries cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not an array of entries.
    Unreadable(String),
    /// An entry has no id, or that of another one.
    Unnamed,
    /// An entry's body is not what its content type says.
    Body(String),
}

/// Reads entries.
///
/// # Errors
///
/// Says what is wrong with the first that cannot be used.
pub fn entries(body: &[u8]) -> Result<Vec<Entry<'_>>, Unfit> {
    let unreadable = |what: &str| Unfit::Unreadable(what.to_owned());
    let raw: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|why| Unfit::Unreadable(why.to_string()))?;
    if raw.len() > ENTRIES_MAX {
        return Err(Unfit::Unreadable(format!("more than {ENTRIES_MAX} entries")));
    }
    let (mut entries, mut ids) = (Vec::with_capacity(raw.len()), BTreeSet::new());
    for entry in raw {
        let members = Json::of(entry).members();
        let members = members.map_err(|_| unreadable("an entry is not an object"))?;
        let member = |wanted: &str| {
            let mut found = members.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.find(|(_, value)| !value.is_null()).map(|(_, value)| *value)
        };
        let text = |name: &str| match member(name) {
            None => Ok(Cow::Borrowed("")),
            Some(value) => {
                value.string().ok_or_else(|| Unfit::Unreadable(format!("{name} is not a text")))
            }
        };
        let id = text("entryId")?;
        if id.is_empty() || !ids.insert(id.clone()) {
            return Err(Unfit::Unnamed);
        }
        let content_type = text("contentType")?;
        let metadata = member("metadata").map_or_else(|| Ok(Vec::new()), metadata)?;
        let body = bytes(member("event"), &content_type)?;
        entries.push(Entry { id, content_type, metadata, body });
    }
    Ok(entries)
}

fn metadata(given: Json<'_>) -> Result<Vec<Pair<'_>>, Unfit> {
    let wrong = || Unfit::Unreadable("metadata is not an object of texts".to_owned());
    let members: BTreeMap<String, Json> = given.members().map_err(|_| wrong())?;
    let pair = |(key, value): (String, Json<'_>)| {
        let value = value.string().ok_or_else(wrong)?;
        Ok((Cow::Owned(key), Cow::Owned(value.into_owned())))
    };
    members.into_iter().map(pair).collect()
}

/// The body that an event stands for.
fn bytes<'a>(event: Option<Json<'a>>, content_type: &str) -> Result<Cow<'a, [u8]>, Unfit> {
    let text = || {
        let text = event.and_then(Json::string);
        text.ok_or_else(|| Unfit::Body(format!("the event of {content_type} is not a text")))
    };
    match media_type(content_type).as_str() {
        "application/json" | "application/cloudevents+json" => {
            Ok(Cow::Borrowed(event.map_or("null", |event| event.raw().get()).as_bytes()))
        }
        "application/octet-stream" => {
            let bytes = STANDARD.decode(&*text()?);
            let wrong = || Unfit::Body(format!("the event of {content_type} is not base64"));
            bytes.map(Cow::Owned).map_err(|_| wrong())
        }
        media_type if media_type.starts_with("text/") || media_type == "application/xml" => {
            Ok(match text()? {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            })
        }
        _ => Err(Unfit::Body(format!("unsupported content type '{content_type}' of an event"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<(String, String)>, Unfit> {
        let shown = |entry: Entry| {
            (entry.id.into_owned(), String::from_utf8(entry.body.into_owned()).unwrap())
        };
        entries(body.as_bytes()).map(|entries| entries.into_iter().map(shown).collect())
    }

    #[test]
    fn an_entry_is_what_its_content_type_says() {
        for (event, content_type, wanted) in [
            (
                r#"{"k": 18446744073709551616}"#,
                "application/json",
                r#"{"k": 18446744073709551616}"#,
            ),
            ("null", "Application/JSON; charset=utf-8", "null"),
            (r#""x""#, "application/json", r#""x""#),
            (r#"{"id":"1"}"#, "application/cloudevents+json", r#"{"id":"1"}"#),
            (r#""b24=""#, "application/octet-stream", "on"),
            (r#""b24=""#, "text/plain", "b24="),
            (r#""a\n\u00fc""#, "text/x", "a\nü"),
            (r#""<a/>""#, "application/xml", "<a/>"),
        ] {
            let body =
                format!(r#"[{{"entryId":"1","event":{event},"contentType":"{content_type}"}}]"#);
            let wanted = vec![("1".to_owned(), wanted.to_owned())];
            assert_eq!(read(&body), Ok(wanted), "{body}");
        }
        for (event, content_type) in [
            (r#""on""#, "application/octet-stream"),
            ("1", "application/octet-stream"),
            ("1", "text/plain"),
            ("{}", "application/xml"),
            ("{}", "application/vnd.x+json"),
            ("{}", ""),
        ] {
            let body =
                format!(r#"[{{"entryId":"1","event":{event},"contentType":"{content_type}"}}]"#);
            assert!(matches!(read(&body), Err(Unfit::Body(_))), "{body}");
        }
    }

    #[test]
    fn names_have_any_case_and_ids_are_told_apart() {
        let entry = |id: &str| format!(r#"{{{id}"event":"x","contentType":"text/plain"}}"#);
        let one = entry(r#""entryID":"1","#);
        let other = r#"{"ENTRYID":"2","Event":"y","CONTENTTYPE":"text/plain","metadata":null}"#;
        let wanted = [("1", "x"), ("2", "y")].map(|(id, body)| (id.to_owned(), body.to_owned()));
        assert_eq!(read(&format!(" [{one},\n{other}] ")), Ok(wanted.to_vec()));
        assert_eq!(read("[]"), Ok(Vec::new()));
        for wrong in ["", r#""entryId":"","#, r#""entryId":null,"#] {
            assert_eq!(read(&format!("[{}]", entry(wrong))), Err(Unfit::Unnamed), "{wrong}");
        }
        assert_eq!(read(&format!("[{one},{one}]")), Err(Unfit::Unnamed));
        for wrong in ["", "{}", "null", "[1]", "[[]]", "[] x", r#"[{"entryId":1}]"#] {
            assert!(matches!(read(wrong), Err(Unfit::Unreadable(_))), "{wrong}");
        }
        let many = format!("[{}1]", "1,".repeat(ENTRIES_MAX));
        assert!(matches!(read(&many), Err(Unfit::Unreadable(_))));
    }

    #[test]
    fn metadata_is_texts() {
        let of = |metadata: &str| {
            let body = format!(
                r#"[{{"entryId":"1","event":1,"contentType":"application/json","metadata":{metadata}}}]"#
            );
            entries(body.as_bytes()).map(|entries| {
                let pair = |(key, value): &Pair| format!("{key}={value}");
                entries[0].metadata.iter().map(pair).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(of(r#"{"ttl":"5","a":""}"#), Ok("a= ttl=5".to_owned()));
        assert_eq!(of("{}"), Ok(String::new()));
        for wrong in [r#"{"ttl":5}"#, "[]", "1"] {
            assert!(matches!(of(wrong), Err(Unfit::Unreadable(_))), "{wrong}");
        }
    }
}
