//! Every rule about a peer's certificate, with one that passes and one that does not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // Tests.

mod support;

use std::sync::Arc;

use model::resources::route::{StringMatcher, StringPattern};
use model::resources::tls::{
    Certificate, SanMatcher, SanType, Secret, SecretValue, TlsVersion, TrustDomain, Validation,
    ValidationSource,
};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, CustomExtension, ExtendedKeyUsagePurpose,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, OtherNameValue, PKCS_ECDSA_P256_SHA256,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use support::{
    Ca, Named, Pair, Side, accept, client, connect, downstream, established, exact, inline,
    options, refused, server, trust, upstream,
};
use tls::{
    ClientContext, ClientSession, Details, ErrorClass, ServerContext, TlsError, xfcc_element,
};

/// A server that validates clients like this.
fn validating(ca: &Ca, required: bool, validation: Validation) -> Arc<ServerContext> {
    let mut down = downstream(&[&ca.leaf(&["server.test"])]);
    down.require_client_certificate = required;
    down.common.validation = inline(validation);
    server(&down)
}

/// A client that presents this.
fn presenting(certificate: Option<&Arc<Certificate>>) -> Arc<ClientContext> {
    let mut up = upstream();
    if let Some(certificate) = certificate {
        up.common.certificates = downstream(&[certificate]).common.certificates;
    }
    client(&up)
}

/// What the server thinks of a client's certificate: whether it is validated, or why not.
fn verdict(
    ca: &Ca,
    validation: Validation,
    certificate: &Arc<Certificate>,
) -> Result<bool, TlsError> {
    let (client, server) = (
        presenting(Some(certificate)),
        validating(ca, true, validation),
    );
    let mut pair = Pair::new(connect(&client, None), accept(&server)).start();
    match pair.run() {
        Ok(()) => Ok(pair.server.info().peer.as_ref().unwrap().validated),
        Err((side, error)) => {
            assert_eq!(side, Side::Server);
            Err(error)
        }
    }
}

fn class(verdict: Result<bool, TlsError>) -> ErrorClass {
    verdict.unwrap_err().class()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes)
        .as_ref()
        .try_into()
        .unwrap()
}

#[test]
fn required_optional_none() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf(&["client.test"]);
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let mut up = upstream();
        up.common.max_version = version;
        let without = client(&up);
        up.common.certificates = downstream(&[&leaf]).common.certificates;
        let with = client(&up);

        let required = validating(&ca, true, trust(&ca));
        let pair = established(&with, &required, None);
        let peer = pair.server.info().peer.as_ref().unwrap();
        assert!(peer.validated);
        assert_eq!(peer.der(), leaf.chain[0]);
        assert_eq!(
            pair.client.info().local.as_ref().unwrap().sans.dns[0],
            "client.test".into()
        );
        let (side, error) = refused(&without, &required, None);
        assert_eq!(
            (side, error.class()),
            (Side::Server, ErrorClass::NoCertificate)
        );
        assert_eq!(
            error.reason(),
            "TLS_error:|268435648:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:\
             peer did not provide required client certificate:TLS_error_end"
        );

        let optional = validating(&ca, false, trust(&ca));
        assert!(
            established(&with, &optional, None)
                .server
                .info()
                .peer
                .is_some()
        );
        assert!(
            established(&without, &optional, None)
                .server
                .info()
                .peer
                .is_none()
        );

        let none = server(&downstream(&[&ca.leaf(&["server.test"])]));
        assert!(established(&with, &none, None).server.info().peer.is_none());
    }
}

#[test]
fn trusted_ca() {
    let (ca, other) = (Ca::new("ca"), Ca::new("ca"));
    let leaf = ca.leaf(&["client.test"]);
    assert!(verdict(&ca, trust(&ca), &leaf).unwrap());
    let error = verdict(&ca, trust(&other), &leaf).unwrap_err();
    assert_eq!(error.class(), ErrorClass::VerifyChain);
    assert!(
        error.reason().starts_with(
            "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:\
             verify cert failed: X509_verify_cert: certificate verification error at depth 0: "
        ),
        "{error}"
    );
    assert!(error.reason().ends_with(":TLS_error_end"));
}

