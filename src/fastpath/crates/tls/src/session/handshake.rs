//! The handshake, which is rustls' own. Records go to it one at a time, so that it never holds
//! data of the connection when it ends.

use std::sync::Arc;

use proto::client_hello::{ClientHello, Finder, Found};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{
    ClientConfig, CommonState, Error, HandshakeKind, NamedGroup, ProtocolVersion, SignatureScheme,
    SupportedCipherSuite,
};

use super::record::{Content, HEADER, MAX_BODY};
use super::traffic::{Kernel, Traffic};
use crate::client::Variant;
use crate::error::{TlsError, reason};
use crate::info::{Info, LocalCertificate, Version};
use crate::key_log::LogFile;
use crate::ocsp::Ocsp;
use crate::peer::PeerCertificate;
use crate::peer_signature;
use crate::server::{Chosen, ServerContext};
use crate::verify::Verifier;

/// rustls takes messages of 64 KB (certificates); a record more is the most it leaves waiting.
const MAX_PENDING: usize = (1 << 16) + 2 * (HEADER + MAX_BODY);
const HANDSHAKE_RECORD: u8 = 22;
/// A fatal `handshake_failure` before anything is encrypted (RFC 8446 §5.1, §6).
const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
/// A fatal `illegal_parameter`, which is what BoringSSL says of messages that are too long.
const ILLEGAL_PARAMETER: &[u8] = &[21, 3, 3, 0, 2, 2, 47];
const SERVER_HELLO: u8 = 2;

pub(super) struct Handshake {
    side: Side,
    /// What rustls has not taken, and what has not been shown to it.
    pending: Vec<u8>,
    /// Bytes at the front of `pending` that rustls has seen and needs again.
    shown: usize,
    local: Option<Arc<LocalCertificate>>,
    server_name: Option<Box<str>>,
    /// Of TLS 1.2.
    session_id: Option<Box<str>>,
    /// A client asked for an OCSP response.
    pub(super) ocsp: Option<Ocsp>,
    /// What the peer signed with.
    signature: Option<SignatureScheme>,
}

enum Side {
    /// A server before the ClientHello, which decides the configuration.
    Accepting {
        context: Arc<ServerContext>,
        key_log: Option<Arc<LogFile>>,
        finder: Finder,
    },
    Server {
        context: Arc<ServerContext>,
        connection: Box<UnbufferedServerConnection>,
    },
    Client {
        variant: Arc<Variant>,
        connection: Box<UnbufferedClientConnection>,
        server_name: ServerName<'static>,
    },
}

pub(super) enum Step {
    More,
    Done,
    /// close_notify instead of a handshake.
    Closed,
}

/// The end of a handshake.
pub(super) struct Done {
    pub(super) traffic: Traffic,
    pub(super) info: Info,
    /// Ciphertext that came behind it.
    pub(super) rest: Vec<u8>,
    pub(super) is_server: bool,
}

impl Handshake {
    pub(super) fn server(context: Arc<ServerContext>, key_log: Option<Arc<LogFile>>) -> Self {
        let finder = Finder::default();
        Self::new(
            Side::Accepting {
                context,
                key_log,
                finder,
            },
            None,
        )
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        alpn: Vec<Vec<u8>>,
        variant: Arc<Variant>,
        local: Option<Arc<LocalCertificate>>,
    ) -> Result<Self, TlsError> {
        let connection =
            UnbufferedClientConnection::new_with_alpn(config, server_name.clone(), alpn)
                .map_err(|error| TlsError::of_rustls(&error))?;
        let side = Side::Client {
            variant,
            connection: Box::new(connection),
            server_name,
        };
        Ok(Self::new(side, local))
    }

    fn new(side: Side, local: Option<Arc<LocalCertificate>>) -> Self {
        Self {
            side,
            pending: Vec::new(),
            shown: 0,
            local,
            server_name: None,
            session_id: None,
            ocsp: None,
            signature: None,
        }
    }

