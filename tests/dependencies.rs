//! The rules of `deny.toml`, held with what cargo knows by itself, so that no build needs cargo-deny.

#![allow(clippy::unwrap_used, reason = "a broken test may panic")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the agent is built for, as far as dependencies go.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--all-features"])
        .args(["--filter-platform", PLATFORM])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().filter(|package| package["name"] != "ilagent").cloned().collect()
}

fn rules() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn texts(list: &toml::Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn licences_are_among_those_that_are_allowed() {
    let rules = rules();
    let allowed = texts(&rules["licenses"]["allow"]);
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or("none at all").replace('/', " OR ");
        assert!(is_allowed(&licence, &allowed), "{}: {licence}", package["name"]);
    }
}

/// Whether an SPDX expression is met by licences that are allowed.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let either = outermost(expression, " OR ");
    if either.len() > 1 {
        return either.iter().any(|part| is_allowed(part, allowed));
    }
    let both = outermost(expression, " AND ");
    if both.len() > 1 {
        return both.iter().all(|part| is_allowed(part, allowed));
    }
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inside) => is_allowed(inside, allowed),
        None => allowed.contains(&expression),
    }
}

/// The parts between a word that is not inside of parentheses.
fn outermost<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let (mut begin, mut depth) = (0, 0);
    for (at, letter) in expression.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && expression[at..].starts_with(word) => {
                parts.push(&expression[begin..at]);
                begin = at + word.len();
            }
            _ => (),
        }
    }
    parts.push(&expression[begin..]);
    parts
}

#[test]
fn an_expression_is_met_by_one_of_either_and_by_all_of_both() {
    let allowed = ["MIT", "ISC"];
    for (expression, wanted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("(GPL-3.0 OR MIT) AND Zlib", false),
        ("MIT WITH an-exception", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), wanted, "{expression}");
    }
}

#[test]
fn no_package_comes_twice_but_for_those_with_a_reason() {
    let rules = rules();
    let mut skipped: Vec<&str> = rules["bans"]["skip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skip| skip["crate"].as_str().unwrap())
        .collect();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap());
        versions.entry(name.to_owned()).or_default().push(version.to_owned());
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let left = versions.iter().filter(|version| {
            let skip = skipped.iter().position(|skip| {
                skip.split_once('@').is_some_and(|(of, begin)| {
                    of == name && format!("{version}.").starts_with(&format!("{begin}."))
                })
            });
            skip.map(|at| skipped.remove(at)).is_none()
        });
        assert_eq!(left.count(), 1, "{name} comes as {versions:?}");
    }
    assert!(skipped.is_empty(), "deny.toml skips what does not come twice: {skipped:?}");
}

#[test]
fn everything_comes_from_the_registry() {
    let rules = rules();
    let registries = texts(&rules["sources"]["allow-registry"]);
    for package in packages() {
        let source = package["source"].as_str().unwrap_or("a folder");
        let known = registries.iter().any(|registry| source == format!("registry+{registry}"));
        assert!(known, "{} comes from {source}", package["name"]);
    }
}

/// A Rust of the version in Cargo.toml cannot be had everywhere; what each dependency says of itself
/// can be read, and for our own code clippy looks (`incompatible_msrv`).
#[test]
fn no_dependency_asks_for_a_later_rust_than_we_do() {
    let number = |version: &str| -> (u32, u32) {
        let mut parts = version.split('.').map(|part| part.parse().unwrap());
        (parts.next().unwrap(), parts.next().unwrap())
    };
    let ours = number(env!("CARGO_PKG_RUST_VERSION"));
    for package in packages() {
        let Some(theirs) = package["rust_version"].as_str() else { continue };
        assert!(number(theirs) <= ours, "{} asks for Rust {theirs}", package["name"]);
    }
}

/// The fuzz targets are a workspace of their own, which no other build looks at: their lock file is
/// the one that is forgotten when a dependency is added.
#[test]
fn the_fuzz_targets_know_every_dependency() {
    let read = |file: &str| -> toml::Table {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        fs::read_to_string(path).unwrap().parse().unwrap()
    };
    let (manifest, lock) = (read("Cargo.toml"), read("fuzz/Cargo.lock"));
    let locked = lock["package"].as_array().unwrap();
    let agent = locked.iter().find(|package| package["name"].as_str() == Some("ilagent")).unwrap();
    let known = texts(&agent["dependencies"]);
    let is_optional = |settings: &toml::Value| settings.get("optional").is_some();
    for (name, _) in
        manifest["dependencies"].as_table().unwrap().iter().filter(|d| !is_optional(d.1))
    {
        let is_known = known.iter().any(|known| known.split(' ').next() == Some(name));
        assert!(is_known, "fuzz/Cargo.lock lacks {name}: run `cargo update --workspace` in fuzz/");
    }
}

/// rumqttc brings an executor along, which nothing of ours may start: the linker throws it away.
#[test]
fn no_executor_is_in_the_binary() {
    let output = Command::new("nm").arg("--demangle").arg(env!("CARGO_BIN_EXE_ilagent")).output();
    let symbols = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(symbols.contains(" ilagent::"), "the symbols are there");
    for executor in ["tokio::", "tokio_util::", "futures_util::"] {
        let found = symbols.lines().find(|line| line.contains(executor));
        assert_eq!(found, None, "{executor} is in the binary");
    }
}
