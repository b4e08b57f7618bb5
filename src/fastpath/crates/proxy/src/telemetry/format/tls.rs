//! What operators find in a TLS handshake and its certificates.

use model::format::{Side, TimeFormat, TlsField};
use tls::{Info, PeerCertificate, Sans, Version};

use super::value::Value;
use crate::telemetry::stream_info::StreamInfo;

const SECOND: u64 = 1_000_000_000;

pub(super) fn field(side: Side, which: TlsField, info: &StreamInfo) -> Value<'_> {
    use TlsField as F;
    let Some(tls) = of(side, info) else {
        return Value::Missing;
    };
    let peer = tls.peer.as_deref();
    let text = |get: fn(&PeerCertificate) -> &str| Value::text(peer.map(get));
    let theirs = |get: fn(&Sans) -> &[Box<str>]| Value::list(peer.map(|p| get(&p.sans)));
    let local = tls.local.as_deref();
    let ours = |get: fn(&Sans) -> &[Box<str>]| Value::list(local.map(|l| get(&l.sans)));
    match which {
        F::Cipher => Value::text(tls.cipher),
        F::Group => Value::text(tls.group),
        F::SessionId => Value::text(tls.session_id.as_deref()),
        F::Version => Value::text(tls.version.map(Version::name)),
        F::ServerName => Value::text(tls.server_name.as_deref()),
        F::LocalDnsSan => ours(|sans| &sans.dns),
        F::LocalEmailSan => ours(|sans| &sans.email),
        F::LocalIpSan => ours(|sans| &sans.ip),
        F::LocalOtherNameSan => ours(|sans| &sans.other),
        F::LocalUriSan => ours(|sans| &sans.uri),
        F::LocalSubject => Value::text(local.map(|local| &*local.subject)),
        F::PeerCertificate => Value::owned(peer.map(PeerCertificate::url_encoded_pem)),
        F::PeerChainFingerprints1 => joined(peer.map(PeerCertificate::chain_sha1)),
        F::PeerChainFingerprints256 => joined(peer.map(PeerCertificate::chain_sha256)),
        F::PeerChainSerials => joined(peer.map(PeerCertificate::chain_serials)),
        F::PeerDnsSan => theirs(|sans| &sans.dns),
        F::PeerEmailSan => theirs(|sans| &sans.email),
        F::PeerIpSan => theirs(|sans| &sans.ip),
        F::PeerOtherNameSan => theirs(|sans| &sans.other),
        F::PeerUriSan => theirs(|sans| &sans.uri),
        F::PeerFingerprint1 => text(|peer| &peer.sha1),
        F::PeerFingerprint256 => text(|peer| &peer.sha256),
        F::PeerIssuer => text(|peer| &peer.issuer),
        F::PeerSerial => text(|peer| &peer.serial),
        F::PeerSubject => text(|peer| &peer.subject),
        F::PeerIssuerFingerprint256 => {
            let issuer = peer.and_then(PeerCertificate::issuer_sha256);
            Value::owned(issuer.map(String::from))
        }
        F::PeerIssuerSerial => {
            let issuer = peer.and_then(PeerCertificate::issuer_serial);
            Value::owned(issuer.map(String::from))
        }
    }
}

/// The begin or the end of the validity of the peer's certificate.
pub(super) fn validity<'a>(
    side: Side,
    end: bool,
    format: &'a TimeFormat,
    info: &'a StreamInfo,
) -> Value<'a> {
    let Some(peer) = of(side, info).and_then(|tls| tls.peer.as_ref()) else {
        return Value::Missing;
    };
    let at = if end { peer.not_after } else { peer.not_before };
    // Times before 1970 are as good as 1970.
    let nanos = u64::try_from(at).unwrap_or(0).saturating_mul(SECOND);
    Value::Time(format, nanos)
}

fn of(side: Side, info: &StreamInfo) -> Option<&Info> {
    match side {
        Side::Downstream => info.downstream_tls.as_deref(),
        Side::Upstream => info.upstream_tls.as_deref(),
    }
}

fn joined<'a>(texts: Option<impl Iterator<Item = Box<str>>>) -> Value<'a> {
    Value::owned(texts.map(|texts| texts.collect::<Vec<_>>().join(",")))
}
