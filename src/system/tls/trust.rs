//! The TLS settings of a client that connects again and again: its files are looked at before each
//! connection, so that renewed certificates need no restart.

use crate::system::tls::{Material, Pem, fingerprint, load, load_for};
use log::{info, warn};
use rustls::ClientConfig;
use std::sync::{Arc, Mutex, PoisonError};

/// A bundle to trust and a certificate to show, both as needed.
#[derive(Debug)]
pub struct Trust {
    /// Without one, the roots of the system.
    ca: Option<Pem>,
    /// A chain and its key.
    client: Option<(Pem, Pem)>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    material: Material,
    /// The last complaint about files that cannot be used; each is logged once.
    complaint: String,
}

impl Trust {
    /// Reads the files and checks that they can be used together.
    ///
    /// # Errors
    ///
    /// As [`load`].
    pub fn new(ca: Option<&Pem>, client: Option<(&Pem, &Pem)>) -> Result<Self, String> {
        let current = Current { material: load(ca, client)?, complaint: String::new() };
        Ok(Trust {
            ca: ca.cloned(),
            client: client.map(|(chain, key)| (chain.clone(), key.clone())),
            current: Mutex::new(current),
        })
    }

    /// Whoever answers is trusted.
    ///
    /// # Errors
    ///
    /// As [`load`].
    pub fn in_anybody() -> Result<Self, String> {
        let current = Current { material: load_for(None, None, true)?, complaint: String::new() };
        Ok(Trust { ca: None, client: None, current: Mutex::new(current) })
    }

    /// What the next connection is made with. Files that cannot be used change nothing.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ca.is_some() || self.client.is_some() {
            self.look(&mut current);
        }
        Arc::clone(&current.material.client)
    }

    fn look(&self, current: &mut Current) {
        let ca = self.ca.as_ref();
        let client = self.client.as_ref().map(|(chain, key)| (chain, key));
        let new = match fingerprint(ca, client) {
            Ok(fingerprint) if fingerprint == current.material.fingerprint => {
                return current.complaint.clear();
            }
            Ok(_) => load(ca, client),
            Err(why) => Err(why),
        };
        match new {
            Ok(material) => {
                info!("tls: the files have changed, new connections use them");
                *current = Current { material, complaint: String::new() };
            }
            Err(why) if why != current.complaint => {
                warn!("tls: the files in use are kept: {why}");
                current.complaint = why;
            }
            Err(_) => (),
        }
    }
}
