//! The certificates of a configuration as Envoy's `/certs` shows them; no keys.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::resources::Snapshot;
use crate::resources::cluster::Transport;
use crate::resources::tls::{
    Certificate, CommonTls, OcspStaple, SecretSource, SecretValue, Validation, ValidationSource,
};

const SECONDS_A_DAY: i64 = 86_400;

/// `envoy.admin.v3.Certificates` as JSON: for each TLS context, listeners before clusters and each
/// in order of their names, the certificates it trusts and those it shows. Contexts without either
/// are left out, and so is a secret that has not come.
#[must_use]
pub fn to_json(snapshot: &Snapshot, now: SystemTime) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let contexts: Vec<Value> = contexts(snapshot)
        .into_iter()
        .filter_map(|common| context(common, snapshot, now))
        .collect();
    json!({ "certificates": contexts }).to_string()
}

/// What Envoy calls a certificate that has no secret's name.
const UNNAMED: &str = "unnamed_cert_e3b0c442";
const UNNAMED_CA: &str = "unnamed_ca_cert_e3b0c442";

/// When certificates of a context end (seconds since 1970), by the names that Envoy's
/// `ssl.certificate.<name>.expiration_unix_time_seconds` has; of several under one name the first.
#[must_use]
pub fn expirations(common: &CommonTls, snapshot: &Snapshot) -> Vec<(Box<str>, i64)> {
    let mut all: Vec<(Box<str>, i64)> = Vec::new();
    let mut add = |name: &str, der: &[u8]| {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return;
        };
        let end = certificate.validity().not_after.timestamp();
        match all.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, first)) => *first = (*first).min(end),
            None => all.push((name.into(), end)),
        }
    };
    for source in &common.certificates {
        let name = source.name().map_or(UNNAMED, |name| name);
        let certificate = certificate(source, snapshot);
        if let Some(leaf) = certificate.as_ref().and_then(|c| c.chain.first()) {
            add(name, leaf);
        }
    }
    if let (Some(source), Some(validation)) = (&common.validation, validation(common, snapshot)) {
        let name = source.name().map_or(UNNAMED_CA, |name| name);
        let domains = validation.spiffe.iter().flatten();
        let bundles = domains.map(|domain| &domain.trusted_ca);
        let own = validation.trusted_ca.iter();
        for der in own.chain(bundles).flatten() {
            add(name, der);
        }
    }
    all
}

/// When the first OCSP response to staple expires (seconds since 1970). One that does not say
/// counts as expired.
#[must_use]
pub fn first_ocsp_expiration(snapshot: &Snapshot) -> Option<i64> {
    let sources = contexts(snapshot).into_iter();
    let sources = sources.flat_map(|common| &common.certificates);
    let certificates = sources.filter_map(|source| certificate(source, snapshot));
    certificates
        .filter_map(|certificate| Some(certificate.ocsp_staple.as_ref()?.next_update.unwrap_or(0)))
        .min()
}

fn contexts(snapshot: &Snapshot) -> Vec<&CommonTls> {
    let mut listeners: Vec<_> = snapshot.listeners.values().collect();
    listeners.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let chains = listeners.into_iter().flat_map(|l| l.chains.iter());
    let downstream = chains.filter_map(|chain| chain.tls.as_ref().map(|tls| &tls.common));
    let mut clusters: Vec<_> = snapshot.clusters.values().collect();
    clusters.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let upstream = clusters
        .into_iter()
        .flat_map(|cluster| {
            let matches = cluster.transport_matches.iter().map(|one| &one.transport);
            std::iter::once(&cluster.transport).chain(matches)
        })
        .filter_map(|transport| match transport {
            Transport::Plain => None,
            Transport::Tls(tls) => Some(&tls.common),
        });
    downstream.chain(upstream).collect()
}

fn context(common: &CommonTls, snapshot: &Snapshot, now: i64) -> Option<Value> {
    let trusted: Vec<Value> = validation(common, snapshot)
        .into_iter()
        .flat_map(|validation| trusted(&validation, now))
        .collect();
    let shown = common.certificates.iter();
    let shown: Vec<Value> = shown
        .filter_map(|source| certificate(source, snapshot))
        .filter_map(|certificate| {
            let leaf = certificate.chain.first()?;
            let mut details = details(leaf, certificate.chain_file.as_deref(), now)?;
            if let (Some(staple), Some(fields)) =
                (&certificate.ocsp_staple, details.as_object_mut())
            {
                fields.insert("ocsp_details".into(), ocsp_details(staple));
            }
            Some(details)
        })
        .collect();
    if trusted.is_empty() && shown.is_empty() {
        return None;
    }
    Some(json!({ "ca_cert": trusted, "cert_chain": shown }))
}

fn certificate(
    source: &SecretSource<Certificate>,
    snapshot: &Snapshot,
) -> Option<Arc<Certificate>> {
    match source {
        SecretSource::Inline(certificate) => Some(Arc::clone(certificate)),
        SecretSource::Named(name) => match &snapshot.secrets.get(name)?.value {
            SecretValue::Certificate(certificate) => Some(Arc::clone(certificate)),
            _ => None,
        },
    }
}

fn validation(common: &CommonTls, snapshot: &Snapshot) -> Option<Arc<Validation>> {
    let named = |name| match &snapshot.secrets.get(name)?.value {
        SecretValue::Validation(validation) => Some(Arc::clone(validation)),
        _ => None,
    };
    match common.validation.as_ref()? {
        ValidationSource::Inline(validation) => Some(Arc::clone(validation)),
        ValidationSource::Named(name) => named(name),
        ValidationSource::Combined { default, name } => Some(match named(name) {
            Some(over) if over.trusted_ca.is_some() || over.spiffe.is_some() => over,
            _ => Arc::clone(default),
        }),
    }
}

