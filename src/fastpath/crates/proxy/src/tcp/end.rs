//! The end of a tunnel: a peer that is lost, what is still flushed, the accounts, draining.

use std::collections::HashSet;
use std::rc::Rc;

use model::resources::address::Address;

use super::{Server, Stage, To, Tunnel};
use crate::cluster::{ClusterRuntime, Limit};
use crate::http::failure::Failure;
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, ClusterHistogram};
use crate::telemetry::stats::{TcpCounter, TcpGauge};
use crate::telemetry::stream_info::AccessLogType;
use crate::upstream::queued::give_back;
use crate::worker::Worker;
use crate::worker::chain::TcpRuntime;
use crate::worker::slots::Key;

/// Who ended the connection to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It did, or both peers have said all.
    Peer,
    /// A timeout, a drain, a client that is gone.
    Us,
}

impl Worker {
    /// The client is gone; the host gets what it sent before.
    pub(super) fn client_lost(&mut self, mut t: Box<Tunnel>) {
        let left = t.server.as_ref().is_some_and(|server| {
            server.stage == Stage::Open && (t.up.held() > 0 || server.side.io.backlog() > 0)
        });
        if !left || t.flushing.is_some() {
            return self.end_tunnel(t, By::Us);
        }
        t.client.ended = true;
        t.client.io.forget();
        t.flushing = Some(To::Host);
        let stats = t.tcp.stats();
        stats.inc(TcpCounter::UpstreamFlushTotal);
        stats.gauge_inc(TcpGauge::UpstreamFlushActive);
        self.gauge_held(&mut t);
        self.tunnels.put(t.key, t);
    }

    /// The host is gone; the client gets what it sent before.
    pub(super) fn server_lost(&mut self, mut t: Box<Tunnel>) {
        let was_reset = t.server.as_ref().is_some_and(|server| !server.side.ended);
        if was_reset {
            t.note_reset();
        }
        self.let_server_go(t, By::Peer);
    }

    /// The client gets what the host sent before.
    fn let_server_go(&mut self, mut t: Box<Tunnel>, by: By) {
        let left = t.down.held() > 0 || t.client.io.backlog() > 0;
        if !left || t.flushing.is_some() {
            return self.end_tunnel(t, by);
        }
        if let Some(server) = &mut t.server {
            server.side.ended = true;
            server.side.io.forget();
        }
        t.flushing = Some(To::Client);
        self.gauge_held(&mut t);
        self.tunnels.put(t.key, t);
    }

    /// Closes both connections and accounts for them.
    pub(super) fn end_tunnel(&mut self, mut t: Box<Tunnel>, by: By) {
        self.tunnels.free(t.key);
        self.forget_waiting_of_tunnel(&mut t);
        self.forget_held(&mut t);
        let stats = t.tcp.stats();
        stats.gauge_sub(TcpGauge::DownstreamCxRxBytesBuffered, t.early.len() as u64);
        if t.flushing == Some(To::Host) {
            stats.gauge_dec(TcpGauge::UpstreamFlushActive);
        }
        t.up.release(&mut self.pipes);
        t.down.release(&mut self.pipes);
        if t.is_asking() {
            // As in Envoy: a host that did not answer is a connection that could not be made.
            t.note_failure(Failure::UpstreamClosed, None);
        }
        if let Some(mut server) = t.server.take() {
            if !server.side.shut {
                server.side.io.say_goodbye();
            }
            let active = matches!(server.stage, Stage::Asking | Stage::Open);
            count_destroyed(&server, by, active);
            self.count_server_closed(&server);
        }
        t.leave_queue();
        self.close_link(&mut t);
        if t.is_cut {
            t.client.io.cut_on_close();
        } else if !t.client.shut {
            t.client.io.say_goodbye();
        }
        self.log_tunnel(&t, AccessLogType::TcpConnectionEnd);
        self.report_tunnel(&mut t, true);
        self.count_connection_closed(&t.listener);
        if self.tunnels.count() == 0 {
            self.pipes.free_spare();
        }
    }

