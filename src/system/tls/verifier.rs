//! Whom we trust: rustls' own judgement, with two additions.
//!
//! A certificate that is in the owner's CA file byte for byte is trusted, even if it is a CA
//! itself, as it usually is at home. And the library calls a key that is too short a bad signature,
//! which misleads people.

use crate::system::tls::words::{CA_AS_SERVER, Told};
use crate::system::tls::{provider, roots};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::sync::{Arc, OnceLock};

/// The shortest RSA key we accept, in bits.
const RSA_BITS_MIN: usize = 2_048;

/// The algorithm of an RSA key: the DER of its object identifier.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;

/// Judges the certificate of a server.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    /// By the owner's CA file, or empty until the roots of the system are needed.
    pub roots: OnceLock<Arc<RootCertStore>>,
    /// The certificates of the owner's CA file; empty with the roots of the system.
    pub own: Vec<CertificateDer<'static>>,
    /// The owner wants no judgement.
    pub unverified: bool,
}

impl Verifier {
    fn roots(&self) -> Result<&RootCertStore, Error> {
        if let Some(roots) = self.roots.get() {
            return Ok(roots);
        }
        let of_system = roots::store().map_err(Error::General)?;
        Ok(self.roots.get_or_init(|| of_system))
    }

    /// rustls' own judgement. Its verifier, which says the same, brings 25 KB for lists of revoked
    /// certificates, which nobody gives us.
    fn judge(
        &self,
        end_entity: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_server_cert_signed_by_trust_anchor(
            end_entity,
            self.roots()?,
            intermediates,
            now,
            algorithms().all,
        )?;
        verify_server_name(end_entity, server_name)?;
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.unverified {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        match self.judge(&parsed, intermediates, server_name, now) {
            // The library checks the dates first, so they are good.
            Err(ref error) if has_no_ca_above(error) && self.own.contains(end_entity) => {
                verify_server_name(&parsed, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            Err(Error::InvalidCertificate(CertificateError::BadSignature)) => Err(intermediates
                .iter()
                .chain(&self.own)
                .find_map(short_key_of_ca)
                .unwrap_or(Error::InvalidCertificate(CertificateError::BadSignature))),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let judged = crypto::verify_tls12_signature(message, certificate, signature, &algorithms());
        judged.map_err(|error| short_key(certificate).unwrap_or(error))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let judged = crypto::verify_tls13_signature(message, certificate, signature, &algorithms());
        judged.map_err(|error| short_key(certificate).unwrap_or(error))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        algorithms().supported_schemes()
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    provider().signature_verification_algorithms
}

/// Nothing is wrong with the certificate except its origin.
fn has_no_ca_above(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => {
            format!("{why:?}") == CA_AS_SERVER
        }
        _ => false,
    }
}

fn short_key(certificate: &CertificateDer<'_>) -> Option<Error> {
    let bits = rsa_bits(certificate).filter(|bits| *bits < RSA_BITS_MIN)?;
    Some(told(format!("has an RSA key of {bits} bits, which is too short; 2,048 at least")))
}

fn short_key_of_ca(certificate: &CertificateDer<'_>) -> Option<Error> {
    let bits = rsa_bits(certificate).filter(|bits| *bits < RSA_BITS_MIN)?;
    Some(told(format!(
        "comes from a CA with an RSA key of {bits} bits, which is too short; 2,048 at least"
    )))
}

fn told(words: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Told(words)))))
}

/// How long the RSA key in a certificate is, if it is one.
fn rsa_bits(certificate: &CertificateDer<'_>) -> Option<usize> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let info = parsed.subject_public_key_info();
    let (info, _) = element(info.as_ref(), SEQUENCE)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    if !algorithm.starts_with(RSA) {
        return None;
    }
    let (key, _) = element(rest, BIT_STRING)?;
    let (key, _) = element(key.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, _) = element(key, INTEGER)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let unused = modulus.first()?.leading_zeros();
    (modulus.len() * 8).checked_sub(usize::try_from(unused).ok()?)
}

/// The content of the DER element that `bytes` begin with, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    if short < 0x80 {
        return rest.split_at_checked(short.into());
    }
    let (length, rest) = rest.split_at_checked(usize::from(short & 0x7F).min(5))?;
    if length.len() > 4 {
        return None;
    }
    let length = length.iter().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_der_is_no_reason_to_panic() {
        for bytes in [&b""[..], b"\x30", b"\x30\x05a", b"\x30\x84\xff\xff\xff\xffa", b"\x30\xffa"] {
            assert_eq!(element(bytes, SEQUENCE), None, "{bytes:?}");
        }
        assert_eq!(element(b"\x30\x01ab", SEQUENCE), Some((&b"a"[..], &b"b"[..])));
        assert_eq!(element(b"\x30\x81\x01ab", SEQUENCE), Some((&b"a"[..], &b"b"[..])));
    }
}
