//! Functions that remember: each call in an expression has a cell of its own, for each group.

use super::types::{Type, Value};

/// What the functions of one expression remember of one group.
///
/// Most expressions remember nothing, and then this holds nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State(Box<[Cell]>);

/// A function that remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stateful {
    /// How many times it was called.
    Count,
    /// How many standard deviations a value is away from the mean of all so far.
    Sigma,
    /// The distance between the least and the greatest value so far.
    Spread,
    /// Some number from 0 up to, but not including, 1.
    Rand,
}

/// What a call remembers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Count(i64),
    Sigma { count: f64, mean: f64, squares: f64 },
    Spread { least: f64, greatest: f64 },
    Rand(Option<u64>),
}

impl Stateful {
    /// The function of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    pub(super) const ALL: [Stateful; 4] =
        [Stateful::Count, Stateful::Sigma, Stateful::Spread, Stateful::Rand];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Stateful::Count => "count",
            Stateful::Sigma => "sigma",
            Stateful::Spread => "spread",
            Stateful::Rand => "rand",
        }
    }

    /// What it takes.
    pub(super) fn takes(self) -> &'static [Type] {
        match self {
            Stateful::Count | Stateful::Rand => &[],
            Stateful::Sigma | Stateful::Spread => &[Type::Float],
        }
    }

    /// What it makes of it.
    pub(super) fn makes(self) -> Type {
        match self {
            Stateful::Count => Type::Int,
            Stateful::Sigma | Stateful::Spread | Stateful::Rand => Type::Float,
        }
    }

    fn fresh(self) -> Cell {
        match self {
            Stateful::Count => Cell::Count(0),
            Stateful::Sigma => Cell::Sigma { count: 0.0, mean: 0.0, squares: 0.0 },
            Stateful::Spread => Cell::Spread { least: f64::INFINITY, greatest: f64::NEG_INFINITY },
            Stateful::Rand => Cell::Rand(None),
        }
    }
}

impl State {
    /// Nothing remembered yet.
    pub(super) fn fresh(cells: &[Stateful]) -> Self {
        State(cells.iter().map(|one| one.fresh()).collect())
    }

    /// For a record: what [`Lambda::restored`](super::Lambda::restored) reads. Letters and digits.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for cell in &self.0 {
            cell.write(&mut text);
        }
        text
    }

    /// From a record; `None` if it is of another expression.
    pub(super) fn restored(cells: &[Stateful], record: &str) -> Option<Self> {
        let mut rest = record;
        let cells = cells.iter().map(|one| one.fresh().read(&mut rest)).collect::<Option<_>>()?;
        rest.is_empty().then_some(State(cells))
    }

    /// Calls the function that has this cell. A state of another expression may have no such cell,
    /// or one of another function; then the call begins from nothing.
    pub(super) fn call(
        &mut self,
        cell: usize,
        function: Stateful,
        argument: f64,
        seed: impl FnOnce() -> u64,
    ) -> Value<'static> {
        let mut spare = function.fresh();
        let cell = self.0.get_mut(cell).unwrap_or(&mut spare);
        match cell {
            Cell::Count(count) => {
                *count = count.wrapping_add(1);
                Value::Int(*count)
            }
            Cell::Sigma { count, mean, squares } => {
                Value::Float(deviation(count, mean, squares, argument))
            }
            Cell::Spread { least, greatest } => {
                // Not `min` and `max`: a NaN must not become the least and the greatest.
                if argument < *least {
                    *least = argument;
                }
                if argument > *greatest {
                    *greatest = argument;
                }
                Value::Float(*greatest - *least)
            }
            Cell::Rand(last) => {
                let next = last.unwrap_or_else(seed).wrapping_add(GOLDEN);
                *last = Some(next);
                Value::Float(fraction(next))
            }
        }
    }
}

/// How far a value is from the mean, itself included, in standard deviations of a sample
/// (Welford's way, which does not lose small differences between large numbers).
fn deviation(count: &mut f64, mean: &mut f64, squares: &mut f64, value: f64) -> f64 {
    *count += 1.0;
    let before = value - *mean;
    *mean += before / *count;
    *squares += before * (value - *mean);
    let variance = *squares / (*count - 1.0);
    if *count < 2.0 || variance == 0.0 {
        return 0.0;
    }
    (value - *mean).abs() / variance.sqrt()
}

