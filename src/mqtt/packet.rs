//! The packets of MQTT 3.1.1 and 5, as far as a subscriber sends and receives them.

use crate::config::{Qos, Version};
use std::fmt;

/// The longest text or binary field of a packet, in bytes.
pub const FIELD_BYTES_MAX: usize = 65_535;

/// The largest remaining length a packet can declare, in bytes.
pub const REMAINING_MAX: usize = 268_435_455;

/// How many unacknowledged messages we let a broker of MQTT 5 have under way.
pub const RECEIVE_MAX: u16 = 2_048;

/// A session of MQTT 5 with this expiry never expires.
pub(super) const EXPIRY_NEVER: u32 = 0xFFFF_FFFF;

/// Retain handling of MQTT 5: retained messages only if the subscription is new.
const RETAINED_IF_NEW: u8 = 1 << 4;

/// A packet that a broker sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The answer to CONNECT.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish<'a>),
    /// A message that was larger than the limit; its payload has been thrown away.
    Oversized(Oversized),
    /// The broker has let go of a QoS 2 message.
    PubRel {
        /// Which one.
        packet_id: u16,
    },
    /// The answer to SUBSCRIBE.
    SubAck(SubAck),
    /// The answer to UNSUBSCRIBE.
    UnsubAck(SubAck),
    /// The answer to PINGREQ.
    PingResp,
    /// The broker ends the connection (MQTT 5 only).
    Disconnect(Disconnect),
    /// Something legal that says nothing to a subscriber, by name.
    Ignored(&'static str),
}

/// The answer to CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnAck {
    /// The broker kept the session: what is not acknowledged comes again.
    pub session_present: bool,
    /// 0 is success; see [`words::connect_refusal`](crate::mqtt::words::connect_refusal).
    pub code: u8,
    /// The code is one of MQTT 3.1.1, even if we asked for MQTT 5.
    pub legacy: bool,
    /// The keep-alive that the broker wants instead of ours, in seconds.
    pub keep_alive: Option<u16>,
    /// How long the broker keeps the session after a connection, in seconds, if that is not as
    /// long as we asked for.
    pub expiry: Option<u32>,
    /// The broker's own words, or empty.
    pub text: String,
}

/// A message as it stands in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The topic; a hostile broker may send something that is not UTF-8.
    pub topic: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// How it is to be acknowledged.
    pub head: PublishHead,
}

/// What a PUBLISH says besides topic and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishHead {
    /// Quality of service.
    pub qos: Qos,
    /// Not 0, except with QoS 0.
    pub packet_id: u16,
    /// It may have been sent before.
    pub dup: bool,
    /// A retained copy, sent because of a new subscription.
    pub retain: bool,
}

/// A message that was larger than the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Oversized {
    /// Its topic.
    pub topic: Vec<u8>,
    /// Size of the whole packet, in bytes.
    pub bytes: usize,
    /// How it is to be acknowledged.
    pub head: PublishHead,
}

/// The answer to SUBSCRIBE or UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// Of what it answers.
    pub packet_id: u16,
    /// The granted QoS, or 0x80 and above. We ask for one filter at a time. Nothing is said by an
    /// UNSUBACK of MQTT 3.1.1, which is 0.
    pub code: u8,
    /// The broker's own words, or empty.
    pub text: String,
}

/// The broker ends the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Why; see [`words::reason`](crate::mqtt::words::reason).
    pub code: u8,
    /// The broker's own words, or empty.
    pub text: String,
}

/// Bytes that are not MQTT, with what is wrong about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker sent a malformed packet: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// What CONNECT says. The session is kept: clean start is off, it never expires.
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    /// 3.1.1 or 5.
    pub version: Version,
    /// The name the session is kept under.
    pub client_id: &'a str,
    /// User name.
    pub username: Option<&'a str>,
    /// Password; left out without a user name, as MQTT 3.1.1 demands.
    pub password: Option<&'a str>,
    /// Seconds between signs of life; 0 turns them off.
    pub keep_alive: u16,
}

