//! From the bytes of one packet to its meaning.

use crate::config::Version;
use crate::message::Qos;
use crate::mqtt::fields::Fields;
use crate::mqtt::packet::{
    Answered, ConnAck, Disconnect, EXPIRY_NEVER, Malformed, Packet, Step, SubAck,
};
use bytes::Bytes;
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as mqttbytes5, v5};

/// How many characters of a broker's own words are kept.
const CHARS_MAX: usize = 200;

/// Properties of MQTT 5.
const REASON_STRING: u8 = 0x1F;
const USER_PROPERTY: u8 = 0x26;

/// Makes sense of one packet that is no PUBLISH: its first byte, and all that follows its length.
pub(in crate::mqtt) fn read(
    version: Version,
    first: u8,
    body: &[u8],
) -> Result<Packet<'_>, Malformed> {
    let (kind, flags) = (first >> 4, first & 0x0F);
    let wanted = if kind == 6 { 2 } else { 0 };
    if flags != wanted {
        return Err(Malformed("the flags of the first byte are wrong"));
    }
    let body = Body { first, bytes: body };
    match (kind, version) {
        (2, _) => connack(version, body).map(Packet::ConnAck),
        (4, _) => answered(version, body, Step::Acknowledged),
        (5, _) => answered(version, body, Step::Received),
        (6, _) => {
            acknowledgement(version, body).map(|(packet_id, ..)| Packet::PubRel { packet_id })
        }
        (7, _) => answered(version, body, Step::Completed),
        (9, _) => suback(version, body).map(Packet::SubAck),
        (11, _) => unsuback(version, body).map(Packet::UnsubAck),
        (13, _) => body.fields().end().map(|()| Packet::PingResp),
        (14, Version::V5) => disconnect(body).map(Packet::Disconnect),
        _ => Err(Malformed("a broker may not send a packet of this type")),
    }
}

/// A packet without its length, which has been read.
#[derive(Clone, Copy)]
struct Body<'a> {
    first: u8,
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    fn fields(self) -> Fields<'a> {
        Fields(self.bytes)
    }

    /// As `rumqttc` takes a packet, which it wants whole: with one byte for the length, since it
    /// passes over what stands there.
    fn whole(self) -> Bytes {
        [&[self.first, 0], self.bytes].concat().into()
    }

    fn header(self) -> mqttbytes::FixedHeader {
        mqttbytes::FixedHeader::new(self.first, 1, self.bytes.len())
    }

    fn header5(self) -> v5::FixedHeader {
        v5::FixedHeader::new(self.first, 1, self.bytes.len())
    }
}

fn connack(version: Version, body: Body<'_>) -> Result<ConnAck, Malformed> {
    let mut fields = body.fields();
    let (flags, code) = (fields.u8()?, fields.u8()?);
    if flags > 1 {
        return Err(Malformed("a CONNACK has unknown flags"));
    }
    let connack = ConnAck { session_present: flags == 1, code, ..ConnAck::default() };
    // A broker that does not know MQTT 5 answers in the words of MQTT 3.1.1: two bytes.
    if version == Version::V311 || fields.is_empty() {
        fields.end()?;
        known(v4::ConnAck::read(body.header(), body.whole()))?;
        return Ok(ConnAck { legacy: true, ..connack });
    }
    fields.properties()?;
    fields.end()?;
    let read = known5(v5::ConnAck::read(body.header5(), body.whole()))?;
    let Some(properties) = read.and_then(|read| read.properties) else { return Ok(connack) };
    Ok(ConnAck {
        keep_alive: properties.server_keep_alive,
        forbids_numbers: properties.subscription_identifiers_available == Some(0),
        expiry: properties.session_expiry_interval.filter(|expiry| *expiry < EXPIRY_NEVER),
        receive_max: properties.receive_max,
        qos_max: properties.max_qos.map(|qos| match qos {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        }),
        retains: properties.retain_available.map(|available| available != 0),
        packet_bytes_max: properties.max_packet_size,
        text: printable(properties.reason_string),
        ..connack
    })
}

