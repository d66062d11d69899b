//! The configuration of `daemon` and `check`: from flags, or from a file.

use crate::config::dialects::native::{self, Syntax};
use crate::config::dialects::{connectware, dapr, ilagent, kapacitor, uci};
use crate::config::{self, Checked, Faults, Part, Surroundings};
use std::path::Path;

/// Builds the configuration.
///
/// # Errors
///
/// Every fault of the flags, the environment and the file, together.
pub fn configure(asked: &ilagent::Asked, around: &Surroundings<'_>) -> Result<Checked, Faults> {
    let mut more = of_kapacitor(asked, around);
    if let Some(given) = &asked.dapr {
        more.join(dapr::part(given, around));
    }
    more.join(of_connectware(asked, around));
    let mut checked = match &asked.flags.config {
        None => ilagent::read(asked, more, around)?,
        Some(name) => from_file(name, asked, more, around)?,
    };
    checked.warnings.extend(config::warnings(&checked.config));
    Ok(checked)
}

/// `-f` and `-p` may stand beside a file, and win.
fn from_file(
    name: &str,
    asked: &ilagent::Asked,
    more: Part,
    around: &Surroundings<'_>,
) -> Result<Checked, Faults> {
    let mut beside = ilagent::beside_file(asked, around);
    match (around.read)(Path::new(name)) {
        Ok(Some(text)) => {
            // Where the queue is our own file says.
            beside.join(Part { database: None, ..more });
            if uci::is_one(name) {
                return uci::read(name, &text, beside, around);
            }
            return native::read(name, &text, Syntax::of(name, &text), beside, around);
        }
        Ok(None) => beside.faults.add("--config", format!("there is no file {name}")),
        Err(why) => beside.faults.add("--config", why),
    }
    Err(beside.faults)
}

/// What service files say, if there are any.
fn of_connectware(asked: &ilagent::Asked, around: &Surroundings<'_>) -> Part {
    if asked.flags.connectware.is_empty() {
        return Part::default();
    }
    let (wanted, faults) = connectware::asked_for(asked);
    let mut part = connectware::part(&wanted, around);
    part.faults.0.extend(faults.0);
    part
}

/// What a `kapacitor.conf` says, if there is to be one.
fn of_kapacitor(asked: &ilagent::Asked, around: &Surroundings<'_>) -> Part {
    const FLAG: &str = "--kapacitor";
    let Some(name) = &asked.flags.kapacitor else { return Part::default() };
    // `kapacitord` without a file takes the one that is usually there.
    let found = if name.is_empty() { kapacitor::whereabouts(around) } else { name.clone() };
    let mut part = Part::default();
    match (around.read)(Path::new(&found)) {
        Ok(Some(text)) => part = kapacitor::part(&found, &text, around),
        Ok(None) => part.faults.add(FLAG, format!("there is no file {found}")),
        Err(why) => part.faults.add(FLAG, why),
    }
    if let Some((kapacitor, hostname)) = part.kapacitor.as_mut().zip(asked.hostname.as_ref()) {
        kapacitor.hostname.clone_from(hostname);
    }
    part
}
