//! PEM texts (RFC 7468): certificates, keys and revocation lists to DER. Errors say nothing of
//! what is in them.

use rustls_pki_types::pem::{PemObject as _, SectionKind};

use crate::resources::tls::PrivateKey;

/// How many sections a text may have: more is no bundle of certificates.
const MAX_SECTIONS: usize = 10_000;

/// The DER of all sections of a kind, in order; `None` if the text is no PEM.
fn sections(text: &[u8], kind: SectionKind) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text).take(MAX_SECTIONS) {
        let (section, der) = section.ok()?;
        if section == kind {
            found.push(der);
        }
    }
    Some(found)
}

/// The certificates of a text; `None` if it is no PEM.
pub(super) fn certificates(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    sections(text, SectionKind::Certificate)
}

/// The revocation lists of a text; `None` if it is no PEM.
pub(super) fn crls(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    sections(text, SectionKind::Crl)
}

/// The first private key of a text, or why there is none.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKey, &'static str> {
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text).take(MAX_SECTIONS) {
        let Ok((kind, der)) = section else {
            return Err(if is_encrypted(text) {
                ENCRYPTED
            } else {
                "malformed PEM"
            });
        };
        match kind {
            SectionKind::PrivateKey => return Ok(PrivateKey::Pkcs8(der)),
            SectionKind::RsaPrivateKey => return Ok(PrivateKey::Pkcs1(der)),
            SectionKind::EcPrivateKey => return Ok(PrivateKey::Sec1(der)),
            _ => {}
        }
    }
    Err(if is_encrypted(text) {
        ENCRYPTED
    } else {
        "there is no private key in it (NO_START_LINE)"
    })
}

const ENCRYPTED: &str =
    "it is encrypted, and passwords are not implemented. Decrypt it with `openssl pkey`";

/// PKCS#8's way to say so, and OpenSSL's of old.
fn is_encrypted(text: &[u8]) -> bool {
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = include_str!("../../../tests/golden/pki/ec.key");

    #[test]
    fn other_sections_and_text_around_are_passed_over() {
        let text = format!(
            "a comment\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{KEY}more"
        );
        assert!(matches!(
            private_key(text.as_bytes()),
            Ok(PrivateKey::Pkcs8(_))
        ));
        assert_eq!(certificates(text.as_bytes()), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (certificates(&bytes), crls(&bytes), private_key(&bytes).is_ok());
        }

        #[test]
        fn a_changed_key_says_nothing_of_itself(at in 0..KEY.len(), byte in any::<u8>()) {
            let mut text = KEY.as_bytes().to_vec();
            if let Some(changed) = text.get_mut(at) {
                *changed = byte;
            }
            if let Err(reason) = private_key(&text) {
                prop_assert!(!KEY.lines().skip(1).take(3).any(|line| reason.contains(line)));
            }
        }
    }
}
