//! Go's layouts: a time is written as the layout writes 15:04:05 on January 2, 2006.

use super::clock::{Moment, month_name, weekday_name};
use crate::alerts::json::push;
use time::OffsetDateTime;

/// What can stand in a layout. Of two with the same beginning the longer one comes first.
const PARTS: [(&str, Part); 38] = [
    ("January", Part::MonthName(9)),
    ("Jan", Part::MonthName(3)),
    ("Monday", Part::DayName(9)),
    ("Mon", Part::DayName(3)),
    ("MST", Part::Zone),
    ("2006", Part::Year),
    ("_2006", Part::SpaceYear),
    ("__2", Part::DayOfYear(' ')),
    ("_2", Part::Day(Some(' '))),
    ("002", Part::DayOfYear('0')),
    ("01", Part::Month(true)),
    ("02", Part::Day(Some('0'))),
    ("03", Part::Hour12(true)),
    ("04", Part::Minute(true)),
    ("05", Part::Second(true)),
    ("06", Part::ShortYear),
    ("15", Part::Hour),
    ("1", Part::Month(false)),
    ("2", Part::Day(None)),
    ("3", Part::Hour12(false)),
    ("4", Part::Minute(false)),
    ("5", Part::Second(false)),
    ("PM", Part::Half(true)),
    ("pm", Part::Half(false)),
    ("-07:00:00", Part::offset(3, true, false)),
    ("-07:00", Part::offset(2, true, false)),
    ("-070000", Part::offset(3, false, false)),
    ("-0700", Part::offset(2, false, false)),
    ("-07", Part::offset(1, false, false)),
    ("Z07:00:00", Part::offset(3, true, true)),
    ("Z07:00", Part::offset(2, true, true)),
    ("Z070000", Part::offset(3, false, true)),
    ("Z0700", Part::offset(2, false, true)),
    ("Z07", Part::offset(1, false, true)),
    (".0", Part::Fraction),
    (",0", Part::Fraction),
    (".9", Part::Fraction),
    (",9", Part::Fraction),
];

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    /// An underscore, and the year: it is not `_2`.
    SpaceYear,
    ShortYear,
    /// So many letters of its name.
    MonthName(usize),
    /// With two digits?
    Month(bool),
    /// So many letters of its name.
    DayName(usize),
    /// Filled up with what?
    Day(Option<char>),
    /// Filled up with what?
    DayOfYear(char),
    Hour,
    Hour12(bool),
    Minute(bool),
    Second(bool),
    /// `PM` in upper case?
    Half(bool),
    Zone,
    Offset {
        parts: u8,
        colons: bool,
        zulu: bool,
    },
    /// A point, or a comma, and zeros or nines.
    Fraction,
}

impl Part {
    const fn offset(parts: u8, colons: bool, zulu: bool) -> Part {
        Part::Offset { parts, colons, zulu }
    }
}

/// Writes a time.
pub(super) fn format(out: &mut String, moment: Moment<'_>, layout: &str) {
    let civil = moment.civil();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        match part(rest) {
            Some((Part::Fraction, length)) => fraction(out, civil.nanosecond(), &rest[..length]),
            Some((part, _)) => write(out, part, moment, civil),
            None => out.push(first),
        }
        rest = &rest[part(rest).map_or(first.len_utf8(), |(_, length)| length)..];
    }
}

/// The part at the beginning of a layout, and its length.
fn part(layout: &str) -> Option<(Part, usize)> {
    let begins = |&&(text, _): &&(&str, Part)| layout.starts_with(text);
    let &(text, part) = PARTS.iter().find(begins)?;
    match part {
        Part::Fraction => {
            let digit = layout[1..].chars().next()?;
            let digits = layout[1..].len() - layout[1..].trim_start_matches(digit).len();
            let ends = !layout[1 + digits..].starts_with(|next: char| next.is_ascii_digit());
            ends.then_some((part, 1 + digits))
        }
        // `Janet` has no month in it, `Monte` no day.
        Part::MonthName(3) | Part::DayName(3) => {
            let is_word = layout[3..].starts_with(|next: char| next.is_ascii_lowercase());
            (!is_word).then_some((part, 3))
        }
        _ => Some((part, text.len())),
    }
}

fn write(out: &mut String, part: Part, moment: Moment<'_>, civil: OffsetDateTime) {
    let hour12 = (civil.hour() + 11) % 12 + 1;
    match part {
        Part::Year => push(out, format_args!("{:04}", civil.year())),
        Part::SpaceYear => push(out, format_args!("_{:04}", civil.year())),
        Part::ShortYear => push(out, format_args!("{:02}", civil.year() % 100)),
        Part::MonthName(length) => name(out, month_name(u8::from(civil.month()).into()), length),
        Part::DayName(length) => {
            name(out, weekday_name(civil.weekday().number_days_from_sunday().into()), length);
        }
        Part::Month(filled) => number(out, u8::from(civil.month()), filled),
        Part::Day(Some(' ')) => push(out, format_args!("{:2}", civil.day())),
        Part::Day(fill) => number(out, civil.day(), fill.is_some()),
        Part::DayOfYear(' ') => push(out, format_args!("{:3}", civil.ordinal())),
        Part::DayOfYear(_) => push(out, format_args!("{:03}", civil.ordinal())),
        Part::Hour => number(out, civil.hour(), true),
        Part::Hour12(filled) => number(out, hour12, filled),
        Part::Minute(filled) => number(out, civil.minute(), filled),
        Part::Second(filled) => number(out, civil.second(), filled),
        Part::Half(upper) => {
            let half = if civil.hour() < 12 { "AM" } else { "PM" };
            out.push_str(&if upper { half.to_owned() } else { half.to_lowercase() });
        }
        Part::Zone => match moment.zone_name() {
            Some(name) => out.push_str(name),
            None => offset(out, moment.offset(), 2, false),
        },
        Part::Offset { zulu: true, .. } if moment.offset() == 0 => out.push('Z'),
        Part::Offset { parts, colons, .. } => offset(out, moment.offset(), parts, colons),
        Part::Fraction => (),
    }
}

fn name(out: &mut String, name: &str, length: usize) {
    out.push_str(name.get(..length).unwrap_or(name));
}

fn number(out: &mut String, number: u8, filled: bool) {
    let width = if filled { 2 } else { 1 };
    push(out, format_args!("{number:0width$}"));
}

/// `+02:00`
fn offset(out: &mut String, seconds: i32, parts: u8, colons: bool) {
    let size = seconds.unsigned_abs();
    out.push(if seconds < 0 { '-' } else { '+' });
    let all = [size / 3600, size / 60 % 60, size % 60];
    for (index, part) in all.into_iter().take(parts.into()).enumerate() {
        if index > 0 && colons {
            out.push(':');
        }
        push(out, format_args!("{part:02}"));
    }
}

/// Zeros are as many digits, nines as many as are needed; there are no more than nine.
fn fraction(out: &mut String, nanos: u32, layout: &str) {
    let all = format!("{nanos:09}");
    let digits = all.get(..layout.len() - 1).unwrap_or(&all);
    let digits = if layout.ends_with('9') { digits.trim_end_matches('0') } else { digits };
    if !digits.is_empty() {
        out.push_str(&layout[..1]);
        out.push_str(digits);
    }
}
