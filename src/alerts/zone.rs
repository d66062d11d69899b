//! Local time by a rule of POSIX, such as `CET-1CEST,M3.5.0,M10.5.0/3`, which is how OpenWrt and the
//! last line of each zone file say it (`system::zone` finds it).
//!
//! It is a rule for this year and the ones to come: past changes of the law are not in it. That is
//! enough for points, which are of today.

use time::{Date, Month, OffsetDateTime};

const SECOND: i64 = 1_000_000_000;
const HOUR_SECONDS: i32 = 3600;
const DAY_SECONDS: i32 = 24 * HOUR_SECONDS;

/// No place on earth is further than that from UTC, in hours.
const HOURS_MAX: i32 = 24;

/// A change may be at up to a week from its day, in hours (RFC 9636).
const CHANGE_HOURS_MAX: i32 = 167;

/// How local time differs from UTC. The default is UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// How far ahead of UTC, in seconds.
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Summer {
    /// How far ahead of UTC, in seconds.
    offset: i32,
    begins: Change,
    ends: Change,
}

/// When clocks change, by what they showed before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    /// Seconds after midnight.
    at: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Day {
    /// `Mm.w.d`: the d-th day of the week (0 is Sunday) in the w-th week (5 is the last) of a month.
    OfMonth { month: u8, week: u8, weekday: u8 },
    /// `Jn`: a day of the year from 1; February 29 is never counted.
    Julian(u16),
    /// `n`: a day of the year from 0; February 29 is counted.
    Ordinal(u16),
}

impl Zone {
    /// No difference at all.
    pub const UTC: Zone = Zone { standard: 0, summer: None };

    /// Reads a rule; `None` if it is none.
    #[must_use]
    pub fn read(rule: &str) -> Option<Self> {
        if matches!(rule, "UTC" | "GMT" | "Etc/UTC") {
            return Some(Zone::UTC); // OpenWrt's default is such a name and no rule.
        }
        let mut rest = rule;
        name(&mut rest)?;
        let standard = -clock(&mut rest, HOURS_MAX)?;
        if rest.is_empty() {
            return Some(Zone { standard, summer: None });
        }
        name(&mut rest)?;
        let offset = match rest.bytes().next() {
            None | Some(b',') => standard + HOUR_SECONDS,
            Some(_) => -clock(&mut rest, HOURS_MAX)?,
        };
        if rest.is_empty() {
            rest = ",M3.2.0,M11.1.0"; // What glibc and musl take for it: the United States.
        }
        let begins = change(&mut rest)?;
        let ends = change(&mut rest)?;
        rest.is_empty().then_some(Zone { standard, summer: Some(Summer { offset, begins, ends }) })
    }

    /// How far local time is ahead of UTC, in nanoseconds, at a time in nanoseconds since 1970.
    #[must_use]
    pub fn offset(&self, time: i64) -> i64 {
        SECOND * i64::from(self.seconds(time.div_euclid(SECOND)))
    }

    fn seconds(&self, time: i64) -> i32 {
        let Some(summer) = &self.summer else { return self.standard };
        let local = OffsetDateTime::from_unix_timestamp(time + i64::from(self.standard));
        let Ok(year) = local.map(OffsetDateTime::year) else { return self.standard };
        let begins = summer.begins.in_year(year) - i64::from(self.standard);
        let ends = summer.ends.in_year(year) - i64::from(summer.offset);
        let is_summer = if begins < ends {
            (begins..ends).contains(&time)
        } else {
            !(ends..begins).contains(&time) // The south.
        };
        if is_summer { summer.offset } else { self.standard }
    }
}

impl Change {
    /// In seconds since 1970 of the clock before the change.
    fn in_year(&self, year: i32) -> i64 {
        let day = self.day.in_year(year).unwrap_or(Date::MIN);
        day.midnight().assume_utc().unix_timestamp() + i64::from(self.at)
    }
}

impl Day {
    fn in_year(&self, year: i32) -> Option<Date> {
        let new_year = Date::from_ordinal_date(year, 1).ok()?;
        let after = |days: i64| new_year.checked_add(time::Duration::days(days));
        match *self {
            Day::Ordinal(day) => after(i64::from(day)),
            Day::Julian(day) => {
                let leap = time::util::is_leap_year(year) && day >= 60;
                after(i64::from(day) - 1 + i64::from(leap))
            }
            Day::OfMonth { month, week, weekday } => {
                let month = Month::try_from(month).ok()?;
                let first = Date::from_calendar_date(year, month, 1).ok()?;
                let until = (7 + weekday - first.weekday().number_days_from_sunday()) % 7;
                let mut day = 1 + until + 7 * (week - 1);
                while day > month.length(year) {
                    day -= 7;
                }
                Date::from_calendar_date(year, month, day).ok()
            }
        }
    }
}

/// `CET`, `<+0530>`
fn name(rest: &mut &str) -> Option<()> {
    let length = match rest.strip_prefix('<') {
        Some(quoted) => quoted.find('>')? + 2,
        None => rest.find(|one: char| !one.is_ascii_alphabetic()).unwrap_or(rest.len()),
    };
    *rest = &rest[length..];
    (length >= 3).then_some(())
}

