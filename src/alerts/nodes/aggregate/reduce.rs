//! One value, or a few, of the values of a batch.

use super::Sample;
use super::numbers::{compare, count, mean, numbers, whole};
use crate::alerts::pipeline::Function;
use crate::alerts::point::Field;
use std::cmp::Ordering;

/// A result.
pub(super) struct Reduced {
    pub(super) value: Field,
    /// Which point of the batch it is the value of, if it is one.
    pub(super) chosen: Option<usize>,
}

/// What the function makes of values; there is at least one, except for a count. Or why it makes
/// nothing of them.
pub(super) fn reduce(function: &Function, values: &[Sample<'_>]) -> Result<Vec<Reduced>, String> {
    let name = function.name();
    if needs_numbers(function) {
        numbers(name, values)?;
    }
    let value = match function {
        Function::Count => Field::Int(i64::try_from(values.len()).unwrap_or(i64::MAX)),
        Function::Mean => Field::Float(mean(&numbers(name, values)?)),
        Function::Median => Field::Float(median(numbers(name, values)?)),
        Function::Stddev => Field::Float(deviation(&numbers(name, values)?)),
        Function::Sum => match whole(values) {
            Some(whole) => Field::Int(whole.into_iter().fold(0, i64::wrapping_add)),
            None => Field::Float(numbers(name, values)?.iter().sum()),
        },
        Function::Spread => match whole(values) {
            Some(whole) => Field::Int(spread(&whole).map_or(0, |(min, max)| max.wrapping_sub(min))),
            None => {
                let (min, max) = spread_of_floats(&numbers(name, values)?);
                Field::Float(max - min)
            }
        },
        Function::Mode => return Ok(chosen(mode(values))),
        Function::Distinct => return Ok(distinct(values)),
        Function::First => return Ok(chosen(best(values, earlier))),
        Function::Last => return Ok(chosen(best(values, |a, b| earlier(b, a)))),
        Function::Min => return Ok(chosen(best(values, less))),
        Function::Max => return Ok(chosen(best(values, greater))),
        Function::Percentile(percent) => return Ok(chosen(percentile(values, *percent))),
        Function::Top(limit, _) => return Ok(first_of(values, *limit, greater)),
        Function::Bottom(limit, _) => return Ok(first_of(values, *limit, less)),
        Function::Difference
        | Function::Elapsed(_)
        | Function::CumulativeSum
        | Function::MovingAverage(_) => return Err(format!("{name} is no function of a batch")),
    };
    Ok(vec![Reduced { value, chosen: None }])
}

fn needs_numbers(function: &Function) -> bool {
    !matches!(
        function,
        Function::Count | Function::Distinct | Function::Mode | Function::First | Function::Last
    )
}

fn chosen(sample: Option<Sample<'_>>) -> Vec<Reduced> {
    let reduced = |it: Sample<'_>| Reduced { value: it.value.clone(), chosen: Some(it.row) };
    sample.map(reduced).into_iter().collect()
}

/// The first one before which no other comes.
fn best<'a>(
    values: &[Sample<'a>],
    order: impl Fn(&Sample<'_>, &Sample<'_>) -> Ordering,
) -> Option<Sample<'a>> {
    values.iter().copied().reduce(
        |best, next| {
            if order(&next, &best) == Ordering::Less { next } else { best }
        },
    )
}

/// By time; of two with the same time the larger one comes first.
fn earlier(one: &Sample<'_>, other: &Sample<'_>) -> Ordering {
    one.time.cmp(&other.time).then_with(|| compare(other.value, one.value))
}

/// By value; of two with the same value the earlier one comes first.
fn less(one: &Sample<'_>, other: &Sample<'_>) -> Ordering {
    compare(one.value, other.value).then(one.time.cmp(&other.time))
}

fn greater(one: &Sample<'_>, other: &Sample<'_>) -> Ordering {
    compare(other.value, one.value).then(one.time.cmp(&other.time))
}

fn first_of(
    values: &[Sample<'_>],
    limit: usize,
    order: impl Fn(&Sample<'_>, &Sample<'_>) -> Ordering,
) -> Vec<Reduced> {
    let mut sorted = values.to_vec();
    sorted.sort_by(order);
    sorted.into_iter().take(limit).flat_map(|sample| chosen(Some(sample))).collect()
}

fn percentile<'a>(values: &[Sample<'a>], percent: f64) -> Option<Sample<'a>> {
    let mut sorted = values.to_vec();
    sorted.sort_by(less);
    let place = (count(sorted.len()) * percent / 100.0 + 0.5).floor() - 1.0;
    (0..sorted.len())
        .find(|&index| count(index) >= place)
        .filter(|_| place >= 0.0)
        .map(|i| sorted[i])
}

/// The value that is there most often; of several the one that came first.
fn mode<'a>(values: &[Sample<'a>]) -> Option<Sample<'a>> {
    let mut sorted = values.to_vec();
    sorted.sort_by(less);
    let runs = sorted.chunk_by(|one, next| compare(one.value, next.value) == Ordering::Equal);
    let most = runs.reduce(|best, run| {
        let is_more = run.len() > best.len();
        let is_earlier = run.len() == best.len() && run[0].time < best[0].time;
        if is_more || is_earlier { run } else { best }
    });
    most.map(|run| run[0])
}

/// Each value once, in the order of time.
fn distinct(values: &[Sample<'_>]) -> Vec<Reduced> {
    let mut sorted = values.to_vec();
    sorted.sort_by(less);
    sorted.dedup_by(|one, before| compare(one.value, before.value) == Ordering::Equal);
    sorted.sort_by_key(|sample| sample.time);
    sorted.into_iter().flat_map(|sample| chosen(Some(sample))).collect()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    } else {
        numbers[middle]
    }
}

/// Of a sample; of one value it is 0.
fn deviation(numbers: &[f64]) -> f64 {
    if numbers.len() < 2 {
        return 0.0;
    }
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    (squares / count(numbers.len() - 1)).sqrt()
}

fn spread(whole: &[i64]) -> Option<(i64, i64)> {
    Some((*whole.iter().min()?, *whole.iter().max()?))
}

fn spread_of_floats(numbers: &[f64]) -> (f64, f64) {
    let wider = |(min, max): (f64, f64), &number: &f64| (min.min(number), max.max(number));
    numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), wider)
}
