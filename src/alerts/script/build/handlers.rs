//! Handlers inside a script: `.mqtt('topic')` and what is set of them.
//!
//! A property belongs to the latest handler of an alert if that knows it, and to the alert
//! otherwise. So `.topic()` behind `.mqtt()` is where the message is published, and `.crit()` there
//! is the alert's.

use super::alert::template;
use super::arguments::{Argument, Arguments};
use super::properties::is;
use crate::alerts::handlers::{HandlerKind, HandlerSpec};
use crate::alerts::pipeline::Alert;
use crate::alerts::script::fault::Fault;
use crate::alerts::template::Template;
use crate::config::values;
use crate::message::Qos;
use crate::topic::check_topic;

/// The handlers, and the properties of each.
const HANDLERS: [(&str, &[&str]); 5] = [
    ("mqtt", &["topic", "brokerName", "qos", "retained"]),
    ("log", &["mode"]),
    ("exec", &[]),
    ("tcp", &[]),
    ("post", &["endpoint", "header", "captureResponse", "timeout", "skipSSLVerification"]),
];

/// Handlers of Kapacitor that send to one service each.
const SERVICES: [&str; 21] = [
    "alerta",
    "bigPanda",
    "discord",
    "email",
    "hipChat",
    "kafka",
    "opsGenie",
    "opsGenie2",
    "pagerDuty",
    "pagerDuty2",
    "pushover",
    "sensu",
    "serviceNow",
    "slack",
    "snmpTrap",
    "talk",
    "teams",
    "telegram",
    "victorOps",
    "zenoss",
    "smtp",
];

/// How many handlers an alert may have.
const HANDLERS_MAX: usize = 50;

/// The handlers that have a property of this name.
pub(super) fn owners(name: &str) -> impl Iterator<Item = &'static str> {
    HANDLERS.iter().filter(move |(_, names)| names.contains(&name)).map(|(kind, _)| *kind)
}

/// What is said about a handler that there is not.
pub(super) fn unsupported(name: &str) -> Option<String> {
    SERVICES.contains(&name).then(|| {
        format!(
            "the handler `{name}` is not supported: .post('https://…') or .exec('program') reach \
             it, or .topic('name') with a handler of the kind mqtt, post, exec or ilert"
        )
    })
}

/// Adds a handler, or sets a property of the latest one.
pub(super) fn set(alert: &mut Alert, name: &str, arguments: &Arguments<'_>) -> Result<bool, Fault> {
    if let Some(handler) = alert.handlers.last_mut()
        && set_property(&mut handler.kind, name, arguments)?
    {
        return Ok(true);
    }
    let Some(kind) = kind(name, arguments)? else { return Ok(false) };
    if alert.handlers.len() == HANDLERS_MAX {
        let what = format!("an alert has at most {HANDLERS_MAX} handlers");
        return Err(Fault::new(arguments.name.place, what));
    }
    let same = alert
        .handlers
        .iter()
        .filter(|handler| handler.id.trim_end_matches(|c: char| c.is_ascii_digit()) == name);
    let id = match same.count() {
        0 => name.to_owned(),
        others => format!("{name}{}", others + 1),
    };
    alert.handlers.push(HandlerSpec { id, topic: String::new(), kind, matches: None });
    Ok(true)
}

/// The handler that a call adds, if it is one.
fn kind(name: &str, arguments: &Arguments<'_>) -> Result<Option<HandlerKind>, Fault> {
    Ok(Some(match name {
        "mqtt" => HandlerKind::Mqtt {
            broker: None,
            topic: mqtt_topic(arguments.one("mqtt('topic')")?)?,
            qos: Qos::AtMostOnce,
            retained: false,
        },
        "log" => {
            let path = arguments.one("log('/tmp/alerts.log')")?;
            if !path.text()?.starts_with('/') {
                return Err(Fault::new(
                    path.place,
                    "the path of a log is absolute: /tmp/alerts.log",
                ));
            }
            HandlerKind::Log { path: path.text()?.to_owned(), mode: 0o600 }
        }
        "exec" => {
            let (program, rest) = arguments.first("exec('/usr/bin/program', 'argument')")?;
            let arguments: Result<_, _> =
                rest.iter().map(|word| word.text().map(str::to_owned)).collect();
            let program = program.filled_text("the program")?.to_owned();
            HandlerKind::Exec { program, arguments: arguments? }
        }
        "tcp" => {
            let address = arguments.one("tcp('host:port')")?;
            HandlerKind::Tcp { address: host_and_port(address)? }
        }
        "post" => {
            let url = match arguments.items.as_slice() {
                [] => String::new(),
                _ => url(arguments.one("post('https://example.com/alerts')")?)?,
            };
            HandlerKind::Post { url, headers: Vec::new(), timeout: None }
        }
        _ => return Ok(None),
    }))
}

