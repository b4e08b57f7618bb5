//! What tests of clusters begin with.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::resources::address::Address;
use model::resources::cluster::{
    Cluster, Discovery, Endpoint, EndpointMetadata, Endpoints, HealthStatus, LbPolicy, Thresholds,
    Transport, UpstreamHttp, UpstreamProtocol,
};
use model::resources::http::Http2Options;

use super::availability::Availability;
use super::host::{Host, HostShards};

/// A healthy host on the loopback.
pub fn endpoint(port: u16, weight: u32) -> Endpoint {
    Endpoint {
        address: Address::Ip(([127, 0, 0, 1], port).into()),
        hostname: None,
        weight,
        health: HealthStatus::Healthy,
        priority: 0,
        locality: Arc::default(),
        locality_weight: None,
        metadata: None,
    }
}

/// A worker's, of such an endpoint.
pub fn host(port: u16, weight: u32) -> Rc<Host> {
    host_of(&endpoint(port, weight))
}

pub fn host_of(endpoint: &Endpoint) -> Rc<Host> {
    let shards = HostShards::default();
    let host = Host::new(endpoint, None, &shards, UpstreamProtocol::Http1, 0);
    host.set_availability(Availability::of(endpoint), Instant::now());
    Rc::new(host)
}

/// One with this `envoy.lb` metadata, keys sorted.
pub fn labelled(port: u16, lb: &[(&str, &str)]) -> Endpoint {
    let entries = lb
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()));
    Endpoint {
        metadata: Some(Arc::new(EndpointMetadata {
            lb: entries.collect(),
            ..EndpointMetadata::default()
        })),
        ..endpoint(port, 1)
    }
}

/// A STATIC cluster `c` of these, by turns.
pub fn cluster(hosts: Vec<Endpoint>) -> Cluster {
    Cluster {
        name: "c".into(),
        stat_name: "c".into(),
        discovery: Discovery::Static(Arc::new(Endpoints {
            hosts,
            ..Endpoints::default()
        })),
        lb: LbPolicy::RoundRobin,
        subsets: None,
        panic_threshold: 50.0,
        fail_on_panic: false,
        slow_start: None,
        connect_timeout: Duration::from_secs(5),
        per_connection_buffer_limit_bytes: 1 << 20,
        outlier_detection: None,
        thresholds: [Thresholds::default(); 2],
        transport: Transport::Plain,
        transport_matches: Vec::new(),
        keepalive: None,
        bind: None,
        exchange: None,
        istio: None,
        http: UpstreamHttp {
            protocol: UpstreamProtocol::Http1,
            http2: Http2Options::default(),
            auto_sni: false,
            auto_san_validation: false,
            auto_sni_header: None,
            idle_timeout: None,
            max_connection_duration: None,
            max_requests_per_connection: None,
            max_response_headers_bytes: 61_440,
            max_headers_count: 100,
            enable_trailers: false,
        },
        hash: 1,
    }
}
