//! The fields of a ClientHello (RFC 8446, 4.1.2) that routing and fingerprints need.

use std::fmt;

use crate::reader::{Reader, u16s};

/// RFC 6066, 3; RFC 7301, 3.1; RFC 8446, 4.2.
pub(super) const SERVER_NAME: u16 = 0;
pub(super) const ALPN: u16 = 16;
/// RFC 6066, 8.
const STATUS_REQUEST: u16 = 5;
const SUPPORTED_GROUPS: u16 = 10;
const SIGNATURE_ALGORITHMS: u16 = 13;
const SUPPORTED_VERSIONS: u16 = 43;
const HOST_NAME: u8 = 0;
const MAX_HOST_NAME: usize = 255;
const MAX_SESSION_ID: usize = 32;
const TLS_1_0: u16 = 0x0301;
const TLS_1_3: u16 = 0x0304;

/// The parsed message, lent from its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHello<'m> {
    /// `legacy_version`.
    pub version: u16,
    /// Big-endian 16-bit numbers, an even count of bytes.
    pub(super) cipher_suites: &'m [u8],
    /// Well-formed (type, length, body)s.
    pub(super) extensions: &'m [u8],
    /// As the client wrote it; empty: none.
    server_name: &'m [u8],
}

/// Why BoringSSL would not take a message for a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Truncated, trailing bytes, or a list that must not be empty.
    Structure,
    /// An extension comes twice.
    DuplicateExtension,
    /// `server_name` is not one host name of 1 to 255 bytes without NUL.
    ServerName,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Structure => "malformed ClientHello",
            Self::DuplicateExtension => "an extension of the ClientHello comes twice",
            Self::ServerName => "malformed server_name extension",
        })
    }
}

impl std::error::Error for Invalid {}

impl<'m> ClientHello<'m> {
    /// `body`: of the handshake message.
    ///
    /// # Errors
    ///
    /// Where the fields do not add up, as BoringSSL sees it; of the extensions' bodies it looks at
    /// that of `server_name` only.
    pub fn parse(body: &'m [u8]) -> Result<Self, Invalid> {
        let (version, cipher_suites, extensions) = fields(body).ok_or(Invalid::Structure)?;
        check_extensions(extensions)?;
        let mut hello = Self {
            version,
            cipher_suites,
            extensions,
            server_name: &[],
        };
        if let Some(list) = hello.extension(SERVER_NAME) {
            hello.server_name = host_name(list).ok_or(Invalid::ServerName)?;
        }
        Ok(hello)
    }

    /// As the client wrote it, in any case; `None` without one.
    #[must_use]
    pub fn server_name(&self) -> Option<&'m [u8]> {
        Some(self.server_name).filter(|name| !name.is_empty())
    }

    /// Whether the client would like an OCSP response with the certificate.
    #[must_use]
    pub fn asks_for_ocsp(&self) -> bool {
        self.extension(STATUS_REQUEST).is_some()
    }

    /// The protocols of ALPN in the client's order; none where the extension is malformed.
    #[must_use]
    pub fn alpn(&self) -> Alpn<'m> {
        let list = self.extension(ALPN).and_then(protocols);
        Alpn(Reader::new(list.unwrap_or_default()))
    }

    /// The versions of `supported_versions`, else `legacy_version`; GREASE (RFC 8701) left out.
    pub fn versions(&self) -> impl Iterator<Item = u16> + use<'m> {
        let listed = self.supported_versions();
        let legacy = listed.is_none().then_some(self.version);
        u16s(listed.unwrap_or_default())
            .filter(|version| !is_grease(*version))
            .chain(legacy)
    }

    /// Numbers of IANA's "TLS Cipher Suites", in the client's order.
    pub fn cipher_suites(&self) -> impl Iterator<Item = u16> + use<'m> {
        u16s(self.cipher_suites)
    }

    /// `supported_groups` in the client's order; none where the extension is malformed.
    pub fn groups(&self) -> impl Iterator<Item = u16> + use<'m> {
        u16s(self.list_of_u16(SUPPORTED_GROUPS).unwrap_or_default())
    }

    /// `signature_algorithms` in the client's order; none where the extension is malformed.
    pub fn signature_schemes(&self) -> impl Iterator<Item = u16> + use<'m> {
        u16s(self.list_of_u16(SIGNATURE_ALGORITHMS).unwrap_or_default())
    }

    /// Whether `legacy_version` is TLS 1.0 to 1.3: since 1.39 Envoy closes other connections.
    #[must_use]
    pub fn version_is_known(&self) -> bool {
        (TLS_1_0..=TLS_1_3).contains(&self.version)
    }

    fn supported_versions(&self) -> Option<&'m [u8]> {
        let mut body = Reader::new(self.extension(SUPPORTED_VERSIONS)?);
        body.prefixed_u8()
    }

    fn list_of_u16(&self, kind: u16) -> Option<&'m [u8]> {
        Reader::new(self.extension(kind)?).prefixed_u16()
    }

    pub(super) fn extension(&self, kind: u16) -> Option<&'m [u8]> {
        extensions(self.extensions)
            .find(|(found, _)| *found == kind)
            .map(|(_, body)| body)
    }

    pub(super) fn extension_types(&self) -> impl Iterator<Item = u16> + use<'m> {
        extensions(self.extensions).map(|(kind, _)| kind)
    }
}

