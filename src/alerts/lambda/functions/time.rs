//! Parts of a date. Local time is what the caller's zone makes of it; there is no clock here.

use super::{Body, Function, Trouble, takes};
use crate::alerts::lambda::Scope;
use crate::alerts::lambda::types::{Type, Value};
use time::OffsetDateTime;

const SECOND: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 24 * 60 * 60;

pub(super) const TABLE: &[Function] = &[
    Function { name: "now", body: Body::Other(&[takes(&[], Type::Time)], now) },
    Function { name: "unixNano", body: Body::Other(&[takes(&[Type::Time], Type::Int)], unix_nano) },
    date("minute", |time| seconds(time).div_euclid(60).rem_euclid(60)),
    date("hour", |time| seconds(time).div_euclid(3600).rem_euclid(24)),
    // 1970 began on a Thursday; weeks begin on Sunday.
    date("weekday", |time| (seconds(time).div_euclid(DAY_SECONDS) + 4).rem_euclid(7)),
    date("day", |time| calendar(time).map_or(0, |date| i64::from(date.day()))),
    date("month", |time| calendar(time).map_or(0, |date| i64::from(u8::from(date.month())))),
    date("year", |time| calendar(time).map_or(0, |date| i64::from(date.year()))),
];

const fn date(name: &'static str, body: fn(i64) -> i64) -> Function {
    Function { name, body: Body::Date(body) }
}

fn seconds(time: i64) -> i64 {
    time.div_euclid(SECOND)
}

/// There is one for all that 64 bits of nanoseconds can say.
fn calendar(time: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds(time)).ok()
}

fn now<'a>(given: &[Value<'a>], scope: &dyn Scope) -> Result<Value<'a>, Trouble> {
    if given.is_empty() { Ok(Value::Time(scope.now())) } else { Err(Trouble::Arguments) }
}

fn unix_nano<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let &[Value::Time(time)] = given else { return Err(Trouble::Arguments) };
    Ok(Value::Int(time))
}
