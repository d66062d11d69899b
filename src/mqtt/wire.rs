//! Bytes in and out of a socket that never blocks, with TLS and a WebSocket or without.

use crate::mqtt::pump::Ready;
use crate::mqtt::websocket::WebSocket;
use bytes::{Buf, BytesMut};
use mio::net::TcpStream;
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

/// What an error is when the trouble is with the WebSocket; its words are for people.
pub(super) const NO_WEBSOCKET: ErrorKind = ErrorKind::Unsupported;

/// One connection to a broker.
pub(super) struct Wire {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    web: Option<Box<WebSocket>>,
    /// Bytes to be sent; packets are appended to it.
    pub out: BytesMut,
    /// There may be something to read. Cleared only when there is nothing left.
    readable: bool,
    writable: bool,
    closed: bool,
}

impl Wire {
    pub(super) fn new(
        stream: TcpStream,
        tls: Option<ClientConnection>,
        web: Option<WebSocket>,
    ) -> Self {
        Wire {
            stream,
            tls: tls.map(Box::new),
            web: web.map(Box::new),
            out: BytesMut::new(),
            readable: true,
            writable: true,
            closed: false,
        }
    }

    pub(super) fn note(&mut self, ready: Ready) {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.closed |= ready.closed;
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable
    }

    /// The other side has closed, though not everything it sent may have been read.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_flushed(&self) -> bool {
        let is_empty = match &self.web {
            None => self.out.is_empty(),
            Some(web) if web.is_open() => self.out.is_empty() && web.out.is_empty(),
            // The rest has to wait for the answer.
            Some(web) => web.out.is_empty(),
        };
        is_empty && !self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// How many bytes the broker has not taken yet.
    pub(super) fn backlog(&self) -> usize {
        self.out.len() + self.web.as_ref().map_or(0, |web| web.out.len())
    }

    /// Whether the TLS handshake is not finished.
    pub(super) fn is_shaking_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether the request for a WebSocket is not answered.
    pub(super) fn is_asking(&self) -> bool {
        self.web.as_ref().is_some_and(|web| !web.is_open())
    }

    /// Reads what is there: `None` when there is nothing at present, `Some(0)` at the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            let read = self.read_wrapped(into)?;
            let (Some(web), Some(bytes)) = (&mut self.web, read) else { return Ok(read) };
            let inside = web.unpack(&mut into[..bytes]);
            let inside = inside.map_err(|why| io::Error::new(NO_WEBSOCKET, why))?;
            if inside > 0 || bytes == 0 || web.is_over() {
                return Ok(Some(inside));
            }
        }
    }

    /// Reads what is there, as it is in its WebSocket if it is in one.
    fn read_wrapped(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            let read = patient(self.stream.read(into))?;
            // After a short read the socket is empty, which saves one more call; only the end of
            // the stream is not announced twice.
            self.readable = self.closed || read == Some(into.len());
            return Ok(read);
        };
        loop {
            match tls.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(Some(0)),
                read => return read.map(Some),
            }
            match patient(tls.read_tls(&mut self.stream))? {
                None => {
                    self.readable = false;
                    return Ok(None);
                }
                Some(0) => return Ok(Some(0)),
                Some(_) => (),
            }
            if let Err(error) = tls.process_new_packets() {
                // There may be an alert for the broker.
                let _ = tls.write_tls(&mut self.stream);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }

    /// Writes as much as the socket takes. Returns whether it took anything.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let mut wrote = false;
        while self.writable && !self.is_flushed() {
            let out = match &mut self.web {
                None => &mut self.out,
                Some(web) => {
                    if web.out.is_empty() && web.is_open() {
                        web.pack(&mut self.out);
                    }
                    &mut web.out
                }
            };
            let written = match &mut self.tls {
                None => {
                    let written = patient(self.stream.write(out))?;
                    out.advance(written.unwrap_or_default());
                    written
                }
                Some(tls) => {
                    out.advance(tls.writer().write(out)?);
                    if !tls.wants_write() {
                        // The handshake waits for the broker; what goes out is kept until then.
                        break;
                    }
                    patient(tls.write_tls(&mut self.stream))?
                }
            };
            match written {
                None => self.writable = false,
                Some(0) => return Err(ErrorKind::WriteZero.into()),
                Some(_) => wrote = true,
            }
        }
        Ok(wrote)
    }

    /// Announces the end of what we send; the last of it goes out with [`Wire::flush`].
    pub(super) fn say_goodbye(&mut self) {
        if let Some(web) = &mut self.web {
            if web.is_open() {
                web.pack(&mut self.out);
            }
            web.close();
        }
        if let Some(tls) = &mut self.tls {
            let out = self.web.as_mut().map_or(&mut self.out, |web| &mut web.out);
            let _ = tls.writer().write_all(out);
            out.clear();
            tls.send_close_notify();
        }
    }

    /// Ends our direction, so that the other side sees the end and not a reset.
    pub(super) fn shut(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Discards what still arrives; `true` at the end. A socket closed with unread bytes sends a
    /// reset, and the broker may then not read what we sent last.
    pub(super) fn drain(&mut self) -> bool {
        let mut scrap = [0; 4096];
        loop {
            match patient(self.stream.read(&mut scrap)) {
                Ok(Some(0)) | Err(_) => return true,
                Ok(Some(_)) => (),
                Ok(None) => return false,
            }
        }
    }
}

/// Turns `WouldBlock` into `None`.
fn patient(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
