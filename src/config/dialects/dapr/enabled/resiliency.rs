//! Policies: how long an attempt may take, when it is made again, when none is made.

use super::folder::Document;
use super::items::written;
use crate::config::document::fields::{Fields, File};
use crate::config::document::{Entry, Node, Source, Value};
use crate::config::values::go;
use crate::config::whole::Part;
use crate::config::{
    Breaker, Faults, Pace, Place, Policy, PubSub, Retry, Surroundings, Trip, suggest,
};
use crate::system::plain::plain;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Statuses that a policy may name.
const STATUSES: RangeInclusive<u16> = 100..=599;

/// Kinds of policies: the key of their table, that of a target, and the name of a default.
const KINDS: [(&str, &str, &str); 3] = [
    ("timeouts", "timeout", "Timeout"),
    ("retries", "retry", "Retry"),
    ("circuitBreakers", "circuitBreaker", "CircuitBreaker"),
];

/// A policy without a name.
enum Rule {
    Timeout(Duration),
    Retry(Retry),
    Breaker(Breaker),
}

impl Rule {
    fn kind(&self) -> usize {
        match self {
            Rule::Timeout(_) => 0,
            Rule::Retry(_) => 1,
            Rule::Breaker(_) => 2,
        }
    }

    fn put(&self, policy: &mut Policy) {
        match self {
            Rule::Timeout(time) => policy.timeout = Some(*time),
            Rule::Retry(retry) => policy.retry = Some(retry.clone()),
            Rule::Breaker(breaker) => policy.breaker = Some(breaker.clone()),
        }
    }
}

/// All policies, and the components that they are for.
#[derive(Default)]
pub(super) struct Policies {
    /// Each with its name and where that is.
    named: Vec<(String, Place, Rule)>,
    targets: Vec<Target>,
}

/// A component with the names of its policies.
struct Target {
    component: String,
    place: Place,
    inbound: Names,
    outbound: Names,
}

/// Names by kind, each with its place.
type Names = [Option<(String, Place)>; 3];

impl Policies {
    /// Adds what a Resiliency says.
    pub(super) fn read(
        &mut self,
        document: &Document<'_>,
        around: &Surroundings<'_>,
        part: &mut Part,
    ) {
        let source = document.source;
        let file = File::new(source, None, around);
        let top = document.fields(&file, "a Resiliency");
        if let Some(spec) = document.spec(&top, "the `spec` of a Resiliency") {
            if let Some(node) = spec.node("policies").filter(|node| is_filled(node)) {
                self.policies(source, &Fields::new(&file, node, "`policies`"), &mut part.warnings);
            }
            if let Some(node) = spec.node("targets").filter(|node| is_filled(node)) {
                self.targets(source, &Fields::new(&file, node, "`targets`"), &mut part.warnings);
            }
            spec.end();
        }
        top.end();
        part.faults.0.extend(file.faults().0);
    }

    fn policies(&mut self, source: Source<'_>, policies: &Fields<'_>, warnings: &mut Vec<String>) {
        for (kind, (key, ..)) in KINDS.iter().enumerate() {
            for Entry { key, at, node } in entries(policies, key) {
                let place = source.place(*at);
                let is_same =
                    |(name, _, rule): &&(String, Place, Rule)| name == key && rule.kind() == kind;
                if let Some((_, first, _)) = self.named.iter().find(is_same) {
                    let what = format!("there is another policy `{key}`, at {first}");
                    policies.file.add(*at, what);
                    continue;
                }
                let warnings = &mut *warnings;
                let values = Values { source, file: policies.file, warnings };
                if let Some(rule) = values.rule(kind, node) {
                    self.named.push((key.clone(), place, rule));
                }
            }
        }
        policies.end();
    }

