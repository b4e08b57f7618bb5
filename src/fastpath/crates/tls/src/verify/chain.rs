//! From a leaf to a trusted certificate, with webpki.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::{CertificateError, DistinguishedName};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptions, RevocationOptionsBuilder, VerifiedPath,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::X509Version;

use super::crl::Crls;
use super::policy::Refusal;
use crate::x509;

/// How often `allow_expired_certificate` looks for a time at which a chain was valid.
const MAX_TIMES: usize = 16;

/// A bundle of trusted certificates.
#[derive(Debug)]
pub(super) struct Anchors {
    /// Those that may have issued others.
    anchors: Vec<TrustAnchor<'static>>,
    /// Of each anchor; webpki does not look at it.
    validities: Vec<Validity>,
    /// SHA-256 of each certificate: a leaf that is trusted itself needs no issuer.
    digests: Vec<[u8; 32]>,
    /// Where the whole chain is looked up in revocation lists: those that others have issued. They
    /// can be revoked themselves, so chains do not end at them.
    issued: Vec<CertificateDer<'static>>,
    subjects: Vec<DistinguishedName>,
}

#[derive(Debug, Clone, Copy)]
struct Validity {
    not_before: i64,
    not_after: i64,
}

/// What applies to every chain of a validation context.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) crls: Crls,
    pub(super) only_leaf_crl: bool,
    pub(super) allow_expired: bool,
    /// Certificates beyond the leaf, the trusted one included.
    pub(super) max_depth: Option<u32>,
    /// Whether these are certificates of clients (extended key usage).
    pub(super) clients: bool,
}

impl Anchors {
    pub(super) fn new(bundle: &[Vec<u8>], rules: &Rules) -> Result<Self, String> {
        let mut this = Self {
            anchors: Vec::new(),
            validities: Vec::new(),
            digests: Vec::new(),
            issued: Vec::new(),
            subjects: Vec::new(),
        };
        let whole_chains = !rules.crls.is_empty() && !rules.only_leaf_crl;
        for (index, der) in bundle.iter().enumerate() {
            let parsed = x509::parse(der)
                .map_err(|why| format!("trusted certificate {index} cannot be read: {why}"))?;
            this.digests.push(sha256(der));
            // A trusted certificate that is no CA is trusted itself, and issues nothing.
            if !parsed.is_ca() && parsed.version() != X509Version::V1 {
                continue;
            }
            let subject = parsed.subject().as_raw();
            this.subjects
                .push(DistinguishedName::from(subject.to_vec()));
            if whole_chains && subject != parsed.issuer().as_raw() {
                this.issued.push(der.clone().into());
                continue;
            }
            let validity = parsed.validity();
            this.validities.push(Validity {
                not_before: validity.not_before.timestamp(),
                not_after: validity.not_after.timestamp(),
            });
            let der = CertificateDer::from(der.as_slice());
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|why| format!("trusted certificate {index} cannot be used: {why}"))?;
            this.anchors.push(anchor.to_owned());
        }
        if this.digests.is_empty() {
            return Err("holds no certificate".into());
        }
        Ok(this)
    }

    pub(super) fn subjects(&self) -> impl Iterator<Item = DistinguishedName> {
        self.subjects.iter().cloned()
    }

    pub(super) fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        parsed: &X509Certificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        rules: &Rules,
    ) -> Result<(), Refusal> {
        if rules.crls.is_empty() && self.digests.contains(&sha256(leaf)) {
            return trusted_leaf(parsed, now, rules);
        }
        let leaf = EndEntityCert::try_from(leaf).map_err(refusal)?;
        let crls = rules.crls.at(now, rules.allow_expired);
        if crls.is_empty() && !rules.crls.is_empty() {
            return Err(refusal(webpki::Error::UnknownRevocationStatus));
        }
        let more: Vec<CertificateDer<'_>>;
        let intermediates = if self.issued.is_empty() {
            intermediates
        } else {
            more = intermediates.iter().chain(&self.issued).cloned().collect();
            &more
        };
        let mut time = now;
        for _ in 0..MAX_TIMES {
            let result = self.verify_at(&leaf, intermediates, time, &crls, rules);
            match result {
                Ok(()) => return Ok(()),
                // X509_V_FLAG_NO_CHECK_TIME: webpki always looks at a clock, so show it one that
                // is right for this certificate too.
                Err(webpki::Error::CertExpired { not_after, .. })
                    if rules.allow_expired && not_after < time =>
                {
                    time = not_after;
                }
                Err(webpki::Error::CertNotValidYet { not_before, .. })
                    if rules.allow_expired && time == now =>
                {
                    time = not_before;
                }
                Err(why) => return Err(refusal(why)),
            }
        }
        Err(Refusal::chain("certificate has expired"))
    }

    fn verify_at(
        &self,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        time: UnixTime,
        crls: &[&CertRevocationList<'_>],
        rules: &Rules,
    ) -> Result<(), webpki::Error> {
        let usage = if rules.clients {
            KeyUsage::client_auth()
        } else {
            KeyUsage::server_auth()
        };
        let path = |path: &VerifiedPath<'_>| self.check_path(path, time, rules);
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors,
            intermediates,
            time,
            usage,
            revocation(crls, rules),
            Some(&path),
        )
        .map(|_| ())
    }

    /// What OpenSSL checks and webpki does not: the anchor's own validity, and the depth.
    fn check_path(
        &self,
        path: &VerifiedPath<'_>,
        time: UnixTime,
        rules: &Rules,
    ) -> Result<(), webpki::Error> {
        let depth = path.intermediate_certificates().count().saturating_add(1);
        let max = rules.max_depth.and_then(|max| usize::try_from(max).ok());
        if max.is_some_and(|max| depth > max) {
            return Err(webpki::Error::MaximumPathDepthExceeded);
        }
        if rules.allow_expired {
            return Ok(());
        }
        let index = self
            .anchors
            .iter()
            .position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let validity = index.and_then(|index| self.validities.get(index));
        match validity {
            Some(validity) => check_validity(*validity, time),
            None => Ok(()),
        }
    }
}

