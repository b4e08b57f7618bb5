//! `Cluster`: where its endpoints come from, how they are chosen, and the limits.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::google::protobuf::UInt32Value;
use pb::cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily};

use super::duration::millis_or;
use super::protocol_options::limit;
use super::route_action::priority;
use super::{
    Assignment, Context, ENDPOINTS, bind, config_source, endpoints, istio, load_balancing,
    metadata, original_dst, outlier, protocol_options, tls,
};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::cluster::{
    Cluster, Discovery, Dns, EndpointPolicy, LocalityWeights, LookupFamily, RetryBudget,
    RoutingPriority, TcpKeepalive, Thresholds, Transport, TransportMatch, UpstreamHttp,
    UpstreamProtocol,
};
use crate::resources::istio::MetadataExchange;
use crate::schema::name_of_url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DNS_REFRESH: Duration = Duration::from_secs(5);
/// Envoy's default of `per_connection_buffer_limit_bytes`.
const BUFFER_LIMIT: u32 = 1 << 20;
/// Envoy's default of `max_interval`, times `base_interval`.
const MAX_BACKOFF: u32 = 10;

/// Its network filters; `None`: they are refused.
fn exchange(
    message: &pb::Cluster,
    problems: &mut Problems,
) -> Option<Option<Arc<MetadataExchange>>> {
    let mut found = None;
    for (index, filter) in message.filters.iter().enumerate() {
        let any = filter.typed_config.as_ref();
        let type_name = any.and_then(|any| name_of_url(&any.type_url)).unwrap_or("");
        let exchange = any.filter(|_| type_name == istio::EXCHANGE && found.is_none());
        let level = problems.enter_item("filters", index);
        match exchange {
            Some(any) => found = istio::exchange(&any.value, problems).map(Arc::new),
            None => {
                let reason = not_implemented(Some(&filter.name), type_name);
                problems.report(format!("{reason} as a filter of a cluster, or not twice"));
            }
        }
        problems.leave(level);
        found.as_ref()?;
    }
    Some(found)
}

pub(super) fn compile(message: &pb::Cluster, hash: u64, cx: &mut Context) -> Option<Cluster> {
    let transport = match message.transport_socket.as_ref() {
        Some(socket) => {
            let level = cx.problems.enter("transport_socket");
            let transport = tls::upstream(socket, cx);
            cx.problems.leave(level);
            transport
        }
        None => Some(Transport::Plain),
    };
    let transport_matches = transport_matches(message, cx);
    let problems = &mut cx.problems;
    let load_balancing = load_balancing::compile(message, problems);
    let http = protocol_options::compile(message, problems);
    let options = message.upstream_connection_options.as_ref();
    let keepalive = options
        .and_then(|o| o.tcp_keepalive.as_ref())
        .map(keepalive);
    let bind = match message.upstream_bind_config.as_ref() {
        None => None,
        Some(config) => {
            let owner = format!("Cluster {}", message.name);
            let found =
                problems.within("upstream_bind_config", |p| bind::compile(config, &owner, p));
            Some(Arc::new(found?))
        }
    };
    let error_statuses = protocol_options::error_statuses(message, problems);
    let outlier_detection = match message.outlier_detection.as_ref() {
        None => None,
        Some(config) => {
            let close = message.close_connections_on_host_health_failure;
            let mut found =
                problems.within("outlier_detection", |p| outlier::compile(config, close, p))?;
            found.error_statuses = error_statuses;
            Some(Arc::new(found))
        }
    };
    let connect_timeout = millis_or(
        "connect_timeout",
        message.connect_timeout.as_ref(),
        CONNECT_TIMEOUT,
        problems,
    );
    let buffer = message.per_connection_buffer_limit_bytes.as_ref();
    let weights = load_balancing
        .as_ref()
        .map_or(LocalityWeights::Ignored, |lb| lb.locality_weights);
    cx.locality_weights = weights;
    let discovery = discovery(message, weights, cx);
    let exchange = exchange(message, &mut cx.problems);
    let load_balancing = load_balancing?;
    let name: Arc<str> = message.name.as_str().into();
    let (transport, transport_matches) = (transport?, transport_matches?);
    let http = http?;
    check_alpn(
        &name,
        &transport,
        &transport_matches,
        &http,
        &mut cx.problems,
    );
    Some(Cluster {
        stat_name: match message.alt_stat_name.as_str() {
            "" => Arc::clone(&name),
            other => other.into(),
        },
        name,
        discovery: discovery?,
        lb: load_balancing.policy,
        subsets: load_balancing.subsets,
        panic_threshold: panic_threshold(message),
        fail_on_panic: load_balancing.fail_on_panic,
        slow_start: load_balancing.slow_start,
        connect_timeout,
        per_connection_buffer_limit_bytes: limit(buffer.map_or(BUFFER_LIMIT, |v| v.value)),
        thresholds: thresholds(message),
        outlier_detection,
        http,
        hash: with_transports(hash, &transport, &transport_matches),
        transport,
        transport_matches,
        keepalive,
        bind,
        exchange: exchange?,
        istio: message
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.filter_metadata.get(metadata::ISTIO))
            .map(|metadata| Arc::new(istio::cluster(metadata))),
    })
}

