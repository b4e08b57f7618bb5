//! JA3 and JA4: what a client's TLS looks like, whoever it says it is.

use std::fmt::{self, Write};

use md5::{Digest, Md5};
use sha2::Sha256;

use super::ClientHello;
use super::message::{ALPN, SERVER_NAME, is_grease};
use crate::reader::{Reader, u16s};

const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
/// Hexadecimal digits of a hash in JA4.
const JA4_DIGITS: usize = 12;

impl ClientHello<'_> {
    /// JA3: MD5, in hexadecimal, of `version,ciphers,extensions,groups,point formats` in decimal.
    /// As in Envoy GREASE is left out of ciphers and extensions only.
    #[must_use]
    pub fn ja3(&self) -> String {
        hex(&Md5::digest(self.ja3_text()))
    }

    fn ja3_text(&self) -> String {
        let mut text = format!("{},", self.version);
        let ciphers = u16s(self.cipher_suites).filter(|id| !is_grease(*id));
        join(&mut text, '-', ciphers, |id, out| write!(out, "{id}"));
        text.push(',');
        let types = self.extension_types().filter(|kind| !is_grease(*kind));
        join(&mut text, '-', types, |id, out| write!(out, "{id}"));
        text.push(',');
        let groups = self.extension(SUPPORTED_GROUPS).and_then(|b| b.get(2..));
        let groups = u16s(groups.unwrap_or_default());
        join(&mut text, '-', groups, |id, out| write!(out, "{id}"));
        text.push(',');
        let formats = self.extension(EC_POINT_FORMATS).and_then(|b| b.get(1..));
        let formats = formats.unwrap_or_default().iter();
        join(&mut text, '-', formats, |id, out| write!(out, "{id}"));
        text
    }

    /// JA4 of TLS over TCP: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    #[must_use]
    pub fn ja4(&self) -> String {
        let mut ciphers: Vec<u16> = u16s(self.cipher_suites)
            .filter(|id| !is_grease(*id))
            .collect();
        let mut types: Vec<u16> = self
            .extension_types()
            .filter(|kind| !is_grease(*kind))
            .collect();
        let has_name = types.contains(&SERVER_NAME);
        let extension_count = types.len().min(99);
        types.retain(|kind| *kind != SERVER_NAME && *kind != ALPN);
        ciphers.sort_unstable();
        types.sort_unstable();
        format!(
            "t{}{}{:02}{extension_count:02}{}_{}_{}",
            self.ja4_version(),
            if has_name { 'd' } else { 'i' },
            ciphers.len().min(99),
            self.ja4_alpn(),
            short_hash(&ciphers, &[]),
            short_hash(&types, &self.signature_algorithms()),
        )
    }

    fn ja4_version(&self) -> &'static str {
        match self.versions().max().unwrap_or(self.version) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            _ => "00",
        }
    }

    /// First and last character of the first protocol, or a digit of each where they are none.
    fn ja4_alpn(&self) -> String {
        let first_protocol = self
            .extension(ALPN)
            .and_then(|body| Reader::new(body.get(2..)?).prefixed_u8());
        let Some([first, .., last] | [first @ last]) = first_protocol else {
            return "00".into();
        };
        if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            return [char::from(*first), char::from(*last)].iter().collect();
        }
        format!("{:x}{:x}", first >> 4, last & 0x0f)
    }

    fn signature_algorithms(&self) -> Vec<u16> {
        let body = self.extension(SIGNATURE_ALGORITHMS);
        u16s(body.and_then(|b| b.get(2..)).unwrap_or_default()).collect()
    }
}

/// The first digits of the SHA-256 of two lists in hexadecimal; zeros where the first is empty.
fn short_hash(list: &[u16], more: &[u16]) -> String {
    if list.is_empty() {
        return "0".repeat(JA4_DIGITS);
    }
    let mut text = String::new();
    join(&mut text, ',', list.iter(), |id, out| {
        write!(out, "{id:04x}")
    });
    if !more.is_empty() {
        text.push('_');
        join(&mut text, ',', more.iter(), |id, out| {
            write!(out, "{id:04x}")
        });
    }
    let mut hash = hex(&Sha256::digest(text));
    hash.truncate(JA4_DIGITS);
    hash
}

/// Items with a separator between them. Writing to a text cannot fail.
fn join<T>(
    out: &mut String,
    separator: char,
    items: impl Iterator<Item = T>,
    write: impl Fn(T, &mut String) -> fmt::Result,
) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(separator);
        }
        let _: fmt::Result = write(item, out);
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        let _: fmt::Result = write!(text, "{byte:02x}");
    }
    text
}
