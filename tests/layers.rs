//! The map of the crate. To add an arrow, move a name here and say why in the commit.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// A module may name the modules on the lines below its own, and no others.
const LEVELS: [&[&str]; 10] = [
    &["main", "lib"],
    &["agent"],
    &["cli", "heartbeat", "sinks", "sources", "status", "supervise"],
    &["watch"],
    &["alerts"],
    &["intake"],
    &["commissioned", "ilert", "mapping", "mqtt", "queue"],
    &["config", "verdict"],
    &["cel", "jsonata", "message", "retry", "topic"],
    &["system"],
];

/// The same for the files inside a module.
const INSIDE: [(&str, &[&[&str]]); 4] = [
    (
        "queue",
        &[
            &["claims", "writer"],
            &["shared"],
            &["request", "waiting"],
            &["admin"],
            &["tail"],
            &["board", "database"],
            &["change", "claim"],
            &["entry"],
            &["push"],
            &["chatter", "row"],
        ],
    ),
    (
        "mqtt",
        &[
            &["session"],
            &["connection"],
            &["handshake"],
            &["life"],
            &["dial", "protocol", "wire"],
            &["end", "incoming", "outbox", "pump", "subscriptions"],
            &["filters"],
            &["reader"],
            &["bell", "codec", "publish", "words"],
            &["fields"],
            &["material", "memory", "pace", "packet", "supply", "timing", "websocket"],
        ],
    ),
    (
        "config",
        &[
            &["dialects"],
            &["document", "whole"],
            &["routes"],
            &["surroundings"],
            &["values"],
            &["fault", "model"],
            &["hush", "repeats", "secret", "suggest"],
        ],
    ),
    (
        "system/http",
        &[
            &["listener"],
            &["connection"],
            &["incoming", "slots"],
            &["chunked", "head"],
            &["encoding", "form", "refusal", "token"],
        ],
    ),
];

/// Modules that decide and never do: the clock, the disk and the network are for others.
const PURE: [&str; 9] =
    ["alerts", "cel", "config", "jsonata", "mapping", "message", "retry", "topic", "verdict"];

/// The same for files inside other modules.
const PURE_INSIDE: [&str; 17] = [
    "mqtt/codec",
    "mqtt/filters.rs",
    "mqtt/incoming",
    "mqtt/outbox",
    "mqtt/pace",
    "mqtt/protocol",
    "mqtt/publish",
    "mqtt/reader",
    "mqtt/subscriptions",
    "mqtt/websocket.rs",
    "mqtt/words",
    "queue/board",
    "queue/change",
    "queue/claim.rs",
    "queue/entry",
    "sinks/app/enabled/policy",
    "sinks/app/enabled/verdict",
];

/// What gives doing away. Addresses are words, so `std::net` is not among them as a whole.
const DOING: [&str; 12] = [
    "std::fs",
    "std::env",
    "std::io",
    "std::process",
    "std::thread",
    "std::net::Tcp",
    "std::net::Udp",
    "ToSocketAddrs",
    "::now()",
    "mio::",
    "rusqlite::",
    "crossbeam_channel::",
];

#[test]
fn imports_point_one_way() {
    each_line(|module, place, code| {
        let below = &LEVELS[level(module) + 1..];
        // `main` is a crate of its own and calls ours by its name.
        let root = if module == "main" { "ilagent::" } else { "crate::" };
        for named in names_after(root, code) {
            let allowed = named == module
                || named.starts_with(char::is_uppercase)
                || below.iter().any(|level| level.contains(&named.as_str()));
            assert!(allowed, "{place}: `{module}` may not name `{named}`");
        }
    });
}

