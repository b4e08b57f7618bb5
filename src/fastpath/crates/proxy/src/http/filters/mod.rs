//! HTTP filters between the connection manager and the router: requests pass them in the order of
//! the configuration, responses in the reverse one. A stream without filters pays a length check.
//!
//! A filter may change a head, data (which it gets as it comes) and trailers. It may also hold a
//! response's head: then the body is gathered, and head and body leave together at the end.

mod base64;
pub(crate) mod frames;
mod grpc_http1_bridge;
mod grpc_stats;
mod grpc_web;

use std::borrow::Cow;

use model::resources::hcm::HttpFilter;
use proto::h1::BodyLength;

use super::stream::Stream;
use crate::telemetry::stats::GrpcShard;
use crate::worker::Worker;
use grpc_http1_bridge::Bridge;
use grpc_stats::GrpcStats;
use grpc_web::GrpcWeb;

/// A filter at work on one stream.
#[derive(Debug)]
pub enum Filter {
    GrpcWeb(GrpcWeb),
    GrpcHttp1Bridge(Bridge),
    GrpcStats(GrpcStats),
}

/// A filter does not let a request pass: what to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub body: &'static str,
    pub details: &'static str,
}

/// Whether a response's head may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Pass,
    /// It waits for the end of the body.
    Hold,
}

/// Begins the filters of a connection manager on a request's head.
pub fn begin(configured: &[HttpFilter], s: &mut Stream) {
    if configured.is_empty() {
        return;
    }
    let mut filters = std::mem::take(&mut s.filters);
    for filter in configured {
        let started = match filter {
            HttpFilter::GrpcWeb => GrpcWeb::begin(s).map(Filter::GrpcWeb),
            HttpFilter::GrpcHttp1Bridge {
                upgrade_protobuf_to_grpc,
                ignore_query_parameters,
            } => Bridge::begin(s, *upgrade_protobuf_to_grpc, *ignore_query_parameters)
                .map(Filter::GrpcHttp1Bridge),
            HttpFilter::GrpcStats {
                stats_for_all_methods,
                enable_upstream_stats,
                emit_filter_state,
            } => {
                let (by_method, timed) = (*stats_for_all_methods, *enable_upstream_stats);
                GrpcStats::begin(s, by_method, timed, *emit_filter_state).map(Filter::GrpcStats)
            }
        };
        filters.extend(started);
    }
    s.filters = filters;
}

/// A part of the request's body; `end`: the last.
pub fn decode_data<'a>(
    filters: &mut [Filter],
    mut data: Cow<'a, [u8]>,
    end: bool,
) -> Result<Cow<'a, [u8]>, Refusal> {
    for filter in filters {
        data = match filter {
            Filter::GrpcWeb(filter) => filter.decode_data(data, end)?,
            Filter::GrpcHttp1Bridge(filter) => filter.decode_data(data, end),
            Filter::GrpcStats(filter) => filter.decode_data(data),
        };
    }
    Ok(data)
}

/// A response's head; `end`: it is all. If a filter holds it, `s.held` is there afterwards.
pub fn encode_head(s: &mut Stream, end: bool) {
    let mut filters = std::mem::take(&mut s.filters);
    for filter in filters.iter_mut().rev() {
        let fate = match filter {
            Filter::GrpcWeb(filter) => filter.encode_head(s, end),
            Filter::GrpcHttp1Bridge(filter) => filter.encode_head(end),
            Filter::GrpcStats(filter) => filter.encode_head(s, end),
        };
        if fate == Head::Hold {
            s.held.get_or_insert_default();
        }
    }
    s.filters = filters;
}

/// A part of the response's body.
pub fn encode_data<'a>(filters: &mut [Filter], mut data: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    for filter in filters.iter_mut().rev() {
        data = match filter {
            Filter::GrpcWeb(filter) => filter.encode_data(data),
            Filter::GrpcHttp1Bridge(_) => data,
            Filter::GrpcStats(filter) => filter.encode_data(data),
        };
    }
    data
}

/// The response's trailers; what a filter makes of them to follow the body.
pub fn encode_trailers(s: &mut Stream) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut filters = std::mem::take(&mut s.filters);
    for filter in filters.iter_mut().rev() {
        match filter {
            Filter::GrpcWeb(filter) => filter.encode_trailers(s, &mut tail),
            Filter::GrpcHttp1Bridge(filter) => filter.encode_trailers(s),
            Filter::GrpcStats(filter) => filter.encode_trailers(s),
        }
    }
    s.filters = filters;
    tail
}

/// All of a held response is here: its body, with the head in `s.response` to match.
pub fn finish_held(s: &mut Stream) -> Vec<u8> {
    let mut body = s.held.take().unwrap_or_default();
    let mut filters = std::mem::take(&mut s.filters);
    for filter in filters.iter_mut().rev() {
        match filter {
            Filter::GrpcWeb(filter) => filter.finish_held(s, &mut body),
            Filter::GrpcHttp1Bridge(filter) => filter.finish_held(&mut body),
            Filter::GrpcStats(_) => {}
        }
    }
    s.filters = filters;
    s.response.body = BodyLength::Length(body.len() as u64);
    s.response_trailers.clear();
    body
}

/// A reply of ours, head and body, as the filters want it.
pub fn encode_local<'a>(s: &mut Stream, body: &'a [u8]) -> Cow<'a, [u8]> {
    encode_head(s, body.is_empty());
    let body = encode_data(&mut s.filters, Cow::Borrowed(body));
    let body = match &mut s.held {
        None => body,
        Some(held) => {
            held.extend_from_slice(&body);
            Cow::Owned(finish_held(s))
        }
    };
    s.response.body = BodyLength::Length(body.len() as u64);
    body
}

impl Worker {
    /// The request's cluster is known: whoever counts for it gets to know where.
    pub fn filters_know_cluster(&mut self, s: &mut Stream) {
        let Some(cluster) = &s.cluster else { return };
        let cluster = cluster.config.borrow().stat_name.clone();
        for filter in &mut s.filters {
            let count = match filter {
                Filter::GrpcStats(filter) => filter.count_mut(),
                Filter::GrpcWeb(filter) => filter.count_mut(),
                Filter::GrpcHttp1Bridge(_) => None,
            };
            if let Some(count) = count {
                count.shard = self.grpc_shard(&cluster, &count.name);
            }
        }
    }

    /// The numbers of a method of a cluster; `None` once there are too many methods, for they are
    /// the clients' to name.
    fn grpc_shard(&mut self, cluster: &str, name: &str) -> Option<std::sync::Arc<GrpcShard>> {
        const MOST: usize = 1024;
        let of_cluster = self.grpc_stats.get(cluster).and_then(|all| all.get(name));
        if let Some(shard) = of_cluster {
            return Some(shard.clone());
        }
        let known: usize = self.grpc_stats.values().map(|all| all.len()).sum();
        if known >= MOST {
            return None;
        }
        let shard = self.stats.grpc(cluster, name);
        self.grpc_stats
            .entry(cluster.into())
            .or_default()
            .insert(name.into(), shard.clone());
        Some(shard)
    }

    /// The stream is over.
    pub fn end_filters(&self, s: &mut Stream) {
        for filter in &mut s.filters {
            if let Filter::GrpcStats(filter) = filter {
                filter.end(&mut s.info);
            }
        }
    }
}
