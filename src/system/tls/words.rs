//! What went wrong with TLS, in words a person can act on, without names of types and without
//! bytes.

use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};
use std::io;
use std::time::{Duration, UNIX_EPOCH};

/// Signature algorithms that nothing here accepts, as they stand in a certificate: the DER of their
/// object identifiers, with tag and length.
const OUTDATED: [(&[u8], &str); 4] = [
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "SHA-1"),
    (b"\x06\x07\x2a\x86\x48\xce\x3d\x04\x01", "SHA-1"),
    (b"\x06\x05\x2b\x0e\x03\x02\x1d", "SHA-1"),
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", "MD5"),
];

/// Why a TLS connection failed. The text can follow "TLS with the broker failed: ".
#[must_use]
pub fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => format!("its certificate {}", certificate(error)),
        Error::AlertReceived(alert) => alert_in_words(*alert),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => "it speaks no version of TLS above 1.1; TLS 1.2 is the least".to_owned(),
        Error::PeerIncompatible(what) => {
            format!("nothing in common with it: {}", spaced(&format!("{what:?}")))
        }
        Error::InvalidMessage(_) => {
            "what it sends is not TLS; is this the port for TLS?".to_owned()
        }
        Error::PeerMisbehaved(what) => {
            format!("it breaks the rules of TLS: {}", spaced(&format!("{what:?}")))
        }
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::UnsupportedNameType => "its name is not one that TLS can check".to_owned(),
        Error::DecryptError => "what it sends cannot be decrypted".to_owned(),
        Error::General(what) => what.clone(),
        other => spaced(&format!("{other:?}")),
    }
}

/// The same for an error of a connection, which may contain one of TLS.
#[must_use]
pub fn io_in_words(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    inner.map_or_else(|| error.to_string(), in_words)
}

/// Why a file's certificate cannot be used. The text can follow the certificate's name.
pub(super) fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::BadEncoding => "cannot be read: it is damaged, or no certificate".into(),
        CertificateError::ExpiredContext { not_after, time } => format!(
            "was valid until {} (the clock here says {})",
            date(not_after.as_secs()),
            date(time.as_secs())
        ),
        CertificateError::NotValidYetContext { not_before, time } => format!(
            "is valid from {} on, and the clock here says {}: is it right?",
            date(not_before.as_secs()),
            date(time.as_secs())
        ),
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::NotValidYet => "is not valid yet: is the clock here right?".to_owned(),
        CertificateError::UnknownIssuer => {
            "comes from a CA that is not trusted here; the CA has to be in the CA file".to_owned()
        }
        CertificateError::BadSignature => {
            "does not fit the key of its CA: that is another CA of the same name, or one with an \
             RSA key of less than 2,048 bits"
                .to_owned()
        }
        CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id, ..
        } => signed_with(signature_algorithm_id),
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "is signed with a key that is not supported; RSA of 2,048 bits or more, P-256, P-384 \
             and Ed25519 are"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            not_for(&expected.to_str(), presented)
        }
        CertificateError::NotValidForName => "is for another name".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not for servers: its extended key usage lacks serverAuth".to_owned()
        }
        CertificateError::UnhandledCriticalExtension => {
            "has a critical extension that is not supported".to_owned()
        }
        CertificateError::Revoked => "is revoked".to_owned(),
        CertificateError::Other(OtherError(why)) => match why.downcast_ref::<Told>() {
            Some(Told(words)) => words.clone(),
            None => unusual(&format!("{why:?}")),
        },
        other => unusual(&format!("{other:?}")),
    }
}

/// Our own words inside an error of rustls.
#[derive(Debug)]
pub(super) struct Told(pub String);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

/// The library's name for a CA certificate that a server presents as its own.
pub(super) const CA_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Errors of the library below rustls have no type there, only a name.
fn unusual(name: &str) -> String {
    match name {
        CA_AS_SERVER => "is a CA itself; make one with `-addext basicConstraints=CA:FALSE`, or \
                         give exactly this one as the CA file"
            .to_owned(),
        "UnsupportedCertVersion" => "is of version 1; make one of version 3, with a \
                                     subjectAltName"
            .to_owned(),
        "EndEntityUsedAsCa" => "is signed by one that is no CA (CA:FALSE)".to_owned(),
        "NameConstraintViolation" => "has a name that its CA may not give away".to_owned(),
        "PathLenConstraintViolated" => "has more CAs above it than they allow".to_owned(),
        "UnsupportedCriticalExtension" => {
            "has a critical extension that is not supported".to_owned()
        }
        other => format!("cannot be used: {}", spaced(other)),
    }
}

