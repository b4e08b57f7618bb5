//! Certificates and keys that are pinned.

use crate::support::{Ca, refused};
use crate::{presenting, validating, verdict};
use model::resources::tls::{Certificate, Validation};
use tls::ErrorClass;

fn sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
        .as_ref()
        .try_into()
        .unwrap()
}

#[test]
fn pins() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf(&["client.test"]);
    let other = ca.leaf(&["client.test"]);
    let certificate = |certificate: &Certificate| sha256(&certificate.chain[0]);
    let spki = |certificate: &Certificate| {
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate.chain[0]).unwrap();
        sha256(parsed.public_key().raw)
    };
    for (certificate_hashes, spki_hashes, want) in [
        (vec![certificate(&leaf)], vec![], true),
        (vec![certificate(&other)], vec![], false),
        (vec![certificate(&other), certificate(&leaf)], vec![], true),
        (vec![], vec![spki(&leaf)], true),
        (vec![], vec![spki(&other)], false),
        // Either list suffices.
        (vec![certificate(&other)], vec![spki(&leaf)], true),
        (vec![certificate(&leaf)], vec![spki(&other)], true),
        // A hash is not taken for the other kind.
        (vec![spki(&leaf)], vec![], false),
    ] {
        for trusted_ca in [None, Some(vec![ca.der()])] {
            let validation = Validation {
                trusted_ca,
                certificate_hashes: certificate_hashes.clone(),
                spki_hashes: spki_hashes.clone(),
                ..Validation::default()
            };
            let verdict = verdict(&ca, validation, &leaf);
            assert_eq!(verdict.is_ok(), want, "{verdict:?}");
            if let Err(error) = verdict {
                assert_eq!(error.class(), ErrorClass::VerifyHash);
                assert!(
                    error
                        .reason()
                        .contains(":verify cert failed: cert hash and spki:"),
                    "{error}"
                );
            }
        }
    }
    // Pins require a certificate, whatever `require_client_certificate` says.
    let pinned = validating(
        &ca,
        false,
        Validation {
            certificate_hashes: vec![certificate(&leaf)],
            ..Validation::default()
        },
    );
    let (_, error) = refused(&presenting(None), &pinned, None);
    assert_eq!(error.class(), ErrorClass::NoCertificate);
}
