//! `HttpConnectionManager`, compiled: defaults are Envoy's unless docs/differences.md says so.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::access_log::AccessLog;
use super::extension::{Discovered, Extension, ExtensionFilter};
use super::http::{Http2Options, UpgradeConfig};
use super::http_filters::{ConfiguredFilter, FilterSource, HttpFilter};
use super::route::RouteConfig;

#[derive(Debug)]
pub struct Hcm {
    /// `http.<stat_prefix>.`
    pub stat_prefix: Arc<str>,
    pub routes: RouteSource,
    pub codec: Codec,
    pub http2: Http2Options,
    pub upgrades: Vec<UpgradeConfig>,
    /// Before the router, in order; the router, too, if it is discovered.
    pub filters: Vec<ConfiguredFilter>,
    /// Of a router that is discovered (the last of `filters`, then): its default configuration.
    pub router: RouterFilter,
    pub access_logs: Vec<Arc<AccessLog>>,

    // -- timeouts; None is "off" --
    /// `common_http_protocol_options.idle_timeout`, default 1 h.
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    pub max_stream_duration: Option<Duration>,
    pub max_requests_per_connection: Option<u32>,
    /// Default 5 min.
    pub stream_idle_timeout: Option<Duration>,
    /// Whole request received within; default off.
    pub request_timeout: Option<Duration>,
    /// Whole head received within. Envoy's default is off; ours is 60 s (docs/differences.md),
    /// an explicit 0 s turns it off.
    pub request_headers_timeout: Option<Duration>,
    /// Default 5 s.
    pub drain_timeout: Duration,
    /// Default 1 s.
    pub delayed_close_timeout: Option<Duration>,

    // -- limits --
    /// Default 60 KiB.
    pub max_request_headers_bytes: usize,
    /// Default 100.
    pub max_headers_count: usize,

    // -- HTTP/1 --
    pub accept_http_10: bool,
    pub default_host_for_http_10: Option<Arc<str>>,
    pub allow_absolute_url: bool,
    pub enable_trailers: bool,
    pub proxy_100_continue: bool,
    /// With both, content-length goes and the connection closes afterwards.
    pub allow_chunked_length: bool,
    /// Any token is a method.
    pub allow_custom_methods: bool,
    /// Of HTTP/1: after an invalid request the connection stays open where its framing is known.
    /// (HTTP/2 has its own in `http2`.)
    pub stream_error_on_invalid_http_message: bool,

    // -- headers --
    pub server_name: Arc<str>,
    pub server_header: ServerHeader,
    pub via: Option<Arc<str>>,
    pub use_remote_address: bool,
    pub xff_num_trusted_hops: u32,
    pub skip_xff_append: bool,
    pub append_x_forwarded_port: bool,
    pub add_user_agent: bool,
    pub generate_request_id: bool,
    pub preserve_external_request_id: bool,
    pub always_set_request_id_in_response: bool,
    /// None: the block is absent and nothing is internal, as in Envoy 1.40.
    pub internal_addresses: Option<Vec<Cidr>>,
    /// Peers of pipes are internal, too (`internal_address_config.unix_sockets`).
    pub internal_unix_sockets: bool,
    pub represent_ipv4_remote_address_as_ipv4_mapped_ipv6: bool,
    /// `scheme_header_transformation.scheme_to_overwrite`.
    pub scheme_to_overwrite: Option<Arc<str>>,
    pub underscores: Underscores,
    pub client_cert: ForwardClientCert,
    pub strip_port: StripPort,
    pub strip_trailing_host_dot: bool,

    // -- path --
    pub normalize_path: bool,
    pub merge_slashes: bool,
    pub escaped_slashes: EscapedSlashes,
}

impl Hcm {
    /// The filters that serve, with what has come of those that are discovered.
    pub fn filters_in_use<'h>(
        &'h self,
        extensions: &'h HashMap<Arc<str>, Arc<Extension>>,
    ) -> impl Iterator<Item = &'h HttpFilter> {
        self.filters.iter().filter_map(|one| match &one.filter {
            FilterSource::Given(filter) => Some(filter),
            FilterSource::Discovered(discovered) => {
                match &**discovered.resolve(extensions.get(&*one.name))? {
                    ExtensionFilter::Before(filter) => Some(filter),
                    ExtensionFilter::Router(_) => None,
                }
            }
        })
    }

    /// Those that are discovered, with their names.
    pub fn discovered(&self) -> impl Iterator<Item = (&str, &Discovered)> {
        self.filters.iter().filter_map(|one| match &one.filter {
            FilterSource::Given(_) => None,
            FilterSource::Discovered(discovered) => Some((&*one.name, discovered)),
        })
    }
}

#[derive(Debug)]
pub enum RouteSource {
    Inline(Arc<RouteConfig>),
    /// Looked up in `Snapshot::routes`; absent answers 404 as Envoy does after
    /// `initial_fetch_timeout`.
    Rds {
        name: Arc<str>,
    },
}

/// `codec_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// By ALPN, else by the connection's first bytes.
    Auto,
    Http1,
    Http2,
}

/// `forward_client_cert_details` and `set_current_client_cert_details`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardClientCert {
    pub mode: ForwardClientCertMode,
    /// Besides `By` and `Hash`, which are always there.
    pub subject: bool,
    pub cert: bool,
    pub chain: bool,
    pub dns: bool,
    pub uri: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardClientCertMode {
    #[default]
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly,
}

/// `envoy.extensions.filters.http.router.v3.Router`, the terminal HTTP filter.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RouterFilter {
    pub suppress_envoy_headers: bool,
    /// Stats that `dynamic_stats` (default true) writes per response code.
    pub dynamic_stats: bool,
    pub respect_expected_rq_timeout: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerHeader {
    Overwrite,
    AppendIfAbsent,
    PassThrough,
}

/// `headers_with_underscores_action`. Our framing lookalikes are refused whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    Allow,
    RejectRequest,
    DropHeader,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripPort {
    No,
    /// `strip_matching_host_port`: only the listener's own port.
    Matching,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapedSlashes {
    KeepUnchanged,
    RejectRequest,
    UnescapeAndRedirect,
    UnescapeAndForward,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub address: IpAddr,
    pub prefix_len: u8,
}

impl Cidr {
    /// Whether `ip` lies in the range; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix_len));
                shift >= 32 || (net.to_bits() >> shift) == (ip.to_bits() >> shift)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix_len));
                shift >= 128 || (net.to_bits() >> shift) == (ip.to_bits() >> shift)
            }
            _ => false,
        }
    }
}
