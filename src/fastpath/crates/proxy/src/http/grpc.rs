//! What gRPC says in HTTP's fields: statuses, messages, deadlines
//! (gRPC over HTTP/2, `doc/PROTOCOL-HTTP2.md`; details as in Envoy's `Grpc::Common`).

use proto::h1::BodyLength;
use proto::{HeaderMap, Known};

use super::decimal::decimal;
use super::stream::Stream;

pub const CONTENT_TYPE: &[u8] = b"application/grpc";

/// `DEADLINE_EXCEEDED`.
pub const DEADLINE_EXCEEDED: u64 = 4;

/// The most that `grpc-timeout` can say of a unit: 8 digits.
const MAX_TIMEOUT: u64 = 99_999_999;

/// Whether the content type is gRPC's: `application/grpc`, `application/grpc+proto` ... but not
/// `application/grpc-web`.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let rest = headers
        .get(Known::ContentType)
        .and_then(|value| value.strip_prefix(CONTENT_TYPE));
    matches!(rest, Some([] | [b'+', ..]))
}

/// gRPC's own table for responses that carry no `grpc-status`.
pub fn status_of_http(code: u16) -> u64 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// HTTP's status for the one in `grpc-status`; `None`: there is none.
pub fn http_status(headers: &HeaderMap) -> Option<u16> {
    headers.get(Known::GrpcStatus).filter(|v| !v.is_empty())?;
    Some(match status_of(headers) {
        Some(0) => 200,
        Some(1) => 499,
        Some(3 | 9 | 11) => 400,
        Some(4) => 504,
        Some(5) => 404,
        Some(6 | 10) => 409,
        Some(7) => 403,
        Some(8) => 429,
        Some(12) => 501,
        Some(14) => 503,
        Some(16) => 401,
        _ => 500,
    })
}

/// The number in `grpc-status`.
pub fn status_of(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(Known::GrpcStatus)?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Makes a reply of ours one that a gRPC client understands: 200, trailers only.
pub fn local_reply(s: &mut Stream, status: u16, body: &[u8]) {
    let head = &mut s.response;
    head.status = 200;
    head.body = BodyLength::None;
    head.headers.remove(Known::ContentLength);
    head.headers.set(Known::ContentType, CONTENT_TYPE);
    if !head.headers.contains(Known::GrpcStatus) {
        let mut digits = [0; 20];
        let status = decimal(&mut digits, status_of_http(status));
        head.headers.push_known(Known::GrpcStatus, status);
    }
    if !body.is_empty() && !s.is_head {
        let mut message = Vec::with_capacity(body.len());
        percent_encode(body, &mut message);
        head.headers.push_known(Known::GrpcMessage, &message);
    }
}

/// `grpc-message`: what is not printable ASCII, and `%`, as `%XX`.
pub fn percent_encode(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |n: u8| DIGITS.get(usize::from(n)).copied().unwrap_or(b'0');
    for byte in text {
        match byte {
            b'%' | ..b' ' | b'~'.. => out.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
            _ => out.push(*byte),
        }
    }
}

/// The same backwards; what is no such encoding stands for itself.
pub fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        let coded = (*byte == b'%')
            .then(|| Some((digit(behind.first())?, digit(behind.get(1))?)))
            .flatten()
            .and_then(|(high, low)| u8::try_from((high << 4) | low).ok());
        out.push(coded.unwrap_or(*byte));
        let used = if coded.is_some() { 2 } else { 0 };
        rest = behind.get(used..).unwrap_or_default();
    }
    out
}

/// Milliseconds of `grpc-timeout`, rounded up; `None` if it is absent or says nothing.
pub fn timeout_ms(headers: &HeaderMap) -> Option<u64> {
    let (unit, digits) = headers.get(Known::GrpcTimeout)?.split_last()?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if count > MAX_TIMEOUT {
        return None;
    }
    Some(match unit {
        b'H' => count.saturating_mul(3_600_000),
        b'M' => count.saturating_mul(60_000),
        b'S' => count.saturating_mul(1000),
        b'm' => count,
        b'u' => count.div_ceil(1000),
        b'n' => count.div_ceil(1_000_000),
        _ => return None,
    })
}

/// Sets `grpc-timeout`, in the finest unit that has room for it.
pub fn set_timeout(headers: &mut HeaderMap, ms: u64) {
    let finest = [(ms, b'm'), (ms / 1000, b'S'), (ms / 60_000, b'M')]
        .into_iter()
        .find(|(count, _)| *count <= MAX_TIMEOUT);
    let (count, unit) = finest.unwrap_or(((ms / 3_600_000).min(MAX_TIMEOUT), b'H'));
    let mut digits = [0; 20];
    let mut text = decimal(&mut digits, count).to_vec();
    text.push(unit);
    headers.set(Known::GrpcTimeout, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(known: Known, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        assert!(headers.push_known(known, value.as_bytes()));
        headers
    }

    #[test]
    fn content_types() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpc; charset=x", false),
            ("application/json", false),
        ] {
            assert_eq!(
                is_grpc(&with(Known::ContentType, value)),
                expected,
                "{value}"
            );
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn timeouts() {
        for (value, expected) in [
            ("1H", Some(3_600_000)),
            ("2M", Some(120_000)),
            ("3S", Some(3000)),
            ("4m", Some(4)),
            ("0m", Some(0)),
            ("5u", Some(1)),
            ("1000001n", Some(2)),
            ("99999999H", Some(359_999_996_400_000)),
            ("100000000m", None),
            ("99999999999999999999999m", None),
            ("m", None),
            ("1", None),
            ("-1m", None),
            ("1x", None),
        ] {
            assert_eq!(
                timeout_ms(&with(Known::GrpcTimeout, value)),
                expected,
                "{value}"
            );
        }
        assert_eq!(timeout_ms(&HeaderMap::new()), None);
    }

    #[test]
    fn timeouts_are_written_as_read() {
        for (ms, expected) in [
            (0, &b"0m"[..]),
            (99_999_999, b"99999999m"),
            (100_000_000, b"100000S"),
            (100_000_000_000, b"1666666M"),
            (u64::MAX, b"99999999H"),
        ] {
            let mut headers = HeaderMap::new();
            set_timeout(&mut headers, ms);
            assert_eq!(headers.get(Known::GrpcTimeout), Some(expected), "{ms}");
        }
    }

    #[test]
    fn messages_are_encoded() {
        let mut out = Vec::new();
        percent_encode("no & no\n%é~".as_bytes(), &mut out);
        assert_eq!(out, b"no & no%0A%25%C3%A9%7E");
        assert_eq!(percent_decode(&out), "no & no\n%é~".as_bytes());
        assert_eq!(percent_decode(b"100%, %4, %zz, %"), b"100%, %4, %zz, %");
    }

    #[test]
    fn statuses() {
        let expected = [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (429, 14),
            (503, 14),
            (200, 2),
        ];
        for (http, grpc) in expected {
            assert_eq!(status_of_http(http), grpc, "{http}");
        }
        assert_eq!(status_of(&with(Known::GrpcStatus, "5")), Some(5));
        assert_eq!(status_of(&with(Known::GrpcStatus, "x")), None);
    }
}
