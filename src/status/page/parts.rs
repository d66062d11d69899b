//! The live parts of the page.

use super::Key;
use super::html::Html;
use crate::config::values::{age_words, size_words};
use crate::status::Letters;
use crate::status::report::seconds_since;
use crate::system::health::{Queue, Session, Sink, Snapshot, Table, Trouble};
use crate::system::log;
use crate::system::traffic::MINUTES;
use serde_json::Value;
use std::fmt::{Display, Write};
use std::time::Instant;

/// The height of the chart, in units of its own; a minute is one of them wide.
const CHART_HEIGHT: u32 = 100;

/// Most rows of a table of another part.
const ROWS_MAX: usize = 100;

/// What there is to see.
pub(super) struct Seen<'a> {
    pub(super) version: &'static str,
    pub(super) up: u64,
    pub(super) trouble: Option<Trouble>,
    pub(super) minutes: [u32; MINUTES],
    pub(super) tables: Vec<Table>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) letters: &'a Letters,
    pub(super) key: Key,
    pub(super) now: Instant,
}

/// How good something is, as a class of the style.
const GOOD: &str = "good";
const MIDDLING: &str = "middling";
const BAD: &str = "bad";

type Mood = &'static str;

/// All of it, up to the end of the document.
pub(super) fn main(html: &mut Html, seen: &Seen<'_>) {
    let (mood, state) = state(seen);
    html.raw("<main data-title=\"").text(title(mood)).raw("\" data-key=\"");
    html.raw(match seen.key {
        Key::None => "none",
        Key::Wanted => "wanted",
        Key::Wrong => "wrong",
        Key::Shown => "shown",
        Key::Elsewhere => "elsewhere",
    });
    html.raw("\"><h1>ilagent</h1><p role=\"status\" class=\"state ").raw(mood).raw("\">");
    html.text(state).raw("</p><p class=\"dim\">Version ").text(seen.version).raw(", up for ");
    html.text(age_words(seen.up)).raw("</p>");
    path(html, seen);
    chart(html, &seen.minutes);
    sources(html, seen);
    sinks(html, seen);
    seen.tables.iter().for_each(|one| other(html, one));
    if matches!(seen.key, Key::None | Key::Shown) {
        waiting(html, seen);
        dead(html, seen);
        words(html, seen.now);
    }
    key(html, seen.key);
    html.raw("</main></body></html>\n");
}

fn title(mood: Mood) -> &'static str {
    if mood == GOOD { "ilagent" } else { "(!) ilagent" }
}

/// What somebody in front of the box wants to know first: do alarms get out?
fn state(seen: &Seen<'_>) -> (Mood, String) {
    let is_shut = |sink: &Sink| sink.held_back.is_some() || sink.failing_since.is_some();
    let mut shut = seen.snapshot.sinks.iter().filter(|(_, sink)| is_shut(sink));
    match (&seen.trouble, shut.next()) {
        (None, None) => (GOOD, "Ready: what comes gets out".to_owned()),
        (None, Some((name, sink))) => {
            let others = match shut.count() {
                0 => String::new(),
                1 => ", nor does another sink".to_owned(),
                others => format!(", nor do {others} other sinks"),
            };
            let waiting = sink.waiting;
            (MIDDLING, format!("Ready, but {name} takes nothing now ({waiting} waiting){others}"))
        }
        (Some(Trouble::Stopping), _) => (MIDDLING, "Stopping".to_owned()),
        (Some(trouble), _) => (BAD, format!("Not ready: {trouble}")),
    }
}

/// The picture: sources, queue, sinks, from the left to the right.
fn path(html: &mut Html, seen: &Seen<'_>) {
    let Snapshot { sources, sessions, queue, sinks, .. } = seen.snapshot;
    html.raw("<section aria-labelledby=\"path\"><h2 id=\"path\">The path of a message</h2>");
    html.raw("<div class=\"path\"><div><h3>Sources</h3><ul>");
    for (name, session) in sessions {
        let name = format!("{} {name}", session.component.as_str());
        let (mood, words) = session_state(session);
        card(html, &name, mood, words, &messages(seen, &name));
    }
    let has_session = |name: &str| {
        sessions.iter().any(|(known, it)| name == format!("{} {known}", it.component.as_str()))
    };
    let others = sources.iter().filter(|(name, _)| !has_session(name));
    for (name, _) in others {
        card(html, name, GOOD, "open", &messages(seen, name));
    }
    html.raw("</ul></div><div><h3>Queue</h3><ul>");
    let (mood, words) = queue_state(queue);
    card(html, "queue", mood, &words, &amount(queue, seen.now));
    html.raw("</ul></div><div><h3>Sinks</h3><ul>");
    for (name, sink) in sinks.iter().filter(|(_, sink)| !sink.is_journal) {
        let (mood, words) = gate(sink);
        card(
            html,
            name,
            mood,
            &words,
            &format!("{} waiting, {} delivered", sink.waiting, sink.delivered),
        );
    }
    html.raw("</ul></div></div></section>");
}

