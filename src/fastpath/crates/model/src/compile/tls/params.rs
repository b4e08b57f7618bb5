//! `TlsParameters`: versions, cipher suites and groups of a context.

use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    TlsParameters, tls_parameters::TlsProtocol,
};

use super::Side;
use crate::problem::Problems;
use crate::resources::tls::{CipherSuite, Group, TlsVersion};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Params {
    pub min_version: TlsVersion,
    pub max_version: TlsVersion,
    pub cipher_suites: Vec<CipherSuite>,
    pub groups: Vec<Group>,
}

pub(super) fn compile(
    message: Option<&TlsParameters>,
    side: Side,
    problems: &mut Problems,
) -> Option<Params> {
    let default = TlsParameters::default();
    let message = message.unwrap_or(&default);
    let newest = match side {
        Side::Downstream => TlsVersion::V1_3,
        Side::Upstream => TlsVersion::V1_2,
    };
    let min_field = "tls_minimum_protocol_version";
    let min_version = version(
        min_field,
        message.tls_minimum_protocol_version,
        TlsVersion::V1_2,
        problems,
    );
    let max_field = "tls_maximum_protocol_version";
    let max_version = version(
        max_field,
        message.tls_maximum_protocol_version,
        newest,
        problems,
    );
    let (min_version, max_version) = (min_version?, max_version?);
    if max_version < min_version {
        problems.report_at(
            max_field,
            "is below tls_minimum_protocol_version (without it upstream connections end at TLSv1_2)",
        );
    }
    let cipher_suites = cipher_suites(&message.cipher_suites, problems);
    let groups = groups(&message.ecdh_curves, problems);
    Some(Params {
        min_version,
        max_version,
        cipher_suites,
        groups,
    })
}

fn version(
    field: &str,
    number: i32,
    default: TlsVersion,
    problems: &mut Problems,
) -> Option<TlsVersion> {
    match TlsProtocol::try_from(number).ok()? {
        TlsProtocol::TlsAuto => Some(default),
        TlsProtocol::TlSv12 => Some(TlsVersion::V1_2),
        TlsProtocol::TlSv13 => Some(TlsVersion::V1_3),
        old @ (TlsProtocol::TlSv10 | TlsProtocol::TlSv11) => {
            let reason = format!(
                "{} is not implemented: it is not secure (RFC 8996). Use TLSv1_2",
                old.as_str_name()
            );
            problems.report_at(field, reason);
            None
        }
    }
}

/// OpenSSL's and IANA's names of what we have.
const SUITES: &[(&str, &str, CipherSuite)] = &[
    (
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::EcdheEcdsaAes128Gcm,
    ),
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::EcdheRsaAes128Gcm,
    ),
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::EcdheEcdsaAes256Gcm,
    ),
    (
        "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::EcdheRsaAes256Gcm,
    ),
    (
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::EcdheEcdsaChacha20,
    ),
    (
        "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::EcdheRsaChacha20,
    ),
];

/// What Envoy has besides: CBC, no forward secrecy, or pre-shared keys. They are left out of a
/// list that has others; Istio's own default names two of them.
const WITHOUT: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-PSK-AES128-CBC-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "PSK-AES128-CBC-SHA",
    "PSK-AES256-CBC-SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_PSK_WITH_AES_128_CBC_SHA",
    "TLS_PSK_WITH_AES_256_CBC_SHA",
];

/// A list in BoringSSL's syntax, without its aliases and operators: `A:B` or `[A|B]`, the latter
/// of equal preference.
fn cipher_suites(list: &[String], problems: &mut Problems) -> Vec<CipherSuite> {
    let field = "cipher_suites";
    let joined = list.join(":");
    if joined.is_empty() {
        return Vec::new();
    }
    let failed = |what: String| format!("Failed to initialize cipher suites {joined}. {what}");
    let mut suites = Vec::new();
    let mut rejected = Vec::new();
    let mut without = Vec::new();
    for item in joined.split(':').filter(|item| !item.is_empty()) {
        let Some(names) = names(item) else {
            problems.report_at(field, failed(format!("{item} is no group of suites")));
            return Vec::new();
        };
        for name in names {
            match SUITES.iter().find(|(a, b, _)| name == *a || name == *b) {
                Some((_, _, suite)) if suites.contains(suite) => {}
                Some((_, _, suite)) => suites.push(*suite),
                None if WITHOUT.contains(&name) => without.push(name),
                None => rejected.push(name),
            }
        }
    }
    if !rejected.is_empty() {
        let reason = failed(format!(
            "The following ciphers were rejected when tried individually: {}",
            rejected.join(", ")
        ));
        problems.report_at(field, reason);
    } else if suites.is_empty() {
        let known: Vec<&str> = SUITES.iter().map(|(name, _, _)| *name).collect();
        let reason = format!(
            "{} is not implemented. Suites of TLS 1.2 that are: {}",
            without.join(", "),
            known.join(", ")
        );
        problems.report_at(field, reason);
    }
    suites
}