/// `-1`, `5:30`, `-3:30:15`, in seconds.
fn clock(rest: &mut &str, hours_max: i32) -> Option<i32> {
    let minus = rest.starts_with('-');
    *rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let hours = i32::from(number(rest)?);
    let mut seconds = hours * HOUR_SECONDS;
    for unit in [60, 1] {
        let Some(after) = rest.strip_prefix(':') else { break };
        *rest = after;
        let part = number(rest).filter(|&part| part < 60)?;
        seconds += i32::from(part) * unit;
    }
    (hours <= hours_max).then_some(if minus { -seconds } else { seconds })
}

/// `,M3.5.0`, `,J60/3`, `,M10.5.0/-1`
fn change(rest: &mut &str) -> Option<Change> {
    *rest = rest.strip_prefix(',')?;
    let day = if let Some(after) = rest.strip_prefix('M') {
        *rest = after;
        let month = small(rest, 1, 12)?;
        *rest = rest.strip_prefix('.')?;
        let week = small(rest, 1, 5)?;
        *rest = rest.strip_prefix('.')?;
        Day::OfMonth { month, week, weekday: small(rest, 0, 6)? }
    } else if let Some(after) = rest.strip_prefix('J') {
        *rest = after;
        Day::Julian(number(rest).filter(|day| (1..=365).contains(day))?)
    } else {
        Day::Ordinal(number(rest).filter(|&day| day <= 365)?)
    };
    let at = match rest.strip_prefix('/') {
        None => 2 * HOUR_SECONDS,
        Some(after) => {
            *rest = after;
            clock(rest, CHANGE_HOURS_MAX)?
        }
    };
    debug_assert!(at.abs() < 8 * DAY_SECONDS);
    Some(Change { day, at })
}

fn small(rest: &mut &str, least: u8, most: u8) -> Option<u8> {
    let number = u8::try_from(number(rest)?).ok()?;
    (least..=most).contains(&number).then_some(number)
}

fn number(rest: &mut &str) -> Option<u16> {
    let length = rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, after) = rest.split_at(length);
    *rest = after;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i32, month: u8, day: u8, hour: u8, minute: u8) -> i64 {
        let month = Month::try_from(month).expect("a month");
        let date = Date::from_calendar_date(year, month, day).expect("a date");
        let time = date.with_hms(hour, minute, 0).expect("a time");
        time.assume_utc().unix_timestamp() * SECOND
    }

    #[test]
    fn clocks_change_when_the_rule_says() {
        let europe = "CET-1CEST,M3.5.0,M10.5.0/3";
        let states = "EST5EDT,M3.2.0,M11.1.0";
        let south = "AEST-10AEDT,M10.1.0,M4.1.0/3";
        for (rule, time, hours) in [
            (europe, at(2024, 1, 1, 0, 0), 1.0),
            (europe, at(2024, 3, 31, 0, 59), 1.0),
            (europe, at(2024, 3, 31, 1, 0), 2.0),
            (europe, at(2024, 10, 27, 0, 59), 2.0),
            (europe, at(2024, 10, 27, 1, 0), 1.0),
            (states, at(2024, 3, 10, 6, 59), -5.0),
            (states, at(2024, 3, 10, 7, 0), -4.0),
            ("EST5EDT", at(2024, 11, 3, 5, 59), -4.0),
            ("EST5EDT", at(2024, 11, 3, 6, 0), -5.0),
            (south, at(2024, 1, 1, 0, 0), 11.0),
            (south, at(2024, 4, 6, 16, 0), 10.0),
            (south, at(2024, 10, 5, 16, 0), 11.0),
            ("<+0530>-5:30", at(2024, 7, 1, 0, 0), 5.5),
            ("UTC0", at(2024, 7, 1, 0, 0), 0.0),
            ("UTC", at(2024, 7, 1, 0, 0), 0.0),
            ("IST-2IDT,M3.4.4/26,M10.5.0", at(2024, 3, 29, 0, 0), 3.0),
            ("AAA0BBB,J60,J61", at(2024, 3, 1, 2, 0), 1.0),
            ("AAA0BBB,59,61", at(2024, 2, 29, 2, 0), 1.0),
            ("AAA0BBB,59,61", at(2024, 2, 29, 1, 59), 0.0),
        ] {
            let zone = Zone::read(rule).unwrap_or_else(|| panic!("{rule} is a rule"));
            #[expect(clippy::cast_precision_loss, reason = "hours are small")]
            let found = zone.offset(time) as f64 / 3.6e12;
            assert!((found - hours).abs() < 1e-9, "{rule} at {time}: {found} hours");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for rule in [
            "",
            "Europe/Berlin",
            ":UTC",
            "CE-1",
            "CET",
            "CET-25",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M3.5.0,M13.5.0",
            "CET-1CEST,M3.0.0,M10.5.0",
            "CET-1CEST,M3.5.0,M10.5.0/3 ",
            "CET-1:60",
            "<CET-1",
            "CET-1CEST,J0,J9",
            "CET-1é",
        ] {
            assert_eq!(Zone::read(rule), None, "{rule:?}");
        }
    }
}