fn card(html: &mut Html, name: &str, mood: Mood, state: &str, count: &str) {
    html.raw("<li><b>").text(name).raw("</b><span class=\"").raw(mood).raw("\">").text(state);
    html.raw("</span><span>").text(count).raw("</span></li>");
}

fn messages(seen: &Seen<'_>, name: &str) -> String {
    let known = seen.snapshot.sources.iter().find(|(known, _)| known == name);
    match known.map_or(0, |(_, count)| *count) {
        1 => "1 message".to_owned(),
        count => format!("{count} messages"),
    }
}

fn session_state(session: &Session) -> (Mood, &'static str) {
    match (session.connected, session.subscriptions_ready) {
        (true, true) => (GOOD, "connected"),
        (true, false) => (MIDDLING, "connected, not subscribed yet"),
        (false, _) => (BAD, "not connected"),
    }
}

fn queue_state(queue: &Queue) -> (Mood, String) {
    match queue {
        Queue { error, .. } if !error.is_empty() => (BAD, error.clone()),
        Queue { full: true, .. } => (BAD, "full: sources have to wait".to_owned()),
        Queue { dead_letters: 0, .. } => (GOOD, "open".to_owned()),
        Queue { .. } => (MIDDLING, "open, but something was given up".to_owned()),
    }
}

fn amount(queue: &Queue, now: Instant) -> String {
    let mut said = match queue.oldest_since.filter(|_| queue.waiting > 0) {
        None => "nothing waits".to_owned(),
        Some(since) => {
            let size = size_words(rounded(queue.bytes));
            let age = age_words(seconds_since(since, now));
            format!("{} waiting, {size}, the oldest for {age}", queue.waiting)
        }
    };
    for (count, one, many) in [
        (queue.dead_letters, "dead letter", "dead letters"),
        (queue.dead_letters_lost, "dead letter lost", "dead letters lost"),
        (queue.messages_unkept, "message no rule could use", "messages no rule could use"),
        (queue.put_aside.len() as u64, "file put aside", "files put aside"),
    ] {
        if count > 0 {
            let words = if count == 1 { one } else { many };
            let _ = write!(said, ", {count} {words}");
        }
    }
    said
}

/// So that a size is a few digits and a unit.
fn rounded(bytes: u64) -> u64 {
    let unit = [30, 20, 10].into_iter().find(|unit| bytes >> unit > 0).unwrap_or(0);
    bytes >> unit << unit
}

/// Whether a sink takes anything, in words.
fn gate(sink: &Sink) -> (Mood, String) {
    match sink.held_back {
        Some((since, next)) => {
            let (since, next) = (age_words(since.as_secs()), next.as_secs());
            (BAD, format!("held back for {since}, next attempt in {next} s"))
        }
        None if sink.failing_since.is_some() => (BAD, "failing".to_owned()),
        None if sink.lanes_held_back > 0 => {
            (MIDDLING, format!("open; {} of its keys held back", sink.lanes_held_back))
        }
        None => (GOOD, "open".to_owned()),
    }
}

/// A bar for each minute, as one path.
fn chart(html: &mut Html, minutes: &[u32; MINUTES]) {
    let most = minutes.iter().copied().max().unwrap_or(0);
    let all: u64 = minutes.iter().map(|count| u64::from(*count)).sum();
    let last = minutes[MINUTES - 2];
    html.raw("<section aria-labelledby=\"rate\"><h2 id=\"rate\">Messages a minute, last hour</h2>");
    html.raw("<p>")
        .text(format_args!("{all} in this hour, {last} in the last minute, {most} at most"));
    html.raw("</p><svg class=\"chart\" viewBox=\"0 0 60 100\" preserveAspectRatio=\"none\" ");
    html.raw("aria-hidden=\"true\"><path d=\"");
    for (at, count) in (0..).zip(minutes) {
        if *count > 0 {
            let height = u64::from(CHART_HEIGHT) * u64::from(*count) / u64::from(most);
            let height = u32::try_from(height).unwrap_or(CHART_HEIGHT).max(1);
            html.step('M', (at, CHART_HEIGHT)).step('L', (at, CHART_HEIGHT - height));
            html.step('L', (at + 1, CHART_HEIGHT - height)).step('L', (at + 1, CHART_HEIGHT));
            html.raw("z");
        }
    }
    html.raw("\"/></svg></section>");
}

