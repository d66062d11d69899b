//! What the client prints: the columns of the real one.

use super::Failure;
use super::client::{Api, escaped, handlers_of, list as items, path_of_topic, text};
use crate::system::plain;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

const BASE: &str = "/kapacitor/v1";

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `list KIND PATTERN…`.
pub(super) fn list(api: &Api, kind: &str, patterns: &[&str]) -> Result<String, Failure> {
    let all = if patterns.is_empty() { &[""] } else { patterns };
    match kind {
        "tasks" => tasks(api, all),
        "templates" => templates(api, all),
        "topics" => topics(api, all),
        "topic-handlers" => topic_handlers(api, all),
        "service-tests" => {
            let mut out = "Service Name\n".to_owned();
            for pattern in all {
                for service in services(api, pattern)? {
                    let _ = writeln!(out, "{}", plain(text(&service, "name")));
                }
            }
            Ok(out)
        }
        _ => Err(Failure::command(format_args!(
            "cannot list '{kind}' did you mean 'tasks', 'templates', 'topics', 'topic-handlers' \
             or 'service-tests'?"
        ))),
    }
}

fn tasks(api: &Api, patterns: &[&str]) -> Result<String, Failure> {
    let mut found = Vec::new();
    for pattern in patterns {
        found.extend(api.tasks("tasks", pattern, &["type", "status", "executing", "dbrps"])?);
    }
    found.sort_by(|one, other| text(one, "id").cmp(text(other, "id")));
    let width = widest(&found, "id", 2) + 1;
    let mut out = String::new();
    let mut row = |cells: [&str; 5]| {
        let [id, kind, status, executing, dbrps] = cells.map(plain);
        let _ = writeln!(out, "{id:width$}{kind:10}{status:10}{executing:10}{dbrps}");
    };
    row(["ID", "Type", "Status", "Executing", "Databases and Retention Policies"]);
    for task in &found {
        let executing = word(task.get("executing"));
        let dbrps = dbrps(task);
        row([text(task, "id"), text(task, "type"), text(task, "status"), &executing, &dbrps]);
    }
    Ok(out)
}

fn templates(api: &Api, patterns: &[&str]) -> Result<String, Failure> {
    let mut found = Vec::new();
    for pattern in patterns {
        found.extend(api.tasks("templates", pattern, &["type", "vars"])?);
    }
    let width = widest(&found, "id", 2) + 1;
    let mut out = format!("{:width$}{:10}{}\n", "ID", "Type", "Vars");
    for template in &found {
        let [id, kind] = ["id", "type"].map(|key| plain(text(template, key)));
        let vars = template.get("vars").and_then(Value::as_object);
        let vars: Vec<_> = vars.into_iter().flatten().map(|(name, _)| plain(name)).collect();
        let _ = writeln!(out, "{id:width$}{kind:10}{}", vars.join(","));
    }
    Ok(out)
}

fn topics(api: &Api, patterns: &[&str]) -> Result<String, Failure> {
    let mut found = Vec::new();
    for pattern in patterns {
        found.extend(api.topics(pattern)?);
    }
    let (id, level) = (widest(&found, "id", 2) + 1, widest(&found, "level", 8) + 1);
    let mut out = format!("{:id$}{:level$}{:>10}\n", "ID", "Level", "Collected");
    for topic in &found {
        let collected = word(topic.get("collected"));
        let (name, state) = (plain(text(topic, "id")), plain(text(topic, "level")));
        let _ = writeln!(out, "{name:id$}{state:level$}{collected:>10}");
    }
    Ok(out)
}

fn topic_handlers(api: &Api, patterns: &[&str]) -> Result<String, Failure> {
    let mut rows = vec![["Topic".to_owned(), "ID".to_owned(), "Kind".to_owned()]];
    let of_handlers = if patterns.len() > 1 { &patterns[1..] } else { &[""] };
    for topic in api.topics(patterns[0])? {
        let link = topic.pointer("/handlers-link/href").and_then(Value::as_str);
        for pattern in of_handlers {
            for handler in api.handlers(link.unwrap_or_default(), pattern)? {
                let cells = [text(&topic, "id"), text(&handler, "id"), text(&handler, "kind")];
                rows.push(cells.map(plain));
            }
        }
    }
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(10) + 1
    };
    let (first, second, third) = (width(0), width(1), width(2));
    let line =
        |[topic, id, kind]: &[String; 3]| format!("{topic:first$}{id:second$}{kind:third$}\n");
    Ok(rows.iter().map(line).collect())
}

