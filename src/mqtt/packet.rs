//! The packets of MQTT 3.1.1 and 5 in one form, as far as they say something to us.

use crate::config::{Qos, Version};
use std::fmt;

/// The longest text or binary field of a packet, in bytes.
pub const FIELD_BYTES_MAX: usize = 65_535;

/// The largest packet that MQTT knows, in bytes.
pub(super) const PACKET_BYTES_MAX: usize = 1 + 4 + 268_435_455;

/// How many unacknowledged messages a broker of MQTT 5 may have in flight to us.
pub const RECEIVE_MAX: u16 = 2_048;

/// A session of MQTT 5 with this expiry never expires.
pub(super) const EXPIRY_NEVER: u32 = 0xFFFF_FFFF;

/// A packet that a broker sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The answer to CONNECT.
    ConnAck(ConnAck),
    /// A message.
    Publish(Publish<'a>),
    /// A message that was larger than the limit; its payload has been thrown away.
    Oversized(Oversized),
    /// The broker releases a QoS 2 message.
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
    /// A step in the answer to a publication.
    Answered(Answered),
}

/// The answer to CONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnAck {
    /// The broker kept the session: it sends again what is not acknowledged.
    pub session_present: bool,
    /// 0 is success; see [`words::connect_refusal`](crate::mqtt::words::connect_refusal).
    pub code: u8,
    /// The code is one of MQTT 3.1.1, even if we asked for MQTT 5.
    pub legacy: bool,
    /// The keep-alive that the broker wants instead of ours, in seconds.
    pub keep_alive: Option<u16>,
    /// How long the broker keeps the session after a connection, in seconds, if that is shorter
    /// than we asked for.
    pub expiry: Option<u32>,
    /// The broker of MQTT 5 does not allow numbers for subscriptions.
    pub forbids_numbers: bool,
    /// How many publications the broker takes before it has answered the first of them.
    pub receive_max: Option<u16>,
    /// The greatest QoS it knows.
    pub qos_max: Option<Qos>,
    /// Whether it keeps retained messages.
    pub retains: Option<bool>,
    /// The largest packet it takes, in bytes.
    pub packet_bytes_max: Option<u32>,
    /// The broker's own words, or empty.
    pub text: String,
}

/// A SUBSCRIBE for one filter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscribe<'a> {
    pub packet_id: u16,
    /// It has to fit into [`FIELD_BYTES_MAX`].
    pub filter: &'a str,
    pub qos: Qos,
    /// What all messages that it brings are to say, with MQTT 5.
    pub number: Option<u32>,
    /// Live messages keep the retain flag of their publisher, with MQTT 5. Otherwise only retained
    /// copies have it.
    pub as_published: bool,
}

/// How far the answer to a publication has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// PUBACK: QoS 1 is done.
    Acknowledged,
    /// PUBREC: QoS 2 waits for PUBREL.
    Received,
    /// PUBCOMP: QoS 2 is done.
    Completed,
}

/// A step in the answer to a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The packet id of the publication.
    pub packet_id: u16,
    /// Which step.
    pub step: Step,
    /// 0x80 and above for a refusal; 0 in MQTT 3.1.1, which has no code.
    pub code: u8,
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
    /// The properties of MQTT 5 as they came.
    pub properties: &'a [u8],
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
    /// The properties of MQTT 5 as they came; empty if they are too long to be kept.
    pub properties: Vec<u8>,
    /// How it is to be acknowledged.
    pub head: PublishHead,
}

/// The answer to SUBSCRIBE or UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// The packet id of what it answers.
    pub packet_id: u16,
    /// The granted QoS, or 0x80 and above for a refusal; one code, because each packet of ours has
    /// one filter. An UNSUBACK of MQTT 3.1.1 has no code, which is 0 here.
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

/// What CONNECT says. With MQTT 3.1.1 a session that begins clean also ends with its connection.
#[derive(Clone, Copy)]
pub struct Connect<'a> {
    /// 3.1.1 or 5.
    pub version: Version,
    /// The name the session is kept under.
    pub client_id: &'a str,
    /// The broker forgets what it has under this name.
    pub clean: bool,
    /// The broker keeps the session after the connection, and without end.
    pub kept: bool,
    /// User name.
    pub username: Option<&'a str>,
    /// Password; left out without a user name, as MQTT 3.1.1 demands.
    pub password: Option<&'a str>,
    /// The keep-alive, in seconds; 0 turns it off.
    pub keep_alive: u16,
    /// What the broker publishes, retained, when the connection ends without a word: the topic and
    /// the payload.
    pub will: Option<(&'a str, &'a str)>,
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