/// The head of a table; the columns in `numbers` are aligned to the right.
fn table(html: &mut Html, id: &'static str, title: &'static str, columns: &[&'static str]) {
    html.raw("<section aria-labelledby=\"").raw(id).raw("\"><h2 id=\"").raw(id).raw("\">");
    html.raw(title).raw("</h2>");
    open(html, title, columns);
}

fn open(html: &mut Html, title: &'static str, columns: &[&'static str]) {
    // It may be scrolled by itself, and by keyboard.
    html.raw("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"").raw(title);
    html.raw("\"><table><thead><tr>");
    for &column in columns {
        html.raw("<th scope=\"col\">").raw(column).raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
}

fn close(html: &mut Html) {
    html.raw("</tbody></table></div></section>");
}

/// Begins a row.
fn head(html: &mut Html, name: impl Display) {
    html.raw("<tr><th scope=\"row\">").text(name).raw("</th>");
}

fn cell(html: &mut Html, text: impl Display) {
    html.raw("<td>").text(text).raw("</td>");
}

fn number(html: &mut Html, count: impl Display) {
    html.raw("<td class=\"number\">").text(count).raw("</td>");
}

fn long(html: &mut Html, text: impl Display) {
    html.raw("<td class=\"words\">").text(text).raw("</td>");
}

fn mood(html: &mut Html, mood: Mood, text: impl Display) {
    html.raw("<td><span class=\"").raw(mood).raw("\">").text(text).raw("</span></td>");
}

fn sources(html: &mut Html, seen: &Seen<'_>) {
    let sessions = &seen.snapshot.sessions;
    if sessions.is_empty() {
        return;
    }
    table(html, "sessions", "Connections to sources", &["Source", "State", "Last error"]);
    for (name, session) in sessions {
        head(html, format_args!("{} {name}", session.component.as_str()));
        let (how, words) = session_state(session);
        mood(html, how, words);
        long(html, &session.error);
        html.raw("</tr>");
    }
    close(html);
}

fn sinks(html: &mut Html, seen: &Seen<'_>) {
    const COLUMNS: [&str; 9] = [
        "Sink",
        "Gate",
        "Waiting",
        "Delivered",
        "Last one",
        "Failed attempts",
        "Given up",
        "Dead letters",
        "Last error",
    ];
    table(html, "sinks", "Sinks", &COLUMNS);
    let age = |since: Option<Instant>| since.map(|since| age_words(seconds_since(since, seen.now)));
    for (name, sink) in &seen.snapshot.sinks {
        head(html, name);
        let (how, words) = gate(sink);
        mood(html, how, words);
        number(html, sink.waiting);
        number(html, sink.delivered);
        cell(
            html,
            age(sink.last_delivered).map_or_else(|| "–".to_owned(), |age| format!("{age} ago")),
        );
        number(html, sink.failed_attempts);
        number(html, sink.given_up);
        number(html, sink.dead_letters);
        let failing = age(sink.failing_since).map(|age| format!("failing for {age}: "));
        long(html, format_args!("{}{}", failing.unwrap_or_default(), sink.error));
        html.raw("</tr>");
    }
    close(html);
}

/// What another part has to show.
fn other(html: &mut Html, one: &Table) {
    html.raw("<section><h2>").raw(one.title).raw("</h2>");
    open(html, one.title, one.columns);
    for row in one.rows.iter().take(ROWS_MAX) {
        let mut cells = row.iter();
        head(html, cells.next().map_or("", String::as_str));
        cells.for_each(|text| cell(html, text));
        html.raw("</tr>");
    }
    html.raw("</tbody></table></div>");
    if let Some(more) = one.rows.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
        html.raw("<p class=\"dim\">").text(more).raw(" more</p>");
    }
    html.raw("</section>");
}

/// A text of a line of `queue list`.
fn of<'v>(line: &'v Value, name: &str) -> &'v str {
    line[name].as_str().unwrap_or("–")
}

fn age_of(line: &Value, letters: &Letters) -> String {
    let age = line["time"].as_i64().map(|at| letters.wall_clock - at);
    let age = age.and_then(|age| u64::try_from(age).ok()).filter(|age| *age <= Letters::AGE_MAX);
    age.map_or_else(|| "?".to_owned(), age_words)
}

fn waiting(html: &mut Html, seen: &Seen<'_>) {
    let letters = seen.letters;
    if letters.waiting.is_empty() {
        return;
    }
    const COLUMNS: [&str; 6] = ["Number", "Sink", "Kind", "From", "Attempts", "Age"];
    table(html, "waiting", "Waiting longest", &COLUMNS);
    for line in &letters.waiting {
        head(html, of(line, "id"));
        for name in ["sink", "kind", "origin"] {
            cell(html, of(line, name));
        }
        number(html, line["attempts"].as_u64().unwrap_or(0));
        number(html, age_of(line, letters));
        html.raw("</tr>");
    }
    close(html);
}

