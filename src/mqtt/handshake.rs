//! From CONNECT to CONNACK, and what a refusal means for the next attempt.

use crate::config::Version;
use crate::mqtt::codec;
use crate::mqtt::end::End;
use crate::mqtt::life::{Life, connect_packet};
use crate::mqtt::packet::{ConnAck, Packet};
use crate::mqtt::reader::Reader;
use crate::mqtt::wire::{NO_WEBSOCKET, Wire};
use crate::mqtt::words;
use crate::system::tls::words::io_in_words;
use log::warn;
use std::io;
use std::time::Instant;

/// Why the broker did not accept the connection.
enum NoHandshake {
    /// The stop has come, or the system is broken.
    End(End),
    /// The broker said no.
    Refused(ConnAck),
    /// It closed the connection after our CONNECT.
    Closed(String),
    /// TLS failed.
    Tls(String),
    /// It did not answer, or not with a CONNACK.
    Failed(String),
}

impl From<io::Error> for NoHandshake {
    fn from(error: io::Error) -> Self {
        NoHandshake::End(End::Broken(error))
    }
}

/// Introduces us to the broker.
pub(super) fn shake_hands(
    wire: &mut Wire,
    reader: &mut Reader,
    life: &mut Life,
    deadline: Instant,
) -> Result<ConnAck, End> {
    codec::connect(&mut wire.out, &connect_packet(&life.broker, life.version, !life.resumes))
        .map_err(End::Lost)?;
    match wait_for_connack(wire, reader, life, deadline) {
        Ok(connack) if connack.code == 0 => {
            accepted(life);
            Ok(connack)
        }
        Ok(connack) => Err(judge(life, NoHandshake::Refused(connack))),
        Err(no) => Err(judge(life, no)),
    }
}

fn wait_for_connack(
    wire: &mut Wire,
    reader: &mut Reader,
    life: &mut Life,
    deadline: Instant,
) -> Result<ConnAck, NoHandshake> {
    loop {
        wire.flush().map_err(|error| broke(wire, &error))?;
        match reader.next() {
            Ok(Some(Packet::ConnAck(connack))) => return Ok(connack),
            Ok(Some(_)) => {
                let why = "the broker sent something else than a CONNACK";
                return Err(NoHandshake::Failed(why.to_owned()));
            }
            Ok(None) => (),
            Err(malformed) => return Err(NoHandshake::Failed(malformed.to_string())),
        }
        match wire.read(reader.space()).map_err(|error| broke(wire, &error))? {
            Some(0) if wire.is_shaking_hands() || wire.is_asking() => {
                return Err(broke(wire, &io::ErrorKind::UnexpectedEof.into()));
            }
            Some(0) => {
                let why = "the broker closed the connection without answering CONNECT";
                return Err(NoHandshake::Closed(why.to_owned()));
            }
            Some(bytes) => reader.filled(bytes),
            None => {
                wire.flush().map_err(|error| broke(wire, &error))?;
                if life.pump.is_stopped() {
                    return Err(NoHandshake::End(End::Stopped));
                }
                if Instant::now() >= deadline {
                    let limit = life.timing.connect.as_secs();
                    return Err(NoHandshake::Failed(format!("no CONNACK within {limit} s")));
                }
                wire.note(life.pump.wait(Some(deadline))?);
                life.collect().map_err(NoHandshake::End)?;
            }
        }
    }
}

/// With TLS 1.3 the broker checks our certificate after the handshake is over for us, so its alert
/// may come late.
fn broke(wire: &Wire, error: &io::Error) -> NoHandshake {
    if error.kind() == NO_WEBSOCKET {
        NoHandshake::Failed(error.to_string())
    } else if error.kind() == io::ErrorKind::InvalidData {
        NoHandshake::Tls(format!("TLS with the broker failed: {}", io_in_words(error)))
    } else if wire.is_shaking_hands() {
        let why = "the broker closed the connection during the TLS handshake; is this its port \
                   for TLS?";
        NoHandshake::Tls(why.to_owned())
    } else if wire.is_asking() {
        let why = "the broker closed the connection without answering the request for a \
                   WebSocket; is this its port for WebSocket?";
        NoHandshake::Failed(why.to_owned())
    } else {
        NoHandshake::Closed(format!("the broker closed the connection: {error}"))
    }
}

