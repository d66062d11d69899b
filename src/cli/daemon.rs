//! The configuration of `daemon` and `check`: from flags, or from a file.

use crate::config::dialects::ilagent;
use crate::config::dialects::native::{self, Syntax};
use crate::config::{self, Checked, Faults, Surroundings};
use std::path::{Path, PathBuf};

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
    let mut faults = Faults::default();
    let port = ilagent::beside_file(asked, &mut faults);
    let checked = match (around.read)(Path::new(name)) {
        Ok(Some(text)) => native::read(name, &text, Syntax::of(name, &text), port, around),
        Ok(None) => Err(Faults::one("--config", format!("there is no file {name}"))),
        Err(why) => Err(Faults::one("--config", why)),
    };
    match checked {
        Ok(mut checked) if faults.0.is_empty() => {
            if let Some(database) = &asked.database {
                checked.config.queue.path = PathBuf::from(database);
            }
            Ok(checked)
        }
        Ok(_) => Err(faults),
        Err(found) => {
            faults.0.extend(found.0);
            Err(faults)
        }
    }
}
