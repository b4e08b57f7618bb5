//! OCSP responses to staple (RFC 6960 §4.2.1): what Envoy asks of one, and until when it holds.

use x509_parser::asn1_rs::{Any, Class, FromDer as _, Tag};
use x509_parser::time::ASN1Time;

use crate::resources::tls::OcspStaple;

/// `id-pkix-ocsp-basic` (1.3.6.1.5.5.7.48.1.1).
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// `responseStatus`: `successful`.
const SUCCESSFUL: &[u8] = &[0];

const MALFORMED: &str = "OCSP response is malformed";

/// Reads a response for the certificate with that serial number (the bytes of its INTEGER).
///
/// # Errors
/// What is wrong with it, in Envoy's words.
pub(super) fn read(bytes: &[u8], serial: &[u8]) -> Result<OcspStaple, &'static str> {
    let mut outer = bytes;
    let mut response = sequence(&mut outer).ok_or(MALFORMED)?;
    if !outer.is_empty() {
        return Err("Data contained more than a single OCSP response");
    }
    let status = tagged(&mut response, Tag::Enumerated).ok_or(MALFORMED)?;
    if status != SUCCESSFUL {
        return Err("OCSP response was unsuccessful");
    }
    if response.is_empty() {
        return Err("OCSP response has no body");
    }
    let basic = basic(response)?;
    let single = single_response(basic).ok_or(MALFORMED)??;
    if single.serial != serial {
        return Err("OCSP response does not match its TLS certificate");
    }
    Ok(OcspStaple {
        response: bytes.to_vec(),
        next_update: single.next_update,
    })
}

/// `BasicOCSPResponse` in `responseBytes`.
fn basic(mut response: &[u8]) -> Result<&[u8], &'static str> {
    let mut bytes = explicit(&mut response, 0).ok_or(MALFORMED)?;
    let mut bytes = sequence(&mut bytes).ok_or(MALFORMED)?;
    if tagged(&mut bytes, Tag::Oid).ok_or(MALFORMED)? != BASIC {
        return Err("Unknown OCSP Response type");
    }
    tagged(&mut bytes, Tag::OctetString).ok_or(MALFORMED)
}

struct Single<'a> {
    serial: &'a [u8],
    next_update: Option<i64>,
}

/// The one `SingleResponse` of `tbsResponseData`.
fn single_response(mut basic: &[u8]) -> Option<Result<Single<'_>, &'static str>> {
    let mut basic = sequence(&mut basic)?;
    let mut data = sequence(&mut basic)?;
    // `version`, which may be there, and `responderID`, are of no concern.
    let mut field = next(&mut data)?;
    if is_context(&field, 0) {
        field = next(&mut data)?;
    }
    if field.class() != Class::ContextSpecific {
        return None;
    }
    tagged(&mut data, Tag::GeneralizedTime)?; // producedAt
    let mut responses = sequence(&mut data)?;
    let mut single = sequence(&mut responses)?;
    if !responses.is_empty() {
        return Some(Err("OCSP Response must be for one certificate only"));
    }
    let mut id = sequence(&mut single)?;
    sequence(&mut id)?; // hashAlgorithm
    tagged(&mut id, Tag::OctetString)?; // issuerNameHash
    tagged(&mut id, Tag::OctetString)?; // issuerKeyHash
    let serial = tagged(&mut id, Tag::Integer)?;
    next(&mut single)?; // certStatus
    time(&mut single)?; // thisUpdate
    let next_update = match explicit(&mut single, 0) {
        Some(mut inner) => Some(time(&mut inner)?),
        None => None,
    };
    Some(Ok(Single {
        serial,
        next_update,
    }))
}

fn next<'a>(input: &mut &'a [u8]) -> Option<Any<'a>> {
    let (rest, any) = Any::from_der(input).ok()?;
    *input = rest;
    Some(any)
}

/// The content of the next element, which has that universal tag.
fn tagged<'a>(input: &mut &'a [u8], tag: Tag) -> Option<&'a [u8]> {
    let any = next(input)?;
    (any.class() == Class::Universal && any.tag() == tag).then_some(any.data)
}

