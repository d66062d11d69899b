//! TLS files: read, checked, and looked at again. The one place that chooses the TLS provider.

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use std::path::Path;
use std::sync::Arc;

/// The provider every TLS connection of the agent uses.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The roots to trust when no CA is configured: the system's (or `SSL_CERT_FILE`'s), and the
/// Mozilla roots built in when the system has none.
#[must_use]
pub fn system_roots() -> Vec<CertificateDer<'static>> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        log::debug!("tls: {error}");
    }
    system.certs
}

/// TLS material as it stood in the files at one moment.
#[derive(Clone, Debug)]
pub struct Material {
    /// Ready to connect with.
    pub client: Arc<ClientConfig>,
    /// Changes when the content of a file changes.
    pub fingerprint: u64,
}

/// Reads the files and checks that they can be used together.
///
/// # Errors
///
/// Names the file and says what is wrong with it.
pub fn load(
    _ca: Option<&Path>,
    _chain_and_key: Option<(&Path, &Path)>,
) -> Result<Material, String> {
    todo!()
}