/// RFC 8701: numbers that stand for nothing.
pub(super) fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && high & 0x0f == 0x0a
}

/// Names of protocols, in the client's order.
#[derive(Debug, Clone)]
pub struct Alpn<'m>(Reader<'m>);

impl<'m> Iterator for Alpn<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        self.0.prefixed_u8()
    }
}

/// Version, cipher suites, extensions.
fn fields(body: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let mut reader = Reader::new(body);
    let version = reader.u16()?;
    let _random: [u8; 32] = reader.array()?;
    let session = reader.prefixed_u8()?;
    let suites = reader.prefixed_u16()?;
    let compressions = reader.prefixed_u8()?;
    let extensions = if reader.is_empty() {
        &[]
    } else {
        reader.prefixed_u16()?
    };
    let whole = reader.is_empty()
        && session.len() <= MAX_SESSION_ID
        && !suites.is_empty()
        && suites.len().is_multiple_of(2)
        && !compressions.is_empty();
    whole.then_some((version, suites, extensions))
}

fn check_extensions(list: &[u8]) -> Result<(), Invalid> {
    let mut reader = Reader::new(list);
    let mut seen: Vec<u16> = Vec::with_capacity(32);
    while !reader.is_empty() {
        let kind = reader.u16().ok_or(Invalid::Structure)?;
        reader.prefixed_u16().ok_or(Invalid::Structure)?;
        seen.push(kind);
    }
    seen.sort_unstable();
    let twice = seen.windows(2).any(|pair| pair.first() == pair.last());
    if twice {
        return Err(Invalid::DuplicateExtension);
    }
    Ok(())
}

/// The extensions of a list that was checked.
fn extensions(list: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut reader = Reader::new(list);
    std::iter::from_fn(move || Some((reader.u16()?, reader.prefixed_u16()?)))
}

/// The one name of a `ServerNameList`, RFC 6066, 3.
fn host_name(body: &[u8]) -> Option<&[u8]> {
    let mut body = Reader::new(body);
    let mut list = Reader::new(body.prefixed_u16()?);
    let kind = list.u8()?;
    let name = list.prefixed_u16()?;
    let whole = body.is_empty() && list.is_empty();
    let good = kind == HOST_NAME && (1..=MAX_HOST_NAME).contains(&name.len()) && !name.contains(&0);
    (whole && good).then_some(name)
}

/// The list of a well-formed `ProtocolNameList`, RFC 7301, 3.1.
fn protocols(body: &[u8]) -> Option<&[u8]> {
    let mut body = Reader::new(body);
    let list = body.prefixed_u16()?;
    let mut names = Reader::new(list);
    while !names.is_empty() {
        names.prefixed_u8().filter(|name| !name.is_empty())?;
    }
    body.is_empty().then_some(list)
}
