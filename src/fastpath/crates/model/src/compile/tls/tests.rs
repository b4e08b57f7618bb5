//! Contexts as YAML: what comes out of good ones, and what Envoy's words refuse bad ones with.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::TransportSocket;
use prost::Message as _;

use super::{downstream, upstream};
use crate::compile::{Context, SECRET, SecretKind};
use crate::problem::Problem;
use crate::resources::cluster::Transport;
use crate::resources::tls::{
    DownstreamTls, PrivateKey, SanType, SecretSource, SessionTickets, TlsVersion, UpstreamTls,
    Validation, ValidationSource,
};
use crate::testing::resource;

const PKI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pki");

fn socket(context: &str, fields: &str) -> TransportSocket {
    let yaml = format!(
        "{{name: tls, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{context}, {}}}}}",
        fields.replace("PKI", PKI)
    );
    let bytes = resource(
        "type.googleapis.com/envoy.config.core.v3.TransportSocket",
        &yaml,
    );
    TransportSocket::decode(bytes.as_slice()).unwrap()
}

fn down(fields: &str) -> Result<(Arc<DownstreamTls>, Context), Vec<Problem>> {
    let mut cx = Context::default();
    let tls = downstream(&socket("DownstreamTlsContext", fields), &mut cx);
    match tls {
        Some(Some(tls)) if cx.problems.is_empty() => Ok((tls, cx)),
        _ => Err(cx.problems.into_list()),
    }
}

fn up(fields: &str) -> Result<Arc<UpstreamTls>, Vec<Problem>> {
    let mut cx = Context::default();
    let transport = upstream(&socket("UpstreamTlsContext", fields), &mut cx);
    match transport {
        Some(Transport::Tls(tls)) if cx.problems.is_empty() => Ok(tls),
        _ => Err(cx.problems.into_list()),
    }
}

/// A certificate of the tests, and fields of `CommonTlsContext` beside it.
fn common(name: &str, more: &str) -> String {
    let (chain, key) = (format!("PKI/{name}.crt"), format!("PKI/{name}.key"));
    format!(
        "common_tls_context: {{tls_certificates: [{}]{}{more}}}",
        pair(&chain, &key),
        if more.is_empty() { "" } else { ", " }
    )
}

fn pair(chain: &str, key: &str) -> String {
    format!("{{certificate_chain: {{filename: {chain}}}, private_key: {{filename: {key}}}}}")
}

fn with_pair(chain: &str, key: &str) -> String {
    format!(
        "common_tls_context: {{tls_certificates: [{}]}}",
        pair(chain, key)
    )
}

fn validating(fields: &str) -> String {
    common("ec", &format!("validation_context: {{{fields}}}"))
}

#[test]
fn defaults_are_envoys() {
    let (tls, _) = down(&common("ec", "")).unwrap();
    assert_eq!(tls.common.min_version, TlsVersion::V1_2);
    assert_eq!(tls.common.max_version, TlsVersion::V1_3);
    assert!(tls.common.cipher_suites.is_empty() && tls.common.groups.is_empty());
    assert!(tls.common.validation.is_none() && tls.common.key_log.is_none());
    assert!(matches!(tls.session_tickets, SessionTickets::Default));
    assert_eq!(tls.session_timeout.as_secs(), 7200);
    assert!(!tls.require_client_certificate && !tls.full_scan_on_sni_mismatch);
    let tls = up("").unwrap();
    assert_eq!(tls.common.min_version, TlsVersion::V1_2);
    assert_eq!(tls.common.max_version, TlsVersion::V1_2);
    assert_eq!((tls.max_session_keys, tls.sni.as_deref()), (1, None));
    assert!(tls.enforce_rsa_key_usage);
}