fn trusted(validation: &Validation, now: i64) -> Vec<Value> {
    let file = validation.trusted_ca_file.as_deref();
    let bundles = validation.spiffe.iter().flatten();
    let bundles = bundles.flat_map(|domain| {
        let file = domain.file.as_deref();
        domain.trusted_ca.iter().map(move |der| (der, file))
    });
    let own = validation
        .trusted_ca
        .iter()
        .flatten()
        .map(|der| (der, file));
    let own = own.filter(|_| validation.spiffe.is_none());
    own.chain(bundles)
        .filter_map(|(der, file)| details(der, file, now))
        .collect()
}

/// `CertificateDetails`; `None` for bytes that are none, which compiling has refused.
fn details(der: &[u8], file: Option<&Path>, now: i64) -> Option<Value> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let left = validity.not_after.timestamp().saturating_sub(now).max(0);
    let days = left.checked_div(SECONDS_A_DAY)?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<Value> = names
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(name)
        .collect();
    let path = file.map_or_else(|| "<inline>".into(), Path::to_string_lossy);
    Some(json!({
        "path": path,
        "serial_number": serial(certificate.tbs_certificate.raw_serial()),
        "subject_alt_names": names,
        "days_until_expiration": days.to_string(),
        "valid_from": timestamp(&validity.not_before),
        "expiration_time": timestamp(&validity.not_after),
    }))
}

/// `CertificateDetails.OcspDetails`.
fn ocsp_details(staple: &OcspStaple) -> Value {
    let text = |seconds| {
        ASN1Time::from_timestamp(seconds)
            .ok()
            .map(|t| timestamp(&t))
    };
    let mut details = serde_json::Map::new();
    let times = [
        ("valid_from", Some(staple.this_update)),
        ("expiration", staple.next_update),
    ];
    for (name, seconds) in times {
        if let Some(text) = seconds.and_then(text) {
            details.insert(name.into(), json!(text));
        }
    }
    Value::Object(details)
}

/// Of the names those that Envoy's message has a field for.
fn name(name: &GeneralName<'_>) -> Option<Value> {
    match name {
        GeneralName::DNSName(dns) => Some(json!({ "dns": dns })),
        GeneralName::URI(uri) => Some(json!({ "uri": uri })),
        GeneralName::IPAddress(bytes) => {
            let ip = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
            };
            Some(json!({ "ip_address": ip.to_string() }))
        }
        _ => None,
    }
}

/// Hexadecimal, without the zero byte that keeps a DER integer positive.
fn serial(bytes: &[u8]) -> String {
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As protobuf's JSON writes a Timestamp.
fn timestamp(time: &ASN1Time) -> String {
    let time = time.to_datetime();
    let (date, month) = (time.date(), u8::from(time.month()));
    format!(
        "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compile::{CLUSTER, SECRET};
    use crate::store::Store;
    use crate::testing::resource;

    const PKI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pki");

    #[test]
    fn what_is_trusted_and_what_is_shown() {
        let mut store = Store::new();
        let secret = format!(
            "{{name: s, tls_certificate: {{certificate_chain: {{filename: {PKI}/ec.crt}}, private_key: {{filename: {PKI}/ec.key}}}}}}"
        );
        store.apply(
            SECRET,
            &[("s".to_owned(), resource(SECRET, &secret))],
            &[],
            true,
        );
        let ca = std::fs::read_to_string(format!("{PKI}/ca.crt")).unwrap();
        let ca = serde_json::Value::from(ca);
        let cluster = format!(
            "{{name: a, type: STATIC, transport_socket: {{name: tls, typed_config: {{'@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, common_tls_context: {{tls_certificate_sds_secret_configs: [{{name: s}}], validation_context: {{trusted_ca: {{inline_string: {ca}}}}}}}}}}}}}"
        );
        let cluster = ("a".to_owned(), resource(CLUSTER, &cluster));
        let applied = store.apply(CLUSTER, &[cluster], &[], true);
        assert!(applied.rejected.is_empty(), "{applied:?}");
        // Half a day before two days are left of the certificate.
        let expires = 2_111_079_216;
        let now = UNIX_EPOCH + Duration::from_secs(expires - 216_000);
        let found: Value = serde_json::from_str(&to_json(&store.snapshot(), now)).unwrap();
        let expected = json!({"certificates": [{
            "ca_cert": [{
                "path": "<inline>",
                "serial_number": "1b452366f43b52e37bdbd4e6ab85aad7f9fc98b5",
                "subject_alt_names": [],
                "days_until_expiration": "2",
                "valid_from": "2026-11-26T18:53:36Z",
                "expiration_time": "2036-11-23T18:53:36Z",
            }],
            "cert_chain": [{
                "path": format!("{PKI}/ec.crt"),
                "serial_number": "6070b24daed97b32421eee9b2e017fa34d5fd743",
                "subject_alt_names": [
                    {"dns": "ec.example"},
                    {"dns": "*.ec.example"},
                    {"uri": "spiffe://foo.com/ec"},
                    {"ip_address": "127.0.0.1"},
                ],
                "days_until_expiration": "2",
                "valid_from": "2026-11-26T18:53:36Z",
                "expiration_time": "2036-11-23T18:53:36Z",
            }],
        }]});
        assert_eq!(found, expected, "{found:#}");
    }

    #[test]
    fn nothing_to_show_after_the_end() {
        let der = std::fs::read(format!("{PKI}/ec.crt")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(&der).unwrap();
        let details = details(&pem.contents, None, i64::MAX).unwrap();
        assert_eq!(details.get("days_until_expiration").unwrap(), "0");
        assert_eq!(
            to_json(&Snapshot::default(), UNIX_EPOCH),
            r#"{"certificates":[]}"#
        );
    }
}
