//! What is there twice.

use std::collections::HashMap;

/// The number of each word that has occurred before, and that of its first occurrence.
#[must_use]
pub(super) fn repeats(words: &[String]) -> Vec<(usize, usize)> {
    let mut first = HashMap::with_capacity(words.len());
    let numbers = 0..words.len();
    let occurred = numbers.map(|number| (number, *first.entry(&words[number]).or_insert(number)));
    occurred.filter(|(number, first)| number != first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repetition_is_found_with_its_first() {
        for (words, wanted) in
            [("", [].as_slice()), ("a b c", &[]), ("a b a b a", &[(2, 0), (3, 1), (4, 0)])]
        {
            let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
            assert_eq!(repeats(&words), wanted);
        }
    }
}
