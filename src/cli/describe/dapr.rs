//! What a Dapr sidecar would do, in words.

use crate::config::values::duration_words;
use crate::config::{Breaker, Bulk, Dapr, Pace, Policy, PubSub, Raw, Retry, Subscription, Trip};
use crate::mqtt::packet::level;
use crate::system::plain::plain;
use std::fmt::{self, Write};

/// Writes down the application, its components and its subscriptions.
pub(super) fn dapr(out: &mut String, dapr: &Dapr) -> fmt::Result {
    write!(out, "dapr {}: ", plain(&dapr.app_id))?;
    match &dapr.app {
        None => writeln!(out, "it only publishes, as it has no app-port")?,
        Some(app) => {
            let asked =
                if app.is_asked_subscriptions { ", asked what it subscribes to" } else { "" };
            write!(out, "the application is at {}{asked}", plain(&app.url()))?;
            if let Some(health) = &app.health {
                let (path, pace) = (plain(&health.path), duration_words(health.interval));
                write!(out, " and at {path} if it is well, every {pace}")?;
            }
            writeln!(out, "; up to {} deliveries at a time", app.in_flight_max)?;
        }
    }
    dapr.components.iter().try_for_each(|it| component(out, it))?;
    dapr.subscriptions.iter().try_for_each(|it| subscription(out, it))
}

fn component(out: &mut String, component: &PubSub) -> fmt::Result {
    let (name, broker) = (plain(&component.name), plain(&component.broker));
    write!(out, "  component {name}: {} at the broker {broker}", plain(&component.kind))?;
    write!(out, ", QoS {}", level(component.qos))?;
    if component.retain {
        write!(out, ", retained")?;
    }
    if !component.prefix.is_empty() {
        write!(out, ", topics begin with {}", plain(&component.prefix))?;
    }
    writeln!(out)?;
    if component.inbound != Policy::default() {
        write!(out, "    to the application: ")?;
        policy(out, &component.inbound)?;
    }
    Ok(())
}

fn policy(out: &mut String, policy: &Policy) -> fmt::Result {
    let mut parts = Vec::new();
    if let Some(timeout) = policy.timeout {
        parts.push(format!("an attempt takes up to {}", duration_words(timeout)));
    }
    if let Some(Retry { pace, retries_max, statuses }) = &policy.retry {
        let count = match retries_max {
            None => "without end".to_owned(),
            Some(count) => format!("up to {count} times"),
        };
        let pace = match pace {
            Pace::Constant(wait) => format!("every {}", duration_words(*wait)),
            Pace::Exponential(longest) => {
                format!("more and more slowly, up to every {}", duration_words(*longest))
            }
        };
        let mut part = format!("tried again {count}, {pace}");
        if let Some(statuses) = statuses {
            let statuses = statuses.iter().map(|it| match it.start() == it.end() {
                true => it.start().to_string(),
                false => format!("{}-{}", it.start(), it.end()),
            });
            let _ = write!(part, ", after {}", statuses.collect::<Vec<_>>().join(", "));
        }
        parts.push(part);
    }
    if let Some(Breaker { open, trip, .. }) = &policy.breaker {
        let after = match trip {
            Trip::ConsecutiveFailures(count) => format!("{count} failures in a row"),
            Trip::TotalFailures(count) => format!("{count} failures"),
            Trip::Requests(count) => format!("{count} attempts"),
        };
        parts.push(format!("held back for {} after {after}", duration_words(*open)));
    }
    writeln!(out, "{}", parts.join("; "))
}

fn subscription(out: &mut String, subscription: &Subscription) -> fmt::Result {
    let (topic, pubsub) = (plain(&subscription.topic), plain(&subscription.pubsub));
    let raw = match subscription.raw {
        Raw::No => "",
        Raw::Yes => ", raw",
        Raw::Auto => ", raw unless it is an event",
    };
    write!(out, "  {topic} of {pubsub}{raw}")?;
    for rule in &subscription.rules {
        match &rule.matches {
            Some(expression) => write!(out, ", {} if {}", plain(&rule.path), plain(expression))?,
            None => write!(out, ", {}", plain(&rule.path))?,
        }
    }
    if let Some(path) = &subscription.default {
        let word = if subscription.rules.is_empty() { "" } else { "else " };
        write!(out, ", {word}{}", plain(path))?;
    }
    if let Some(Bulk { most, wait }) = subscription.bulk {
        write!(out, "; up to {most} in one request, within {}", duration_words(wait))?;
    }
    if let Some(topic) = &subscription.dead_letter_topic {
        write!(out, "; what is not taken goes to {}", plain(topic))?;
    }
    writeln!(out)
}