    pub(super) fn receive(&mut self, cipher: &[u8], out: &mut Vec<u8>) -> Result<Step, TlsError> {
        self.pending.extend_from_slice(cipher);
        if let Side::Accepting { .. } = self.side
            && !self.accept(out)?
        {
            return Ok(Step::More);
        }
        // Even without input: a client begins.
        let mut step = self.show(self.shown, out)?;
        while let Step::More = step {
            let Some(end) = self.next_record() else {
                return Ok(Step::More);
            };
            step = self.show(end, out)?;
        }
        Ok(step)
    }

    /// Takes the keys out of rustls.
    pub(super) fn finish(self) -> Result<Done, TlsError> {
        let rest = self.pending.get(self.shown..).unwrap_or_default().to_vec();
        let mut info = match &self.side {
            Side::Accepting { .. } => return Err(TlsError::internal("no ClientHello yet")),
            Side::Server { connection, .. } => facts(connection),
            Side::Client { connection, .. } => facts(connection),
        };
        info.local = self.local;
        info.signature = self.signature.and_then(peer_signature::name);
        info.session_id = self
            .session_id
            .filter(|_| info.version == Some(Version::V1_2));
        let tls13 = info.version == Some(Version::V1_3);
        let is_server = matches!(self.side, Side::Server { .. });
        let (secrets, kernel) = match self.side {
            Side::Accepting { .. } => return Err(TlsError::internal("no ClientHello yet")),
            Side::Server {
                context,
                connection,
            } => {
                info.server_name = self.server_name;
                let chain = connection.peer_certificates();
                note_peer(&mut info, chain, context.verifier(), None);
                check_resumed(&info, context.verifier())?;
                connection
                    .dangerous_into_kernel_connection()
                    .map(|(secrets, kernel)| (secrets, Kernel::Server(kernel)))
            }
            Side::Client {
                variant,
                connection,
                server_name,
            } => {
                let sni = match &server_name {
                    ServerName::DnsName(name) => Some(name.as_ref()),
                    _ => None,
                };
                info.server_name = sni.map(Into::into);
                let chain = connection.peer_certificates();
                note_peer(&mut info, chain, &variant.verifier, sni);
                connection
                    .dangerous_into_kernel_connection()
                    .map(|(secrets, kernel)| (secrets, Kernel::Client(kernel)))
            }
        }
        .map_err(|error| TlsError::of_rustls(&error))?;
        Ok(Done {
            traffic: Traffic::new(tls13, &secrets, kernel)?,
            info,
            rest,
            is_server,
        })
    }

    /// Whether there is a connection now: the ClientHello is there.
    fn accept(&mut self, out: &mut Vec<u8>) -> Result<bool, TlsError> {
        let Side::Accepting {
            context,
            key_log,
            finder,
        } = &mut self.side
        else {
            return Ok(true);
        };
        // The longest of the methods that `plaintext_http` knows.
        if self.pending.len() < HEADER {
            return Ok(false);
        }
        let message = match finder.look(&self.pending, MAX_PENDING) {
            Found::NeedMore => return Ok(false),
            Found::Message(message) => Some(message),
            Found::TooLarge => {
                out.extend_from_slice(ILLEGAL_PARAMETER);
                return Err(TlsError::protocol(reason::EXCESSIVE_MESSAGE_SIZE));
            }
            // What cannot be read goes to rustls, whose error it is.
            Found::NotTls => None,
        };
        if let Some(reason) = plaintext_http(&self.pending) {
            return Err(TlsError::protocol(reason));
        }
        let hello = message
            .as_ref()
            .and_then(|message| ClientHello::parse(&message.body).ok());
        let Chosen {
            config,
            local,
            ocsp,
        } = context
            .choose(hello.as_ref(), key_log.take())
            .ok_or_else(|| TlsError::internal("no certificate"))?;
        self.ocsp = ocsp;
        if ocsp == Some(Ocsp::Failed) {
            out.extend_from_slice(HANDSHAKE_FAILURE);
            return Err(TlsError::protocol(reason::CONNECTION_REJECTED));
        }
        let connection =
            UnbufferedServerConnection::new(config).map_err(|error| TlsError::of_rustls(&error))?;
        let context = Arc::clone(context);
        // As rustls does, a name that is none counts as not sent.
        self.server_name = hello
            .and_then(|hello| hello.server_name())
            .and_then(|name| std::str::from_utf8(name).ok())
            .filter(|name| DnsName::try_from(*name).is_ok())
            .map(Into::into);
        self.local = Some(local);
        self.side = Side::Server {
            context,
            connection: Box::new(connection),
        };
        Ok(true)
    }

