//! What we read out of a certificate besides what webpki checks, in the words Envoy prints.

use std::fmt::Write as _;
use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_X509_COMMON_NAME, OID_X509_EXT_SUBJECT_ALT_NAME,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::certificate::KeyKind;
use crate::peer::Sans;

pub(crate) struct Facts {
    pub(crate) subject: Box<str>,
    pub(crate) issuer: Box<str>,
    pub(crate) common_name: Option<Box<str>>,
    pub(crate) has_san_extension: bool,
    pub(crate) sans: Sans,
    pub(crate) serial: Box<str>,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) key: KeyKind,
    /// The certificate is not to be taken without an OCSP response (RFC 7633).
    pub(crate) must_staple: bool,
}

/// `id-pe-tlsfeature` (1.3.6.1.5.5.7.1.24).
const TLS_FEATURE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18];
/// The number of the extension `status_request`.
const STATUS_REQUEST: &[u8] = &[5];

pub(crate) fn read(der: &[u8]) -> Result<Facts, String> {
    let certificate = parse(der)?;
    let mut sans = Names::default();
    visit_sans(&certificate, &mut |san| sans.add(san));
    Ok(Facts {
        subject: rfc2253(certificate.subject()),
        issuer: rfc2253(certificate.issuer()),
        common_name: common_name(certificate.subject()),
        has_san_extension: has_sans(&certificate),
        sans: sans.finish(),
        serial: serial(certificate.raw_serial()),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        key: key_kind(&certificate),
        must_staple: must_staple(&certificate),
    })
}

pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("there are bytes after it".into()),
        Err(why) => Err(why.to_string()),
    }
}

/// A subject alternative name as matchers see it.
pub(crate) enum San<'a> {
    Dns(&'a [u8]),
    Uri(&'a [u8]),
    Email(&'a [u8]),
    Ip(String),
    /// Object identifier, and the value as text.
    Other(String, Vec<u8>),
}

/// Calls `visit` for each name, in the certificate's order.
pub(crate) fn visit_sans(certificate: &X509Certificate<'_>, visit: &mut dyn FnMut(San<'_>)) {
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else {
            continue;
        };
        for name in &names.general_names {
            match name {
                GeneralName::DNSName(name) => visit(San::Dns(name.as_bytes())),
                GeneralName::URI(name) => visit(San::Uri(name.as_bytes())),
                GeneralName::RFC822Name(name) => visit(San::Email(name.as_bytes())),
                GeneralName::IPAddress(bytes) => {
                    if let Some(ip) = ip(bytes) {
                        visit(San::Ip(ip.to_string()));
                    }
                }
                GeneralName::OtherName(oid, value) => {
                    visit(San::Other(oid.to_id_string(), other_name(value)));
                }
                // Names that Envoy has no matcher for, and bytes that are no text.
                _ => {}
            }
        }
    }
}

/// Whether a key may sign (RFC 5280 §4.2.1.3): yes without the extension.
pub(crate) fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    match certificate.key_usage() {
        Ok(Some(usage)) => usage.value.digital_signature(),
        Ok(None) => true,
        Err(_) => false,
    }
}

fn must_staple(certificate: &X509Certificate<'_>) -> bool {
    let mut extensions = certificate.extensions().iter();
    let Some(feature) = extensions.find(|extension| extension.oid.as_bytes() == TLS_FEATURE) else {
        return false;
    };
    let Ok((_, list)) = Any::from_der(feature.value) else {
        return false;
    };
    let mut rest = list.data;
    while let Ok((next, number)) = Any::from_der(rest) {
        if number.data == STATUS_REQUEST {
            return true;
        }
        rest = next;
    }
    false
}

fn has_sans(certificate: &X509Certificate<'_>) -> bool {
    certificate
        .extensions()
        .iter()
        .any(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME)
}

#[derive(Default)]
struct Names {
    dns: Vec<Box<str>>,
    uri: Vec<Box<str>>,
    email: Vec<Box<str>>,
    ip: Vec<Box<str>>,
    other: Vec<Box<str>>,
}

