//! Words into values: numbers, sizes, durations, addresses.
//!
//! Every error is written to follow `PLACE: `.

pub mod dapr;
pub mod go;
mod http;
mod kafka;

pub use http::{base_url, header, is_secret_header, method, status, url, user};
pub use kafka::{
    is_secret_option, is_tls_protocol, kafka_broker, kafka_brokers, kafka_option, kafka_pattern,
    kafka_topic, mechanism,
};

use crate::config::{
    Address, Format, Qos, Routing, Safety, Scheme, Service, StatusFormat, Version,
};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A TCP port that can be connected to.
pub const PORTS: RangeInclusive<u64> = 1..=65_535;
/// A TCP port to listen on; 0 lets the system choose.
pub const LISTENING_PORTS: RangeInclusive<u64> = 0..=65_535;
/// Attempts of a delivery; 0 is for ever.
pub const ATTEMPTS: RangeInclusive<u64> = 0..=u32::MAX as u64;
/// Severity of an event, as ilert defines it.
pub const SEVERITIES: RangeInclusive<u64> = 1..=5;
/// Dead letters kept. At least one, so that what was given up last can always be looked at.
pub const DEAD_LETTERS: RangeInclusive<u64> = 1..=1_000_000;
/// HTTP connections at a time; each is a thread.
pub const CONNECTIONS: RangeInclusive<u64> = 1..=1_024;
/// Requests to ilert at a time; each is a thread.
pub const IN_FLIGHT: RangeInclusive<u64> = 1..=256;
/// Bytes of an MQTT packet; the upper end is the protocol's.
pub const PACKET_BYTES: RangeInclusive<u64> = 1_024..=268_435_455;
/// Bytes of a Kafka message; the upper end leaves room for what librdkafka receives with it.
pub const MESSAGE_BYTES: RangeInclusive<u64> = 1_024..=64 * 1_024 * 1_024;
/// Bytes of an HTTP body.
pub const BODY_BYTES: RangeInclusive<u64> = 1_024..=64 * 1_024 * 1_024;
/// Bytes of waiting deliveries.
pub const QUEUE_BYTES: RangeInclusive<u64> = 64 * 1_024..=1 << 40;
/// Seconds the oldest delivery may be old.
pub const AGES: RangeInclusive<u64> = 1..=30 * 86_400;
/// Seconds between signs of life; the upper end is the protocol's.
pub const KEEP_ALIVES: RangeInclusive<u64> = 5..=65_535;
/// Bytes of a file sink's file; smaller ones would hold a few lines each.
pub const ROTATE_BYTES: RangeInclusive<u64> = 4 * 1_024..=1 << 30;
/// Older files of a file sink.
pub const OLDER_FILES: RangeInclusive<u64> = 0..=99;
/// Milliseconds before the first repetition of a call, and most between two.
pub const BACKOFFS: RangeInclusive<u64> = 1..=3_600_000;
/// Milliseconds that a delivery may wait in memory before it is stored.
pub const HOLDS: RangeInclusive<u64> = 0..=10_000;
/// Statuses of an HTTP response that end a call.
pub const STATUSES: RangeInclusive<u64> = 200..=599;
/// Seconds one request to ilert may take.
pub const TIMEOUTS: RangeInclusive<u64> = 1..=300;

/// Stores a value that could be read; otherwise `place` keeps what it holds.
pub fn put<T, V: Into<T>>(place: &mut T, read: Result<V, String>) -> Result<(), String> {
    *place = read?.into();
    Ok(())
}

/// A whole number within `range`.
pub fn count(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| plain && range.contains(number));
    number.ok_or_else(|| {
        format!("`{text}` is not a whole number from {} to {}", range.start(), range.end())
    })
}

/// A TCP port within `range`.
pub fn port(text: &str, range: RangeInclusive<u64>) -> Result<u16, String> {
    count(text, range)
        .and_then(|port| u16::try_from(port).map_err(|error| error.to_string()))
        .map_err(|_| format!("`{text}` is not a TCP port"))
}

