//! What the codes of MQTT mean, in words a person can act on.

use crate::mqtt::packet::ConnAck;

/// The protocol version is not spoken here (MQTT 5).
const UNSUPPORTED_VERSION: u8 = 0x84;

/// The protocol version is not spoken here (MQTT 3.1.1).
const UNACCEPTABLE_VERSION: u8 = 1;

/// Why the broker refused the connection.
#[must_use]
pub fn connect_refusal(connack: &ConnAck) -> String {
    let words = if connack.legacy { return_code(connack.code) } else { reason(connack.code) };
    with_text(&words, &connack.text)
}

/// Whether the refusal is about the version of MQTT.
#[must_use]
pub fn is_version_refusal(connack: &ConnAck) -> bool {
    connack.code == if connack.legacy { UNACCEPTABLE_VERSION } else { UNSUPPORTED_VERSION }
}

/// Our words, and the broker's if it gave any.
#[must_use]
pub fn with_text(words: &str, text: &str) -> String {
    if text.is_empty() { words.to_owned() } else { format!("{words} (`{text}`)") }
}

/// A return code of a CONNACK of MQTT 3.1.1 (section 3.2.2.3).
fn return_code(code: u8) -> String {
    let words = match code {
        UNACCEPTABLE_VERSION => "it does not speak this version of MQTT",
        2 => "the client id is not allowed",
        3 => "the service is unavailable",
        4 => "user name or password is wrong",
        5 => "the client is not authorised: user name, password or client id is not accepted",
        _ => return format!("return code {code}, which MQTT 3.1.1 does not know"),
    };
    words.to_owned()
}

/// A reason code of MQTT 5 (section 2.4) in a CONNACK, SUBACK or DISCONNECT.
#[must_use]
pub fn reason(code: u8) -> String {
    let words = match code {
        0x00 => "no reason given",
        0x04 => "disconnected with will message",
        0x80 => "unspecified error",
        0x81 => "it calls our packet malformed",
        0x82 => "it says that we broke the protocol",
        0x83 => "it does not accept this (implementation specific)",
        UNSUPPORTED_VERSION => "it does not speak this version of MQTT",
        0x85 => "the client id is not allowed",
        0x86 => "user name or password is wrong",
        0x87 => "the client is not authorised",
        0x88 => "the server is unavailable",
        0x89 => "the server is busy",
        0x8A => "the client is banned",
        0x8B => "the server is shutting down",
        0x8C => "the authentication method is not supported",
        0x8D => "it heard nothing from us within the keep-alive",
        0x8E => "another client has connected with the same client id",
        0x8F => "the topic filter is not accepted",
        0x90 => "the topic name is not accepted",
        0x91 => "the packet id is in use",
        0x92 => "the packet id is unknown",
        0x93 => "we have too many unacknowledged messages",
        0x94 => "a topic alias is not valid",
        0x95 => "a packet is too large",
        0x96 => "messages come too fast",
        0x97 => "a quota is used up",
        0x98 => "an administrator ended the connection",
        0x99 => "the payload has the wrong format",
        0x9A => "retained messages are not supported",
        0x9B => "this QoS is not supported",
        0x9C => "another server is to be used",
        0x9D => "the server has moved",
        0x9E => "shared subscriptions are not supported",
        0x9F => "connections come too fast",
        0xA0 => "the longest time a connection may last is over",
        0xA1 => "subscription identifiers are not supported",
        0xA2 => "wildcards in subscriptions are not supported",
        _ => return format!("reason code 0x{code:02X}"),
    };
    words.to_owned()
}

/// Whether a broker that ends the connection for this reason may mean what we sent last, and not
/// its own state or another client.
#[must_use]
pub fn is_about_us(code: u8) -> bool {
    matches!(code, 0x80..=0x83 | 0x87 | 0x8F | 0x90 | 0x93..=0x95 | 0x97 | 0x99..=0x9B | 0x9E | 0xA1 | 0xA2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_the_words_of_their_version() {
        let legacy = |code| ConnAck { code, legacy: true, ..ConnAck::default() };
        let modern = |code| ConnAck { code, text: "go away".to_owned(), ..ConnAck::default() };
        for (connack, words, version) in [
            (legacy(1), "it does not speak this version of MQTT", true),
            (legacy(4), "user name or password is wrong", false),
            (legacy(99), "return code 99, which MQTT 3.1.1 does not know", false),
            (modern(0x84), "it does not speak this version of MQTT (`go away`)", true),
            (modern(0x86), "user name or password is wrong (`go away`)", false),
            (modern(0xF0), "reason code 0xF0 (`go away`)", false),
        ] {
            assert_eq!(connect_refusal(&connack), words);
            assert_eq!(is_version_refusal(&connack), version, "{words}");
        }
    }
}
