//! MQTT inside a WebSocket (RFC 6455; section 6 of MQTT), without a socket.
//!
//! What the broker sends is unpacked where it lies, in whatever pieces it comes, so a message of
//! any size passes through without being held. Where one ends says nothing about MQTT packets.
//!
//! The library for it (`tungstenite`) would hold messages whole and add 157 KB, or 78 KB for the
//! handshake and the heads of frames alone; the parser of HTTP, SHA-1 and base64 are linked anyhow.

use crate::system::plain::plain;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use ring::digest;

/// The longest answer to our request, in bytes, and the most headers in it.
const HEAD_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;

/// The longest payload of a control frame, in bytes, by the standard.
const CONTROL_BYTES_MAX: usize = 125;

/// The longest head of a frame from a server, in bytes.
const FRAME_HEAD_BYTES_MAX: usize = 10;

/// What a server adds to our key to show that it speaks the protocol.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Kinds of frames.
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The first byte of the last frame of a message, and the second of one that is masked.
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// The code of a close that has no special reason.
const NORMAL: [u8; 2] = 1_000_u16.to_be_bytes();

/// Where the WebSocket is.
pub struct Place<'a> {
    /// Host name or address.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
    /// The port that a URL need not name.
    pub default_port: u16,
    /// The path of the request.
    pub path: &'a str,
}

/// One WebSocket.
pub struct WebSocket {
    /// What waits to be sent: our request, then whole frames.
    pub out: BytesMut,
    /// Fresh bytes for each frame, as the standard wants.
    mask: fn() -> [u8; 4],
    /// What the server has to answer to our key.
    accept: String,
    /// What has come of the answer, until it is whole.
    head: Option<Vec<u8>>,
    frame: Frame,
    /// A message is not finished.
    is_in_message: bool,
    /// The server has closed.
    is_over: bool,
}

/// The frame that is arriving.
#[derive(Default)]
struct Frame {
    head: Vec<u8>,
    kind: u8,
    is_last: bool,
    left: u64,
    /// The payload of a control frame.
    control: Vec<u8>,
}

