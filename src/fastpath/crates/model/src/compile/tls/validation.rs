//! `CertificateValidationContext`: what a peer's certificate must be.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envoy_types::pb::envoy::config::core::v3::{DataSource, TypedExtensionConfig};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use pb::certificate_validation_context::TrustChainVerification;
use pb::subject_alt_name_matcher::SanType as San;
use prost::Message as _;
use x509_parser::der_parser::oid::Oid;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use super::certificate::{are_certificates, files, place};
use super::pem;
use crate::check::not_implemented;
use crate::compile::{data_source, matchers};
use crate::problem::Problems;
use crate::resources::tls::{SanMatcher, SanType, TrustDomain, Validation};
use crate::schema::name_of_url;

const SPIFFE: &str = "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";
/// Where Debian, Fedora and Alpine keep the bundle of the roots that they trust.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

pub(super) fn compile(
    message: &pb::CertificateValidationContext,
    problems: &mut Problems,
) -> Option<Validation> {
    let before = problems.count();
    let spiffe = message
        .custom_validator_config
        .as_ref()
        .and_then(|config| problems.within("custom_validator_config", |p| spiffe(config, p)));
    let mut crls = match message.crl.as_ref() {
        Some(source) => problems.within("crl", |p| crls(source, p)),
        None => Vec::new(),
    };
    let trusted_ca = match message.trusted_ca.as_ref() {
        Some(source) => problems.within("trusted_ca", |p| trusted_ca(source, &mut crls, p)),
        None if message.system_root_certs.is_some() => system_roots(problems),
        None => None,
    };
    if is_true(message.require_signed_certificate_timestamp.as_ref()) {
        let field = "require_signed_certificate_timestamp";
        problems.report_at(field, "true is not implemented (in Envoy neither)");
    }
    let validation = Validation {
        trusted_ca,
        spiffe,
        spki_hashes: spki_hashes(&message.verify_certificate_spki, problems),
        certificate_hashes: certificate_hashes(&message.verify_certificate_hash, problems),
        sans: sans(message, problems),
        crls,
        only_verify_leaf_crl: message.only_verify_leaf_cert_crl,
        allow_expired: message.allow_expired_certificate,
        accept_untrusted: message.trust_chain_verification
            == i32::from(TrustChainVerification::AcceptUntrusted),
        max_verify_depth: message.max_verify_depth.as_ref().map(|v| v.value),
        trusted_ca_file: files(&message.trusted_ca).pop(),
        files: files_of(message),
    };
    (problems.count() == before).then_some(validation)
}

fn is_true(value: Option<&envoy_types::pb::google::protobuf::BoolValue>) -> bool {
    value.is_some_and(|v| v.value)
}

/// The certificates of a bundle; revocation lists that it holds, too, go to `crls`.
fn trusted_ca(
    source: &DataSource,
    crls: &mut Vec<Vec<u8>>,
    problems: &mut Problems,
) -> Option<Vec<Vec<u8>>> {
    let text = data_source::read(source, problems)?;
    if text.is_empty() {
        problems.report("DataSource cannot be empty");
        return None;
    }
    let found = pem::certificates(&text).filter(|list| are_certificates(list));
    if found.is_none() {
        let place = place(source);
        problems.report(format!(
            "Failed to load trusted CA certificates from {place}"
        ));
    }
    crls.extend(
        pem::crls(&text)
            .filter(|list| are_crls(list))
            .into_iter()
            .flatten(),
    );
    found
}

fn system_roots(problems: &mut Problems) -> Option<Vec<Vec<u8>>> {
    let path = SYSTEM_ROOTS.iter().find(|path| Path::new(path).is_file());
    let text = path.and_then(|path| std::fs::read(path).ok());
    let found = text.and_then(|text| pem::certificates(&text));
    let found = found.filter(|list| !list.is_empty());
    if found.is_none() {
        let reason = format!(
            "no bundle of trusted roots in {}. Install ca-certificates, or name a file in trusted_ca",
            SYSTEM_ROOTS.join(", ")
        );
        problems.report_at("system_root_certs", reason);
    }
    found
}

fn crls(source: &DataSource, problems: &mut Problems) -> Vec<Vec<u8>> {
    let Some(text) = data_source::read(source, problems) else {
        return Vec::new();
    };
    let found = pem::crls(&text).filter(|list| are_crls(list));
    if found.is_none() {
        problems.report(format!("Failed to load CRL from {}", place(source)));
    }
    found.unwrap_or_default()
}

fn are_crls(list: &[Vec<u8>]) -> bool {
    !list.is_empty()
        && list
            .iter()
            .all(|der| CertificateRevocationList::from_der(der).is_ok())
}

fn spki_hashes(texts: &[String], problems: &mut Problems) -> Vec<[u8; 32]> {
    let field = "verify_certificate_spki";
    hashes(field, "base64-encoded", texts, problems, |text| {
        STANDARD.decode(text).ok()?.try_into().ok()
    })
}

fn certificate_hashes(texts: &[String], problems: &mut Problems) -> Vec<[u8; 32]> {
    hashes(
        "verify_certificate_hash",
        "hex-encoded",
        texts,
        problems,
        hex,
    )
}

fn hashes(
    field: &str,
    encoding: &str,
    texts: &[String],
    problems: &mut Problems,
    decode: impl Fn(&str) -> Option<[u8; 32]>,
) -> Vec<[u8; 32]> {
    let mut found = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match decode(text) {
            Some(hash) => found.push(hash),
            None => problems.within_item(field, index, |p| {
                p.report(format!("Invalid {encoding} SHA-256 {text}"));
            }),
        }
    }
    found
}

