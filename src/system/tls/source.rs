//! Where certificates and keys come from.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest certificate or key file we read, in bytes; the system's bundle has 0.2 MB.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Certificates, or a key, in PEM form. Prints its name, never its text.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file, which may change.
    File(PathBuf),
    /// A text that is given with the configuration.
    Text {
        /// What it is called there.
        name: Arc<str>,
        /// All of it.
        text: Arc<str>,
    },
}

impl Pem {
    /// A text that is given with the configuration, and what it is called there.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Self {
        Pem::Text { name: name.into(), text: text.into() }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Pem::File(path) => Some(path),
            Pem::Text { .. } => None,
        }
    }

    /// Its bytes as they are now.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        let path = match self {
            Pem::File(path) => path,
            Pem::Text { text, .. } => return Ok(text.as_bytes().to_vec()),
        };
        let unreadable = |error| format!("cannot read {self}: {error}");
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(format!("{self} has more than {FILE_BYTES_MAX} bytes"));
        }
        Ok(bytes)
    }
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Pem::File(path)
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => path.display().fmt(f),
            Pem::Text { name, .. } => f.write_str(name),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => path.fmt(f),
            Pem::Text { name, .. } => write!(f, "Text({name})"),
        }
    }
}
