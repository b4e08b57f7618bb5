//! `istio.metadata_exchange`: sidecars introduce their workloads to each other by two headers,
//! which neither the application nor anybody outside the mesh gets to see.

use std::sync::Arc;

use model::resources::istio::{Local, PeerMetadata};
use proto::{HeaderMap, Known};

use crate::http::stream::Stream;
use crate::worker::Worker;

const ID: Known = Known::XEnvoyPeerMetadataId;
const METADATA: Known = Known::XEnvoyPeerMetadata;

/// As in Istio always outside the mesh.
const PASSTHROUGH: &str = "PassthroughCluster";

#[derive(Debug)]
pub struct Exchange {
    config: Arc<PeerMetadata>,
    local: Arc<Local>,
    /// What we say of ourselves.
    told: Box<[u8]>,
}

/// Which of the headers a request had.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    id: bool,
    metadata: bool,
}

impl Exchange {
    pub fn new(config: &Arc<PeerMetadata>, local: &Arc<Local>) -> Self {
        Self {
            config: Arc::clone(config),
            local: Arc::clone(local),
            told: local.told.header(&config.additional_labels).into_bytes().into(),
        }
    }

    /// Learns who the client is and tells the host who we are.
    pub fn decode(&self, worker: &mut Worker, s: &mut Stream) -> Heard {
        let mut heard = Heard {
            id: false,
            metadata: false,
        };
        let headers = &mut s.request.headers;
        if self.config.reads_requests {
            heard.id = headers.contains(ID);
            if let Some(value) = headers.get(METADATA) {
                heard.metadata = true;
                let peer = worker.peers.of_header(value);
                s.downstream_peer = s.downstream_peer.take().or(peer);
            }
            strip(headers);
        }
        if self.tells_host(s) {
            self.tell(&mut s.request.headers, ID, METADATA);
        }
        heard
    }

    /// Learns who the host is and tells a client that has told us.
    pub fn encode(&self, heard: Heard, worker: &mut Worker, s: &mut Stream) {
        let headers = &mut s.response.headers;
        if self.config.reads_responses {
            if let Some(value) = headers.get(METADATA) {
                let peer = worker.peers.of_header(value);
                s.upstream_peer = s.upstream_peer.take().or(peer);
            }
            strip(headers);
        }
        if self.config.tells_clients && !self.is_kept_from(s, false) {
            let headers = &mut s.response.headers;
            if heard.id {
                headers.set(ID, self.local.told.id.as_bytes());
            }
            if heard.metadata {
                headers.set(METADATA, &self.told);
            }
        }
    }

    fn tells_host(&self, s: &Stream) -> bool {
        let tells = self.config.tells_hosts;
        tells.is_some_and(|tells| !self.is_kept_from(s, tells.skip_external_clusters))
    }

    fn tell(&self, headers: &mut HeaderMap, id: Known, metadata: Known) {
        headers.set(id, self.local.told.id.as_bytes());
        headers.set(metadata, &self.told);
    }

    /// Nothing is said to, or on behalf of, the request's cluster.
    fn is_kept_from(&self, s: &Stream, skip_external: bool) -> bool {
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
}

fn strip(headers: &mut HeaderMap) {
    headers.remove(ID);
    headers.remove(METADATA);
}
