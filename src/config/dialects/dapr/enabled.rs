//! Dapr's words.
//!
//! A folder is shared with a real Dapr, so what means something to it alone is no fault: it is named
//! in a warning. What would be silently wrong there is a fault here, with its place.

mod broker;
mod component;
mod configuration;
mod flags;
mod folder;
mod items;
mod resiliency;
mod secrets;
mod settings;
mod subscription;

pub use flags::{FLAGS, Flag, Use};

use crate::config::dialects::dapr::Given;
use crate::config::document::fields::Fields;
use crate::config::document::{Node, Value};
use crate::config::whole::Part;
use crate::config::{Faults, Surroundings};
use settings::Settings;

/// What flags say of the model, and the folders that they name, with every fault in them.
#[must_use]
pub fn part(given: &[Given], around: &Surroundings<'_>) -> Part {
    read(given, "daprd", around)
}

/// What `[dapr]` says, and the folders that it names.
pub(crate) fn own(fields: &Fields<'_>) -> Part {
    let mut given = Vec::new();
    for entry in fields.others() {
        let mut add = |node: &Node, value: &str| {
            let (name, value) = (entry.key.replace('_', "-"), value.to_owned());
            given.push(Given { name, value, place: fields.file.place(node.at) });
        };
        let nodes = match &entry.node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.node),
        };
        for node in nodes {
            match &node.value {
                Value::Text(text) | Value::Number(text) => add(node, text),
                Value::Truth(truth) => add(node, &truth.to_string()),
                other => fields.file.add(node.at, format!("this cannot be {}", other.kind())),
            }
        }
    }
    fields.skip();
    read(&given, "[dapr]", fields.file.around)
}

/// `what` is where they are given.
fn read(given: &[Given], what: &'static str, around: &Surroundings<'_>) -> Part {
    let mut faults = Faults::default();
    let settings = Settings::read(given, what, around, &mut faults);
    let mut part = folder::read(&settings, around);
    part.faults.0.splice(0..0, faults.0);
    part
}
