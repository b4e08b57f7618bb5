//! Version 2: a binary header with addresses of a fixed length and TLVs after them.

use std::net::{IpAddr, SocketAddr};

use super::{Addresses, Header, Invalid, Version};
use crate::reader::Reader;

pub const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header: a 16-bit length follows the fixed part.
pub const MAX_V2: usize = FIXED + 65_535;
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
const TLV_HEADER: usize = 3;
/// `PP2_TYPE_CRC32C`.
const CRC32C: u8 = 0x03;
const UNIX_PATH: usize = 108;

/// One type-length-value of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'b> {
    pub kind: u8,
    pub value: &'b [u8],
}

/// The TLVs of a header, all of them within it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tlvs<'b>(&'b [u8]);

impl<'b> Tlvs<'b> {
    /// In their order; a type may come several times.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'b>> + use<'b> {
        let mut reader = Reader::new(self.0);
        std::iter::from_fn(move || read_tlv(&mut reader))
    }

    /// As they are on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &'b [u8] {
        self.0
    }

    fn check(bytes: &'b [u8]) -> Result<Self, Invalid> {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() {
            read_tlv(&mut reader).ok_or(Invalid::Tlv)?;
        }
        Ok(Self(bytes))
    }
}

fn read_tlv<'b>(reader: &mut Reader<'b>) -> Option<Tlv<'b>> {
    let kind = reader.u8()?;
    let value = reader.prefixed_u16()?;
    Some(Tlv { kind, value })
}

/// `bytes` starts with the signature. `None`: there is more to come. What is there is judged
/// before the rest has arrived.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header<'_>>, Invalid> {
    let mut reader = Reader::new(bytes.get(SIGNATURE.len()..).unwrap_or_default());
    let Some(version_command) = reader.u8() else {
        return Ok(None);
    };
    let is_local = is_local(version_command)?;
    let (Some(family), Some(length)) = (reader.u8(), reader.u16()) else {
        return Ok(None);
    };
    let form = if is_local {
        Form::Local
    } else {
        Form::of(family)?
    };
    if usize::from(length) < form.length() {
        return Err(Invalid::Length);
    }
    let Some(body) = reader.bytes(length.into()) else {
        return Ok(None);
    };
    let consumed = usize::from(length).saturating_add(FIXED);
    let mut body = Reader::new(body);
    let addresses = form.read(&mut body).ok_or(Invalid::Length)?;
    let tlvs = if is_local {
        // What a LOCAL header carries is to be skipped.
        Tlvs::default()
    } else {
        Tlvs::check(body.rest())?
    };
    check_sum(bytes.get(..consumed).unwrap_or(bytes), tlvs)?;
    Ok(Some(Header {
        version: Version::V2,
        addresses,
        tlvs,
        consumed,
    }))
}

fn is_local(version_command: u8) -> Result<bool, Invalid> {
    if version_command >> 4 != 2 {
        return Err(Invalid::Version);
    }
    match version_command & 0x0f {
        0 => Ok(true),
        1 => Ok(false),
        _ => Err(Invalid::Command),
    }
}

/// How addresses are laid out.
#[derive(Clone, Copy)]
enum Form {
    Local,
    Unspecified,
    Ip4,
    Ip6,
    Unix,
}

impl Form {
    /// Family in the upper nibble, transport (none, stream, datagram) in the lower one.
    fn of(byte: u8) -> Result<Self, Invalid> {
        match (byte >> 4, byte & 0x0f) {
            (0..=3, 3..) => Err(Invalid::Family),
            (0, _) | (1..=3, 0) => Ok(Self::Unspecified),
            (1, _) => Ok(Self::Ip4),
            (2, _) => Ok(Self::Ip6),
            (3, _) => Ok(Self::Unix),
            _ => Err(Invalid::Family),
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Local | Self::Unspecified => 0,
            Self::Ip4 => 12,
            Self::Ip6 => 36,
            Self::Unix => 216,
        }
    }

    fn read<'b>(self, body: &mut Reader<'b>) -> Option<Addresses<'b>> {
        Some(match self {
            Self::Local => Addresses::Local,
            Self::Unspecified => {
                // No family, no place where TLVs would start.
                body.bytes(body.rest().len())?;
                Addresses::Unspecified
            }
            Self::Ip4 => ends::<4>(body)?,
            Self::Ip6 => ends::<16>(body)?,
            Self::Unix => Addresses::Unix {
                source: path(body.bytes(UNIX_PATH)?),
                destination: path(body.bytes(UNIX_PATH)?),
            },
        })
    }
}

fn ends<'b, const N: usize>(body: &mut Reader<'b>) -> Option<Addresses<'b>>
where
    IpAddr: From<[u8; N]>,
{
    let source: [u8; N] = body.array()?;
    let destination: [u8; N] = body.array()?;
    Some(Addresses::Ip {
        source: SocketAddr::new(source.into(), body.u16()?),
        destination: SocketAddr::new(destination.into(), body.u16()?),
    })
}

fn path(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// The sum is that of the whole header with zeros in its own place.
fn check_sum(header: &[u8], tlvs: Tlvs<'_>) -> Result<(), Invalid> {
    let mut ahead = 0_usize;
    for tlv in tlvs.iter() {
        ahead = ahead.saturating_add(TLV_HEADER);
        if tlv.kind == CRC32C {
            let stated = <[u8; 4]>::try_from(tlv.value).map_err(|_| Invalid::Checksum)?;
            let tlvs_at = header.len().saturating_sub(tlvs.0.len());
            let value_at = tlvs_at.saturating_add(ahead);
            let before = header.get(..value_at).unwrap_or_default();
            let after = header.get(value_at.saturating_add(4)..).unwrap_or_default();
            let sum = crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]);
            let sum = crc32c::crc32c_append(sum, after);
            return if sum == u32::from_be_bytes(stated) {
                Ok(())
            } else {
                Err(Invalid::Checksum)
            };
        }
        ahead = ahead.saturating_add(tlv.value.len());
    }
    Ok(())
}
