//! PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who is really at both ends
//! of a connection, said by the proxy before us, or to the one behind.

mod v1;
mod v2;
mod write;

use std::fmt;
use std::net::SocketAddr;

pub use v2::{MAX_V2, SIGNATURE as V2_SIGNATURE, Tlv, Tlvs};
pub use write::{Skipped, write_v1, write_v2, write_v2_local};

/// Both versions start with bytes that no other protocol of a mesh starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'b> {
    /// Perhaps the start of a header.
    NeedMore,
    /// No header.
    Absent,
    /// A header that breaks the rules of its version.
    Invalid(Version, Invalid),
    Header(Header<'b>),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Header<'b> {
    pub version: Version,
    pub addresses: Addresses<'b>,
    /// Of version 2; empty for LOCAL.
    pub tlvs: Tlvs<'b>,
    /// Length of the header: what follows is the connection's.
    pub consumed: usize,
}

/// The ends of the connection that the header speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses<'b> {
    /// LOCAL, or UNKNOWN in version 1: the connection speaks for itself.
    Local,
    Ip {
        source: SocketAddr,
        destination: SocketAddr,
    },
    /// Paths, without the NULs after them.
    Unix {
        source: &'b [u8],
        destination: &'b [u8],
    },
    /// Version 2 of no address family, or of no transport.
    Unspecified,
}

/// How a header breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Version 1 has at most 108 bytes.
    TooLong,
    /// Version 1: not `PROXY TCP4|TCP6 source destination port port`.
    Line,
    /// The nibble after the signature of version 2 is not 2.
    Version,
    /// Neither LOCAL nor PROXY.
    Command,
    /// Neither family and transport that exist.
    Family,
    /// Shorter than the addresses of its family.
    Length,
    /// A TLV longer than the header.
    Tlv,
    /// The header's CRC32C is not that of its bytes.
    Checksum,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "PROXY protocol v1 line longer than 108 bytes",
            Self::Line => "malformed PROXY protocol v1 line",
            Self::Version => "PROXY protocol of an unknown version",
            Self::Command => "PROXY protocol v2 with an unknown command",
            Self::Family => "PROXY protocol v2 with an unknown address family or transport",
            Self::Length => "PROXY protocol v2 too short for its addresses",
            Self::Tlv => "PROXY protocol v2 with a TLV beyond its end",
            Self::Checksum => "PROXY protocol v2 with a wrong CRC32C",
        })
    }
}

impl std::error::Error for Invalid {}

/// Whose signature a connection starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// A part of one, so far.
    NeedMore,
    Absent,
    Of(Version),
}

/// Looks for the signature of a version.
#[must_use]
pub fn signature(bytes: &[u8]) -> Signature {
    for (version, signature) in [(Version::V1, v1::SIGNATURE), (Version::V2, v2::SIGNATURE)] {
        if bytes.starts_with(signature) {
            return Signature::Of(version);
        }
        if signature.starts_with(bytes) {
            return Signature::NeedMore;
        }
    }
    Signature::Absent
}

/// Reads the header at the start of a connection. `bytes`: all there is since then.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let version = match signature(bytes) {
        Signature::NeedMore => return Parsed::NeedMore,
        Signature::Absent => return Parsed::Absent,
        Signature::Of(version) => version,
    };
    let found = match version {
        Version::V1 => v1::parse(bytes),
        Version::V2 => v2::parse(bytes),
    };
    match found {
        Ok(Some(header)) => Parsed::Header(header),
        Ok(None) => Parsed::NeedMore,
        Err(why) => Parsed::Invalid(version, why),
    }
}
