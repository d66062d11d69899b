use super::*;
use crate::config::Secret;
use crate::status::Access;
use crate::system::health::{self, Health, Limits, Table};
use crate::system::http::{Header, Routes};
use std::time::Duration;

const LIMITS: Limits = Limits { age_max: Duration::from_secs(600) };

/// What strangers may send, in the place of names, topics, reasons and errors.
const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onclick='alert(1)",
    "</main></body></html><!--",
    "&lt;b&gt; &#60;script&#62;",
    "javascript:alert(1)",
    "\u{202e}\u{1b}]0;x\u{7}\n{{7*7}}${7*7}",
];

/// An agent in whose every text stands `text`.
fn status(text: &str, token: Option<&str>) -> Status {
    let health = Health::default();
    health.came(text, 3);
    health.session(text, |session| text.clone_into(&mut session.error));
    health.queue(|queue| {
        (queue.waiting, queue.bytes, queue.dead_letters) = (5, 700_000, 9);
        queue.oldest_since = Instant::now().checked_sub(Duration::from_secs(5));
        text.clone_into(&mut queue.error);
    });
    health.sink(text, |sink| {
        sink.failing_since = Instant::now().checked_sub(Duration::from_secs(70));
        text.clone_into(&mut sink.error);
    });
    health.sinks_are_seen_by({
        let name = text.to_owned();
        move |sinks| {
            let sink = health::of(sinks, &name);
            sink.held_back = Some((Duration::from_secs(60), Duration::from_secs(6)));
        }
    });
    let cell = text.to_owned();
    health.shows(move || {
        let rows = vec![vec![cell.clone(), cell.clone()]];
        Table { title: "Tasks", columns: &["Task", "State"], rows }
    });
    let line = |id: &str, state: &str, kind: Option<&str>| {
        let time = 1_000_000_000;
        let line = serde_json::json!({
            "id": id, "state": state, "sink": text, "kind": kind, "key": text, "origin": text,
            "reason": text, "time": time, "attempts": 3,
        });
        format!("{line}\n")
    };
    let lines = line("12", "waiting", Some("event"))
        + &line("d7", "dead", Some(text))
        + &line("d8", "dead", None);
    let access = token.map_or(Access::Open, |token| Access::Token(Secret::new(token)));
    Status::new(health, LIMITS).on(access, Box::new(move || Ok(lines.clone())))
}

fn get(status: &Status, headers: &[(&str, &str)]) -> Response {
    let accept = [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let headers = accept.iter().chain(headers);
    let headers: Vec<_> =
        headers.map(|(name, value)| Header { name, value: value.as_bytes() }).collect();
    let request = Request { method: "GET", path: "/", query: "", headers: &headers, body: &[] };
    assert!(!status.is_probe(&request), "it may wait for the queue");
    status.answer(&request).unwrap()
}

fn page(status: &Status, headers: &[(&str, &str)]) -> String {
    let response = get(status, headers);
    assert_eq!((response.status, response.content_type), (200, "text/html; charset=utf-8"));
    String::from_utf8(response.body).unwrap()
}

/// What is live.
fn live(page: &str) -> &str {
    &page[page.find("<main").unwrap()..]
}

/// The tags of a page, and the names of their attributes.
fn skeleton(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let (mut tag, mut is_value) = (String::new(), false);
        let mut end = 0;
        for (at, character) in rest.char_indices() {
            end = at;
            match character {
                '"' => is_value = !is_value,
                '>' if !is_value => break,
                other if !is_value => tag.push(other),
                _ => (),
            }
        }
        rest = &rest[end..];
        tags.push(tag);
    }
    tags
}

#[test]
fn nothing_from_outside_is_ever_markup() {
    for token in [None, Some("open sesame")] {
        let shown = [("Authorization", "Bearer open sesame")];
        let wanted = skeleton(live(&page(&status("plain", token), &shown)));
        assert!(wanted.len() > 100 && wanted.contains(&"main data-title= data-key=".to_owned()));
        for text in HOSTILE {
            let page = page(&status(text, token), &shown);
            assert_eq!(skeleton(live(&page)), wanted, "{text}");
            assert!(!live(&page).contains(['\u{202e}', '\u{1b}', '\u{7}']), "{text}");
        }
    }
}

