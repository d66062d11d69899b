//! The HTTP listener as clients on a socket see it, the well-behaved and the others.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

use ilagent::system::http::{Handler, Limits, Request, Response, Running, Serve, bind};
use ilagent::system::stop::{self, Stopper};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything should take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 1_000;

struct Server {
    address: SocketAddr,
    running: Running,
    stopper: Option<Stopper>,
}

/// A listener on loopback.
fn serve(limits: Limits, handler: Arc<Handler>) -> Server {
    serve_at("127.0.0.1", limits, handler)
}

fn serve_at(ip: &str, limits: Limits, handler: Arc<Handler>) -> Server {
    let (stopper, stop) = stop::pair();
    let listener = bind(ip.parse().unwrap(), 0).unwrap();
    let address = listener.address();
    let running = listener.start(limits, handler, &stop).unwrap();
    Server { address, running, stopper: Some(stopper) }
}

fn limits() -> Limits {
    Limits::new(BODY_BYTES_MAX, 8)
}

/// Answers with what it was asked.
fn echo() -> Arc<Handler> {
    Arc::new(|request: &Request| {
        let words = format!("{} {} ", request.method, request.path);
        Response::text(200, [words.as_bytes(), request.body].concat())
    })
}

/// Reports each request, and answers when the test lets it.
fn held() -> (Arc<Handler>, Receiver<()>, Sender<()>) {
    let (asked, is_asked) = channel();
    let (go, goes) = channel();
    let hold = Mutex::new((asked, goes));
    let handler = move |_: &Request| {
        let hold = hold.lock().unwrap();
        hold.0.send(()).unwrap();
        let _ = hold.1.recv();
        Response::text(200, "held")
    };
    (Arc::new(handler), is_asked, go)
}

struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// In lower case.
    head: String,
    body: String,
}