#[test]
fn an_unknown_ca_is_said_to_the_peer() {
    let ca = Ca::new("ca");
    let mut up = upstream();
    up.common.validation = inline(trust(&Ca::new("other")));
    let server = server(&downstream(&[&ca.leaf(&["server.test"])]));
    let client = client(&up);
    let mut pair = Pair::new(connect(&client, None), accept(&server)).start();
    pair.server
        .receive(&mut pair.to_server, &mut Vec::new(), &mut pair.to_client)
        .unwrap();
    pair.to_server.clear();
    let error = pair
        .client
        .receive(&mut pair.to_client, &mut Vec::new(), &mut pair.to_server)
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::VerifyChain);
    assert!(
        error
            .reason()
            .contains("unable to get local issuer certificate"),
        "{error}"
    );
    let error = pair
        .server
        .receive(&mut pair.to_server, &mut Vec::new(), &mut Vec::new())
        .unwrap_err();
    assert_eq!(
        error.reason(),
        "TLS_error:|268436504:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA:TLS_error_end"
    );
}

#[test]
fn intermediates_and_depth() {
    let root = Ca::new("root");
    let middle = root.intermediate("middle");
    let issuing = middle.intermediate("issuing");
    let mut leaf = issuing.sign(
        &["client.test"],
        &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        |_| {},
    );
    leaf.chain.extend([issuing.der(), middle.der()]);
    let leaf = Arc::new(leaf);
    let depth = |max| Validation {
        max_verify_depth: Some(max),
        ..trust(&root)
    };
    assert!(verdict(&root, trust(&root), &leaf).unwrap());
    assert!(verdict(&root, depth(3), &leaf).unwrap());
    let error = verdict(&root, depth(2), &leaf).unwrap_err();
    assert!(
        error.reason().contains("certificate chain too long"),
        "{error}"
    );
    // An intermediate may be the trusted one (X509_V_FLAG_PARTIAL_CHAIN).
    assert!(verdict(&root, trust(&issuing), &leaf).unwrap());
    // Without the intermediates there is no way to the root.
    let alone = issuing.leaf(&["client.test"]);
    assert_eq!(
        class(verdict(&root, trust(&root), &alone)),
        ErrorClass::VerifyChain
    );
}

#[test]
fn a_leaf_that_is_trusted_itself() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let leaf = ca.leaf(&["client.test"]);
    let trusting = |der: &[u8]| Validation {
        trusted_ca: Some(vec![der.to_vec()]),
        ..Validation::default()
    };
    assert!(verdict(&ca, trusting(&leaf.chain[0]), &leaf).unwrap());
    assert!(verdict(&ca, trusting(&leaf.chain[0]), &other.leaf(&["client.test"])).is_err());
    // It may not have issued another.
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let issuer = Ca::with("no ca", |params| {
        params.is_ca = IsCa::NoCa;
        params.key_usages = vec![];
    });
    let issued = Arc::new(issuer.sign(&["client.test"], &key, |_| {}));
    assert!(verdict(&ca, trusting(&issuer.der()), &issued).is_err());
}

