//! Finds packets in a stream, in bounded memory.
//!
//! A PUBLISH above the limit is thrown away while it arrives; its topic and packet id are kept,
//! so that it can become a dead letter and be acknowledged like any other. Without that, a broker
//! would send it again after every reconnect, for ever, and nothing behind it would arrive.

use crate::config::Version;
use crate::mqtt::codec;
use crate::mqtt::fields::{Fields, variable};
use crate::mqtt::packet::{Malformed, Oversized, Packet};
use crate::mqtt::publish::{self, PUBLISH};

/// The buffer while nothing large is arriving, in bytes. A read of this size takes in about a
/// hundred small messages, so they share one commit and one write of acknowledgements.
const BUFFER_BYTES: usize = 16 * 1024;

/// The buffer is compacted when less than this is free behind what it holds, in bytes.
const FREE_BYTES_MIN: usize = 4 * 1024;

/// The largest packet that is not a PUBLISH, in bytes. Nobody needs longer reason texts.
const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// The longest properties that are kept of a PUBLISH that is thrown away, in bytes.
const PROPERTIES_BYTES_MAX: usize = 1_024;

/// The longest head of a PUBLISH that is thrown away: header, topic, packet id, properties.
const HEAD_BYTES_MAX: usize = 5 + 2 + 65_535 + 2 + 4 + PROPERTIES_BYTES_MAX;

/// The packets of one connection.
#[derive(Debug)]
pub struct Reader {
    version: Version,
    packet_bytes_max: usize,
    /// All of it is initialised; `start..end` has arrived and is still unread.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    skipping: Option<Skipping>,
}

/// A message that is being thrown away.
#[derive(Debug)]
struct Skipping {
    oversized: Oversized,
    left: usize,
}

/// What the first bytes of a packet say.
struct Header {
    first: u8,
    /// Bytes in front of the body.
    length: usize,
    /// Bytes of header and body.
    whole: usize,
}

impl Reader {
    /// Reads what a broker sends to a client of `version`; a PUBLISH of more than
    /// `packet_bytes_max` bytes, header included, is reported as [`Packet::Oversized`].
    #[must_use]
    pub fn new(version: Version, packet_bytes_max: usize) -> Self {
        Reader {
            version,
            packet_bytes_max,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            skipping: None,
        }
    }

