//! The packets of `rumqttc`, to and from the words of the session.
//!
//! `rumqttc` 0.25.1 writes every packet, and reads every packet but PUBLISH. What it does not do
//! as the standard says is gone round here and nowhere else:
//!
//! * CONNECT has its flags at a fixed place of the buffer, so it gets a buffer of its own.
//! * A user name or password that is empty is left out, and a password goes without a user name.
//!   What is too long is cut. So both are looked at before.
//! * It reads an acknowledgement with wrong flags, with packet id 0 or with bytes behind its end,
//!   and properties beyond their length. So flags, ids and lengths are checked before.
//! * A CONNACK of MQTT 3.1.1 in answer to a CONNECT of MQTT 5 is cut short for it; the one of
//!   3.1.1 reads it. So is a DISCONNECT without properties, which needs no reading.
//! * A code that it does not know is an error. Codes are taken as the byte that came: what they
//!   mean is for `words`, and an unknown one says as much as a known one.
//! * DISCONNECT of MQTT 5 with a reason is written one byte too long. We send the one without,
//!   which is that of 3.1.1.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::{acknowledge, complete, connect, disconnect, ping, subscribe, unsubscribe};
