//! A command line as a person writes it.

#![allow(unreachable_pub, reason = "a module of tests")]

/// The words of a line, split at white space; a word in single quotes may hold some.
pub fn words(mut line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    loop {
        line = line.trim_start();
        if line.is_empty() {
            return words;
        }
        let (word, rest) = match line.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').expect("the quote is closed"),
            None => line.split_at(line.find(char::is_whitespace).unwrap_or(line.len())),
        };
        words.push(word);
        line = rest;
    }
}
