//! From a client to a host: the choice of one, the connection, TLS, and the next attempt when one
//! failed. In Envoy's order (`source/common/tcp_proxy/tcp_proxy.cc`), which flags and counters show.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::resources::tcp_proxy::TcpHashPolicy;

use super::end::By;
use super::{Server, Side, Stage, Tunnel, route};
use crate::cluster::breaker::Taken;
use crate::cluster::hashing::hash_address;
use crate::cluster::host::Host;
use crate::cluster::lb::LbContext;
use crate::cluster::{ClusterRuntime, Limit};
use crate::http::deadlines::millis;
use crate::http::failure::Failure;
use crate::net::introduction::{Heard, hear};
use crate::net::io::{Io, Scratch};
use crate::net::socket::{self, Wishes};
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, ClusterHistogram};
use crate::telemetry::stats::{TcpCounter, TcpGauge};
use crate::telemetry::stream_info::AccessLogType;
use crate::upstream::queued::{PRIORITY, count_carried, give_back};
use crate::upstream::transport::{self, Handshake};
use crate::worker::slots::Key;
use crate::worker::{Kind, Worker};

/// What an attempt has begun.
pub(super) enum Begun {
    /// A connection is being made, for it alone or for all that wait.
    Connection,
    /// There is a connection of HTTP/2 that takes another stream.
    On(Rc<ClusterRuntime>, Rc<Host>, Key),
}

/// Why there is no connection under way.
pub(super) enum Refused {
    /// The tunnel ends with this flag.
    For(ResponseFlags),
    /// This attempt failed.
    Once,
}

impl Worker {
    /// Begins an attempt; the tunnel ends if there can be none.
    pub(super) fn connect_tunnel(&mut self, mut t: Box<Tunnel>) {
        match self.attempt(&mut t) {
            Ok(Begun::Connection) => {
                self.arm_tunnel(&t);
                self.tunnels.put(t.key, t);
            }
            Ok(Begun::On(cluster, host, http2)) => self.open_link(t, &cluster, &host, http2),
            Err(Refused::For(flags)) => {
                t.seen.flags.insert(flags);
                self.end_tunnel(t, By::Us);
            }
            Err(Refused::Once) => self.try_again(t),
        }
    }

    /// In the next turn, so that hosts which fail at once do not hold up the others; or after as
    /// long as `backoff_options` say.
    pub(super) fn try_again(&mut self, mut t: Box<Tunnel>) {
        let config = &t.tcp.config;
        if let Some((base, max)) = config.back_off
            && t.attempts < config.max_connect_attempts
        {
            let interval = interval(t.attempts, millis(base), millis(max));
            let wait = self.rng.u64(..interval.max(1));
            t.retry_at = self.clock.now_ms().saturating_add(wait);
            self.arm_tunnel(&t);
        } else {
            self.ready_tunnels.push(t.key);
        }
        self.tunnels.put(t.key, t);
    }

    fn attempt(&mut self, t: &mut Tunnel) -> Result<Begun, Refused> {
        let tcp = Rc::clone(&t.tcp);
        let server_name = t.server_name();
        let route = route::choose(&tcp.config, server_name.as_deref(), &mut self.rng);
        let found = route.and_then(|(name, subset)| Some((self.clusters.get(&name)?, subset)));
        let Some((cluster, subset)) = found else {
            tcp.stats().inc(TcpCounter::DownstreamCxNoRoute);
            return Err(Refused::For(ResponseFlags::NO_CLUSTER_FOUND));
        };
        let cluster = Rc::clone(cluster);
        t.seen.cluster = Some(Rc::clone(&cluster));
        let stats = cluster.stats();
        let usage = cluster.shared.breakers.usage(PRIORITY);
        let limits = cluster.limits(PRIORITY);
        let connection_unit = usage.connections.take(limits.max_connections);
        if connection_unit == Taken::Full {
            stats.inc(ClusterCounter::UpstreamCxOverflow);
            cluster.breaker_open(PRIORITY, Limit::Connections, true);
            return Err(Refused::For(ResponseFlags::UPSTREAM_OVERFLOW));
        }
        let refuse = |refused| {
            give_back(&cluster, Limit::Connections, connection_unit);
            Err(refused)
        };
        if t.attempts >= tcp.config.max_connect_attempts {
            stats.inc(ClusterCounter::UpstreamCxConnectAttemptsExceeded);
            return refuse(Refused::For(ResponseFlags::CONNECT_ATTEMPTS_EXCEEDED));
        }
        let cx = LbContext {
            hash: t.hash(&cluster),
            metadata_match: subset,
            selection: None,
            priorities: None,
            facts: Some(&t.facts),
            headers: None,
        };
        let Some(host) = self.choose_host(&cluster, cx) else {
            stats.inc(ClusterCounter::UpstreamCxNoneHealthy);
            return refuse(Refused::For(ResponseFlags::NO_HEALTHY_UPSTREAM));
        };
        t.attempts = t.attempts.saturating_add(1);
        if tcp.config.tunneling.is_some()
            && let Some(begun) = self.find_stream(t, &cluster, &host)
        {
            give_back(&cluster, Limit::Connections, connection_unit);
            return begun;
        }
        let pending_unit = usage.pending_requests.take(limits.max_pending_requests);
        if pending_unit == Taken::Full {
            stats.inc(ClusterCounter::UpstreamRqPendingOverflow);
            cluster.breaker_open(PRIORITY, Limit::Pending, true);
            return refuse(Refused::Once);
        }
        t.seen.host = Some(Rc::clone(&host));
        self.connect_to(t, cluster, host, [connection_unit, pending_unit])?;
        Ok(Begun::Connection)
    }

