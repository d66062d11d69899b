//! The PUBLISH that a broker sends: read here and not by `rumqttc`.
//!
//! Its head has to be read while the rest is still on its way. And what is in it may not end the
//! connection: the broker sends it again on the next one, for ever. So a topic that is no text is
//! for others to judge, and the properties of MQTT 5 are passed over unread.

use crate::config::{Qos, Version};
use crate::mqtt::fields::Fields;
use crate::mqtt::packet::{Malformed, Publish, PublishHead};

/// The packet type of PUBLISH.
pub(super) const PUBLISH: u8 = 3;

/// The flag of a message that may have been sent before, and that of a retained copy.
const DUP: u8 = 8;
const RETAIN: u8 = 1;

/// What PUBLISH says in front of its payload, and of the properties of MQTT 5: they are left in
/// `fields`.
pub(super) fn head<'a>(
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
    let (dup, retain) = (flags & DUP != 0, flags & RETAIN != 0);
    Ok((topic, PublishHead { qos, packet_id, dup, retain }))
}

/// Makes sense of a whole PUBLISH: the flags of its first byte, and all that follows its length.
pub(super) fn read(version: Version, flags: u8, body: &[u8]) -> Result<Publish<'_>, Malformed> {
    let mut fields = Fields(body);
    let (topic, head) = head(flags, &mut fields)?;
    if version == Version::V5 {
        fields.skip_properties()?;
    }
    Ok(Publish { topic, payload: fields.0, head })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_passed_over_whatever_is_in_them() {
        for properties in [
            &b"\x00"[..],
            b"\x02\x01\x01",
            b"\x06\x0b\x01\x0b\x02\x0b\x03", // Three subscription ids.
            b"\x07\x26\0\x01\xff\0\x01\xfe", // A user property that is no text.
            b"\x02\x7e\x01",                 // No property at all.
            b"\x03\x23\0\0",                 // Topic alias 0.
        ] {
            let body = [&b"\0\x01t\0\x05"[..], properties, b"PAYLOAD"].concat();
            let publish = read(Version::V5, 2, &body).unwrap();
            assert_eq!((publish.topic, publish.payload), (&b"t"[..], &b"PAYLOAD"[..]));
            assert_eq!(publish.head.packet_id, 5);
        }
    }

    #[test]
    fn properties_do_not_reach_beyond_the_packet() {
        for body in [&b"\0\x01t\x05\x01"[..], b"\0\x01t", b"\0\x01t\x80\x80\x80\x80\x01"] {
            assert!(read(Version::V5, 0, body).is_err(), "{body:?}");
        }
    }
}
