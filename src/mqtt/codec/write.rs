//! From the words of the session to the bytes of a packet.

use crate::config::{Qos, Version};
use crate::mqtt::packet::{
    Connect, EXPIRY_NEVER, FIELD_BYTES_MAX, PublishHead, RECEIVE_MAX, Subscribe, level,
};
use bytes::{BufMut, BytesMut};
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as mqttbytes5, v5};
use std::fmt::Debug;

/// Appends a CONNECT.
///
/// # Errors
///
/// Names a field that is too long for MQTT; nothing is appended then.
pub(in crate::mqtt) fn connect(out: &mut BytesMut, connect: &Connect<'_>) -> Result<(), String> {
    let username = connect.username.filter(|name| !name.is_empty());
    let password = username.and(connect.password);
    let fields =
        [("client id", Some(connect.client_id)), ("user name", username), ("password", password)];
    for (name, field) in fields {
        let bytes = field.map_or(0, str::len);
        if bytes > FIELD_BYTES_MAX {
            return Err(format!(
                "the MQTT {name} has {bytes} bytes; MQTT allows {FIELD_BYTES_MAX}"
            ));
        }
    }
    let login = username.map(|username| (username, password.unwrap_or_default()));
    let mut packet = BytesMut::new();
    match connect.version {
        Version::V311 => {
            let whole = v4::Connect {
                protocol: mqttbytes::Protocol::V4,
                keep_alive: connect.keep_alive,
                client_id: connect.client_id.to_owned(),
                clean_session: connect.clean,
                last_will: connect.will.map(|(topic, payload)| {
                    v4::LastWill::new(topic, payload, mqttbytes::QoS::AtLeastOnce, true)
                }),
                login: login.map(|(username, password)| v4::Login::new(username, password)),
            };
            fits(&whole.write(&mut packet));
        }
        Version::V5 => {
            let whole = v5::Connect {
                keep_alive: connect.keep_alive,
                client_id: connect.client_id.to_owned(),
                clean_start: connect.clean,
                properties: Some(connect_properties(connect.kept)),
            };
            let login = login.map(|(username, password)| v5::Login::new(username, password));
            let will = connect.will.map(|(topic, payload)| {
                v5::LastWill::new(topic, payload, mqttbytes5::QoS::AtLeastOnce, true, None)
            });
            fits(&whole.write(&will, &login, &mut packet));
        }
    }
    out.extend_from_slice(&packet);
    Ok(())
}

/// A session that is kept never expires, the window is bounded, and topics are always written out.
/// No maximum packet size is announced: a broker that knew it would drop larger messages silently.
fn connect_properties(kept: bool) -> v5::ConnectProperties {
    v5::ConnectProperties {
        session_expiry_interval: kept.then_some(EXPIRY_NEVER),
        receive_maximum: Some(RECEIVE_MAX),
        topic_alias_max: Some(0),
        ..v5::ConnectProperties::new()
    }
}

/// Appends a SUBSCRIBE. With MQTT 5 retained messages come only if the subscription is new.
pub(in crate::mqtt) fn subscribe(out: &mut BytesMut, version: Version, what: Subscribe<'_>) {
    let Subscribe { packet_id, filter, qos, number, as_published } = what;
    match version {
        Version::V311 => {
            let qos = match qos {
                Qos::AtMostOnce => mqttbytes::QoS::AtMostOnce,
                Qos::AtLeastOnce => mqttbytes::QoS::AtLeastOnce,
                Qos::ExactlyOnce => mqttbytes::QoS::ExactlyOnce,
            };
            let subscribe = v4::Subscribe { pkid: packet_id, ..v4::Subscribe::new(filter, qos) };
            fits(&subscribe.write(out));
        }
        Version::V5 => {
            let qos = match qos {
                Qos::AtMostOnce => mqttbytes5::QoS::AtMostOnce,
                Qos::AtLeastOnce => mqttbytes5::QoS::AtLeastOnce,
                Qos::ExactlyOnce => mqttbytes5::QoS::ExactlyOnce,
            };
            let filter = v5::Filter {
                preserve_retain: as_published,
                retain_forward_rule: v5::RetainForwardRule::OnNewSubscribe,
                ..v5::Filter::new(filter, qos)
            };
            let properties = number.map(|number| v5::SubscribeProperties {
                id: usize::try_from(number).ok(),
                user_properties: Vec::new(),
            });
            let subscribe = v5::Subscribe::new(filter, properties);
            let subscribe = v5::Subscribe { pkid: packet_id, ..subscribe };
            fits(&subscribe.write(out));
        }
    }
}

