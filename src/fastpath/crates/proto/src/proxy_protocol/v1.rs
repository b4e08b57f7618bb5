//! Version 1: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::v2::Tlvs;
use super::{Addresses, Header, Invalid, Version};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// With its CRLF. The document says 107, Envoy reads one more.
const MAX: usize = 108;

/// `None`: the line has no end yet.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header<'_>>, Invalid> {
    let within = bytes.get(..MAX).unwrap_or(bytes);
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX {
            Ok(None)
        } else {
            Err(Invalid::TooLong)
        };
    };
    let line = within.get(..end).ok_or(Invalid::Line)?;
    Ok(Some(Header {
        version: Version::V1,
        addresses: addresses(line).ok_or(Invalid::Line)?,
        tlvs: Tlvs::default(),
        consumed: end.saturating_add(2),
    }))
}

fn addresses(line: &[u8]) -> Option<Addresses<'static>> {
    let mut parts = line.trim_ascii_end().split(|b| *b == b' ').skip(1);
    let addresses = match parts.next()? {
        // Whatever else the line says is not meant for us.
        b"UNKNOWN" => return Some(Addresses::Local),
        b"TCP4" => ends::<Ipv4Addr>(&mut parts)?,
        b"TCP6" => ends::<Ipv6Addr>(&mut parts)?,
        _ => return None,
    };
    parts.next().is_none().then_some(addresses)
}

fn ends<'l, T: FromStr + Into<IpAddr>>(
    parts: &mut impl Iterator<Item = &'l [u8]>,
) -> Option<Addresses<'static>> {
    let source: T = parse_text(parts.next()?)?;
    let destination: T = parse_text(parts.next()?)?;
    let source = SocketAddr::new(source.into(), parse_text(parts.next()?)?);
    let destination = SocketAddr::new(destination.into(), parse_text(parts.next()?)?);
    Some(Addresses::Ip {
        source,
        destination,
    })
}

fn parse_text<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
