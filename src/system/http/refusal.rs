//! Why a request cannot be taken.

/// The answer to a request that cannot be taken. The connection is closed after it, because nobody
/// knows where the next request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status code of the answer.
    pub(super) status: u16,
    /// The body of the answer.
    pub(super) why: &'static str,
}

impl Refusal {
    /// The body is larger than allowed.
    pub(super) const TOO_LARGE: Refusal =
        Refusal { status: 413, why: "the request body is too large" };
    /// The request target is longer than allowed.
    pub(super) const TARGET_TOO_LONG: Refusal =
        Refusal { status: 414, why: "the request target is too long" };
    /// The head, or whatever comes besides content, is larger than allowed.
    pub(super) const HEAD_TOO_LARGE: Refusal =
        Refusal { status: 431, why: "the request headers are too large" };
    /// The request took longer than allowed.
    pub(super) const TIMED_OUT: Refusal =
        Refusal { status: 408, why: "the request did not arrive in time" };

    /// The request is malformed.
    pub(super) const fn bad(why: &'static str) -> Self {
        Refusal { status: 400, why }
    }
}