fn signed_with(algorithm: &[u8]) -> String {
    // The field may hold the identifier with or without the header of its DER.
    let is = |known: &[u8]| algorithm.starts_with(known) || algorithm.starts_with(&known[2..]);
    match OUTDATED.iter().find(|(known, _)| is(known)) {
        Some((_, name)) => {
            format!("is signed with {name}, which is not safe any more; use SHA-256")
        }
        None => "is signed with an algorithm that is not supported; RSA or ECDSA with SHA-256 is"
            .to_owned(),
    }
}

/// `presented` are names such as `DnsName("broker")`.
fn not_for(expected: &str, presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
        inner.trim_end_matches(')').trim_matches('"').to_owned()
    };
    let names: Vec<String> = presented.iter().map(bare).collect();
    if names.is_empty() {
        return format!("has no name in it (no subjectAltName), so none fits `{expected}`");
    }
    format!("is only valid for {}, not for `{expected}`", names.join(", "))
}

fn alert_in_words(alert: AlertDescription) -> String {
    let words = match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "it finds no cipher or signature in common with us: a key on the curve P-521 and \
             older ciphers are not supported, or it wants a client certificate"
        }
        AlertDescription::ProtocolVersion => {
            "it speaks no version of TLS above 1.1; TLS 1.2 is the least"
        }
        AlertDescription::CertificateRequired => "it wants a client certificate",
        AlertDescription::UnknownCA => "it does not know the CA of our certificate",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::NoCertificate => {
            "it does not accept our certificate, or has none of ours"
        }
        AlertDescription::CertificateExpired => "it says that our certificate has expired",
        AlertDescription::CertificateRevoked => "it says that our certificate is revoked",
        AlertDescription::AccessDenied => "it does not let us in with our certificate",
        AlertDescription::UnrecognisedName => "it does not know the host name we ask for",
        AlertDescription::InternalError => "it has an internal error",
        other => return format!("it ends the connection: {}", spaced(&format!("{other:?}"))),
    };
    words.to_owned()
}

/// `CaUsedAsEndEntity { … }` as `ca used as end entity`: words, though not ours.
fn spaced(name: &str) -> String {
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let mut words = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && words.ends_with(|c: char| c.is_ascii_lowercase()) {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn date(seconds: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    at.map_or_else(|| "far away".to_owned(), httpdate::fmt_http_date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::PeerMisbehaved;

    #[test]
    fn no_line_names_a_type() {
        for (error, wanted) in [
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "it finds no cipher or signature in common with us",
            ),
            (Error::AlertReceived(AlertDescription::UnknownCA), "it does not know the CA"),
            (
                Error::AlertReceived(AlertDescription::RecordOverflow),
                "it ends the connection: record overflow",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedCipherSuite),
                "it breaks the rules of TLS: selected unoffered cipher suite",
            ),
            (Error::General("as told".to_owned()), "as told"),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                "it speaks no version of TLS above 1.1",
            ),
        ] {
            let words = in_words(&error);
            assert!(words.starts_with(wanted), "{words}");
        }
    }

    #[test]
    fn names_of_certificates_are_told_without_their_types() {
        let presented = ["DnsName(\"localhost\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()];
        assert_eq!(
            not_for("broker", &presented),
            "is only valid for localhost, 127.0.0.1, not for `broker`"
        );
        assert!(not_for("broker", &[]).contains("subjectAltName"));
    }

    #[test]
    fn a_clock_that_stands_in_1970_is_suspected() {
        let time = rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(60));
        let not_before =
            rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000));
        assert_eq!(
            certificate(&CertificateError::NotValidYetContext { time, not_before }),
            "is valid from Tue, 14 Nov 2023 22:13:20 GMT on, and the clock here says \
             Thu, 01 Jan 1970 00:01:00 GMT: is it right?"
        );
    }
}
