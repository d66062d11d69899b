//! libFuzzer around one of the bodies, the one that `FUZZ` names.

#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    let run = CHOSEN.get_or_init(|| {
        let name = std::env::var("FUZZ").unwrap_or_default();
        let body = bodies::BODIES.iter().find(|body| body.name == name);
        body.unwrap_or_else(|| panic!("FUZZ names no body: `{name}`")).run
    });
    run(data);
});
