//! What codecs have seen, into the statistics: once a turn for what was written, and at the end.

use super::{Http2, Role};
use crate::telemetry::stats::{HcmCounter, Http2Gauge, Http2Shard};
use crate::worker::Worker;

impl Worker {
    /// Of HTTP/2 with clients.
    pub fn http2_stats(&self) -> &Http2Shard {
        self.http2_shard.get_or_init(|| self.stats.http2())
    }

    /// Counts what a connection has seen since it was last asked. `streams`: it has now; `held`:
    /// bytes of theirs that wait for a window.
    pub(super) fn count_http2_seen(&self, c: &mut Http2, streams: usize, held: usize) {
        let seen = std::mem::take(&mut c.codec.stats);
        let before = std::mem::replace(&mut c.counted_streams, streams);
        let held_before = std::mem::replace(&mut c.counted_held, held);
        let shard = match &c.role {
            Role::Server(_) => self.http2_stats(),
            Role::Client(client) => client.cluster.http2_stats(),
        };
        shard.add_seen(&seen);
        shard.gauge_sub(Http2Gauge::StreamsActive, before as u64);
        shard.gauge_add(Http2Gauge::StreamsActive, streams as u64);
        if held != held_before {
            shard.gauge_sub(Http2Gauge::PendingSendBytes, held_before as u64);
            shard.gauge_add(Http2Gauge::PendingSendBytes, held as u64);
        }
        if let Role::Server(server) = &c.role {
            // Envoy has but one limit of the two, and one name.
            let floods = seen
                .too_many_premature_resets
                .saturating_add(seen.reset_flood);
            if floods > 0 {
                let stats = server.client.http.stats();
                stats.add(
                    HcmCounter::DownstreamRqTooManyPrematureResets,
                    floods.into(),
                );
            }
        }
    }
}