    /// Where the next bytes may be written; never empty as long as [`Reader::next`] was called
    /// until it had no more. Say how many were written with [`Reader::filled`].
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > BUFFER_BYTES {
                // A large message has passed; give its memory back.
                self.buffer = vec![0; BUFFER_BYTES];
            }
        }
        if self.buffer.len() - self.end < FREE_BYTES_MIN {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.buffer.len() - self.end < FREE_BYTES_MIN {
                self.grow();
            }
        }
        &mut self.buffer[self.end..]
    }

    /// Doubles the buffer, but never beyond the largest packet that is kept whole.
    fn grow(&mut self) {
        let longest = self.packet_bytes_max.max(CONTROL_BYTES_MAX).max(HEAD_BYTES_MAX);
        let wanted = (self.buffer.len() * 2).min(longest.saturating_add(FREE_BYTES_MIN));
        if wanted > self.buffer.len() {
            self.buffer.reserve_exact(wanted - self.buffer.len());
            self.buffer.resize(wanted, 0);
        }
    }

    /// Says how many bytes were written into [`Reader::space`].
    pub fn filled(&mut self, bytes: usize) {
        self.end = self.buffer.len().min(self.end.saturating_add(bytes));
    }

    /// The next packet, or `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// Says why the bytes are not MQTT. The stream is out of step then, and of no further use.
    #[allow(clippy::should_implement_trait, reason = "packets borrow the buffer")]
    pub fn next(&mut self) -> Result<Option<Packet<'_>>, Malformed> {
        loop {
            if let Some(skipping) = &mut self.skipping {
                let now = skipping.left.min(self.end - self.start);
                skipping.left -= now;
                self.start += now;
                if skipping.left > 0 {
                    return Ok(None);
                }
            }
            if let Some(skipped) = self.skipping.take() {
                return Ok(Some(Packet::Oversized(skipped.oversized)));
            }
            let Some(header) = header(&self.buffer[self.start..self.end])? else {
                return Ok(None);
            };
            if self.is_too_large(&header)? {
                if !self.begin_to_skip(&header)? {
                    return Ok(None);
                }
                continue;
            }
            if self.end - self.start < header.whole {
                return Ok(None);
            }
            let body = self.start + header.length..self.start + header.whole;
            self.start += header.whole;
            let (first, body) = (header.first, &self.buffer[body]);
            return match first >> 4 {
                PUBLISH => publish::read(self.version, first & 0x0F, body).map(Packet::Publish),
                _ => codec::read(self.version, first, body),
            }
            .map(Some);
        }
    }

    fn is_too_large(&self, header: &Header) -> Result<bool, Malformed> {
        if header.first >> 4 == PUBLISH {
            return Ok(header.whole > self.packet_bytes_max);
        }
        if header.whole > CONTROL_BYTES_MAX {
            return Err(Malformed("a packet that is not a message is too large"));
        }
        Ok(false)
    }

    /// Keeps topic and packet id and throws the rest away; `false` when more bytes are needed.
    fn begin_to_skip(&mut self, header: &Header) -> Result<bool, Malformed> {
        let arrived = (self.end - self.start).min(header.whole);
        let arrived = &self.buffer[self.start..self.start + arrived];
        let mut fields = Fields(arrived.get(header.length..).unwrap_or_default());
        // Cut short by its declared length: more bytes will not help.
        let is_all = arrived.len() == header.whole || arrived.len() >= HEAD_BYTES_MAX;
        let (topic, head) = match publish::head(header.first & 0x0F, &mut fields) {
            Ok(found) => found,
            Err(why) if is_all => return Err(why),
            Err(_) => return Ok(false),
        };
        let properties = match self.version {
            Version::V311 => &[],
            Version::V5 => match short_properties(&mut fields) {
                Ok(properties) => properties,
                Err(_) if is_all => &[],
                Err(_) => return Ok(false),
            },
        };
        let (topic, properties) = (topic.to_vec(), properties.to_vec());
        let oversized = Oversized { topic, bytes: header.whole, properties, head };
        self.skipping = Some(Skipping { oversized, left: header.whole });
        Ok(true)
    }
}

/// The properties that come next, or none of them if they are long.
fn short_properties<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], Malformed> {
    match fields.number()? {
        length if length > PROPERTIES_BYTES_MAX => Ok(&[]),
        length => fields.take(length),
    }
}

