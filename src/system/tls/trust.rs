//! The TLS settings of a client that connects again and again: its files are looked at before each
//! connection, so that renewed certificates need no restart.

use crate::system::tls::{Material, Pem, fingerprint, load, roots};
use log::{info, warn};
use rustls::ClientConfig;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A bundle to trust and a certificate to show, both as needed.
#[derive(Debug)]
pub struct Trust {
    /// Without one, the roots of the system.
    ca: Option<Pem>,
    /// A chain and its key.
    client: Option<(Pem, Pem)>,
    /// Whoever answers is trusted.
    unverified: bool,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    /// Without files of the owner it is made for the first connection.
    material: Option<Material>,
    /// The last complaint about files that cannot be used; each is logged once.
    complaint: String,
}

impl Trust {
    /// Reads the files and checks that they can be used together.
    ///
    /// # Errors
    ///
    /// As [`load`](super::load).
    pub fn new(ca: Option<&Pem>, client: Option<(&Pem, &Pem)>) -> Result<Self, String> {
        let trust = Trust {
            ca: ca.cloned(),
            client: client.map(|(chain, key)| (chain.clone(), key.clone())),
            unverified: false,
            current: Mutex::default(),
        };
        if trust.has_files() {
            trust.lock().material = Some(trust.load()?);
        } else {
            roots::check()?;
        }
        Ok(trust)
    }

    /// Whoever answers is trusted.
    #[must_use]
    pub fn in_anybody() -> Self {
        Trust { ca: None, client: None, unverified: true, current: Mutex::default() }
    }

    /// What the next connection is made with. Files that cannot be used change nothing.
    ///
    /// # Errors
    ///
    /// TLS cannot be set up at all.
    pub fn client(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut current = self.lock();
        if self.has_files() {
            self.look(&mut current);
        }
        if let Some(material) = &current.material {
            return Ok(Arc::clone(&material.client));
        }
        let material = self.load().map_err(rustls::Error::General)?;
        Ok(Arc::clone(&current.material.insert(material).client))
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_files(&self) -> bool {
        self.ca.is_some() || self.client.is_some()
    }

    fn pair(&self) -> Option<(&Pem, &Pem)> {
        self.client.as_ref().map(|(chain, key)| (chain, key))
    }

    fn load(&self) -> Result<Material, String> {
        load(self.ca.as_ref(), self.pair(), self.unverified)
    }

    fn look(&self, current: &mut Current) {
        let in_use = current.material.as_ref().map(|material| material.fingerprint);
        let new = match fingerprint(self.ca.as_ref(), self.pair()) {
            Ok(fingerprint) if Some(fingerprint) == in_use => return current.complaint.clear(),
            Ok(_) => self.load(),
            Err(why) => Err(why),
        };
        match new {
            Ok(material) => {
                info!("tls: the files have changed, new connections use them");
                *current = Current { material: Some(material), complaint: String::new() };
            }
            Err(why) if why != current.complaint => {
                warn!("tls: the files in use are kept: {why}");
                current.complaint = why;
            }
            Err(_) => (),
        }
    }
}