/// `None`: one of them was refused.
fn transport_matches(message: &pb::Cluster, cx: &mut Context) -> Option<Vec<TransportMatch>> {
    let mut matches = Vec::with_capacity(message.transport_socket_matches.len());
    for (index, one) in message.transport_socket_matches.iter().enumerate() {
        let level = cx.problems.enter_item("transport_socket_matches", index);
        let socket = cx.problems.enter("transport_socket");
        let transport = match one.transport_socket.as_ref() {
            Some(socket) => tls::upstream(socket, cx),
            None => {
                cx.problems.report("value is required");
                None
            }
        };
        cx.problems.leave(socket);
        cx.problems.leave(level);
        matches.push(transport.map(|transport| {
            TransportMatch {
                name: one.name.as_str().into(),
                matches: one
                    .r#match
                    .as_ref()
                    .map(metadata::entries)
                    .unwrap_or_default(),
                transport,
            }
        }));
    }
    matches.into_iter().collect()
}

/// Protocols are negotiated by ALPN, which all of the cluster's sockets must then speak.
fn check_alpn(
    name: &str,
    transport: &Transport,
    matches: &[TransportMatch],
    http: &UpstreamHttp,
    problems: &mut Problems,
) {
    let has_tls = |transport: &Transport| matches!(transport, Transport::Tls(_));
    let all = has_tls(transport) && matches.iter().all(|one| has_tls(&one.transport));
    if http.protocol == UpstreamProtocol::Alpn && !all {
        problems.report(format!(
            "ALPN configured for cluster {name} which has a non-ALPN transport socket: auto_config needs TLS"
        ));
    }
}

/// The hash of a cluster whose sockets read files: its bytes do not show what was in them.
fn with_transports(hash: u64, transport: &Transport, matches: &[TransportMatch]) -> u64 {
    let transports = matches.iter().map(|one| &one.transport);
    let mut hashes = std::iter::once(transport)
        .chain(transports)
        .filter_map(|transport| match transport {
            Transport::Plain => None,
            Transport::Tls(tls) => Some(tls.hash),
        })
        .peekable();
    if hashes.peek().is_none() {
        return hash;
    }
    let mut hasher = DefaultHasher::new();
    hash.hash(&mut hasher);
    hashes.for_each(|tls| tls.hash(&mut hasher));
    hasher.finish()
}

/// With any of the three 0 there is none, as in Envoy.
fn keepalive(message: &core::TcpKeepalive) -> TcpKeepalive {
    let number = |value: &Option<UInt32Value>| value.as_ref().map(|v| v.value);
    TcpKeepalive {
        probes: number(&message.keepalive_probes),
        time_seconds: number(&message.keepalive_time),
        interval_seconds: number(&message.keepalive_interval),
    }
}

/// Envoy's default is 50 %; it counts in whole ones, cut off.
fn panic_threshold(message: &pb::Cluster) -> f64 {
    message
        .common_lb_config
        .as_ref()
        .and_then(|config| config.healthy_panic_threshold.as_ref())
        .map_or(50.0, |percent| (percent.value / 100.0 * 100.0).trunc())
}

fn discovery(
    message: &pb::Cluster,
    weights: LocalityWeights,
    cx: &mut Context,
) -> Option<Discovery> {
    let kind = match message.cluster_discovery_type.as_ref() {
        None => DiscoveryType::Static,
        Some(ClusterDiscoveryType::Type(number)) => DiscoveryType::try_from(*number).ok()?,
        // Refused by name.
        Some(ClusterDiscoveryType::ClusterType(_)) => return None,
    };
    if kind != DiscoveryType::Eds && message.eds_cluster_config.is_some() {
        cx.problems.report_at(
            "eds_cluster_config",
            "eds_cluster_config set in a non-EDS cluster",
        );
    }
    let empty = ClusterLoadAssignment::default();
    let assignment = message.load_assignment.as_ref().unwrap_or(&empty);
    match kind {
        DiscoveryType::Static => {
            let problems = &mut cx.problems;
            let assignment =
                problems.within("load_assignment", |p| Assignment::compile(assignment, p));
            Some(Discovery::Static(Arc::new(
                assignment.flatten(weights, false),
            )))
        }
        DiscoveryType::StrictDns => Some(Discovery::Dns(Arc::new(dns(
            message,
            false,
            weights,
            &mut cx.problems,
        )))),
        DiscoveryType::LogicalDns => {
            let is_one = match assignment.endpoints.as_slice() {
                [] => true,
                [group] => group.lb_endpoints.len() == 1,
                _ => false,
            };
            if !is_one {
                cx.problems.report_at(
                    "load_assignment",
                    "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint",
                );
            }
            Some(Discovery::Dns(Arc::new(dns(
                message,
                true,
                weights,
                &mut cx.problems,
            ))))
        }
        DiscoveryType::Eds => eds(message, cx),
        DiscoveryType::OriginalDst => {
            original_dst::compile(message, &mut cx.problems).map(Discovery::OriginalDst)
        }
    }
}