    fn targets(&mut self, source: Source<'_>, targets: &Fields<'_>, warnings: &mut Vec<String>) {
        for key in ["apps", "actors"] {
            if targets.node(key).is_some_and(is_filled) {
                let place = source.place(targets.place(key));
                warnings.push(format!("config: {place}: policies for {key} have no effect here"));
            }
        }
        for Entry { key, at, node } in entries(targets, "components") {
            let fields = Fields::new(targets.file, node, "a component under `targets`");
            let names = |key| match fields.node(key).filter(|node| is_filled(node)) {
                Some(node) => names(source, &Fields::new(targets.file, node, "a target")),
                None => Names::default(),
            };
            let (inbound, outbound) = (names("inbound"), names("outbound"));
            if outbound.iter().any(Option::is_some) {
                let place = source.place(fields.place("outbound"));
                let what = "has no effect: what is published is stored and waits for its broker";
                warnings.push(format!("config: {place}: a policy for publishing {what}"));
            }
            fields.end();
            let (component, place) = (key.clone(), source.place(*at));
            self.targets.push(Target { component, place, inbound, outbound });
        }
        targets.end();
    }

    /// Gives each component its policies.
    pub(super) fn apply(&self, components: &mut [PubSub], part: &mut Part) {
        for target in &self.targets {
            let [inbound, outbound] = [&target.inbound, &target.outbound]
                .map(|names| self.chosen(names, &mut part.faults));
            match components.iter_mut().find(|it| it.name == target.component) {
                Some(component) => (component.inbound, component.outbound) = (inbound, outbound),
                None => {
                    let (place, name) = (&target.place, plain(&target.component));
                    part.warnings.push(format!("config: {place}: there is no component {name}"));
                }
            }
        }
        for component in components {
            if !self.targets.iter().any(|target| target.component == component.name) {
                component.inbound = self.usual("Inbound");
                component.outbound = self.usual("Outbound");
            }
        }
    }

    /// The policies of these names.
    fn chosen(&self, names: &Names, faults: &mut Faults) -> Policy {
        let mut policy = Policy::default();
        for (kind, name) in names.iter().enumerate() {
            let Some((name, place)) = name else { continue };
            match self.find(kind, name) {
                Some(rule) => rule.put(&mut policy),
                None => {
                    let known = self.named.iter().filter(|(_, _, rule)| rule.kind() == kind);
                    let hint = match suggest::nearest(name, known.map(|(name, ..)| &name[..])) {
                        Some(meant) => format!("; did you mean `{meant}`?"),
                        None => String::new(),
                    };
                    let (table, ..) = KINDS[kind];
                    let what = format!("there is no policy `{name}` in `{table}`{hint}");
                    faults.add(place.clone(), what);
                }
            }
        }
        policy
    }

    /// The policies of a component that is no target: those of certain names.
    fn usual(&self, direction: &str) -> Policy {
        let mut policy = Policy::default();
        for (kind, (.., word)) in KINDS.iter().enumerate() {
            let names = [
                format!("DefaultPubsubComponent{direction}{word}Policy"),
                format!("DefaultComponent{direction}{word}Policy"),
                format!("DefaultComponent{word}Policy"),
                format!("Default{word}Policy"),
            ];
            if let Some(rule) = names.iter().find_map(|name| self.find(kind, name)) {
                rule.put(&mut policy);
            }
        }
        policy
    }

    fn find(&self, kind: usize, name: &str) -> Option<&Rule> {
        let is_it =
            |(known, _, rule): &&(String, Place, Rule)| known == name && rule.kind() == kind;
        self.named.iter().find(is_it).map(|(.., rule)| rule)
    }
}

fn is_filled(node: &Node) -> bool {
    !matches!(node.value, Value::Null)
}

/// The entries of a table whose keys are names.
fn entries<'f>(fields: &Fields<'f>, key: &'static str) -> &'f [Entry] {
    match fields.node(key).filter(|node| is_filled(node)) {
        Some(Node { value: Value::Table(entries), .. }) => entries,
        Some(node) => {
            let kind = node.value.kind();
            fields.file.add(node.at, format!("`{key}` is a table of names, not {kind}"));
            &[]
        }
        None => &[],
    }
}