/// PUBACK, PUBREC or PUBCOMP.
fn answered(version: Version, body: Body<'_>, step: Step) -> Result<Packet<'_>, Malformed> {
    let (packet_id, code, mut properties) = acknowledgement(version, body)?;
    let mut text = None;
    // A text is for people: one that cannot be read is no reason to end the connection.
    while text.is_none()
        && let Ok(kind) = properties.u8()
    {
        match (kind, properties.field()) {
            (REASON_STRING, Ok(found)) => text = str::from_utf8(found).ok().map(str::to_owned),
            (USER_PROPERTY, Ok(_)) if properties.field().is_ok() => (),
            _ => break,
        }
    }
    Ok(Packet::Answered(Answered { packet_id, step, code, text: printable(text) }))
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP: its packet id, its code, and its properties, which are not
/// looked at.
fn acknowledgement(version: Version, body: Body<'_>) -> Result<(u16, u8, Fields<'_>), Malformed> {
    let mut fields = body.fields();
    fields.packet_id()?;
    let (mut code, mut properties) = (0, Fields(&[]));
    if version == Version::V5 && !fields.is_empty() {
        code = fields.u8()?;
        if !fields.is_empty() {
            properties = Fields(fields.properties()?);
        }
    }
    fields.end()?;
    let body = Body { bytes: &body.bytes[..2], ..body };
    let read = known(v4::PubRel::read(body.header(), body.whole()))?;
    read.map(|read| (read.pkid, code, properties)).ok_or(SENSELESS)
}

fn suback(version: Version, body: Body<'_>) -> Result<SubAck, Malformed> {
    let mut fields = body.fields();
    let packet_id = fields.packet_id()?;
    if version == Version::V5 {
        fields.properties()?;
    }
    let code = fields.u8()?;
    fields.end()?;
    let text = match version {
        Version::V311 => {
            known(v4::SubAck::read(body.header(), body.whole()))?;
            None
        }
        Version::V5 => {
            let read = known5(v5::SubAck::read(body.header5(), body.whole()))?;
            read.and_then(|read| read.properties).and_then(|properties| properties.reason_string)
        }
    };
    Ok(SubAck { packet_id, code, text: printable(text) })
}

/// It has no code in MQTT 3.1.1, and says that the subscription is gone.
fn unsuback(version: Version, body: Body<'_>) -> Result<SubAck, Malformed> {
    let mut fields = body.fields();
    let packet_id = fields.packet_id()?;
    if version == Version::V311 || fields.is_empty() {
        fields.end()?;
        known(v4::UnsubAck::read(body.header(), body.whole()))?;
        return Ok(SubAck { packet_id, code: 0, text: String::new() });
    }
    fields.properties()?;
    let code = fields.u8()?;
    fields.end()?;
    let read = known5(v5::UnsubAck::read(body.header5(), body.whole()))?;
    let properties = read.and_then(|read| read.properties);
    let text = properties.and_then(|properties| properties.reason_string);
    Ok(SubAck { packet_id, code, text: printable(text) })
}

fn disconnect(body: Body<'_>) -> Result<Disconnect, Malformed> {
    let mut fields = body.fields();
    let code = if fields.is_empty() { 0 } else { fields.u8()? };
    if fields.is_empty() {
        return Ok(Disconnect { code, text: String::new() });
    }
    fields.properties()?;
    fields.end()?;
    let read = known5(v5::Disconnect::read(body.header5(), body.whole()))?;
    let properties = read.and_then(|read| read.properties);
    let text = properties.and_then(|properties| properties.reason_string);
    Ok(Disconnect { code, text: printable(text) })
}

const SENSELESS: Malformed = Malformed("its fields make no sense");

/// `None` for a packet with a code that `rumqttc` does not know.
fn known<T>(read: Result<T, mqttbytes::Error>) -> Result<Option<T>, Malformed> {
    use mqttbytes::Error::{InvalidConnectReturnCode, InvalidSubscribeReasonCode};
    match read {
        Ok(packet) => Ok(Some(packet)),
        Err(InvalidConnectReturnCode(_) | InvalidSubscribeReasonCode(_)) => Ok(None),
        Err(_) => Err(SENSELESS),
    }
}

/// As [`known`], for MQTT 5.
fn known5<T>(read: Result<T, mqttbytes5::Error>) -> Result<Option<T>, Malformed> {
    use mqttbytes5::Error::{
        BoundaryCrossed, InsufficientBytes, InvalidConnectReturnCode, InvalidPropertyType,
        InvalidSubscribeReasonCode, MalformedPacket, TopicNotUtf8,
    };
    match read {
        Ok(packet) => Ok(Some(packet)),
        Err(InvalidConnectReturnCode(_) | InvalidSubscribeReasonCode(_)) => Ok(None),
        Err(BoundaryCrossed(_) | InsufficientBytes(_) | MalformedPacket) => {
            Err(Malformed("a field is cut short"))
        }
        Err(InvalidPropertyType(_)) => Err(Malformed("a property is unknown")),
        Err(TopicNotUtf8) => Err(Malformed("a text is not valid UTF-8")),
        Err(_) => Err(SENSELESS),
    }
}

/// A broker's words as they may appear in a log: one line, not too long.
fn printable(text: Option<String>) -> String {
    let text = text.unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V5, V311};

    #[track_caller]
    fn check(version: Version, first: u8, body: &[u8], wanted: &Packet<'_>) {
        let found = read(version, first, body);
        assert_eq!(found.as_ref(), Ok(wanted), "{version:?} {first:x} {body:x?}");
    }

    #[track_caller]
    fn check_refused(version: Version, first: u8, body: &[u8], wanted: &'static str) {
        let found = read(version, first, body);
        assert_eq!(found, Err(Malformed(wanted)), "{version:?} {first:x} {body:x?}");
    }

    fn connack(code: u8, text: &str) -> Packet<'static> {
        Packet::ConnAck(ConnAck { code, text: text.to_owned(), ..ConnAck::default() })
    }

    fn disconnect(code: u8, text: &str) -> Packet<'static> {
        Packet::Disconnect(Disconnect { code, text: text.to_owned() })
    }

    const LONGER: &str = "a packet is longer than it should be";

    /// The rows in which `rumqttc` alone would not do.
    #[test]
    fn what_rumqttc_refuses_or_waits_for_is_taken() {
        check(V5, 0xE0, b"", &disconnect(0, ""));
        check(V5, 0xE0, b"\x8e", &disconnect(0x8E, ""));
        check(V5, 0xE0, b"\x8e\0", &disconnect(0x8E, ""));
        check(V5, 0xE0, b"\x8e\x05\x1f\0\x02no", &disconnect(0x8E, "no"));
        let legacy = ConnAck { code: 1, legacy: true, ..ConnAck::default() };
        check(V5, 0x20, b"\0\x01", &Packet::ConnAck(legacy.clone()));
        check(V311, 0x20, b"\0\x09", &Packet::ConnAck(ConnAck { code: 9, ..legacy }));
        check(V5, 0x20, b"\0\xf0\0", &connack(0xF0, ""));
        check(V5, 0xE0, b"\xf0\0", &disconnect(0xF0, ""));
        let suback = |code| SubAck { packet_id: 2, code, text: String::new() };
        check(V311, 0x90, b"\0\x02\x83", &Packet::SubAck(suback(0x83)));
        check(V5, 0x90, b"\0\x02\0\xf0", &Packet::SubAck(suback(0xF0)));
        check(V5, 0xB0, b"\0\x02", &Packet::UnsubAck(suback(0)));
        // The broker sends a PUBREL again until it is answered: its text is not looked at.
        let pubrel = Packet::PubRel { packet_id: 7 };
        check(V5, 0x62, b"\0\x07\x92\x05\x1f\0\x02\xff\xfe", &pubrel);
        check(V5, 0x62, b"\0\x07\x99", &pubrel);
    }

    #[test]
    fn what_rumqttc_takes_is_refused() {
        for first in [0x40, 0x50, 0x62, 0x70] {
            check_refused(V311, first, b"\0\0", "packet id 0");
            check_refused(V311, first, b"\0\x07\0", LONGER);
            check_refused(V5, first, b"\0\x07\0\0x", LONGER);
            check_refused(V311, first ^ 2, b"\0\x07", "the flags of the first byte are wrong");
        }
        check_refused(V311, 0x90, b"\0\0\x01", "packet id 0");
        check_refused(V311, 0x90, b"\0\x02\x01\x01", LONGER);
        check_refused(V311, 0x20, b"\0\0\0", LONGER);
        check_refused(V311, 0x20, b"\x02\0", "a CONNACK has unknown flags");
        check_refused(V5, 0x20, b"\0\0\0x", LONGER);
        check_refused(V5, 0xD0, b"x", LONGER);
        // A property that crosses the length of the properties.
        check_refused(V5, 0x20, b"\0\0\x02\x1f\0", "a field is cut short");
        check_refused(V5, 0x90, b"\0\x02\x02\x1f\0\x01", "a field is cut short");
        check_refused(V5, 0x20, b"\0\0\x02\x7e\0", "a property is unknown");
        check_refused(V5, 0xE0, b"\x8e\x04\x1f\0\x01\xff", "a text is not valid UTF-8");
    }

    #[test]
    fn what_a_connack_says_is_kept_and_the_rest_is_passed_over() {
        let body = b"\x01\0\x2e\x11\0\0\x0e\x10\x21\0\x0a\x24\x01\x25\x01\x27\0\0\x09\0\x12\0\x01x\x22\0\x01\
                     \x1f\0\x03n\no\x26\0\x01k\0\x01v\x28\x01\x29\x01\x2a\x01\x13\0\x1e";
        let Ok(Packet::ConnAck(connack)) = read(V5, 0x20, body) else {
            panic!("{:?}", read(V5, 0x20, body))
        };
        let wanted = ConnAck {
            session_present: true,
            keep_alive: Some(30),
            expiry: Some(3_600),
            receive_max: Some(10),
            qos_max: Some(Qos::AtLeastOnce),
            retains: Some(true),
            packet_bytes_max: Some(0x900),
            text: "no".to_owned(),
            ..ConnAck::default()
        };
        assert_eq!(connack, wanted);
    }
}
