//! `istio.alpn`: what is offered to the host in ALPN says what is spoken inside the mesh's TLS.

use std::sync::Arc;

use model::resources::cluster::UpstreamProtocol;
use model::resources::istio::AlpnOverride;
use proto::h1::Version;

use crate::http::stream::Stream;

/// Clusters whose metadata says so keep their own.
pub(super) fn decode(config: &AlpnOverride, s: &mut Stream) {
    let Some(cluster) = &s.cluster else { return };
    let cluster = cluster.config.borrow();
    if cluster.istio.as_ref().is_some_and(|info| info.keeps_alpn) {
        return;
    }
    let names = match cluster.http.protocol {
        UpstreamProtocol::Http1 => &config.http11,
        UpstreamProtocol::Downstream if s.request.version != Version::Http2 => &config.http11,
        // Of two that ALPN decides between, as in Istio, the first counts.
        UpstreamProtocol::Http2 | UpstreamProtocol::Downstream | UpstreamProtocol::Alpn => {
            &config.http2
        }
    };
    if !names.is_empty() {
        s.alpn = Some(Arc::clone(names));
    }
}
