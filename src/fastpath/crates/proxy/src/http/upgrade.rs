//! Upgrades and CONNECT: which requests may become tunnels, and how a tunnel begins and ends.
//!
//! Within the proxy an upgrade is what it is in HTTP/1.1, as in Envoy: GET with `upgrade`, 101. The
//! extended CONNECT of HTTP/2 (RFC 8441) becomes that at the client's side, and is made of it at
//! the host's side.

use model::resources::hcm::Hcm;
use model::resources::http::{ConnectConfig, UpgradeConfig};
use model::resources::route::{Action, Forward};
use proto::Known;
use proto::h1::{BodyDecoder, BodyEvent, BodyLength, Method, RequestHead};

use super::downstream::{Alive, Closing, Downstream};
use super::stream::{Stream, Upstreaming};
use crate::http2::carrier::Carrier;
use crate::telemetry::stats::{HcmCounter, HcmGauge};
use crate::upstream::Upstream;
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// Whether bytes flow both ways as they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tunnel {
    #[default]
    No,
    /// The host was asked. Before it agrees nothing that the client sends goes on
    /// (CVE-2024-23323, and what Pingora had in 2026).
    Asked,
    Open,
    /// The host did not agree: its answer is a response like others, and whatever the client sent
    /// behind its request goes nowhere.
    Refused,
}

impl Tunnel {
    pub fn lets_client_send(self) -> bool {
        matches!(self, Self::No | Self::Open)
    }

    pub fn is_open(self) -> bool {
        self == Self::Open
    }
}

impl Stream {
    /// Whether all of the request is here, so that a client that leaves gives it up.
    pub fn is_given_up_by_leaving(&self) -> bool {
        match self.tunnel {
            // As Envoy, a request that waits for an answer to a call takes no notice of its body.
            Tunnel::No | Tunnel::Refused => self.request_complete || self.awaits.is_some(),
            Tunnel::Asked => true,
            Tunnel::Open => false,
        }
    }

    /// Whether both sides of the tunnel have said all they had to say.
    fn is_tunnel_over(&self) -> bool {
        self.tunnel.is_open()
            && self.response_complete
            && (self.request_complete || matches!(self.upstream, Upstreaming::Broken(_)))
    }
}

/// The next part of bytes without framing; `ended`: no more will come.
pub fn raw_part(bytes: &[u8], ended: bool) -> (usize, BodyEvent) {
    match bytes.len() {
        0 if ended => (0, BodyEvent::End),
        0 => (0, BodyEvent::NeedMore),
        len => (len, BodyEvent::Data { start: 0, len }),
    }
}

/// Makes the extended CONNECT of HTTP/2 an upgrade (`Utility::transformUpgradeRequestFromH2toH1`).
/// RFC 8441 §5 knows no `sec-websocket-key`; a server that speaks HTTP/1.1 needs one.
pub fn from_extended_connect(head: &mut RequestHead, rng: &mut fastrand::Rng) {
    let protocol = head.protocol().to_vec();
    if head.kind != Method::Connect || matches!(&*protocol, b"" | b"bytestream") {
        return;
    }
    let is_changed = head.set_method(b"GET")
        && head.set_protocol(b"")
        && head.headers.set(Known::Upgrade, &protocol)
        && head.headers.set(Known::Connection, b"upgrade");
    head.upgrade = is_changed;
    if protocol.eq_ignore_ascii_case(b"websocket") && head.headers.get_name(WS_KEY).is_none() {
        head.headers.push(WS_KEY, &random_key(rng));
    }
}

const WS_KEY: &[u8] = b"sec-websocket-key";

/// 16 random bytes in base64 (RFC 6455 §4.1).
fn random_key(rng: &mut fastrand::Rng) -> [u8; 24] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut key = [b'='; 24];
    for (at, slot) in key.iter_mut().take(22).enumerate() {
        // The last digit stands for two bits only.
        let digit = if at == 21 {
            rng.usize(..4) << 4
        } else {
            rng.usize(..64)
        };
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'A');
    }
    key
}

/// Makes an upgrade the extended CONNECT of HTTP/2, for as long as it takes to send it.
pub fn to_extended_connect(head: &mut RequestHead) -> bool {
    let protocol = head
        .headers
        .get(Known::Upgrade)
        .unwrap_or_default()
        .to_vec();
    head.set_protocol(&protocol) && head.set_method(b"CONNECT")
}

/// The answer to an extended CONNECT as that to an upgrade
/// (`Utility::transformUpgradeResponseFromH2toH1`).
fn from_extended_response(s: &mut Stream) {
    s.response.status = 101;
    s.response.switching = true;
    let protocol = s.request.headers.get(Known::Upgrade).unwrap_or_default();
    s.response.headers.set(Known::Upgrade, protocol);
}

/// What the request wants to become: `upgrade`'s value, or `CONNECT`.
fn wanted(head: &RequestHead) -> Option<&[u8]> {
    if head.upgrade {
        head.headers.get(Known::Upgrade)
    } else if head.kind == Method::Connect {
        Some(b"CONNECT")
    } else {
        None
    }
}