    fn connect_to(
        &mut self,
        t: &mut Tunnel,
        cluster: Rc<ClusterRuntime>,
        host: Rc<Host>,
        [connection_unit, pending_unit]: [Taken; 2],
    ) -> Result<(), Refused> {
        let source = t.facts.upstream_source.as_ref();
        let config = Arc::clone(&cluster.config.borrow());
        let connected = socket::connect(&host.address, Wishes::new(&config, source));
        let connected = connected.and_then(|connecting| {
            let io = Io::connecting(connecting);
            self.register(Kind::TunnelServer, t.key, &io)?;
            Ok(io)
        });
        let stats = cluster.stats();
        stats.inc(ClusterCounter::UpstreamRqPendingTotal);
        let io = match connected {
            Ok(io) => io,
            Err(refusal) => {
                give_back(&cluster, Limit::Connections, connection_unit);
                give_back(&cluster, Limit::Pending, pending_unit);
                cluster.count_refused(refusal);
                stats.inc(ClusterCounter::UpstreamRqPendingFailureEject);
                host.pool.shard.cx_connect_fail.inc();
                host.note_tunnel_failure(Failure::of_refusal(refusal));
                t.note_failure(Failure::of_refusal(refusal), Some(&host));
                return Err(Refused::Once);
            }
        };
        stats.gauge_inc(ClusterGauge::UpstreamRqPendingActive);
        stats.inc(ClusterCounter::UpstreamCxTotal);
        stats.gauge_inc(ClusterGauge::UpstreamCxActive);
        host.pool.shard.cx_total.inc();
        host.pool.shard.cx_active.inc();
        let timeout = millis(cluster.config.borrow().connect_timeout);
        let deadline_ms = self.clock.now_ms().saturating_add(timeout);
        let opened_ns = self.clock.now_ns();
        t.seen.connect_begin = opened_ns;
        t.server = Some(Server {
            side: Side::new(io),
            stage: Stage::Connecting { deadline_ms },
            cluster,
            host,
            connection_unit,
            pending_unit,
            opened_ns,
            listens: None,
            asked: None,
        });
        Ok(())
    }

    /// The socket has connected, or `failed` to.
    pub(super) fn tunnel_connected(&mut self, mut t: Box<Tunnel>, deadline_ms: u64, failed: bool) {
        let logs = t.has_logs();
        let Some(server) = &mut t.server else {
            return self.tunnels.put(t.key, t);
        };
        let failure = match server.side.io.refused() {
            Some(errno) => Some(Failure::ImmediateConnectFailure(errno)),
            None if failed => {
                let result = socket::connect_result(&server.side.io);
                result.err().map(Failure::ConnectFailure)
            }
            None => None,
        };
        if let Some(failure) = failure {
            return self.attempt_failed(t, failure);
        }
        let ms = self.clock.now_ns().saturating_sub(server.opened_ns) / 1_000_000;
        let stats = server.cluster.stats();
        stats.record(ClusterHistogram::UpstreamCxConnectMs, ms);
        if logs {
            // Two calls that only a log is worth.
            t.seen.is_connected = true;
            t.seen.upstream_local = server.side.io.local_address();
            let ids = &self.shared.next_connection_id;
            t.seen.upstream_id = ids.fetch_add(1, Ordering::Relaxed);
        }
        server.stage = Stage::Handshaking { deadline_ms };
        let (cluster, host) = (&server.cluster, &server.host);
        let speaks_http = t.tcp.config.tunneling.is_some();
        let kind = speaks_http.then_some(&host.pool.kind);
        match transport::begin_tls(&mut server.side.io, cluster, host, kind) {
            Ok(false) => self.transport_ready(t, &[]),
            Ok(true) => self.shake_tunnel(t),
            Err(failure) => self.attempt_failed(t, failure),
        }
    }

