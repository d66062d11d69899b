//! Numbers of a field: whole ones stay whole as long as all are.

use super::Sample;
use crate::alerts::nodes::view::{kind, number};
use crate::alerts::point::Field;
use std::cmp::Ordering;

/// Which one is less. Whole numbers are compared as such, whatever their size.
pub(super) fn compare(one: &Field, other: &Field) -> Ordering {
    match (one, other) {
        (Field::Int(one), Field::Int(other)) => one.cmp(other),
        (Field::Text(one), Field::Text(other)) => one.cmp(other),
        (Field::Bool(one), Field::Bool(other)) => one.cmp(other),
        _ => match (number(one), number(other)) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        },
    }
}

/// The values as numbers, or why they are none.
pub(super) fn numbers(function: &str, values: &[Sample<'_>]) -> Result<Vec<f64>, String> {
    let one = |sample: &Sample<'_>| {
        let wrong = || format!("{function} needs numbers, the field is {}", kind(sample.value));
        number(sample.value).ok_or_else(wrong)
    };
    values.iter().map(one).collect()
}

/// The values as whole numbers, if all are.
pub(super) fn whole(values: &[Sample<'_>]) -> Option<Vec<i64>> {
    let one = |sample: &Sample<'_>| match *sample.value {
        Field::Int(value) => Some(value),
        Field::Float(_) | Field::Bool(_) | Field::Text(_) => None,
    };
    values.iter().map(one).collect()
}

/// Their mean.
pub(super) fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / count(numbers.len())
}

/// A number of things as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "there are never so many")]
pub(super) fn count(things: usize) -> f64 {
    things as f64
}
