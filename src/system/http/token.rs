//! Tokens: what a client shows, compared so that nobody learns anything by trying.

use super::Request;
use std::hint::black_box;

/// The token that a client shows, if it shows one.
#[must_use]
pub fn shown<'a>(request: &Request<'a>) -> Option<&'a str> {
    let (scheme, shown) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(shown.trim())
}

/// Compares in a time that depends only on the lengths, so that a token cannot be guessed letter by
/// letter.
#[must_use]
pub fn same(shown: &str, wanted: &str) -> bool {
    let pairs = shown.bytes().zip(wanted.bytes());
    let difference = pairs.fold(0, |difference, (a, b)| black_box(difference | (a ^ b)));
    shown.len() == wanted.len() && difference == 0
}
