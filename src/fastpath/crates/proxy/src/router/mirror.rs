//! Request mirroring: a copy of a request that is complete goes to other clusters, and whatever
//! they say goes nowhere (`Router::Filter::maybeDoShadowing`).
//!
//! Theory of operation. A copy is an exchange like others whose client is a stream of a connection
//! that there is not (`http::own_call`): what is sent to it vanishes. It is in no access log and
//! in no number of the connection manager; the cluster that it goes to counts it.

use std::rc::Rc;

use model::resources::cluster::RoutingPriority;
use model::resources::route::{Action, ClusterOrHeader, Forward, MirrorPolicy};
use proto::Known;

use crate::cluster::ClusterRuntime;
use crate::cluster::lb::LbContext;
use crate::http::authority::split_port;
use crate::http::downstream::Downstream;
use crate::http::own_call::Ours;
use crate::http::stream::Stream;
use crate::telemetry::stats::ClusterCounter;
use crate::worker::Worker;

/// Copies of one worker that are under way. Those beyond it are not made, and counted.
const MAX_MIRRORS: usize = 1024;

/// A body may be as large as this, whatever the limit for retries is.
pub const MIRRORED_BODY: usize = 1 << 20;

impl Worker {
    /// Which policies take this request, as bits.
    pub fn choose_mirrors(&mut self, forward: &Forward) -> u32 {
        let mut chosen = 0;
        for (at, policy) in forward.mirrors.iter().flat_map(|m| m.iter()).enumerate() {
            let takes = policy
                .fraction_millionths
                .is_none_or(|fraction| self.rng.u32(..1_000_000) < fraction);
            if takes {
                chosen |= 1_u32.checked_shl(at as u32).unwrap_or(0);
            }
        }
        chosen
    }

    /// The request is complete: its copies are made.
    pub fn send_mirrors(&mut self, d: &Downstream, s: &mut Stream) {
        let chosen = std::mem::take(&mut s.mirrors);
        let Some(route) = s.route.clone() else { return };
        let Some(Action::Forward(forward)) = route.route().map(|route| &route.action) else {
            return;
        };
        for (at, policy) in forward.mirrors.iter().flat_map(|m| m.iter()).enumerate() {
            if chosen.checked_shr(at as u32).unwrap_or(0) & 1 == 1 {
                self.mirror(d, s, policy, forward.priority);
            }
        }
    }

    fn mirror(
        &mut self,
        d: &Downstream,
        s: &Stream,
        policy: &MirrorPolicy,
        priority: RoutingPriority,
    ) {
        // Without its cluster there is none, as in Envoy.
        let Some(cluster) = self.mirror_cluster(s, &policy.cluster) else {
            return;
        };
        if self.mirrors >= MAX_MIRRORS {
            cluster.stats().inc(ClusterCounter::RetryOrShadowAbandoned);
            return;
        }
        let cx = LbContext {
            hash: s.retry.hash,
            ..LbContext::default()
        };
        let Some(host) = cluster.choose(cx, &mut self.rng) else {
            cluster.stats().inc(ClusterCounter::UpstreamCxNoneHealthy);
            return;
        };
        let now = self.clock.now_ms();
        let mut copy = self.new_stream();
        copy.ours = Some(Box::new(Ours::Mirror));
        copy.request.clone_from(&s.request);
        if !policy.keeps_host {
            let host = with_suffix(s.request.authority());
            copy.request.set_authority(&host);
        }
        copy.request.headers.set(Known::XEnvoyInternal, b"true");
        let own = self.shared.local_address.to_string();
        let forwarded = &mut copy.request.headers;
        forwarded.append_value(Known::XForwardedFor, b",", own.as_bytes());
        copy.request_trailers.clone_from(&s.request_trailers);
        copy.is_head = s.is_head;
        copy.info.scheme_https = s.info.scheme_https;
        copy.info.start = self.clock.now_ns();
        copy.info.attempt_count = 1;
        copy.cluster = Some(cluster);
        copy.host = Some(host);
        copy.upstream_start_ns = copy.info.start;
        copy.route_timeout_ms = s.route_timeout_ms;
        copy.last_activity = now;
        copy.idle_timeout_ms = s.idle_timeout_ms;
        copy.request_complete = s.retry.body.is_empty() && s.request_trailers.is_empty();
        if copy.request_complete {
            copy.route_deadline = now.saturating_add(s.route_timeout_ms);
        }
        self.mirrors = self.mirrors.saturating_add(1);
        self.begin_own(&d.client, copy, s.retry.body.clone(), priority);
    }

    fn mirror_cluster(&self, s: &Stream, name: &ClusterOrHeader) -> Option<Rc<ClusterRuntime>> {
        let name = match name {
            ClusterOrHeader::Named(name) => &**name,
            ClusterOrHeader::Header(header) => {
                let value = s.request.headers.get_name(header.text.as_bytes())?;
                std::str::from_utf8(value).ok()?
            }
        };
        self.clusters.get(name).cloned()
    }

    /// A copy has ended.
    pub fn end_mirror(&mut self) {
        self.mirrors = self.mirrors.saturating_sub(1);
    }
}

/// `host-shadow`, before the port.
fn with_suffix(authority: &[u8]) -> Vec<u8> {
    let (host, _) = split_port(authority);
    let port = authority.get(host.len()..).unwrap_or_default();
    [host, b"-shadow", port].concat()
}

#[cfg(test)]
mod tests {
    use super::with_suffix;

    #[test]
    fn the_suffix_comes_before_the_port() {
        for (host, expected) in [
            ("a.example", "a.example-shadow"),
            ("a.example:80", "a.example-shadow:80"),
            ("[::1]:80", "[::1]-shadow:80"),
        ] {
            assert_eq!(with_suffix(host.as_bytes()), expected.as_bytes());
        }
    }
}
