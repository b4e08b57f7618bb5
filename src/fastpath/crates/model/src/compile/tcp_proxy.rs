//! `TcpProxy`.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as pb;
use envoy_types::pb::envoy::r#type::v3::{HashPolicy, hash_policy::PolicySpecifier};
pub(super) use pb::TcpProxy as Message;
use pb::UpstreamConnectMode;
use pb::tcp_proxy::{ClusterSpecifier, TunnelingConfig, WeightedCluster};

use super::config_source::strategy;
use super::duration::{millis, timeout};
use super::protocol_options::{IDLE_TIMEOUT, count};
use super::{Context, access_log, headers, metadata};
use crate::format::Format;
use crate::problem::Problems;
use crate::resources::cluster::Metadata;
use crate::resources::tcp_proxy::{
    TcpCluster, TcpHashPolicy, TcpProxy, TcpWeightedCluster, Tunneling,
};

pub(super) fn compile(message: &Message, cx: &mut Context) -> Option<TcpProxy> {
    let metadata_match = message
        .metadata_match
        .as_ref()
        .and_then(metadata::load_balancing);
    let cluster = cluster(message, metadata_match.as_ref(), cx);
    let problems = &mut cx.problems;
    let idle = message.idle_timeout.as_ref();
    let idle_timeout = timeout("idle_timeout", idle, Some(IDLE_TIMEOUT), problems);
    let longest = message.max_downstream_connection_duration.as_ref();
    let max_downstream_connection_duration =
        millis("max_downstream_connection_duration", longest, problems);
    let hash_policy = hash_policy(&message.hash_policy);
    let tunneling = message.tunneling_config.as_ref();
    let tunneling = tunneling.map(|t| problems.within("tunneling_config", |p| tunnel(t, p)));
    let mode = message.upstream_connect_mode();
    let max_early_data = message.max_early_data_bytes.as_ref();
    let max_early_data = max_early_data.map(|most| count(most.value));
    if mode != UpstreamConnectMode::Immediate && max_early_data.is_none() {
        problems.report_at(
            "upstream_connect_mode",
            "max_early_data_bytes must be set when upstream_connect_mode is not IMMEDIATE",
        );
    }
    let back_off = message.backoff_options.as_ref();
    let back_off = back_off.map(|b| problems.within("backoff_options", |p| strategy(b, p)));
    let logging = logging(message, problems);
    Some(TcpProxy {
        stat_prefix: message.stat_prefix.as_str().into(),
        cluster: cluster?,
        metadata_match,
        idle_timeout,
        max_connect_attempts: message.max_connect_attempts.as_ref().map_or(1, |v| v.value),
        back_off,
        max_downstream_connection_duration,
        duration_jitter: max_downstream_connection_duration.and_then(|longest| {
            let percentage = message.max_downstream_connection_duration_jitter_percentage;
            jitter(longest, percentage?.value)
        }),
        hash_policy: hash_policy?,
        tunneling: match tunneling {
            Some(tunneling) => Some(tunneling?),
            None => None,
        },
        max_early_data,
        connect_on_data: mode == UpstreamConnectMode::OnDownstreamData,
        access_logs: access_log::compile("access_log", &message.access_log, problems),
        access_log_flush_interval: logging.interval,
        access_log_on_start: logging.on_start,
        access_log_on_connected: logging.on_connected,
    })
}

/// As much longer as a connection may last. `percentage`: from 0 to 100.
fn jitter(longest: Duration, percentage: f64) -> Option<Duration> {
    let millis = (longest.as_secs_f64() * 1000.0 * percentage / 100.0).ceil();
    let jitter = Duration::try_from_secs_f64(millis / 1000.0).ok()?;
    Some(jitter).filter(|jitter| !jitter.is_zero())
}

fn cluster(
    message: &Message,
    inherited: Option<&Metadata>,
    cx: &mut Context,
) -> Option<TcpCluster> {
    match message.cluster_specifier.as_ref()? {
        ClusterSpecifier::Cluster(name) => {
            Some(TcpCluster::Named(cx.refer("cluster", name, false, false)))
        }
        ClusterSpecifier::WeightedClusters(weighted) => {
            let level = cx.problems.enter("weighted_clusters");
            let cluster = weighted_clusters(weighted, inherited, cx);
            cx.problems.leave(level);
            Some(cluster)
        }
    }
}

