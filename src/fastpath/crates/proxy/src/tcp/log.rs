//! Access logs of tunnels: Envoy's line when the host is there, at intervals, and at the end.

use std::rc::Rc;

use proto::h1::RequestHead;

use super::Tunnel;
use crate::telemetry::stream_info::{AccessLogType, LogContext, StreamInfo};
use crate::worker::Worker;

impl Worker {
    /// Writes to the logs of the proxy; at the end to those of the listener, too.
    pub(super) fn log_tunnel(&mut self, t: &Tunnel, kind: AccessLogType) {
        if !t.has_logs() {
            return;
        }
        let mut info = self.describe_tunnel(t);
        info.log_type = kind;
        let request = RequestHead::default();
        for log in &t.tcp.config.access_logs {
            self.logs.log(log, &context(&request, &info));
        }
        if kind == AccessLogType::TcpConnectionEnd {
            info.log_type = AccessLogType::NotSet;
            for log in &t.listener.config.access_logs {
                self.logs.log(log, &context(&request, &info));
            }
        }
    }

    pub(super) fn describe_tunnel(&self, t: &Tunnel) -> StreamInfo {
        let seen = &t.seen;
        let now = self.clock.now_ns();
        let cluster = seen.cluster.as_ref().map(|cluster| cluster.config.borrow());
        let host = seen.host.as_ref();
        let connected = seen.is_connected;
        StreamInfo {
            start: t.opened_ns,
            start_wall: self
                .clock
                .wall_ns()
                .saturating_sub(now.saturating_sub(t.opened_ns)),
            upstream_connect_begin: seen.connect_begin,
            upstream_connect_end: seen.connect_end,
            upstream_pool_ready: seen.connect_end,
            end: now,
            flags: seen.flags,
            upstream_transport_failure: seen
                .transport_failure
                .as_ref()
                .map(|reason| reason.to_string().into()),
            connection_termination_details: seen
                .termination
                .as_ref()
                .map(|details| details.to_string().into()),
            bytes_received: seen.received.saturating_add(seen.refused),
            bytes_sent: seen.sent,
            downstream_wire_bytes_received: seen.received,
            downstream_wire_bytes_sent: seen.sent,
            upstream_wire_bytes_received: seen.sent,
            upstream_wire_bytes_sent: seen.received,
            connection_id: t.id,
            downstream_local: Some(t.local.clone()),
            downstream_remote: Some(t.peer.clone()),
            downstream_direct_remote: Some(t.facts.direct_source.clone()),
            filter_chain_name: Some(Rc::clone(&t.chain.name)),
            downstream_tls: t.client.io.tls_info().cloned(),
            upstream_tls: seen.upstream_tls.clone(),
            facts: Some(Rc::new((*t.facts).clone())),
            upstream_cluster_raw: cluster.as_ref().map(|c| c.name.clone()),
            upstream_cluster: cluster.as_ref().map(|c| c.stat_name.clone()),
            upstream_host: host.map(|host| host.address.clone()),
            upstream_host_name: host.and_then(|host| host.hostname.clone()),
            upstream_local: seen.upstream_local.clone(),
            upstream_remote: host.filter(|_| connected).map(|host| host.address.clone()),
            upstream_connection_id: seen.upstream_id,
            attempt_count: t.attempts,
            tunnel_headers: seen.answer.clone(),
            tunnel_trailers: seen.trailers.clone(),
            stream_id: Some(seen.stream_id),
            random: seen.stream_id,
            ..StreamInfo::default()
        }
    }
}

/// There is no request.
pub(super) fn context<'a>(request: &'a RequestHead, info: &'a StreamInfo) -> LogContext<'a> {
    LogContext {
        request,
        response: None,
        trailers: None,
        info,
    }
}