    /// Goes on with TLS to the host.
    pub(super) fn shake_tunnel(&mut self, mut t: Box<Tunnel>) {
        let Some(server) = &mut t.server else {
            return self.tunnels.put(t.key, t);
        };
        if server.listens.is_some() {
            return self.hear_host_of_tunnel(t);
        }
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let mut behind = Vec::new();
        let outcome = transport::shake(&mut server.side.io, &mut scratch, &mut behind);
        self.scratch = scratch;
        match outcome {
            Handshake::More => self.tunnels.put(t.key, t),
            Handshake::Done => {
                transport::count_handshake(&server.cluster, Some(&server.side.io));
                server.side.readable = true;
                match self.introduce_to_host(&server.cluster, &mut server.side.io) {
                    Ok(false) => self.transport_ready(t, &behind),
                    Ok(true) => {
                        server.listens = Some(behind);
                        self.hear_host_of_tunnel(t);
                    }
                    Err(_) => self.attempt_failed(t, Failure::UpstreamClosed),
                }
            }
            Handshake::Failed => {
                transport::count_tls_failure(&server.cluster, Some(&server.side.io));
                self.attempt_failed(t, Failure::TlsFailure);
            }
        }
    }

    /// The host says who it is, before anything that is for the client.
    fn hear_host_of_tunnel(&mut self, mut t: Box<Tunnel>) {
        let Some(server) = &mut t.server else {
            return self.tunnels.put(t.key, t);
        };
        let mut held = server.listens.take().unwrap_or_default();
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let side = &mut server.side;
        let (readable, hung_up) = (&mut side.readable, side.hung_up);
        let heard = hear(&mut side.io, &mut scratch, &mut held, readable, hung_up);
        self.scratch = scratch;
        self.count_heard(&heard);
        match heard {
            Heard::More => {
                server.listens = Some(held);
                self.tunnels.put(t.key, t);
            }
            Heard::Said(peer) => {
                t.seen.host_peer = peer;
                self.transport_ready(t, &held);
            }
            Heard::Foreign => self.transport_ready(t, &held),
            Heard::Failed => self.attempt_failed(t, Failure::UpstreamClosed),
        }
    }

    /// Bytes can be sent; the host has said `first` already.
    fn transport_ready(&mut self, mut t: Box<Tunnel>, first: &[u8]) {
        if t.tcp.config.tunneling.is_some() {
            return self.ask_host(t, first);
        }
        self.host_is_there(&mut t, Stage::Open);
        self.begin_relay(t, first);
    }

    /// Its connection carries the tunnel from here on.
    pub(super) fn host_is_there(&mut self, t: &mut Tunnel, stage: Stage) {
        t.seen.connect_end = self.clock.now_ns();
        t.active_ms = self.clock.now_ms();
        if let Some(server) = &mut t.server {
            server.leave_queue();
            server.stage = stage;
            t.seen.upstream_tls = server.side.io.tls_info().cloned();
            count_carried(&server.cluster, &server.host);
        }
        self.arm_tunnel(t);
    }

    /// Both sides are there: what was held goes on, and then whatever comes.
    pub(super) fn begin_relay(&mut self, mut t: Box<Tunnel>, first: &[u8]) {
        if let Some(host) = &t.seen.host {
            host.note_tunnel();
        }
        if t.tcp.config.access_log_on_connected {
            self.log_tunnel(&t, AccessLogType::TcpUpstreamConnected);
        }
        let early = std::mem::take(&mut t.early);
        let stats = t.tcp.stats();
        stats.gauge_sub(TcpGauge::DownstreamCxRxBytesBuffered, early.len() as u64);
        // What was read by `early` has passed the filters.
        let is_filtered = t.tcp.config.max_early_data.is_some() && !t.is_held();
        match (t.link.is_some(), is_filtered) {
            (true, true) => {
                let end = t.client.ended;
                self.send_early(&mut t, &early, end);
                self.drive_link(t);
            }
            (true, false) => self.drive_link_with(t, early),
            (false, true) => self.drive_open(t, &early, first),
            (false, false) => self.drive_with(t, &early, first),
        }
    }

