//! From a connected socket to a connection that can take requests: TLS, and what ALPN says.

use model::resources::cluster::UpstreamProtocol;
use model::resources::tls::UpstreamTls;
use tls::ClientSession;

use super::{State, Upstream};
use crate::http::failure::Failure;
use crate::net::io::{Input, Io, Scratch};
use crate::telemetry::stats::ClusterCounter;
use crate::worker::Worker;
use crate::worker::command::UpstreamTransport;

const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

impl Worker {
    /// The socket is connected.
    pub(super) fn begin_transport(&mut self, mut u: Box<Upstream>) {
        let transport = u.cluster.transports.borrow().get(u.pool.transport).cloned();
        let (config, context) = match transport {
            Some(UpstreamTransport::Plain) => return self.established(u),
            Some(UpstreamTransport::Tls { config, context }) => (config, context),
            Some(UpstreamTransport::NotReady) | None => {
                u.cluster
                    .stats()
                    .inc(ClusterCounter::SslUpstreamContextSecretsNotReady);
                return self.connect_failed(u, Failure::SecretsMissing);
            }
        };
        let sni = server_name(&config, &u);
        let san: Option<&str> = u.pool.kind.verify_san.as_deref();
        let options = ClientSession {
            sni: sni.as_deref(),
            verify_san: san.as_slice(),
            alpn: protocols(&config, u.pool.kind.protocol),
            local: u.local.unwrap_or(u.host.address),
            remote: u.host.address,
        };
        let session = match context.session(&options) {
            Ok(session) => session,
            Err(error) => {
                crate::log!(
                    crate::telemetry::log::Level::Warning,
                    "connection",
                    "cluster {}: {}",
                    u.cluster.config.borrow().name,
                    error.reason()
                );
                return self.connect_failed(u, Failure::TlsFailure);
            }
        };
        let begun = u.carrier.io_mut().map(|io| io.start_tls(session));
        match begun {
            Some(Ok(())) => self.shake_hands(u),
            _ => self.connect_failed(u, Failure::TlsFailure),
        }
    }

    /// Goes on with the handshake as far as there are bytes.
    pub(super) fn shake_hands(&mut self, mut u: Box<Upstream>) {
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let outcome = shake(&mut u, &mut scratch);
        self.scratch = scratch;
        match outcome {
            Handshake::More => self.upstreams.put(u.key, u),
            Handshake::Done => {
                let stats = u.cluster.stats();
                stats.inc(ClusterCounter::SslHandshake);
                let info = u.carrier.io().and_then(Io::tls_info);
                if info.is_some_and(|info| info.resumed) {
                    stats.inc(ClusterCounter::SslSessionReused);
                }
                self.established(u);
            }
            Handshake::Failed => {
                let counter = u.carrier.io().and_then(Io::tls_failure).map(|error| {
                    use tls::ErrorClass as E;
                    match error.class() {
                        E::Connection => ClusterCounter::SslConnectionError,
                        E::NoCertificate => ClusterCounter::SslFailVerifyNoCert,
                        E::VerifyChain => ClusterCounter::SslFailVerifyError,
                        E::VerifySan => ClusterCounter::SslFailVerifySan,
                        E::VerifyHash => ClusterCounter::SslFailVerifyCertHash,
                    }
                });
                let stats = u.cluster.stats();
                stats.inc(counter.unwrap_or(ClusterCounter::SslConnectionError));
                self.connect_failed(u, Failure::TlsFailure);
            }
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

enum Handshake {
    More,
    Done,
    Failed,
}

fn shake(u: &mut Upstream, scratch: &mut Scratch) -> Handshake {
    let Some(io) = u.carrier.io_mut() else {
        return Handshake::Failed;
    };
    while io.is_handshaking() {
        if io.backlog() > 0 && io.flush().is_err() {
            return Handshake::Failed;
        }
        match io.read(scratch) {
            // Whatever comes behind the handshake is the protocol's.
            Input::Data { bytes, .. } => u.inbuf.extend_from_slice(bytes),
            Input::Interrupted => {}
            Input::Empty => return Handshake::More,
            Input::Eof | Input::Broken => return Handshake::Failed,
        }
    }
    Handshake::Done
}

/// The SNI: the request's, the endpoint's name, or the configuration's.
fn server_name(config: &UpstreamTls, u: &Upstream) -> Option<Box<str>> {
    let of_host = config.auto_host_sni.then_some(u.host.hostname.as_deref());
    let name = u.pool.kind.sni.as_deref();
    let name = name.or(of_host.flatten()).or(config.sni.as_deref());
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
