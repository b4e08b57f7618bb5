//! A tunnel over a stream of HTTP/2, whose connection it shares with others.
//!
//! The stream is an `Upstream` like those of requests, but for its state: what comes for it is
//! brought here by `http2::client`, while the worker's read buffer is taken out. So the client is
//! not read then: whoever gave a reason to puts the tunnel on the list of the turn.

use std::rc::Rc;

use proto::h1::Scheme;

use super::end::By;
use super::filters::{Gate, Passage};
use super::{Link, Stage, To, Tunnel};
use crate::cluster::ClusterRuntime;
use crate::cluster::host::Host;
use crate::http::failure::Failure;
use crate::http2::carrier::{Carrier, StreamCarrier};
use crate::net::io::{Input, Scratch};
use crate::telemetry::stats::ClusterCounter;
use crate::upstream::queued::{PRIORITY, count_carried};
use crate::upstream::{State, Upstream};
use crate::worker::Worker;
use crate::worker::slots::Key;

/// Bytes of the client in one turn before the others get theirs.
const SHARE: u64 = 1024 * 1024;

impl Worker {
    /// The connection to the host turns out to be HTTP/2: it becomes one that others may use, and
    /// the tunnel its first stream.
    pub(super) fn become_stream(&mut self, mut t: Box<Tunnel>, first: &[u8]) {
        let Some(mut server) = t.server.take() else {
            return self.tunnels.put(t.key, t);
        };
        server.leave_queue();
        let (cluster, host) = (server.cluster, server.host);
        let pool = t.shared_pool(&host);
        let pool = pool.unwrap_or_else(|| Rc::clone(&host.pool));
        pool.open.set(pool.open.get().saturating_add(1));
        cluster.stats().inc(ClusterCounter::UpstreamCxHttp2Total);
        let key = self.upstreams.reserve();
        let carrier = Carrier::Socket(server.side.io);
        let (h, c) = (Rc::clone(&host), Rc::clone(&cluster));
        let mut u = Box::new(Upstream::new(
            key,
            carrier,
            h,
            c,
            Rc::clone(&pool),
            PRIORITY,
        ));
        u.connection_unit = server.connection_unit;
        u.opened_ns = server.opened_ns;
        u.inbuf = first.to_vec();
        u.readable = server.side.readable;
        u.peer_closed = server.side.hung_up;
        self.become_http2_client(u);
        match self.http2_with_room(&pool) {
            Some(connection) => self.open_link(t, &cluster, &host, connection),
            None => {
                t.note_failure(Failure::UpstreamClosed, None);
                self.try_again(t);
            }
        }
    }

    /// Asks for the tunnel on a stream of its own.
    pub(super) fn open_link(
        &mut self,
        mut t: Box<Tunnel>,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
        connection: Key,
    ) {
        t.seen.connect_end = self.clock.now_ns();
        t.active_ms = self.clock.now_ms();
        let Some(unit) = self.take_request_unit(cluster, host, PRIORITY) else {
            t.note_failure(Failure::Overflow, None);
            return self.try_again(t);
        };
        let at = self.upstreams.reserve();
        let carrier = Carrier::Stream(StreamCarrier::new(connection, 0));
        let (h, c) = (Rc::clone(host), Rc::clone(cluster));
        let pool = Rc::clone(&host.pool);
        let mut u = Box::new(Upstream::new(at, carrier, h, c, pool, PRIORITY));
        u.state = State::Tunnel(t.key);
        u.request_unit = unit;
        u.opened_ns = self.clock.now_ns();
        count_carried(cluster, host);
        t.link = Some(Link {
            at,
            stage: Stage::Asking,
        });
        self.count_http2_request(connection);
        let sent = self.send_link_request(&mut t, &mut u, connection);
        self.upstreams.put(at, u);
        if !sent {
            t.note_failure(Failure::UpstreamProtocol, None);
            return self.link_refused(t);
        }
        self.arm_tunnel(&t);
        self.tunnels.put(t.key, t);
    }

    fn send_link_request(&mut self, t: &mut Tunnel, u: &mut Upstream, connection: Key) -> bool {
        let head = self.tunnel_request(t);
        let Carrier::Stream(carrier) = &mut u.carrier else {
            return false;
        };
        let Some(c) = self.http2.get_mut(connection) else {
            return false;
        };
        t.seen.is_connected = true;
        if t.has_logs() {
            t.seen.upstream_local = c.io.local_address();
            t.seen.upstream_id = c.id;
        }
        t.seen.upstream_tls = c.io.tls_info().cloned();
        let scheme = if c.io.is_plain() {
            Scheme::Http
        } else {
            Scheme::Https
        };
        let (codec, out) = c.codec_and_out();
        let Ok(id) = codec.send_request(out, &head, scheme, head.body, false) else {
            return false;
        };
        carrier.id = id;
        c.add_stream(id, u.key);
        self.wrote_http2(connection);
        true
    }

