//! A Configuration: what of it cannot be kept is refused.

use super::folder::Document;
use crate::config::Surroundings;
use crate::config::document::Value;
use crate::config::document::fields::{Fields, File};
use crate::config::whole::Part;

/// Reads one.
pub(super) fn read<'a>(document: &Document<'a>, around: &'a Surroundings<'a>, part: &mut Part) {
    let file = File::new(document.source, None, around);
    let top = document.fields(&file, "a Configuration");
    if let Some(node) = top.node("spec").filter(|node| !matches!(node.value, Value::Null)) {
        let spec = Fields::new(&file, node, "the `spec` of a Configuration");
        if let Some(api) = spec.node("api") {
            refuse(&Fields::new(&file, api, "`api`"));
        }
        for entry in spec.others() {
            let place = file.place(entry.at);
            let key = crate::system::plain::plain(&entry.key);
            part.warnings.push(format!("config: {place}: `{key}` has no effect here"));
        }
    }
    top.end();
    part.faults.0.extend(file.faults().0);
}

/// Lists of what clients may ask for cannot be kept, and whoever wrote them relies on them.
fn refuse(api: &Fields<'_>) {
    for key in ["allowed", "denied"] {
        let Some(node) = api.node(key) else { continue };
        if !matches!(&node.value, Value::List(nodes) if nodes.is_empty()) {
            let what = "lists of what clients may ask for are not offered; this agent offers \
                        publishing only, DAPR_API_TOKEN keeps others away";
            api.file.add(node.at, what);
        }
    }
    api.end();
}