fn weighted_clusters(
    message: &WeightedCluster,
    inherited: Option<&Metadata>,
    cx: &mut Context,
) -> TcpCluster {
    let mut clusters = Vec::with_capacity(message.clusters.len());
    let mut total = 0_u64;
    for (index, cluster) in message.clusters.iter().enumerate() {
        let level = cx.problems.enter_item("clusters", index);
        let name = cx.refer("name", &cluster.name, true, false);
        cx.problems.leave(level);
        total = total.saturating_add(cluster.weight.into());
        let metadata_match = metadata::inherit(cluster.metadata_match.as_ref(), inherited);
        clusters.push(TcpWeightedCluster {
            name,
            weight: cluster.weight,
            metadata_match,
        });
    }
    TcpCluster::Weighted { clusters, total }
}

/// One policy at most, as the rules of the message have it.
fn hash_policy(policies: &[HashPolicy]) -> Option<TcpHashPolicy> {
    match policies
        .first()
        .map(|policy| policy.policy_specifier.as_ref())
    {
        None => Some(TcpHashPolicy::None),
        Some(Some(PolicySpecifier::SourceIp(_))) => Some(TcpHashPolicy::SourceIp),
        // Refused by name.
        Some(_) => None,
    }
}

fn tunnel(message: &TunnelingConfig, problems: &mut Problems) -> Option<Tunneling> {
    let hostname = match Format::parse(&message.hostname) {
        Ok(hostname) => Some(hostname),
        Err(error) => {
            problems.report_at("hostname", error.to_string());
            None
        }
    };
    let post_path = match (message.use_post, message.post_path.as_str()) {
        (true, "") => Arc::from("/"),
        (true, path) => {
            if !path.starts_with('/') {
                problems.report_at("post_path", "a path must start with a /");
            }
            Arc::from(path)
        }
        (false, "") => Arc::from(""),
        (false, _) => {
            problems.report("Can't set a post path when POST method isn't used");
            return None;
        }
    };
    let headers = headers::additions("headers_to_add", &message.headers_to_add, problems);
    Some(Tunneling {
        hostname: hostname?,
        use_post: message.use_post,
        post_path,
        headers,
        propagate_response_headers: message.propagate_response_headers,
        propagate_response_trailers: message.propagate_response_trailers,
    })
}

/// When the access log is written, besides at the end.
struct Logging {
    interval: Option<Duration>,
    on_start: bool,
    on_connected: bool,
}

fn logging(message: &Message, problems: &mut Problems) -> Logging {
    const INTERVAL: &str = "access_log_flush_interval";
    let deprecated = message.access_log_flush_interval.as_ref();
    let Some(options) = message.access_log_options.as_ref() else {
        return Logging {
            interval: millis(INTERVAL, deprecated, problems),
            on_start: false,
            on_connected: message.flush_access_log_on_connected,
        };
    };
    let twice = [
        (deprecated.is_some(), INTERVAL),
        (
            message.flush_access_log_on_connected,
            "flush_access_log_on_connected",
        ),
    ];
    for (_, field) in twice.into_iter().filter(|(is_given, _)| *is_given) {
        let reason = format!("Only one of {field} or access_log_options can be specified.");
        problems.report_at(field, reason);
    }
    let interval = options.access_log_flush_interval.as_ref();
    Logging {
        interval: problems.within("access_log_options", |p| millis(INTERVAL, interval, p)),
        on_start: options.flush_access_log_on_start,
        on_connected: options.flush_access_log_on_connected,
    }
}

#[cfg(test)]
mod tests {
    use super::jitter;
    use std::time::Duration;

    #[test]
    fn jitter_is_whole_milliseconds_if_there_is_any() {
        let of = |millis, percentage| jitter(Duration::from_millis(millis), percentage);
        assert_eq!(of(10_000, 50.0), Some(Duration::from_secs(5)));
        assert_eq!(of(10, 12.5), Some(Duration::from_millis(2)));
        assert_eq!(of(1, 0.1), Some(Duration::from_millis(1)));
        assert_eq!(of(10_000, 0.0), None);
    }
}
