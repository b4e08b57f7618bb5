//! `ConfigSource`: where resources come from: a file, the aggregated stream of the bootstrap, or a
//! gRPC stream to a server of their own.

use std::fmt;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as pb;
use pb::api_config_source::ApiType;
use pb::config_source::ConfigSourceSpecifier as Specifier;
use pb::grpc_service::TargetSpecifier;

use super::Needs;
use super::duration::millis_or;
use crate::problem::Problems;

/// Envoy's default for `initial_fetch_timeout`.
const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Envoy's defaults for the back-off between two streams.
const RETRY_BASE: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Envoy's rule for `max_interval` where only `base_interval` is given.
const RETRY_FACTOR: u32 = 10;

/// Where a resource comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    File {
        path: String,
        /// Empty: the file's own directory.
        watched_directory: String,
    },
    /// The stream of `dynamic_resources.ads_config`.
    Ads,
    /// A stream to this server for nothing else.
    Grpc(Box<Server>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => f.write_str(path),
            Self::Ads => f.write_str("ADS"),
            Self::Grpc(server) => write!(f, "cluster '{}'", server.cluster),
        }
    }
}

/// An xDS server and how it is spoken to (`ApiConfigSource`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    pub cluster: String,
    /// DELTA_GRPC: only what changes is said.
    pub delta: bool,
    /// `:authority`; empty: the cluster's name.
    pub authority: String,
    pub initial_metadata: Vec<(String, String)>,
    /// `set_node_on_first_message_only`.
    pub node_once: bool,
    /// Back-off between two streams: the first, and the longest.
    pub retry_base: Duration,
    pub retry_max: Duration,
    /// Bytes of the largest message; `None`: our own limit.
    pub max_message: Option<u32>,
}

/// A source, and how long whoever needs it waits for the first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub source: Source,
    /// Zero: for ever.
    pub initial_fetch_timeout: Duration,
}

impl Origin {
    pub fn needs(self, type_url: &'static str, name: &str, stat_scope: String) -> Needs {
        Needs {
            type_url,
            name: name.to_owned(),
            stat_scope,
            source: self.source,
            initial_fetch_timeout: self.initial_fetch_timeout,
        }
    }
}

/// What a source says; `missing` is the reason if there is no source at all.
pub(crate) fn origin(
    field: &str,
    source: Option<&pb::ConfigSource>,
    missing: &str,
    problems: &mut Problems,
) -> Option<Origin> {
    let Some(source) = source else {
        problems.report(missing);
        return None;
    };
    problems.within(field, |problems| {
        if is_v2(source.resource_api_version) {
            problems.report_at("resource_api_version", "V2 resources are not implemented");
        }
        let initial_fetch_timeout = millis_or(
            "initial_fetch_timeout",
            source.initial_fetch_timeout.as_ref(),
            INITIAL_FETCH_TIMEOUT,
            problems,
        );
        let source = match source.config_source_specifier.as_ref()? {
            Specifier::Path(path) => Source::File {
                path: path.clone(),
                watched_directory: String::new(),
            },
            Specifier::PathConfigSource(source) => {
                let directory = source.watched_directory.as_ref();
                Source::File {
                    path: source.path.clone(),
                    watched_directory: directory.map(|d| d.path.clone()).unwrap_or_default(),
                }
            }
            Specifier::Ads(_) => Source::Ads,
            Specifier::ApiConfigSource(source) => {
                Source::Grpc(Box::new(server("api_config_source", source, problems)?))
            }
            // Refused by name.
            _ => return None,
        };
        Some(Origin {
            source,
            initial_fetch_timeout,
        })
    })
}

