//! The configuration of `daemon` and `check`: from flags, or from a file.

use crate::config::dialects::ilagent;
use crate::config::dialects::native::{self, Syntax};
use crate::config::{self, Checked, Faults, Surroundings};
use std::path::Path;

/// Builds the configuration.
///
/// # Errors
///
/// Every fault of the flags, the environment and the file, together.
pub fn configure(asked: &ilagent::Asked, around: &Surroundings<'_>) -> Result<Checked, Faults> {
    let mut checked = match &asked.flags.config {
        None => ilagent::read(asked, around)?,
        Some(name) => from_file(name, asked, around)?,
    };
    checked.warnings.extend(config::warnings(&checked.config));
    Ok(checked)
}

/// `-f` and `-p` may stand beside a file, and win.
fn from_file(
    name: &str,
    asked: &ilagent::Asked,
    around: &Surroundings<'_>,
) -> Result<Checked, Faults> {
    let mut beside = ilagent::beside_file(asked, around);
    match (around.read)(Path::new(name)) {
        Ok(Some(text)) => {
            return native::read(name, &text, Syntax::of(name, &text), beside, around);
        }
        Ok(None) => beside.faults.add("--config", format!("there is no file {name}")),
        Err(why) => beside.faults.add("--config", why),
    }
    Err(beside.faults)
}