#[test]
fn expiry() {
    let ca = Ca::new("ca");
    let expired = ca.leaf_with(&["client.test"], |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let future = ca.leaf_with(&["client.test"], |params| {
        params.not_before = date_time_ymd(3000, 1, 1);
        params.not_after = date_time_ymd(3001, 1, 1);
    });
    let error = verdict(&ca, trust(&ca), &expired).unwrap_err();
    assert!(
        error.reason().contains("certificate has expired"),
        "{error}"
    );
    let error = verdict(&ca, trust(&ca), &future).unwrap_err();
    assert!(
        error.reason().contains("certificate is not yet valid"),
        "{error}"
    );
    let lenient = |ca: &Ca| Validation {
        allow_expired: true,
        ..trust(ca)
    };
    assert!(verdict(&ca, lenient(&ca), &expired).unwrap());
    assert!(verdict(&ca, lenient(&ca), &future).unwrap());
    assert!(verdict(&ca, lenient(&Ca::new("other")), &expired).is_err());
    // The CA's own validity counts too.
    let old = Ca::with("old", |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let leaf = old.leaf(&["client.test"]);
    let error = verdict(&ca, trust(&old), &leaf).unwrap_err();
    assert!(
        error.reason().contains("certificate has expired"),
        "{error}"
    );
    assert!(verdict(&ca, lenient(&old), &leaf).unwrap());
}

#[test]
fn revocation() {
    let root = Ca::new("root");
    let issuing = root.intermediate("issuing");
    let serial = |params: &mut CertificateParams, serial: u64| {
        params.serial_number = Some(SerialNumber::from(serial));
    };
    let leaf = |number| {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut leaf = issuing.sign(&["client.test"], &key, |params| serial(params, number));
        leaf.chain.push(issuing.der());
        Arc::new(leaf)
    };
    let (good, revoked) = (leaf(1), leaf(2));
    let of_issuing = crl(&issuing, &[2], 4000);
    let of_root = crl(&root, &[], 4000);
    let with = |crls: Vec<Vec<u8>>, only_leaf| Validation {
        crls,
        only_verify_leaf_crl: only_leaf,
        ..trust(&root)
    };
    let both = || vec![of_issuing.clone(), of_root.clone()];
    assert!(verdict(&root, with(both(), false), &good).unwrap());
    let error = verdict(&root, with(both(), false), &revoked).unwrap_err();
    assert_eq!(error.class(), ErrorClass::VerifyChain);
    assert!(error.reason().contains("certificate revoked"), "{error}");
    // The issuer has no list: only with `only_verify_leaf_crl`.
    let error = verdict(&root, with(vec![of_issuing.clone()], false), &good).unwrap_err();
    assert!(
        error.reason().contains("unable to get certificate CRL"),
        "{error}"
    );
    assert!(verdict(&root, with(vec![of_issuing.clone()], true), &good).unwrap());
    assert!(verdict(&root, with(vec![of_issuing], true), &revoked).is_err());
    // An old list.
    let error = verdict(&root, with(vec![crl(&issuing, &[], 2001)], true), &good).unwrap_err();
    assert!(error.reason().contains("CRL has expired"), "{error}");
    // Not a list.
    let mut down = downstream(&[&root.leaf(&["server.test"])]);
    down.common.validation = inline(with(vec![vec![1, 2, 3]], false));
    let problem = ServerContext::new(&down, &Named::default()).unwrap_err();
    assert_eq!(problem.path, "common_tls_context.validation_context.crl");
}

fn crl(ca: &Ca, serials: &[u64], until: i32) -> Vec<u8> {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2000, 1, 1),
        next_update: date_time_ymd(until, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: serials
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: SerialNumber::from(*serial),
                revocation_time: date_time_ymd(2000, 1, 1),
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&ca.issuer).unwrap().der().to_vec()
}

#[test]
fn names_of_every_type() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf_with(&["a.b.test", "*.wild.test", "10.1.2.3", "::1"], |params| {
        let sans = &mut params.subject_alt_names;
        sans.push(rcgen::SanType::URI(
            "spiffe://td/ns/x/sa/y".try_into().unwrap(),
        ));
        sans.push(rcgen::SanType::Rfc822Name("me@a.test".try_into().unwrap()));
        sans.push(rcgen::SanType::OtherName((
            vec![1, 2, 3, 4],
            OtherNameValue::Utf8String("device 7".into()),
        )));
    });
    let pattern = |kind, pattern| SanMatcher {
        kind,
        matcher: StringMatcher {
            pattern,
            ignore_case: false,
        },
    };
    let prefix = |text: &str| StringPattern::Prefix(text.as_bytes().into());
    let suffix = |text: &str| StringPattern::Suffix(text.as_bytes().into());
    for (matcher, want) in [
        (exact(SanType::Dns, "a.b.test"), true),
        (exact(SanType::Dns, "A.B.test"), true),
        (exact(SanType::Dns, "b.test"), false),
        (exact(SanType::Dns, "x.wild.test"), true),
        (exact(SanType::Dns, "x.y.wild.test"), false),
        (pattern(SanType::Dns, suffix(".wild.test")), true),
        // The text of the certificate is matched by patterns, not what it stands for.
        (pattern(SanType::Dns, prefix("x.wild")), false),
        (exact(SanType::Uri, "spiffe://td/ns/x/sa/y"), true),
        (pattern(SanType::Uri, prefix("spiffe://td/")), true),
        (exact(SanType::Uri, "spiffe://other/ns/x/sa/y"), false),
        (exact(SanType::Email, "me@a.test"), true),
        (exact(SanType::Email, "you@a.test"), false),
        (exact(SanType::Ip, "10.1.2.3"), true),
        (exact(SanType::Ip, "::1"), true),
        (exact(SanType::Ip, "10.1.2.4"), false),
        (exact(SanType::Other("1.2.3.4".into()), "device 7"), true),
        (exact(SanType::Other("1.2.3.5".into()), "device 7"), false),
        (exact(SanType::Other("1.2.3.4".into()), "device 8"), false),
        // Types are not mixed, and the common name is none.
        (exact(SanType::Uri, "a.b.test"), false),
        (exact(SanType::Dns, "leaf"), false),
    ] {
        let text = format!("{matcher:?}");
        let validation = Validation {
            sans: vec![matcher],
            ..trust(&ca)
        };
        let verdict = verdict(&ca, validation, &leaf);
        assert_eq!(verdict.is_ok(), want, "{text}: {verdict:?}");
        if let Err(error) = verdict {
            assert_eq!(error.class(), ErrorClass::VerifySan);
            assert!(
                error.reason().contains("verify cert failed: SAN matcher"),
                "{error}"
            );
            assert!(error.reason().contains("a.b.test, *.wild.test"), "{error}");
        }
    }
    // One of several suffices; without a CA, names prove nothing.
    let sans = || vec![exact(SanType::Dns, "no"), exact(SanType::Dns, "a.b.test")];
    let several = Validation {
        sans: sans(),
        ..trust(&ca)
    };
    assert!(verdict(&ca, several, &leaf).unwrap());
    let mut down = downstream(&[&leaf]);
    down.common.validation = inline(Validation {
        sans: sans(),
        ..Validation::default()
    });
    let problem = ServerContext::new(&down, &Named::default()).unwrap_err();
    assert_eq!(problem.path, "common_tls_context.validation_context");
    assert!(problem.reason.contains("without trusted CA"), "{problem}");
}

