//! Reads PEM, and says what is wrong with one without a byte of its content.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt::Display;

/// Windows editors put this in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// All certificates of a bundle, one at least.
pub(super) fn certificates(
    name: &dyn Display,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text(bytes)).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(fault(name, bytes, "certificate", &pem::Error::NoItemsFound)),
        Err(error) => Err(fault(name, bytes, "certificate", &error)),
    }
}

/// The first private key of a text.
pub(super) fn private_key(
    name: &dyn Display,
    bytes: &[u8],
) -> Result<PrivateKeyDer<'static>, String> {
    if has(bytes, b"ENCRYPTED") {
        return Err(format!(
            "the private key in {name} is encrypted; decrypt it first, with `openssl pkey -in … \
             -out …`"
        ));
    }
    PrivateKeyDer::from_pem_slice(text(bytes))
        .map_err(|error| fault(name, bytes, "private key", &error))
}

fn text(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The parser's errors contain the text it could not parse, which may be a key, so they are
/// examined and never shown.
fn fault(name: &dyn Display, bytes: &[u8], what: &str, error: &pem::Error) -> String {
    let why = match (another_form(bytes), error) {
        (Some(why), _) => why,
        (None, pem::Error::NoItemsFound) => {
            let hint = match bytes.first() {
                None => ": it is empty",
                Some(b'\x30') => {
                    ": it looks like DER, which `openssl … -inform der` turns into PEM"
                }
                Some(_) => "",
            };
            return format!("{name} has no {what} in PEM form in it{hint}");
        }
        (None, pem::Error::MissingSectionEnd { .. }) => {
            "a line that begins with `-----END` is missing: it is cut short"
        }
        (None, pem::Error::IllegalSectionStart { .. }) => {
            "a line that begins with `-----BEGIN` does not end with `-----`"
        }
        (None, pem::Error::Base64Decode(_)) => {
            "something between its `-----BEGIN` and `-----END` is not base64"
        }
        (None, _) => "it cannot be parsed",
    };
    format!("{name} is not valid PEM: {why}")
}

/// What the file looks like, if that says more than the parser does.
fn another_form(bytes: &[u8]) -> Option<&'static str> {
    let is_one_line = || {
        let mut lines = text(bytes).split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.any(|line| has(line, b"-----BEGIN ") && has(line, b"-----END "))
    };
    if has(bytes, b"-----BEGIN ") && has(bytes, b"\\n") {
        Some("it has `\\n` written out where its lines should end")
    } else if is_one_line() {
        Some("it is all on one line: its line ends are lost")
    } else if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        Some("it is in UTF-16; save it as plain text")
    } else if has(bytes, b"BEGIN OPENSSH PRIVATE KEY") {
        Some("it is in the form of OpenSSH; `ssh-keygen -p -m PEM -f …` turns it into PEM")
    } else {
        None
    }
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["agent".to_owned()]).unwrap().self_signed(&key);
        (certificate.unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn no_fault_shows_a_byte_of_the_file() {
        let (certificate, key) = pair();
        let old_form = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
                        AES-128-CBC,00\n\nSECRETSECRET\n-----END RSA PRIVATE KEY-----\n";
        let utf_16: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let body = key.lines().nth(1).unwrap();
        let shown: Vec<String> = body.bytes().take(6).map(|byte| byte.to_string()).collect();
        for (bytes, words) in [
            (key.replace('\n', "").into_bytes(), "all on one line: its line ends are lost"),
            (key.replace('\n', "\\n").into_bytes(), "`\\n` written out where its lines should end"),
            (key.replace('\n', " ").into_bytes(), "all on one line"),
            (key.as_bytes()[..key.len() - 20].to_vec(), "`-----END` is missing: it is cut short"),
            (key.replacen("KEY-----", "KEY----", 1).into_bytes(), "`-----BEGIN` does not end"),
            (key.replacen(body, "Jäger", 1).into_bytes(), "is not base64"),
            (old_form.as_bytes().to_vec(), "is encrypted; decrypt it first"),
            (old_form.replace("RSA PRIVATE", "ENCRYPTED PRIVATE").into_bytes(), "is encrypted"),
            (key.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY").into_bytes(), "OpenSSH"),
            ([b"\xFF\xFE", utf_16.as_slice()].concat(), "UTF-16"),
            (b"\x30\x82\x01\x02".to_vec(), "it looks like DER"),
            (certificate.clone().into_bytes(), "has no private key in PEM form in it"),
            (Vec::new(), "it is empty"),
        ] {
            let fault = private_key(&"the.key", &bytes).expect_err(words);
            assert!(fault.contains(words) && fault.contains("the.key"), "{fault}");
            assert!(!fault.contains(&body[..8]) && !fault.contains(&shown.join(", ")), "{fault}");
            assert!(!fault.contains("SECRET"), "{fault}");
        }
        for (bytes, words) in [
            (certificate.replace('\n', ""), "all on one line"),
            (certificate.replace('\n', "\\n"), "written out"),
            (key, "has no certificate in PEM form in it"),
        ] {
            let fault = certificates(&"ca.pem", bytes.as_bytes()).expect_err(words);
            assert!(fault.contains(words), "{fault}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_ends_of_lines_of_windows_are_no_fault() {
        let (certificate, key) = pair();
        let marked = |text: &str| [BYTE_ORDER_MARK, text.replace('\n', "\r\n").as_bytes()].concat();
        assert_eq!(certificates(&"c", &marked(&certificate)).unwrap().len(), 1);
        private_key(&"k", &marked(&key)).unwrap();
    }
}