impl WebSocket {
    /// Begins with our request.
    #[must_use]
    pub fn new(place: &Place<'_>, key: [u8; 16], mask: fn() -> [u8; 4]) -> Self {
        let key = STANDARD.encode(key);
        let hash = digest::digest(
            &digest::SHA1_FOR_LEGACY_USE_ONLY,
            [key.as_bytes(), GUID.as_bytes()].concat().as_slice(),
        );
        let mut host = place.host.to_owned();
        if host.contains(':') {
            host = format!("[{host}]");
        }
        if place.port != place.default_port {
            host = format!("{host}:{}", place.port);
        }
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n\r\n",
            place.path
        );
        WebSocket {
            out: request.as_bytes().into(),
            mask,
            accept: STANDARD.encode(hash),
            head: Some(Vec::new()),
            frame: Frame::default(),
            is_in_message: false,
            is_over: false,
        }
    }

    /// Whether the server has agreed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.head.is_none()
    }

    /// Whether the server has closed it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Packs what is to be sent into a frame.
    pub fn pack(&mut self, bytes: &mut BytesMut) {
        if !bytes.is_empty() {
            self.write(BINARY, bytes);
            bytes.clear();
        }
    }

    /// Announces our end.
    pub fn close(&mut self) {
        if self.is_open() && !self.is_over {
            self.write(CLOSE, &NORMAL);
        }
    }

    fn write(&mut self, kind: u8, payload: &[u8]) {
        let mask = (self.mask)();
        self.out.put_u8(FIN | kind);
        match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
            (Ok(length), _) if length < 126 => self.out.put_u8(MASKED | length),
            (_, Ok(length)) => {
                self.out.put_u8(MASKED | 126);
                self.out.put_u16(length);
            }
            _ => {
                self.out.put_u8(MASKED | 127);
                self.out.put_u64(payload.len() as u64);
            }
        }
        self.out.put_slice(&mask);
        self.out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }

    /// Takes what came, and leaves what is inside at the front; returns how much that is.
    ///
    /// # Errors
    ///
    /// Says in words why this is no WebSocket.
    pub fn unpack(&mut self, bytes: &mut [u8]) -> Result<usize, String> {
        let mut from = self.take_answer(bytes)?;
        let mut kept = 0;
        while from < bytes.len() && !self.is_over {
            let frame = &mut self.frame;
            if frame.left == 0 {
                frame.head.push(bytes[from]);
                from += 1;
                self.begin_frame()?;
                continue;
            }
            let left = usize::try_from(frame.left).unwrap_or(usize::MAX);
            let here = from..bytes.len().min(from.saturating_add(left));
            let length = here.len();
            from = here.end;
            frame.left -= length as u64;
            if frame.kind >= CLOSE {
                frame.control.extend_from_slice(&bytes[here]);
            } else {
                bytes.copy_within(here, kept);
                kept += length;
            }
            if frame.left == 0 {
                self.end_frame();
            }
        }
        Ok(kept)
    }

    /// Takes the answer to our request; returns where it ends.
    fn take_answer(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let Some(head) = &mut self.head else { return Ok(0) };
        let before = head.len();
        head.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let end = match answer.parse(head) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if head.len() < HEAD_BYTES_MAX => {
                return Ok(bytes.len());
            }
            Ok(httparse::Status::Partial) => {
                return Err("the answer to the WebSocket request is too long".to_owned());
            }
            Err(_) => {
                let why = "the broker does not answer in HTTP; is this its port for WebSocket?";
                return Err(why.to_owned());
            }
        };
        check(&answer, &self.accept)?;
        self.head = None;
        Ok(end.saturating_sub(before))
    }

    /// Another byte of a frame's head has come.
    fn begin_frame(&mut self) -> Result<(), String> {
        let frame = &mut self.frame;
        let [first, second, rest @ ..] = &frame.head[..] else { return Ok(()) };
        let wanted = match second & !MASKED {
            126 => 2,
            127 => FRAME_HEAD_BYTES_MAX - 2,
            _ => 0,
        };
        if rest.len() < wanted {
            return Ok(());
        }
        let length = match wanted {
            0 => u64::from(second & !MASKED),
            _ => rest.iter().fold(0, |length, &byte| length << 8 | u64::from(byte)),
        };
        let (kind, is_last) = (first & 0x0F, first & FIN != 0);
        let wrong = match kind {
            _ if second & MASKED != 0 => Some("a frame is masked"),
            _ if first & 0x70 != 0 => Some("a frame uses an extension"),
            _ if length > u64::MAX / 2 => Some("a frame is too long"),
            CONTINUATION if !self.is_in_message => Some("nothing is continued"),
            BINARY if self.is_in_message => Some("a message begins inside another"),
            CONTINUATION | BINARY => None,
            TEXT => Some("it sends text"),
            CLOSE | PING | PONG if !is_last || length > CONTROL_BYTES_MAX as u64 => {
                Some("a control frame is too long")
            }
            CLOSE | PING | PONG => None,
            _ => Some("a frame is of no known kind"),
        };
        if let Some(wrong) = wrong {
            return Err(format!("the broker's WebSocket is out of step: {wrong}"));
        }
        frame.head.clear();
        (frame.kind, frame.is_last, frame.left) = (kind, is_last, length);
        if length == 0 {
            self.end_frame();
        }
        Ok(())
    }

    /// A frame is whole.
    fn end_frame(&mut self) {
        let control = std::mem::take(&mut self.frame.control);
        match self.frame.kind {
            PING => self.write(PONG, &control),
            CLOSE => {
                // The code comes back; words do not.
                self.write(CLOSE, control.get(..2).unwrap_or_default());
                self.is_over = true;
            }
            PONG => (),
            _ => self.is_in_message = !self.frame.is_last,
        }
    }
}

