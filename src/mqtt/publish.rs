//! The PUBLISH that a broker sends: read here and not by `rumqttc`.
//!
//! Its head has to be read while the rest is still on its way. And what is in it may not end the
//! connection: the broker sends it again on the next one, for ever. So a topic that is no text is
//! for others to judge, and the properties of MQTT 5 are passed over; only the numbers of
//! subscriptions are read, when somebody asks.

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
    let properties = if version == Version::V5 { fields.properties()? } else { &[] };
    Ok(Publish { topic, payload: fields.0, properties, head })
}

/// The numbers of the subscriptions that brought a message; none if the properties make no sense.
pub(super) fn numbers(properties: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut fields = Fields(properties);
    while !fields.is_empty() {
        if property(&mut fields, &mut numbers).is_err() {
            return Vec::new();
        }
    }
    numbers
}

/// Passes over one property, and keeps the number of a subscription.
fn property(fields: &mut Fields<'_>, numbers: &mut Vec<u32>) -> Result<(), Malformed> {
    match fields.u8()? {
        // Payload format, expiry, topic alias.
        0x01 => fields.u8().map(|_| ()),
        0x02 => fields.take(4).map(|_| ()),
        0x23 => fields.take(2).map(|_| ()),
        // Content type, response topic, correlation data.
        0x03 | 0x08 | 0x09 => fields.field().map(|_| ()),
        // A user property.
        0x26 => fields.field().and_then(|_| fields.field()).map(|_| ()),
        0x0B => {
            numbers.extend(u32::try_from(fields.number()?));
            Ok(())
        }
        _ => Err(Malformed("a PUBLISH has an unknown property")),
    }
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
    fn numbers_of_subscriptions_are_found_among_other_properties() {
        for (properties, wanted) in [
            (&b""[..], &[][..]),
            (b"\x0b\x01\x0b\xac\x02", &[1, 300]),
            (
                b"\x01\x01\x02\0\0\0\x09\x0b\x05\x03\0\x01a\x08\0\0\x09\0\x01\xff\x26\0\x01a\0\x01\xfe\x23\0\x01\x0b\x06",
                &[5, 6],
            ),
            (b"\x0b\x05\x7e", &[]),
            (b"\x0b\x05\x0b", &[]),
            (b"\x0b\x05\x03\0\x09a", &[]),
        ] {
            assert_eq!(numbers(properties), wanted, "{properties:?}");
        }
    }

    #[test]
    fn properties_do_not_reach_beyond_the_packet() {
        for body in [&b"\0\x01t\x05\x01"[..], b"\0\x01t", b"\0\x01t\x80\x80\x80\x80\x01"] {
            assert!(read(Version::V5, 0, body).is_err(), "{body:?}");
        }
    }
}
