//! The packets of `rumqttc`, to and from the words of the session.
//!
//! `rumqttc` 0.25.1 writes and reads every packet but PUBLISH, whose payload may be large and is not
//! copied more often than it must be. Where it departs from the standard, the workaround is here and
//! nowhere else:
//!
//! * It writes the flags of CONNECT at a fixed place in the buffer, so CONNECT gets its own buffer.
//! * It leaves out an empty user name or password, sends a password without a user name, and cuts
//!   a field that is too long. So we check all of them first.
//! * It accepts wrong flags, packet id 0, bytes behind the end of a packet, and properties that run
//!   beyond their length. So we check flags, ids and lengths first.
//! * With MQTT 5 it finds a CONNACK of 3.1.1 too short, which an old broker sends, and a DISCONNECT
//!   without properties. The first is read as 3.1.1, the second needs no reading.
//! * A code that it does not know is an error. We take codes as bytes, and leave to `words` what
//!   they mean, so a broker newer than the library is no problem.
//! * It writes a DISCONNECT of MQTT 5 with a reason one byte too long. Ours has none, as in 3.1.1.

mod read;
mod write;

pub(super) use read::read;
pub(super) use write::{
    acknowledge, complete, connect, disconnect, ping, publish, publish_bytes, release, subscribe,
    unsubscribe,
};
