//! From a connected socket to a connection that can take requests: TLS, and what ALPN says. The
//! steps of TLS itself are for whoever connects to a host (`tcp` does, too).

use model::resources::cluster::UpstreamProtocol;
use model::resources::tls::UpstreamTls;
use tls::ClientSession;

use super::{State, Upstream};
use crate::cluster::ClusterRuntime;
use crate::cluster::host::{Host, PoolKey};
use crate::http::failure::Failure;
use crate::net::introduction::{Heard, hear};
use crate::net::io::{Input, Io, Scratch};
use crate::telemetry::stats::{ClusterCounter, TlsContextCounter};
use crate::worker::Worker;
use crate::worker::command::UpstreamTransport;

const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

impl Worker {
    /// The socket is connected.
    pub(super) fn begin_transport(&mut self, mut u: Box<Upstream>) {
        let Some(io) = u.carrier.io_mut() else {
            return self.connect_failed(u, Failure::TlsFailure);
        };
        match begin_tls(io, &u.cluster, &u.host, Some(&u.pool.kind)) {
            Ok(false) => self.established(u),
            Ok(true) => self.shake_hands(u),
            Err(failure) => self.connect_failed(u, failure),
        }
    }

    /// Goes on with the handshake as far as there are bytes.
    pub(super) fn shake_hands(&mut self, mut u: Box<Upstream>) {
        if u.listens {
            return self.hear_host(u);
        }
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let outcome = match u.carrier.io_mut() {
            Some(io) => shake(io, &mut scratch, &mut u.inbuf),
            None => Handshake::Failed,
        };
        self.scratch = scratch;
        match outcome {
            Handshake::More => self.upstreams.put(u.key, u),
            Handshake::Done => {
                count_handshake(&u.cluster, u.carrier.io());
                self.introduce(u);
            }
            Handshake::Failed => {
                count_tls_failure(&u.cluster, u.carrier.io());
                self.connect_failed(u, Failure::TlsFailure);
            }
        }
    }

    /// Before requests come introductions, where ALPN came to that.
    fn introduce(&mut self, mut u: Box<Upstream>) {
        let Some(io) = u.carrier.io_mut() else {
            return self.established(u);
        };
        match self.introduce_to_host(&u.cluster, io) {
            Ok(false) => self.established(u),
            Ok(true) => {
                (u.listens, u.readable) = (true, true);
                self.hear_host(u);
            }
            Err(_) => self.connect_failed(u, Failure::UpstreamClosed),
        }
    }

    fn hear_host(&mut self, mut u: Box<Upstream>) {
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let (held, readable) = (&mut u.inbuf, &mut u.readable);
        let heard = match u.carrier.io_mut() {
            Some(io) => hear(io, &mut scratch, held, readable, u.peer_closed),
            None => Heard::Failed,
        };
        self.scratch = scratch;
        self.count_heard(&heard);
        match heard {
            Heard::More => self.upstreams.put(u.key, u),
            // Who answers requests, their responses tell.
            Heard::Said(_) | Heard::Foreign => {
                u.listens = false;
                self.established(u);
            }
            Heard::Failed => self.connect_failed(u, Failure::UpstreamClosed),
        }
    }

    /// Requests can be sent.
    fn established(&mut self, mut u: Box<Upstream>) {
        let pool = &u.pool;
        pool.connecting.set(pool.connecting.get().saturating_sub(1));
        u.state = State::Idle;
        match pool.kind.protocol {
            UpstreamProtocol::Http2 => self.become_http2_client(u),
            UpstreamProtocol::Http1 => self.offer(u),
            UpstreamProtocol::Alpn | UpstreamProtocol::Downstream => {
                let info = u.carrier.io().and_then(Io::tls_info);
                let is_h2 = info.is_some_and(|info| info.alpn.as_deref() == Some(H2));
                let stats = u.cluster.stats();
                if is_h2 {
                    stats.inc(ClusterCounter::UpstreamCxHttp2Total);
                    self.become_http2_client(u);
                } else {
                    stats.inc(ClusterCounter::UpstreamCxHttp1Total);
                    self.offer(u);
                }
            }
        }
    }
}