impl Names {
    fn add(&mut self, san: San<'_>) {
        let (list, text) = match san {
            San::Dns(text) => (&mut self.dns, String::from_utf8_lossy(text)),
            San::Uri(text) => (&mut self.uri, String::from_utf8_lossy(text)),
            San::Email(text) => (&mut self.email, String::from_utf8_lossy(text)),
            San::Ip(text) => (&mut self.ip, text.into()),
            San::Other(_, ref text) => (&mut self.other, String::from_utf8_lossy(text)),
        };
        list.push(text.into());
    }

    fn finish(self) -> Sans {
        Sans {
            dns: self.dns.into(),
            uri: self.uri.into(),
            email: self.email.into(),
            ip: self.ip.into(),
            other: self.other.into(),
        }
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(bytes.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// The value of `[0] EXPLICIT ANY` as Envoy's matcher sees it (`generalNameAsString`).
fn other_name(value: &[u8]) -> Vec<u8> {
    // x509-parser may or may not have taken the explicit tag off.
    let Ok((_, any)) = Any::from_der(value) else {
        return Vec::new();
    };
    let any = if any.class() == x509_parser::asn1_rs::Class::ContextSpecific {
        match Any::from_der(any.data) {
            Ok((_, inner)) => inner,
            Err(_) => return Vec::new(),
        }
    } else {
        any
    };
    any_text(&any)
}

fn any_text(any: &Any<'_>) -> Vec<u8> {
    match any.tag() {
        Tag::Null => Vec::new(),
        Tag::Boolean => match any.data {
            [0] => b"false".to_vec(),
            _ => b"true".to_vec(),
        },
        Tag::Integer | Tag::Enumerated if any.data.len() > MAX_INTEGER => Vec::new(),
        Tag::Integer | Tag::Enumerated => decimal(any.data).into_bytes(),
        Tag::Oid => match any.clone().oid() {
            Ok(oid) => oid.to_id_string().into_bytes(),
            Err(_) => Vec::new(),
        },
        Tag::BmpString => utf16(any.data).into_bytes(),
        Tag::UniversalString => utf32(any.data).into_bytes(),
        // The first byte says how many bits of the last are unused.
        Tag::BitString => any.data.get(1..).unwrap_or_default().to_vec(),
        _ => any.data.to_vec(),
    }
}

/// Longer integers in names have no text: digits cost the square of the length, and a peer that
/// nobody vouches for chooses it (RFC 5280 §4.1.2.2 has 20 bytes for the longest that it knows).
const MAX_INTEGER: usize = 32;

/// Two's complement to decimal digits.
fn decimal(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let mut magnitude: Vec<u8> = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            let (value, overflow) = (!*byte).overflowing_add(u8::from(carry));
            *byte = value;
            carry = overflow;
        }
    }
    // Digits, least significant first.
    let mut digits: Vec<u8> = vec![0];
    for byte in magnitude {
        let mut carry = u16::from(byte);
        for digit in &mut digits {
            let value = u16::from(*digit).saturating_mul(256).saturating_add(carry);
            *digit = u8::try_from(value % 10).unwrap_or_default();
            carry = value / 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).unwrap_or_default());
            carry /= 10;
        }
    }
    let mut text = String::from(if negative { "-" } else { "" });
    text.extend(
        digits
            .iter()
            .rev()
            .map(|digit| char::from(digit.saturating_add(b'0'))),
    );
    text
}

fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| match *pair {
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    });
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn utf32(bytes: &[u8]) -> String {
    bytes
        .chunks_exact(4)
        .map(|four| match *four {
            [a, b, c, d] => char::from_u32(u32::from_be_bytes([a, b, c, d])),
            _ => None,
        })
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// As `BN_bn2hex` of BoringSSL: lower-case pairs without leading zeros.
fn serial(bytes: &[u8]) -> Box<str> {
    let start = bytes.iter().position(|byte| *byte != 0);
    match start.and_then(|start| bytes.get(start..)) {
        Some(bytes) => data_encoding::HEXLOWER.encode(bytes).into(),
        None => "0".into(),
    }
}

fn key_kind(certificate: &X509Certificate<'_>) -> KeyKind {
    let algorithm = &certificate.public_key().algorithm;
    if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return KeyKind::Other;
    }
    let curve = algorithm
        .parameters
        .as_ref()
        .and_then(|any| any.as_oid().ok());
    match curve {
        Some(oid) if oid == OID_EC_P256 => KeyKind::P256,
        Some(oid) if oid == OID_NIST_EC_P384 => KeyKind::P384,
        Some(oid) if oid == OID_NIST_EC_P521 => KeyKind::P521,
        _ => KeyKind::Other,
    }
}

