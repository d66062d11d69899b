//! Bytes from outside, as nobody would write them: valid ones of `fuzz/corpus`, changed by dice.
//!
//! What has to hold for them is in `fuzz/bodies`. The dice of a normal run are always the same, so
//! that it says the same of the same code. `FUZZ_SECONDS=60 cargo test --test fuzz` throws others
//! for that long in each test, and `tests/fuzz` looks for inputs that reach something new.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

use bodies::{BODIES, Body};
use fastrand::Rng;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest input, in bytes.
const BYTES_MAX: usize = 4_096;

/// Most changes of one input.
const CHANGES_MAX: usize = 6;

#[track_caller]
fn fuzz(name: &str) {
    let body = BODIES.iter().find(|body| body.name == name).unwrap();
    let inputs = inputs(name);
    assert!(!inputs.is_empty(), "fuzz/corpus/{name} has inputs");
    for input in &inputs {
        try_one(body, input);
    }
    let words = words(name);
    let longer = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = longer.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut dice = if until.is_some() { Rng::new() } else { Rng::with_seed(1) };
    let mut tried = 0;
    let goes_on = |tried| match until {
        Some(until) => Instant::now() < until,
        None => tried < body.in_a_second,
    };
    while goes_on(tried) {
        let mut input = dice.choice(&inputs).unwrap().clone();
        for _ in 0..dice.usize(1..=CHANGES_MAX) {
            change(&mut input, &inputs, &words, &mut dice);
        }
        input.truncate(BYTES_MAX);
        try_one(body, &input);
        tried += 1;
    }
    eprintln!("{name}: {tried} inputs");
}

/// Runs a body, and keeps an input that broke it.
#[track_caller]
fn try_one(body: &Body, input: &[u8]) {
    if let Err(broken) = panic::catch_unwind(AssertUnwindSafe(|| (body.run)(input))) {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", body.name));
        fs::write(&kept, input).unwrap();
        eprintln!(
            "{}: broken by {:?}, kept as {}",
            body.name,
            input.escape_ascii().to_string(),
            kept.display()
        );
        panic::resume_unwind(broken);
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The inputs in `fuzz/corpus/NAME`, in an order that is always the same.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder().join("corpus").join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The words of `fuzz/words/NAME`, in libFuzzer's form: `"…"`, with `\xNN`, `\\` and `\"`.
fn words(name: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder().join("words").join(name)).unwrap();
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescape).collect()
}

fn unescape(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = String::from_utf8(vec![*high, *low]).unwrap();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                bytes.push(*escaped);
                rest = after;
            }
            _ => bytes.push(first),
        }
    }
    bytes
}

/// One change: of bytes, by a word of the grammar, or with a piece of another input.
fn change(input: &mut Vec<u8>, inputs: &[Vec<u8>], words: &[Vec<u8>], dice: &mut Rng) {
    const NUMBERS: [&str; 8] =
        ["0", "-1", "65536", "4294967296", "9223372036854775808", "1e400", "0.1", "01"];
    let (from, to) = range(input.len(), dice);
    let replacement = match dice.u8(0..10) {
        0 => Vec::new(),
        1 => input[from..to].repeat(2),
        2 => vec![dice.u8(..)],
        3 => vec![*dice.choice(b"\0\n\r\x1b\x7f\xff \"\\/.#+$%{}[]").unwrap()],
        4 => dice.choice(NUMBERS).unwrap().as_bytes().to_vec(),
        5 | 6 if !words.is_empty() => dice.choice(words).unwrap().clone(),
        7 => {
            let other = dice.choice(inputs).unwrap();
            let (from, to) = range(other.len(), dice);
            other[from..to].to_vec()
        }
        8 => input[from..to].iter().map(|byte| byte ^ (1 << dice.u8(0..8))).collect(),
        _ => vec![b'x'; 1 << dice.u8(0..12)],
    };
    // As often put in as put in place of something.
    let to = if dice.bool() { from } else { to };
    input.splice(from..to, replacement);
}

/// A range of at most a hundred bytes, mostly short.
fn range(length: usize, dice: &mut Rng) -> (usize, usize) {
    let from = dice.usize(0..=length);
    let most = if dice.bool() { 4 } else { 100 };
    (from, (from + dice.usize(0..=most)).min(length))
}

#[test]
fn what_a_broker_sends() {
    fuzz("mqtt");
}

#[test]
fn what_a_broker_sends_through_a_websocket() {
    fuzz("websocket");
}

#[test]
fn what_a_client_of_the_listener_sends() {
    fuzz("http");
}

#[test]
fn topic_filters() {
    fuzz("topics");
}

#[test]
fn messages_and_posted_events() {
    fuzz("mapping");
}

#[test]
fn messages_for_webhooks_and_other_brokers() {
    fuzz("calls");
}

#[test]
fn publications_for_dapr() {
    fuzz("envelopes");
}

#[test]
fn paths_into_documents() {
    fuzz("paths");
}

#[test]
fn points_in_line_protocol() {
    fuzz("points");
}

#[test]
fn configurations_in_toml() {
    fuzz("toml");
}

#[test]
fn configurations_in_json() {
    fuzz("json");
}

#[test]
fn resources_of_a_sidecar() {
    fuzz("resources");
}

#[test]
fn service_files_and_their_messages() {
    fuzz("services");
}

#[test]
fn questions_to_a_running_agent() {
    fuzz("control");
}

#[test]
fn rows_of_the_database() {
    fuzz("rows");
}

#[test]
fn scripts_of_kapacitor() {
    fuzz("scripts");
}

#[test]
fn expressions_of_jsonata() {
    fuzz("jsonata");
}

#[test]
fn expressions_of_scripts() {
    fuzz("lambda");
}

#[test]
fn templates_of_alerts() {
    fuzz("templates");
}

#[test]
fn expressions_of_routes() {
    fuzz("cel");
}

#[test]
fn messages_for_an_application() {
    fuzz("events");
}
