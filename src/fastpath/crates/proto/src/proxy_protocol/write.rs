//! Headers for the proxy behind us.

use std::net::{IpAddr, SocketAddr};

use super::v2::{SIGNATURE, Tlv};

/// PROXY and LOCAL of version 2; stream transport over IPv4 and IPv6.
const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// How many TLVs had no room in the 16 bits of the header's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Skipped(pub usize);

/// Version 1. Addresses of two families are both written as IPv6.
pub fn write_v1(source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
    let (from, to) = one_family(source.ip(), destination.ip());
    let protocol = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from_port, to_port) = (source.port(), destination.port());
    let line = format!("PROXY {protocol} {from} {to} {from_port} {to_port}\r\n");
    out.extend_from_slice(line.as_bytes());
}

/// Version 2 of a TCP connection. TLVs that do not fit are left out: a length that wrapped would
/// let a client's TLV pass for the start of the connection (CVE-2026-47692).
pub fn write_v2<'t>(
    source: SocketAddr,
    destination: SocketAddr,
    tlvs: impl IntoIterator<Item = Tlv<'t>>,
    out: &mut Vec<u8>,
) -> Skipped {
    out.extend_from_slice(SIGNATURE);
    let (from, to) = one_family(source.ip(), destination.ip());
    out.extend_from_slice(&[PROXY, if from.is_ipv4() { TCP4 } else { TCP6 }]);
    let length_at = out.len();
    out.extend_from_slice(&[0, 0]);
    for ip in [from, to] {
        match ip {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    let mut length: u16 = if from.is_ipv4() { 12 } else { 36 };
    let mut skipped = 0_usize;
    for tlv in tlvs {
        match room_for(tlv, length) {
            Some((size, longer)) => {
                out.push(tlv.kind);
                out.extend_from_slice(&size.to_be_bytes());
                out.extend_from_slice(tlv.value);
                length = longer;
            }
            None => skipped = skipped.saturating_add(1),
        }
    }
    if let Some(field) = out.get_mut(length_at..).and_then(<[u8]>::first_chunk_mut) {
        *field = length.to_be_bytes();
    }
    Skipped(skipped)
}

/// Version 2 that speaks for itself: for connections of our own, as health checks.
pub fn write_v2_local(out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[LOCAL, 0, 0, 0]);
}

/// The value's length and that of the header with it.
fn room_for(tlv: Tlv<'_>, length: u16) -> Option<(u16, u16)> {
    let size = u16::try_from(tlv.value.len()).ok()?;
    let longer = length.checked_add(3)?.checked_add(size)?;
    Some((size, longer))
}

fn one_family(source: IpAddr, destination: IpAddr) -> (IpAddr, IpAddr) {
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
        IpAddr::V6(_) => ip,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}