#[test]
fn an_embedded_nul_matches_nothing() {
    let ca = Ca::new("ca");
    // GeneralNames with dNSName "a.test\0.evil.test" and the URI "spiffe://td/a\0b".
    let mut names = vec![0x82, 17];
    names.extend_from_slice(b"a.test\0.evil.test");
    names.extend_from_slice(&[0x86, 15]);
    names.extend_from_slice(b"spiffe://td/a\0b");
    let mut content = vec![0x30, u8::try_from(names.len()).unwrap()];
    content.extend(names);
    let leaf = ca.leaf_with(&[], |params| {
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(&[2, 5, 29, 17], content));
    });
    assert!(verdict(&ca, trust(&ca), &leaf).unwrap());
    let any = |kind| SanMatcher {
        kind,
        matcher: StringMatcher {
            pattern: StringPattern::Prefix((*b"").into()),
            ignore_case: false,
        },
    };
    for matcher in [
        exact(SanType::Dns, "a.test"),
        exact(SanType::Dns, "a.test\0.evil.test"),
        any(SanType::Dns),
        any(SanType::Uri),
    ] {
        let validation = Validation {
            sans: vec![matcher],
            ..trust(&ca)
        };
        assert_eq!(
            class(verdict(&ca, validation, &leaf)),
            ErrorClass::VerifySan
        );
    }
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

