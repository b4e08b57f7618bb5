//! `istio.stats` of requests: each is reported when it is over.

use std::cell::Ref;
use std::sync::Arc;

use model::resources::cluster::Cluster;
use model::resources::istio::Workload;
use model::resources::istio_stats::{Metric, Reporter};
use proto::Known;
use tls::Info;

use crate::http::client::Client;
use crate::http::grpc;
use crate::http::stream::Stream;
use crate::telemetry::istio::{Facts, Grpc, Outcome, Reports, Service};
use crate::telemetry::response_flags::ResponseFlags;

/// `is_grpc`: the request was, as far as the filter has seen it.
pub fn report(reports: &Reports, client: &Client, s: &Stream, is_grpc: bool, elapsed_ms: u64) {
    let info = &s.info;
    let (tls, peer) = match reports.config.reporter {
        Reporter::Destination => (client.tls.as_ref(), s.downstream_peer.as_ref()),
        Reporter::Source => {
            let endpoint = || s.host.as_ref()?.workload();
            let said = s.upstream_peer.as_ref();
            (info.upstream_tls.as_ref(), said.or_else(endpoint))
        }
    };
    let host = peer.filter(|_| reports.config.reporter == Reporter::Source);
    let (peer_principal, local_principal) = principals(tls, host);
    let cluster = s.cluster.as_ref().map(|cluster| cluster.config.borrow());
    let route = s.route.as_ref().and_then(|route| route.route());
    let asked = !reports.config.disable_host_header_fallback;
    let asked = asked.then(|| s.request.headers.get(Known::Host)).flatten();
    let code = info.response_code.unwrap_or(0);
    let facts = Facts {
        peer,
        peer_principal,
        local_principal,
        service: Service::new(
            asked,
            route.map_or("", |r| &r.name),
            of_cluster(cluster.as_ref()),
        ),
        flags: ResponseFlags(info.flags.0),
        outcome: Some(Outcome {
            code,
            grpc: if is_grpc { status(s, code) } else { Grpc::No },
        }),
        request: Some(&s.request),
    };
    let series = reports.series(&facts);
    series.add(Metric::RequestsTotal, 1);
    series.add(Metric::RequestDuration, elapsed_ms);
    let head = info.downstream_header_bytes_received;
    series.add(
        Metric::RequestBytes,
        head.saturating_add(info.bytes_received),
    );
    let head = info.downstream_header_bytes_sent;
    series.add(Metric::ResponseBytes, head.saturating_add(info.bytes_sent));
    if let Some((up, down)) = info.grpc_messages.filter(|_| is_grpc) {
        series.add(Metric::RequestMessages, up);
        series.add(Metric::ResponseMessages, down);
    }
}

/// The first URI of the peer's certificate and of ours. Without one a host's own word counts, as in
/// Istio; a client's does not.
pub fn principals<'a>(
    tls: Option<&'a Arc<Info>>,
    host: Option<&'a Arc<Workload>>,
) -> (&'a str, &'a str) {
    let peer = tls.and_then(|info| info.peer.as_ref());
    let local = tls.and_then(|info| info.local.as_ref());
    let peer = peer.and_then(|peer| peer.sans.uri.first());
    let local = local.and_then(|local| local.sans.uri.first());
    let said = host.map_or("", |host| &*host.identity);
    (peer.map_or(said, |uri| uri), local.map_or("", |uri| uri))
}

/// Its name and what Istio says of it.
pub fn of_cluster<'a>(
    cluster: Option<&'a Ref<'_, Arc<Cluster>>>,
) -> Option<(&'a str, Option<&'a model::resources::istio::ClusterInfo>)> {
    cluster.map(|cluster| (&*cluster.name, cluster.istio.as_deref()))
}

/// In the trailers, else in the head, else what the code stands for.
fn status(s: &Stream, code: u16) -> Grpc {
    let heads = [&s.response_trailers, &s.response.headers];
    let said = heads.into_iter().find(|h| h.contains(Known::GrpcStatus));
    match said {
        Some(headers) => {
            let status = grpc::status_of(headers).filter(|status| *status <= 16);
            Grpc::Status(status.and_then(|s| i8::try_from(s).ok()).unwrap_or(-1))
        }
        None if code == 0 => Grpc::Missing,
        None => Grpc::Status(i8::try_from(grpc::status_of_http(code)).unwrap_or(2)),
    }
}
