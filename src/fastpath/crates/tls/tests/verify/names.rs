//! Names: of peers, of upstreams, of trust domains.

use crate::support::{
    Ca, Named, Pair, Side, accept, client, downstream, established, exact, inline, options,
    refused, server, trust, upstream,
};
use crate::{class, verdict};
use model::resources::route::{StringMatcher, StringPattern};
use model::resources::tls::{SanMatcher, SanType, TrustDomain, Validation};
use rcgen::{CustomExtension, KeyUsagePurpose, OtherNameValue};
use tls::{ClientSession, ErrorClass, ServerContext};

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