#[test]
fn spiffe_trust_domains() {
    let (one, two) = (Ca::new("one"), Ca::new("two"));
    let svid = |ca: &Ca, uris: &[&str]| {
        ca.leaf_with(&[], |params| {
            for uri in uris {
                params
                    .subject_alt_names
                    .push(rcgen::SanType::URI((*uri).try_into().unwrap()));
            }
        })
    };
    let validation = || Validation {
        spiffe: Some(vec![
            TrustDomain {
                name: "one.test".into(),
                trusted_ca: vec![one.der()],
                file: None,
            },
            TrustDomain {
                name: "two.test".into(),
                trusted_ca: vec![two.der()],
                file: None,
            },
            TrustDomain {
                name: "Three.test".into(),
                trusted_ca: vec![one.der()],
                file: None,
            },
        ]),
        ..Validation::default()
    };
    for (leaf, want) in [
        (svid(&one, &["spiffe://one.test/a"]), true),
        (svid(&two, &["spiffe://two.test/a"]), true),
        // The bundle of one domain does not vouch for another.
        (svid(&one, &["spiffe://two.test/a"]), false),
        (svid(&one, &["spiffe://three.test/a"]), false),
        (svid(&one, &["https://one.test/a"]), false),
        // Compared as written, as in Envoy.
        (svid(&one, &["spiffe://Three.test/a"]), true),
        (svid(&one, &["spiffe://ONE.test/a"]), false),
        // The name of the domain itself is no workload's.
        (svid(&one, &["spiffe://one.test"]), false),
        (svid(&one, &["spiffe:///a"]), false),
        (
            svid(&one, &["spiffe://one.test/a", "spiffe://two.test/a"]),
            false,
        ),
        (svid(&one, &[]), false),
    ] {
        let verdict = verdict(&one, validation(), &leaf);
        assert_eq!(verdict.is_ok(), want, "{verdict:?}");
        if let Err(error) = verdict {
            assert_eq!(error.class(), ErrorClass::VerifyChain);
        }
    }
    let signer = one.leaf_with(&[], |params| {
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let uri = "spiffe://one.test/a".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    });
    assert!(verdict(&one, validation(), &signer).is_err());
    // Names are checked besides.
    let named = |text| Validation {
        sans: vec![exact(SanType::Uri, text)],
        ..validation()
    };
    let leaf = svid(&one, &["spiffe://one.test/a"]);
    assert!(verdict(&one, named("spiffe://one.test/a"), &leaf).unwrap());
    assert_eq!(
        class(verdict(&one, named("spiffe://one.test/b"), &leaf)),
        ErrorClass::VerifySan
    );
}

#[test]
fn accept_untrusted() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let validation = || Validation {
        accept_untrusted: true,
        sans: vec![exact(SanType::Dns, "client.test")],
        ..trust(&ca)
    };
    assert!(verdict(&ca, validation(), &ca.leaf(&["client.test"])).unwrap());
    assert!(!verdict(&ca, validation(), &other.leaf(&["client.test"])).unwrap());
    assert!(!verdict(&ca, validation(), &ca.leaf(&["x.test"])).unwrap());
    // The proof of possession is not waived, nor is a certificate needed.
    let server = validating(&ca, false, validation());
    assert!(
        established(&presenting(None), &server, None)
            .server
            .info()
            .peer
            .is_none()
    );
}