/// A number of attempts; 0 means that we never give up.
pub fn attempts(text: &str) -> Result<Option<u32>, String> {
    let attempts = count(text, ATTEMPTS)?;
    Ok(u32::try_from(attempts).ok().filter(|attempts| *attempts > 0))
}

/// A severity of ilert.
pub fn severity(text: &str) -> Result<u8, String> {
    count(text, SEVERITIES).and_then(|number| u8::try_from(number).map_err(|e| e.to_string()))
}

/// A count of things in memory.
pub fn count_usize(text: &str, range: RangeInclusive<u64>) -> Result<usize, String> {
    count(text, range).and_then(|number| usize::try_from(number).map_err(|e| e.to_string()))
}

/// A small count.
pub fn count_u32(text: &str, range: RangeInclusive<u64>) -> Result<u32, String> {
    count(text, range).and_then(|number| u32::try_from(number).map_err(|e| e.to_string()))
}

/// A size in bytes: `65536`, `64 KB`, `1 MB`, `2 GB`; a KB is 1024 bytes.
pub fn size(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1 << 10),
        "m" | "mb" | "mib" => Some(1 << 20),
        "g" | "gb" | "gib" => Some(1_u64 << 30),
        _ => None,
    };
    let bytes = number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    let Some(bytes) = bytes else {
        return Err(format!("`{text}` is not a size such as 65536, 64 KB or 1 MB"));
    };
    if range.contains(&bytes) {
        Ok(bytes)
    } else {
        let (least, most) = (size_words(*range.start()), size_words(*range.end()));
        Err(format!("`{text}` is not between {least} and {most}"))
    }
}

/// A size of something held in memory.
pub fn size_usize(text: &str, range: RangeInclusive<u64>) -> Result<usize, String> {
    size(text, range).and_then(|bytes| usize::try_from(bytes).map_err(|e| e.to_string()))
}

/// A size as people write it, without losing a byte.
#[must_use]
pub fn size_words(bytes: u64) -> String {
    for (shift, unit) in [(30, "GB"), (20, "MB"), (10, "KB")] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

/// A time: `30` (seconds), `30 s`, `5 min`, `2 h`, `1 d`; `range` is in seconds.
pub fn duration(text: &str, range: RangeInclusive<u64>) -> Result<Duration, String> {
    let time = millis(text).filter(|millis| millis % 1_000 == 0);
    let Some(time) = time.map(Duration::from_millis) else {
        return Err(format!("`{text}` is not a time such as 30 (seconds), 30 s, 5 min or 2 h"));
    };
    let [least, most] = [*range.start(), *range.end()].map(Duration::from_secs);
    between(text, time, least, most)
}

/// A time that may be short: also `50 ms`; `range` is in milliseconds.
pub fn moment(text: &str, range: RangeInclusive<u64>) -> Result<Duration, String> {
    let time = millis(text).map(Duration::from_millis);
    let time = time.ok_or_else(|| format!("`{text}` is not a time such as 50 ms, 2 s or 5 min"))?;
    let [least, most] = [*range.start(), *range.end()].map(Duration::from_millis);
    between(text, time, least, most)
}

fn millis(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" | "sec" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number?.checked_mul(factor)
}

fn between(
    text: &str,
    time: Duration,
    least: Duration,
    most: Duration,
) -> Result<Duration, String> {
    if (least..=most).contains(&time) {
        return Ok(time);
    }
    let (least, most) = (duration_words(least), duration_words(most));
    Err(format!("`{text}` is not between {least} and {most}"))
}

/// A time as people write it.
#[must_use]
pub fn duration_words(time: Duration) -> String {
    if time.subsec_millis() != 0 {
        return format!("{} ms", time.as_millis());
    }
    let seconds = time.as_secs();
    for (length, unit) in [(86_400, "d"), (3_600, "h"), (60, "min")] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{} {unit}", seconds / length);
        }
    }
    format!("{seconds} s")
}

/// How long ago something was, as exactly as a person wants to know it.
#[must_use]
pub fn age_words(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn split_unit(text: &str) -> (Option<u64>, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number.parse().ok(), unit.trim_start())
}

