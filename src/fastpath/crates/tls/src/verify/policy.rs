//! A validation context as checks.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use model::problem::Problem;
use model::resources::tls::Validation;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, DistinguishedName, Error};
use x509_parser::certificate::X509Certificate;

use super::Of;
use super::chain::{Anchors, Rules};
use super::crl::Crls;
use super::san;
use crate::error::{ErrorClass, VerifyFailure};

/// Why a certificate was refused: one of rustls' reasons, which has its alert, or our own.
#[derive(Debug)]
pub(super) enum Refusal {
    Chain(CertificateError),
    Other(VerifyFailure),
}

impl Refusal {
    pub(super) fn into_rustls(self) -> Error {
        match self {
            Self::Chain(error) => Error::InvalidCertificate(error),
            Self::Other(failure) => failure.into_rustls(),
        }
    }

    pub(super) fn chain(words: &str) -> Self {
        Self::Other(VerifyFailure::chain(words))
    }

    pub(super) fn other(class: ErrorClass, detail: String) -> Self {
        Self::Other(VerifyFailure { class, detail })
    }
}

#[derive(Debug)]
enum Trust {
    /// No CA: pins and names alone decide.
    None,
    Anchors(Anchors),
    /// By trust domain.
    Spiffe(Vec<(Box<str>, Anchors)>),
}

#[derive(Debug)]
pub(super) struct Policy {
    context: Arc<Validation>,
    trust: Trust,
    rules: Rules,
    auto_sni_san: bool,
}

impl Policy {
    pub(super) fn context(&self) -> &Arc<Validation> {
        &self.context
    }

    /// `None`: the context says nothing that a certificate could fail.
    pub(super) fn new(
        context: Arc<Validation>,
        of: Of,
        path: &str,
    ) -> Result<Option<Self>, Problem> {
        let problem = |what: &str, reason: String| Problem {
            path: format!("{path}.{what}"),
            reason,
        };
        let rules = Rules {
            crls: Crls::new(&context.crls).map_err(|why| problem("crl", why))?,
            only_leaf_crl: context.only_verify_leaf_crl,
            allow_expired: context.allow_expired,
            max_depth: context.max_verify_depth,
            clients: matches!(of, Of::Clients { .. }),
        };
        let trust = match (&context.spiffe, &context.trusted_ca) {
            (Some(domains), _) => {
                let mut trust = Vec::new();
                for domain in domains {
                    let anchors = Anchors::new(&domain.trusted_ca, &rules)
                        .map_err(|why| problem("custom_validator_config", why))?;
                    trust.push((domain.name.clone(), anchors));
                }
                Trust::Spiffe(trust)
            }
            (None, Some(bundle)) => Trust::Anchors(
                Anchors::new(bundle, &rules).map_err(|why| problem("trusted_ca", why))?,
            ),
            (None, None) => Trust::None,
        };
        let policy = Self {
            rules,
            auto_sni_san: matches!(
                of,
                Of::Servers {
                    auto_sni_san: true,
                    ..
                }
            ),
            context,
            trust,
        };
        let says_something =
            policy.verifies_chains() || policy.has_leaf_checks() || policy.accepts_untrusted();
        Ok(says_something.then_some(policy))
    }

    pub(super) fn accepts_untrusted(&self) -> bool {
        self.context.accept_untrusted
    }

    pub(super) fn verifies_chains(&self) -> bool {
        !matches!(self.trust, Trust::None)
    }

    /// Whether a certificate has to be valid at the time.
    pub(super) fn checks_dates(&self) -> bool {
        self.verifies_chains() && !self.rules.allow_expired && !self.accepts_untrusted()
    }

    /// Envoy requires a certificate as soon as it has pins, names or SPIFFE to check.
    pub(super) fn needs_certificate(&self) -> bool {
        !self.accepts_untrusted()
            && (self.has_leaf_checks() || matches!(self.trust, Trust::Spiffe(_)))
    }

    pub(super) fn ca_subjects(&self) -> Vec<DistinguishedName> {
        match &self.trust {
            Trust::None => Vec::new(),
            Trust::Anchors(anchors) => anchors.subjects().collect(),
            Trust::Spiffe(domains) => domains
                .iter()
                .flat_map(|(_, anchors)| anchors.subjects())
                .collect(),
        }
    }

    pub(super) fn check_chain(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let anchors = match &self.trust {
            Trust::None => return Ok(()),
            Trust::Anchors(anchors) => anchors,
            Trust::Spiffe(domains) => {
                let domain = spiffe_trust_domain(parsed)?;
                let found = domains.iter().find(|(name, _)| **name == *domain);
                let (_, anchors) = found.ok_or_else(|| {
                    Refusal::other(
                        ErrorClass::VerifyChain,
                        "verify cert failed: no trust bundle store".into(),
                    )
                })?;
                anchors
            }
        };
        anchors.verify(leaf, parsed, intermediates, now, &self.rules)
    }

    /// Names, then pins. `sans` is the connection's own list.
    pub(super) fn check_leaf(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
        server_name: Option<&str>,
        sans: &[Box<str>],
    ) -> Result<(), Refusal> {
        san::check_override(parsed, sans)?;
        match server_name {
            // `auto_sni_san_validation` replaces the configured names.
            Some(name) if self.auto_sni_san && sans.is_empty() => san::check_dns(parsed, name)?,
            _ => san::check(parsed, &self.context.sans)?,
        }
        self.check_pins(leaf, parsed)
    }

    fn check_pins(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
    ) -> Result<(), Refusal> {
        if !self.has_pins() {
            return Ok(());
        }
        let certificate = digest(&SHA256, leaf);
        let spki = digest(&SHA256, parsed.public_key().raw);
        let certificates = &self.context.certificate_hashes;
        let keys = &self.context.spki_hashes;
        let pinned = certificates.iter().any(|pin| pin == certificate.as_ref())
            || keys.iter().any(|pin| pin == spki.as_ref());
        if pinned {
            return Ok(());
        }
        Err(Refusal::other(
            ErrorClass::VerifyHash,
            "verify cert failed: cert hash and spki".into(),
        ))
    }

    fn has_pins(&self) -> bool {
        !self.context.spki_hashes.is_empty() || !self.context.certificate_hashes.is_empty()
    }

    fn has_leaf_checks(&self) -> bool {
        self.has_pins() || !self.context.sans.is_empty()
    }
}

/// The trust domain of an X.509-SVID, as it is written: its only URI SAN is `spiffe://DOMAIN/…`, and it is no CA
/// (SPIFFE X509-SVID §2, §5.2).
fn spiffe_trust_domain(certificate: &X509Certificate<'_>) -> Result<String, Refusal> {
    let refuse = |why: &str| {
        Refusal::other(
            ErrorClass::VerifyChain,
            format!("verify cert failed: SPIFFE: {why}"),
        )
    };
    if certificate.is_ca() {
        return Err(refuse("the leaf is a CA"));
    }
    if let Ok(Some(usage)) = certificate.key_usage()
        && (usage.value.key_cert_sign() || usage.value.crl_sign())
    {
        return Err(refuse("the leaf may sign certificates"));
    }
    let uri = san::only_uri(certificate).ok_or_else(|| refuse("not exactly one URI SAN"))?;
    let domain = uri
        .strip_prefix("spiffe://")
        // Without a path it is the domain's own name, which no workload has.
        .and_then(|rest| rest.split_once('/'))
        .map(|(domain, _path)| domain)
        .filter(|domain| !domain.is_empty())
        .ok_or_else(|| refuse("the URI SAN is no SPIFFE ID"))?;
    Ok(domain.to_owned())
}
