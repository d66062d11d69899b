//! What a client of the listener sends.

use super::{Input, are_words};
use ilagent::system::http::{decode_segment, read_requests};

/// Limits of a body, in bytes.
const LIMITS: [usize; 4] = [0, 10, 1_000, 65_536];

/// Requests mean the same in whatever pieces they come: nobody hides one in another.
pub fn requests(data: &[u8]) {
    let mut input = Input(data);
    let limit = LIMITS[usize::from(input.byte() & 3)];
    let piece = 1 + usize::from(input.byte());
    let whole = read(limit, &[input.0]);
    let pieces: Vec<&[u8]> = input.0.chunks(piece).collect();
    assert_eq!(read(limit, &pieces), whole);
}

fn read(limit: usize, pieces: &[&[u8]]) -> (Vec<String>, Option<(u16, &'static str)>) {
    let mut seen = Vec::new();
    let refused = read_requests(pieces, limit, &mut |request| {
        assert!(request.body.len() <= limit, "a body of {} bytes", request.body.len());
        assert!(!request.method.is_empty() && !request.method.contains(char::is_whitespace));
        assert!(request.path.starts_with('/') || request.path == "*", "{:?}", request.path);
        assert!(!request.path.contains(|c: char| c.is_whitespace() || c == '?'));
        for segment in request.path.split('/') {
            let _ = decode_segment(segment);
        }
        seen.push(format!("{request:?}"));
    });
    if let Some((status, why)) = refused {
        assert!((400..600).contains(&status));
        are_words(why);
    }
    (seen, refused)
}
