//! TLS files: reads them, checks them, and notices changes. The one place that chooses the TLS
//! provider. [`words`] says what is wrong.

mod pem;
mod roots;
mod source;
mod trust;
mod verifier;
pub mod words;

pub use source::Pem;
pub use trust::Trust;

use pem::{certificates, private_key};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use verifier::Verifier;

/// Sessions kept for resumption; each TLS configuration serves one broker or host.
const RESUMED_SESSIONS_MAX: usize = 4;

/// The provider every TLS connection of the agent uses.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// TLS material as it was in the files at one moment.
#[derive(Clone, Debug)]
pub struct Material {
    /// Ready to connect with.
    pub client: Arc<ClientConfig>,
    /// Changes when the content of a file changes.
    pub fingerprint: u64,
}

/// Reads the files and checks that they can be used together. With `unverified` whoever answers is
/// trusted.
///
/// # Errors
///
/// Names the file and says what is wrong with it.
pub fn load(
    ca: Option<&Pem>,
    chain_and_key: Option<(&Pem, &Pem)>,
    unverified: bool,
) -> Result<Material, String> {
    let files = Files::read(ca, chain_and_key)?;
    let cannot = |error: rustls::Error| format!("TLS cannot be set up: {error}");
    let mut verifier = Verifier { unverified, ..Verifier::default() };
    if let (Some(ca), Some(bytes)) = (ca, &files.ca) {
        let (own, roots) = own_roots(ca, bytes)?;
        verifier.roots = OnceLock::from(Arc::new(roots));
        verifier.own = own;
    } else if !unverified {
        roots::check()?;
    }
    // rustls calls any custom verifier `dangerous`; ours asks rustls' own first.
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(cannot)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut client = match (chain_and_key, &files.client) {
        (Some(names), Some((chain, key))) => {
            let own = SingleCertAndKey::from(identity(names, chain, key)?);
            builder.with_client_cert_resolver(Arc::new(own))
        }
        _ => builder.with_no_client_auth(),
    };
    client.resumption = Resumption::in_memory_sessions(RESUMED_SESSIONS_MAX);
    Ok(Material { client: Arc::new(client), fingerprint: files.fingerprint() })
}

/// The fingerprint that [`load`] would give, without its work, to notice changes.
///
/// # Errors
///
/// Names the file that cannot be read.
pub fn fingerprint(ca: Option<&Pem>, chain_and_key: Option<(&Pem, &Pem)>) -> Result<u64, String> {
    Ok(Files::read(ca, chain_and_key)?.fingerprint())
}

/// The bytes of the files, read once, so that the fingerprint is that of what was checked.
#[derive(Hash)]
struct Files {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    fn read(ca: Option<&Pem>, client: Option<(&Pem, &Pem)>) -> Result<Self, String> {
        let client = client.map(|(chain, key)| Ok::<_, String>((chain.read()?, key.read()?)));
        Ok(Files { ca: ca.map(Pem::read).transpose()?, client: client.transpose()? })
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// Checks that certificates can be trusted.
///
/// # Errors
///
/// As [`load`].
pub fn check_ca(ca: &Pem) -> Result<(), String> {
    own_roots(ca, &ca.read()?).map(|_| ())
}

/// Checks that a chain and a key belong together.
///
/// # Errors
///
/// As [`load`].
pub fn check_pair(chain: &Pem, key: &Pem) -> Result<(), String> {
    identity((chain, key), &chain.read()?, &key.read()?).map(|_| ())
}

/// The certificates of a bundle, and the trust in them.
fn own_roots(
    ca: &Pem,
    bytes: &[u8],
) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), String> {
    let own = certificates(ca, bytes)?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in own.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|error| {
            let why = match &error {
                rustls::Error::InvalidCertificate(error) => words::certificate(error),
                error => format!("cannot be used: {}", words::in_words(error)),
            };
            format!("certificate {} in {ca} {why}", index + 1)
        })?;
    }
    Ok((own, roots))
}

/// rustls checks whether the key belongs to the certificate when it takes the two.
fn identity(
    (chain, key): (&Pem, &Pem),
    chain_bytes: &[u8],
    key_bytes: &[u8],
) -> Result<CertifiedKey, String> {
    let (certificates, private_key) =
        (certificates(chain, chain_bytes)?, private_key(key, key_bytes)?);
    CertifiedKey::from_der(certificates, private_key, &provider())
        .map_err(|error| unusable_pair(chain, key, &error))
}