/// The names of policies in a target.
fn names(source: Source<'_>, fields: &Fields<'_>) -> Names {
    let names = KINDS.map(|(_, key, _)| {
        let node = fields.node(key)?;
        let name = fields.file.keep(node.at, written(source, node)).flatten()?;
        (!name.is_empty()).then(|| (name, source.place(node.at)))
    });
    fields.end();
    names
}

/// The values of policies.
struct Values<'v> {
    source: Source<'v>,
    file: &'v File<'v>,
    warnings: &'v mut Vec<String>,
}

impl Values<'_> {
    fn rule(mut self, kind: usize, node: &Node) -> Option<Rule> {
        match kind {
            0 => {
                let text = self.file.keep(node.at, written(self.source, node))?;
                let time = time(text.as_deref().unwrap_or_default());
                self.file.keep(node.at, time).map(Rule::Timeout)
            }
            1 => Some(Rule::Retry(self.retry(&Fields::new(self.file, node, "a retry policy")))),
            _ => Some(Rule::Breaker(self.breaker(&Fields::new(self.file, node, "a breaker")))),
        }
    }

    /// Reads the value of a key, if there is one, or notes why it cannot be read.
    fn text(
        &self,
        fields: &Fields<'_>,
        key: &'static str,
        read: &mut dyn FnMut(&str) -> Result<(), String>,
    ) {
        let Some(node) = fields.node(key) else { return };
        let text = self.file.keep(node.at, written(self.source, node)).flatten();
        if let Some(Err(what)) = text.map(|text| read(text.trim())) {
            self.file.add(node.at, what);
        }
    }

    fn retry(&mut self, fields: &Fields<'_>) -> Retry {
        let (mut is_exponential, mut wait, mut longest) =
            (false, Duration::from_secs(5), Duration::from_secs(60));
        let (mut retries_max, mut statuses) = (None, None);
        self.text(fields, "policy", &mut |text| {
            is_exponential = match &text.to_ascii_lowercase()[..] {
                "constant" => false,
                "exponential" => true,
                _ => return Err(format!("this is `constant` or `exponential`, not `{text}`")),
            };
            Ok(())
        });
        self.text(fields, "duration", &mut |text| {
            wait = time(text)?;
            Ok(())
        });
        self.text(fields, "maxInterval", &mut |text| {
            longest = time(text)?;
            Ok(())
        });
        self.text(fields, "maxRetries", &mut |text| {
            retries_max = retries(text)?;
            Ok(())
        });
        if let Some(node) = fields.node("matching").filter(|node| is_filled(node)) {
            let matching = Fields::new(self.file, node, "`matching`");
            self.text(&matching, "httpStatusCodes", &mut |text| {
                statuses = codes(text)?;
                Ok(())
            });
            let grpc = matching.node("gRPCStatusCodes").map(|node| node.at);
            matching.end();
            if let Some(at) = grpc {
                let place = self.source.place(at);
                let what = "the application is called over HTTP, so that this has no effect";
                self.warnings.push(format!("config: {place}: {what}"));
            }
        }
        fields.end();
        let pace = if is_exponential { Pace::Exponential(longest) } else { Pace::Constant(wait) };
        Retry { pace, retries_max, statuses }
    }

    fn breaker(&self, fields: &Fields<'_>) -> Breaker {
        let mut breaker = Breaker {
            probes_max: 1,
            interval: Duration::ZERO,
            open: Duration::from_secs(60),
            trip: Trip::ConsecutiveFailures(6),
        };
        self.text(fields, "maxRequests", &mut |text| {
            let count = text.parse().ok().filter(|count| *count > 0);
            let wrong = || format!("this is a whole number from 1 on, not `{text}`");
            breaker.probes_max = count.ok_or_else(wrong)?;
            Ok(())
        });
        self.text(fields, "interval", &mut |text| {
            breaker.interval = time(text)?;
            Ok(())
        });
        self.text(fields, "timeout", &mut |text| {
            breaker.open = time(text)?;
            Ok(())
        });
        self.text(fields, "trip", &mut |text| {
            breaker.trip = trip(text)?;
            Ok(())
        });
        fields.end();
        breaker
    }
}

