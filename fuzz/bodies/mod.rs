//! What is done with bytes from outside, and what has to hold whatever they are: no panic, and more.
//!
//! Each function takes any bytes and panics when a promise is broken. Two drivers hand them in:
//! `tests/fuzz.rs`, in every run of the tests, and libFuzzer (`fuzz/src/main.rs`, started by
//! `tests/fuzz`), which looks at what the bytes reach.

#![allow(clippy::unwrap_used, reason = "a broken promise panics")]
#![allow(missing_docs, unreachable_pub, reason = "nobody but the two drivers names it")]

mod calls;
mod cel;
mod config;
mod control;
mod envelopes;
mod events;
mod http;
mod jsonata;
mod lambda;
mod mapping;
mod mqtt;
mod paths;
mod points;
mod resources;
mod rows;
mod scripts;
mod services;
mod templates;
mod topics;

use ilagent::config::{Faults, Place};

/// One kind of bytes from outside.
pub struct Body {
    /// What it is called; its first inputs are in `fuzz/corpus/NAME`, its words in `fuzz/words/NAME`.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// How many inputs of `tests/fuzz.rs` take about a second.
    #[allow(dead_code, reason = "libFuzzer looks at the clock")]
    pub in_a_second: u32,
}

/// All of them.
pub const BODIES: [Body; 21] = [
    Body { name: "mqtt", run: mqtt::stream, in_a_second: 20_000 },
    Body { name: "websocket", run: mqtt::websocket, in_a_second: 1_200 },
    Body { name: "http", run: http::requests, in_a_second: 20_000 },
    Body { name: "topics", run: topics::filters, in_a_second: 40_000 },
    Body { name: "mapping", run: mapping::messages, in_a_second: 5_000 },
    Body { name: "calls", run: calls::messages, in_a_second: 10_000 },
    Body { name: "envelopes", run: envelopes::publications, in_a_second: 10_000 },
    Body { name: "paths", run: paths::paths, in_a_second: 10_000 },
    Body { name: "points", run: points::lines, in_a_second: 10_000 },
    Body { name: "toml", run: config::toml, in_a_second: 1_500 },
    Body { name: "json", run: config::json, in_a_second: 2_000 },
    Body { name: "resources", run: resources::files, in_a_second: 1_000 },
    Body { name: "services", run: services::files, in_a_second: 1_000 },
    Body { name: "control", run: control::questions, in_a_second: 2_000 },
    Body { name: "rows", run: rows::rows, in_a_second: 150 },
    Body { name: "scripts", run: scripts::scripts, in_a_second: 4_000 },
    Body { name: "jsonata", run: jsonata::expressions, in_a_second: 4_000 },
    Body { name: "lambda", run: lambda::expressions, in_a_second: 4_000 },
    Body { name: "cel", run: cel::expressions, in_a_second: 10_000 },
    Body { name: "events", run: events::messages, in_a_second: 10_000 },
    Body { name: "templates", run: templates::templates, in_a_second: 2_000 },
];

/// Bytes that are used up from the front; zeros when there are no more.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// The next `count` bytes, or fewer.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// What comes before the next end of a line, which is used up.
    pub fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let line = self.take(end);
        self.take(1);
        line
    }
}

/// Words for a person or a log: they say something, on one line, and move no cursor.
#[track_caller]
pub fn are_words(text: &str) {
    assert!(!text.trim().is_empty(), "no words");
    assert!(!text.contains(char::is_control), "a control character in {text:?}");
}

/// A password of the owner, which nothing may show.
const SECRET: &str = "hush-hush";

/// Faults of a file with this text: each says something, shows no secret, and those that are in the
/// file are on a line of it.
#[track_caller]
fn say_where(faults: &Faults, text: &str) {
    assert!(!faults.0.is_empty(), "refused without a reason");
    let lines = text.split('\n').count();
    for fault in &faults.0 {
        are_words(&fault.to_string());
        assert!(!fault.to_string().contains(SECRET), "{fault}");
        if let Place::File { line, .. } = &fault.place {
            assert!((1..=lines).contains(line), "{fault} in {lines} lines");
        }
    }
}
