//! One broker session in one role: connect, TLS and its reload; subscribe and acknowledge, or
//! publish.
//!
//! From the bytes up: `fields` walks over bytes, `codec` is the packets of `rumqttc` in the words
//! of [`packet`], `publish` the one packet that we read ourselves, [`reader`] finds packets in a
//! stream and bounds what they may take, [`words`] says what their codes mean; none of them knows a
//! socket. `incoming` knows which messages are in our hands, in which order they are acknowledged
//! and which retained ones were handled, `filters` which subscriptions the rules need,
//! `subscriptions` what is asked for, granted and left over from earlier, `outbox` which
//! publications are under way and what each waits for, [`memory`] what outlives the process, `pace`
//! when to ping, `material` which TLS
//! files are in use. `protocol` decides with them what follows from a packet and from time that
//! passes, as far from a socket as they are. `wire` moves bytes, through a
//! [`websocket`] if the broker wants one, `pump` is where the thread sleeps
//! and `bell` how it is woken. `dial`, `handshake` and `connection` are the life of one connection,
//! in that order, `end` how it ends; `life` is what outlives connections, and [`session`] what
//! others see of it. What a subscriber brings goes through [`Accept`](crate::message::Accept), what
//! a publisher takes comes from [`supply`]. A broker that is read from and published to has two
//! sessions: while the queue is full nothing is read, so on one connection no answer to a
//! publication would arrive, and a queue full of them would never drain.
//! `tests/layers.rs` says which file may name which.
//!
//! The session is our own because no client library does what it must do: turn an oversized message
//! into a dead letter and not a reconnect, know across connections what is not acknowledged, hold
//! an acknowledgement until another thread signs, and stop reading without stopping its pings,
//! which is how a full queue holds up a broker. `rumqttc`'s client 0.25.1 fails a connection for
//! ever on a QoS 2 PUBREL that it does not know (after every restart of the agent) and, on a kept
//! session, on a message above its packet limit. Its continuation (`rumqttc-v4-next`, `-v5-next`
//! 0.34) mends the first but not the second, and needs two clients for 3.1.1 and 5. Of the crate,
//! only its codec is linked: no line of its executor, and none of its TLS features.

mod bell;
mod codec;
mod connection;
mod dial;
mod end;
mod fields;
mod filters;
mod handshake;
mod incoming;
mod life;
mod material;
pub mod memory;
mod outbox;
mod pace;
pub mod packet;
mod protocol;
mod publish;
mod pump;
pub mod reader;
pub mod session;
mod subscriptions;
pub mod supply;
mod timing;
pub mod websocket;
mod wire;
pub mod words;
