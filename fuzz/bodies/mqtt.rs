//! What a broker sends.

use super::{Input, are_words};
use ilagent::config::{Qos, Version};
use ilagent::mqtt::packet::{Malformed, Packet};
use ilagent::mqtt::reader::Reader;
use ilagent::mqtt::websocket::{Place, WebSocket};
use ilagent::mqtt::words;

/// Limits of a packet, in bytes.
const LIMITS: [usize; 4] = [16, 300, 70_000, 1_048_576];

/// More than the reader may ever have room for: the longest head or packet, and a read.
const ROOM: usize = 32 * 1024;

/// The longest head, and the longest packet that is no message, in bytes.
const HEAD: usize = 70_000;

/// A stream means the same in whatever pieces it comes, and takes no more memory than it may.
pub fn stream(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.byte();
    let version = if flags & 1 == 0 { Version::V311 } else { Version::V5 };
    let limit = LIMITS[usize::from(flags >> 1 & 3)];
    let piece = 1 + usize::from(input.byte());
    let whole = read(version, limit, input.0, usize::MAX);
    assert_eq!(read(version, limit, input.0, piece), whole);
}

/// What comes out of the stream.
fn read(
    version: Version,
    limit: usize,
    stream: &[u8],
    piece: usize,
) -> (Vec<String>, Option<Malformed>) {
    let mut reader = Reader::new(version, limit);
    let mut seen = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let space = reader.space();
        assert!(!space.is_empty(), "there is always space");
        assert!(space.len() <= limit.max(HEAD) + ROOM, "space of {} bytes", space.len());
        let now = rest.len().min(space.len()).min(piece);
        space[..now].copy_from_slice(&rest[..now]);
        reader.filled(now);
        rest = &rest[now..];
        loop {
            match reader.next() {
                Ok(Some(packet)) => {
                    judge(&packet, limit);
                    seen.push(format!("{packet:?}"));
                }
                Ok(None) => break,
                Err(malformed) => {
                    are_words(malformed.0);
                    return (seen, Some(malformed));
                }
            }
        }
    }
    (seen, None)
}

fn judge(packet: &Packet<'_>, limit: usize) {
    let head = match packet {
        Packet::Publish(publish) => {
            assert!(publish.topic.len() + publish.payload.len() < limit, "larger than allowed");
            publish.head
        }
        Packet::Oversized(oversized) => {
            assert!(oversized.bytes > limit && oversized.topic.len() < oversized.bytes);
            oversized.head
        }
        Packet::ConnAck(connack) => return are_words(&words::connect_refusal(connack)),
        Packet::SubAck(suback) | Packet::UnsubAck(suback) => {
            return are_words(&words::with_text(&words::reason(suback.code), &suback.text));
        }
        Packet::Disconnect(end) => {
            return are_words(&words::with_text(&words::reason(end.code), &end.text));
        }
        Packet::PubRel { packet_id } => return assert_ne!(*packet_id, 0),
        Packet::Answered(answer) => {
            assert_ne!(answer.packet_id, 0);
            return are_words(&words::with_text(&words::reason(answer.code), &answer.text));
        }
        Packet::PingResp => return,
    };
    assert_eq!(head.packet_id == 0, head.qos == Qos::AtMostOnce);
}

/// A WebSocket means the same in whatever pieces it comes, and our answers are no longer than what
/// asks for them, but for their masks.
pub fn websocket(data: &[u8]) {
    let mut input = Input(data);
    let piece = 1 + usize::from(input.byte());
    let whole = unpack(input.0, usize::MAX);
    assert_eq!(unpack(input.0, piece), whole);
}

/// What is inside, what we answer, and what is wrong.
fn unpack(stream: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>, Option<String>) {
    let place = Place { host: "broker", port: 80, default_port: 80, path: "/mqtt" };
    let mut socket = WebSocket::new(&place, *b"the sample nonce", || [1, 2, 3, 4]);
    socket.out.clear();
    let mut inside = Vec::new();
    for bytes in stream.chunks(piece.min(stream.len()).max(1)) {
        let mut bytes = bytes.to_vec();
        match socket.unpack(&mut bytes) {
            Ok(length) => inside.extend_from_slice(&bytes[..length]),
            Err(why) => {
                are_words(&why);
                // What came in front of it in the same piece is not handed on.
                return (Vec::new(), socket.out.to_vec(), Some(why));
            }
        }
    }
    assert!(inside.len() <= stream.len());
    assert!(socket.out.len() <= 3 * stream.len(), "{} bytes of answers", socket.out.len());
    (inside, socket.out.to_vec(), None)
}
