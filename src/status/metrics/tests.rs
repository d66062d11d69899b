//! What is written is read back by the rules of the format (version 0.0.4), and by what Prometheus
//! asks of names and types, as `promtool check metrics` does.

use super::*;
use crate::system::health::Health;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A line that is no comment: name, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

/// A family as it is read.
#[derive(Debug)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

/// Units that are not base units, and words that say what a type says.
const NO_PARTS: [&str; 18] = [
    "milliseconds",
    "microseconds",
    "minutes",
    "hours",
    "days",
    "ms",
    "kilobytes",
    "megabytes",
    "kb",
    "mb",
    "percent",
    "bits",
    "gauge",
    "counter",
    "histogram",
    "summary",
    "untyped",
    "number",
];

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Reads `name{label="value",…} value`.
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after, line);
            labels.push((label.to_owned(), value));
            match after.split_at(1) {
                (",", after) => rest = after,
                ("}", after) => {
                    rest = after;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    assert!(!value.contains(' '), "{line}: there is no time");
    (name.to_owned(), labels, value.parse().unwrap())
}

/// A value up to its quotation mark, and what follows.
fn quoted<'l>(text: &'l str, line: &str) -> (String, &'l str) {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next() {
                Some((_, '\\')) => '\\',
                Some((_, '"')) => '"',
                Some((_, 'n')) => '\n',
                other => panic!("{line}: {other:?} cannot be escaped"),
            }),
            other => {
                assert!(!other.is_control(), "{line}");
                value.push(other);
            }
        }
    }
    panic!("{line}: a value without an end")
}

/// Reads all of it.
fn families(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(words.ends_with('.'), "{line}");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} twice");
            name.clone_into(&mut current);
            continue;
        }
        families.get_mut(&current).unwrap().samples.push(sample(line));
    }
    families
}

fn check(name: &str, family: &Family) {
    assert!(is_name(name) && name.starts_with("ilagent_"), "{name}");
    let parts: Vec<&str> = name.split('_').collect();
    assert!(!parts.iter().any(|part| NO_PARTS.contains(part)), "{name}");
    assert!(!family.samples.is_empty(), "{name} has no sample");
    let of_histograms = ["_bucket", "_sum", "_count"];
    assert!(!of_histograms.iter().any(|end| name.ends_with(end)), "{name}");
    assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
    let mut seen = BTreeSet::new();
    for (series, labels, value) in &family.samples {
        let is_new = seen.insert(format!("{series} {labels:?}"));
        assert!(is_new, "{series} {labels:?} twice");
        assert!(family.kind == "gauge" || *value >= 0.0, "{series}");
        if family.kind != "histogram" {
            assert_eq!(series, name);
            assert!(!labels.iter().any(|(label, _)| label == "le"), "{series}");
        }
    }
    match family.kind.as_str() {
        "gauge" | "counter" => (),
        "histogram" => check_histogram(name, family),
        other => panic!("{name}: {other}"),
    }
}

/// Buckets in order, each with all of the one before it, and with the count in the last.
fn check_histogram(name: &str, family: &Family) {
    let mut of_labels: BTreeMap<String, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let labels = sample.1.iter().filter(|(label, _)| label != "le");
        of_labels.entry(format!("{:?}", labels.collect::<Vec<_>>())).or_default().push(sample);
    }
    for (labels, samples) in of_labels {
        let of = |end: &str| -> Vec<&Sample> {
            let series = format!("{name}{end}");
            samples.iter().copied().filter(|(name, _, _)| *name == series).collect()
        };
        let bound = |sample: &Sample| {
            let le = &sample.1.iter().find(|(label, _)| label == "le").unwrap().1;
            le.replace("+Inf", "inf").parse::<f64>().unwrap()
        };
        let (buckets, sums, counts) = (of("_bucket"), of("_sum"), of("_count"));
        assert_eq!(buckets.len() + 2, samples.len(), "{name} {labels}");
        assert_eq!((sums.len(), counts.len()), (1, 1), "{name} {labels}");
        for pair in buckets.windows(2) {
            assert!(bound(pair[0]) < bound(pair[1]) && pair[0].2 <= pair[1].2, "{name} {labels}");
        }
        let last = buckets.last().unwrap();
        assert!(bound(last).is_infinite(), "{name} {labels}");
        assert_eq!(last.2.to_bits(), counts[0].2.to_bits(), "{name} {labels}");
    }
}

#[test]
fn names_and_types_are_as_prometheus_wants_them() {
    let health = Health::default();
    let hostile = "a\"b\\c\nd{e=\"f\"} 7";
    health.came(hostile, 3);
    health.came("http", 1);
    health.session(hostile, |session| session.connected = true);
    health.consumer("k", |_| ());
    for (name, millis) in [("ilert", &[5, 80, 7_000][..]), (hostile, &[]), ("mqtt b", &[9_999_999])]
    {
        health.sink(name, |sink| {
            sink.delivered = 7;
            millis.iter().for_each(|millis| sink.latency.note(Duration::from_millis(*millis)));
        });
    }
    health.sink("file journal", |sink| sink.is_journal = true);
    let limits = Limits { age_max: Duration::from_secs(600) };
    let text = text(&health.snapshot(), 5, Instant::now(), limits);
    let families = families(&text);
    families.iter().for_each(|(name, family)| check(name, family));
    assert!(families.len() > 18, "{:?}", families.keys());
    for line in [
        r#"ilagent_messages_received_total{source="http"} 1"#,
        r#"ilagent_delivery_duration_seconds_bucket{sink="ilert",le="0.01"} 1"#,
        r#"ilagent_delivery_duration_seconds_bucket{sink="ilert",le="0.1"} 2"#,
        r#"ilagent_delivery_duration_seconds_bucket{sink="ilert",le="+Inf"} 3"#,
        r#"ilagent_delivery_duration_seconds_sum{sink="ilert"} 7.085"#,
        r#"ilagent_delivery_duration_seconds_count{sink="mqtt b"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n---\n{text}");
    }
    let sources = &families["ilagent_messages_received_total"].samples;
    assert_eq!(sources[0].1, [("source".to_owned(), hostile.to_owned())], "it is read back");
}