    /// A head came for the stream.
    pub fn link_answered(&mut self, tunnel: Key, connection: Key, end: bool) {
        let Some(c) = self.http2.get(connection) else {
            return;
        };
        let Some(mut t) = self.tunnels.take(tunnel) else {
            return;
        };
        let status = c.codec.response.status;
        if status >= 200 {
            t.keep_answer(status, &c.codec.response.headers);
        }
        match (status, &mut t.link) {
            (100..200, _) => self.tunnels.put(tunnel, t),
            (200, Some(link)) if !end && link.stage == Stage::Asking => {
                link.stage = Stage::Open;
                self.ready_tunnels.push(tunnel);
                self.begin_relay(t, &[]);
            }
            _ => {
                t.note_refusal(status);
                self.link_refused(t);
            }
        }
    }

    /// Trailers: the host's end, too.
    pub fn link_trailers(&mut self, tunnel: Key, connection: Key) {
        if let Some(c) = self.http2.get(connection)
            && let Some(t) = self.tunnels.get_mut(tunnel)
        {
            t.keep_trailers(&c.codec.trailers);
        }
        self.link_data(tunnel, &[], true);
    }

    /// Bytes of the host, and its end.
    pub fn link_data(&mut self, tunnel: Key, data: &[u8], end: bool) {
        let Some(mut t) = self.tunnels.take(tunnel) else {
            return;
        };
        if let Some(carrier) = t.link.as_ref().and_then(|link| self.carrier_at(link.at)) {
            carrier.ended |= end;
            carrier.owed = carrier.owed.saturating_add(data.len());
        }
        if !t.is_open() {
            t.note_failure(Failure::UpstreamClosed, None);
            return self.link_refused(t);
        }
        if !data.is_empty() && t.client.io.write(data, b"").is_err() {
            return self.end_tunnel(t, By::Us);
        }
        self.count_bytes(&mut t, [0, 0, 0, data.len() as u64]);
        self.hand_link_ends_on(t);
    }

    /// The stream or its connection is gone.
    pub fn link_lost(&mut self, tunnel: Key, failure: Failure) {
        let Some(mut t) = self.tunnels.take(tunnel) else {
            return;
        };
        let mut was_over = false;
        if let Some(carrier) = t.link.as_ref().and_then(|link| self.carrier_at(link.at)) {
            carrier.gone = true;
            was_over = std::mem::replace(&mut carrier.ended, true);
        }
        if let Some(cluster) = &t.seen.cluster {
            count_lost(cluster, failure);
        }
        if !t.is_open() {
            t.note_failure(failure, None);
            return self.link_refused(t);
        }
        // What is reset after its end is a host that wants no more of the client (RFC 9113 §8.1).
        if failure == Failure::UpstreamReset && !was_over {
            t.note_reset();
        }
        if t.client.io.backlog() == 0 {
            return self.end_tunnel(t, By::Peer);
        }
        t.flushing = Some(To::Client);
        self.tunnels.put(tunnel, t);
    }

    /// Sends what was read of the client before; `end`: and its end.
    pub(super) fn send_early(&mut self, t: &mut Tunnel, early: &[u8], end: bool) {
        if early.is_empty() && !end {
            return;
        }
        let Some(mut u) = t.link.as_ref().and_then(|l| self.upstreams.take(l.at)) else {
            return;
        };
        if let Carrier::Stream(carrier) = &mut u.carrier {
            if !early.is_empty() {
                self.send_on_stream(carrier, early, false);
            }
            if end {
                self.end_on_stream(carrier, None);
            }
        }
        self.upstreams.put(u.key, u);
        self.count_bytes(t, [early.len() as u64, 0, 0, 0]);
    }

    /// Moves what can be moved, hands ends on, and puts the tunnel back unless it is over.
    pub(super) fn drive_link(&mut self, t: Box<Tunnel>) {
        self.drive_link_with(t, Vec::new());
    }

    /// The same, with what was already read of the client and goes through the filters first.
    pub(super) fn drive_link_with(&mut self, mut t: Box<Tunnel>, early: Vec<u8>) {
        let waits = t.flushing.is_some() || self.is_link_full(&t);
        if t.gate == Gate::Open || (early.is_empty() && waits) {
            return self.drive_open_link(t, &early);
        }
        let had_ended = t.client.ended;
        let bytes = match self.filter_client(&mut t, early) {
            Passage::Bytes(bytes) => bytes,
            Passage::Refused => return self.end_tunnel(t, By::Us),
            Passage::Gone => return self.client_lost(t),
        };
        let has_ended = t.client.ended && !had_ended && !t.is_held();
        self.send_early(&mut t, &bytes, has_ended);
        if t.has_more_to_filter() {
            self.ready_tunnels.push(t.key);
        }
        self.drive_open_link(t, &[]);
    }