/// What was a guess is now known.
fn accepted(life: &mut Life) {
    if let Some(materials) = &mut life.materials {
        materials.accepted();
    }
    if life.version == Version::V5 {
        life.speaks_five = true;
    }
    if life.guessing {
        life.guessing = false;
        warn_of_fallback(life);
    }
}

fn judge(life: &mut Life, no: NoHandshake) -> End {
    let (why, blames_material) = match &no {
        NoHandshake::Refused(connack) => {
            let words = words::connect_refusal(connack);
            (format!("the broker refuses the connection: {words}"), !says_nothing_of_us(connack))
        }
        NoHandshake::Closed(why) | NoHandshake::Tls(why) => (why.clone(), true),
        NoHandshake::Failed(why) => (why.clone(), false),
        NoHandshake::End(_) => (String::new(), false),
    };
    if let NoHandshake::End(end) = no {
        return end;
    }
    if blames_material && life.materials.as_mut().is_some_and(|files| files.rejected(&why)) {
        return End::Again("with the former TLS files".to_owned());
    }
    let spoken = life.version;
    (life.version, life.guessing) = next_version(&no, spoken, life.guessing, life.speaks_five);
    if spoken == Version::V5 && life.version == Version::V311 && !life.guessing {
        warn_of_fallback(life);
        return End::Again("with MQTT 3.1.1".to_owned());
    }
    End::Lost(why)
}

/// What the next attempt speaks, and whether that is a guess.
fn next_version(
    no: &NoHandshake,
    spoken: Version,
    guessing: bool,
    speaks_five: bool,
) -> (Version, bool) {
    match (no, spoken) {
        (NoHandshake::Refused(connack), Version::V5) if words::is_version_refusal(connack) => {
            (Version::V311, false)
        }
        // An old broker may close without a word. So may one that is shutting down, or a proxy in
        // front of it, so 3.1.1 is a guess until it is accepted.
        (NoHandshake::Closed(_), Version::V5) if !speaks_five => (Version::V311, true),
        (_, Version::V311) if guessing => (Version::V5, false),
        _ => (spoken, guessing),
    }
}

/// Whether the refusal has nothing to do with our credentials: the broker is busy, or too old.
fn says_nothing_of_us(connack: &ConnAck) -> bool {
    let busy = match connack.legacy {
        true => connack.code == 3,
        false => matches!(connack.code, 0x88 | 0x89 | 0x97 | 0x9C | 0x9D | 0x9F),
    };
    busy || words::is_version_refusal(connack)
}

fn warn_of_fallback(life: &Life) {
    warn!(
        "mqtt {}: the broker at {} does not speak MQTT 5; MQTT 3.1.1 is used",
        life.broker.name,
        life.address()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use Version::{V5, V311};

    #[test]
    fn an_older_version_is_used_if_the_broker_says_so_and_a_guess_if_it_says_nothing() {
        let refused =
            |code, legacy| NoHandshake::Refused(ConnAck { code, legacy, ..ConnAck::default() });
        let (closed, failed) =
            (NoHandshake::Closed(String::new()), NoHandshake::Failed(String::new()));
        for (no, spoken, guessing, speaks_five, wanted) in [
            (&refused(1, true), V5, false, false, (V311, false)),
            (&refused(0x84, false), V5, false, true, (V311, false)),
            (&refused(0x87, false), V5, false, false, (V5, false)),
            (&closed, V5, false, false, (V311, true)),
            (&closed, V5, false, true, (V5, false)),
            (&closed, V311, true, false, (V5, false)),
            (&closed, V311, false, false, (V311, false)),
            (&failed, V5, false, false, (V5, false)),
            (&failed, V311, true, false, (V5, false)),
        ] {
            let next = next_version(no, spoken, guessing, speaks_five);
            assert_eq!(next, wanted, "{spoken:?} {guessing} {speaks_five}");
        }
    }
}
