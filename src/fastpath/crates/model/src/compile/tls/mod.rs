//! TLS transport sockets: `DownstreamTlsContext`, `UpstreamTlsContext` and what they share.

mod certificate;
mod key;
mod ocsp;
mod params;
mod pem;
mod secret;
#[cfg(test)]
mod tests;
mod validation;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{TransportSocket, transport_socket};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use envoy_types::pb::google::protobuf::{Any, BoolValue};
use pb::common_tls_context::ValidationContextType;
use pb::downstream_tls_context::{OcspStaplePolicy, SessionTicketKeysType};
use prost::Message as _;

use super::duration::millis_or;
use super::{Context, SecretKind, address, config_source};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::cluster::Transport;
use crate::resources::tls::{
    CommonTls, DownstreamTls, KeyLog, OcspPolicy, SecretSource, SessionTickets, UpstreamTls,
    ValidationSource,
};
use crate::schema::name_of_url;

pub(super) use secret::{compile as secret, directories as secret_directories};
pub(super) use validation::san;

const DOWNSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/// BoringSSL's default, which Envoy leaves as it is.
const SESSION_TIMEOUT: Duration = Duration::from_secs(7200);
/// RFC 7301: a protocol's name is 1 to 255 bytes.
const MAX_ALPN: usize = 255;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Downstream,
    Upstream,
}

/// The transport socket of a filter chain, in a field that the caller has entered. `None`: it was
/// refused; `Some(None)`: plain.
pub(super) fn downstream(
    message: &TransportSocket,
    cx: &mut Context,
) -> Option<Option<Arc<DownstreamTls>>> {
    let any = match socket(message, DOWNSTREAM, &mut cx.problems)? {
        Socket::Plain => return Some(None),
        Socket::Tls(any) => any,
    };
    let level = cx.problems.enter("typed_config");
    let tls = pb::DownstreamTlsContext::decode(any.value.as_slice()).ok();
    let tls = tls.and_then(|message| downstream_context(&message, cx));
    cx.problems.leave(level);
    Some(Some(Arc::new(tls?)))
}

/// The transport socket of a cluster, or of one of its `transport_socket_matches`, in a field
/// that the caller has entered.
pub(super) fn upstream(message: &TransportSocket, cx: &mut Context) -> Option<Transport> {
    let any = match socket(message, UPSTREAM, &mut cx.problems)? {
        Socket::Plain => return Some(Transport::Plain),
        Socket::Tls(any) => any,
    };
    let level = cx.problems.enter("typed_config");
    let tls = pb::UpstreamTlsContext::decode(any.value.as_slice()).ok();
    let tls = tls.and_then(|message| upstream_context(&message, &any.value, cx));
    cx.problems.leave(level);
    Some(Transport::Tls(Arc::new(tls?)))
}

enum Socket<'m> {
    Plain,
    Tls(&'m Any),
}

/// What kind of socket it is; `tls` is the only message of TLS that fits here.
fn socket<'m>(
    message: &'m TransportSocket,
    tls: &str,
    problems: &mut Problems,
) -> Option<Socket<'m>> {
    let Some(transport_socket::ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
        if message.name == "envoy.transport_sockets.raw_buffer" {
            return Some(Socket::Plain);
        }
        problems.report(not_implemented(Some(&message.name), ""));
        return None;
    };
    match name_of_url(&any.type_url).unwrap_or("") {
        RAW_BUFFER => Some(Socket::Plain),
        name if name == tls => Some(Socket::Tls(any)),
        other => {
            let reason = not_implemented(Some(&message.name), other);
            problems.report_at("typed_config", format!("{reason} here"));
            None
        }
    }
}

fn downstream_context(
    message: &pb::DownstreamTlsContext,
    cx: &mut Context,
) -> Option<DownstreamTls> {
    let common = common(message.common_tls_context.as_ref(), Side::Downstream, cx);
    let session_tickets = session_tickets(message, cx);
    let problems = &mut cx.problems;
    let ocsp_policy = match OcspStaplePolicy::try_from(message.ocsp_staple_policy) {
        // Numbers that are none are refused by the rules of the message.
        Ok(OcspStaplePolicy::LenientStapling) | Err(_) => OcspPolicy::Lenient,
        Ok(OcspStaplePolicy::StrictStapling) => OcspPolicy::Strict,
        Ok(OcspStaplePolicy::MustStaple) => OcspPolicy::Must,
    };
    let session_timeout = millis_or(
        "session_timeout",
        message.session_timeout.as_ref(),
        SESSION_TIMEOUT,
        problems,
    );
    Some(DownstreamTls {
        common: common?,
        require_client_certificate: is_true(&message.require_client_certificate),
        session_tickets: session_tickets?,
        // Only whole seconds count, as in Envoy.
        session_timeout: Duration::from_secs(session_timeout.as_secs()),
        stateless_only: message.disable_stateful_session_resumption,
        full_scan_on_sni_mismatch: is_true(&message.full_scan_certs_on_sni_mismatch),
        prefer_client_ciphers: message.prefer_client_ciphers,
        ocsp_policy,
    })
}