/// A quality of service.
pub fn qos(text: &str) -> Result<Qos, String> {
    match text {
        "0" => Ok(Qos::AtMostOnce),
        "1" => Ok(Qos::AtLeastOnce),
        "2" => Ok(Qos::ExactlyOnce),
        _ => Err(format!("the QoS is 0, 1 or 2, not `{text}`")),
    }
}

/// A version of MQTT.
pub fn version(text: &str) -> Result<Version, String> {
    match text {
        "3" | "3.1.1" => Ok(Version::V311),
        "5" | "5.0" => Ok(Version::V5),
        _ => Err(format!("the version is 3 or 5, not `{text}`")),
    }
}

/// Whether a message goes to the first rule that matches or to every one.
pub fn routing(text: &str) -> Result<Routing, String> {
    match text {
        "first" => Ok(Routing::First),
        "every" => Ok(Routing::Every),
        _ => Err(format!("this is `first` or `every`, not `{text}`")),
    }
}

/// What a status topic says.
pub fn status_format(text: &str) -> Result<StatusFormat, String> {
    match text {
        "text" => Ok(StatusFormat::Text),
        "json" => Ok(StatusFormat::Json),
        _ => Err(format!("this is `text` or `json`, not `{text}`")),
    }
}

/// When a commit counts as safe.
pub fn sync(text: &str) -> Result<Safety, String> {
    match text {
        "full" => Ok(Safety::Full),
        "normal" => Ok(Safety::Normal),
        _ => Err(format!("this is `full` or `normal`, not `{text}`")),
    }
}

/// An address to listen on.
pub fn ip(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse()
        .map_err(|_| format!("`{text}` is not an IP address such as 127.0.0.1, 0.0.0.0 or ::1"))
}

/// A text that is not empty.
pub fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("this cannot be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A client id, user name or other text that MQTT carries.
pub fn mqtt_text(text: &str) -> Result<String, String> {
    match filled(text)? {
        text if text.contains('\0') => Err("this cannot hold a NUL character".to_owned()),
        text if text.len() > usize::from(u16::MAX) => Err("this is too long for MQTT".to_owned()),
        text => Ok(text),
    }
}

/// The name of a group of a shared subscription.
pub fn shared_group(text: &str) -> Result<String, String> {
    if text.contains(['/', '+', '#']) {
        return Err(format!("`{text}` is not a group name: it cannot hold `/`, `+` or `#`"));
    }
    mqtt_text(text)
}

/// A topic filter that may be subscribed to.
pub fn topic_filter(text: &str) -> Result<String, String> {
    crate::topic::check_filter(text).map(|()| text.to_owned())
}

/// A name, of a consumer group, a user or a sink: one line that is not empty.
pub fn line(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("this is one line of text without control characters".to_owned());
    }
    filled(text)
}

/// The name of a journal, which no other sink can have.
pub fn journal(text: &str) -> Result<String, String> {
    match line(text)? {
        name if name.starts_with("mqtt ") || name.starts_with("webhook ") => {
            Err(format!("`{name}` may be the name of another sink"))
        }
        name => Ok(name),
    }
}

/// A dotted path into a JSON document.
pub fn path(text: &str) -> Result<crate::config::JsonPath, String> {
    if text.split('.').any(str::is_empty) {
        return Err(format!("`{text}` is not a path such as data.sensors.0.name"));
    }
    Ok(crate::config::JsonPath(text.to_owned()))
}

/// What is added to the level of an escalation policy.
pub fn offset(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a whole number"))
}

/// `name=value`, with a name.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!("`{text}` is not of the form name=value")),
    }
}

/// `alias=NAME` or `id=NUMBER`.
pub fn service(text: &str) -> Result<Service, String> {
    match text.split_once('=') {
        Some(("alias", name)) if !name.is_empty() => Ok(Service::Alias(name.to_owned())),
        Some(("id", number)) => service_id(number),
        _ => Err(format!("`{text}` is not of the form alias=NAME or id=NUMBER")),
    }
}