fn sequence<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    tagged(input, Tag::Sequence)
}

fn is_context(any: &Any<'_>, number: u32) -> bool {
    any.class() == Class::ContextSpecific && any.tag() == Tag(number)
}

/// The content of the next element if it is `[number]`; nothing is taken otherwise.
fn explicit<'a>(input: &mut &'a [u8], number: u32) -> Option<&'a [u8]> {
    let (rest, any) = Any::from_der(input).ok()?;
    if !is_context(&any, number) {
        return None;
    }
    *input = rest;
    Some(any.data)
}

/// Seconds since 1970.
fn time(input: &mut &[u8]) -> Option<i64> {
    let (rest, time) = ASN1Time::from_der(input).ok()?;
    *input = rest;
    Some(time.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        let body = parts.concat();
        let mut out = vec![tag];
        match body.len() {
            len @ 0..128 => out.push(u8::try_from(len).unwrap()),
            len => out.extend([0x82, u8::try_from(len >> 8).unwrap(), (len & 0xff) as u8]),
        }
        out.extend(body);
        out
    }

    fn single(serial: &[u8], next_update: Option<&str>) -> Vec<u8> {
        let id = der(
            0x30,
            &[
                der(0x30, &[der(0x06, &[vec![0x2b, 0x0e, 3, 2, 0x1a]])]),
                der(0x04, &[vec![1; 20]]),
                der(0x04, &[vec![2; 20]]),
                der(0x02, &[serial.to_vec()]),
            ],
        );
        let time = |text: &str| der(0x18, &[text.as_bytes().to_vec()]);
        let mut parts = vec![id, der(0x80, &[]), time("20260101000000Z")];
        parts.extend(next_update.map(|text| der(0xa0, &[time(text)])));
        der(0x30, &parts)
    }

    fn response(singles: &[Vec<u8>], oid: &[u8]) -> Vec<u8> {
        let data = der(
            0x30,
            &[
                der(0xa1, &[der(0x30, &[])]),
                der(0x18, &[b"20260101000000Z".to_vec()]),
                der(0x30, singles),
            ],
        );
        let basic = der(0x30, &[data, der(0x30, &[]), der(0x03, &[vec![0]])]);
        let bytes = der(0x30, &[der(0x06, &[oid.to_vec()]), der(0x04, &[basic])]);
        der(0x30, &[der(0x0a, &[vec![0]]), der(0xa0, &[bytes])])
    }

    #[test]
    fn what_a_response_says() {
        let good = response(&[single(&[7], Some("20260108000000Z"))], BASIC);
        assert_eq!(read(&good, &[7]).unwrap().next_update, Some(1_767_830_400));
        let endless = response(&[single(&[7], None)], BASIC);
        assert_eq!(read(&endless, &[7]).unwrap().next_update, None);
        let two = response(&[single(&[7], None), single(&[8], None)], BASIC);
        let unsuccessful = der(0x30, &[der(0x0a, &[vec![3]])]);
        for (bytes, reason) in [
            (
                good.clone(),
                "OCSP response does not match its TLS certificate",
            ),
            (two, "OCSP Response must be for one certificate only"),
            (
                response(&[single(&[8], None)], &[0x2a]),
                "Unknown OCSP Response type",
            ),
            (unsuccessful, "OCSP response was unsuccessful"),
            (
                der(0x30, &[der(0x0a, &[vec![0]])]),
                "OCSP response has no body",
            ),
            (
                [&good[..], &good].concat(),
                "Data contained more than a single OCSP response",
            ),
            (vec![0x30, 5, 0], MALFORMED),
        ] {
            assert_eq!(read(&bytes, &[8]).map(|s| s.next_update), Err(reason));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(
            changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)
        ) {
            let mut bytes = response(&[single(&[7], Some("20260108000000Z"))], BASIC);
            for (at, byte) in changes {
                let at = at.checked_rem(bytes.len()).unwrap();
                bytes[at] = byte;
            }
            let _ = read(&bytes, &[7]);
        }
    }
}
