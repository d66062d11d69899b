//! A stand-in for ilert's API, for the demonstration: it accepts everything, as ilert does by its
//! documents (202, no body), and prints it. It knows no keys, refuses nothing and limits nobody.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut out = io::stdout();
    writeln!(out, "listening on http://{}", listener.local_addr()?)?;
    out.flush()?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            // A client that goes away is of no interest here.
            let _ = answer(&stream);
        });
    }
    Ok(())
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        writeln!(io::stdout(), "{} {}", request.trim_end(), String::from_utf8_lossy(&body))?;
        let mut writer = stream;
        writer.write_all(
            b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\ncorrelation-id: demo\r\n\r\n",
        )?;
    }
}