/// The number of a service.
pub fn service_id(text: &str) -> Result<Service, String> {
    text.parse().map(Service::Id).map_err(|_| format!("`{text}` is not the number of a service"))
}

/// Where a broker is: `host`, `host:port`, `[::1]:1883`, `mqtts://host:8883`, `ws://host/mqtt`.
pub fn address(text: &str) -> Result<Address, String> {
    let (mut scheme, mut path, mut rest) = (None, None, text);
    if let Some((before, after)) = text.split_once("://") {
        rest = after.strip_suffix('/').unwrap_or(after);
        let before = before.to_ascii_lowercase();
        scheme = match &before[..] {
            "mqtt" | "tcp" | "ws" => Some(Scheme::Plain),
            "mqtts" | "ssl" | "tls" | "wss" => Some(Scheme::Tls),
            _ => {
                return Err(format!(
                    "`{before}://` is not supported; use mqtt:// (or tcp://), mqtts:// (or \
                     ssl://), ws:// or wss://"
                ));
            }
        };
        if before.starts_with("ws") {
            let at = after.find(['/', '?']).unwrap_or(after.len());
            path = Some(web_path(&after[at..])?);
            rest = &after[..at];
        }
    }
    if rest.contains('@') {
        return Err("user name and password have their own settings".to_owned());
    }
    let (host, port) = host_and_port(rest).ok_or_else(|| {
        format!("`{text}` is not a host, a host:port or a URL such as mqtt://host:1883")
    })?;
    Ok(Address { scheme, host, port, path })
}

/// The path of a WebSocket, as a request can carry it.
fn web_path(text: &str) -> Result<String, String> {
    match text {
        "" => Ok("/mqtt".to_owned()),
        _ if text.contains('#') || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(format!("`{text}` is not the path of a URL"))
        }
        _ if text.starts_with('/') => Ok(text.to_owned()),
        _ => Ok(format!("/{text}")),
    }
}

/// How a payload is sent to a webhook.
pub fn format(text: &str) -> Result<Format, String> {
    match text {
        "raw" => Ok(Format::Raw),
        "cloudevent" => Ok(Format::CloudEvent),
        "cloudevent-binary" => Ok(Format::CloudEventBinary),
        _ => Err(format!("the format is `raw`, `cloudevent` or `cloudevent-binary`, not `{text}`")),
    }
}