#[test]
fn usages() {
    let ca = Ca::new("ca");
    let with = |usages: Vec<KeyUsagePurpose>, extended: Vec<ExtendedKeyUsagePurpose>| {
        ca.leaf_with(&["x.test"], |params| {
            params.key_usages = usages;
            params.extended_key_usages = extended;
        })
    };
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    use KeyUsagePurpose::{DigitalSignature, KeyEncipherment};
    assert!(verdict(&ca, trust(&ca), &with(vec![], vec![])).unwrap());
    assert!(
        verdict(
            &ca,
            trust(&ca),
            &with(vec![DigitalSignature], vec![ClientAuth])
        )
        .unwrap()
    );
    let error = verdict(&ca, trust(&ca), &with(vec![], vec![ServerAuth])).unwrap_err();
    assert!(
        error.reason().contains("unsupported certificate purpose"),
        "{error}"
    );
    let error = verdict(&ca, trust(&ca), &with(vec![KeyEncipherment], vec![])).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Connection);
    assert!(
        error.reason().contains("KEY_USAGE_BIT_INCORRECT"),
        "{error}"
    );
    // A server's, seen by a client.
    let mut up = upstream();
    up.common.validation = inline(trust(&ca));
    let validating = client(&up);
    let bad = server(&downstream(&[&with(vec![], vec![ClientAuth])]));
    let (side, error) = refused(&validating, &bad, None);
    assert_eq!(
        (side, error.class()),
        (Side::Client, ErrorClass::VerifyChain)
    );
}

#[test]
fn an_rsa_key_usage_of_a_server() {
    let ca = Ca::new("ca");
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let leaf = Arc::new(ca.sign(&["x.test"], &key, |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    }));
    let server = server(&downstream(&[&leaf]));
    for (version, enforce, want) in [
        (TlsVersion::V1_2, false, true),
        (TlsVersion::V1_2, true, false),
        (TlsVersion::V1_3, false, false),
    ] {
        let mut up = upstream();
        up.common.max_version = version;
        up.enforce_rsa_key_usage = enforce;
        let client = client(&up);
        let mut pair = Pair::new(connect(&client, None), accept(&server)).start();
        assert_eq!(pair.run().is_ok(), want, "{version:?} {enforce}");
    }
}

#[test]
fn upstream_names() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf_with(&["*.a.test", "10.1.2.3"], |params| {
        let uri = "spiffe://td/sa".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    });
    let server = server(&downstream(&[&leaf]));
    let mut up = upstream();
    up.common.validation = inline(trust(&ca));
    let context = client(&up);
    // The name that was asked for is not verified by itself, as in Envoy.
    assert!(
        established(&context, &server, Some("elsewhere.test"))
            .client
            .info()
            .peer
            .is_some()
    );
    for (sans, want) in [
        (&["x.a.test"][..], true),
        (&["10.1.2.3"], true),
        (&["spiffe://td/sa"], true),
        (&["b.test", "x.a.test"], true),
        (&["b.test"], false),
        (&["10.1.2.4"], false),
    ] {
        let session = context
            .session(&ClientSession {
                verify_san: sans,
                ..options(Some("elsewhere.test"))
            })
            .unwrap();
        let mut pair = Pair::new(session, accept(&server)).start();
        let result = pair.run();
        assert_eq!(result.is_ok(), want, "{sans:?}");
        if let Err((side, error)) = result {
            assert_eq!((side, error.class()), (Side::Client, ErrorClass::VerifySan));
            assert!(
                error.reason().contains("verify SAN list, expected SANs: ["),
                "{error}"
            );
        }
    }
    up.auto_sni_san_validation = true;
    let context = client(&up);
    assert!(
        established(&context, &server, Some("x.a.test"))
            .client
            .info()
            .peer
            .is_some()
    );
    let (_, error) = refused(&context, &server, Some("elsewhere.test"));
    assert_eq!(error.class(), ErrorClass::VerifySan);
}

#[test]
fn no_validation_context() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    let pair = established(&client(&upstream()), &server, Some("b.test"));
    let peer = pair.client.info().peer.as_ref().unwrap();
    assert!(!peer.validated);
    let bad = client(&upstream())
        .session(&options(Some("no name")))
        .unwrap_err();
    assert!(bad.reason().contains("no DNS name"), "{bad}");
}

