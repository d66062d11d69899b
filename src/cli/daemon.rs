//! The configuration of `daemon` and `check`: from flags, or from a file.

use crate::config::dialects::{ilagent, native};
use crate::config::{Checked, Faults, Surroundings};
use std::path::Path;

/// Finds out what is to be done.
///
/// # Errors
///
/// Every fault of the flags, the environment and the file, together.
pub fn configure(asked: &ilagent::Asked, around: &Surroundings<'_>) -> Result<Checked, Faults> {
    let Some(name) = &asked.flags.config else {
        return ilagent::read(asked, around);
    };
    let checked = match (around.read)(Path::new(name)) {
        Ok(Some(text)) => native::read(name, &text, native::Syntax::of(name, &text), around),
        Ok(None) => Err(Faults::one("--config", format!("there is no file {name}"))),
        Err(why) => Err(Faults::one("--config", why)),
    };
    ilagent::accompany(asked, checked)
}
