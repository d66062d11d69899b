//! What a sidecar shows of itself: whether it is ready, which subscriptions there are, and what
//! clients have noted.

use crate::config::Subscription;
use crate::system::threads::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most notes, and bytes of the name and the text of one.
pub(super) const NOTES_MAX: usize = 64;
pub(super) const NOTE_BYTES_MAX: usize = 4 * 1024;

/// Shared by whoever knows and whoever is asked.
#[derive(Debug, Default)]
pub(super) struct Standing {
    is_ready: AtomicBool,
    subscriptions: Mutex<Vec<Subscription>>,
    notes: Mutex<BTreeMap<String, String>>,
}

impl Standing {
    /// What the application subscribes to is known, and subscribed to at the brokers; or there is
    /// nothing to be known.
    pub(super) fn ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Release);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// All subscriptions that are known, also those that are not active.
    pub(super) fn show(&self, subscriptions: Vec<Subscription>) {
        *lock(&self.subscriptions) = subscriptions;
    }

    pub(super) fn subscriptions(&self) -> Vec<Subscription> {
        lock(&self.subscriptions).clone()
    }

    /// Keeps what a client notes. `false` if there is no room for it.
    pub(super) fn note(&self, key: String, text: String) -> bool {
        let mut notes = lock(&self.notes);
        let has_room = notes.len() < NOTES_MAX || notes.contains_key(&key);
        let fits = key.len() <= NOTE_BYTES_MAX && text.len() <= NOTE_BYTES_MAX;
        if has_room && fits {
            notes.insert(key, text);
        }
        has_room && fits
    }

    pub(super) fn notes(&self) -> BTreeMap<String, String> {
        lock(&self.notes).clone()
    }
}
