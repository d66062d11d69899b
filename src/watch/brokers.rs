//! Which brokers alerts can be published to.

use crate::alerts::handlers::{HandlerKind, HandlerSpec};
use crate::alerts::pipeline::{Kind, Pipeline};
use crate::config::{Config, suggest};

/// The brokers that are there.
#[derive(Clone, Default)]
pub(super) struct Brokers {
    names: Vec<String>,
    /// The one of handlers that name none.
    pub(super) default: Option<String>,
}

impl Brokers {
    pub(super) fn of(config: &Config) -> Self {
        let brokers = config.brokers.iter().filter(|broker| broker.alerts);
        let kapacitor = config.kapacitor.as_ref();
        Brokers {
            names: brokers.map(|broker| broker.name.clone()).collect(),
            default: kapacitor.and_then(|it| it.default_broker.clone()),
        }
    }

    /// Says why there is no such broker, if there is none.
    pub(super) fn has(&self, name: &str) -> Result<(), String> {
        if self.names.iter().any(|known| known == name) {
            return Ok(());
        }
        let names = self.names.iter().map(String::as_str);
        let meant = match suggest::nearest(name, names.clone()) {
            Some(meant) => format!("; did you mean {meant:?}?"),
            None if self.names.is_empty() => "; there is no [[mqtt]] that is enabled".to_owned(),
            None => format!("; there are: {}", names.collect::<Vec<_>>().join(", ")),
        };
        Err(format!("unknown MQTT broker {name:?}{meant}"))
    }

    /// Whether a handler can publish, if it is to.
    pub(super) fn check(&self, handler: &HandlerSpec) -> Result<(), String> {
        let HandlerKind::Mqtt { broker, .. } = &handler.kind else { return Ok(()) };
        match broker.as_ref().or(self.default.as_ref()) {
            Some(name) => self.has(name),
            None => Err("no MQTT broker is named, and none is the default".to_owned()),
        }
    }

    /// The same for the handlers of a script.
    pub(super) fn check_all(&self, pipeline: &Pipeline) -> Result<(), String> {
        for node in &pipeline.nodes {
            let Kind::Alert(alert) = &node.kind else { continue };
            for handler in &alert.handlers {
                self.check(handler).map_err(|why| format!("{}: {why}", node.place))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::script::{Vars, build, parse};

    fn said(brokers: &Brokers, handler: &str) -> String {
        let script = format!("stream\n|from()\n  |alert()\n.crit(lambda: TRUE){handler}");
        let pipeline = build(&parse(&script).unwrap(), &Vars::default()).unwrap();
        brokers.check_all(&pipeline).err().unwrap_or_default()
    }

    #[test]
    fn a_broker_that_is_not_there_is_found_when_a_script_is_defined() {
        let names = ["alerts", "spare"].map(str::to_owned).to_vec();
        let brokers = Brokers { names, default: Some("spare".to_owned()) };
        for (handler, wanted) in [
            (".mqtt('a')", ""),
            (".mqtt('a').brokerName('alerts')", ""),
            (".log('/a')", ""),
            (
                ".mqtt('a').mqtt('b').brokerName('alert')",
                "line 3 char 4: unknown MQTT broker \"alert\"; did you mean \"alerts\"?",
            ),
            (
                ".mqtt('a').brokerName('xyz')",
                "line 3 char 4: unknown MQTT broker \"xyz\"; there are: alerts, spare",
            ),
        ] {
            assert_eq!(said(&brokers, handler), wanted, "{handler}");
        }
        let none = Brokers::default();
        let wanted = "line 3 char 4: no MQTT broker is named, and none is the default";
        assert_eq!(said(&none, ".mqtt('a')"), wanted);
        let wanted =
            "line 3 char 4: unknown MQTT broker \"b\"; there is no [[mqtt]] that is enabled";
        assert_eq!(said(&none, ".mqtt('a').brokerName('b')"), wanted);
    }
}