/// Appends an UNSUBSCRIBE for one filter, which has to fit into [`FIELD_BYTES_MAX`].
pub(in crate::mqtt) fn unsubscribe(
    out: &mut BytesMut,
    version: Version,
    packet_id: u16,
    filter: &str,
) {
    match version {
        Version::V311 => {
            let unsubscribe = v4::Unsubscribe { pkid: packet_id, topics: vec![filter.to_owned()] };
            fits(&unsubscribe.write(out));
        }
        Version::V5 => {
            let unsubscribe = v5::Unsubscribe::new(filter, None);
            fits(&v5::Unsubscribe { pkid: packet_id, ..unsubscribe }.write(out));
        }
    }
}

/// Appends the acknowledgement of a message: PUBACK for QoS 1, PUBREC for QoS 2. In MQTT 5 a
/// success is written as in 3.1.1, and so are the packets below.
pub(in crate::mqtt) fn acknowledge(out: &mut BytesMut, qos: Qos, packet_id: u16) {
    match qos {
        Qos::AtMostOnce => (),
        Qos::AtLeastOnce => fits(&v4::PubAck::new(packet_id).write(out)),
        Qos::ExactlyOnce => fits(&v4::PubRec::new(packet_id).write(out)),
    }
}

/// How many bytes [`publish`] appends.
pub(in crate::mqtt) fn publish_bytes(
    version: Version,
    topic: &str,
    qos: Qos,
    payload: &[u8],
) -> usize {
    let rest = publish_rest(version, topic, qos, payload);
    let digits = std::iter::successors(Some(rest >> 7), |rest| Some(rest >> 7));
    1 + 1 + digits.take_while(|rest| *rest > 0).count() + rest
}

/// What stands behind the length of a PUBLISH, in bytes.
fn publish_rest(version: Version, topic: &str, qos: Qos, payload: &[u8]) -> usize {
    let id = if qos == Qos::AtMostOnce { 0 } else { 2 };
    let properties = usize::from(version == Version::V5);
    2 + topic.len() + id + properties + payload.len()
}

/// Appends a PUBLISH without properties. The topic has to fit into [`FIELD_BYTES_MAX`], and the
/// whole into a packet.
pub(in crate::mqtt) fn publish(
    out: &mut BytesMut,
    version: Version,
    head: PublishHead,
    topic: &str,
    payload: &[u8],
) {
    let PublishHead { qos, packet_id, dup, retain } = head;
    let mut rest = publish_rest(version, topic, qos, payload);
    out.reserve(rest + 5);
    out.put_u8(0x30 | u8::from(dup) << 3 | level(qos) << 1 | u8::from(retain));
    while rest > 0x7F {
        out.put_u8(0x80 | rest.to_le_bytes()[0]);
        rest >>= 7;
    }
    out.put_u8(rest.to_le_bytes()[0]);
    out.put_u16(u16::try_from(topic.len()).unwrap_or(u16::MAX));
    out.put_slice(topic.as_bytes());
    if qos != Qos::AtMostOnce {
        out.put_u16(packet_id);
    }
    if version == Version::V5 {
        out.put_u8(0);
    }
    out.put_slice(payload);
}

/// Appends a PUBREL, the answer to PUBREC.
pub(in crate::mqtt) fn release(out: &mut BytesMut, packet_id: u16) {
    fits(&v4::PubRel::new(packet_id).write(out));
}

