//! What a path asks for. It is cleaned as the original's server does it: double and trailing slashes
//! and dot segments go first, then it is split, then each part is decoded, once.

use percent_encoding::percent_decode_str;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Path {
    Publish(Topic),
    PublishBulk(Topic),
    Healthz,
    HealthzOutbound,
    Metadata,
    MetadataKey(String),
    Shutdown,
    /// Another part of a sidecar, by its name.
    Other(String),
}

/// Where something is published.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topic {
    /// The name of the component.
    pub(super) pubsub: String,
    /// The topic, without the component's prefix.
    pub(super) topic: String,
}

impl Path {
    /// Reads a path as it was sent. The error is for the client.
    pub(super) fn read(path: &str) -> Result<Self, String> {
        let segments = segments(path);
        Ok(match segments.as_slice() {
            ["v1.0" | "v1.0-alpha1", "publish", "bulk", pubsub, topic @ ..]
                if !topic.is_empty() =>
            {
                Path::PublishBulk(Topic::read(pubsub, topic)?)
            }
            ["v1.0", "publish", pubsub, topic @ ..] if !topic.is_empty() => {
                Path::Publish(Topic::read(pubsub, topic)?)
            }
            ["v1.0", "healthz"] => Path::Healthz,
            ["v1.0", "healthz", "outbound"] => Path::HealthzOutbound,
            ["v1.0", "metadata"] => Path::Metadata,
            ["v1.0", "metadata", key] => Path::MetadataKey(decoded(key)?),
            ["v1.0", "shutdown"] => Path::Shutdown,
            [version, part, ..] if version.starts_with("v1.0") => Path::Other((*part).to_owned()),
            _ => Path::Other(String::new()),
        })
    }
}

impl Topic {
    fn read(pubsub: &str, topic: &[&str]) -> Result<Self, String> {
        Ok(Topic { pubsub: decoded(pubsub)?, topic: decoded(&topic.join("/"))? })
    }
}

fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    segments
}

/// Undoes the encoding of a part of a path, in which a plus is a space.
fn decoded(text: &str) -> Result<String, String> {
    let mut escapes = text.split('%').skip(1);
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_escape) {
        return Err("in the path a `%` is not followed by two hexadecimal digits".to_owned());
    }
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(Into::into).map_err(|_| "the path is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(pubsub: &str, topic: &str) -> Topic {
        Topic { pubsub: pubsub.to_owned(), topic: topic.to_owned() }
    }

    #[test]
    fn a_path_names_a_component_and_a_topic() {
        for (path, pubsub, wanted) in [
            ("/v1.0/publish/p/a/b/c", "p", "a/b/c"),
            ("/v1.0/publish/p/a%2Fb", "p", "a/b"),
            ("/v1.0/publish/p/a%2F%2Fb", "p", "a//b"),
            ("/v1.0/publish/p/%2Ft", "p", "/t"),
            ("/v1.0/publish/p/%2F", "p", "/"),
            ("/v1.0/publish/p//t", "p", "t"),
            ("/v1.0/publish/p/t/", "p", "t"),
            ("//v1.0//publish/p/x/../t", "p", "t"),
            ("/v1.0/publish/p/./t", "p", "t"),
            ("/v1.0/publish/p/%2e%2e", "p", ".."),
            ("/v1.0/publish/p/a+b", "p", "a b"),
            ("/v1.0/publish/p/a%2Bb%20c", "p", "a+b c"),
            ("/v1.0/publish/p/%252F", "p", "%2F"),
            ("/v1.0/publish/p%20q/%E2%98%83", "p q", "☃"),
            ("/v1.0/publish/bulk/t", "bulk", "t"),
        ] {
            assert_eq!(Path::read(path), Ok(Path::Publish(topic(pubsub, wanted))), "{path}");
        }
        for (path, wanted) in [
            ("/v1.0/publish/bulk/p/t", "t"),
            ("/v1.0-alpha1/publish/bulk/p/a/b/", "a/b"),
            ("/v1.0/publish/bulk/p/%2Fa", "/a"),
        ] {
            assert_eq!(Path::read(path), Ok(Path::PublishBulk(topic("p", wanted))), "{path}");
        }
        for path in ["/v1.0/publish/p/%zz", "/v1.0/publish/p/a%", "/v1.0/publish/p/%4"] {
            assert!(Path::read(path).unwrap_err().contains("hexadecimal"), "{path}");
        }
        assert!(Path::read("/v1.0/publish/p/%FF").unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn what_is_not_offered_has_a_name() {
        for (path, wanted) in [
            ("/v1.0/healthz", Path::Healthz),
            ("/v1.0/healthz/", Path::Healthz),
            ("/v1.0/healthz/outbound", Path::HealthzOutbound),
            ("/v1.0/metadata", Path::Metadata),
            ("/v1.0/metadata/a%20b", Path::MetadataKey("a b".to_owned())),
            ("/v1.0/shutdown", Path::Shutdown),
        ] {
            assert_eq!(Path::read(path), Ok(wanted), "{path}");
        }
        for (path, wanted) in [
            ("/v1.0/publish/p", "publish"),
            ("/v1.0/publish/p/", "publish"),
            ("/v1.0/publish/p/t/../", "publish"),
            ("/v1.0-alpha1/publish/p/t", "publish"),
            ("/v1.0/invoke/a/method/b", "invoke"),
            ("/v1.0-beta1/workflows/x", "workflows"),
            ("/v1.0", ""),
            ("/v2/publish/p/t", ""),
            ("/", ""),
            ("*", ""),
        ] {
            assert_eq!(Path::read(path), Ok(Path::Other(wanted.to_owned())), "{path}");
        }
    }
}
