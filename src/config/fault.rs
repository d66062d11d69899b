//! Something wrong in a configuration, and where.

use super::hush::hushed;
use crate::system::plain;
use std::fmt;

/// One thing that is wrong: `place: words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: `ilagent.toml:3:7`, or the name of a flag or variable.
    pub place: String,
    /// What, and what to do about it; lower case, without a full stop.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A value may stand in it, and the file may be anybody's.
        f.write_str(&plain::line(&format!("{}: {}", self.place, hushed(&self.what))))
    }
}

/// All faults found, never empty when given back as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Only this one.
    #[must_use]
    pub fn one(place: impl Into<String>, what: impl Into<String>) -> Self {
        Faults(vec![Fault { place: place.into(), what: what.into() }])
    }

    /// Notes one more.
    pub fn add(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.0.push(Fault { place: place.into(), what: what.into() });
    }

    /// Keeps a value, or notes why there is none.
    pub fn keep<T>(&mut self, place: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|what| self.add(place, what)).ok()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