/// The header of the packet that begins with `bytes`, or `None` when more are needed.
fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    Ok(variable(rest)?.map(|(remaining, digits)| {
        let length = 1 + digits;
        Header { first, length, whole: length + remaining }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Qos;
    use crate::mqtt::packet::{Answered, ConnAck, Disconnect, PublishHead, Step, SubAck};
    use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
    use std::fmt::Write as _;

    /// Feeds `bytes` in pieces and writes down what comes out.
    fn read(version: Version, limit: usize, pieces: &[&[u8]]) -> (String, Option<Malformed>) {
        let mut reader = Reader::new(version, limit);
        let mut seen = String::new();
        for piece in pieces {
            let mut piece = *piece;
            while !piece.is_empty() {
                let space = reader.space();
                let now = piece.len().min(space.len());
                assert!(now > 0, "there is always space");
                space[..now].copy_from_slice(&piece[..now]);
                reader.filled(now);
                piece = &piece[now..];
                loop {
                    match reader.next() {
                        Ok(Some(packet)) => writeln!(seen, "{packet:?}").unwrap(),
                        Ok(None) => break,
                        Err(malformed) => return (seen, Some(malformed)),
                    }
                }
            }
        }
        (seen, None)
    }

    #[track_caller]
    fn check(version: Version, bytes: &[u8], wanted: &Packet<'_>) {
        assert_eq!(read(version, 1_000, &[bytes]), (format!("{wanted:?}\n"), None));
    }

    #[track_caller]
    fn check_malformed(version: Version, bytes: &[u8], wanted: &str) {
        let (seen, malformed) = read(version, 1_000, &[bytes]);
        assert_eq!(malformed.map(|m| m.0), Some(wanted), "{bytes:?} gave {seen}");
    }

    fn head(qos: Qos, packet_id: u16) -> PublishHead {
        PublishHead { qos, packet_id, dup: false, retain: false }
    }

    #[test]
    fn packets_of_3_1_1_are_understood() {
        use Version::{V5, V311};
        let connack = ConnAck { session_present: true, legacy: true, ..ConnAck::default() };
        check(V311, b"\x20\x02\x01\x00", &Packet::ConnAck(connack));
        let head_1 = PublishHead { dup: true, retain: true, ..head(Qos::AtLeastOnce, 5) };
        check(
            V311,
            b"\x3b\x07\0\x01t\0\x05hi",
            &Packet::Publish(super::super::packet::Publish {
                topic: b"t",
                payload: b"hi",
                properties: b"",
                head: head_1,
            }),
        );
        check(
            V311,
            b"\x30\x03\0\x01t",
            &Packet::Publish(super::super::packet::Publish {
                topic: b"t",
                payload: b"",
                properties: b"",
                head: head(Qos::AtMostOnce, 0),
            }),
        );
        check(V311, b"\x62\x02\0\x07", &Packet::PubRel { packet_id: 7 });
        let suback = SubAck { packet_id: 2, code: 0x80, text: String::new() };
        check(V311, b"\x90\x03\0\x02\x80", &Packet::SubAck(suback));
        check(V311, b"\xd0\0", &Packet::PingResp);
        let answered = |step, code, text: &str| {
            Packet::Answered(Answered { packet_id: 1, step, code, text: text.to_owned() })
        };
        check(V311, b"\x40\x02\0\x01", &answered(Step::Acknowledged, 0, ""));
        check(V311, b"\x50\x02\0\x01", &answered(Step::Received, 0, ""));
        check(V311, b"\x70\x02\0\x01", &answered(Step::Completed, 0, ""));
        check(V5, b"\x40\x03\0\x01\x10", &answered(Step::Acknowledged, 0x10, ""));
        check(V5, b"\x50\x09\0\x01\x97\x05\x1f\0\x02no", &answered(Step::Received, 0x97, "no"));
        check(
            V5,
            b"\x40\x10\0\x01\x87\x0c\x26\0\x01k\0\x01v\x1f\0\x02no",
            &answered(Step::Acknowledged, 0x87, "no"),
        );
        check(V5, b"\x40\x08\0\x01\x87\x04\x1f\0\x01\xff", &answered(Step::Acknowledged, 0x87, ""));
        let unsuback = SubAck { packet_id: 1, code: 0, text: String::new() };
        check(V311, b"\xb0\x02\0\x01", &Packet::UnsubAck(unsuback));
    }

    #[test]
    fn packets_of_5_are_understood() {
        use Version::V5;
        let connack = ConnAck { code: 0x87, text: "no".to_owned(), ..ConnAck::default() };
        check(V5, b"\x20\x08\0\x87\x05\x1f\0\x02no", &Packet::ConnAck(connack));
        let connack = ConnAck { keep_alive: Some(30), ..ConnAck::default() };
        check(V5, b"\x20\x06\0\0\x03\x13\0\x1e", &Packet::ConnAck(connack));
        let connack = ConnAck { code: 1, legacy: true, ..ConnAck::default() };
        check(V5, b"\x20\x02\0\x01", &Packet::ConnAck(connack));
        check(
            V5,
            b"\x34\x0a\0\x01t\0\x05\x02\x01\x01hi",
            &Packet::Publish(super::super::packet::Publish {
                topic: b"t",
                payload: b"hi",
                properties: b"\x01\x01",
                head: head(Qos::ExactlyOnce, 5),
            }),
        );
        check(V5, b"\x62\x04\0\x07\x92\0", &Packet::PubRel { packet_id: 7 });
        check(V5, b"\x62\x03\0\x07\x92", &Packet::PubRel { packet_id: 7 });
        let suback = SubAck { packet_id: 2, code: 1, text: String::new() };
        check(V5, b"\x90\x04\0\x02\0\x01", &Packet::SubAck(suback));
        let unsuback = SubAck { packet_id: 2, code: 0x11, text: String::new() };
        check(V5, b"\xb0\x04\0\x02\0\x11", &Packet::UnsubAck(unsuback));
        let connack = ConnAck { expiry: Some(3_600), ..ConnAck::default() };
        check(V5, b"\x20\x08\0\0\x05\x11\0\0\x0e\x10", &Packet::ConnAck(connack));
        check(V5, b"\x20\x08\0\0\x05\x11\xff\xff\xff\xff", &Packet::ConnAck(ConnAck::default()));
        let disconnect = Disconnect { code: 0x8E, text: String::new() };
        check(V5, b"\xe0\x01\x8e", &Packet::Disconnect(disconnect));
        check(V5, b"\xe0\0", &Packet::Disconnect(Disconnect { code: 0, text: String::new() }));
    }

    #[test]
    fn what_is_not_mqtt_is_refused_with_words() {
        use Version::{V5, V311};
        for (version, bytes, wanted) in [
            (V311, &b"\x36\x05\0\x01t\0\x05"[..], "a PUBLISH has QoS 3"),
            (V311, b"\x32\x05\0\x01t\0\0", "packet id 0"),
            (V311, b"\x30\x03\0\x09t", "a field is cut short"),
            (V311, b"\x60\x02\0\x07", "the flags of the first byte are wrong"),
            (V311, b"\x10\x02\0\x07", "a broker may not send a packet of this type"),
            (V311, b"\xe0\0", "a broker may not send a packet of this type"),
            (V5, b"\xf0\x02\0\0", "a broker may not send a packet of this type"),
            (V311, b"\x20\x03\0\0\0", "a packet is longer than it should be"),
            (V311, b"\x20\x02\x02\0", "a CONNACK has unknown flags"),
            (V5, b"\x32\x06\0\x01t\0\x05\x09", "a field is cut short"),
            (V311, b"\x20\xff\xff\xff\xff", "a length has five bytes"),
            (V311, b"\x20\xff\xff\x7f", "a packet that is not a message is too large"),
            (V311, b"HTTP/1.1 400 Bad Request\r\n", "the flags of the first byte are wrong"),
        ] {
            // Long enough for every length these bytes may declare.
            let mut bytes = bytes.to_vec();
            if bytes[0] == b'H' {
                bytes.resize(200, b' ');
            }
            check_malformed(version, &bytes, wanted);
        }
    }

    fn publish(topic: &[u8], qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
        let id = if qos == 0 { vec![] } else { packet_id.to_be_bytes().to_vec() };
        let topic_length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        let body = [&topic_length, topic, &id, payload].concat();
        let mut packet = vec![0x30 | qos << 1];
        let mut rest = body.len();
        while rest > 127 {
            packet.push(u8::try_from(rest % 128).unwrap() | 0x80);
            rest /= 128;
        }
        packet.push(u8::try_from(rest).unwrap());
        packet.extend(body);
        packet
    }

    #[test]
    fn a_message_above_the_limit_is_thrown_away_and_reported() {
        let large = publish(b"big/one", 1, 9, &vec![b'x'; 3_000_000]);
        let after = publish(b"t", 0, 0, b"after");
        let bytes = [&large[..], &after].concat();
        let mut reader = Reader::new(Version::V311, 1_000);
        let mut left = &bytes[..];
        let mut seen = Vec::new();
        let mut largest = 0;
        while !left.is_empty() {
            let space = reader.space();
            let now = left.len().min(space.len());
            space[..now].copy_from_slice(&left[..now]);
            reader.filled(now);
            left = &left[now..];
            while let Some(packet) = reader.next().unwrap() {
                seen.push(format!("{packet:?}"));
            }
            largest = largest.max(reader.buffer.len());
        }
        let oversized = Packet::Oversized(Oversized {
            topic: b"big/one".to_vec(),
            bytes: large.len(),
            properties: Vec::new(),
            head: head(Qos::AtLeastOnce, 9),
        });
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0], format!("{oversized:?}"));
        assert!(largest <= BUFFER_BYTES, "{largest}");
    }

    #[test]
    fn a_message_at_the_limit_is_taken_in_and_its_memory_returned() {
        let whole = publish(b"t", 1, 9, &vec![b'x'; 200_000]);
        for (limit, name) in [(whole.len(), "Publish"), (whole.len() - 1, "Oversized")] {
            let (seen, malformed) = read(Version::V311, limit, &[&whole]);
            assert!(seen.starts_with(name), "{name}");
            assert_eq!(malformed, None);
        }
        let mut reader = Reader::new(Version::V311, 1_000_000);
        for piece in whole.chunks(1_000) {
            reader.space()[..piece.len()].copy_from_slice(piece);
            reader.filled(piece.len());
            while reader.next().unwrap().is_some() {}
        }
        assert!(reader.buffer.len() > whole.len());
        reader.space();
        assert_eq!(reader.buffer.len(), BUFFER_BYTES);
    }

    #[test]
    fn a_topic_longer_than_the_whole_limit_does_not_stop_the_stream() {
        let topic = vec![b't'; 65_535];
        let bytes = publish(&topic, 2, 9, b"payload");
        let (seen, malformed) = read(Version::V311, 100, &[&bytes, &publish(b"t", 0, 0, b"")]);
        assert_eq!((seen.lines().count(), malformed), (2, None));
    }

    #[test]
    fn short_properties_of_what_is_thrown_away_are_kept() {
        let long = [&b"\x81\x08"[..], &[0; 1_025]].concat();
        for (properties, wanted) in [(&b"\x02\x0b\x07"[..], &b"\x0b\x07"[..]), (&long, b"")] {
            let mut bytes = b"\x32\xd0\x0f\0\x01t\0\x09".to_vec();
            bytes.extend_from_slice(properties);
            bytes.resize(3 + 2_000, b'x');
            let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
            for pieces in [&[&bytes[..]][..], &pieces] {
                let (seen, malformed) = read(Version::V5, 1_000, pieces);
                let oversized = Packet::Oversized(Oversized {
                    topic: b"t".to_vec(),
                    bytes: bytes.len(),
                    properties: wanted.to_vec(),
                    head: head(Qos::AtLeastOnce, 9),
                });
                assert_eq!((seen, malformed), (format!("{oversized:?}\n"), None));
            }
        }
    }

    #[test]
    fn a_large_length_alone_takes_no_memory() {
        let mut reader = Reader::new(Version::V311, usize::MAX);
        reader.space()[..5].copy_from_slice(b"\x30\xff\xff\xff\x7f");
        reader.filled(5);
        assert_eq!(reader.next(), Ok(None));
        reader.space();
        assert_eq!(reader.buffer.len(), BUFFER_BYTES);
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let message =
            (".{0,12}", 0..3_u8, 1..9_u16, proptest::collection::vec(any::<u8>(), 0..300))
                .prop_map(|(topic, qos, id, payload)| publish(topic.as_bytes(), qos, id, &payload));
        let other = proptest::sample::select(vec![
            b"\x20\x02\x01\x00".to_vec(),
            b"\x62\x02\0\x07".to_vec(),
            b"\x90\x03\0\x02\x80".to_vec(),
            b"\xd0\0".to_vec(),
        ]);
        let packet = proptest::prop_oneof![3 => message, 1 => other];
        proptest::collection::vec(packet, 0..20).prop_map(|packets| packets.concat())
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes in stream(), sizes in proptest::collection::vec(1..40_usize, 1..9)) {
            let whole = read(Version::V311, 150, &[&bytes]);
            prop_assert_eq!(whole.1, None);
            let mut pieces = Vec::new();
            let (mut left, mut sizes) = (&bytes[..], sizes.iter().cycle());
            while !left.is_empty() {
                let (piece, rest) = left.split_at(left.len().min(*sizes.next().unwrap()));
                pieces.push(piece);
                left = rest;
            }
            prop_assert_eq!(read(Version::V311, 150, &pieces), whole);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), five in any::<bool>()) {
            let version = if five { Version::V5 } else { Version::V311 };
            let _ = read(version, 100, &[&bytes]);
        }

        #[test]
        fn no_body_makes_it_panic(kind in 2..16_u8, body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let first = kind << 4 | if kind == 6 { 2 } else if kind == 3 { 4 } else { 0 };
            let length = u8::try_from(body.len()).unwrap();
            let bytes = [&[first, length][..], &body].concat();
            for version in [Version::V311, Version::V5] {
                let _ = read(version, 60, &[&bytes]);
            }
        }
    }
}