fn session_tickets(message: &pb::DownstreamTlsContext, cx: &mut Context) -> Option<SessionTickets> {
    match message.session_ticket_keys_type.as_ref() {
        None | Some(SessionTicketKeysType::DisableStatelessSessionResumption(false)) => {
            Some(SessionTickets::Default)
        }
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)) => {
            Some(SessionTickets::Off)
        }
        Some(SessionTicketKeysType::SessionTicketKeys(keys)) => {
            let level = cx.problems.enter("session_ticket_keys");
            let keys = certificate::ticket_keys(keys, &mut cx.problems);
            cx.problems.leave(level);
            let keys = SecretSource::Inline(Arc::new(keys?));
            Some(SessionTickets::Keys(keys))
        }
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(config)) => {
            let level = cx.problems.enter("session_ticket_keys_sds_secret_config");
            let name = by_name(config, SecretKind::TicketKeys, cx);
            cx.problems.leave(level);
            Some(SessionTickets::Keys(SecretSource::Named(name?)))
        }
    }
}

fn upstream_context(
    message: &pb::UpstreamTlsContext,
    bytes: &[u8],
    cx: &mut Context,
) -> Option<UpstreamTls> {
    let common = common(message.common_tls_context.as_ref(), Side::Upstream, cx)?;
    let problems = &mut cx.problems;
    if message.sni.contains('\0') {
        problems.report_at("sni", "SNI names containing NULL-byte are not allowed");
    }
    if message.allow_renegotiation {
        problems.report_at(
            "allow_renegotiation",
            "true is not implemented: it is insecure",
        );
    }
    if message.auto_sni_san_validation && common.validation.is_none() {
        problems.report_at(
            "auto_sni_san_validation",
            "'auto_sni_san_validation' was configured without a validation context",
        );
    }
    let sni = message.sni.as_str();
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hash_content(&common, &mut hasher);
    Some(UpstreamTls {
        common,
        sni: Some(sni).filter(|sni| !sni.is_empty()).map(Arc::from),
        auto_host_sni: message.auto_host_sni,
        auto_sni_san_validation: message.auto_sni_san_validation,
        max_session_keys: message.max_session_keys.as_ref().map_or(1, |v| v.value),
        // Envoy 1.39 and later enforce it whatever the field says.
        enforce_rsa_key_usage: true,
        hash: hasher.finish(),
    })
}

/// Adds what was read from files: the message's bytes do not show that it changed.
pub(super) fn hash_content(common: &CommonTls, hasher: &mut impl Hasher) {
    for source in &common.certificates {
        if let SecretSource::Inline(certificate) = source {
            certificate::hash(certificate, hasher);
        }
    }
    match &common.validation {
        Some(
            ValidationSource::Inline(validation)
            | ValidationSource::Combined {
                default: validation,
                ..
            },
        ) => validation::hash(validation, hasher),
        Some(ValidationSource::Named(_)) | None => {}
    }
}

fn common(
    message: Option<&pb::CommonTlsContext>,
    side: Side,
    cx: &mut Context,
) -> Option<CommonTls> {
    let default = pb::CommonTlsContext::default();
    let message = message.unwrap_or(&default);
    let level = cx.problems.enter("common_tls_context");
    let params = cx.problems.within("tls_params", |p| {
        params::compile(message.tls_params.as_ref(), side, p)
    });
    let certificates = certificates(message, side, cx);
    let validation = validation_source(message, cx);
    let alpn = alpn(&message.alpn_protocols, &mut cx.problems);
    let key_log = message.key_log.as_ref();
    let key_log = key_log.map(|m| cx.problems.within("key_log", |p| key_log_options(m, p)));
    cx.problems.leave(level);
    let params = params?;
    Some(CommonTls {
        min_version: params.min_version,
        max_version: params.max_version,
        cipher_suites: params.cipher_suites,
        groups: params.groups,
        alpn,
        certificates,
        validation: validation?,
        key_log,
    })
}