fn dead(html: &mut Html, seen: &Seen<'_>) {
    let (letters, queue) = (seen.letters, &seen.snapshot.queue);
    html.raw("<section aria-labelledby=\"dead\"><h2 id=\"dead\">Dead letters</h2>");
    if queue.dead_letters == 0 {
        html.raw("<p>None: nothing was given up.</p></section>");
        return;
    }
    if let Some(why) = &letters.missing {
        html.raw("<p>They cannot be shown now: ").text(why).raw("</p></section>");
        return;
    }
    open(html, "Dead letters", &["Number", "Sink", "From", "Reason", "Age", "What to do"]);
    for line in &letters.dead {
        let id = of(line, "id");
        html.raw("<tr id=\"").text(id).raw("\"><th scope=\"row\">").text(id).raw("</th>");
        cell(html, of(line, "sink"));
        cell(html, of(line, "origin"));
        long(html, of(line, "reason"));
        number(html, age_of(line, letters));
        html.raw("<td>");
        if seen.key == Key::Shown {
            // What never became a delivery can only be dropped.
            if !line["kind"].is_null() {
                button(html, "retry", "Retry", "Back into the queue with", line);
            }
            button(html, "drop", "Drop", "Delete for good:", line);
        } else {
            html.raw("<code>ilagent queue show ").text(id).raw("</code>");
        }
        html.raw("</td></tr>");
    }
    html.raw("</tbody></table></div>");
    if let Some(more) =
        queue.dead_letters.checked_sub(letters.dead.len() as u64).filter(|it| *it > 0)
    {
        html.raw("<p class=\"dim\">").text(more);
        html.raw(" more: <code>ilagent queue list</code> shows them.</p>");
    }
    html.raw("</section>");
}

fn button(
    html: &mut Html,
    verb: &'static str,
    name: &'static str,
    question: &'static str,
    line: &Value,
) {
    let id = of(line, "id");
    html.raw("<button type=\"button\" class=\"act\" data-verb=\"").raw(verb).raw("\" data-id=\"");
    html.text(id).raw("\" data-question=\"").raw(question).raw(" ").text(id).raw(" for ");
    html.text(of(line, "sink"))
        .raw(", from ")
        .text(of(line, "origin"))
        .raw("? It was kept because: ");
    html.text(of(line, "reason")).raw("\" aria-label=\"").raw(name).raw(" ").text(id).raw("\">");
    html.raw(name).raw("</button> ");
}

/// The last warnings and errors of the log.
fn words(html: &mut Html, now: Instant) {
    let lines = log::recent();
    html.raw("<section aria-labelledby=\"errors\"><h2 id=\"errors\">Last warnings and errors</h2>");
    if lines.is_empty() {
        html.raw("<p>None since the start.</p></section>");
        return;
    }
    open(html, "Last warnings and errors", &["Age", "Kind", "What happened"]);
    for line in lines.iter().rev() {
        head(html, age_words(seconds_since(line.at, now)));
        mood(
            html,
            if line.is_error { BAD } else { MIDDLING },
            if line.is_error { "error" } else { "warning" },
        );
        long(html, &line.words);
        html.raw("</tr>");
    }
    close(html);
}

/// Where the token is shown, or why there is nothing to show it for.
fn key(html: &mut Html, key: Key) {
    html.raw("<section aria-labelledby=\"key\"><h2 id=\"key\">To do something</h2>");
    match key {
        Key::None => html.raw(
            "<p>This listener has no token, so the page only shows. With one it can put dead \
             letters back into the queue or drop them; <code>ilagent queue</code> always can.</p>",
        ),
        Key::Shown => html.raw(
            "<p>You have shown the token.</p>\
             <button type=\"button\" class=\"act\" data-verb=\"forget\">Forget it</button>",
        ),
        Key::Elsewhere => html.raw(
            "<p>Dead letters and what waits are shown by the page of the agent's own listener, and \
             by <code>ilagent queue list</code>.</p>",
        ),
        Key::Wanted | Key::Wrong => {
            if key == Key::Wrong {
                html.raw("<p role=\"alert\" class=\"bad\">That is not the token.</p>");
            }
            html.raw(
                "<p>With the token of this listener you see dead letters and the last warnings, \
                 and can put dead letters back into the queue or drop them.</p>\
                 <form class=\"act\"><label for=\"token\">Token</label>\
                 <input id=\"token\" type=\"password\" autocomplete=\"off\" required>\
                 <button>Show</button></form>",
            )
        }
    };
    html.raw("</section>");
}