fn common_name(name: &X509Name<'_>) -> Option<Box<str>> {
    let value = name.iter_by_oid(&OID_X509_COMMON_NAME).next()?;
    let text = attribute_text(value)?;
    (!text.is_empty()).then(|| text.into())
}

/// RFC 2253 as OpenSSL prints it (`XN_FLAG_RFC2253`): last first, within a part of several too,
/// bytes above ASCII escaped.
pub(crate) fn rfc2253(name: &X509Name<'_>) -> Box<str> {
    let mut text = String::new();
    let names: Vec<_> = name.iter_rdn().collect();
    for name in names.into_iter().rev() {
        if !text.is_empty() {
            text.push(',');
        }
        let attributes: Vec<_> = name.iter().collect();
        for (index, attribute) in attributes.into_iter().rev().enumerate() {
            if index > 0 {
                text.push('+');
            }
            attribute_2253(attribute, &mut text);
        }
    }
    text.into()
}

fn attribute_2253(attribute: &AttributeTypeAndValue<'_>, text: &mut String) {
    let oid = attribute.attr_type().to_id_string();
    let known = short_name(&oid);
    text.push_str(known.unwrap_or(&oid));
    text.push('=');
    match (known, attribute_text(attribute)) {
        (Some(_), Some(value)) => escape(&value, text),
        // RFC 2253 §2.4: the DER in hexadecimal.
        _ => {
            text.push('#');
            let value = attribute.attr_value();
            text.push_str(&data_encoding::HEXUPPER.encode(&der(value)));
        }
    }
}

fn attribute_text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => Some(String::from_utf8_lossy(value.data).into_owned()),
        // In practice Latin-1.
        Tag::T61String => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => Some(utf16(value.data)),
        Tag::UniversalString => Some(utf32(value.data)),
        _ => None,
    }
}

/// The value with its header; the lengths of names fit a short or two-byte form.
fn der(value: &Any<'_>) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(value.tag().0).unwrap_or_default()];
    match u8::try_from(value.data.len()) {
        Ok(len @ 0..0x80) => bytes.push(len),
        Ok(len) => bytes.extend([0x81, len]),
        Err(_) => {
            let [high, low] = u16::try_from(value.data.len())
                .unwrap_or_default()
                .to_be_bytes();
            bytes.extend([0x82, high, low]);
        }
    }
    bytes.extend_from_slice(value.data);
    bytes
}

fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (index, byte) in value.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b'#' if index == 0 => text.push_str("\\#"),
            b' ' if index == 0 || index == last => text.push_str("\\ "),
            0..0x20 | 0x7f.. => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\{byte:02X}");
            }
            _ => text.push(char::from(byte)),
        }
    }
}

/// OpenSSL's short names of the attributes that names are made of.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.45" => "x500UniqueIdentifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[0] EXPLICIT INTEGER` of so many bytes.
    fn integer(first: u8, len: usize) -> Vec<u8> {
        let mut content = vec![0x11; len];
        content[0] = first;
        let header = |tag: u8, len: usize| {
            let [high, low] = u16::try_from(len).unwrap().to_be_bytes();
            vec![tag, 0x82, high, low]
        };
        let inner = [header(2, content.len()), content].concat();
        [header(0xa0, inner.len()), inner].concat()
    }

    #[test]
    fn integers_in_names() {
        assert_eq!(other_name(&integer(0x00, 1)), b"0");
        assert_eq!(other_name(&integer(0x7f, 1)), b"127");
        assert_eq!(other_name(&integer(0xff, 1)), b"-1");
        assert_eq!(other_name(&integer(0x01, 2)), b"273");
        assert_eq!(other_name(&integer(0x7f, MAX_INTEGER)).len(), 77);
        // A worker would be at the digits of these for seconds.
        assert_eq!(other_name(&integer(0x01, MAX_INTEGER + 1)), b"");
        assert_eq!(other_name(&integer(0x01, 60_000)), b"");
    }
}
