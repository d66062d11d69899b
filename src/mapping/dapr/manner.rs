//! What a publication asks for beside its body: the metadata of its request, or of its entry in a
//! bulk.

use crate::config::values::go;
use std::borrow::Cow;
use std::time::Duration;

/// A key and its value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What a publication asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Its body is published as it is, without an event around it.
    pub is_raw: bool,
    /// How long it is worth something.
    pub ttl: Option<Duration>,
    /// Whether the broker keeps it, if that is said.
    pub retain: Option<bool>,
    /// What its event says.
    pub said: Said,
}

/// What an event says instead of what it would say by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `id`
    pub id: Option<String>,
    /// `source`; an empty one is none, and also not the application.
    pub source: Option<String>,
    /// `type`
    pub kind: Option<String>,
    /// `subject`
    pub subject: Option<String>,
    /// `traceid`
    pub trace_id: Option<String>,
    /// `traceparent`
    pub trace_parent: Option<String>,
    /// `tracestate`
    pub trace_state: Option<String>,
}

impl Manner {
    /// Reads metadata, of which the first value of a key counts, and keys that are not known are
    /// for others.
    ///
    /// # Errors
    ///
    /// Says which value cannot be read.
    pub fn read(metadata: &[Pair<'_>]) -> Result<Self, String> {
        let exact = |key: &str| {
            let found = metadata.iter().find(|(known, _)| known == key);
            found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
        };
        let in_any_case = |key: &str| {
            let found = metadata.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
            found.map(|(_, value)| &**value)
        };
        let boolean = |key| match exact(key) {
            None => Ok(None),
            Some(value) => go::boolean(value)
                .map(Some)
                .ok_or_else(|| format!("{key} value must be a valid boolean: actual is '{value}'")),
        };
        let lifetime = ["ttl", "ttlInSeconds"].into_iter().find_map(|key| {
            let value = in_any_case(key).filter(|value| !value.is_empty())?;
            Some(ttl(value).ok_or_else(|| {
                format!("{key} value must be seconds or a duration: actual is '{value}'")
            }))
        });
        let said = |member: &str| {
            in_any_case(&format!("cloudevent.{member}")).filter(|value| !value.is_empty())
        };
        let said = |member| said(member).map(str::to_owned);
        Ok(Manner {
            is_raw: boolean("rawPayload")?.unwrap_or(false),
            ttl: lifetime.transpose()?.flatten(),
            retain: boolean("retain")?,
            said: Said {
                id: said("id"),
                source: in_any_case("cloudevent.source").map(str::to_owned),
                kind: said("type"),
                subject: said("subject"),
                trace_id: said("traceid"),
                trace_parent: said("traceparent"),
                trace_state: said("tracestate"),
            },
        })
    }
}

/// How long something lives: for ever after a negative number, not at all after a negative duration.
#[expect(clippy::option_option, reason = "it cannot be read, or it has no end")]
fn ttl(text: &str) -> Option<Option<Duration>> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(u64::try_from(seconds).ok().map(Duration::from_secs));
    }
    let nanos = go::duration(text)?;
    Some(Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metadata: &[(&'static str, &'static str)]) -> Result<Manner, String> {
        let pairs: Vec<Pair> =
            metadata.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Manner::read(&pairs)
    }

    #[test]
    fn a_lifetime_is_seconds_or_a_duration() {
        let some = |seconds| Some(Duration::from_secs(seconds));
        for (metadata, wanted) in [
            (&[][..], None),
            (&[("ttlInSeconds", "5")], some(5)),
            (&[("TTLINSECONDS", "+5")], some(5)),
            (&[("ttlInSeconds", "5"), ("TTL", "1m")], some(60)),
            (&[("ttl", "90s")], some(90)),
            (&[("ttl", "1.5h")], some(5_400)),
            (&[("ttl", "0")], some(0)),
            (&[("ttl", "0s")], some(0)),
            (&[("ttl", "-5s")], some(0)),
            (&[("ttl", "-5")], None),
            (&[("ttl", "")], None),
            (&[("metadata.ttl", "5")], None),
        ] {
            assert_eq!(read(metadata).map(|manner| manner.ttl), Ok(wanted), "{metadata:?}");
        }
        for text in ["x", "1.5", " 5", "5 ", "soon", "99999999999999999999"] {
            let wrong = read(&[("ttl", text)]).unwrap_err();
            assert!(wrong.contains(&format!("'{text}'")), "{wrong}");
        }
    }

    #[test]
    fn a_word_that_is_no_boolean_is_refused() {
        for (metadata, wanted) in [
            (&[][..], (false, None)),
            (&[("rawPayload", "true")], (true, None)),
            (&[("rawPayload", "1"), ("rawPayload", "x")], (true, None)),
            (&[("rawPayload", "F"), ("retain", "T")], (false, Some(true))),
            (&[("retain", "false")], (false, Some(false))),
            // Keys have one spelling.
            (&[("rawpayload", "true"), ("Retain", "x"), ("qos", "9")], (false, None)),
        ] {
            let found = read(metadata).map(|manner| (manner.is_raw, manner.retain));
            assert_eq!(found, Ok(wanted), "{metadata:?}");
        }
        for (key, value) in [("rawPayload", "yes"), ("rawPayload", "tRUE"), ("retain", "on")] {
            let wanted = format!("{key} value must be a valid boolean: actual is '{value}'");
            assert_eq!(read(&[(key, value)]), Err(wanted));
        }
    }

    #[test]
    fn what_an_event_says_can_be_said_in_any_case() {
        let manner = read(&[
            ("cloudevent.id", "1"),
            ("CloudEvent.Source", ""),
            ("cloudevent.TYPE", "t"),
            ("cloudevent.subject", ""),
            ("cloudEvent.traceParent", "p"),
        ]);
        let text = |text: &str| Some(text.to_owned());
        let wanted = Said {
            id: text("1"),
            source: text(""),
            kind: text("t"),
            trace_parent: text("p"),
            ..Said::default()
        };
        assert_eq!(manner.unwrap().said, wanted);
    }
}