#[test]
fn what_acts_needs_the_token_and_so_do_words_of_others() {
    let with = status("plain", Some("open sesame"));
    let right = [("Authorization", "Bearer open sesame")];
    let wrong = [("Authorization", "Bearer open")];
    let actions = ["data-verb=\"retry\" data-id=\"d7\"", "data-verb=\"drop\" data-id=\"d8\""];
    for (headers, key, is_in) in
        [(&right[..], "shown", true), (&wrong, "wrong", false), (&[], "wanted", false)]
    {
        let page = page(&with, headers);
        assert!(page.contains(&format!("data-key=\"{key}\"")), "{key}");
        assert!(actions.iter().all(|action| page.contains(action) == is_in), "{key}");
        assert_eq!(live(&page).contains("id=\"d7\""), is_in, "{key}");
        assert_eq!(live(&page).contains("<form"), !is_in, "{key}");
        assert_eq!(page.contains("That is not the token"), key == "wrong");
        assert!(page.contains("9 dead letters"), "how many there are is no secret");
    }
    let hopeless = "data-verb=\"retry\" data-id=\"d8\"";
    assert!(!page(&with, &right).contains(hopeless), "it never became a delivery");

    let elsewhere = with.on(Access::Closed, Box::new(|| unreachable!()));
    let elsewhere = page(&elsewhere, &right);
    assert!(!live(&elsewhere).contains("id=\"d7\"") && !live(&elsewhere).contains("<form"));

    let without = page(&status("plain", None), &right);
    assert!(live(&without).contains("id=\"d7\"") && without.contains("data-key=\"none\""));
    assert!(!live(&without).contains("<button") && !live(&without).contains("<form"));
}

#[test]
fn its_headers_let_run_what_is_its_own_and_nothing_else() {
    let response = get(&status("plain", None), &[]);
    let header = |name: &str| {
        let found = response.headers.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let policy = header("Content-Security-Policy");
    for part in
        ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "connect-src 'self'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    let text = String::from_utf8(response.body.clone()).unwrap();
    for (kind, from, to) in
        [("style", "<style>", "</style>"), ("script", "<script type=\"module\">", "</script>")]
    {
        let own = hash(between(&text, from, to));
        assert!(policy.contains(&format!("{kind}-src {own};")), "{policy}");
        assert_eq!(text.matches(&format!("<{kind}")).count(), 1, "there is one");
    }
    assert!(!text.contains(" style=") && !text.contains(" onclick="), "{text}");
    assert_eq!(header("X-Content-Type-Options"), "nosniff");
    assert_eq!(header("Cache-Control"), "no-store");
    assert_eq!(header("Referrer-Policy"), "no-referrer");
    // Nothing is asked for elsewhere.
    assert!(!text.contains("//www") && !text.contains("http:") && !text.contains("https:"));
    assert!(!text.contains("src=") && !text.contains("@import") && !text.contains("url("));
}

#[test]
fn it_is_small_and_packed_for_those_who_unpack() {
    let status = status("plain", None);
    let plain = get(&status, &[]);
    let packed = get(&status, &[("Accept-Encoding", "gzip, deflate")]);
    assert!(packed.headers.contains(&("Content-Encoding", "gzip".to_owned())));
    assert!(!plain.headers.iter().any(|(name, _)| *name == "Content-Encoding"));
    let unpacked = encoding::unpacked(Some("gzip"), &packed.body, 1 << 20).unwrap();
    assert_eq!(skeleton(std::str::from_utf8(&unpacked).unwrap()).len(), {
        skeleton(std::str::from_utf8(&plain.body).unwrap()).len()
    });
    let opening = OPENING.gzip(&[]).len();
    assert!(opening < 5 * 1024, "{opening} bytes in the binary");
    assert!(packed.body.len() < 16 * 1024, "{}", packed.body.len());
}

#[test]
fn without_a_script_it_is_tables_that_can_be_read() {
    let page = page(&status("plain", None), &[]);
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    assert!(page.ends_with("</main></body></html>\n"));
    for text in [
        "<th scope=\"col\">Sink</th>",
        "<th scope=\"row\">plain</th>",
        "held back for 60 s, next attempt in 6 s",
        "5 waiting, 683 KB, the oldest for 5 s",
        "3 in this hour",
        "<noscript>",
        "Not ready: mqtt plain: not connected, plain",
    ] {
        assert!(page.contains(text), "{text}\n{}", live(&page));
    }
    let heads = page.matches("<table>").count();
    assert!(heads >= 5 && page.matches("<thead>").count() == heads);
}

#[test]
fn upstreams_word_is_still_there_for_those_who_want_no_page() {
    let status = status("plain", None);
    for accept in ["*/*", "text/plain", ""] {
        let headers = [Header { name: "Accept", value: accept.as_bytes() }];
        let request = Request { method: "GET", path: "/", query: "", headers: &headers, body: &[] };
        assert!(status.is_probe(&request));
        assert_eq!(
            status.answer(&request),
            Some(Response::text(200, format!("ilagent/{VERSION}")))
        );
    }
}
