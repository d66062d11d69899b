//! Functions of time, in ISO 8601 and UTC.

use crate::jsonata::fault::Error;
use crate::jsonata::machine::Machine;
use crate::jsonata::value::Value;

type Result = std::result::Result<Value, Error>;

const SECOND: i64 = 1_000;
const DAY: i64 = 86_400 * SECOND;

/// The days of four centuries, after which the calendar begins again.
const DAYS_OF_ERA: i64 = 146_097;

/// The furthest times that JavaScript has, in milliseconds from 1970.
const FURTHEST: f64 = 8.64e15;

pub(super) fn now(machine: &mut Machine<'_>, _: &[Value]) -> Result {
    Ok(Value::text(&written(machine.context.now)))
}

pub(super) fn millis(machine: &mut Machine<'_>, _: &[Value]) -> Result {
    #[allow(clippy::cast_precision_loss, reason = "it is no time to worry about")]
    let now = machine.context.now as f64;
    Ok(Value::Number(now))
}

pub(super) fn from_millis(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    match arguments.first() {
        Some(Value::Number(millis)) if millis.abs() <= FURTHEST => {
            #[allow(clippy::cast_possible_truncation, reason = "it fits, as has been looked at")]
            let millis = millis.trunc() as i64;
            Ok(Value::text(&written(millis)))
        }
        Some(Value::Number(_)) => Err(Error::new("D3110", "the number is no time")),
        _ => Ok(Value::Nothing),
    }
}

pub(super) fn to_millis(_: &mut Machine<'_>, arguments: &[Value]) -> Result {
    match arguments.first() {
        Some(Value::Text(text)) => match read(text) {
            #[allow(clippy::cast_precision_loss, reason = "years have four digits")]
            Some(millis) => Ok(Value::Number(millis as f64)),
            None => Err(Error::new("D3110", format!("{text:?} is no time in ISO 8601"))),
        },
        _ => Ok(Value::Nothing),
    }
}

fn written(millis: i64) -> String {
    let (days, of_day) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = date_of(days);
    let year = match year {
        0..=9_999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    let (seconds, millis) = (of_day / SECOND, of_day % SECOND);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// A date by its days from 1970-01-01. Years begin in March here, so that the odd day is the last.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The days from 1970-01-01 to a date.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * DAYS_OF_ERA + of_era - 719_468
}

/// A date, with a time if there is one; without a zone it is UTC.
fn read(text: &str) -> Option<i64> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    let month = behind(&mut rest, "-", 2).unwrap_or(1);
    let day = behind(&mut rest, "-", 2).unwrap_or(1);
    let is_date = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
    let mut millis = is_date.then(|| days_to(year, month, day) * DAY)?;
    if let Some(hour) = behind(&mut rest, "T", 2) {
        let (minute, second) = (behind(&mut rest, ":", 2)?, behind(&mut rest, ":", 2)?);
        let is_time = hour < 24 && minute < 60 && second < 60;
        millis += is_time.then_some((hour * 3_600 + minute * 60 + second) * SECOND)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
            let mut written = format!("{:0<3}", &fraction[..length]);
            written.truncate(3);
            millis += (length > 0).then(|| written.parse::<i64>().ok()).flatten()?;
            rest = &fraction[length..];
        }
        millis -= zone(&mut rest)?;
    }
    rest.is_empty().then_some(millis)
}

/// How far a zone is ahead of UTC.
fn zone(rest: &mut &str) -> Option<i64> {
    let sign = match rest.chars().next() {
        None => return Some(0),
        Some('+') => 1,
        Some('-') => -1,
        Some('Z') => {
            *rest = &rest[1..];
            return Some(0);
        }
        Some(_) => return None,
    };
    *rest = &rest[1..];
    let hours = digits(rest, 2).filter(|hours| *hours < 24)?;
    *rest = rest.strip_prefix(':').unwrap_or(rest);
    let minutes = digits(rest, 2).filter(|minutes| *minutes < 60)?;
    Some(sign * (hours * 3_600 + minutes * 60) * SECOND)
}

fn days_of(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_to(next_year, next, 1) - days_to(year, month, 1)
}

/// A number of this many digits.
fn digits(rest: &mut &str, length: usize) -> Option<i64> {
    let found = rest.get(..length).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    *rest = &rest[length..];
    found.parse().ok()
}

/// The same behind a mark.
fn behind(rest: &mut &str, mark: &str, length: usize) -> Option<i64> {
    let mut after = rest.strip_prefix(mark)?;
    let number = digits(&mut after, length)?;
    *rest = after;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(written(millis), text);
            assert_eq!(read(text), Some(millis), "{text}");
        }
        assert_eq!(written(8_640_000_000_000_000), "+275760-09-13T00:00:00.000Z");
        for (text, wanted) in [
            ("2020", Some(1_577_836_800_000)),
            ("2020-02", Some(1_580_515_200_000)),
            ("2020-02-29", Some(1_582_934_400_000)),
            ("2021-02-29", None),
            ("2020-01-01T00:00:00+01:00", Some(1_577_833_200_000)),
            ("2020-01-01T00:00:00.5-0130", Some(1_577_842_200_500)),
            ("2020-01-01T24:00:00Z", None),
            ("2020-01-01 00:00:00", None),
            ("2020-1-1", None),
            ("", None),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
