//! TICKscripts, as somebody defines them over HTTP.

use super::are_words;
use ilagent::alerts::script::{Vars, build, format, parse, parse_expression};

/// A fault has words and a place in the text; what is a script can be built or has faults, can be
/// printed, and printed again it looks the same.
pub fn scripts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_expression(text);
    let script = match parse(text) {
        Ok(script) => script,
        Err(fault) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&(fault.place.line as usize)), "{fault}");
            return are_words(&fault.to_string());
        }
    };
    if let Err(faults) = build(&script, &Vars::default()) {
        assert!(!faults.0.is_empty(), "a script is refused without a word");
        faults.0.iter().for_each(|fault| are_words(&fault.to_string()));
    }
    let printed = format(&script);
    match parse(&printed) {
        Ok(again) => assert_eq!(format(&again), printed),
        Err(fault) => panic!("{fault} in {printed:?}"),
    }
}
