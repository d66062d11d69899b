//! Disk space kept in reserve for the day the disk is full.
//!
//! A write-ahead log needs room even to delete: on a full disk nothing could be settled, and what
//! was delivered would stand in the queue for ever. So a separate file holds as much room as a
//! log can take. It is given up when the disk is full, and new deliveries are refused until it
//! could be made again.

use super::schema::beside;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How much is kept: as much as the journal grows to before it is copied into the database.
pub(in crate::queue) const BYTES: usize = 1024 * 1024;

/// Written at a time.
const BLOCK: usize = 16 * 1024;

pub(in crate::queue) struct Spare {
    path: PathBuf,
}

impl Spare {
    pub(in crate::queue) fn beside(database: &Path) -> Self {
        Spare { path: beside(database, ".spare") }
    }

    /// Makes sure that the room is kept.
    pub(in crate::queue) fn hold(&self) -> io::Result<()> {
        if self.is_held() {
            return Ok(());
        }
        self.give_up();
        let made = self.make();
        if made.is_err() {
            self.give_up();
        }
        made
    }

    /// Whether it is there, as this agent makes it. A link is none of ours.
    fn is_held(&self) -> bool {
        self.path.symlink_metadata().is_ok_and(|file| {
            let private = file.permissions().mode() & 0o077 == 0;
            file.is_file() && private && file.len() == BYTES as u64
        })
    }

    fn make(&self) -> io::Result<()> {
        // Made new, so whatever somebody put in its place is not followed.
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        for _ in 0..BYTES / BLOCK {
            file.write_all(&[0; BLOCK])?;
        }
        // Some file systems find out only now that there is no room.
        file.sync_all()
    }

    /// Lets the room go; says whether there was any.
    pub(in crate::queue) fn give_up(&self) -> bool {
        match fs::remove_file(&self.path) {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    log::debug!("queue: {}: {error}", self.path.display());
                }
                false
            }
        }
    }
}
