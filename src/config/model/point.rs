//! How measurements are written.

/// What the timestamps of points count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `n`, what is meant if nothing is said.
    #[default]
    Nanoseconds,
    /// `u`
    Microseconds,
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
}

impl Precision {
    /// As writers of line protocol spell it.
    ///
    /// # Errors
    ///
    /// Says which there are.
    pub fn of(word: &str) -> Result<Self, String> {
        Ok(match word {
            "" | "n" | "ns" => Precision::Nanoseconds,
            "u" | "us" | "µ" => Precision::Microseconds,
            "ms" => Precision::Milliseconds,
            "s" => Precision::Seconds,
            "m" => Precision::Minutes,
            "h" => Precision::Hours,
            _ => return Err(format!("invalid precision \"{word}\" (use n, u, ms, s, m or h)")),
        })
    }

    /// How many nanoseconds one is.
    #[must_use]
    pub fn nanoseconds(self) -> i64 {
        match self {
            Precision::Nanoseconds => 1,
            Precision::Microseconds => 1_000,
            Precision::Milliseconds => 1_000_000,
            Precision::Seconds => 1_000_000_000,
            Precision::Minutes => 60_000_000_000,
            Precision::Hours => 3_600_000_000_000,
        }
    }
}