fn eds(message: &pb::Cluster, cx: &mut Context) -> Option<Discovery> {
    let Some(config) = message.eds_cluster_config.as_ref() else {
        cx.problems
            .report("cannot create an EDS cluster without an EDS config");
        return None;
    };
    if message.load_assignment.is_some() {
        let reason = "is not implemented for EDS clusters, whose endpoints come by EDS";
        cx.problems.report_at("load_assignment", reason);
    }
    let level = cx.problems.enter("eds_cluster_config");
    let source = config_source::origin(
        "eds_config",
        config.eds_config.as_ref(),
        "eds_config: value is required",
        &mut cx.problems,
    );
    cx.problems.leave(level);
    let service_name = match config.service_name.as_str() {
        "" => message.name.as_str(),
        name => name,
    };
    let stat_name = match message.alt_stat_name.as_str() {
        "" => message.name.as_str(),
        name => name,
    };
    cx.needs
        .push(source?.needs(ENDPOINTS, service_name, format!("cluster.{stat_name}.")));
    Some(Discovery::Eds {
        service_name: service_name.into(),
        endpoints: None,
    })
}

fn dns(
    message: &pb::Cluster,
    logical: bool,
    weights: LocalityWeights,
    problems: &mut Problems,
) -> Dns {
    let (targets, policy) = match message.load_assignment.as_ref() {
        Some(a) => problems.within("load_assignment", |p| {
            let targets = endpoints::dns_targets(a, weights, p);
            (targets, p.within("policy", |p| endpoints::policy(a, p)))
        }),
        None => (Vec::new(), EndpointPolicy::default()),
    };
    let refresh = message.dns_refresh_rate.as_ref();
    let refresh = millis_or("dns_refresh_rate", refresh, DNS_REFRESH, problems);
    let (base, max) = match message.dns_failure_refresh_rate.as_ref() {
        None => (refresh, refresh),
        Some(rate) => problems.within("dns_failure_refresh_rate", |problems| {
            let base = rate.base_interval.as_ref();
            let base = millis_or("base_interval", base, refresh, problems);
            let max = rate.max_interval.as_ref();
            let default = base.saturating_mul(MAX_BACKOFF);
            let max = millis_or("max_interval", max, default, problems);
            if max < base {
                problems.report("dns_failure_refresh_rate must have max_interval greater than or equal to the base_interval");
            }
            (base, max)
        }),
    };
    let family = match DnsLookupFamily::try_from(message.dns_lookup_family) {
        Ok(DnsLookupFamily::Auto) | Err(_) => LookupFamily::Auto,
        Ok(DnsLookupFamily::V4Only) => LookupFamily::V4Only,
        Ok(DnsLookupFamily::V6Only) => LookupFamily::V6Only,
        Ok(DnsLookupFamily::V4Preferred) => LookupFamily::V4Preferred,
        Ok(DnsLookupFamily::All) => LookupFamily::All,
    };
    Dns {
        logical,
        targets,
        policy,
        refresh,
        failure_refresh_base: base,
        failure_refresh_max: max,
        family,
    }
}

/// Limits by priority; of several for one priority the first counts, as in Envoy.
fn thresholds(message: &pb::Cluster) -> [Thresholds; 2] {
    let given = message
        .circuit_breakers
        .as_ref()
        .map(|c| c.thresholds.as_slice());
    let given = given.unwrap_or_default();
    [RoutingPriority::Default, RoutingPriority::High].map(|wanted| {
        let default = Thresholds::default();
        let Some(message) = given.iter().find(|t| priority(t.priority) == wanted) else {
            return default;
        };
        let limit =
            |value: &Option<UInt32Value>, default| value.as_ref().map_or(default, |v| v.value);
        Thresholds {
            max_connections: limit(&message.max_connections, default.max_connections),
            max_pending_requests: limit(
                &message.max_pending_requests,
                default.max_pending_requests,
            ),
            max_requests: limit(&message.max_requests, default.max_requests),
            max_retries: limit(&message.max_retries, default.max_retries),
            retry_budget: message.retry_budget.as_ref().map(|budget| RetryBudget {
                percent: budget.budget_percent.as_ref().map_or(20.0, |v| v.value),
                min_concurrency: limit(&budget.min_retry_concurrency, 3),
            }),
        }
    })
}