/// The step of a Weyl sequence, 2^64 by the golden ratio; odd, so all numbers come.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes the bits (SplitMix64's finish) and takes the upper 53 as a fraction.
fn fraction(bits: u64) -> f64 {
    let mut mixed = bits;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    let upper = (mixed >> 11) as f64;
    upper / 9_007_199_254_740_992.0 // 2^53
}

/// A letter for the function, then each number as 16 digits: floats by their bits, so nothing is
/// rounded.
impl Cell {
    fn write(&self, text: &mut String) {
        let (letter, words): (char, &[u64]) = match *self {
            Cell::Count(count) => ('c', &[count.cast_unsigned()]),
            Cell::Sigma { count, mean, squares } => {
                ('s', &[count, mean, squares].map(f64::to_bits))
            }
            Cell::Spread { least, greatest } => ('d', &[least, greatest].map(f64::to_bits)),
            Cell::Rand(Some(last)) => ('r', &[last]),
            Cell::Rand(None) => ('n', &[]),
        };
        text.push(letter);
        words.iter().for_each(|word| text.push_str(&format!("{word:016x}")));
    }

    /// The same kind of cell, from the beginning of the text.
    fn read(self, text: &mut &str) -> Option<Self> {
        let letter = take(text, 1)?;
        let mut word = || u64::from_str_radix(take(text, 16)?, 16).ok();
        let cell = match (self, letter) {
            (Cell::Count(_), "c") => Cell::Count(word()?.cast_signed()),
            (Cell::Sigma { .. }, "s") => Cell::Sigma {
                count: f64::from_bits(word()?),
                mean: f64::from_bits(word()?),
                squares: f64::from_bits(word()?),
            },
            (Cell::Spread { .. }, "d") => {
                Cell::Spread { least: f64::from_bits(word()?), greatest: f64::from_bits(word()?) }
            }
            (Cell::Rand(_), "r") => Cell::Rand(Some(word()?)),
            (Cell::Rand(_), "n") => Cell::Rand(None),
            _ => return None,
        };
        Some(cell)
    }
}

fn take<'t>(text: &mut &'t str, length: usize) -> Option<&'t str> {
    let (taken, rest) = text.split_at_checked(length)?;
    *text = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(state: &mut State, function: Stateful, argument: f64) -> f64 {
        match state.call(0, function, argument, || 7) {
            Value::Float(value) => value,
            other => panic!("{other:?} is no float"),
        }
    }

    #[test]
    fn each_function_remembers_what_it_needs() {
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        for (function, given) in [
            (Stateful::Sigma, [(1.0, 0.0), (3.0, std::f64::consts::FRAC_1_SQRT_2), (2.0, 0.0)]),
            (Stateful::Spread, [(2.0, 0.0), (5.0, 3.0), (4.0, 3.0)]),
        ] {
            let mut state = State::fresh(&[function]);
            for (argument, wanted) in given {
                let found = called(&mut state, function, argument);
                assert!(near(found, wanted), "{function:?} of {argument}: {found}");
            }
        }
    }

    #[test]
    fn a_function_goes_on_from_its_record() {
        let all = Stateful::ALL;
        let mut state = State::fresh(&all);
        assert_eq!(State::restored(&all, &state.to_text()), Some(state.clone()));
        for (cell, function) in all.into_iter().enumerate() {
            state.call(cell, function, 2.5, || 7);
        }
        let text = state.to_text();
        assert_eq!(State::restored(&all, &text), Some(state));
        assert_eq!(State::restored(&all[..3], &text), None, "another expression");
        assert_eq!(State::restored(&all, &text[1..]), None, "torn");
        assert_eq!(State::restored(&all, "cµ"), None, "damaged");
        assert_eq!(State::restored(&[], ""), Some(State::default()));
    }

    #[test]
    fn random_numbers_are_fractions_and_spread() {
        let mut state = State::fresh(&[Stateful::Rand]);
        let numbers: Vec<f64> =
            (0..1000).map(|_| called(&mut state, Stateful::Rand, 0.0)).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        let low = numbers.iter().filter(|&&number| number < 0.5).count();
        assert!((400..600).contains(&low), "{low} of 1000 are below a half");
    }
}
