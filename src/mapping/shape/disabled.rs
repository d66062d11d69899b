//! A build in which no message changes on its way.

use super::{Done, Now};
use crate::config::{PublishRule, Rule};
use crate::message::{Message, Receipt};
use crate::system::health::Tally;
use std::time::Instant;

/// No rules.
#[derive(Debug, Default)]
pub struct Shapes;

impl Shapes {
    /// There are none.
    #[must_use]
    pub fn new<'r>(_rules: impl Iterator<Item = &'r Rule>) -> Self {
        Shapes
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Nothing is remembered.
    pub fn inherit(&mut self, _former: Shapes) {}

    /// Nothing is stopped.
    #[must_use]
    pub fn tallies(&self) -> Vec<Tally> {
        Vec::new()
    }

    /// Nothing follows.
    pub fn feed(
        &mut self,
        _rule: &PublishRule,
        _filter: &str,
        _message: &Message,
        _receipt: Receipt,
        _now: Now,
    ) -> Vec<Done> {
        Vec::new()
    }

    /// Nothing was held.
    pub fn restore(&mut self, _records: Vec<(String, String)>, _now: Now) -> Vec<Done> {
        Vec::new()
    }

    /// Nothing is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Nothing is due.
    pub fn wake(&mut self, _now: Now) -> Vec<Done> {
        Vec::new()
    }

    /// Nothing is held.
    pub fn end(&mut self, _now: Now) -> Vec<Done> {
        Vec::new()
    }

    /// Nothing is to be said.
    pub fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}
