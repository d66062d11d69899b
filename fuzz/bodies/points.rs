//! Points that writers send.

use super::{Input, are_words};
use ilagent::alerts::line::{Lines, Shelf};
use ilagent::alerts::{Name, Point};
use ilagent::config::Precision;

const PRECISIONS: [&str; 8] = ["", "n", "ns", "u", "ms", "s", "m", "h"];

/// What is read is read alike with and without a shelf, and what is written again means the same.
pub fn lines(data: &[u8]) {
    let mut input = Input(data);
    let precision = Precision::of(PRECISIONS[usize::from(input.byte() & 7)]).unwrap();
    let mut shelf = Shelf::default();
    let (points, faults) = read(input.0, precision, &mut shelf);
    for reason in &faults {
        are_words(reason);
    }
    let (again, _) = read(input.0, precision, &mut shelf);
    assert_eq!(points, again);
    for point in &points {
        assert!(!point.measurement.is_empty() && !point.fields.is_empty());
        assert!(point.tags.iter().all(|(key, value)| !key.is_empty() && !value.is_empty()));
        let keys: Vec<&Name> = point.tags.iter().map(|(key, _)| key).collect();
        assert!(keys.is_sorted_by(|one, next| one < next), "{point:?}");
        if let Some(line) = written(point) {
            let (same, faults) = read(line.as_bytes(), Precision::Nanoseconds, &mut shelf);
            assert_eq!((&same[..], &faults[..]), (&[point.clone()][..], &[][..]), "{line}");
        }
    }
}

fn read(body: &[u8], precision: Precision, shelf: &mut Shelf) -> (Vec<Point>, Vec<&'static str>) {
    let to: (Name, Name) = ("db".into(), "".into());
    let (mut points, mut faults) = (Vec::new(), Vec::new());
    match Lines::new(body, precision) {
        Err(fault) => faults.push(fault.reason),
        Ok(mut lines) => {
            while let Some(line) = lines.next() {
                match line {
                    Ok(line) => points.push(line.point((&to.0, &to.1), 7, shelf)),
                    Err(fault) => faults.push(fault.reason),
                }
            }
        }
    }
    (points, faults)
}

/// The point as a line; `None` if its names have something that cannot be written: a line feed, a
/// comment at its beginning, or a backslash in front of what ends a name.
fn written(point: &Point) -> Option<String> {
    let is_plain = |text: &str| {
        !text.contains(['\\', '\n', '\r', '\0', '\t']) && !text.starts_with(['#', ' '])
    };
    let names = point.tags.iter().flat_map(|(key, value)| [key, value]);
    let mut names =
        names.chain(point.fields.iter().map(|(key, _)| key)).chain([&point.measurement]);
    if !names.all(|name| is_plain(name)) {
        return None;
    }
    let name = |text: &str| text.replace(',', "\\,").replace(' ', "\\ ").replace('=', "\\=");
    let measurement = point.measurement.replace(',', "\\,").replace(' ', "\\ ");
    let tags: String =
        point.tags.iter().map(|(key, value)| format!(",{}={}", name(key), name(value))).collect();
    let fields: Vec<String> =
        point.fields.iter().map(|(key, value)| format!("{}={value}", name(key))).collect();
    Some(format!("{measurement}{tags} {} {}", fields.join(","), point.time))
}