    /// Takes the connection to a host out of the accounts.
    pub(super) fn count_server_closed(&self, server: &Server) {
        let stats = server.cluster.stats();
        let pool = &server.host.pool;
        match server.stage {
            Stage::Connecting { .. } | Stage::Handshaking { .. } => {
                stats.gauge_dec(ClusterGauge::UpstreamRqPendingActive);
                give_back(&server.cluster, Limit::Pending, server.pending_unit);
            }
            Stage::Asking | Stage::Open => {
                stats.gauge_dec(ClusterGauge::UpstreamRqActive);
                pool.active.set(pool.active.get().saturating_sub(1));
                pool.shard.rq_active.dec();
            }
        }
        give_back(&server.cluster, Limit::Connections, server.connection_unit);
        stats.inc(ClusterCounter::UpstreamCxDestroy);
        stats.gauge_dec(ClusterGauge::UpstreamCxActive);
        pool.shard.cx_active.dec();
        let ms = self.clock.now_ns().saturating_sub(server.opened_ns) / 1_000_000;
        stats.record(ClusterHistogram::UpstreamCxLengthMs, ms);
    }

    /// Tunnels of a drained TCP proxy have the drain time left.
    pub fn set_drain_end(&self, tcp: &TcpRuntime) {
        let now = self.clock.now_ms();
        tcp.drain_end
            .set(now.saturating_add(self.shared.drain_time_ms));
    }

    /// The same for those that there are.
    pub fn drain_tunnels(&mut self, drained: &HashSet<*const TcpRuntime>) {
        let is_its = |t: &Tunnel| drained.contains(&Rc::as_ptr(&t.tcp));
        let keys: Vec<Key> = self
            .tunnels
            .iter()
            .filter(|t| is_its(t))
            .map(|t| t.key)
            .collect();
        for key in keys {
            if let Some(mut t) = self.tunnels.take(key) {
                t.drain_end = t.tcp.drain_end.get();
                self.arm_tunnel(&t);
                self.tunnels.put(key, t);
            }
        }
    }

    /// The host was ejected, and what it carries is to end with that. Tunnels through HTTP go on,
    /// as requests do.
    pub fn close_tunnels_to(&mut self, cluster: &Rc<ClusterRuntime>, address: &Address) {
        let is_there = |t: &Tunnel| {
            let server = t.server.as_ref();
            t.tcp.config.tunneling.is_none()
                && server.is_some_and(|server| {
                    server.stage == Stage::Open
                        && Rc::ptr_eq(&server.cluster, cluster)
                        && server.host.address == *address
                })
        };
        let tunnels = self.tunnels.iter().filter(|t| is_there(t));
        let keys: Vec<Key> = tunnels.map(|t| t.key).collect();
        for key in keys {
            if let Some(t) = self.tunnels.take(key) {
                self.let_server_go(t, By::Us);
            }
        }
    }

    /// At the end of the worker.
    pub fn close_tunnels(&mut self) {
        for key in self.tunnels.keys() {
            if let Some(t) = self.tunnels.take(key) {
                self.end_tunnel(t, By::Us);
            }
        }
    }
}

/// `active`: it carried a tunnel.
pub(super) fn count_destroyed(server: &Server, by: By, active: bool) {
    use ClusterCounter as C;
    let stats = server.cluster.stats();
    let (destroyed, with_tunnel) = match by {
        By::Peer => (
            C::UpstreamCxDestroyRemote,
            C::UpstreamCxDestroyRemoteWithActiveRq,
        ),
        By::Us => (
            C::UpstreamCxDestroyLocal,
            C::UpstreamCxDestroyLocalWithActiveRq,
        ),
    };
    stats.inc(destroyed);
    if active {
        stats.inc(with_tunnel);
        stats.inc(C::UpstreamCxDestroyWithActiveRq);
    } else {
        stats.inc(C::UpstreamRqCancelled);
    }
}
