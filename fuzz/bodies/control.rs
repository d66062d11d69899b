//! Questions to a running agent over its control socket.

use super::are_words;
use super::rows::{Scratch, delivery, open};
use ilagent::queue::{DeadLetter, Push, Queue, Storing};
use serde_json::Value;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// After so many questions there is something to be asked about again.
const REFILL: usize = 50;

/// After so many questions there is another agent: `list` takes the longer, the more there is.
const RENEWAL: usize = 5_000;

struct Agent {
    scratch: Scratch,
    queue: Queue,
    asked: usize,
}

impl Agent {
    fn new() -> Self {
        let scratch = Scratch::new("control");
        let queue = open(&scratch.database()).expect("a new queue opens").0;
        Agent { scratch, queue, asked: 0 }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.queue.close();
    }
}

thread_local! {
    /// Of a thread and not of the process, so that it ends, and its folder with it.
    static AGENT: RefCell<Option<Agent>> = const { RefCell::new(None) };
}

/// Whatever is asked, there is one line of JSON with a text or an error, and the agent lives. Whoever
/// follows gets lines without an end instead.
pub fn questions(data: &[u8]) {
    const TAIL: &[u8] = b"\"tail\"";
    if data.windows(TAIL.len()).any(|word| word == TAIL) {
        return;
    }
    AGENT.with_borrow_mut(|agent| {
        agent.take_if(|agent| agent.asked == RENEWAL);
        ask(agent.get_or_insert_with(Agent::new), data);
    });
}

fn ask(agent: &mut Agent, data: &[u8]) {
    agent.asked += 1;
    if agent.asked % REFILL == 1 {
        let letter = DeadLetter {
            reason: "no".to_owned(),
            lane: None,
            order_key: None,
            errand: None,
            origin: "t".to_owned(),
            body: b"{}".to_vec(),
        };
        let delivery =
            Push::Delivery { delivery: delivery("1"), storing: Storing::AtOnce, receipt: None };
        let batch = vec![delivery, Push::DeadLetter { letter, receipt: None }];
        agent.queue.push(batch, None).expect("there is room");
    }
    let socket = format!("{}.sock", agent.scratch.database().display());
    let mut stream = UnixStream::connect(socket).expect("the agent listens");
    // It may answer, and close, before it has read everything.
    let _ = stream.write_all(data);
    let _ = stream.shutdown(Shutdown::Write);
    let mut reply = Vec::new();
    match stream.read_to_end(&mut reply) {
        Ok(_) => {}
        Err(_) if data.contains(&b'\n') || reply.is_empty() => return,
        Err(error) => panic!("{error}"),
    }
    // What is not text is no question; the connection is closed.
    if reply.is_empty() {
        return assert!(std::str::from_utf8(data).is_err(), "no answer to {data:?}");
    }
    let reply = String::from_utf8(reply).expect("the answer is text");
    let line = reply.strip_suffix('\n').expect("the answer is a line");
    let reply: Value = serde_json::from_str(line).expect("the answer is JSON");
    match (&reply["text"], &reply["error"]) {
        (Value::String(_), Value::Null) => {}
        (Value::Null, Value::String(why)) => are_words(why),
        _ => panic!("an answer is a text or an error: {reply}"),
    }
}
