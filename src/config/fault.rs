//! Something wrong in a configuration, and where.

use super::hush::hushed;
use crate::system::plain;
use std::fmt;

/// One thing that is wrong: `place: words`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What, and what to do about it; lower case, without a full stop.
    pub what: String,
}

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file: `ilagent.toml:3:7`.
    File {
        /// The name of the file, as it was given.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// The keys on the way there, `mqtt[0].url`; empty where lines are enough to find it.
        way: String,
    },
    /// In a flag or a variable, by its name.
    Name(String),
}

impl Place {
    /// The place of a line and column, both from 1, of a text that begins here and whose lines all
    /// begin below one another: a script in a block of YAML, or between `'''` of TOML.
    #[must_use]
    pub fn shifted(&self, by_line: usize, by_column: usize) -> Self {
        let mut place = self.clone();
        if let Place::File { line, column, .. } = &mut place {
            *line += by_line.saturating_sub(1);
            *column += by_column.saturating_sub(1);
        }
        place
    }

    /// Files first and from top to bottom; names stay in the order in which they were found.
    fn order(&self) -> (bool, &str, usize, usize) {
        match self {
            Place::File { file, line, column, .. } => (false, file, *line, *column),
            Place::Name(_) => (true, "", 0, 0),
        }
    }
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Place::Name(name.to_owned())
    }
}

impl From<String> for Place {
    fn from(name: String) -> Self {
        Place::Name(name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Name(name) => f.write_str(name),
            Place::File { file, line, column, way } => {
                let colon = if way.is_empty() { "" } else { ": " };
                write!(f, "{file}:{line}:{column}{colon}{way}")
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may show a value, and anybody may have written the file.
        f.write_str(&plain::line(&format!("{}: {}", self.place, hushed(&self.what))))
    }
}

/// All faults found, never empty when given back as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Only this one.
    #[must_use]
    pub fn one(place: impl Into<Place>, what: impl Into<String>) -> Self {
        Faults(vec![Fault { place: place.into(), what: what.into() }])
    }

    /// Notes one more.
    pub fn add(&mut self, place: impl Into<Place>, what: impl Into<String>) {
        self.0.push(Fault { place: place.into(), what: what.into() });
    }

    /// Returns a value, or notes why there is none.
    pub fn keep<T>(&mut self, place: &str, parsed: Result<T, String>) -> Option<T> {
        parsed.map_err(|what| self.add(place, what)).ok()
    }

    /// Puts them in the order in which a person reads a file.
    pub fn sort(&mut self) {
        // With their numbers the smaller of the two sorts of the standard library will do.
        let mut all: Vec<(usize, Fault)> = self.0.drain(..).enumerate().collect();
        all.sort_unstable_by(|(number, one), (other_number, other)| {
            one.place.order().cmp(&other.place.order()).then(number.cmp(other_number))
        });
        self.0.extend(all.into_iter().map(|(_, fault)| fault));
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        a_line_each(&self.0, f)
    }
}

/// Prints each on a line of its own, without a line end at the end.
///
/// # Errors
///
/// Those of the formatter.
pub fn a_line_each<T: fmt::Display>(faults: &[T], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, fault) in faults.iter().enumerate() {
        if index > 0 {
            writeln!(f)?;
        }
        write!(f, "{fault}")?;
    }
    Ok(())
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, column: usize) -> Place {
        Place::File { file: "a.yaml".to_owned(), line, column, way: String::new() }
    }

    #[test]
    fn a_place_inside_a_text_is_shifted_to_that_of_the_text() {
        for (line, column, wanted) in
            [(1, 1, "a.yaml:7:5"), (1, 4, "a.yaml:7:8"), (3, 2, "a.yaml:9:6")]
        {
            assert_eq!(at(7, 5).shifted(line, column).to_string(), wanted);
        }
        assert_eq!(Place::from("--flag").shifted(2, 2), Place::from("--flag"));
    }

    #[test]
    fn faults_are_sorted_by_place_and_names_come_last() {
        let mut faults = Faults::default();
        faults.add("--b", "1");
        faults.add(at(2, 1), "2");
        faults.add("--a", "3");
        faults.add(at(1, 9), "4");
        faults.sort();
        let order: Vec<_> = faults.0.iter().map(|fault| fault.what.as_str()).collect();
        assert_eq!(order, ["4", "2", "1", "3"]);
    }
}