impl Client {
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect_timeout(&server.address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, unread: Vec::new() }
    }

    fn send(&mut self, text: &str) -> &mut Self {
        self.stream.write_all(text.as_bytes()).unwrap();
        self
    }

    /// The next answer, or `None` when the connection has been closed instead.
    fn answer(&mut self) -> Option<Answer> {
        self.read_answer(true)
    }

    fn answer_to_head(&mut self) -> Option<Answer> {
        self.read_answer(false)
    }

    fn read_answer(&mut self, with_body: bool) -> Option<Answer> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.read() {
                assert_eq!(self.unread, b"", "an answer is whole or not there");
                return None;
            }
        };
        let head = String::from_utf8(self.unread.drain(..head_end).collect()).unwrap();
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.split("content-length: ").nth(1).map(|rest| rest.lines().next().unwrap());
        let length = length.map_or(0, |length| length.parse().unwrap());
        let length = if with_body { length } else { 0 };
        while self.unread.len() < length {
            assert!(self.read(), "the body is cut off");
        }
        let body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        Some(Answer { status, head, body })
    }

    /// Whether anything was read; `false` at the end of the connection.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                count > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("cannot read: {error}"),
        }
    }

    #[track_caller]
    fn check(&mut self, status: u16, body: &str) -> Answer {
        let answer = self.answer().expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
        answer
    }

    #[track_caller]
    fn check_closed(&mut self) {
        assert_eq!(self.answer(), None);
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn requests_may_come_in_pieces_or_several_at_once() {
    let server = serve(limits(), echo());
    let mut client = Client::new(&server);
    for byte in post("/slow", "in pieces").chars() {
        client.send(&byte.to_string());
    }
    client.check(200, "POST /slow in pieces");

    client.send(&[post("/1", "one"), GET.to_owned(), post("/3", "three")].concat());
    client.check(200, "POST /1 one");
    client.check(200, "GET /a ");
    client.check(200, "POST /3 three");

    // The second one begins with the first and ends later.
    let (begin, end) = GET.split_at(10);
    client.send(&(post("/4", "four") + begin));
    client.check(200, "POST /4 four");
    client.send(end);
    client.check(200, "GET /a ");
}

#[test]
fn chunked_bodies_are_joined() {
    let server = serve(limits(), echo());
    let mut client = Client::new(&server);
    client.send("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab");
    client.send("cd\r\n3;x=y\r\nefg\r\n0\r\nTrailer: t\r\n\r\n");
    client.send(GET);
    client.check(200, "POST /c abcdefg");
    client.check(200, "GET /a ");
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let server = serve(limits(), echo());
    let largest = "x".repeat(BODY_BYTES_MAX);
    Client::new(&server).send(&post("/", &largest)).check(200, &format!("POST / {largest}"));

    // The client reads why, although it is still sending.
    for body in ["x".repeat(BODY_BYTES_MAX + 1), "x".repeat(60_000)] {
        let mut client = Client::new(&server);
        client.send(&post("/", &body));
        let answer = client.check(413, "the request body is too large");
        assert!(answer.head.contains("connection: close"));
        client.check_closed();
    }
    let mut client = Client::new(&server);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(&format!("3e8\r\n{largest}\r\n1\r\nx\r\n"));
    client.check(413, "the request body is too large");
    client.check_closed();
}

#[test]
fn a_body_larger_than_all_buffers_arrives() {
    let server = serve(Limits::new(4 << 20, 8), echo());
    let body = "0123456789".repeat(300_000);
    let mut client = Client::new(&server);
    client.send(&post("/", &body)).check(200, &format!("POST / {body}"));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(5_000) {
        client.send(&format!("{:x}\r\n{}\r\n", piece.len(), str::from_utf8(piece).unwrap()));
    }
    client.send("0\r\n\r\n").check(200, &format!("POST / {body}"));
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_closed() {
    let server = serve(limits(), echo());
    for (text, status) in [
        ("bare garbage\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", 400), // A TLS client.
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\n\r\n", 417),
        (&format!("GET /{}", "a".repeat(9_000)), 414),
        (&format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(9_000)), 431),
        (&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65)), 431),
    ] {
        let mut client = Client::new(&server);
        // What follows is not taken for a request.
        client.send(text).send(GET);
        let answer = client.answer().expect(text);
        assert_eq!(answer.status, status, "{text:?}");
        assert!(answer.head.contains("connection: close"), "{text:?}");
        client.check_closed();
    }
}

/// Says in its own words what is refused.
struct Wordy;

impl Serve for Wordy {
    fn answer(&self, _: &Request) -> Response {
        Response::empty(204)
    }

    fn refused(&self, status: u16, why: &str) -> Response {
        Response::json(status, format!("[{status}, {why:?}]"))
    }
}

#[test]
fn a_handler_has_its_own_words_and_bounds_for_what_is_refused() {
    let server = serve(Limits { head_bytes_max: 300, ..limits() }, Arc::new(Wordy));
    let head = |bytes: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(bytes));
    assert_eq!(Client::new(&server).send(&head(200)).answer().unwrap().status, 204);
    for (request, status, why) in [
        (head(300), 431, "the request headers are too large"),
        (post("/", &"x".repeat(BODY_BYTES_MAX + 1)), 413, "the request body is too large"),
        ("GET a/b HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed request target"),
    ] {
        Client::new(&server).send(&request).check(status, &format!("[{status}, {why:?}]"));
    }
}

