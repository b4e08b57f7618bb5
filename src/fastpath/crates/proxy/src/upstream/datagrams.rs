//! A CONNECT-UDP that ends here (RFC 9298): datagrams to and from a host, in capsules on the
//! client's stream.
//!
//! There is no connection to make, to pool or to wait for. UDP knows no back-pressure: what the
//! client's side has no room for is dropped, as it would be on the way, and counted; nothing is
//! held for it. It knows no end either: the tunnel ends with the client, or when it is idle.

use std::rc::Rc;

use proto::Known;
use proto::h1::BodyLength;
use proto::masque::{CAPSULE_PROTOCOL, CONNECT_UDP, CapsuleError, CapsuleReader, write_datagram};
use rustix::io::Errno;

use super::upload::{Outcome, Taken};
use crate::cluster::host::Host;
use crate::http::downstream::{Alive, Downstream};
use crate::http::failure::Failure;
use crate::http::stream::{Stream, Upstreaming};
use crate::http2::carrier::Carrier;
use crate::net::datagram::DatagramSocket;
use crate::net::io::Scratch;
use crate::telemetry::log::Level;
use crate::worker::slots::Key;
use crate::worker::{Kind, Worker};

/// Datagrams in one turn, either way, before the others get theirs.
const MAX_DATAGRAMS: usize = 128;
/// Capsules gathered beyond this are written at once.
const WRITE_AT: usize = 16 * 1024;
/// Type, length and context before a datagram.
const CAPSULE_HEAD: usize = 6;

/// The host's side of one tunnel.
#[derive(Debug)]
pub struct Datagrams {
    socket: DatagramSocket,
    downstream: Key,
    host: Rc<Host>,
    /// What the client sends.
    capsules: CapsuleReader,
    /// Datagrams of the host that the client had no room for.
    dropped: u64,
    /// Those of the client that did not leave.
    unsent: u64,
}

impl Worker {
    /// The answer is ours, and the tunnel is open.
    pub fn open_udp(&mut self, d: &mut Downstream, mut s: Box<Stream>) {
        let (Some(cluster), Some(host)) = (s.cluster.clone(), s.host.clone()) else {
            return self.reply_failure(d, s, Failure::NoHealthyUpstream);
        };
        s.info.upstream_remote = Some(host.address.clone());
        if let Carrier::Stream(carrier) = &d.carrier
            && carrier.ended
            && d.inbuf.is_empty()
        {
            // Nobody who has nothing to say needs a tunnel. For the host it is a success, as in Envoy.
            host.pool.shard.rq_success.inc();
            host.note_connected();
            host.note_answer(false, 200, &s.response.headers);
            return self.reply_failure(d, s, Failure::UdpEndedAtOnce);
        }
        match self.connect_udp(d.key, &host) {
            Ok(key) => s.upstream = Upstreaming::Udp(key),
            Err(errno) => {
                let why = std::io::Error::from(errno);
                crate::log!(
                    Level::Debug,
                    "upstream",
                    "no UDP socket to {}: {why}",
                    host.address
                );
                return self.reply_failure(d, s, Failure::UdpSocket);
            }
        }
        s.request_head_sent = true;
        s.info.details = Some("via_upstream".into());
        s.response.clear();
        s.response.body = BodyLength::None;
        if d.carrier.is_stream() {
            s.response.status = 200;
        } else {
            // RFC 9298 §3.3.
            s.response.status = 101;
            s.response.headers.set(Known::Upgrade, CONNECT_UDP);
        }
        let (name, value) = CAPSULE_PROTOCOL;
        s.response.headers.push(name, value);
        if d.client.http.router.get().dynamic_stats {
            let internal = s.request.headers.contains(Known::XEnvoyInternal);
            cluster.stats().response_code(s.response.status, internal);
        }
        host.pool.shard.rq_success.inc();
        host.note_connected();
        host.note_answer(false, s.response.status, &s.response.headers);
        self.count_route_response(&s);
        self.route_upstream_response(d, &mut s);
        self.encode_tunnel_head(&mut s);
        self.begin_upgrade(d, &mut s);
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        self.encode_response_head(d, &mut s, &mut out, false);
        if !out.is_empty() {
            // A client that is gone shows in its next event.
            self.write_downstream(d, &out, b"");
        }
        self.out = out;
        d.stream = Some(s);
    }

    fn connect_udp(&mut self, downstream: Key, host: &Rc<Host>) -> Result<Key, Errno> {
        let socket = DatagramSocket::connect(&host.address)?;
        let key = self.udp.reserve();
        if let Err(e) = self.register(Kind::Udp, key, &socket) {
            self.udp.free(key);
            return Err(e);
        }
        let datagrams = Datagrams {
            socket,
            downstream,
            host: Rc::clone(host),
            capsules: CapsuleReader::default(),
            dropped: 0,
            unsent: 0,
        };
        self.udp.put(key, Box::new(datagrams));
        Ok(key)
    }

