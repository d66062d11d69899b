//! From the bytes of one packet to its meaning.

use crate::config::{Qos, Version};
use crate::mqtt::packet::{
    ConnAck, Disconnect, EXPIRY_NEVER, Malformed, Packet, Publish, PublishHead, SubAck,
};
use crate::mqtt::properties::Fields;

/// The packet type of PUBLISH.
pub(super) const PUBLISH: u8 = 3;

/// Makes sense of one packet: its first byte, and all that follows its length.
pub(super) fn decode(version: Version, first: u8, body: &[u8]) -> Result<Packet<'_>, Malformed> {
    let fields = Fields(body);
    let (kind, flags) = (first >> 4, first & 0x0F);
    if kind == PUBLISH {
        return publish(version, flags, fields).map(Packet::Publish);
    }
    let wanted = if kind == 6 { 2 } else { 0 };
    if flags != wanted {
        return Err(Malformed("the flags of the first byte are wrong"));
    }
    match (kind, version) {
        (2, _) => connack(version, fields).map(Packet::ConnAck),
        (4, _) => acknowledgement(version, fields, "PUBACK"),
        (5, _) => acknowledgement(version, fields, "PUBREC"),
        (6, _) => pubrel(version, fields),
        (7, _) => acknowledgement(version, fields, "PUBCOMP"),
        (9, _) => suback(version, fields).map(Packet::SubAck),
        (11, _) => unsuback(version, fields).map(Packet::UnsubAck),
        (13, _) => end(fields).map(|()| Packet::PingResp),
        (14, Version::V5) => disconnect(fields).map(Packet::Disconnect),
        _ => Err(Malformed("a broker may not send a packet of this type")),
    }
}

/// What PUBLISH says in front of its payload: everything is left in `fields` that follows the
/// packet id.
pub(super) fn publish_head<'a>(
    flags: u8,
    fields: &mut Fields<'a>,
) -> Result<(&'a [u8], PublishHead), Malformed> {
    let qos = match flags >> 1 & 3 {
        0 => Qos::AtMostOnce,
        1 => Qos::AtLeastOnce,
        2 => Qos::ExactlyOnce,
        _ => return Err(Malformed("a PUBLISH has QoS 3")),
    };
    let topic = fields.field()?;
    let packet_id = if qos == Qos::AtMostOnce { 0 } else { fields.packet_id()? };
    Ok((topic, PublishHead { qos, packet_id, dup: flags & 8 != 0, retain: flags & 1 != 0 }))
}

fn publish(version: Version, flags: u8, mut fields: Fields<'_>) -> Result<Publish<'_>, Malformed> {
    let (topic, head) = publish_head(flags, &mut fields)?;
    if version == Version::V5 {
        fields.properties()?;
    }
    Ok(Publish { topic, payload: fields.rest(), head })
}

fn connack(version: Version, mut fields: Fields<'_>) -> Result<ConnAck, Malformed> {
    let flags = fields.u8()?;
    let code = fields.u8()?;
    if flags > 1 {
        return Err(Malformed("a CONNACK has unknown flags"));
    }
    let mut connack = ConnAck { session_present: flags == 1, code, ..ConnAck::default() };
    // A broker that does not know MQTT 5 answers in the words of MQTT 3.1.1: two bytes.
    connack.legacy = version == Version::V311 || fields.is_empty();
    if !connack.legacy {
        let properties = fields.properties()?;
        connack.keep_alive = properties.keep_alive;
        connack.expiry = properties.expiry.filter(|expiry| *expiry < EXPIRY_NEVER);
        connack.text = properties.text;
    }
    end(fields)?;
    Ok(connack)
}

fn pubrel(version: Version, mut fields: Fields<'_>) -> Result<Packet<'_>, Malformed> {
    let packet_id = fields.packet_id()?;
    reason_and_properties(version, fields)?;
    Ok(Packet::PubRel { packet_id })
}

/// The answer to a message we never sent: it may belong to somebody who had our client id before.
fn acknowledgement<'a>(
    version: Version,
    mut fields: Fields<'a>,
    name: &'static str,
) -> Result<Packet<'a>, Malformed> {
    fields.packet_id()?;
    reason_and_properties(version, fields)?;
    Ok(Packet::Ignored(name))
}

/// MQTT 5 may add a reason code, and after it properties.
fn reason_and_properties(
    version: Version,
    mut fields: Fields<'_>,
) -> Result<(u8, String), Malformed> {
    if version == Version::V311 || fields.is_empty() {
        end(fields)?;
        return Ok((0, String::new()));
    }
    let code = fields.u8()?;
    if fields.is_empty() {
        return Ok((code, String::new()));
    }
    let properties = fields.properties()?;
    end(fields)?;
    Ok((code, properties.text))
}

fn suback(version: Version, mut fields: Fields<'_>) -> Result<SubAck, Malformed> {
    let packet_id = fields.packet_id()?;
    let text = match version {
        Version::V311 => String::new(),
        Version::V5 => fields.properties()?.text,
    };
    let code = fields.u8()?;
    end(fields)?;
    Ok(SubAck { packet_id, code, text })
}

/// It has no code in MQTT 3.1.1, and says that the subscription is gone.
fn unsuback(version: Version, fields: Fields<'_>) -> Result<SubAck, Malformed> {
    let mut rest = fields;
    let packet_id = rest.packet_id()?;
    if version == Version::V5 && !rest.is_empty() {
        return suback(version, fields);
    }
    end(rest)?;
    Ok(SubAck { packet_id, code: 0, text: String::new() })
}

fn disconnect(fields: Fields<'_>) -> Result<Disconnect, Malformed> {
    let (code, text) = reason_and_properties(Version::V5, fields)?;
    Ok(Disconnect { code, text })
}

fn end(fields: Fields<'_>) -> Result<(), Malformed> {
    if fields.is_empty() { Ok(()) } else { Err(Malformed("a packet is longer than it should be")) }
}