#[test]
fn combined_contexts_are_merged() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let dynamic = Validation {
        sans: vec![exact(SanType::Dns, "two.test")],
        ..trust(&ca)
    };
    let mut secrets = Named::default();
    secrets.0.insert(
        "validation".into(),
        Arc::new(Secret {
            name: "validation".into(),
            value: SecretValue::Validation(Arc::new(dynamic)),
            watched: vec![],
            hash: 1,
        }),
    );
    let mut up = upstream();
    up.common.validation = Some(ValidationSource::Combined {
        default: Arc::new(Validation {
            sans: vec![exact(SanType::Dns, "one.test")],
            // What comes by name replaces it.
            ..trust(&other)
        }),
        name: "validation".into(),
    });
    let context = ClientContext::new(&up, &secrets).unwrap();
    for (ca, name, want) in [
        (&ca, "one.test", true),
        (&ca, "two.test", true),
        (&ca, "three.test", false),
        (&other, "one.test", false),
    ] {
        let server = server(&downstream(&[&ca.leaf(&[name])]));
        let mut pair = Pair::new(connect(&context, None), accept(&server)).start();
        assert_eq!(pair.run().is_ok(), want, "{name}");
    }
}

#[test]
fn facts_and_xfcc() {
    let ca = Ca::with("The CA, Inc.", |params| {
        params
            .distinguished_name
            .push(rcgen::DnType::CountryName, "DE");
    });
    let leaf = ca.leaf_with(&["a.test", "b.test"], |params| {
        params.serial_number = Some(SerialNumber::from_slice(&[0, 0xab, 0xcd]));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
        let mut name = rcgen::DistinguishedName::new();
        name.push(rcgen::DnType::CountryName, "DE");
        name.push(rcgen::DnType::OrganizationName, "Ä, \"quoted\"");
        name.push(rcgen::DnType::CommonName, "#me ");
        params.distinguished_name = name;
        let uri = "spiffe://td/ns/x/sa/y".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    });
    let mut down = downstream(&[&ca.leaf_with(&["server.test"], |params| {
        let uri = "spiffe://td/ns/x/sa/server".try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI(uri));
    })]);
    down.require_client_certificate = true;
    down.common.validation = inline(trust(&ca));
    let pair = established(&presenting(Some(&leaf)), &server(&down), None);
    let info = pair.server.info();
    let peer = info.peer.as_ref().unwrap();
    assert_eq!(&*peer.subject, r#"CN=\#me\ ,O=\C3\84\, \"quoted\",C=DE"#);
    assert_eq!(&*peer.issuer, r"C=DE,CN=The CA\, Inc.");
    assert_eq!(&*peer.serial, "abcd");
    assert_eq!(
        (peer.not_before, peer.not_after),
        (1_577_836_800, 4_102_444_800)
    );
    assert_eq!(peer.sha256.len(), 64);
    assert_eq!(peer.sha1.len(), 40);
    let bare = ca.leaf(&["bare.test"]);
    let bare = established(&presenting(Some(&bare)), &server(&down), None);
    let of_uris = Details {
        uri: true,
        ..Details::default()
    };
    let element = xfcc_element(bare.server.info(), of_uris).unwrap();
    assert!(element.ends_with(b";URI="), "the key without a URI");
    let without = established(&presenting(None), &server(&downstream(&[&leaf])), None);
    assert!(xfcc_element(without.server.info(), Details::default()).is_none());
    let text = |details| String::from_utf8(xfcc_element(info, details).unwrap()).unwrap();
    let hash = &peer.sha256;
    assert_eq!(
        text(Details::default()),
        format!("By=spiffe://td/ns/x/sa/server;Hash={hash}")
    );
    let all = text(Details {
        subject: true,
        cert: true,
        chain: true,
        dns: true,
        uri: true,
    });
    let pem = peer.url_encoded_pem();
    assert!(
        pem.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"),
        "{pem}"
    );
    assert!(pem.ends_with("%0A-----END%20CERTIFICATE-----%0A"), "{pem}");
    assert!(!pem.contains(['+', '/', '=', '\n', ' ']));
    let subject = &peer.subject;
    assert_eq!(
        all,
        format!(
            "By=spiffe://td/ns/x/sa/server;Hash={hash};Cert=\"{pem}\";Chain=\"{pem}\";\
             Subject=\"{subject}\";URI=spiffe://td/ns/x/sa/y;DNS=a.test;DNS=b.test"
        )
    );
}