    fn is_link_full(&self, t: &Tunnel) -> bool {
        let link = t.link.as_ref().and_then(|link| self.upstreams.get(link.at));
        link.is_some_and(|u| self.is_full(&u.carrier, u.buffer_limit()))
    }

    /// `early`: what goes on of what was already read of the client.
    fn drive_open_link(&mut self, mut t: Box<Tunnel>, early: &[u8]) {
        self.send_early(&mut t, early, false);
        let moves = t.gate == Gate::Open && t.flushing.is_none();
        if moves && !self.send_up(&mut t) {
            return self.end_tunnel(t, By::Us);
        }
        self.hand_link_ends_on(t);
    }

    /// Reads the client while the stream takes what it gets. False: the client is gone.
    fn send_up(&mut self, t: &mut Tunnel) -> bool {
        let Some(mut u) = t.link.as_ref().and_then(|l| self.upstreams.take(l.at)) else {
            return true;
        };
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let mut moved = 0_u64;
        let mut is_there = true;
        while is_there && t.client.readable && !t.client.ended && moved < SHARE {
            if self.is_full(&u.carrier, u.buffer_limit()) {
                break;
            }
            let room = self.room_for(&u.carrier).min(t.buffer_limit());
            let Carrier::Stream(carrier) = &mut u.carrier else {
                break;
            };
            match t.client.io.read_at_most(room, &mut scratch) {
                Input::Data { bytes, drained } => {
                    if drained && !t.client.hung_up {
                        t.client.readable = false;
                    }
                    moved = moved.saturating_add(bytes.len() as u64);
                    if !bytes.is_empty() {
                        self.send_on_stream(carrier, bytes, false);
                    }
                }
                Input::Interrupted => {}
                Input::Empty => t.client.readable = false,
                Input::Eof => {
                    t.client.readable = false;
                    t.client.ended = true;
                    self.end_on_stream(carrier, None);
                }
                Input::Broken => is_there = false,
            }
        }
        self.scratch = scratch;
        self.upstreams.put(u.key, u);
        if moved >= SHARE {
            self.ready_tunnels.push(t.key);
        }
        self.count_bytes(t, [moved, 0, 0, 0]);
        is_there
    }

    /// Gives window back for what the client has taken, and tells it that the host has ended. Puts
    /// the tunnel back unless both have.
    fn hand_link_ends_on(&mut self, mut t: Box<Tunnel>) {
        let Some(mut u) = t.link.as_ref().and_then(|l| self.upstreams.take(l.at)) else {
            return self.tunnels.put(t.key, t);
        };
        let over = self.is_link_over(&mut t, &mut u);
        self.upstreams.put(u.key, u);
        if over {
            self.end_tunnel(t, By::Peer);
        } else {
            self.tunnels.put(t.key, t);
        }
    }

    fn is_link_over(&mut self, t: &mut Tunnel, u: &mut Upstream) -> bool {
        let Carrier::Stream(carrier) = &mut u.carrier else {
            return true;
        };
        if t.client.io.backlog() > 0 {
            return false;
        }
        let owed = carrier.owed;
        self.consumed_of_stream(carrier, owed);
        if !carrier.ended {
            return false;
        }
        if carrier.gone || (t.client.ended && carrier.finished) {
            return true;
        }
        if !t.client.shut {
            t.client.shut = true;
            t.client.io.shutdown();
        }
        false
    }

    /// The host does not give a tunnel, which was noted.
    pub(super) fn link_refused(&mut self, mut t: Box<Tunnel>) {
        if let Some(host) = &t.seen.host {
            host.note_tunnel_failure(Failure::UpstreamClosed);
        }
        self.close_link(&mut t);
        self.try_again(t);
    }

    /// Takes the stream out of the accounts, and resets it unless it is over.
    pub(super) fn close_link(&mut self, t: &mut Tunnel) {
        let Some(u) = t.link.take().and_then(|link| self.upstreams.take(link.at)) else {
            return;
        };
        self.reset_upstream(u);
    }
}

/// Counts how a stream was lost, as Envoy does.
fn count_lost(cluster: &ClusterRuntime, failure: Failure) {
    let counter = match failure {
        Failure::UpstreamReset => ClusterCounter::UpstreamRqRxReset,
        Failure::UpstreamProtocol => ClusterCounter::UpstreamRqTxReset,
        Failure::UpstreamRefused => return,
        _ => ClusterCounter::UpstreamRqPendingFailureEject,
    };
    cluster.stats().inc(counter);
}