impl Connect<'_> {
    /// Appends the packet.
    ///
    /// # Errors
    ///
    /// Names a field that is too long for MQTT; nothing is appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let password = self.username.and(self.password);
        let fields = [
            ("client id", Some(self.client_id)),
            ("user name", self.username),
            ("password", password),
        ];
        for (name, field) in fields {
            let bytes = field.map_or(0, str::len);
            if bytes > FIELD_BYTES_MAX {
                return Err(format!(
                    "the MQTT {name} has {bytes} bytes; MQTT allows {FIELD_BYTES_MAX}"
                ));
            }
        }
        let mut body = Vec::with_capacity(64);
        put_field(&mut body, b"MQTT");
        body.push(match self.version {
            Version::V311 => 4,
            Version::V5 => 5,
        });
        let flag = |given: bool, bit: u8| if given { 1 << bit } else { 0 };
        body.push(flag(self.username.is_some(), 7) | flag(password.is_some(), 6));
        put_u16(&mut body, self.keep_alive);
        if self.version == Version::V5 {
            put_connect_properties(&mut body);
        }
        for field in fields.into_iter().filter_map(|(_, field)| field) {
            put_field(&mut body, field.as_bytes());
        }
        put_header(out, 0x10, body.len());
        out.extend_from_slice(&body);
        Ok(())
    }
}

/// The session never expires, the window is bounded, and topics are always written out. No
/// maximum packet size is announced: a broker that knew it would drop larger messages silently.
fn put_connect_properties(body: &mut Vec<u8>) {
    const LENGTH: u8 = 11;
    body.push(LENGTH);
    body.push(0x11);
    body.extend_from_slice(&EXPIRY_NEVER.to_be_bytes());
    body.push(0x21);
    put_u16(body, RECEIVE_MAX);
    body.push(0x22);
    put_u16(body, 0);
}

/// Appends a SUBSCRIBE for one filter, which has to fit into [`FIELD_BYTES_MAX`].
pub fn subscribe(out: &mut Vec<u8>, version: Version, packet_id: u16, filter: &str, qos: Qos) {
    let (properties, options) = match version {
        Version::V311 => (0, level(qos)),
        Version::V5 => (1, level(qos) | RETAINED_IF_NEW),
    };
    put_header(out, 0x82, 2 + properties + 2 + filter.len() + 1);
    put_u16(out, packet_id);
    out.extend(std::iter::repeat_n(0, properties));
    put_field(out, filter.as_bytes());
    out.push(options);
}

/// Appends an UNSUBSCRIBE for one filter, which has to fit into [`FIELD_BYTES_MAX`].
pub fn unsubscribe(out: &mut Vec<u8>, version: Version, packet_id: u16, filter: &str) {
    let properties = if version == Version::V5 { 1 } else { 0 };
    put_header(out, 0xA2, 2 + properties + 2 + filter.len());
    put_u16(out, packet_id);
    out.extend(std::iter::repeat_n(0, properties));
    put_field(out, filter.as_bytes());
}

/// Appends the acknowledgement of a message: PUBACK for QoS 1, PUBREC for QoS 2.
pub fn acknowledge(out: &mut Vec<u8>, qos: Qos, packet_id: u16) {
    match qos {
        Qos::AtMostOnce => (),
        Qos::AtLeastOnce => put_short(out, 0x40, packet_id),
        Qos::ExactlyOnce => put_short(out, 0x50, packet_id),
    }
}

/// Appends a PUBCOMP, the answer to PUBREL.
pub fn complete(out: &mut Vec<u8>, packet_id: u16) {
    put_short(out, 0x70, packet_id);
}

/// Appends a PINGREQ.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xC0, 0]);
}

/// Appends an orderly DISCONNECT.
pub fn disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xE0, 0]);
}

/// The number that stands for a quality of service.
#[must_use]
pub fn level(qos: Qos) -> u8 {
    match qos {
        Qos::AtMostOnce => 0,
        Qos::AtLeastOnce => 1,
        Qos::ExactlyOnce => 2,
    }
}

