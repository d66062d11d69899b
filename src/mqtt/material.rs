//! Which TLS files are in use: checked for changes, adopted, rolled back.

use crate::config::Tls;
use crate::system::tls::{self, Material, Pem};
use log::{info, warn};
use rustls::ClientConfig;
use std::sync::Arc;

/// The TLS material of one session.
pub(super) struct Materials {
    name: String,
    files: Tls,
    /// What the next connection is made with.
    current: Material,
    /// What the broker accepted last.
    good: Option<Material>,
    /// The fingerprint of what the broker rejected, so that it is not tried again and again.
    refused: Option<u64>,
    /// The last complaint about files that cannot be used; each is logged once.
    complaint: String,
}

impl Materials {
    /// Loads the files for the session `name`.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be used, and says why.
    pub(super) fn load(name: &str, files: &Tls) -> Result<Self, String> {
        let current = tls::load(ca(files), pair(files), files.unverified)?;
        Ok(Materials {
            name: name.to_owned(),
            files: files.clone(),
            current,
            good: None,
            refused: None,
            complaint: String::new(),
        })
    }

    /// Whether there are files that may change.
    pub(super) fn has_files(&self) -> bool {
        self.files.files().next().is_some()
    }

    /// What the next connection is made with.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        self.current.client.clone()
    }

    /// Checks the files. `true` when they hold something new and usable; files that cannot be used
    /// change nothing.
    pub(super) fn look(&mut self) -> bool {
        if !self.has_files() {
            return false;
        }
        let (ca, pair) = (ca(&self.files), pair(&self.files));
        let loaded = tls::fingerprint(ca, pair).and_then(|fingerprint| {
            if fingerprint == self.current.fingerprint || Some(fingerprint) == self.refused {
                Ok(None)
            } else {
                tls::load(ca, pair, self.files.unverified).map(Some)
            }
        });
        match loaded {
            Ok(None) => {
                self.complaint.clear();
                false
            }
            Ok(Some(new)) => {
                info!("mqtt {}: the TLS files have changed", self.name);
                self.complaint.clear();
                self.refused = None;
                self.current = new;
                true
            }
            Err(why) => {
                self.complain(why);
                false
            }
        }
    }

    /// The broker accepted a connection.
    pub(super) fn accepted(&mut self) {
        self.good = Some(self.current.clone());
    }

    /// The connection failed, perhaps because of the files. `true` when the last good ones are used
    /// instead.
    ///
    /// When those fail as well, the newer ones get another chance: a new CA may have been installed
    /// before the broker had its new certificate.
    pub(super) fn rejected(&mut self, why: &str) -> bool {
        match &self.good {
            Some(good) if good.fingerprint != self.current.fingerprint => {
                warn!(
                    "mqtt {}: not connected with the changed TLS files, the former ones are used \
                     again: {why}",
                    self.name
                );
                self.refused = Some(self.current.fingerprint);
                self.current = good.clone();
                true
            }
            Some(_) | None => {
                self.refused = None;
                false
            }
        }
    }

    fn complain(&mut self, why: String) {
        if why != self.complaint {
            warn!("mqtt {}: the TLS files in use are kept: {why}", self.name);
            self.complaint = why;
        }
    }
}

fn ca(files: &Tls) -> Option<&Pem> {
    files.ca.as_ref()
}

fn pair(files: &Tls) -> Option<(&Pem, &Pem)> {
    files.client.as_ref().map(|client| (&client.chain, &client.key))
}
