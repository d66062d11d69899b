//! A build that knows no applications. Configurations that name one are refused before anything
//! here is called.

use crate::config::AppRule;
use crate::mapping::Mapped;
use crate::mapping::cloudevent::Stamp;
use crate::message::Message;

/// Nothing becomes of a message.
#[must_use]
pub fn from_message(_rule: &AppRule, _message: &Message, _stamp: &dyn Fn() -> Stamp) -> Mapped {
    Mapped::Dead("this build delivers to no applications".to_owned())
}