/// Host and port; an IPv6 address needs brackets only before a port.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        match after {
            "" => (host, None),
            _ => (host, Some(after.strip_prefix(':')?)),
        }
    } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let named = host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'));
    if host.is_empty() || !named {
        return None;
    }
    match port {
        None => Some((host.to_owned(), None)),
        Some(port) => Some((host.to_owned(), Some(self::port(port, PORTS).ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mechanism;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        for (text, wanted) in [
            ("65536", Ok(65_536)),
            ("64 KB", Ok(65_536)),
            ("64k", Ok(65_536)),
            ("1 MiB", Ok(1_048_576)),
            ("1 XB", Err("`1 XB` is not a size such as 65536, 64 KB or 1 MB")),
            ("", Err("`` is not a size such as 65536, 64 KB or 1 MB")),
            ("-1", Err("`-1` is not a size such as 65536, 64 KB or 1 MB")),
            ("99999999999 GB", Err("`99999999999 GB` is not a size such as 65536, 64 KB or 1 MB")),
            ("1", Err("`1` is not between 1 KB and 64 MB")),
        ] {
            assert_eq!(size(text, BODY_BYTES), wanted.map_err(str::to_owned), "{text}");
        }
        assert_eq!(size_words(65_536), "64 KB");
        assert_eq!(size_words(268_435_455), "268435455 bytes");
    }

    #[test]
    fn durations_are_seconds_unless_they_say_otherwise() {
        for (text, wanted) in [
            ("30", Ok(30)),
            ("30 s", Ok(30)),
            ("5min", Ok(300)),
            ("2 h", Ok(7_200)),
            ("5 y", Err("`5 y` is not a time such as 30 (seconds), 30 s, 5 min or 2 h")),
            ("31 d", Err("`31 d` is not between 1 s and 30 d")),
        ] {
            let wanted = wanted.map(Duration::from_secs).map_err(str::to_owned);
            assert_eq!(duration(text, AGES), wanted, "{text}");
        }
    }

    #[test]
    fn moments_may_be_shorter_than_a_second() {
        for (text, wanted) in [
            ("50ms", Ok(50)),
            ("0", Ok(0)),
            ("2 s", Ok(2_000)),
            ("1 min", Err("`1 min` is not between 0 s and 10 s")),
            ("soon", Err("`soon` is not a time such as 50 ms, 2 s or 5 min")),
        ] {
            let wanted = wanted.map(Duration::from_millis).map_err(str::to_owned);
            assert_eq!(moment(text, 0..=10_000), wanted, "{text}");
        }
        assert!(duration("1500 ms", AGES).is_err(), "others are whole seconds");
        assert_eq!(duration("2000 ms", AGES), Ok(Duration::from_secs(2)));
        assert_eq!(duration_words(Duration::from_millis(1_050)), "1050 ms");
    }

    #[test]
    fn a_webhook_has_a_host_and_perhaps_a_path() {
        for (text, wanted) in [
            ("http://127.0.0.1:5000/orders", Ok(())),
            ("HTTPS://shop/a/b?c=%20d", Ok(())),
            ("http://[::1]/x", Ok(())),
            ("http://shop?key=1", Ok(())),
            ("shop/orders", Err("is not a URL such as")),
            ("mqtt://shop", Err("is not a URL such as")),
            ("http:///orders", Err("this URL names no host")),
            ("http://?a", Err("this URL names no host")),
            ("http://me:x@shop/", Err("user name and password have their own settings")),
            ("http://shop/a b", Err("no spaces")),
            ("http://shop/#x", Err("no spaces, no `#`")),
            ("http://sh^op/", Err("is not of the form http(s)://host")),
        ] {
            let found = url(text).map(|_| ());
            match wanted {
                Ok(()) => assert_eq!(found, Ok(()), "{text}"),
                Err(words) => {
                    assert!(found.as_ref().is_err_and(|e| e.contains(words)), "{found:?}");
                }
            }
        }
    }

    #[test]
    fn statuses_and_headers_are_those_of_http() {
        for (text, wanted) in [
            ("404", Some(404..=404)),
            ("5xx", Some(500..=599)),
            ("1xx", None),
            ("6xx", None),
            ("99999xx", None),
            ("ok", None),
        ] {
            assert_eq!(status(text).ok(), wanted, "{text}");
        }
        for (text, legal) in
            [("X-Key", true), ("Content-Type", true), ("a b", false), ("", false), ("Host", false)]
        {
            assert_eq!(header(text).is_ok(), legal, "{text}");
        }
    }

    #[test]
    fn a_broker_has_an_address() {
        let plain = |host: &str, port| Some((None, host.to_owned(), port));
        for (text, wanted) in [
            ("broker", plain("broker", None)),
            ("broker:1883", plain("broker", Some(1883))),
            ("10.0.0.1:1", plain("10.0.0.1", Some(1))),
            ("::1", plain("::1", None)),
            ("[fe80::1]:1883", plain("fe80::1", Some(1883))),
            ("mqtt://b", Some((Some(Scheme::Plain), "b".to_owned(), None))),
            ("TCP://b:1/", Some((Some(Scheme::Plain), "b".to_owned(), Some(1)))),
            ("ssl://b:8883", Some((Some(Scheme::Tls), "b".to_owned(), Some(8883)))),
            ("mqtts://[::1]", Some((Some(Scheme::Tls), "::1".to_owned(), None))),
            ("http://b", None),
            ("b:0", None),
            ("b:65536", None),
            ("b:", None),
            (":1883", None),
            ("", None),
            ("b/c", None),
            ("a b", None),
            ("u:p@b", None),
            ("[::1", None),
            ("[b]:1", None),
        ] {
            let found = address(text).ok().map(|a| (a.scheme, a.host, a.port));
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn a_websocket_has_a_path() {
        use Scheme::{Plain, Tls};
        for (text, wanted) in [
            ("ws://b", Some((Plain, "b", None, "/mqtt"))),
            ("WS://b:8080", Some((Plain, "b", Some(8080), "/mqtt"))),
            ("wss://b/", Some((Tls, "b", None, "/"))),
            ("wss://[::1]:1/a/b?c=d", Some((Tls, "::1", Some(1), "/a/b?c=d"))),
            ("ws://b?c", Some((Plain, "b", None, "/?c"))),
            ("ws://b/ä", None),
            ("ws://b/a b", None),
            ("ws://b/a#b", None),
            ("ws://u:p@b/", None),
            ("ws:///mqtt", None),
        ] {
            let found = address(text).ok();
            let wanted = wanted.map(|(scheme, host, port, path): (_, &str, _, &str)| Address {
                scheme: Some(scheme),
                host: host.to_owned(),
                port,
                path: Some(path.to_owned()),
            });
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn a_kafka_cluster_has_brokers_and_topics() {
        let brokers = |list: &[&str]| Some(list.iter().map(|&b| b.to_owned()).collect::<Vec<_>>());
        for (text, wanted) in [
            ("localhost:9092", brokers(&["localhost:9092"])),
            ("a, b:1,,[::1]:9092", brokers(&["a", "b:1", "[::1]:9092"])),
            ("ssl://a:1", None),
            ("a:0", None),
            ("a:b", None),
            ("a b", None),
            (" ,", None),
        ] {
            assert_eq!(kafka_brokers(text).ok(), wanted, "{text}");
        }
        for (text, legal) in
            [("events-topic", true), ("a.b_c", true), ("..", false), ("#", false), ("^a", false)]
        {
            assert_eq!(kafka_topic(text).is_ok(), legal, "{text}");
        }
        assert!(kafka_topic(&"a".repeat(250)).is_err());
    }

    #[test]
    fn what_the_agent_decides_cannot_be_set() {
        for (name, free) in [
            ("auto.offset.reset", true),
            ("enable.auto.commit", false),
            ("group.id", false),
            ("a b", false),
        ] {
            assert_eq!(kafka_option(name).is_ok(), free, "{name}");
        }
        assert_eq!(mechanism("scram-sha-512"), Ok(Mechanism::Scram512));
        assert!(mechanism("GSSAPI").is_err());
    }

    #[test]
    fn a_server_is_a_scheme_a_host_and_perhaps_a_port() {
        for (text, wanted) in [
            ("https://api.ilert.com", Some("https://api.ilert.com")),
            ("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080")),
            ("http://[::1]:80", Some("http://[::1]:80")),
            ("HTTP://host", Some("http://host")),
            ("127.0.0.1:8080", None),
            ("ftp://host", None),
            ("https://host/api", None),
            ("https://host?x", None),
            ("https://me@host", None),
            ("https://", None),
            ("http://::1", None),
            ("https://host//", None),
        ] {
            assert_eq!(base_url(text).ok().as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn numbers_are_plain_and_within_their_range() {
        assert_eq!(count("5", SEVERITIES), Ok(5));
        for text in ["0", "6", "+5", "05x", "", " 5", "99999999999999999999"] {
            assert!(count(text, SEVERITIES).is_err(), "{text}");
        }
        assert_eq!(attempts("0"), Ok(None));
        assert_eq!(attempts("2"), Ok(Some(2)));
        assert!(attempts("4294967296").is_err());
    }

    #[test]
    fn services_and_labels_are_pairs() {
        assert_eq!(service("alias=db"), Ok(Service::Alias("db".to_owned())));
        assert_eq!(service("id=-7"), Ok(Service::Id(-7)));
        for text in ["alias=", "id=x", "db", "name=db"] {
            assert!(service(text).is_err(), "{text}");
        }
        assert_eq!(pair("site=a=b"), Ok(("site".to_owned(), "a=b".to_owned())));
        assert_eq!(pair("site="), Ok(("site".to_owned(), String::new())));
        assert!(pair("=x").is_err() && pair("x").is_err());
    }
}