/// Whether the server agrees to speak MQTT in a WebSocket.
fn check(answer: &httparse::Response<'_, '_>, accept: &str) -> Result<(), String> {
    if let Some(code) = answer.code.filter(|code| *code != 101) {
        let reason = plain(answer.reason.unwrap_or_default());
        return Err(format!("the broker answers the WebSocket request with {code} {reason}"));
    }
    let value = |name: &str| {
        let header = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| str::from_utf8(header.value).unwrap_or_default().trim())
    };
    let is_upgrade = value("Upgrade").is_some_and(|kind| kind.eq_ignore_ascii_case("websocket"));
    if !is_upgrade || value("Sec-WebSocket-Accept") != Some(accept) {
        return Err("the broker's answer to the WebSocket request is not to ours".to_owned());
    }
    // A server that names no protocol has not read what we asked for; some brokers are like that.
    if value("Sec-WebSocket-Protocol").is_some_and(|protocol| protocol != "mqtt") {
        return Err("the broker wants another protocol than MQTT in the WebSocket".to_owned());
    }
    match value("Sec-WebSocket-Extensions") {
        Some(_) => {
            Err("the broker wants an extension of WebSocket that we do not offer".to_owned())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n";

    /// With the key of the standard's own example.
    fn asking() -> WebSocket {
        let place = Place { host: "broker", port: 80, default_port: 80, path: "/mqtt" };
        WebSocket::new(&place, *b"the sample nonce", || [1, 2, 3, 4])
    }

    fn open() -> WebSocket {
        let mut socket = asking();
        assert_eq!(socket.unpack(&mut ANSWER.as_bytes().to_vec()), Ok(0));
        assert!(socket.is_open());
        socket.out.clear();
        socket
    }

    /// What is inside of bytes that come in pieces.
    fn unpacked(socket: &mut WebSocket, pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
        let mut inside = Vec::new();
        for piece in pieces {
            let mut piece = piece.to_vec();
            let length = socket.unpack(&mut piece)?;
            inside.extend_from_slice(&piece[..length]);
        }
        Ok(inside)
    }

    #[test]
    fn the_request_names_its_place() {
        let socket = asking();
        let wanted = "GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
        assert_eq!(str::from_utf8(&socket.out), Ok(wanted));
        let place = Place { host: "::1", port: 9001, default_port: 443, path: "/" };
        let socket = WebSocket::new(&place, [0; 16], || [0; 4]);
        assert!(str::from_utf8(&socket.out).unwrap().contains("\r\nHost: [::1]:9001\r\n"));
    }

    #[test]
    fn the_answer_is_checked() {
        for (from, to, wanted) in [
            ("", "", ""),
            ("Sec-WebSocket-Protocol: mqtt\r\n", "", ""),
            ("101 Switching Protocols", "404 Not Found", "with 404 Not Found"),
            ("HTTP/1.1 101", "\x20\x02\0\0", "does not answer in HTTP"),
            ("s3pPLMB", "AAAAAAA", "is not to ours"),
            ("Upgrade: WebSocket\r\n", "", "is not to ours"),
            ("Protocol: mqtt", "Protocol: chat", "another protocol"),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n", "an extension"),
        ] {
            let answer = ANSWER.replacen(from, to, 1);
            let mut socket = asking();
            let pieces: Vec<&[u8]> = answer.as_bytes().chunks(7).collect();
            match unpacked(&mut socket, &pieces) {
                Ok(inside) => assert!(wanted.is_empty() && inside.is_empty() && socket.is_open()),
                Err(why) => assert!(!wanted.is_empty() && why.contains(wanted), "{why}"),
            }
        }
        let endless = vec![b'x'; HEAD_BYTES_MAX];
        let long = [b"HTTP/1.1 101 X\r\nA: ", &endless[..]];
        assert!(unpacked(&mut asking(), &long).unwrap_err().contains("too long"));
    }

    #[test]
    fn frames_come_in_any_pieces() {
        let long = [&b"\x82\x7e\x01\x00"[..], &[b'x'; 256]].concat();
        let longer = [&b"\x82\x7f\0\0\0\0\0\x01\0\0"[..], &[b'y'; 65_536]].concat();
        for (bytes, inside, out) in [
            (&b"\x82\x02hi"[..], &b"hi"[..], &b""[..]),
            (b"\x82\0\x82\x01a", b"a", b""),
            // A message in three frames, and control frames between them.
            (b"\x02\x01a\x89\x02pi\x00\x01b\x8a\0\x80\x01c", b"abc", b"\x8a\x82\x01\x02\x03\x04qk"),
            (&long, &[b'x'; 256], b""),
            (&longer, &[b'y'; 65_536], b""),
            // Nothing counts behind a close.
            (b"\x82\x01a\x88\x05\x03\xe9bye\x82\x01b", b"a", b"\x88\x82\x01\x02\x03\x04\x02\xeb"),
            (b"\x88\0", b"", b"\x88\x80\x01\x02\x03\x04"),
        ] {
            for size in [1, 2, 3, 1_000, bytes.len()] {
                let mut socket = open();
                let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
                assert_eq!(unpacked(&mut socket, &pieces).as_deref(), Ok(inside), "{size}");
                assert_eq!(&socket.out[..], out);
                assert_eq!(socket.is_over(), bytes.contains(&0x88), "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_frame_of_a_server_ends_it() {
        for (bytes, wanted) in [
            (&b"\x82\x81\0\0\0\0a"[..], "a frame is masked"),
            (b"\xc2\x01a", "a frame uses an extension"),
            (b"\x82\x7f\x80\0\0\0\0\0\0\0", "a frame is too long"),
            (b"\x80\x01a", "nothing is continued"),
            (b"\x02\x01a\x82\x01b", "a message begins inside another"),
            (b"\x81\x01a", "it sends text"),
            (b"\x09\x01a", "a control frame is too long"),
            (b"\x89\x7e\x00\x7e", "a control frame is too long"),
            (b"\x83\x01a", "a frame is of no known kind"),
        ] {
            let why = unpacked(&mut open(), &[bytes]).unwrap_err();
            assert_eq!(why, format!("the broker's WebSocket is out of step: {wanted}"));
        }
    }

    #[test]
    fn what_we_send_is_masked() {
        for (length, head) in [
            (1, &b"\x82\x81"[..]),
            (125, b"\x82\xfd"),
            (126, b"\x82\xfe\0\x7e"),
            (65_536, b"\x82\xff\0\0\0\0\0\x01\0\0"),
        ] {
            let mut socket = open();
            let mut bytes = BytesMut::from(&vec![0; length][..]);
            socket.pack(&mut bytes);
            assert!(bytes.is_empty());
            assert!(socket.out.starts_with(&[head, &[1, 2, 3, 4, 1]].concat()));
            assert_eq!(socket.out.len(), head.len() + 4 + length);
        }
        let mut socket = open();
        socket.pack(&mut BytesMut::new());
        assert!(socket.out.is_empty());
        socket.close();
        assert_eq!(&socket.out[..], b"\x88\x82\x01\x02\x03\x04\x02\xea");
    }

    proptest! {
        #[test]
        fn whatever_comes_means_the_same_in_any_pieces(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..20
        ) {
            let (mut whole, mut parts) = (open(), open());
            let at_once = unpacked(&mut whole, &[&bytes]);
            let in_pieces = unpacked(&mut parts, &bytes.chunks(size).collect::<Vec<_>>());
            prop_assert_eq!(at_once, in_pieces);
            prop_assert_eq!(whole.out, parts.out);
        }
    }
}