#[test]
fn connections_are_kept_as_clients_ask() {
    let server = serve(limits(), echo());
    for (text, kept, told) in [
        (GET, true, None),
        ("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, Some("close")),
        ("GET /a HTTP/1.0\r\n\r\n", false, Some("close")),
        ("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, Some("keep-alive")),
    ] {
        let mut client = Client::new(&server);
        let answer = client.send(text).check(200, "GET /a ");
        let found =
            answer.head.split("connection: ").nth(1).map(|rest| rest.lines().next().unwrap());
        assert_eq!(found, told, "{text:?}");
        if kept {
            client.send(GET).check(200, "GET /a ");
        } else {
            client.check_closed();
        }
    }
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let server = serve(limits(), echo());
    let mut client = Client::new(&server);
    client.send(&GET.replace("GET", "HEAD"));
    let answer = client.answer_to_head().unwrap();
    assert!(answer.head.contains("content-length: 8\r\n"), "{}", answer.head);
    client.send(GET).check(200, "GET /a ");
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on_when_its_body_is_wanted() {
    let server = serve(limits(), echo());
    let ask = |length: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut client = Client::new(&server);
    client.send(&ask(3)).check(100, "");
    client.send("abc").check(200, "POST / abc");
    // Who does not wait is not asked.
    client.send(&(ask(3) + "abc")).check(200, "POST / abc");
    client.send(&ask(BODY_BYTES_MAX + 1)).check(413, "the request body is too large");
    client.check_closed();
}

#[test]
fn a_slow_request_is_cut_off_however_it_is_spread() {
    let server = serve(Limits { request_max: Duration::from_millis(400), ..limits() }, echo());
    // Sent a byte at a time they take seconds, however late the listener begins to count.
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(900));
    for text in [long, post("/", &"x".repeat(900))] {
        let mut client = Client::new(&server);
        let begun = Instant::now();
        // Each byte comes long before any timeout for a single read would.
        let mut bytes = text.bytes();
        client.stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let answer = loop {
            if let Some(byte) = bytes.next() {
                let _ = client.stream.write_all(&[byte]);
            }
            let mut answer = [0; 256];
            match client.stream.read(&mut answer) {
                Ok(count) => break String::from_utf8_lossy(&answer[..count]).into_owned(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            assert!(begun.elapsed() < PATIENCE);
        };
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(begun.elapsed() >= Duration::from_millis(300));
        assert!(bytes.next().is_some(), "it was cut off before its end");
    }
}

#[test]
fn silent_clients_are_dropped_without_a_word() {
    let short = Duration::from_millis(200);
    let server = serve(Limits { request_max: short, ..limits() }, echo());
    Client::new(&server).check_closed();
    let server = serve(Limits { idle_max: short, ..limits() }, echo());
    let mut client = Client::new(&server);
    client.send(GET).check(200, "GET /a ");
    client.check_closed();
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let large = Arc::new(|_: &Request| Response::text(200, vec![b'x'; 32 << 20]));
    let server = serve(Limits { write_max: Duration::from_millis(200), ..limits() }, large);
    let mut client = Client::new(&server);
    client.send(GET);
    // The listener gives up on it: that ends the wait for a connection in the middle of an answer.
    assert!(server.running.stop(Instant::now() + PATIENCE));
}

#[test]
fn a_connection_too_many_is_told_to_come_again() {
    let server = serve(Limits { connections_max: 2, ..limits() }, echo());
    let mut clients = [Client::new(&server), Client::new(&server)];
    for client in &mut clients {
        client.send(GET).check(200, "GET /a ");
    }
    let mut third = Client::new(&server);
    let answer = third.send(GET).check(503, r#"{"error":"too many connections"}"#);
    assert!(
        answer.head.contains("retry-after: 1\r\n") && answer.head.contains("connection: close")
    );
    third.check_closed();
    // Those that were there first do not notice.
    for client in &mut clients {
        client.send(GET).check(200, "GET /a ");
    }
}

/// `/probe` is answered at once, what is not `/allowed` is not let in, the rest is held.
struct Guarded(Arc<Handler>);

impl Serve for Guarded {
    fn door(&self, head: &Request) -> Option<Response> {
        (head.path == "/forbidden").then(|| Response::text(401, "no"))
    }

    fn is_probe(&self, head: &Request) -> bool {
        head.path == "/probe"
    }

    fn answer(&self, request: &Request) -> Response {
        match request.path {
            "/probe" => Response::text(200, "well"),
            _ => self.0.answer(request),
        }
    }
}

#[test]
fn probes_have_a_place_of_their_own_while_all_others_are_busy() {
    let (hold, is_asked, go) = held();
    let limits = Limits { connections_max: 1, ..limits() };
    let server = serve(limits, Arc::new(Guarded(hold)));
    let mut busy = Client::new(&server);
    busy.send(GET);
    is_asked.recv_timeout(PATIENCE).unwrap();
    for _ in 0..3 {
        let mut probe = Client::new(&server);
        probe.send("GET /probe HTTP/1.1\r\nHost: a\r\n\r\n").check(200, "well");
        probe.check_closed();
        let mut other = Client::new(&server);
        other.send(&post("/a", "x")).check(503, r#"{"error":"too many connections"}"#);
        other.check_closed();
    }
    // Those places are no way around the limit: who says nothing has them for a moment only.
    let mut silent = [Client::new(&server), Client::new(&server)];
    for client in &mut silent {
        client.check(503, r#"{"error":"too many connections"}"#);
    }
    go.send(()).unwrap();
    busy.check(200, "held");
}

#[test]
fn nobodys_body_is_waited_for_who_may_not_come_in() {
    let server = serve(limits(), Arc::new(Guarded(echo())));
    let head = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut client = Client::new(&server);
    client.send(&format!("POST /forbidden HTTP/1.1\r\n{head}")).check(401, "no");
    client.check_closed();
    let mut client = Client::new(&server);
    client.send(&format!("POST /allowed HTTP/1.1\r\n{head}")).check(100, "");
    client.send("hello").check(200, "POST /allowed hello");
}

/// Tries until a new connection is answered with 200.
fn reach(server: &Server) {
    let begun = Instant::now();
    loop {
        let mut client = Client::new(server);
        // A refused client may find the connection gone already.
        let _ = client.stream.write_all(GET.as_bytes());
        match client.answer() {
            Some(answer) if answer.status == 200 => return,
            other => assert!(begun.elapsed() < PATIENCE, "{other:?}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_slot_is_free_again_when_its_client_has_gone() {
    let server = serve(Limits { connections_max: 1, ..limits() }, echo());
    for _ in 0..20 {
        reach(&server);
    }
}

#[test]
fn who_only_holds_connections_does_not_keep_others_out() {
    let server = serve(Limits { connections_max: 4, ..limits() }, echo());
    // Two that say nothing and two that have said something once.
    let mut silent: Vec<_> = (0..4).map(|_| Client::new(&server)).collect();
    for client in &mut silent[2..] {
        client.send(GET).check(200, "GET /a ");
    }
    for _ in 0..4 {
        reach(&server);
    }
}

#[test]
fn a_request_that_takes_long_keeps_no_other_waiting() {
    let (hold, is_asked, go) = held();
    let echo = echo();
    let handler = move |request: &Request| match request.path {
        "/held" => hold.answer(request),
        _ => echo.answer(request),
    };
    let server = serve(limits(), Arc::new(handler));
    let mut slow = Client::new(&server);
    slow.send(&post("/held", ""));
    is_asked.recv_timeout(PATIENCE).unwrap();
    Client::new(&server).send(GET).check(200, "GET /a ");
    go.send(()).unwrap();
    slow.check(200, "held");
}

#[test]
fn stopping_closes_who_rests_and_waits_for_who_is_being_answered() {
    let (handler, is_asked, go) = held();
    let server = serve(limits(), handler);
    let mut resting = Client::new(&server);
    resting.send(GET);
    is_asked.recv_timeout(PATIENCE).unwrap();
    go.send(()).unwrap();
    resting.check(200, "held");
    let mut busy = Client::new(&server);
    busy.send(GET);
    is_asked.recv_timeout(PATIENCE).unwrap();

    let address = server.address;
    let stopping = thread::spawn(move || server.running.stop(Instant::now() + PATIENCE));
    resting.check_closed();
    assert!(!stopping.is_finished());
    go.send(()).unwrap();
    assert!(busy.check(200, "held").head.contains("connection: close"));
    busy.check_closed();
    assert!(stopping.join().unwrap());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn stopping_waits_no_longer_than_the_deadline() {
    let (handler, is_asked, _go) = held();
    let server = serve(limits(), handler);
    let mut busy = Client::new(&server);
    busy.send(GET);
    is_asked.recv_timeout(PATIENCE).unwrap();
    assert!(!server.running.stop(Instant::now() + Duration::from_millis(50)));
    busy.check_closed();
}

#[test]
fn between_the_stop_and_the_end_the_probes_are_still_answered() {
    let mut server = serve(limits(), echo());
    let mut before = Client::new(&server);
    before.send(GET).check(200, "GET /a ");
    server.stopper.take();
    assert!(before.send(GET).check(200, "GET /a ").head.contains("connection: close"));
    before.check_closed();
    let mut after = Client::new(&server);
    assert!(after.send(GET).check(200, "GET /a ").head.contains("connection: close"));
    assert!(server.running.stop(Instant::now() + PATIENCE));
}

#[test]
fn who_connects_while_the_socket_is_handed_on_is_answered_by_the_next() {
    let mut server = serve(limits(), echo());
    let mut early = Client::new(&server);
    reach(&server);
    let socket = server.running.release().unwrap();
    assert!(server.running.release().is_none(), "there is one socket");
    let mut waiting = Client::new(&server);
    waiting.send(GET);
    // It connected before the end, and is no stranger yet.
    assert!(early.send(GET).check(200, "GET /a ").head.contains("connection: close"));
    assert!(server.running.stop(Instant::now() + PATIENCE));

    let (stopper, stop) = stop::pair();
    let next =
        socket.start(limits(), Arc::new(|_: &Request| Response::text(200, "next")), &stop).unwrap();
    waiting.check(200, "next");
    drop((next, stopper));
    assert!(TcpStream::connect(server.address).is_err(), "dropped, it listens no more");
}

#[test]
fn who_connects_at_the_end_and_keeps_silent_is_not_waited_for() {
    let server = serve(limits(), echo());
    let mut silent = Client::new(&server);
    reach(&server);
    assert!(server.running.stop(Instant::now() + PATIENCE));
    silent.check_closed();
}

#[test]
fn every_kind_of_address_can_be_bound_and_stopped() {
    for ip in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
        let mut server = serve_at(ip, limits(), echo());
        let loopback = if ip.contains(':') { "::1" } else { "127.0.0.1" };
        server.address.set_ip(loopback.parse().unwrap());
        Client::new(&server).send(GET).check(200, "GET /a ");
        assert!(server.running.stop(Instant::now() + PATIENCE), "{ip}");
    }
}

/// Set in the process that has few files to open.
const FEW_FILES: &str = "ILAGENT_TEST_FEW_FILES";

#[test]
fn running_out_of_sockets_is_survived() {
    if std::env::var_os(FEW_FILES).is_none() {
        let run = "ulimit -n 40 && exec \"$0\" --exact running_out_of_sockets_is_survived";
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", run]).arg(std::env::current_exe().unwrap()).env(FEW_FILES, "1");
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let server = serve(Limits { connections_max: 100, ..limits() }, echo());
    let mut open = Vec::new();
    while let Ok(stream) = TcpStream::connect(server.address) {
        open.push(stream);
        assert!(open.len() < 100);
    }
    drop(open);
    reach(&server);
    assert!(server.running.stop(Instant::now() + PATIENCE));
}

#[test]
fn a_port_in_use_is_found_at_the_door() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ip: IpAddr = address.ip();
    assert_eq!(bind(ip, address.port()).unwrap_err().kind(), ErrorKind::AddrInUse);
}