fn unusable_pair(chain: &Pem, key: &Pem, error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            format!("the key in {key} does not belong to the certificate in {chain}")
        }
        rustls::Error::InvalidCertificate(error) => {
            format!("the certificate in {chain} {}", words::certificate(error))
        }
        // The only case left is a kind of key that the library does not know.
        _ => format!(
            "the key in {key} cannot be used: RSA of 2,048 bits or more, P-256, P-384 and Ed25519 \
             are supported"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::fs;
    use std::path::PathBuf;

    /// A folder of its own for one test, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("ilagent-tls-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn write(&self, name: &str, text: &str) -> Pem {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path.into()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A certificate and its key, as PEM.
    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["agent".to_owned()]).unwrap().self_signed(&key);
        (certificate.unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_is_told_with_the_name_of_the_file() {
        let folder = Folder::new("wrong");
        let ((certificate, key), (_, other_key)) = (pair(), pair());
        let cert = folder.write("cert.pem", &certificate);
        let good_key = folder.write("key.pem", &key);
        let other = folder.write("other.pem", &other_key);
        let empty = folder.write("empty.pem", "");
        let torn = folder.write("torn.pem", &certificate[..certificate.len() / 2]);
        let missing = Pem::File(folder.0.join("missing.pem"));
        let nonsense = folder.write(
            "nonsense.pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        for (ca, client, words) in [
            (Some(&missing), None, "cannot read"),
            (Some(&empty), None, "empty.pem has no certificate in PEM form in it"),
            (Some(&good_key), None, "key.pem has no certificate in PEM form in it"),
            (Some(&torn), None, "torn.pem is not valid PEM"),
            (Some(&nonsense), None, "certificate 1 in"),
            (None, Some((&missing, &good_key)), "missing.pem"),
            (None, Some((&cert, &missing)), "missing.pem"),
            (None, Some((&cert, &cert)), "cert.pem has no private key in PEM form"),
            (None, Some((&cert, &other)), "does not belong to the certificate in"),
        ] {
            let fault = load(ca, client, false).expect_err(words);
            assert!(fault.contains(words), "{fault}");
        }
        load(Some(&cert), Some((&cert, &good_key)), false).unwrap();
        load(None, Some((&cert, &good_key)), false).unwrap();
    }

    #[test]
    fn a_text_is_as_good_as_a_file_and_is_never_shown() {
        let ((certificate, key), (_, other_key)) = (pair(), pair());
        let text = Pem::text;
        let (cert, key) = (text("caCert", &certificate), text("clientKey", &key));
        check_ca(&cert).unwrap();
        check_pair(&cert, &key).unwrap();
        load(Some(&cert), Some((&cert, &key)), false).unwrap();
        assert_eq!(format!("{cert:?} {key}"), "Text(caCert) clientKey");
        for (result, wanted) in [
            (check_ca(&key), "clientKey has no certificate in PEM form in it"),
            (
                check_ca(&text("caCert", &certificate.replace('\n', " "))),
                "caCert is not valid PEM: it is all on one line: its line ends are lost",
            ),
            (
                check_pair(&cert, &text("clientKey", &other_key)),
                "the key in clientKey does not belong to the certificate in caCert",
            ),
        ] {
            assert_eq!(result.unwrap_err(), wanted);
        }
    }

    #[test]
    fn the_fingerprint_follows_the_content() {
        let folder = Folder::new("fingerprint");
        let ((one, _), (other, _)) = (pair(), pair());
        let ca = folder.write("ca.pem", &one);
        let first = load(Some(&ca), None, false).unwrap().fingerprint;
        folder.write("ca.pem", &one);
        assert_eq!(fingerprint(Some(&ca), None), Ok(first));
        folder.write("ca.pem", &other);
        assert_ne!(fingerprint(Some(&ca), None), Ok(first));
        fs::remove_file(ca.path().unwrap()).unwrap();
        assert!(fingerprint(Some(&ca), None).unwrap_err().contains("ca.pem"));
    }
}
