//! Where the filters of a listener count.

use std::sync::Arc;

use model::resources::listener::{ConditionalFilter, ListenerFilter};

use crate::telemetry::stats::{
    HttpInspectorCounter, HttpInspectorShard, ProxyProtocolCounter, ProxyProtocolShard, Stats,
    TlsInspectorCounter, TlsInspectorHistogram, TlsInspectorShard,
};

/// One worker's shards for the filters of a listener.
#[derive(Debug, Default)]
pub struct FilterStats {
    tls: Option<Arc<TlsInspectorShard>>,
    http: Option<Arc<HttpInspectorShard>>,
    /// (index of the filter, its shard): each has a `stat_prefix` of its own.
    proxy_protocol: Vec<(usize, Arc<ProxyProtocolShard>)>,
}

impl FilterStats {
    #[must_use]
    pub fn new(filters: &[ConditionalFilter], stats: &Stats) -> Self {
        let mut own = Self::default();
        for (index, filter) in filters.iter().enumerate() {
            match &filter.filter {
                ListenerFilter::TlsInspector(_) => own.tls = Some(stats.tls_inspector()),
                ListenerFilter::HttpInspector => own.http = Some(stats.http_inspector()),
                ListenerFilter::ProxyProtocol(config) => {
                    let shard = stats.proxy_protocol(&config.stat_prefix);
                    own.proxy_protocol.push((index, shard));
                }
                ListenerFilter::OriginalDst | ListenerFilter::OriginalSrc(_) => {}
            }
        }
        own
    }

    pub(super) fn tls(&self, counter: TlsInspectorCounter) {
        if let Some(shard) = &self.tls {
            shard.inc(counter);
        }
    }

    /// How many bytes it took to know.
    pub(super) fn tls_bytes(&self, count: usize) {
        if let Some(shard) = &self.tls {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            shard.record(TlsInspectorHistogram::BytesProcessed, count);
        }
    }

    pub(super) fn http(&self, counter: HttpInspectorCounter) {
        if let Some(shard) = &self.http {
            shard.inc(counter);
        }
    }

    pub(super) fn proxy_protocol(&self, filter: usize, counter: ProxyProtocolCounter) {
        let mut shards = self.proxy_protocol.iter();
        if let Some((_, shard)) = shards.find(|(index, _)| *index == filter) {
            shard.inc(counter);
        }
    }
}