/// 64 digits, or 32 pairs with colons between them.
fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = match text.len() {
        64 => text.as_bytes().to_vec(),
        95 => {
            let mut digits = Vec::with_capacity(64);
            for pair in text.split(':') {
                let &[_, _] = pair.as_bytes() else {
                    return None;
                };
                digits.extend_from_slice(pair.as_bytes());
            }
            digits
        }
        _ => return None,
    };
    let mut hash = [0; 32];
    let (pairs, _) = digits.as_chunks::<2>();
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        let value = high?.checked_mul(16)?.checked_add(low?)?;
        *byte = u8::try_from(value).ok()?;
    }
    Some(hash)
}

/// The typed matchers; without any the deprecated ones, which match every type of name.
fn sans(message: &pb::CertificateValidationContext, problems: &mut Problems) -> Vec<SanMatcher> {
    let typed = message.match_typed_subject_alt_names.as_slice();
    let mut found = Vec::new();
    for (index, message) in typed.iter().enumerate() {
        let field = "match_typed_subject_alt_names";
        found.extend(problems.within_item(field, index, |p| san(message, p)));
    }
    if !typed.is_empty() {
        return found;
    }
    for (index, message) in message.match_subject_alt_names.iter().enumerate() {
        for kind in [SanType::Dns, SanType::Uri, SanType::Email, SanType::Ip] {
            let matcher = problems.within_item("match_subject_alt_names", index, |p| {
                matchers::string(message, p)
            });
            let Some(matcher) = matcher else { break };
            found.push(SanMatcher { kind, matcher });
        }
    }
    found
}

/// A matcher that `message` holds in a field of its own, which the caller has entered.
pub(in crate::compile) fn san(
    message: &pb::SubjectAltNameMatcher,
    problems: &mut Problems,
) -> Option<SanMatcher> {
    let kind = san_type(message, problems);
    let matcher = message.matcher.as_ref()?;
    let matcher = problems.within("matcher", |p| matchers::string(matcher, p))?;
    Some(SanMatcher {
        kind: kind?,
        matcher,
    })
}

fn san_type(message: &pb::SubjectAltNameMatcher, problems: &mut Problems) -> Option<SanType> {
    match San::try_from(message.san_type).ok()? {
        San::Email => Some(SanType::Email),
        San::Dns => Some(SanType::Dns),
        San::Uri => Some(SanType::Uri),
        San::IpAddress => Some(SanType::Ip),
        San::OtherName => {
            let oid = message.oid.as_str();
            if oid.parse::<Oid<'_>>().is_err() {
                let reason = format!("Failed to create SAN matcher for OTHER_NAME with OID: {oid}");
                problems.report_at("oid", reason);
                return None;
            }
            Some(SanType::Other(oid.into()))
        }
        // Its rule has refused it.
        San::Unspecified => None,
    }
}

/// The files that it names, that of the certificates first.
pub(super) fn files_of(message: &pb::CertificateValidationContext) -> Vec<PathBuf> {
    let validator = message.custom_validator_config.as_ref();
    let spiffe = validator.and_then(spiffe_message).unwrap_or_default();
    let bundles = spiffe.trust_domains.iter();
    let bundles = bundles.filter_map(|domain| domain.trust_bundle.as_ref());
    files(message.trusted_ca.iter().chain(&message.crl).chain(bundles))
}

fn spiffe_message(config: &TypedExtensionConfig) -> Option<pb::SpiffeCertValidatorConfig> {
    let any = config.typed_config.as_ref()?;
    let found = name_of_url(&any.type_url)? == SPIFFE;
    pb::SpiffeCertValidatorConfig::decode(any.value.as_slice())
        .ok()
        .filter(|_| found)
}

/// The trust domains of SPIFFE's validator.
fn spiffe(config: &TypedExtensionConfig, problems: &mut Problems) -> Option<Vec<TrustDomain>> {
    let Some(message) = spiffe_message(config) else {
        let any = config.typed_config.as_ref();
        let type_name = any.and_then(|any| name_of_url(&any.type_url)).unwrap_or("");
        let reason = not_implemented(Some(&config.name), type_name);
        problems.report(format!("{reason} as a certificate validator"));
        return None;
    };
    let level = problems.enter("typed_config");
    let mut domains: Vec<TrustDomain> = Vec::with_capacity(message.trust_domains.len());
    for (index, domain) in message.trust_domains.iter().enumerate() {
        let name = domain.name.as_str();
        let found = problems.within_item("trust_domains", index, |p| {
            if domains.iter().any(|other| *other.name == *name) {
                p.report(format!(
                    "Multiple trust bundles are given for one trust domain for {name}"
                ));
                return None;
            }
            let source = domain.trust_bundle.clone().unwrap_or_default();
            let count = p.count();
            let text = data_source::read(&source, p).unwrap_or_default();
            let found = pem::certificates(&text).filter(|list| are_certificates(list));
            if found.is_none() && p.count() == count {
                let reason = format!("Failed to load trusted CA certificate for {name}");
                p.report_at("trust_bundle", reason);
            }
            Some(TrustDomain {
                name: name.into(),
                trusted_ca: found?,
                file: files([&source]).pop(),
            })
        });
        domains.extend(found);
    }
    problems.leave(level);
    Some(domains)
}

/// Adds what came from files.
pub(super) fn hash(validation: &Validation, hasher: &mut impl Hasher) {
    validation.trusted_ca.hash(hasher);
    validation.crls.hash(hasher);
    for domain in validation.spiffe.iter().flatten() {
        domain.name.hash(hasher);
        domain.trusted_ca.hash(hasher);
    }
}
