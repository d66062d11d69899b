//! Something wrong in a script, and where.

use super::ast::Place;
use crate::config;
use crate::system::plain;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What, and what to do about it; lower case, without a full stop.
    pub what: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(place: Place, what: impl Into<String>) -> Self {
        Fault { place, what: what.into() }
    }

    /// The same as a fault of the file in which the script is.
    #[must_use]
    pub fn of_file(&self, file: &str) -> config::Fault {
        let place = config::Place::File {
            file: file.to_owned(),
            line: self.place.line as usize,
            column: self.place.column as usize,
            way: String::new(),
        };
        config::Fault { place, what: self.what.clone() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may quote the script, and anybody may have written that.
        f.write_str(&plain::line(&format!("{}: {}", self.place, self.what)))
    }
}

impl std::error::Error for Fault {}

/// All faults found, never empty when given back as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes one more.
    pub fn add(&mut self, place: Place, what: impl Into<String>) {
        self.0.push(Fault::new(place, what));
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Faults(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        config::a_line_each(&self.0, f)
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_where_it_is() {
        let mut faults = Faults::from(Fault::new(Place { line: 3, column: 7 }, "a"));
        faults.add(Place { line: 4, column: 1 }, "b");
        assert_eq!(faults.to_string(), "line 3 char 7: a\nline 4 char 1: b");
        assert_eq!(faults.0[0].of_file("cpu.tick").to_string(), "cpu.tick:3:7: a");
    }
}