/// A route's word counts before the connection manager's
/// (`HttpConnectionManagerConfig::createUpgradeFilterChain`).
fn is_enabled(wanted: &[u8], hcm: &Hcm, action: &Action) -> bool {
    let find = |configs: &[UpgradeConfig]| {
        let named = |c: &&UpgradeConfig| c.upgrade_type.as_bytes().eq_ignore_ascii_case(wanted);
        configs.iter().find(named).map(|c| c.enabled)
    };
    let of_route = match action {
        Action::Forward(forward) => find(&forward.upgrades),
        Action::Redirect(_) | Action::DirectResponse(_) | Action::NonForwarding => None,
    };
    of_route.or_else(|| find(&hcm.upgrades)).unwrap_or(false)
}

/// Whether a route ends CONNECT here (`connect_config`): the host gets the bytes as TCP.
fn ends_as_tcp(head: &RequestHead, action: &Action) -> bool {
    let Action::Forward(forward) = action else {
        return false;
    };
    let allow_post = connect_config(forward).map(|connect| connect.allow_post);
    match head.kind {
        _ if head.asks_for_udp() => false,
        Method::Connect => allow_post.is_some(),
        Method::Post => allow_post == Some(true),
        _ => false,
    }
}

/// As in Envoy one is enough for CONNECT and CONNECT-UDP, and the last one counts.
fn connect_config(forward: &Forward) -> Option<&ConnectConfig> {
    let configs = forward.upgrades.iter().rev();
    configs.filter_map(|c| c.connect.as_ref()).next()
}

/// Whether a request that was let in is a CONNECT-UDP that a route ends here: the host gets the
/// datagrams as UDP.
pub fn ends_as_udp(s: &Stream, forward: &Forward) -> bool {
    s.tunnel == Tunnel::Asked && s.request.asks_for_udp() && connect_config(forward).is_some()
}

impl Worker {
    /// Lets a request ask its host for a tunnel, if it wants one. False: it may not.
    pub fn admit_upgrade(&mut self, d: &Downstream, s: &mut Stream, action: &Action) -> bool {
        s.is_tcp = ends_as_tcp(&s.request, action);
        let Some(wanted) = wanted(&s.request) else {
            return true;
        };
        // Of a request with a body nobody could say where the tunnel begins.
        let has_body = !matches!(s.request.body, BodyLength::None | BodyLength::Length(0));
        if has_body || !is_enabled(wanted, &d.client.http.hcm, action) {
            return false;
        }
        let stats = d.client.http.stats();
        stats.inc(HcmCounter::DownstreamCxUpgradesTotal);
        stats.gauge_inc(HcmGauge::DownstreamCxUpgradesActive);
        s.tunnel = Tunnel::Asked;
        // More comes if the host agrees; whoever else answers ends the connection.
        s.request_complete = false;
        s.request_deadline = NEVER;
        true
    }

    /// A stream that asked for a tunnel is over.
    pub fn count_upgrade_ended(&self, d: &Downstream, s: &Stream) {
        if s.tunnel != Tunnel::No {
            let stats = d.client.http.stats();
            stats.gauge_dec(HcmGauge::DownstreamCxUpgradesActive);
        }
    }

