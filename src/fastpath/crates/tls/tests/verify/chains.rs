//! Chains: who vouches for a certificate, for how long, and what it may be used for.

use std::sync::Arc;

use crate::support::{
    Ca, Pair, Side, accept, client, connect, downstream, established, inline, refused, server,
    trust, upstream,
};
use crate::{class, validating, verdict};
use model::resources::tls::{TlsVersion, Validation};
use rcgen::{
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use tls::ErrorClass;

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