/// Those given here or those by name; Envoy mixes them nowhere.
fn certificates(
    message: &pb::CommonTlsContext,
    side: Side,
    cx: &mut Context,
) -> Vec<SecretSource<crate::resources::tls::Certificate>> {
    let inline = message.tls_certificates.as_slice();
    let named = message.tls_certificate_sds_secret_configs.as_slice();
    let problems = &mut cx.problems;
    match side {
        Side::Downstream if inline.is_empty() && named.is_empty() => {
            problems.report("No TLS certificates found for server context");
        }
        Side::Downstream if !inline.is_empty() && !named.is_empty() => {
            problems.report("SDS and non-SDS TLS certificates may not be mixed in server contexts");
        }
        Side::Upstream if inline.len().saturating_add(named.len()) > 1 => {
            problems.report("Multiple TLS certificates are not supported for client contexts");
        }
        _ => {}
    }
    let mut sources = Vec::new();
    for (index, message) in inline.iter().enumerate() {
        if certificate::is_empty(message) && side == Side::Upstream {
            // Nothing to show to the peer, said at length: Envoy takes it.
            continue;
        }
        let found = problems.within_item("tls_certificates", index, |p| {
            certificate::compile(message, p)
        });
        sources.extend(found.map(|found| SecretSource::Inline(Arc::new(found))));
    }
    for (index, config) in named.iter().enumerate() {
        let level = cx
            .problems
            .enter_item("tls_certificate_sds_secret_configs", index);
        let name = by_name(config, SecretKind::Certificate, cx);
        cx.problems.leave(level);
        sources.extend(name.map(SecretSource::Named));
    }
    sources
}

/// `None`: refused; `Some(None)`: there is none.
fn validation_source(
    message: &pb::CommonTlsContext,
    cx: &mut Context,
) -> Option<Option<ValidationSource>> {
    let source = match message.validation_context_type.as_ref() {
        None => return Some(None),
        Some(ValidationContextType::ValidationContext(context)) => {
            let level = cx.problems.enter("validation_context");
            let found = validation::compile(context, &mut cx.problems);
            if let Some(reason) = found.as_ref().and_then(|v| v.contradiction()) {
                cx.problems.report(reason);
            }
            cx.problems.leave(level);
            ValidationSource::Inline(Arc::new(found?))
        }
        Some(ValidationContextType::ValidationContextSdsSecretConfig(config)) => {
            let level = cx.problems.enter("validation_context_sds_secret_config");
            let name = by_name(config, SecretKind::Validation, cx);
            cx.problems.leave(level);
            ValidationSource::Named(name?)
        }
        Some(ValidationContextType::CombinedValidationContext(combined)) => {
            let level = cx.problems.enter("combined_validation_context");
            let found = self::combined(combined, cx);
            cx.problems.leave(level);
            found?
        }
        // Refused by name.
        Some(_) => return None,
    };
    Some(Some(source))
}

fn combined(
    message: &pb::common_tls_context::CombinedCertificateValidationContext,
    cx: &mut Context,
) -> Option<ValidationSource> {
    let level = cx.problems.enter("default_validation_context");
    let context = message.default_validation_context.as_ref()?;
    let default = validation::compile(context, &mut cx.problems);
    cx.problems.leave(level);
    let level = cx.problems.enter("validation_context_sds_secret_config");
    let config = message.validation_context_sds_secret_config.as_ref()?;
    let name = by_name(config, SecretKind::Validation, cx);
    cx.problems.leave(level);
    Some(ValidationSource::Combined {
        default: Arc::new(default?),
        name: name?,
    })
}

/// `SdsSecretConfig`: a secret from a source of its own, or without one a static secret.
fn by_name(config: &pb::SdsSecretConfig, kind: SecretKind, cx: &mut Context) -> Option<Arc<str>> {
    let source = match config.sds_config.as_ref() {
        None => None,
        source => {
            let origin = config_source::origin("sds_config", source, "", &mut cx.problems)?;
            let scope = format!("sds.{}.", config.name);
            Some(origin.needs(super::SECRET, &config.name, scope))
        }
    };
    Some(cx.refer_to_secret(&config.name, kind, source))
}

/// The protocols, each one possibly a list with commas, as Envoy reads it.
fn alpn(names: &[String], problems: &mut Problems) -> Vec<Box<[u8]>> {
    let mut protocols = Vec::new();
    for (index, name) in names.iter().enumerate() {
        for protocol in name.split(',') {
            if protocol.is_empty() || protocol.len() > MAX_ALPN {
                problems.within_item("alpn_protocols", index, |p| {
                    p.report("Invalid ALPN protocol string");
                });
            }
            protocols.push(protocol.as_bytes().into());
        }
    }
    protocols
}

fn key_log_options(message: &pb::TlsKeyLog, problems: &mut Problems) -> KeyLog {
    let mut ranges = |field, ranges: &[envoy_types::pb::envoy::config::core::v3::CidrRange]| {
        let each = |(index, range)| problems.within_item(field, index, |p| address::cidr(range, p));
        ranges.iter().enumerate().filter_map(each).collect()
    };
    KeyLog {
        local: ranges("local_address_range", &message.local_address_range),
        remote: ranges("remote_address_range", &message.remote_address_range),
        path: message.path.as_str().into(),
    }
}

fn is_true(value: &Option<BoolValue>) -> bool {
    value.as_ref().is_some_and(|v| v.value)
}