/// The server of an `ApiConfigSource`, in Envoy's words where it is refused.
pub(crate) fn server(
    field: &str,
    message: &pb::ApiConfigSource,
    problems: &mut Problems,
) -> Option<Server> {
    problems.within(field, |problems| {
        if is_v2(message.transport_api_version) {
            problems.report_at(
                "transport_api_version",
                "V2 xDS transport protocol version is deprecated",
            );
        }
        let delta = match ApiType::try_from(message.api_type) {
            Ok(ApiType::Grpc) => false,
            Ok(ApiType::DeltaGrpc) => true,
            Ok(ApiType::AggregatedGrpc | ApiType::AggregatedDeltaGrpc) => {
                problems.report_at("api_type", "the type must be a non-aggregated gRPC one");
                return None;
            }
            _ => {
                problems.report_at("api_type", "only GRPC and DELTA_GRPC are implemented");
                return None;
            }
        };
        if !message.cluster_names.is_empty() {
            problems.report(
                "(AGGREGATED_)(DELTA_)GRPC must not have a cluster name specified: \
                 grpc_services has it",
            );
        }
        let [service] = message.grpc_services.as_slice() else {
            problems.report(if message.grpc_services.is_empty() {
                "API configs must have either a gRPC service or a cluster name defined"
            } else {
                "(AGGREGATED_)(DELTA_)GRPC must have no more than 1 gRPC services specified"
            });
            return None;
        };
        let item = problems.enter_item("grpc_services", 0);
        let server = grpc_service(service, problems);
        problems.leave(item);
        Some(Server {
            delta,
            node_once: message.set_node_on_first_message_only,
            ..server?
        })
    })
}

pub(super) fn grpc_service(message: &pb::GrpcService, problems: &mut Problems) -> Option<Server> {
    // GoogleGrpc is refused by name.
    let Some(TargetSpecifier::EnvoyGrpc(envoy)) = message.target_specifier.as_ref() else {
        return None;
    };
    let mut initial_metadata = Vec::new();
    for (index, header) in message.initial_metadata.iter().enumerate() {
        let name = header.key.to_ascii_lowercase();
        if name.starts_with(':') || name.starts_with("grpc-") || !header.raw_value.is_empty() {
            problems.within_item("initial_metadata", index, |p| {
                p.report("only a text value of a name that is not gRPC's own is implemented");
            });
        }
        initial_metadata.push((name, header.value.clone()));
    }
    let level = problems.enter("envoy_grpc");
    let (retry_base, retry_max) = back_off(envoy, problems);
    problems.leave(level);
    Some(Server {
        cluster: envoy.cluster_name.clone(),
        delta: false,
        authority: envoy.authority.clone(),
        initial_metadata,
        node_once: false,
        retry_base,
        retry_max,
        max_message: envoy.max_receive_message_length.as_ref().map(|m| m.value),
    })
}

fn back_off(
    message: &pb::grpc_service::EnvoyGrpc,
    problems: &mut Problems,
) -> (Duration, Duration) {
    let policy = message.retry_policy.as_ref();
    let Some(back_off) = policy.and_then(|p| p.retry_back_off.as_ref()) else {
        return (RETRY_BASE, RETRY_MAX);
    };
    let level = problems.enter("retry_policy");
    let intervals = problems.within("retry_back_off", |p| strategy(back_off, p));
    problems.leave(level);
    intervals
}

/// The shortest and the longest interval of a `BackoffStrategy`.
pub(super) fn strategy(
    message: &pb::BackoffStrategy,
    problems: &mut Problems,
) -> (Duration, Duration) {
    let base = message.base_interval.as_ref();
    let base = millis_or("base_interval", base, RETRY_BASE, problems);
    let default = base.saturating_mul(RETRY_FACTOR);
    let max = message.max_interval.as_ref();
    let max = millis_or("max_interval", max, default, problems);
    if max < base {
        problems.report("max_interval must be greater than or equal to the base_interval");
    }
    (base, max)
}

pub(super) fn is_v2(version: i32) -> bool {
    pb::ApiVersion::try_from(version).is_ok_and(|version| version as i32 == 1)
}
