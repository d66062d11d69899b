//! A stand-in for ilert's API: it records requests, and answers as the test wants.
//!
//! By its documents ilert takes events and pings with 202 and no body, and says everything else in
//! JSON, refusals as `{"status":…,"message":…}`; so does this. Redirects, 407 and 502 to 504 come
//! from what stands in front of it, here without a body; other answers of gateways and portals are
//! written out where they are tested.

use super::{PATIENCE, until, wait_until};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
    /// What it was answered.
    pub status: u16,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn summary(&self) -> String {
        self.json()["summary"].as_str().unwrap_or_default().to_owned()
    }
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// With this status, in ilert's manner.
    Status(u16),
    /// With a status, headers and a body.
    Full(u16, Vec<(&'static str, String)>, String),
    /// With exactly these bytes, and the connection is closed.
    Raw(&'static [u8]),
    /// After a time, with a status, in ilert's manner.
    Slow(Duration, u16),
    /// Not at all, until the stand-in answers otherwise.
    Hang,
    /// It is accepted, but nobody hears of it: the connection is closed.
    Lost,
    /// Nothing comes of it, and after a time the connection is closed.
    Silence(Duration),
}

impl Answer {
    /// With a status and a document.
    pub fn json(status: u16, document: &str) -> Self {
        let json = vec![("Content-Type", "application/json".to_owned())];
        Answer::Full(status, json, document.to_owned())
    }

    /// As ilert answers, or what stands in front of it.
    fn ilerts(status: u16) -> Self {
        match status {
            202 | 300..=399 | 407 | 502..=504 => Answer::Full(status, vec![], String::new()),
            200..=299 => Answer::json(status, "{}"),
            _ => Answer::json(status, &format!(r#"{{"status":{status},"message":"words"}}"#)),
        }
    }
}

type Rule = Box<dyn Fn(&Request) -> Answer + Send>;

struct State {
    requests: Vec<Request>,
    rule: Rule,
    in_flight: usize,
    in_flight_max: usize,
    connections: HashMap<usize, TcpStream>,
    /// How many there ever were.
    connected: usize,
    /// Connections that are still served.
    open: usize,
    generation: usize,
}

pub struct StandIn {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

impl StandIn {
    /// Accepts everything with 202, as ilert does.
    pub fn new() -> Self {
        let state = State {
            requests: Vec::new(),
            rule: Box::new(|_| Answer::Status(202)),
            in_flight: 0,
            in_flight_max: 0,
            connections: HashMap::new(),
            connected: 0,
            open: 0,
            generation: 0,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stand_in = StandIn { state: Arc::new(Mutex::new(state)), address };
        stand_in.serve(listener);
        stand_in
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on answers by `rule`.
    pub fn answer(&self, rule: impl Fn(&Request) -> Answer + Send + 'static) {
        self.state.lock().unwrap().rule = Box::new(rule);
    }

    /// From now on answers everything alike.
    pub fn answer_all(&self, answer: Answer) {
        self.answer(move |_| answer.clone());
    }

    /// Stops to listen and breaks all connections, until [`StandIn::come_back`].
    pub fn go_away(&self) {
        let mut state = self.state.lock().unwrap();
        state.generation += 1;
        for (_, connection) in state.connections.drain() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        // The accepting thread looks at the generation after each connection.
        let _ = TcpStream::connect(self.address);
        wait_until("the stand-in does not listen", || TcpStream::connect(self.address).is_err());
    }

    pub fn come_back(&self) {
        let mut bound = None;
        wait_until("the stand-in listens again", || {
            bound = TcpListener::bind(self.address).ok();
            bound.is_some()
        });
        self.serve(bound.unwrap());
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// All requests so far, which it forgets.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// The last event with this summary.
    pub fn latest(&self, summary: &str) -> Option<Request> {
        let state = self.state.lock().unwrap();
        state.requests.iter().rev().find(|request| request.summary() == summary).cloned()
    }

    pub fn count(&self) -> usize {
        self.state.lock().unwrap().requests.len()
    }

    pub fn in_flight_max(&self) -> usize {
        self.state.lock().unwrap().in_flight_max
    }

    /// Summaries of the events that were accepted with a 2xx, in the order of their arrival.
    pub fn accepted(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let events = state.requests.iter().filter(|r| r.status / 100 == 2 && r.method == "POST");
        events.map(Request::summary).collect()
    }

    /// How often each event was accepted.
    pub fn tally(&self) -> HashMap<String, usize> {
        let mut tally = HashMap::new();
        for id in self.accepted() {
            *tally.entry(id).or_default() += 1;
        }
        tally
    }

    /// Waits until so many different events were accepted, for as long as there is progress.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        let mut seen = self.tally().len();
        while seen < count {
            seen = until(&format!("one of {count} events is accepted, after {seen}"), || {
                Some(self.tally().len()).filter(|accepted| *accepted > seen)
            });
        }
    }

    /// Waits until each of these was accepted, for as long as there is progress, and names one that
    /// is missing if not.
    #[track_caller]
    pub fn wait_for_all(&self, ids: &BTreeSet<String>) {
        let (mut seen, mut until) = (0, Instant::now() + PATIENCE);
        loop {
            let tally = self.tally();
            let Some(id) = ids.iter().find(|&id| !tally.contains_key(id)) else { return };
            if tally.len() > seen {
                (seen, until) = (tally.len(), Instant::now() + PATIENCE);
            }
            assert!(Instant::now() < until, "{id} was not accepted within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every request of an agent that is gone is on record.
    #[track_caller]
    pub fn wait_hung_up(&self) {
        // Connections are accepted in order: when this one, which asks nothing, has been ended,
        // none before it is left.
        let mut last = TcpStream::connect(self.address).unwrap();
        last.shutdown(Shutdown::Write).unwrap();
        last.read_to_end(&mut Vec::new()).unwrap();
        wait_until("all connections have ended", || self.state.lock().unwrap().open == 0);
    }

    fn serve(&self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        let generation = state.lock().unwrap().generation;
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut now = state.lock().unwrap();
                if now.generation != generation {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                now.connected += 1;
                let number = now.connected;
                now.connections.insert(number, stream.try_clone().unwrap());
                now.open += 1;
                drop(now);
                let state = Arc::clone(&state);
                thread::spawn(move || {
                    let _ = converse(stream, &state);
                    let mut now = state.lock().unwrap();
                    now.connections.remove(&number);
                    now.open -= 1;
                });
            }
        });
    }
}

fn converse(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    while let Some(mut request) = read(&mut reader)? {
        let mut now = state.lock().unwrap();
        now.in_flight += 1;
        now.in_flight_max = now.in_flight_max.max(now.in_flight);
        let mut answer = (now.rule)(&request);
        drop(now);
        let mut recorded = false;
        while let Answer::Hang = answer {
            if !recorded {
                state.lock().unwrap().requests.push(request.clone());
                recorded = true;
            }
            thread::sleep(Duration::from_millis(20));
            answer = (state.lock().unwrap().rule)(&request);
        }
        if let Answer::Slow(time, _) | Answer::Silence(time) = answer {
            thread::sleep(time);
        }
        let (status, bytes, close) = render(&answer, request.method == "HEAD");
        request.status = status;
        request.at = Instant::now();
        let mut now = state.lock().unwrap();
        now.in_flight -= 1;
        now.requests.push(request);
        drop(now);
        writer.write_all(&bytes)?;
        if close {
            let _ = writer.shutdown(Shutdown::Both);
            return Ok(());
        }
    }
    Ok(())
}

fn render(answer: &Answer, to_head: bool) -> (u16, Vec<u8>, bool) {
    match answer {
        Answer::Status(status) | Answer::Slow(_, status) => {
            render(&Answer::ilerts(*status), to_head)
        }
        Answer::Full(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} Words\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str("correlation-id: c0ffee\r\n\r\n");
            let body = if to_head { "" } else { body };
            (*status, [head.as_bytes(), body.as_bytes()].concat(), false)
        }
        Answer::Raw(bytes) => (0, bytes.to_vec(), true),
        Answer::Lost => (202, Vec::new(), true),
        Answer::Silence(_) => (0, Vec::new(), true),
        Answer::Hang => unreachable!("a request that hangs is not answered"),
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, path, headers, body, at: Instant::now(), status: 0 }))
}
