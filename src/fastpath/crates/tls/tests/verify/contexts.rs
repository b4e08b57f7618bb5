//! What holds with several rules, with none, and where what is wrong is let in.

use std::sync::Arc;

use crate::support::{
    Ca, Named, Pair, accept, client, connect, downstream, established, exact, options, server,
    trust, upstream,
};
use crate::{presenting, validating, verdict};
use model::resources::tls::{SanType, Secret, SecretValue, Validation, ValidationSource};
use tls::ClientContext;

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