/// Begins the transport that the host's cluster says; false: it is plain, and there. `kind`: what
/// requests want of it, if it is for HTTP.
pub fn begin_tls(
    io: &mut Io,
    cluster: &ClusterRuntime,
    host: &Host,
    kind: Option<&PoolKey>,
) -> Result<bool, Failure> {
    let transport = cluster
        .transports
        .borrow()
        .get(host.pool.transport)
        .cloned();
    let (config, context) = match transport {
        Some(UpstreamTransport::Plain) => return Ok(false),
        Some(UpstreamTransport::Tls { config, context }) => (config, context),
        Some(UpstreamTransport::NotReady) | None => {
            cluster
                .tls_context_stats()
                .inc(TlsContextCounter::UpstreamContextSecretsNotReady);
            return Err(Failure::SecretsMissing);
        }
    };
    let sni = server_name(&config, host, kind);
    let of_request = kind.and_then(|kind| kind.alpn.as_ref());
    let of_request = of_request.map(|names| names.iter().map(|name| name.as_bytes()));
    let of_request = of_request.map(Iterator::collect::<Vec<_>>);
    let san = kind.and_then(|kind| kind.verify_san.as_deref());
    let options = ClientSession {
        sni: sni.as_deref(),
        verify_san: san.as_slice(),
        alpn: of_request.as_deref().or_else(|| {
            kind.filter(|kind| !kind.is_tcp)
                .and_then(|kind| protocols(&config, kind.protocol))
        }),
        local: io.local_address().and_then(|address| address.ip()),
        remote: host.address.ip(),
    };
    let session = context.session(&options).map_err(|error| {
        crate::log!(
            crate::telemetry::log::Level::Warning,
            "connection",
            "cluster {}: {}",
            cluster.config.borrow().name,
            error.reason()
        );
        Failure::TlsFailure
    })?;
    match io.start_tls(session) {
        Ok(()) => Ok(true),
        Err(_) => Err(Failure::TlsFailure),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    More,
    Done,
    Failed,
}

/// Goes on with a handshake as far as there are bytes; what comes behind it is the protocol's.
pub fn shake(io: &mut Io, scratch: &mut Scratch, behind: &mut Vec<u8>) -> Handshake {
    while io.is_handshaking() {
        if io.backlog() > 0 && io.flush().is_err() {
            return Handshake::Failed;
        }
        match io.read(scratch) {
            Input::Data { bytes, .. } => behind.extend_from_slice(bytes),
            Input::Interrupted => {}
            Input::Empty => return Handshake::More,
            Input::Eof | Input::Broken => return Handshake::Failed,
        }
    }
    Handshake::Done
}

/// Counts a handshake with a host, and what was agreed on.
pub fn count_handshake(cluster: &ClusterRuntime, io: Option<&Io>) {
    if let Some(info) = io.and_then(Io::tls_info) {
        cluster.tls_stats().handshake(info);
    }
}

/// Counts why a handshake failed.
pub fn count_tls_failure(cluster: &ClusterRuntime, io: Option<&Io>) {
    cluster.tls_stats().failure(io.and_then(Io::tls_failure));
}

/// The SNI: the request's, the endpoint's name, or the configuration's.
fn server_name(config: &UpstreamTls, host: &Host, kind: Option<&PoolKey>) -> Option<Box<str>> {
    let of_host = config.auto_host_sni.then_some(host.hostname.as_deref());
    let of_request = kind.and_then(|kind| kind.sni.as_deref());
    let name = of_request.or(of_host.flatten()).or(config.sni.as_deref());
    name.filter(|name| !name.is_empty()).map(Box::from)
}

/// What ALPN offers, where that is not the configuration's to say.
fn protocols(config: &UpstreamTls, protocol: UpstreamProtocol) -> Option<&'static [&'static [u8]]> {
    match protocol {
        UpstreamProtocol::Alpn | UpstreamProtocol::Downstream => Some(&[H2, HTTP11]),
        // Envoy's fallback for a context without ALPN.
        UpstreamProtocol::Http2 if config.common.alpn.is_empty() => Some(&[H2]),
        UpstreamProtocol::Http1 if config.common.alpn.is_empty() => Some(&[HTTP11]),
        UpstreamProtocol::Http1 | UpstreamProtocol::Http2 => None,
    }
}