#[test]
fn imports_inside_a_module_point_one_way() {
    for (module, levels) in INSIDE {
        let root = format!("crate::{}::", module.replace('/', "::"));
        let level = |file: &str| levels.iter().position(|level| level.contains(&file));
        each_line(|_, place, code| {
            let Some(rest) = place.strip_prefix(&format!("src/{module}/")) else { return };
            let file = rest.split(['/', '.']).next().unwrap();
            if file == "mod" {
                return;
            }
            let own = level(file).unwrap_or_else(|| panic!("{place}: `{file}` is on no level"));
            for named in names_after(&root, code) {
                // What `queue` itself has would lead back up to all of its files.
                let is_below = level(&named).map_or(module != "queue", |level| level > own);
                assert!(named == file || is_below, "{place}: `{file}` may not name `{named}`");
            }
        });
    }
}

#[test]
fn pure_modules_do_nothing() {
    each_line(|module, place, code| {
        let doing = DOING.into_iter().find(|doing| code.contains(doing));
        let file = place.trim_start_matches("src/");
        let is_pure =
            PURE.contains(&module) || PURE_INSIDE.iter().any(|pure| file.starts_with(pure));
        let is_pure = is_pure && !file.contains("/tests");
        if let (true, Some(doing)) = (is_pure, doing) {
            panic!("{place}: it is pure and may not use `{doing}`");
        }
    });
}

#[test]
fn modules_are_named_from_the_root() {
    each_line(|_, place, code| {
        let climbs = code.contains("super::super");
        assert!(!climbs, "{place}: write `crate::…`, so that the map can be checked");
    });
}

#[test]
fn only_main_prints_and_exits() {
    each_line(|module, place, code| {
        for doing in ["println!", "eprintln!", "print!(", "process::exit"] {
            let allowed = module == "main" || !code.contains(doing);
            assert!(allowed, "{place}: only main may use `{doing}`");
        }
    });
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(project.join("SECURITY.md")).unwrap();
    let named: Vec<(&str, &str)> =
        page.split('`').filter_map(|word| word.split_once(".rs::")).collect();
    assert!(named.len() > 30, "the names are found");
    for (file, name) in named {
        let text = fs::read_to_string(project.join(format!("{file}.rs"))).unwrap_or_default();
        let head = format!("fn {name}(");
        let is_test = text.lines().any(|line| line.trim_start().starts_with(&head));
        assert!(is_test, "SECURITY.md: there is no test {file}.rs::{name}");
    }
}

/// The modules named after `root`: one, or several in braces.
fn names_after(root: &str, code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let parts = code.split(root).skip(1);
    parts
        .flat_map(|after| match after.strip_prefix('{') {
            Some(list) => outermost(list).iter().map(|part| word(part)).collect(),
            None => vec![word(after)],
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// The parts of a list in braces, without what stands in braces of their own.
fn outermost(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in list.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => parts.push(String::new()),
            _ if depth == 0 => parts.last_mut().expect("there is a first").push(letter),
            _ => (),
        }
    }
    parts
}

fn level(module: &str) -> usize {
    LEVELS
        .iter()
        .position(|level| level.contains(&module))
        .unwrap_or_else(|| panic!("`{module}` is on no level"))
}

/// Calls `look` with module, place and code of every statement, without comments and tests.
fn each_line(mut look: impl FnMut(&str, &str, &str)) {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    assert!(files.len() > 20, "the files are found");
    for file in files {
        let short = file.strip_prefix(&src).unwrap();
        let first = short.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.strip_suffix(".rs").unwrap_or(first);
        let text = fs::read_to_string(&file).unwrap();
        // Imports in braces may span lines; they are looked at as one.
        let mut open: Option<(usize, String)> = None;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("#[cfg(test)]") {
                break;
            }
            let code = line.split("//").next().unwrap_or_default();
            let (start, statement) = match open.take() {
                Some((start, before)) => (start, format!("{before} {}", code.trim())),
                None => (index, code.to_owned()),
            };
            let import = statement.trim_start();
            let import = import.starts_with("use ") || import.starts_with("pub use ");
            if import && !statement.contains(';') {
                open = Some((start, statement));
                continue;
            }
            look(module, &format!("src/{}:{}", short.display(), start + 1), &statement);
        }
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