/// A time as Go writes it; a number alone is one of milliseconds.
fn time(text: &str) -> Result<Duration, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let millis = || text.parse().ok().map(Duration::from_millis);
    let nanos = || go::duration(text).and_then(|nanos| u64::try_from(nanos).ok());
    let time = if is_number { millis() } else { nanos().map(Duration::from_nanos) };
    time.ok_or_else(|| format!("`{text}` is not a time such as 500ms, 5s or 1m30s"))
}

/// How often it is tried again; -1 is without end.
fn retries(text: &str) -> Result<Option<u32>, String> {
    match text.parse::<i64>() {
        Ok(..0) => Ok(None),
        Ok(count) => u32::try_from(count).map(Some).map_err(|error| error.to_string()),
        Err(_) => Err(format!("this is a whole number, -1 for no end, not `{text}`")),
    }
}

/// `429,500-599`; nothing means all.
fn codes(text: &str) -> Result<Option<Vec<RangeInclusive<u16>>>, String> {
    let mut codes = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let code = |text: &str| text.trim().parse().ok().filter(|code| STATUSES.contains(code));
        match code(first).zip(code(last)).filter(|(first, last)| first <= last) {
            Some((first, last)) => codes.push(first..=last),
            None => {
                return Err(format!(
                    "`{part}` is not a status from {} to {}, or two with a `-` between",
                    STATUSES.start(),
                    STATUSES.end()
                ));
            }
        }
    }
    Ok((!codes.is_empty()).then_some(codes))
}

/// What opens a breaker: `consecutiveFailures > 5`.
fn trip(text: &str) -> Result<Trip, String> {
    let wrong = || {
        format!(
            "`{text}` is not of the form `consecutiveFailures > 5`; also `totalFailures`, `requests` \
             and `>=` are offered"
        )
    };
    let (count, rest) = text.split_once('>').ok_or_else(wrong)?;
    let (rest, more) = match rest.strip_prefix('=') {
        Some(rest) => (rest, 0),
        None => (rest, 1),
    };
    let least: u32 = rest.trim().parse().map_err(|_| wrong())?;
    let least = least.saturating_add(more).max(1);
    match count.trim() {
        "consecutiveFailures" => Ok(Trip::ConsecutiveFailures(least)),
        "totalFailures" => Ok(Trip::TotalFailures(least)),
        "requests" => Ok(Trip::Requests(least)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_policies_are_read() {
        for (text, wanted) in [
            ("5s", Some(5_000)),
            ("1m30s", Some(90_000)),
            ("250", Some(250)),
            ("0s", Some(0)),
            ("-1s", None),
            ("5", Some(5)),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(time(text).ok(), wanted.map(Duration::from_millis), "{text}");
        }
        for (text, wanted) in [("-1", Some(None)), ("0", Some(Some(0))), ("3", Some(Some(3)))] {
            assert_eq!(retries(text).ok(), wanted, "{text}");
        }
        assert!(retries("many").is_err());
        for (text, wanted) in [
            ("", Some(None)),
            ("429, 500-599", Some(Some(vec![429..=429, 500..=599]))),
            ("99", None),
            ("599-500", None),
            ("5xx", None),
        ] {
            assert_eq!(codes(text).ok(), wanted, "{text}");
        }
        for (text, wanted) in [
            ("consecutiveFailures > 5", Some(Trip::ConsecutiveFailures(6))),
            ("consecutiveFailures>=5", Some(Trip::ConsecutiveFailures(5))),
            (" totalFailures > 0 ", Some(Trip::TotalFailures(1))),
            ("requests >= 10", Some(Trip::Requests(10))),
            ("consecutiveFailures < 5", None),
            ("requests > 10 && totalFailures > 5", None),
            ("failures > 5", None),
        ] {
            assert_eq!(trip(text).ok(), wanted, "{text}");
        }
    }
}
