//! The roots of the system: whom we trust where the owner names no CA.
//!
//! In memory they take more than the rest of an idle agent, so they are read when the first
//! certificate has to be judged, and clients that connect at about the same time share them.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Roots that were read this recently are not read again.
const FRESH: Duration = Duration::from_secs(60);

/// The variables that name other roots than the system's.
const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// Where most systems keep their roots.
const USUAL_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Looks whether the roots that the environment names can be used; reads nothing otherwise.
///
/// # Errors
///
/// As [`store`].
pub(super) fn check() -> Result<(), String> {
    if value(FILE).or_else(|| value(FOLDERS)).is_none() {
        return Ok(());
    }
    store().map(|_| ())
}

/// The roots of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`, or the built-in ones of
/// Mozilla if the system has none.
///
/// # Errors
///
/// Names the variable that cannot be used. Its owner trusts nobody else, so there is no fallback.
pub(super) fn store() -> Result<Arc<RootCertStore>, String> {
    static LATEST: Mutex<Option<(Weak<RootCertStore>, Instant)>> = Mutex::new(None);
    let mut latest = LATEST.lock().unwrap_or_else(PoisonError::into_inner);
    let fresh = latest.as_ref().filter(|(_, read)| read.elapsed() < FRESH);
    if let Some(roots) = fresh.and_then(|(roots, _)| roots.upgrade()) {
        return Ok(roots);
    }
    let roots = Arc::new(read()?);
    *latest = Some((Arc::downgrade(&roots), Instant::now()));
    Ok(roots)
}

fn read() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _unusable) = roots.add_parsable_certificates(of_system()?);
    if added == 0 {
        log::debug!("tls: the system has no root certificates; those built in are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

fn of_system() -> Result<Vec<CertificateDer<'static>>, String> {
    let (file, folders) = (value(FILE), value(FOLDERS));
    if let Some(path) = &file {
        some_of(FILE, &load_certs_from_paths(Some(Path::new(path)), None))?;
    }
    let system = match (&file, &folders) {
        // The library takes an empty variable for the name of a file.
        (None, None) if env::var_os(FILE).is_some() => {
            let usual = USUAL_BUNDLES.iter().map(Path::new).find(|path| path.exists());
            load_certs_from_paths(usual, None)
        }
        _ => load_native_certs(),
    };
    if folders.is_some() {
        some_of(FOLDERS, &system)?;
    }
    for error in &system.errors {
        log::debug!("tls: {error}");
    }
    Ok(system.certs)
}

fn value(variable: &str) -> Option<OsString> {
    env::var_os(variable).filter(|path| !path.is_empty())
}

/// Whether at least one root can be used.
fn some_of(variable: &str, found: &CertificateResult) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found.certs.iter().cloned()).0 > 0 {
        return Ok(());
    }
    let why = found.errors.first().map_or_else(
        || "there is no certificate in PEM form in it".to_owned(),
        ToString::to_string,
    );
    Err(format!("the certificates in {variable} cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_one_time_share_their_roots() {
        let one = store().unwrap();
        assert!(!one.is_empty());
        assert!(Arc::ptr_eq(&one, &store().unwrap()));
    }
}