    /// The attempt came to nothing: another one, or the end.
    pub(super) fn attempt_failed(&mut self, mut t: Box<Tunnel>, failure: Failure) {
        if let Some(server) = t.server.take() {
            let stats = server.cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxConnectFail);
            stats.inc(ClusterCounter::UpstreamRqPendingFailureEject);
            if failure == Failure::ConnectTimeout {
                stats.inc(ClusterCounter::UpstreamCxConnectTimeout);
                stats.inc(ClusterCounter::UpstreamCxDestroyLocal);
            } else {
                stats.inc(ClusterCounter::UpstreamCxDestroyRemote);
            }
            server.host.pool.shard.cx_connect_fail.inc();
            server.host.note_tunnel_failure(failure);
            t.note_failure(failure, Some(&server.host));
            if let Some(error) = server.side.io.tls_failure() {
                t.seen.transport_failure = Some(error.reason().into());
            }
            self.count_server_closed(&server);
        }
        if t.tcp.config.back_off.is_some() {
            return self.try_again(t);
        }
        self.connect_tunnel(t);
    }
}

/// What the wait after so many attempts is below: it doubles up to `max`.
fn interval(attempts: u32, base: u64, max: u64) -> u64 {
    let times = 1_u64.checked_shl(attempts.saturating_sub(1));
    times.map_or(max, |times| base.saturating_mul(times).min(max))
}

impl Tunnel {
    pub(super) fn note_failure(&mut self, failure: Failure, host: Option<&Host>) {
        self.seen
            .flags
            .insert(ResponseFlags::UPSTREAM_CONNECTION_FAILURE);
        let reason = failure.connect_error(host.map(|host| &host.address));
        self.seen.transport_failure = reason.map(Into::into);
        self.seen.is_connected = false;
        self.seen.upstream_local = None;
    }

    /// Of what the hash policy names, where the cluster asks for it.
    fn hash(&self, cluster: &ClusterRuntime) -> Option<u64> {
        match self.tcp.config.hash_policy {
            TcpHashPolicy::SourceIp if cluster.wants_hash() => {
                let ip = self.peer.ip();
                ip.map(|ip| hash_address(ip.to_canonical()))
            }
            TcpHashPolicy::SourceIp | TcpHashPolicy::None => None,
        }
    }

    /// The host has said no to the tunnel, with this status.
    pub(super) fn note_refusal(&mut self, status: u16) {
        self.note_failure(Failure::UpstreamClosed, None);
        self.seen.transport_failure = Some(format!("tunnel_response:{status}").into());
    }

    /// The host did not end but reset.
    pub(super) fn note_reset(&mut self) {
        self.is_cut = true;
        let flag = ResponseFlags::UPSTREAM_REMOTE_RESET;
        self.seen.flags.insert(flag);
    }

    /// The cluster, if `sni_cluster` has it from the server name.
    fn server_name(&self) -> Option<Arc<str>> {
        if !self.chain.config.sni_cluster {
            return None;
        }
        let inspected = std::str::from_utf8(&self.facts.server_name).ok();
        let inspected = inspected.filter(|name| !name.is_empty());
        let info = self.client.io.tls_info();
        let agreed = info.and_then(|info| info.server_name.as_deref());
        inspected.or(agreed).map(Arc::from)
    }
}

impl Server {
    /// The tunnel waits for the connection no longer.
    pub(super) fn leave_queue(&mut self) {
        let stats = self.cluster.stats();
        stats.gauge_dec(ClusterGauge::UpstreamRqPendingActive);
        let unit = std::mem::replace(&mut self.pending_unit, Taken::Unlimited);
        give_back(&self.cluster, Limit::Pending, unit);
    }
}

#[cfg(test)]
mod tests {
    use super::interval;

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits = [0, 1, 2, 3, 4, 5, 64, 65, u32::MAX].map(|n| interval(n, 20, 150));
        assert_eq!(waits, [20, 20, 40, 80, 150, 150, 150, 150, 150]);
    }
}
