//! Whether an application listens, and whether it is still the same one.
//!
//! An application on this machine has a listening socket, which has a number: another number is
//! another start of it, however short it was away. Nobody connects for that. An application that
//! is elsewhere is dialled.

use std::fs;
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long dialling may take.
const DIAL_MAX: Duration = Duration::from_millis(500);

/// The tables of sockets of this machine, if it is a Linux.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The state of a socket that listens.
const LISTENS: &str = "0A";

/// A start of an application, as far as it can be told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start(Vec<u64>);

/// The application that listens, if one does.
pub(super) fn look(host: &str, port: u16) -> Result<Start, String> {
    let addresses = (host, port).to_socket_addrs().map_err(|why| format!("{host}: {why}"))?;
    let addresses: Vec<_> = addresses.collect();
    if addresses.iter().all(|address| is_here(address.ip())) {
        let tables: Vec<String> = TABLES.iter().flat_map(fs::read_to_string).collect();
        let mut sockets: Vec<u64> =
            tables.iter().flat_map(|table| listening(table, port)).collect();
        if !sockets.is_empty() {
            sockets.sort_unstable();
            return Ok(Start(sockets));
        }
    }
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, DIAL_MAX) {
            Ok(_) => return Ok(Start(Vec::new())),
            Err(why) => last = why.to_string(),
        }
    }
    Err(last)
}

fn is_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The numbers of the sockets in a table that listen on a port.
fn listening(table: &str, port: u16) -> Vec<u64> {
    let socket = |line: &str| {
        let mut fields = line.split_whitespace();
        let (_, own) = fields.nth(1)?.rsplit_once(':')?;
        let is_port = u16::from_str_radix(own, 16).ok()? == port;
        // Behind the address of the other side.
        let listens = fields.nth(1)? == LISTENS;
        let number = fields.nth(5)?.parse().ok()?;
        (is_port && listens).then_some(number)
    };
    table.lines().skip(1).filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_socket_that_listens_has_a_number() {
        const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1771 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 71 1 0
   1: 00000000:1771 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 72 1 0
   2: 0100007F:1771 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 73 1 0
   3: 0100007F:1772 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 74 1 0
   4: 00000000000000000000000001000000:1772 00000000000000000000000000000000:0000 0A 0:0 00:0 0 1 0 75 1
   5: nonsense
";
        assert_eq!(listening(TABLE, 6001), [71, 72]);
        assert_eq!(listening(TABLE, 6002), [74, 75]);
        assert!(listening(TABLE, 1).is_empty());
    }

    #[test]
    fn another_start_of_an_application_is_another_one() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let one = look("127.0.0.1", port).unwrap();
        assert_eq!(look("localhost", port).unwrap(), one);
        drop(first);
        assert!(look("127.0.0.1", port).is_err());
        let _second = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert_ne!(look("127.0.0.1", port).unwrap(), one);
    }
}
