//! The properties of MQTT 5: walked and checked, and the few that say something to us kept.

use crate::mqtt::packet::Malformed;

/// A cursor over the bytes of one packet.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) =
            self.0.split_at_checked(bytes).ok_or(Malformed("a field is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A text or binary field with its length in front.
    pub(super) fn field(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A packet id, which is never 0.
    pub(super) fn packet_id(&mut self) -> Result<u16, Malformed> {
        match self.u16()? {
            0 => Err(Malformed("packet id 0")),
            packet_id => Ok(packet_id),
        }
    }

    /// A number of one to four bytes, seven bits each.
    pub(super) fn variable(&mut self) -> Result<usize, Malformed> {
        let (value, bytes) = variable(self.0)?.ok_or(Malformed("a field is cut short"))?;
        self.take(bytes)?;
        Ok(value)
    }

    /// Walks the properties that come next.
    pub(super) fn properties(&mut self) -> Result<Properties, Malformed> {
        let length = self.variable()?;
        if length == 0 {
            return Ok(Properties::default());
        }
        Properties::walk(Fields(self.take(length)?))
    }
}

/// Reads a number of one to four bytes and how many it took; `None` when more bytes are needed.
pub(super) fn variable(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    const BYTES_MAX: usize = 4;
    let mut value = 0;
    for (index, byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < BYTES_MAX { Ok(None) } else { Err(Malformed("a length has five bytes")) }
}

/// The properties that say something to a subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Properties {
    /// Server Keep Alive, in seconds.
    pub keep_alive: Option<u16>,
    /// Session Expiry Interval, in seconds.
    pub expiry: Option<u32>,
    /// Reason String.
    pub text: String,
}

impl Properties {
    /// Identifiers and their types: MQTT 5, section 2.2.2.2.
    fn walk(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        let mut found = Properties::default();
        while !fields.is_empty() {
            match fields.variable()? {
                0x13 => found.keep_alive = Some(fields.u16()?),
                0x1F => found.text = printable(fields.field()?),
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => {
                    fields.u8()?;
                }
                0x21..=0x23 => {
                    fields.u16()?;
                }
                0x11 => found.expiry = Some(fields.u32()?),
                0x02 | 0x18 | 0x27 => {
                    fields.u32()?;
                }
                0x0B => {
                    fields.variable()?;
                }
                0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C => {
                    fields.field()?;
                }
                0x26 => {
                    fields.field()?;
                    fields.field()?;
                }
                _ => return Err(Malformed("a property is unknown")),
            }
        }
        Ok(found)
    }
}

/// A broker's words as they may appear in a log: one line, not too long.
fn printable(text: &[u8]) -> String {
    const CHARS_MAX: usize = 200;
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_of_the_standard_is_walked_over() {
        let bytes = b"\x40\x13\0\x1e\x1f\0\x03no\n\x01\0\x21\0\x01\x11\0\0\0\x01\x0b\x80\x01\
                      \x12\0\x01x\x26\0\x01k\0\x01v\x24\x01\x27\0\0\0\x09\x03\0\x01t\x2a\x01\
                      \x23\0\x01\x19\x01\x08\0\0\x16\0\0";
        let length = u8::try_from(bytes.len() - 1).unwrap();
        let mut bytes = bytes.to_vec();
        bytes[0] = length;
        let found = Fields(&bytes).properties().unwrap();
        let wanted = Properties { keep_alive: Some(30), expiry: Some(1), text: "no".to_owned() };
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_not_a_property_is_malformed() {
        for bytes in [&b"\x01\x7e"[..], b"\x02\x13\0", b"\x05\x1f", b"\x80\x80\x80\x80\x01", b""] {
            assert!(Fields(bytes).properties().is_err(), "{bytes:?}");
        }
    }
}
