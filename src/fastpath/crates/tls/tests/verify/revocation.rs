//! Lists of what was revoked.

use std::sync::Arc;

use crate::support::{Ca, Named, downstream, inline, trust};
use crate::verdict;
use model::resources::tls::Validation;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, KeyIdMethod, KeyPair,
    PKCS_ECDSA_P256_SHA256, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tls::{ErrorClass, ServerContext};

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
    let of_issuing = crl(&issuing, &[2], 2000, 4000);
    let of_root = crl(&root, &[], 2000, 4000);
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
    let error = verdict(
        &root,
        with(vec![crl(&issuing, &[], 2000, 2001)], true),
        &good,
    )
    .unwrap_err();
    assert!(error.reason().contains("CRL has expired"), "{error}");
    // Not a list.
    let mut down = downstream(&[&root.leaf(&["server.test"])]);
    down.common.validation = inline(with(vec![vec![1, 2, 3]], false));
    let problem = ServerContext::new(&down, &Named::default()).unwrap_err();
    assert_eq!(problem.path, "common_tls_context.validation_context.crl");
}

/// Of an issuer's lists the latest counts that has begun and has not ended.
#[test]
fn lists_of_one_issuer() {
    let root = Ca::new("root");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf = Arc::new(root.sign(&["client.test"], &key, |params| {
        params.serial_number = Some(SerialNumber::from(7));
    }));
    let passes = |crls: &[&Vec<u8>], allow_expired| {
        let context = Validation {
            crls: crls.iter().copied().cloned().collect(),
            allow_expired,
            ..trust(&root)
        };
        verdict(&root, context, &leaf).is_ok()
    };
    let (old, ended) = (crl(&root, &[], 2000, 4000), crl(&root, &[], 2002, 2003));
    let (new, early) = (crl(&root, &[7], 2001, 4000), crl(&root, &[], 3999, 4000));
    assert!(passes(&[&old], false));
    assert!(passes(&[&old, &ended, &early], false));
    for lists in [[&old, &new], [&new, &old], [&new, &ended], [&early, &new]] {
        assert!(!passes(&lists, false));
    }
    assert!(!passes(&[&early], false));
    assert!(!passes(&[&ended, &early], false));
    // The latest, whatever the time.
    assert!(passes(&[&new, &early], true));
    assert!(!passes(&[&old, &new], true));
}

/// Who is in the bundle beside the root is revoked all the same; a list of leaves is no matter of
/// theirs.
#[test]
fn trusted_intermediates() {
    let root = Ca::new("root");
    let issuing = root.intermediate("issuing");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let leaf = Arc::new(issuing.sign(&["client.test"], &key, |_| ()));
    let passes = |crls: Vec<Vec<u8>>, only_leaf| {
        let mut context = trust(&root);
        context.trusted_ca.as_mut().unwrap().push(issuing.der());
        context.crls = crls;
        context.only_verify_leaf_crl = only_leaf;
        verdict(&root, context, &leaf).is_ok()
    };
    let (of_root, of_issuing) = (crl(&root, &[], 2000, 4000), crl(&issuing, &[], 2000, 4000));
    assert!(passes(Vec::new(), false));
    assert!(passes(vec![of_root.clone(), of_issuing.clone()], false));
    assert!(!passes(vec![of_issuing.clone()], false));
    assert!(passes(vec![of_issuing], true));
}

fn crl(ca: &Ca, serials: &[u64], from: i32, until: i32) -> Vec<u8> {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(from, 1, 1),
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
