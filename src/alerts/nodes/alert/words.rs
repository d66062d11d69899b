//! What an event says: id, message and details, each made from a template.
//!
//! A template that fails ends the task in Kapacitor. Here it is a complaint, and the event goes out
//! with the words it has by default: an alert that reads badly is better than none.

use crate::alerts::event::Event;
use crate::alerts::nodes::graph::{Cx, Site};
use crate::alerts::pipeline;
use crate::alerts::template::{self, Alert, Data, Template};

/// What is said if a script says nothing else.
const ID: &str = "{{ .Name }}:{{ .Group }}";
const MESSAGE: &str = "{{ .ID }} is {{ .Level }}";
const DETAILS: &str = "{{ json . }}";

pub(super) struct Words {
    id: Template,
    message: Template,
    details: Template,
}

impl Words {
    pub(super) fn of(alert: &pipeline::Alert) -> Self {
        let or = |template: &Option<Template>, text: &str| {
            let parsed = || Template::parse(text).expect("our own templates can be read");
            template.clone().unwrap_or_else(parsed)
        };
        Words {
            id: or(&alert.id, ID),
            message: or(&alert.message, MESSAGE),
            details: or(&alert.details, DETAILS),
        }
    }

    /// Gives an event its id, its message and its details.
    pub(super) fn say(&self, event: &mut Event, site: &Site, cx: &mut Cx<'_>) {
        let settings = cx.settings;
        let data =
            Data::of_id(&event.name, &event.task, &event.group, &event.tags, &settings.server);
        let data = data.local(Some(&settings.zone));
        let id = said("id", site, cx, |text| self.id.render(&data, text)).unwrap_or_else(|| {
            let group = if event.group.is_empty() { "nil" } else { &event.group };
            format!("{}:{group}", event.name)
        });
        let data = data.with_alert(Alert {
            id: &id,
            fields: &event.fields,
            level: event.level,
            time: event.time,
            duration: event.duration,
        });
        let message = said("message", site, cx, |text| self.message.render(&data, text))
            .unwrap_or_else(|| format!("{id} is {}", event.level));
        let data = data.with_message(&message);
        let details = said("details", site, cx, |text| self.details.render_html(&data, text))
            .unwrap_or_default();
        (event.id, event.message, event.details) = (id, message, details);
    }
}

/// What a template says; nothing, with a complaint, if it fails.
fn said(
    what: &str,
    site: &Site,
    cx: &mut Cx<'_>,
    render: impl FnOnce(&mut String) -> Result<(), template::Error>,
) -> Option<String> {
    let mut text = String::new();
    if let Err(error) = render(&mut text) {
        cx.complain(site, || format!("{what}: {error}"));
        return None;
    }
    Some(text)
}
