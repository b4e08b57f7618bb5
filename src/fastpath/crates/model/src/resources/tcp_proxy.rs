//! `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`, compiled.

use std::sync::Arc;
use std::time::Duration;

use super::access_log::AccessLog;
use super::cluster::Metadata;
use super::header_mutation::HeaderAdd;
use crate::format::Format;

#[derive(Debug)]
pub struct TcpProxy {
    /// `tcp.<stat_prefix>.`
    pub stat_prefix: Arc<str>,
    pub cluster: TcpCluster,
    /// `metadata_match`: subset of endpoints by `envoy.lb`.
    pub metadata_match: Option<Metadata>,
    /// Default 1 h; `None`: off.
    pub idle_timeout: Option<Duration>,
    /// Default 1.
    pub max_connect_attempts: u32,
    /// `backoff_options`: the shortest and the longest wait between two attempts; `None`: none.
    pub back_off: Option<(Duration, Duration)>,
    pub max_downstream_connection_duration: Option<Duration>,
    /// At random up to that much longer, at least a millisecond; `None`: exactly so long.
    pub duration_jitter: Option<Duration>,
    pub hash_policy: TcpHashPolicy,
    pub tunneling: Option<Tunneling>,
    /// `max_early_data_bytes`: what is read of a client before its host is there. `None`: nothing.
    pub max_early_data: Option<usize>,
    /// `upstream_connect_mode: ON_DOWNSTREAM_DATA`: no host is looked for before the client speaks.
    pub connect_on_data: bool,
    pub access_logs: Vec<Arc<AccessLog>>,
    /// `access_log_options.access_log_flush_interval`.
    pub access_log_flush_interval: Option<Duration>,
    /// `access_log_options.flush_access_log_on_start`.
    pub access_log_on_start: bool,
    /// `access_log_options.flush_access_log_on_connected`.
    pub access_log_on_connected: bool,
}

#[derive(Debug)]
pub enum TcpCluster {
    Named(Arc<str>),
    Weighted {
        clusters: Vec<TcpWeightedCluster>,
        /// Sum of the weights, > 0.
        total: u64,
    },
}

#[derive(Debug)]
pub struct TcpWeightedCluster {
    pub name: Arc<str>,
    pub weight: u32,
    pub metadata_match: Option<Metadata>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TcpHashPolicy {
    #[default]
    None,
    SourceIp,
}

/// `tunneling_config`: the bytes go as the body of an HTTP CONNECT or POST.
#[derive(Debug)]
pub struct Tunneling {
    /// `host:port` of the CONNECT; a format string.
    pub hostname: Format,
    pub use_post: bool,
    pub post_path: Arc<str>,
    pub headers: Vec<HeaderAdd>,
    /// Response headers and trailers are kept for the access log.
    pub propagate_response_headers: bool,
    pub propagate_response_trailers: bool,
}
