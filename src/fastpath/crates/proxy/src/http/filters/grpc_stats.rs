//! `envoy.filters.http.grpc_stats`: requests, messages and outcomes, by service and method.

use std::borrow::Cow;
use std::sync::Arc;

use proto::HeaderMap;

use super::frames::Frames;
use super::{Head, Stream};
use crate::http::grpc;
use crate::telemetry::stats::{GrpcCounter, GrpcHistogram, GrpcShard};
use crate::telemetry::stream_info::StreamInfo;

/// Where a request is counted.
#[derive(Debug)]
pub struct Count {
    /// What follows `cluster.<name>.`: `grpc.<service>.<method>`.
    pub name: Box<str>,
    /// Known when the cluster is.
    pub shard: Option<Arc<GrpcShard>>,
}

impl Count {
    /// `None`: the path is no `/service/method`.
    pub fn of_method(s: &Stream, protocol: &str) -> Option<Self> {
        let path = std::str::from_utf8(s.request.path()).ok()?;
        let path = path.split('?').next()?;
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        if service.is_empty() || method.is_empty() || method.contains('/') {
            return None;
        }
        let name = format!("{protocol}.{service}.{method}");
        Some(Self {
            name: name.into(),
            shard: None,
        })
    }

    /// Counts the outcome if the headers or trailers have one.
    pub fn outcome(&self, headers: &HeaderMap) {
        let Some(shard) = &self.shard else { return };
        if !headers.contains(proto::Known::GrpcStatus) {
            return;
        }
        let status = grpc::status_of(headers);
        if let Some(counter) = status.and_then(GrpcCounter::of_status) {
            shard.inc(counter);
        }
        shard.inc(match status {
            Some(0) => GrpcCounter::Success,
            _ => GrpcCounter::Failure,
        });
        shard.inc(GrpcCounter::Total);
    }
}

#[derive(Debug)]
pub struct GrpcStats {
    count: Count,
    with_time: bool,
    emits: bool,
    /// Of the request and of the response.
    messages: (u64, u64),
    up: Frames,
    down: Frames,
}

impl GrpcStats {
    pub fn begin(s: &Stream, by_method: bool, with_time: bool, emits: bool) -> Option<Self> {
        if !grpc::is_grpc(&s.request.headers) {
            return None;
        }
        let mut count = Count::of_method(s, "grpc")?;
        if !by_method {
            count.name = "grpc".into();
        }
        Some(Self {
            count,
            with_time,
            emits,
            messages: (0, 0),
            up: Frames::default(),
            down: Frames::default(),
        })
    }

    pub fn count_mut(&mut self) -> Option<&mut Count> {
        Some(&mut self.count)
    }

    pub fn decode_data<'a>(&mut self, data: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let messages = self.up.count(&data);
        self.messages.0 = self.messages.0.saturating_add(messages);
        self.add(GrpcCounter::RequestMessageCount, messages);
        data
    }

    pub fn encode_head(&mut self, s: &Stream, end: bool) -> Head {
        if end {
            self.count.outcome(&s.response.headers);
        }
        Head::Pass
    }

    pub fn encode_data<'a>(&mut self, data: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let messages = self.down.count(&data);
        self.messages.1 = self.messages.1.saturating_add(messages);
        self.add(GrpcCounter::ResponseMessageCount, messages);
        data
    }

    pub fn encode_trailers(&mut self, s: &Stream) {
        self.count.outcome(&s.response_trailers);
    }

    pub fn end(&mut self, info: &mut StreamInfo) {
        if self.emits {
            info.grpc_messages = Some(self.messages);
        }
        let is_timed = self.with_time && info.upstream_tx_end > 0 && info.upstream_rx_end > 0;
        if let Some(shard) = self.count.shard.as_ref().filter(|_| is_timed) {
            let taken = info.upstream_rx_end.saturating_sub(info.upstream_tx_end);
            shard.record(GrpcHistogram::UpstreamRqTime, taken / 1_000_000);
        }
    }

    fn add(&self, counter: GrpcCounter, n: u64) {
        if let Some(shard) = self.count.shard.as_ref().filter(|_| n > 0) {
            shard.add(counter, n);
        }
    }
}