    /// The end of the next record that rustls has not seen.
    fn next_record(&self) -> Option<usize> {
        let new = self.pending.get(self.shown..)?;
        let (&[kind, major, _, high, low], body) = new.split_first_chunk::<HEADER>()?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        // No record of TLS, or too long a one: the header is all that rustls needs to say so.
        let plausible = Content::from_byte(kind).is_some() && major == 3 && len <= MAX_BODY;
        let len = if plausible { len } else { 0 };
        (body.len() >= len).then(|| self.shown.saturating_add(HEADER).saturating_add(len))
    }

    /// Shows rustls the records up to `end`.
    fn show(&mut self, end: usize, out: &mut Vec<u8>) -> Result<Step, TlsError> {
        let start = out.len();
        peer_signature::take();
        self.note_server_hello(end);
        self.shown = end;
        loop {
            let input = self.pending.get_mut(..self.shown).unwrap_or_default();
            let (discard, event) = match &mut self.side {
                Side::Accepting { .. } => return Ok(Step::More),
                Side::Server { connection, .. } => {
                    drive(connection.process_tls_records(input), out)
                }
                Side::Client { connection, .. } => {
                    drive(connection.process_tls_records(input), out)
                }
            };
            self.signature = peer_signature::take().or(self.signature);
            self.discard(discard);
            match event {
                Ok(Event::Again) => {}
                Ok(Event::Blocked) => {
                    self.check_pending()?;
                    break;
                }
                Ok(Event::Done) => {
                    self.note_own_server_hello(out.get(start..).unwrap_or_default());
                    return Ok(Step::Done);
                }
                Ok(Event::Closed) => return Ok(Step::Closed),
                Err(error) => {
                    self.flush_alert(out);
                    return Err(TlsError::of_rustls(&error));
                }
            }
        }
        self.note_own_server_hello(out.get(start..).unwrap_or_default());
        Ok(Step::More)
    }

    fn discard(&mut self, discard: usize) {
        let discard = discard.min(self.pending.len());
        self.pending.drain(..discard);
        self.shown = self.shown.saturating_sub(discard);
    }

    /// Appends what rustls has to say about an error. It must not get to its input again, which it
    /// has lost count of.
    fn flush_alert(&mut self, out: &mut Vec<u8>) {
        loop {
            let (_, event) = match &mut self.side {
                Side::Server { connection, .. } if connection.wants_write() => {
                    drive(connection.process_tls_records(&mut []), out)
                }
                Side::Client { connection, .. } if connection.wants_write() => {
                    drive(connection.process_tls_records(&mut []), out)
                }
                _ => return,
            };
            if !matches!(event, Ok(Event::Again)) {
                return;
            }
        }
    }

    fn check_pending(&self) -> Result<(), TlsError> {
        if self.pending.len() > MAX_PENDING {
            return Err(TlsError::protocol(reason::EXCESSIVE_MESSAGE_SIZE));
        }
        Ok(())
    }

    fn note_server_hello(&mut self, end: usize) {
        if let Side::Client { .. } = self.side
            && self.session_id.is_none()
        {
            let record = self.pending.get(self.shown..end).unwrap_or_default();
            self.session_id = session_id(record);
        }
    }

    fn note_own_server_hello(&mut self, sent: &[u8]) {
        if let Side::Server { .. } = self.side
            && self.session_id.is_none()
        {
            self.session_id = session_id(sent);
        }
    }
}