    /// Sends what the client's capsules carry.
    pub(super) fn upload_datagrams(
        &mut self,
        d: &Downstream,
        s: &mut Stream,
        key: Key,
        data: &[u8],
    ) -> Taken {
        let Some(u) = self.udp.get_mut(key) else {
            return Taken {
                bytes: 0,
                outcome: Outcome::Ok,
            };
        };
        s.last_activity = self.clock.now_ms();
        let sent = &mut s.info.upstream_wire_bytes_sent;
        let ended = matches!(&d.carrier, Carrier::Stream(carrier) if carrier.ended);
        let taken = u.send_some(data, sent).and_then(|used| {
            let is_all = ended && used == data.len();
            if is_all {
                u.capsules.finish()?;
                s.request_complete = true;
            } else if used < data.len() {
                // Goes on in the next turn.
                s.upload_blocked = true;
            }
            Ok(used)
        });
        let (bytes, outcome) = match taken {
            Ok(used) => (used, Outcome::Ok),
            Err(error) => (data.len(), Outcome::BadCapsule(error)),
        };
        s.info.bytes_received = s.info.bytes_received.saturating_add(bytes as u64);
        if s.request_complete {
            s.info.downstream_rx_end = self.clock.now_ns();
        }
        if s.upload_blocked {
            self.ready_downstreams.push(d.key);
        }
        Taken { bytes, outcome }
    }

    /// Hands on what the host has sent.
    pub fn udp_event(&mut self, key: Key) {
        let Some(mut u) = self.udp.take(key) else {
            return;
        };
        let Some(mut d) = self.downstreams.take(u.downstream) else {
            // Its client is being closed; that takes care of us.
            return self.udp.put(key, u);
        };
        let mut alive = Alive::Yes;
        if let Some(mut s) = d.stream.take() {
            let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
            let mut out = std::mem::take(&mut self.out);
            out.clear();
            let seen = self.receive_datagrams(&mut d, &mut s, &mut u, &mut scratch, &mut out);
            if seen == Seen::ClientGone || !self.send_capsules(&mut d, &mut s, &mut out) {
                alive = Alive::No;
            } else if seen == Seen::Some {
                self.ready_udp.push(key);
            }
            out.shrink_to(WRITE_AT);
            self.out = out;
            self.scratch = scratch;
            d.stream = Some(s);
        }
        self.udp.put(key, u);
        self.settle(d, alive);
    }

    /// Gathers capsules in `out`.
    fn receive_datagrams(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &mut Datagrams,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Seen {
        for _ in 0..MAX_DATAGRAMS {
            let Some(payload) = u.socket.receive(scratch) else {
                return Seen::All;
            };
            let after = out
                .len()
                .saturating_add(payload.len())
                .saturating_add(CAPSULE_HEAD);
            if self.is_full(&d.carrier, d.buffer_limit()) || after > self.room_for(&d.carrier) {
                u.dropped = u.dropped.saturating_add(1);
                continue;
            }
            write_datagram(out, payload);
            if out.len() >= WRITE_AT && !self.send_capsules(d, s, out) {
                return Seen::ClientGone;
            }
        }
        Seen::Some
    }

    /// False: the client is gone.
    fn send_capsules(&mut self, d: &mut Downstream, s: &mut Stream, out: &mut Vec<u8>) -> bool {
        if out.is_empty() {
            return true;
        }
        let bytes = out.len() as u64;
        s.last_activity = self.clock.now_ms();
        s.info.bytes_sent = s.info.bytes_sent.saturating_add(bytes);
        s.info.upstream_wire_bytes_received =
            s.info.upstream_wire_bytes_received.saturating_add(bytes);
        let alive = match &mut d.carrier {
            Carrier::Stream(carrier) => {
                self.send_on_stream(carrier, out, false);
                true
            }
            Carrier::Socket(_) => self.write_downstream(d, out, b""),
        };
        out.clear();
        alive
    }

    /// The tunnel is over.
    pub fn close_udp(&mut self, key: Key) {
        let Some(u) = self.udp.free(key) else { return };
        if u.dropped > 0 || u.unsent > 0 {
            crate::log!(
                Level::Warning,
                "upstream",
                "CONNECT-UDP to {}: {} datagrams to the client and {} to the host were dropped",
                u.host.address,
                u.dropped,
                u.unsent
            );
        }
    }
}

/// What a look at the host's datagrams found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    All,
    /// There may be more.
    Some,
    ClientGone,
}

impl Datagrams {
    /// Sends datagrams out of `data`, as many as one turn allows. Returns the bytes taken.
    fn send_some(&mut self, data: &[u8], sent: &mut u64) -> Result<usize, CapsuleError> {
        let mut used = 0_usize;
        for _ in 0..MAX_DATAGRAMS {
            let rest = data.get(used..).unwrap_or_default();
            let (n, payload) = self.capsules.next(rest)?;
            used = used.saturating_add(n);
            let Some(payload) = payload else { break };
            *sent = sent.saturating_add(payload.len() as u64);
            if self.socket.send(payload).is_err() {
                // Too long, or no room: lost, as on the way.
                self.unsent = self.unsent.saturating_add(1);
            }
        }
        Ok(used)
    }
}
