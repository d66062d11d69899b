//! Ports for servers that cannot choose their own.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that is free, below those that the system hands out for outgoing connections, so that
/// none of them takes it before it is used. Processes that run side by side look in different
/// places: a server that is down for a moment must find its port again.
///
/// Looks by connecting. A listener of our own would do, but a child that another thread starts in
/// this moment holds it, too, until it runs its program, and the server would find its port in use.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const PORTS: u16 = 20_000;
    const APART: u32 = 397;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id().wrapping_mul(APART) % u32::from(PORTS)).unwrap();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (own + number) % PORTS;
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
}
