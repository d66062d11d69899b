//! What the reference implementation makes of the expressions in our own table, where there is node.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a broken test may panic")]

mod support;

use std::path::Path;
use std::process::Command;
use support::not_tested;
use support::packages::npm;

#[test]
fn the_reference_means_the_same() {
    let modules = match npm("npm-jsonata", &["jsonata@2.2.2"]) {
        Ok(modules) => modules,
        Err(why) => return not_tested(&why),
    };
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    node.arg(project.join("tests/support/jsonata.js"));
    node.arg(project.join("src/jsonata/tests/table.txt")).env("NODE_PATH", modules);
    let output = node.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let rows = said.trim().strip_suffix(" rows").and_then(|rows| rows.parse::<u32>().ok());
    assert!(
        rows.is_some_and(|rows| rows > 300),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