/// The names in `A` or `[A|B]`; `None` for an unclosed group.
fn names(item: &str) -> Option<Vec<&str>> {
    match item.strip_prefix('[') {
        None if item.ends_with(']') => None,
        None => Some(vec![item]),
        Some(group) => Some(group.strip_suffix(']')?.split('|').collect()),
    }
}

fn groups(list: &[String], problems: &mut Problems) -> Vec<Group> {
    let field = "ecdh_curves";
    let mut groups = Vec::new();
    let joined = list.join(":");
    for name in joined.split(':').filter(|name| !name.is_empty()) {
        let group = match name {
            "X25519" | "x25519" => Group::X25519,
            "P-256" | "prime256v1" => Group::P256,
            "P-384" | "secp384r1" => Group::P384,
            "X25519MLKEM768" => Group::X25519MlKem768,
            "P-521" | "secp521r1" | "MLKEM1024" => {
                let reason = format!(
                    "{name} is not implemented. Curves that are: X25519, P-256, P-384, X25519MLKEM768"
                );
                problems.report_at(field, reason);
                continue;
            }
            _ => {
                problems.report_at(field, format!("Failed to initialize ECDH curves {joined}"));
                return Vec::new();
            }
        };
        if groups.contains(&group) {
            problems.report_at(field, format!("Failed to initialize ECDH curves {joined}"));
            return Vec::new();
        }
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(list: &[&str]) -> Result<Vec<CipherSuite>, String> {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        let mut problems = Problems::default();
        let suites = cipher_suites(&list, &mut problems);
        match problems.into_list().pop() {
            None => Ok(suites),
            Some(problem) => Err(problem.reason),
        }
    }

    #[test]
    fn suites_keep_their_order_in_every_spelling() {
        use CipherSuite::*;
        let cases: [(&[&str], &[CipherSuite]); 6] = [
            (&[], &[]),
            (&[""], &[]),
            (
                &[
                    "ECDHE-RSA-AES256-GCM-SHA384",
                    "ECDHE-ECDSA-AES128-GCM-SHA256",
                ],
                &[EcdheRsaAes256Gcm, EcdheEcdsaAes128Gcm],
            ),
            (
                &["[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]"],
                &[EcdheEcdsaAes128Gcm, EcdheEcdsaChacha20],
            ),
            (
                &["ECDHE-RSA-CHACHA20-POLY1305:TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
                &[EcdheRsaChacha20, EcdheRsaAes128Gcm],
            ),
            // Istio's default.
            (
                &[
                    "ECDHE-ECDSA-AES256-GCM-SHA384",
                    "ECDHE-RSA-AES256-GCM-SHA384",
                    "ECDHE-ECDSA-AES128-GCM-SHA256",
                    "ECDHE-RSA-AES128-GCM-SHA256",
                    "AES256-GCM-SHA384",
                    "AES128-GCM-SHA256",
                ],
                &[
                    EcdheEcdsaAes256Gcm,
                    EcdheRsaAes256Gcm,
                    EcdheEcdsaAes128Gcm,
                    EcdheRsaAes128Gcm,
                ],
            ),
        ];
        for (list, expected) in cases {
            assert_eq!(suites(list).as_deref(), Ok(expected), "{list:?}");
        }
    }

    #[test]
    fn suites_that_are_none_are_refused() {
        let cases: [(&[&str], &str); 5] = [
            (
                &["ECDHE-RSA-AES128-GCM-SHA256", "BOGUS", "OTHER"],
                "rejected when tried individually: BOGUS, OTHER",
            ),
            (
                &["[ECDHE-ECDSA-AES128-GCM-SHA256|BOGUS]"],
                "individually: BOGUS",
            ),
            (&["[ECDHE-ECDSA-AES128-GCM-SHA256"], "is no group of suites"),
            (&["AES128-SHA"], "AES128-SHA is not implemented"),
            (&["HIGH"], "individually: HIGH"),
        ];
        for (list, part) in cases {
            let said = suites(list).unwrap_err();
            assert!(said.contains(part), "{list:?}: {said}");
        }
    }
}
