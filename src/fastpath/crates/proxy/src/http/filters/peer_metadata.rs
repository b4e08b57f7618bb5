//! `envoy.filters.http.peer_metadata` (`istio.metadata_exchange`): sidecars introduce their
//! workloads to each other by two headers, which neither the application nor anybody outside the
//! mesh gets to see, or by `baggage`.

use std::sync::Arc;

use model::resources::istio::{Discovery, Local, PeerMetadata, Propagation, Workload};
use proto::{HeaderMap, Known};

use crate::http::stream::Stream;
use crate::telemetry::istio::peers::Peers;
use crate::worker::Worker;

const ID: Known = Known::XEnvoyPeerMetadataId;
const METADATA: Known = Known::XEnvoyPeerMetadata;
const BAGGAGE: Known = Known::Baggage;

/// As in Istio always outside the mesh.
const PASSTHROUGH: &str = "PassthroughCluster";

#[derive(Debug)]
pub struct Exchange {
    config: Arc<PeerMetadata>,
    id: Box<[u8]>,
    /// What we say of ourselves.
    metadata: Box<[u8]>,
    baggage: Box<[u8]>,
}

/// Which of the headers a request had.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heard {
    id: bool,
    metadata: bool,
}

impl Exchange {
    pub fn new(config: &Arc<PeerMetadata>, local: &Local) -> Self {
        let told = &local.told;
        let metadata = told.header(&config.additional_labels);
        Self {
            config: Arc::clone(config),
            id: told.id.as_bytes().into(),
            metadata: metadata.into_bytes().into(),
            baggage: told.baggage().into_bytes().into(),
        }
    }

    /// Learns who the client is and tells the host who we are.
    pub fn decode(&self, worker: &mut Worker, s: &mut Stream) -> Heard {
        let methods = &self.config.of_clients;
        let headers = &mut s.request.headers;
        let heard = if methods.contains(&Discovery::IstioHeaders) {
            Heard {
                id: headers.contains(ID),
                metadata: headers.contains(METADATA),
            }
        } else {
            Heard::default()
        };
        let peer = discover(methods, &mut worker.peers, headers);
        s.downstream_peer = s.downstream_peer.take().or(peer);
        for method in &self.config.to_hosts {
            self.tell(*method, None, s);
        }
        heard
    }

    /// Learns who the host is and tells a client that has told us.
    pub fn encode(&self, heard: Heard, worker: &mut Worker, s: &mut Stream) {
        let headers = &mut s.response.headers;
        let peer = discover(&self.config.of_hosts, &mut worker.peers, headers);
        s.upstream_peer = s.upstream_peer.take().or(peer);
        for method in &self.config.to_clients {
            self.tell(*method, Some(heard), s);
        }
    }

    /// `asked`: by a client; otherwise a host is told.
    fn tell(&self, method: Propagation, asked: Option<Heard>, s: &mut Stream) {
        let wanted = match method {
            Propagation::IstioHeaders {
                skip_external_clusters,
            } if is_kept_from(s, skip_external_clusters) => return,
            _ => asked.unwrap_or(Heard {
                id: true,
                metadata: true,
            }),
        };
        let headers = match asked {
            None => &mut s.request.headers,
            Some(_) => &mut s.response.headers,
        };
        match method {
            Propagation::Baggage => {
                headers.set(BAGGAGE, &self.baggage);
            }
            Propagation::IstioHeaders { .. } => {
                if wanted.id {
                    headers.set(ID, &self.id);
                }
                if wanted.metadata {
                    headers.set(METADATA, &self.metadata);
                }
            }
        }
    }
}

/// The first that says it holds. Istio's headers go no further, whether they were understood or not.
fn discover(
    methods: &[Discovery],
    peers: &mut Peers,
    headers: &mut HeaderMap,
) -> Option<Arc<Workload>> {
    let found = methods.iter().find_map(|method| match method {
        Discovery::IstioHeaders => peers.of_header(headers.get(METADATA)?),
        Discovery::Baggage => peers.of_baggage(headers.get(BAGGAGE)?),
    });
    if methods.contains(&Discovery::IstioHeaders) {
        headers.remove(ID);
        headers.remove(METADATA);
    }
    found
}

/// Nothing is said to, or on behalf of, the request's cluster.
fn is_kept_from(s: &Stream, skip_external: bool) -> bool {
    let Some(cluster) = &s.cluster else {
        return false;
    };
    let config = cluster.config.borrow();
    if skip_external && &*config.name == PASSTHROUGH {
        return true;
    }
    let info = config.istio.as_ref();
    info.is_some_and(|info| info.disable_mx || (skip_external && info.external))
}
