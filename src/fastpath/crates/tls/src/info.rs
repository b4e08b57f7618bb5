//! What a handshake settled: the facts behind `%DOWNSTREAM_TLS_…%`, `%UPSTREAM_TLS_…%` and XFCC.

use std::sync::Arc;

use crate::error::ErrorClass;
use crate::peer::{PeerCertificate, Sans};

/// Facts of an established session. Before the handshake ends, all are absent.
#[derive(Debug, Default)]
pub struct Info {
    pub version: Option<Version>,
    /// OpenSSL's name for TLS 1.2 (`ECDHE-RSA-AES128-GCM-SHA256`), the RFC's for TLS 1.3
    /// (`TLS_AES_128_GCM_SHA256`): what `%DOWNSTREAM_TLS_CIPHER%` and `ssl.ciphers.*` say.
    pub cipher: Option<&'static str>,
    /// `X25519`, `P-256`, `P-384`, `X25519MLKEM768`, as in `ssl.curves.*` and `%…_TLS_GROUP%`.
    pub group: Option<&'static str>,
    /// What the peer signed the handshake with, if it did in this one: `ssl.sigalgs.*`.
    pub signature: Option<&'static str>,
    pub alpn: Option<Box<[u8]>>,
    /// The SNI that the client sent.
    pub server_name: Option<Box<str>>,
    /// Hexadecimal; TLS 1.2 with a session identifier only.
    pub session_id: Option<Box<str>>,
    /// `ssl.session_reused`
    pub resumed: bool,
    pub peer: Option<Arc<PeerCertificate>>,
    /// What is wrong with a peer that passed all the same (`ACCEPT_UNTRUSTED`).
    pub doubt: Option<ErrorClass>,
    /// The certificate we presented (servers), or have to present (clients).
    pub local: Option<Arc<LocalCertificate>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1_2,
    V1_3,
}

impl Version {
    /// `TLSv1.2`: `%DOWNSTREAM_TLS_VERSION%`, `ssl.versions.*`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        }
    }
}

/// A certificate of ours.
#[derive(Debug)]
pub struct LocalCertificate {
    /// RFC 2253.
    pub subject: Box<str>,
    pub sans: Sans,
}