#[test]
fn keys_of_every_kind_and_form() {
    for name in ["ec", "ec384", "ed", "rsa"] {
        down(&common(name, "")).unwrap_or_else(|p| panic!("{name}: {p:?}"));
    }
    let key = |key: &str| {
        let chain = key.split('.').next().unwrap_or(key);
        let fields = with_pair(&format!("PKI/{chain}.crt"), &format!("PKI/{key}.key"));
        let (tls, _) = down(&fields).unwrap_or_else(|p| panic!("{key}: {p:?}"));
        match tls.common.certificates.first() {
            Some(SecretSource::Inline(certificate)) => Arc::clone(certificate),
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(key("ec").key, PrivateKey::Pkcs8(_)));
    assert!(matches!(key("ec.sec1").key, PrivateKey::Sec1(_)));
    assert!(matches!(key("rsa.pkcs1").key, PrivateKey::Pkcs1(_)));
    assert_eq!(
        key("ec").chain_file.clone().unwrap(),
        std::path::PathBuf::from(format!("{PKI}/ec.crt"))
    );
}

#[test]
fn bad_certificates_and_keys() {
    let inline = |chain: &str, key: &str| {
        format!(
            "common_tls_context: {{tls_certificates: [{{certificate_chain: {chain}, private_key: {key}}}]}}"
        )
    };
    let good_chain = "{filename: PKI/ec.crt}";
    let good_key = "{filename: PKI/ec.key}";
    let cases = [
        (
            "".to_owned(),
            "No TLS certificates found for server context",
        ),
        (
            "common_tls_context: {tls_certificates: [{}]}".to_owned(),
            "Server TlsCertificates must have a certificate specified",
        ),
        (
            with_pair("PKI/ec.crt", "PKI/rsa.key"),
            "PKI/rsa.key, Cause: it is no key of the certificate's type (KEY_TYPE_MISMATCH)",
        ),
        (
            with_pair("PKI/ec.crt", "PKI/other.key"),
            "PKI/other.key, Cause: it is not the key of the certificate (KEY_VALUES_MISMATCH)",
        ),
        (
            with_pair("PKI/ec.key", "PKI/ec.key"),
            "Failed to load certificate chain from PKI/ec.key",
        ),
        (
            with_pair("PKI/ec.crt", "PKI/ec.crt"),
            "Failed to load private key from PKI/ec.crt, Cause: there is no private key in it (NO_START_LINE)",
        ),
        (
            with_pair("PKI/nope.crt", "PKI/ec.key"),
            "file PKI/nope.crt does not exist",
        ),
        (
            with_pair("PKI/rsa1024.crt", "PKI/rsa1024.key"),
            "only RSA certificates with 2048-bit or larger keys are supported",
        ),
        (
            with_pair("PKI/k1.crt", "PKI/k1.key"),
            "Failed to load certificate chain from PKI/k1.crt",
        ),
        (
            with_pair("PKI/ec.crt", "PKI/ec.enc8.key"),
            "passwords are not implemented",
        ),
        (
            with_pair("PKI/ec.crt", "PKI/ec.enc.key"),
            "passwords are not implemented",
        ),
        (
            inline("{inline_string: hello}", good_key),
            "Failed to load certificate chain from <inline>",
        ),
        (
            inline(good_chain, "{inline_string: hello}"),
            "Failed to load private key from <inline>, Cause",
        ),
        (
            inline(good_chain, "{inline_string: ''}"),
            "Failed to load incomplete private key",
        ),
        (
            inline("{environment_variable: NO_SUCH_VARIABLE}", good_key),
            "Environment variable doesn't exist: NO_SUCH_VARIABLE",
        ),
        (
            common("ec", "tls_certificate_sds_secret_configs: [{name: x}]"),
            "SDS and non-SDS TLS certificates may not be mixed in server contexts",
        ),
    ];
    for (fields, expected) in cases {
        let problems = down(&fields).map(|_| ()).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = expected.replace("PKI", PKI);
        assert!(said.join("\n").contains(&expected), "{fields}: {said:?}");
    }
}

#[test]
fn key_material_is_in_no_error_and_no_debug() {
    let key = std::fs::read_to_string(format!("{PKI}/ec.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    // The end of the key is missing; the rest is there.
    let broken = key.replace("-----END PRIVATE KEY-----", "");
    let text = serde_json::Value::from(broken);
    let fields = format!(
        "common_tls_context: {{tls_certificates: [{{certificate_chain: {{filename: PKI/ec.crt}}, private_key: {{inline_string: {text}}}}}]}}"
    );
    let said = format!("{:?}", down(&fields).map(|_| ()).unwrap_err());
    assert!(said.contains("malformed PEM"), "{said}");
    assert!(!said.contains(secret), "{said}");
    let (tls, _) = down(&common("ec", "")).unwrap();
    let shown = format!("{tls:?}");
    assert!(
        !shown.contains("key: Pkcs8") && shown.contains("Certificate { chain: 1"),
        "{shown}"
    );
}

#[test]
fn bad_validation_contexts() {
    let ca = "trusted_ca: {filename: PKI/ca.crt}";
    let no_ca = "SAN-based verification of peer certificates without trusted CA is insecure and not allowed";
    let spiffe = |domains: &str| {
        format!(
            "custom_validator_config: {{name: spiffe, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig, trust_domains: [{domains}]}}}}"
        )
    };
    let bundle = "{name: foo.com, trust_bundle: {filename: PKI/ca.crt}}";
    let cases = [
        (
            "trusted_ca: {inline_string: hello}".to_owned(),
            "Failed to load trusted CA certificates from <inline>",
        ),
        (
            "trusted_ca: {inline_string: ''}".to_owned(),
            "DataSource cannot be empty",
        ),
        (
            "match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: x}}]".to_owned(),
            no_ca,
        ),
        ("match_subject_alt_names: [{exact: x}]".to_owned(), no_ca),
        (
            "allow_expired_certificate: true".to_owned(),
            "Certificate validity period is always ignored without trusted CA",
        ),
        (
            "crl: {filename: PKI/ca.crl}".to_owned(),
            "without trusted CA",
        ),
        (
            format!("{ca}, crl: {{inline_string: hello}}"),
            "Failed to load CRL from <inline>",
        ),
        (
            format!(
                "{ca}, match_typed_subject_alt_names: [{{san_type: OTHER_NAME, oid: abc, matcher: {{exact: x}}}}]"
            ),
            "Failed to create SAN matcher for OTHER_NAME with OID: abc",
        ),
        (
            format!("{ca}, require_signed_certificate_timestamp: true"),
            "require_signed_certificate_timestamp: true is not implemented",
        ),
        (
            format!("verify_certificate_spki: ['{}']", "!".repeat(44)),
            "Invalid base64-encoded SHA-256 !!!!",
        ),
        (
            format!("verify_certificate_spki: ['{}']", "A".repeat(44)),
            "Invalid base64-encoded SHA-256 AAAA",
        ),
        (
            format!("verify_certificate_hash: ['{}']", "z".repeat(64)),
            "Invalid hex-encoded SHA-256 zzzz",
        ),
        (
            format!("verify_certificate_hash: ['a:a{}']", "a".repeat(92)),
            "Invalid hex-encoded SHA-256 a:aaaa",
        ),
        (
            spiffe(&format!("{bundle}, {bundle}")),
            "Multiple trust bundles are given for one trust domain for foo.com",
        ),
        (
            spiffe("{name: foo.com}"),
            "trust_bundle: Failed to load trusted CA certificate for foo.com",
        ),
        (
            spiffe("{name: foo.com, trust_bundle: {inline_string: hello}}"),
            "Failed to load trusted CA certificate for foo.com",
        ),
    ];
    for (fields, expected) in cases {
        let problems = down(&validating(&fields)).map(|_| ()).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said.join("\n").contains(expected), "{fields}: {said:?}");
    }
}

fn validation(fields: &str) -> Arc<Validation> {
    let (tls, _) = down(&validating(fields)).unwrap_or_else(|p| panic!("{fields}: {p:?}"));
    match &tls.common.validation {
        Some(ValidationSource::Inline(validation)) => Arc::clone(validation),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_validation_context_asks_for() {
    let hex = "df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a";
    let pairs: Vec<String> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
        .collect();
    let found = validation(&format!(
        "verify_certificate_hash: [{hex}, '{}']",
        pairs.join(":")
    ));
    let [plain, colons] = found.certificate_hashes.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(plain, colons);
    assert_eq!(plain.first(), Some(&0xdf));

    let found = validation(
        "trusted_ca: {filename: PKI/ca.crt}, match_subject_alt_names: [{exact: x}], max_verify_depth: 2",
    );
    let kinds: Vec<&SanType> = found.sans.iter().map(|san| &san.kind).collect();
    assert_eq!(
        kinds,
        [&SanType::Dns, &SanType::Uri, &SanType::Email, &SanType::Ip]
    );
    assert_eq!(found.max_verify_depth, Some(2));

    // Revocation lists may be in the bundle.
    let read = |name| std::fs::read_to_string(format!("{PKI}/{name}")).unwrap();
    let both = serde_json::Value::from(read("ca.crt") + &read("ca.crl"));
    let found = validation(&format!("trusted_ca: {{inline_string: {both}}}"));
    assert_eq!(found.trusted_ca.as_ref().map(Vec::len), Some(1));
    assert_eq!(found.crls.len(), 1);
    assert!(found.files.is_empty() && found.trusted_ca_file.is_none());
}

#[test]
fn what_comes_by_name_is_on_top() {
    let default = validation(
        "trusted_ca: {filename: PKI/ca.crt}, match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}], max_verify_depth: 2",
    );
    let over = validation(
        "trusted_ca: {filename: PKI/k1.crt}, match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: b}}], only_verify_leaf_cert_crl: true",
    );
    let merged = default.merged(&over);
    assert_eq!(merged.trusted_ca, over.trusted_ca);
    assert_eq!(merged.trusted_ca_file, over.trusted_ca_file);
    assert_eq!(merged.sans.len(), 2);
    assert_eq!(
        (merged.max_verify_depth, merged.only_verify_leaf_crl),
        (Some(2), true)
    );
    assert_eq!(
        Validation::default().merged(&default).trusted_ca,
        default.trusted_ca
    );
}

#[test]
fn names_are_noted_with_their_sources() {
    let named = |field: &str| {
        format!("{field}: {{name: s, sds_config: {{path_config_source: {{path: /s.yaml}}}}}}")
    };
    let (tls, cx) = down(&format!(
        "common_tls_context: {{tls_certificate_sds_secret_configs: [{{name: c}}], combined_validation_context: {{default_validation_context: {{}}, {}}}}}, session_ticket_keys_sds_secret_config: {{name: t}}",
        named("validation_context_sds_secret_config")
    ))
    .unwrap();
    let Some(ValidationSource::Combined { name, .. }) = &tls.common.validation else {
        panic!("{tls:?}");
    };
    assert_eq!(&**name, "s");
    let kinds: Vec<_> = cx.secrets.iter().map(|r| (&*r.name, r.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("c", SecretKind::Certificate),
            ("s", SecretKind::Validation),
            ("t", SecretKind::TicketKeys)
        ]
    );
    let [needs] = cx.needs.as_slice() else {
        panic!("{:?}", cx.needs);
    };
    assert_eq!((needs.type_url, &*needs.stat_scope), (SECRET, "sds.s."));
    let unknown: Vec<String> = cx.secrets.iter().map(|r| r.unknown().reason).collect();
    assert_eq!(
        unknown,
        [
            "Unknown static secret: c",
            "Unknown static certificate validation context: s",
            "Unknown tls session ticket keys: t"
        ]
    );
}

#[test]
fn what_else_is_refused_downstream() {
    let cases = [(
        "session_ticket_keys: {keys: [{inline_string: x}]}",
        "session_ticket_keys.keys[0]: Incorrect TLS session ticket key length. Length 1, expected length 80.",
    )];
    for (more, expected) in cases {
        let fields = format!("{}, {more}", common("ec", ""));
        let said = format!("{:?}", down(&fields).map(|_| ()).unwrap_err());
        assert!(
            said.contains(expected.rsplit(": ").next().unwrap_or("")),
            "{said}"
        );
    }
    let cases = [
        ("alpn_protocols: ['h2,']", "Invalid ALPN protocol string"),
        (
            "tls_params: {tls_minimum_protocol_version: TLSv1_1}",
            "TLSv1_1 is not implemented",
        ),
        (
            "tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_2}",
            "is below tls_minimum_protocol_version",
        ),
        (
            "tls_params: {ecdh_curves: [P-256, P-256]}",
            "Failed to initialize ECDH curves P-256:P-256",
        ),
        (
            "tls_params: {ecdh_curves: [X25519, P-521]}",
            "P-521 is not implemented",
        ),
        (
            "tls_params: {ecdh_curves: [X25519, secp256r1]}",
            "Failed to initialize ECDH curves X25519:secp256r1",
        ),
    ];
    for (more, expected) in cases {
        let said = format!("{:?}", down(&common("ec", more)).map(|_| ()).unwrap_err());
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn ocsp_staples_are_bytes_of_one_response() {
    let staple = |source: &str| {
        down(&format!(
            "common_tls_context: {{tls_certificates: [{{certificate_chain: {{filename: PKI/ec.crt}}, private_key: {{filename: PKI/ec.key}}, ocsp_staple: {{{source}}}}}]}}"
        ))
    };
    // SEQUENCE { ENUMERATED 0 }, the same twice, and SEQUENCE { ENUMERATED 1 }.
    assert!(staple("inline_bytes: ''").is_ok());
    let cases = [
        (
            "inline_string: x",
            "OCSP staple cannot be provided via inline_string",
        ),
        (
            "inline_bytes: MAMKAQAwAwoBAA==",
            "Data contained more than a single OCSP response",
        ),
        ("inline_bytes: MAMKAQA=", "OCSP response has no body"),
        ("inline_bytes: MAMKAQE=", "OCSP response was unsuccessful"),
        ("inline_bytes: AAAA", "OCSP response"),
    ];
    for (source, expected) in cases {
        let said = format!("{:?}", staple(source).map(|_| ()).unwrap_err());
        assert!(said.contains(expected), "{source}: {said}");
    }
}

#[test]
fn upstream_contexts() {
    let tls = up("sni: a.example, max_session_keys: 0, common_tls_context: {tls_certificates: [{}], alpn_protocols: ['h2,http/1.1']}").unwrap();
    assert!(tls.common.certificates.is_empty());
    assert_eq!(
        tls.common.alpn,
        [b"h2".as_slice().into(), b"http/1.1".as_slice().into()]
    );
    assert_eq!(
        (tls.sni.as_deref(), tls.max_session_keys),
        (Some("a.example"), 0)
    );
    let two = format!(
        "common_tls_context: {{tls_certificates: [{0}, {0}]}}",
        pair("PKI/ec.crt", "PKI/ec.key")
    );
    let cases = [
        (
            two.as_str(),
            "Multiple TLS certificates are not supported for client contexts",
        ),
        ("allow_renegotiation: true", "true is not implemented"),
        (
            "sni: \"a\\0b\"",
            "SNI names containing NULL-byte are not allowed",
        ),
        (
            "auto_sni_san_validation: true",
            "'auto_sni_san_validation' was configured without a validation context",
        ),
        (
            "common_tls_context: {tls_params: {tls_minimum_protocol_version: TLSv1_3}}",
            "is below tls_minimum_protocol_version",
        ),
    ];
    for (fields, expected) in cases {
        let said = format!("{:?}", up(fields).map(|_| ()).unwrap_err());
        assert!(said.contains(expected), "{fields}: {said}");
    }
}

#[test]
fn the_hash_shows_what_was_in_the_files() {
    let with = |name: &str| up(&common(name, "")).unwrap().hash;
    assert_eq!(with("ec"), with("ec"));
    let at = std::env::temp_dir().join(format!("model-tls-hash-{}", std::process::id()));
    std::fs::create_dir_all(&at).unwrap();
    let hash = |name: &str| {
        for end in ["crt", "key"] {
            std::fs::copy(format!("{PKI}/{name}.{end}"), at.join(format!("tls.{end}"))).unwrap();
        }
        let path = |end: &str| at.join(format!("tls.{end}")).display().to_string();
        up(&with_pair(&path("crt"), &path("key"))).unwrap().hash
    };
    assert_ne!(hash("ec"), hash("rsa"));
    assert_eq!(hash("ec"), hash("ec"));
    std::fs::remove_dir_all(at).unwrap();
}

#[test]
fn other_sockets() {
    let mut cx = Context::default();
    let plain = TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: None,
    };
    assert!(matches!(downstream(&plain, &mut cx), Some(None)));
    assert!(matches!(upstream(&plain, &mut cx), Some(Transport::Plain)));
    assert!(cx.problems.is_empty());
    assert!(downstream(&socket("UpstreamTlsContext", ""), &mut cx).is_none());
    let said = cx.problems.into_list();
    assert!(
        said.iter()
            .any(|p| p.reason.contains("is not implemented here")),
        "{said:?}"
    );
}