/// Appends a PUBCOMP, the answer to PUBREL.
pub(in crate::mqtt) fn complete(out: &mut BytesMut, packet_id: u16) {
    fits(&v4::PubComp::new(packet_id).write(out));
}

/// Appends a PINGREQ.
pub(in crate::mqtt) fn ping(out: &mut BytesMut) {
    fits(&v4::PingReq.write(out));
}

/// Appends an orderly DISCONNECT.
pub(in crate::mqtt) fn disconnect(out: &mut BytesMut) {
    fits(&v4::Disconnect.write(out));
}

/// Only a packet above 256 MB cannot be written, and no field of ours is longer than
/// [`FIELD_BYTES_MAX`].
fn fits<E: Debug>(written: &Result<usize, E>) {
    debug_assert!(written.is_ok(), "{written:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Connect<'_> = Connect {
        version: Version::V311,
        client_id: "me",
        username: None,
        password: None,
        clean: false,
        kept: true,
        keep_alive: 60,
        will: None,
    };

    #[track_caller]
    fn check_connect(given: Connect<'_>, wanted: &[u8]) {
        let mut out = BytesMut::from(&b"before"[..]);
        connect(&mut out, &given).unwrap();
        assert_eq!(out, [b"before", wanted].concat(), "what stands in front is not touched");
    }

    #[test]
    fn connect_keeps_the_session() {
        check_connect(PLAIN, b"\x10\x0e\0\x04MQTT\x04\0\0\x3c\0\x02me");
        check_connect(
            Connect { clean: true, ..PLAIN },
            b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me",
        );
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
    fn a_session_that_is_not_kept_ends_with_its_connection() {
        check_connect(
            Connect { version: Version::V5, clean: true, kept: false, ..PLAIN },
            b"\x10\x15\0\x04MQTT\x05\x02\0\x3c\x06\x21\x08\0\x22\0\0\0\x02me",
        );
    }

    #[test]
    fn a_will_is_retained() {
        let will = Some(("t", "gone"));
        check_connect(
            Connect { will, ..PLAIN },
            b"\x10\x17\0\x04MQTT\x04\x2c\0\x3c\0\x02me\0\x01t\0\x04gone",
        );
        let mut out = BytesMut::new();
        connect(&mut out, &Connect { version: Version::V5, will, ..PLAIN }).unwrap();
        assert_eq!(out[9], 0x2C);
        assert!(out.ends_with(b"\0\x02me\0\0\x01t\0\x04gone"), "{out:?}");
    }

    #[test]
    fn a_password_without_a_user_name_is_not_sent() {
        for version in [Version::V311, Version::V5] {
            for username in [None, Some("")] {
                let mut out = BytesMut::new();
                let given = Connect { version, username, password: Some("pw"), ..PLAIN };
                connect(&mut out, &given).unwrap();
                assert_eq!(out[9], 0, "no flag is set");
                assert!(out.ends_with(b"\0\x02me"));
            }
        }
    }

    #[test]
    fn a_field_that_is_too_long_is_named() {
        let long = "x".repeat(FIELD_BYTES_MAX + 1);
        let mut out = BytesMut::new();
        let given = Connect { username: Some(&long), ..PLAIN };
        let fault = connect(&mut out, &given).unwrap_err();
        assert_eq!(fault, "the MQTT user name has 65536 bytes; MQTT allows 65535");
        assert!(out.is_empty());
        let longest = Connect { username: Some(&long[1..]), ..PLAIN };
        connect(&mut out, &longest).unwrap();
        assert_eq!(out.len(), 1 + 3 + 14 + 2 + FIELD_BYTES_MAX);
    }

    #[test]
    fn subscriptions_ask_for_retained_messages_once() {
        let plain = Subscribe {
            packet_id: 7,
            filter: "a",
            qos: Qos::AtMostOnce,
            number: None,
            as_published: false,
        };
        let wide = Subscribe { filter: "a/#", qos: Qos::AtLeastOnce, ..plain };
        let long = "x".repeat(200);
        for (version, what, wanted) in [
            (Version::V311, wide, &b"\x82\x08\0\x07\0\x03a/#\x01"[..]),
            (Version::V5, wide, b"\x82\x09\0\x07\0\0\x03a/#\x11"),
            (Version::V5, Subscribe { filter: &long, ..plain }, b"\x82\xce\x01\0\x07\0"),
            (
                Version::V5,
                Subscribe { number: Some(300), ..plain },
                b"\x82\x0a\0\x07\x03\x0b\xac\x02\0\x01a\x10",
            ),
            (
                Version::V5,
                Subscribe { as_published: true, ..wide },
                b"\x82\x09\0\x07\0\0\x03a/#\x19",
            ),
        ] {
            let mut out = BytesMut::new();
            subscribe(&mut out, version, what);
            assert!(out.starts_with(wanted), "{out:?}");
        }
    }

    #[test]
    fn a_publication_has_the_bytes_that_were_announced() {
        let head = |qos, packet_id| PublishHead { qos, packet_id, dup: false, retain: false };
        for (version, head, payload, wanted) in [
            (Version::V311, head(Qos::AtMostOnce, 0), &b"hi"[..], &b"\x30\x05\0\x01thi"[..]),
            (Version::V311, head(Qos::AtLeastOnce, 7), b"hi", b"\x32\x07\0\x01t\0\x07hi"),
            (
                Version::V311,
                PublishHead { dup: true, retain: true, ..head(Qos::ExactlyOnce, 0x102) },
                b"",
                b"\x3d\x05\0\x01t\x01\x02",
            ),
            (Version::V5, head(Qos::AtMostOnce, 0), b"hi", b"\x30\x06\0\x01t\0hi"),
            (Version::V5, head(Qos::ExactlyOnce, 7), b"hi", b"\x34\x08\0\x01t\0\x07\0hi"),
        ] {
            let mut out = BytesMut::new();
            publish(&mut out, version, head, "t", payload);
            assert_eq!(out[..], *wanted);
            assert_eq!(publish_bytes(version, "t", head.qos, payload), wanted.len());
        }
        for bytes in [100, 121, 122, 123, 16_378, 16_379, 16_380, 2_097_145, 2_097_146] {
            let (payload, mut out) = (vec![b'x'; bytes], BytesMut::new());
            publish(&mut out, Version::V311, head(Qos::AtLeastOnce, 7), "t", &payload);
            assert_eq!(publish_bytes(Version::V311, "t", Qos::AtLeastOnce, &payload), out.len());
            let read = crate::mqtt::fields::variable(&out[1..]).unwrap().unwrap();
            assert_eq!(1 + read.1 + read.0, out.len());
        }
    }

    #[test]
    fn a_filter_is_given_back() {
        let mut out = BytesMut::new();
        unsubscribe(&mut out, Version::V311, 7, "a/#");
        unsubscribe(&mut out, Version::V5, 8, "a");
        assert_eq!(out, &b"\xa2\x07\0\x07\0\x03a/#\xa2\x06\0\x08\0\0\x01a"[..]);
    }

    #[test]
    fn acknowledgements_follow_the_quality_of_service() {
        let mut out = BytesMut::new();
        acknowledge(&mut out, Qos::AtMostOnce, 1);
        acknowledge(&mut out, Qos::AtLeastOnce, 0x102);
        acknowledge(&mut out, Qos::ExactlyOnce, 3);
        complete(&mut out, 3);
        release(&mut out, 4);
        ping(&mut out);
        disconnect(&mut out);
        assert_eq!(
            out,
            &b"\x40\x02\x01\x02\x50\x02\0\x03\x70\x02\0\x03\x62\x02\0\x04\xc0\0\xe0\0"[..]
        );
    }
}
