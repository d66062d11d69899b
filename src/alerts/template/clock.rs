//! Times and durations as Go has them: their methods, and how they are written.

use super::layout;
use super::value::{Int, Value};
use crate::alerts::json::moment;
use crate::alerts::zone::Zone;
use std::fmt::Write;
use time::OffsetDateTime;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// How Go writes a time that nobody gave a layout for.
const DEFAULT_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A time, somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'a> {
    /// In nanoseconds since 1970.
    nanos: i64,
    /// What local time is; nothing is UTC.
    zone: Option<&'a Zone>,
    is_local: bool,
}

impl<'a> Moment<'a> {
    pub(super) fn utc(nanos: i64, zone: Option<&'a Zone>) -> Self {
        Moment { nanos, zone, is_local: false }
    }

    /// How far ahead of UTC, in seconds.
    pub(super) fn offset(self) -> i32 {
        let nanos = self.zone.filter(|_| self.is_local).map_or(0, |zone| zone.offset(self.nanos));
        i32::try_from(nanos / 1_000_000_000).unwrap_or_default()
    }

    /// The abbreviation of its zone, if it has one.
    pub(super) fn zone_name(self) -> Option<&'static str> {
        (self.offset() == 0).then_some("UTC")
    }

    /// What clocks and calendars show there.
    pub(super) fn civil(self) -> OffsetDateTime {
        moment(self.nanos) + time::Duration::seconds(self.offset().into())
    }

    /// As Go's `String` writes it.
    pub(super) fn text(self) -> String {
        self.format(DEFAULT_LAYOUT)
    }

    pub(super) fn format(self, layout: &str) -> String {
        let mut out = String::new();
        layout::format(&mut out, self, layout);
        out
    }

    /// # Errors
    ///
    /// Says what is wrong with the name or the arguments.
    pub(super) fn method(self, name: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, String> {
        match (name, arguments) {
            ("Format", [Value::Text(layout)]) => Ok(Value::made(self.format(layout))),
            ("Format", _) => Err("`.Format` takes one text, as \"2006-01-02 15:04:05\"".to_owned()),
            ("Add", [Value::Int(nanos, Int::Duration)]) => {
                Ok(Value::Time(Moment { nanos: self.nanos.saturating_add(*nanos), ..self }))
            }
            ("Truncate", [Value::Int(unit, Int::Duration)]) => {
                let over = if *unit > 0 { self.nanos.rem_euclid(*unit) } else { 0 };
                Ok(Value::Time(Moment { nanos: self.nanos.saturating_sub(over), ..self }))
            }
            ("Sub", [Value::Time(other)]) => {
                Ok(Value::duration(self.nanos.saturating_sub(other.nanos)))
            }
            ("Before", [Value::Time(other)]) => Ok(Value::Bool(self.nanos < other.nanos)),
            ("After", [Value::Time(other)]) => Ok(Value::Bool(self.nanos > other.nanos)),
            ("Equal", [Value::Time(other)]) => Ok(Value::Bool(self.nanos == other.nanos)),
            (_, []) => self
                .part(name)
                .ok_or_else(|| format!("a time has no method `.{name}` without arguments")),
            _ => Err(format!("a time has no method `.{name}` with these arguments")),
        }
    }

    fn part(self, name: &str) -> Option<Value<'a>> {
        let civil = self.civil();
        let small = |part: u8| Value::int(part.into());
        Some(match name {
            "Unix" => Value::Int(self.nanos.div_euclid(1_000_000_000), Int::Int64),
            "UnixMilli" => Value::Int(self.nanos.div_euclid(1_000_000), Int::Int64),
            "UnixMicro" => Value::Int(self.nanos.div_euclid(1_000), Int::Int64),
            "UnixNano" => Value::Int(self.nanos, Int::Int64),
            "Local" => Value::Time(Moment { is_local: true, ..self }),
            "UTC" => Value::Time(Moment { is_local: false, ..self }),
            "Year" => Value::int(civil.year().into()),
            "Month" => Value::Int(u8::from(civil.month()).into(), Int::Month),
            "Day" => small(civil.day()),
            "Weekday" => Value::Int(civil.weekday().number_days_from_sunday().into(), Int::Weekday),
            "YearDay" => Value::int(civil.ordinal().into()),
            "Hour" => small(civil.hour()),
            "Minute" => small(civil.minute()),
            "Second" => small(civil.second()),
            "Nanosecond" => Value::int(civil.nanosecond().into()),
            "IsZero" => Value::Bool(false), // Go's zero is the year 1.
            "String" => Value::made(self.text()),
            _ => return None,
        })
    }
}

/// # Errors
///
/// Says what is wrong with the name or the arguments.
pub(super) fn duration_method<'a>(
    nanos: i64,
    name: &str,
    arguments: &[Value<'a>],
) -> Result<Value<'a>, String> {
    #[expect(clippy::cast_precision_loss, reason = "as in Go")]
    let per = |unit: f64| Value::Float(nanos as f64 / unit);
    Ok(match (name, arguments) {
        ("Seconds", []) => per(1e9),
        ("Minutes", []) => per(60e9),
        ("Hours", []) => per(3600e9),
        ("Milliseconds", []) => Value::Int(nanos / 1_000_000, Int::Int64),
        ("Microseconds", []) => Value::Int(nanos / 1_000, Int::Int64),
        ("Nanoseconds", []) => Value::Int(nanos, Int::Int64),
        ("Abs", []) => Value::duration(nanos.saturating_abs()),
        ("String", []) => Value::made(duration_text(nanos)),
        ("Truncate", [Value::Int(unit, Int::Duration)]) => {
            let over = if *unit > 0 { nanos % unit } else { 0 };
            Value::duration(nanos - over)
        }
        _ => return Err(format!("a duration has no method `.{name}` with these arguments")),
    })
}

/// `1h0m0s`, `1.5s`, `2ms`, `0s`
pub(super) fn duration_text(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let mut out = if nanos < 0 { "-".to_owned() } else { String::new() };
    let (unit, word) = match size {
        0 => return "0s".to_owned(),
        _ if size < MICROSECOND => (1, "ns"),
        _ if size < MILLISECOND => (MICROSECOND, "µs"),
        _ if size < SECOND => (MILLISECOND, "ms"),
        _ => (SECOND, "s"),
    };
    let whole = size / unit;
    let mut add = |part: std::fmt::Arguments<'_>| out.write_fmt(part).unwrap_or_default();
    if unit < SECOND {
        add(format_args!("{whole}"));
    } else {
        let (hours, minutes) = (whole / 3600, whole / 60);
        if hours > 0 {
            add(format_args!("{hours}h"));
        }
        if minutes > 0 {
            add(format_args!("{}m", minutes % 60));
        }
        add(format_args!("{}", whole % 60));
    }
    if !size.is_multiple_of(unit) {
        let width = unit.ilog10() as usize;
        let digits = format!(".{:0width$}", size % unit);
        out.push_str(digits.trim_end_matches('0'));
    }
    out.push_str(word);
    out
}

/// Of a month from 1.
pub(super) fn month_name(month: i64) -> &'static str {
    usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).unwrap_or(&"")
}

/// Of a day from 0, which is Sunday.
pub(super) fn weekday_name(day: i64) -> &'static str {
    usize::try_from(day).ok().and_then(|index| DAYS.get(index)).unwrap_or(&"")
}