    /// The host of a CONNECT (or POST) that ends here is connected: the answer is ours.
    pub fn open_tcp(&mut self, d: &mut Downstream, mut s: Box<Stream>, mut u: Box<Upstream>) {
        s.request_head_sent = true;
        s.response.clear();
        s.response.status = 200;
        // A tunnel has no framing; the answer to a POST is a body.
        s.response.body = match s.tunnel {
            Tunnel::Asked => BodyLength::None,
            _ => BodyLength::Chunked,
        };
        s.info.details = Some("via_upstream".into());
        if d.client.http.router.get().dynamic_stats {
            let internal = s.request.headers.contains(Known::XEnvoyInternal);
            u.cluster.stats().response_code(200, internal);
        }
        if let Some(host) = &s.host {
            host.note_answer(false, 200, &s.response.headers);
        }
        if s.request_complete {
            // A POST without a body: the client has nothing to say, and the host gets to know.
            self.end_raw(&mut u, &mut s, &mut Vec::new());
        }
        self.count_route_response(&s);
        self.route_upstream_response(d, &mut s);
        self.encode_tunnel_head(&mut s);
        self.upstreams.put(u.key, u);
        if s.tunnel == Tunnel::Asked {
            self.begin_upgrade(d, &mut s);
        } else {
            s.response_decoder = BodyDecoder::new(BodyLength::UntilClose);
            s.response_keep_alive = false;
            self.ready_downstreams.push(d.key);
        }
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

    /// The host has answered a request that asked for a tunnel.
    pub fn answer_tunnel(&mut self, d: &mut Downstream, s: &mut Stream, u: &Upstream) {
        let is_upgrade = s.request.upgrade;
        if is_upgrade && u.carrier.is_stream() && s.response.tunnel {
            from_extended_response(s);
        }
        let agreed = if is_upgrade {
            s.response.switching
        } else {
            s.response.tunnel
        };
        if agreed {
            self.begin_upgrade(d, s);
            return;
        }
        s.tunnel = Tunnel::Refused;
        s.response_keep_alive = false;
        let is_websocket = s
            .request
            .headers
            .get(Known::Upgrade)
            .is_some_and(|token| token.eq_ignore_ascii_case(b"websocket"));
        // A client of HTTP/2 would take its body for the tunnel's bytes; of a WebSocket's handshake
        // that is neither good nor an error Envoy passes on the head only.
        let is_cut = match s.response.status {
            200..300 => is_websocket || d.carrier.is_stream(),
            300..400 => is_websocket,
            _ => false,
        };
        if is_upgrade && is_cut {
            s.response.body = BodyLength::None;
            s.response_decoder = BodyDecoder::new(BodyLength::None);
            s.info.details = Some("websocket_handshake_unsuccessful".into());
        }
    }

    /// From here on bytes flow both ways; of the deadlines those for a response are over.
    pub fn begin_upgrade(&mut self, d: &mut Downstream, s: &mut Stream) {
        s.tunnel = Tunnel::Open;
        s.response_decoder = BodyDecoder::new(BodyLength::UntilClose);
        s.response_keep_alive = false;
        s.route_deadline = NEVER;
        s.request_deadline = NEVER;
        // What the client has sent already.
        self.ready_downstreams.push(d.key);
    }

    /// The response's half of a tunnel has ended: so does our side of the client's connection.
    pub fn end_tunnel_down(&mut self, d: &mut Downstream, s: &mut Stream) {
        if s.response_complete {
            return;
        }
        s.response_complete = true;
        s.info.downstream_tx_end = self.clock.now_ns();
        match &mut d.carrier {
            Carrier::Stream(carrier) if carrier.finished => {}
            Carrier::Stream(carrier) => self.end_on_stream(carrier, None),
            // It is gone if this fails; its next event tells.
            Carrier::Socket(io) => d.readable |= io.finish().is_err(),
        }
    }

    /// Ends the stream of a tunnel whose two halves have ended and whose bytes have all left.
    pub fn end_tunnel_if_over(&mut self, d: &mut Downstream) {
        let Some(s) = d.stream.take_if(|s| s.is_tunnel_over()) else {
            return;
        };
        let Some(u) = s.upstream.key().and_then(|key| self.upstreams.take(key)) else {
            d.stream = Some(s);
            return;
        };
        let is_broken = matches!(s.upstream, Upstreaming::Broken(_));
        if u.backlog() > 0 && !is_broken {
            self.upstreams.put(u.key, u);
            d.stream = Some(s);
            return;
        }
        if d.closing == Closing::No {
            d.closing = Closing::AfterFlush;
            d.linger = !d.ended;
        }
        self.finish_exchange(d, s, u, false);
    }

    /// The client has ended its side. False: that ends the connection, since it has no tunnel.
    pub fn client_ended(&mut self, d: &mut Downstream) -> Alive {
        // Datagrams have no end that a host could answer: as in Envoy the whole ends.
        let goes_on = |s: &Stream| s.tunnel.is_open() && !s.request.asks_for_udp();
        if !d.stream.as_deref().is_some_and(goes_on) {
            return Alive::No;
        }
        d.readable = false;
        d.ended = true;
        self.feed(d, b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &[u8], protocol: &[u8]) -> RequestHead {
        let mut head = RequestHead::new();
        assert!(head.set_method(method) && head.set_path(b"/chat") && head.set_protocol(protocol));
        head
    }

    #[test]
    fn extended_connect_and_back() {
        let mut head = head(b"CONNECT", b"WebSocket");
        from_extended_connect(&mut head, &mut fastrand::Rng::with_seed(1));
        assert!(head.upgrade && head.protocol().is_empty());
        assert_eq!(head.method(), b"GET");
        assert_eq!(head.headers.get(Known::Upgrade), Some(&b"WebSocket"[..]));
        let key = head.headers.get_name(WS_KEY).unwrap().to_vec();
        assert!(key.len() == 24 && key.ends_with(b"=="));
        assert!(to_extended_connect(&mut head));
        assert_eq!(head.method(), b"CONNECT");
        assert_eq!(head.protocol(), b"WebSocket");
    }

    #[test]
    fn other_connects_stay() {
        for protocol in [&b""[..], b"bytestream"] {
            let mut head = head(b"CONNECT", protocol);
            from_extended_connect(&mut head, &mut fastrand::Rng::with_seed(1));
            assert_eq!((head.upgrade, head.method()), (false, &b"CONNECT"[..]));
        }
        let mut get = head(b"GET", b"");
        from_extended_connect(&mut get, &mut fastrand::Rng::with_seed(1));
        assert!(!get.upgrade);
    }

    #[test]
    fn raw_bytes_end_when_told() {
        assert_eq!(raw_part(b"", false), (0, BodyEvent::NeedMore));
        assert_eq!(raw_part(b"", true), (0, BodyEvent::End));
        assert_eq!(
            raw_part(b"ab", true),
            (2, BodyEvent::Data { start: 0, len: 2 })
        );
    }
}