fn put_short(out: &mut Vec<u8>, first: u8, packet_id: u16) {
    let [high, low] = packet_id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

fn put_header(out: &mut Vec<u8>, first: u8, remaining: usize) {
    out.push(first);
    let mut rest = remaining.min(REMAINING_MAX);
    loop {
        let digit = (rest % 128).to_le_bytes()[0];
        rest /= 128;
        out.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            return;
        }
    }
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// A field that is too long is cut: the callers have checked it, and half a topic is better than
/// a stream that is out of step.
fn put_field(out: &mut Vec<u8>, field: &[u8]) {
    let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
    put_u16(out, length);
    out.extend_from_slice(&field[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Connect<'_> = Connect {
        version: Version::V311,
        client_id: "me",
        username: None,
        password: None,
        keep_alive: 60,
    };

    #[track_caller]
    fn check_connect(connect: Connect<'_>, wanted: &[u8]) {
        let mut out = Vec::new();
        connect.encode(&mut out).unwrap();
        assert_eq!(out, wanted);
    }

    #[test]
    fn connect_keeps_the_session() {
        check_connect(PLAIN, b"\x10\x0e\0\x04MQTT\x04\0\0\x3c\0\x02me");
        check_connect(
            Connect { username: Some("u"), password: Some("pw"), ..PLAIN },
            b"\x10\x15\0\x04MQTT\x04\xc0\0\x3c\0\x02me\0\x01u\0\x02pw",
        );
        check_connect(
            Connect { version: Version::V5, username: Some("u"), ..PLAIN },
            b"\x10\x1d\0\x04MQTT\x05\x80\0\x3c\x0b\x11\xff\xff\xff\xff\x21\x08\0\x22\0\0\0\x02me\0\x01u",
        );
    }

    #[test]
    fn a_password_without_a_user_name_is_not_sent() {
        check_connect(
            Connect { password: Some("pw"), ..PLAIN },
            b"\x10\x0e\0\x04MQTT\x04\0\0\x3c\0\x02me",
        );
    }

    #[test]
    fn a_field_that_is_too_long_is_named() {
        let long = "x".repeat(FIELD_BYTES_MAX + 1);
        let mut out = Vec::new();
        let fault = Connect { username: Some(&long), ..PLAIN }.encode(&mut out).unwrap_err();
        assert_eq!(fault, "the MQTT user name has 65536 bytes; MQTT allows 65535");
        assert!(out.is_empty());
    }

    #[test]
    fn subscriptions_ask_for_retained_messages_once() {
        let mut out = Vec::new();
        subscribe(&mut out, Version::V311, 7, "a/#", Qos::AtLeastOnce);
        assert_eq!(out, b"\x82\x08\0\x07\0\x03a/#\x01");
        out.clear();
        subscribe(&mut out, Version::V5, 7, "a/#", Qos::ExactlyOnce);
        assert_eq!(out, b"\x82\x09\0\x07\0\0\x03a/#\x12");
    }

    #[test]
    fn a_filter_is_given_back() {
        let mut out = Vec::new();
        unsubscribe(&mut out, Version::V311, 7, "a/#");
        unsubscribe(&mut out, Version::V5, 8, "a");
        assert_eq!(out, b"\xa2\x07\0\x07\0\x03a/#\xa2\x06\0\x08\0\0\x01a");
    }

    #[test]
    fn acknowledgements_follow_the_quality_of_service() {
        let mut out = Vec::new();
        acknowledge(&mut out, Qos::AtMostOnce, 1);
        acknowledge(&mut out, Qos::AtLeastOnce, 0x102);
        acknowledge(&mut out, Qos::ExactlyOnce, 3);
        complete(&mut out, 3);
        ping(&mut out);
        disconnect(&mut out);
        assert_eq!(out, b"\x40\x02\x01\x02\x50\x02\0\x03\x70\x02\0\x03\xc0\0\xe0\0");
    }

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        for (length, wanted) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x80, 1]),
            (16_384, &[0x80, 0x80, 1]),
            (REMAINING_MAX, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = Vec::new();
            put_header(&mut out, 0x10, length);
            assert_eq!(&out[1..], wanted, "{length}");
        }
    }
}