fn revocation<'a>(
    crls: &'a [&'a CertRevocationList<'a>],
    rules: &Rules,
) -> Option<RevocationOptions<'a>> {
    // No lists: nothing to check.
    let builder = RevocationOptionsBuilder::new(crls).ok()?;
    let depth = if rules.only_leaf_crl {
        RevocationCheckDepth::EndEntity
    } else {
        RevocationCheckDepth::Chain
    };
    let expiration = if rules.allow_expired {
        ExpirationPolicy::Ignore
    } else {
        ExpirationPolicy::Enforce
    };
    // An issuer without a list refuses, which is the builder's default and OpenSSL's.
    Some(
        builder
            .with_depth(depth)
            .with_expiration_policy(expiration)
            .build(),
    )
}

/// A leaf that is in the bundle: its validity and purpose are left to check.
fn trusted_leaf(leaf: &X509Certificate<'_>, now: UnixTime, rules: &Rules) -> Result<(), Refusal> {
    if !rules.allow_expired {
        let validity = leaf.validity();
        let validity = Validity {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        };
        check_validity(validity, now).map_err(refusal)?;
    }
    let purpose = match leaf.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => {
            let wanted = if rules.clients {
                usage.value.client_auth
            } else {
                usage.value.server_auth
            };
            usage.value.any || wanted
        }
        Err(_) => false,
    };
    if purpose {
        Ok(())
    } else {
        Err(Refusal::chain("unsupported certificate purpose"))
    }
}

fn check_validity(validity: Validity, time: UnixTime) -> Result<(), webpki::Error> {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let at = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or_default();
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    };
    if seconds < validity.not_before {
        return Err(webpki::Error::CertNotValidYet {
            time,
            not_before: at(validity.not_before),
        });
    }
    if seconds > validity.not_after {
        return Err(webpki::Error::CertExpired {
            time,
            not_after: at(validity.not_after),
        });
    }
    Ok(())
}

fn sha256(der: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, der);
    // SHA-256 is 32 bytes; zeros match no certificate.
    digest.as_ref().try_into().unwrap_or_default()
}

/// rustls has alerts for these; the others are `certificate_unknown`.
fn refusal(error: webpki::Error) -> Refusal {
    use webpki::Error as E;
    Refusal::Chain(match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::InvalidCertValidity => CertificateError::Expired,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::CertRevoked => CertificateError::Revoked,
        E::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        E::CrlExpired { .. } => CertificateError::ExpiredRevocationList,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        E::InvalidSignatureForPublicKey => {
            return Refusal::chain("certificate signature failure");
        }
        E::MaximumPathDepthExceeded => return Refusal::chain("certificate chain too long"),
        E::CaUsedAsEndEntity | E::EndEntityUsedAsCa => {
            return Refusal::chain("invalid CA certificate");
        }
        E::PathLenConstraintViolated => return Refusal::chain("path length constraint exceeded"),
        E::NameConstraintViolation => return Refusal::chain("permitted subtree violation"),
        E::UnsupportedCriticalExtension => return Refusal::chain("unhandled critical extension"),
        other => return Refusal::chain(&other.to_string()),
    })
}