/// What is shown of a task and, unless it is among the last, of a template.
const LABELS: [(&str, &str); 6] = [
    ("ID", "id"),
    ("Error", "error"),
    ("Template", "template-id"),
    ("Type", "type"),
    ("Status", "status"),
    ("Executing", "executing"),
];
const DATES: [(&str, &str); 3] =
    [("Created", "created"), ("Modified", "modified"), ("LastEnabled", "last-enabled")];
const OF_TASKS_ALONE: [&str; 4] = ["template-id", "status", "executing", "last-enabled"];

/// `show ID`, `show-template ID`.
pub(super) fn task(api: &Api, which: &str, id: &str) -> Result<String, Failure> {
    let task = api.task(which, id)?;
    let mut out = String::new();
    let is_task = which == "tasks";
    let is_shown = |key| is_task || !OF_TASKS_ALONE.contains(key);
    for (label, key) in LABELS.iter().filter(|(_, key)| is_shown(key)) {
        let _ = writeln!(out, "{label}: {}", plain(&word(task.get(key))));
    }
    for (label, key) in DATES.iter().filter(|(_, key)| is_shown(key)) {
        let _ = writeln!(out, "{label}: {}", date(text(&task, key)));
    }
    if is_task {
        let _ = writeln!(out, "Databases Retention Policies: {}", plain(&dbrps(&task)));
    }
    let _ = writeln!(out, "TICKscript:\n{}", lines(text(&task, "script")));
    let vars = task.get("vars").and_then(Value::as_object).filter(|vars| !vars.is_empty());
    if let Some(vars) = vars {
        let _ = writeln!(out, "Vars:\n{:30}{:10}{:40}", "Name", "Type", "Value");
        for (name, var) in vars {
            let (kind, value) = (text(var, "type"), word(var.get("value")));
            let _ = writeln!(out, "{:30}{:10}{:40}", plain(name), plain(kind), plain(&value));
        }
    }
    let _ = writeln!(out, "DOT:\n{}", lines(text(&task, "dot")).trim_end());
    Ok(out)
}

/// `show-topic TOPIC`.
pub(super) fn topic(api: &Api, id: &str) -> Result<String, Failure> {
    let path = path_of_topic(id);
    let topic = api.get(&path)?;
    let events = items(&api.get(&format!("{path}/events?min-level=OK"))?, "events");
    let handlers = api.handlers(&handlers_of(id), "")?;
    let names: Vec<_> = handlers.iter().map(|handler| plain(text(handler, "id"))).collect();
    let mut out = format!(
        "ID: {}\nLevel: {}\nCollected: {}\nHandlers: [{}]\nEvents:\n",
        plain(text(&topic, "id")),
        plain(text(&topic, "level")),
        word(topic.get("collected")),
        names.join(" ")
    );
    let mut rows: Vec<[String; 4]> = events
        .iter()
        .map(|event| {
            let state = event.get("state").unwrap_or(&Value::Null);
            let cells = [text(event, "id"), text(state, "level"), text(state, "message")];
            let [id, level, message] = cells.map(plain);
            [id, level, message, text(state, "time").to_owned()]
        })
        .collect();
    rows.sort_by(|one, other| one[3].cmp(&other[3]));
    rows.iter_mut().for_each(|row| row[3] = date(&row[3]));
    rows.insert(0, ["Event", "Level", "Message", "Date"].map(str::to_owned));
    let width = |column: usize, least: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(least) + 1
    };
    let (id, level, message) = (width(0, 0), width(1, 8), width(2, 0));
    for [first, second, third, last] in &rows {
        let _ = writeln!(out, "{first:id$}{second:level$}{third:message$}{last}");
    }
    Ok(out)
}

/// `show-topic-handler TOPIC ID`.
pub(super) fn handler(api: &Api, topic: &str, id: &str) -> Result<String, Failure> {
    let handler = api.get(&format!("{}/{}", handlers_of(topic), escaped(id)))?;
    Ok(format!(
        "ID: {}\nTopic: {}\nKind: {}\nMatch: {}\nOptions: {}\n",
        plain(text(&handler, "id")),
        plain(topic),
        plain(text(&handler, "kind")),
        plain(text(&handler, "match")),
        plain(&handler.get("options").unwrap_or(&Value::Null).to_string())
    ))
}