enum Event {
    /// There is more to do without input.
    Again,
    Blocked,
    Done,
    Closed,
}

/// One step of rustls; how much of the input it is done with.
fn drive<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    out: &mut Vec<u8>,
) -> (usize, Result<Event, Error>) {
    let event = match status.state {
        Err(error) => Err(error),
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) else {
                return (status.discard, Ok(Event::Again));
            };
            let start = out.len();
            out.resize(start.saturating_add(size.required_size), 0);
            let written = data.encode(out.get_mut(start..).unwrap_or_default());
            match written {
                Ok(len) => {
                    out.truncate(start.saturating_add(len));
                    Ok(Event::Again)
                }
                Err(why) => Err(Error::General(why.to_string())),
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Ok(Event::Again)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Event::Blocked),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Event::Done),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Event::Closed),
        // Data cannot come before the handshake ends, and then it is not rustls that reads.
        Ok(_) => Err(Error::General("data in the handshake".into())),
    };
    (status.discard, event)
}

fn facts(connection: &CommonState) -> Info {
    let suite = connection.negotiated_cipher_suite();
    Info {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Some(Version::V1_3),
            Some(ProtocolVersion::TLSv1_2) => Some(Version::V1_2),
            _ => None,
        },
        cipher: suite.map(cipher_name),
        group: connection
            .negotiated_key_exchange_group()
            .map(|group| group_name(group.name())),
        alpn: connection.alpn_protocol().map(Into::into),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        ..Info::default()
    }
}

fn note_peer(
    info: &mut Info,
    chain: Option<&[CertificateDer<'_>]>,
    verifier: &Verifier,
    server_name: Option<&str>,
) {
    let Some(chain) = chain else { return };
    info.doubt = verifier.doubt(chain, server_name);
    let validated = verifier.has_opinion() && info.doubt.is_none();
    let authorities = validated.then(|| verifier.authorities()).flatten();
    info.peer = PeerCertificate::read(chain, validated, authorities).map(Arc::new);
}

/// rustls does not look at the certificate of a client that resumes again.
fn check_resumed(info: &Info, verifier: &Verifier) -> Result<(), TlsError> {
    match &info.peer {
        Some(peer) if info.resumed => verifier.check_resumed(peer, UnixTime::now()),
        _ => Ok(()),
    }
}

fn cipher_name(suite: SupportedCipherSuite) -> &'static str {
    use rustls::CipherSuite as S;
    match suite.suite() {
        S::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        S::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        S::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "unknown",
    }
}

/// BoringSSL's names (`SSL_get_curve_name`).
fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "P-256",
        NamedGroup::secp384r1 => "P-384",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        _ => "unknown",
    }
}

/// `session_id` of the ServerHello that a record begins with (RFC 5246 §7.4.1.3).
fn session_id(record: &[u8]) -> Option<Box<str>> {
    let (&[kind, ..], message) = record.split_first_chunk::<HEADER>()?;
    let (&[message_kind, _, _, _], body) = message.split_first_chunk::<4>()?;
    if kind != HANDSHAKE_RECORD || message_kind != SERVER_HELLO {
        return None;
    }
    let (_version_and_random, rest) = body.split_first_chunk::<34>()?;
    let (len, rest) = rest.split_first()?;
    let id = rest.get(..usize::from(*len)).filter(|id| !id.is_empty())?;
    Some(data_encoding::HEXLOWER.encode(id).into())
}

/// Somebody speaks HTTP to a TLS port: BoringSSL has reasons of its own for it.
fn plaintext_http(bytes: &[u8]) -> Option<crate::error::Reason> {
    let begins = |method: &str| bytes.starts_with(method.as_bytes());
    if begins("CONNE") {
        return Some(reason::HTTPS_PROXY_REQUEST);
    }
    ["GET ", "POST ", "HEAD ", "PUT "]
        .into_iter()
        .any(begins)
        .then_some(reason::HTTP_REQUEST)
}
