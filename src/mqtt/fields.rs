//! A cursor over the bytes of one packet, which never goes beyond them.

use crate::mqtt::packet::Malformed;

/// What is left of a packet, or of what has arrived of it.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
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

    fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
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

    /// The properties of MQTT 5 that come next, with their length in front.
    pub(super) fn properties(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(length)
    }

    /// A number of one to four bytes.
    pub(super) fn number(&mut self) -> Result<usize, Malformed> {
        let (number, digits) = variable(self.0)?.ok_or(Malformed("a field is cut short"))?;
        self.take(digits)?;
        Ok(number)
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Malformed("a packet is longer than it should be"))
        }
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