/// `stats KIND`.
pub(super) fn stats(api: &Api, kind: &str) -> Result<String, Failure> {
    let vars = api.get(&format!("{BASE}/debug/vars"))?;
    let mut out = String::new();
    match kind {
        "general" => {
            for (label, key) in [
                ("ClusterID:", "cluster_id"),
                ("ServerID:", "server_id"),
                ("Host:", "host"),
                ("Tasks:", "num_tasks"),
                ("Enabled Tasks:", "num_enabled_tasks"),
                ("Subscriptions:", "num_subscriptions"),
                ("Platform:", "platform"),
                ("Version:", "version"),
            ] {
                let _ = writeln!(out, "{label:30}{:30}", plain(&word(vars.get(key))));
            }
        }
        "ingress" => {
            let stats = vars.get("kapacitor").and_then(Value::as_object);
            let of_points = stats.into_iter().flat_map(|stats| stats.values());
            let mut rows = BTreeMap::new();
            for stat in of_points.filter(|stat| text(stat, "name") == "ingress") {
                let tag = |key| text(stat.get("tags").unwrap_or(&Value::Null), key).to_owned();
                let key = [tag("database"), tag("retention_policy"), tag("measurement")];
                rows.insert(key, word(stat.pointer("/values/points_received")));
            }
            let width = |column: usize, least: usize| {
                rows.keys().map(|key| key[column].len()).max().unwrap_or(0).max(least) + 1
            };
            let (db, rp, name) = (width(0, 8), width(1, 16), width(2, 11));
            let _ = writeln!(
                out,
                "{:db$}{:rp$}{:name$}Points Received",
                "Database", "Retention Policy", "Measurement"
            );
            for (key, points) in &rows {
                let [first, second, third] = key.each_ref().map(|cell| plain(cell));
                let _ = writeln!(out, "{first:db$}{second:rp$}{third:name$}{points:>15}");
            }
        }
        _ => return Err(Failure::command("the stats are `general` or `ingress`")),
    }
    Ok(out)
}

/// `vars`.
pub(super) fn vars(api: &Api) -> Result<String, Failure> {
    Ok(format!("{:#}\n", api.get(&format!("{BASE}/debug/vars"))?))
}

/// `service-tests NAME…`.
pub(super) fn service_tests(api: &Api, names: &[&str]) -> Result<String, Failure> {
    let mut out = format!("{:20}{:10}Message\n", "Service", "Success");
    for pattern in names {
        for service in services(api, pattern)? {
            let link = service.pointer("/link/href").and_then(Value::as_str).unwrap_or_default();
            let result = api.send("POST", link, Some(&Value::Null), 200)?;
            let name = plain(text(&service, "name"));
            let success = word(result.get("success"));
            let _ = writeln!(out, "{name:20}{success:10}{}", plain(text(&result, "message")));
        }
    }
    Ok(out)
}

fn services(api: &Api, pattern: &str) -> Result<Vec<Value>, Failure> {
    let path = format!("{BASE}/service-tests?pattern={}", escaped(pattern));
    Ok(items(&api.get(&path)?, "services"))
}

/// `["db"."rp" "db"."rp"]`.
fn dbrps(task: &Value) -> String {
    let all = items(task, "dbrps");
    let all: Vec<_> =
        all.iter().map(|it| format!("\"{}\".\"{}\"", text(it, "db"), text(it, "rp"))).collect();
    format!("[{}]", all.join(" "))
}

/// What a server says, without what could change the terminal.
fn plain(text: &str) -> String {
    plain::plain(text).to_string()
}

fn widest(values: &[Value], key: &str, least: usize) -> usize {
    values.iter().map(|value| text(value, key).chars().count()).max().unwrap_or(0).max(least)
}

/// A value as it is printed: a text without quotes.
fn word(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A text of several lines, without what could change the terminal.
fn lines(text: &str) -> String {
    text.lines().map(|line| plain(&line.replace('\t', "    ")) + "\n").collect()
}

/// `26 Nov 26 17:43 UTC` for a time of RFC 3339 in UTC; one that is missing is Go's zero.
fn date(text: &str) -> String {
    let part = |range: std::ops::Range<usize>| text.get(range);
    let month = part(5..7).and_then(|month| month.parse::<usize>().ok());
    let month = month.and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    match (part(2..4), month, part(8..10), part(11..16)) {
        (Some(year), Some(month), Some(day), Some(time)) => {
            format!("{day} {month} {year} {time} UTC")
        }
        _ => "01 Jan 01 00:00 UTC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_and_databases_are_printed_as_by_the_real_client() {
        for (text, wanted) in [
            ("2026-11-26T17:43:05.123Z", "26 Nov 26 17:43 UTC"),
            ("0001-01-01T00:00:00Z", "01 Jan 01 00:00 UTC"),
            ("", "01 Jan 01 00:00 UTC"),
            ("2026-13-26T17:43", "01 Jan 01 00:00 UTC"),
        ] {
            assert_eq!(date(text), wanted, "{text}");
        }
        let task =
            json!({ "dbrps": [{ "db": "telegraf", "rp": "autogen" }, { "db": "a", "rp": "" }] });
        assert_eq!(dbrps(&task), r#"["telegraf"."autogen" "a".""]"#);
        assert_eq!(dbrps(&Value::Null), "[]");
    }
}