fn set_property(
    kind: &mut HandlerKind,
    name: &str,
    arguments: &Arguments<'_>,
) -> Result<bool, Fault> {
    Ok(match kind {
        HandlerKind::Mqtt { broker, topic, qos, retained } => match name {
            "topic" => is(topic, mqtt_topic(arguments.one("topic('topic')")?)?),
            "brokerName" => {
                let name = arguments.one("brokerName('name')")?.text()?;
                is(broker, (!name.is_empty()).then(|| name.to_owned()))
            }
            "qos" => is(qos, quality(arguments.one("qos(1)")?)?),
            "retained" => is(retained, arguments.one("retained(TRUE)")?.bool()?),
            _ => false,
        },
        HandlerKind::Log { mode, .. } if name == "mode" => {
            is(mode, file_mode(arguments.one("mode(0644)")?)?)
        }
        HandlerKind::Post { headers, timeout, .. } => match name {
            "header" => {
                let (name, value) = arguments.two("header('Name', 'value')")?;
                headers.push(header(name, value)?);
                true
            }
            "timeout" => is(timeout, Some(arguments.one("timeout(10s)")?.positive_duration()?)),
            "skipSSLVerification" => {
                let what = "certificates are always checked: leave .skipSSLVerification() out";
                return Err(Fault::new(arguments.name.place, what));
            }
            // It would only go to the log.
            "captureResponse" => arguments.none().map(|()| true)?,
            "endpoint" => {
                let what = "endpoints of [[httppost]] are not supported: write .post('https://…')";
                return Err(Fault::new(arguments.name.place, what));
            }
            _ => false,
        },
        _ => false,
    })
}

/// Where a message is published: a template, and without anything to fill in a topic.
fn mqtt_topic(argument: &Argument) -> Result<Template, Fault> {
    let text = argument.filled_text("the MQTT topic")?;
    if !text.contains("{{") {
        check_topic(text).map_err(|what| Fault::new(argument.place, what))?;
    }
    template(argument)
}

fn quality(argument: &Argument) -> Result<Qos, Fault> {
    match argument.int()? {
        0 => Ok(Qos::AtMostOnce),
        1 => Ok(Qos::AtLeastOnce),
        2 => Ok(Qos::ExactlyOnce),
        other => Err(Fault::new(argument.place, format!("qos is 0, 1 or 2, not {other}"))),
    }
}

fn file_mode(argument: &Argument) -> Result<u32, Fault> {
    let mode = argument.int()?;
    match u32::try_from(mode) {
        Ok(mode @ 1..=0o777) => Ok(mode),
        _ => Err(Fault::new(argument.place, "a mode is an octal number such as 0644")),
    }
}

fn host_and_port(argument: &Argument) -> Result<String, Fault> {
    let address = argument.text()?;
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(address.to_owned()),
        _ => Err(Fault::new(argument.place, format!("`{address}` is not host:port"))),
    }
}

fn url(argument: &Argument) -> Result<String, Fault> {
    values::url(argument.text()?).map_err(|what| Fault::new(argument.place, what))
}

fn header(name: &Argument, value: &Argument) -> Result<(String, String), Fault> {
    let (key, text) = (name.text()?, value.text()?);
    values::header(key).map_err(|what| Fault::new(name.place, what))?;
    let text = values::line(text).map_err(|what| Fault::new(value.place, what))?;
    Ok((key.to_owned(), text))
}
