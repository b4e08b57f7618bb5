//! Request heads from tables: what must be refused, what must be taken, at every split point.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proto::Known;
use proto::h1::{
    BodyLength, HeadError, HeadLimits, HeadReader, Method, RequestHead, RequestPolicy, Scheme,
    Underscores, Version,
};

type Outcome = Result<Option<usize>, HeadError>;

fn read(raw: &[u8], policy: &RequestPolicy) -> (Outcome, RequestHead) {
    let mut head = RequestHead::new();
    let outcome = HeadReader::new().read_request(raw, &HeadLimits::default(), policy, &mut head);
    (outcome, head)
}

/// Feeds growing prefixes that end at `cuts`, then everything.
fn read_cut(
    raw: &[u8],
    cuts: impl Iterator<Item = usize>,
    policy: &RequestPolicy,
) -> (Outcome, RequestHead) {
    let mut head = RequestHead::new();
    let mut reader = HeadReader::new();
    for cut in cuts.chain([raw.len()]) {
        match reader.read_request(&raw[..cut], &HeadLimits::default(), policy, &mut head) {
            Ok(None) => {}
            outcome => return (outcome, head),
        }
    }
    (Ok(None), head)
}

fn same_at_every_split(raw: &[u8], policy: &RequestPolicy) {
    let (whole, whole_head) = read(raw, policy);
    let name = String::from_utf8_lossy(raw);
    for cut in 0..raw.len() {
        let (outcome, head) = read_cut(raw, [cut].into_iter(), policy);
        assert_eq!(outcome, whole, "cut at {cut}: {name}");
        assert_eq!(head.headers, whole_head.headers, "cut at {cut}: {name}");
    }
    let (outcome, head) = read_cut(raw, 0..raw.len(), policy);
    assert_eq!(outcome, whole, "byte by byte: {name}");
    assert_eq!(head.headers, whole_head.headers);
    assert_eq!(
        (head.path(), head.body, head.keep_alive),
        (whole_head.path(), whole_head.body, whole_head.keep_alive)
    );
}

/// Raw request (CRLF CRLF is there unless the case is about that), status.
fn must_reject() -> Vec<(Vec<u8>, HeadError)> {
    use HeadError as E;
    let line = |line: &str, e: E| (format!("{line}\r\nHost: a\r\n\r\n").into_bytes(), e);
    let field = |field: &str, e: E| {
        (
            format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n").into_bytes(),
            e,
        )
    };
    let host = |host: &str, e: E| {
        (
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
            e,
        )
    };
    let raw = |raw: &str, e: E| (raw.as_bytes().to_vec(), e);
    vec![
        // Content-Length
        field(
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            E::LengthAndTransferEncoding,
        ),
        field(
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            E::LengthAndTransferEncoding,
        ),
        field("Content-Length: 5\r\nContent-Length: 5", E::ContentLength),
        field("Content-Length: 5\r\nContent-Length: 6", E::ContentLength),
        field("Content-Length: 5, 5", E::ContentLength),
        field("Content-Length: +5", E::ContentLength),
        field("Content-Length: -5", E::ContentLength),
        field("Content-Length: 0x5", E::ContentLength),
        field("Content-Length: 5 5", E::ContentLength),
        field("Content-Length: 5a", E::ContentLength),
        field("Content-Length: 5.0", E::ContentLength),
        field("Content-Length:", E::ContentLength),
        field("Content-Length: \t", E::ContentLength),
        field("Content-Length: 18446744073709551616", E::ContentLength),
        field("Content-Length: 99999999999999999999999", E::ContentLength),
        field("Content-Length: \u{665}", E::ContentLength),
        field("Content-Length: \"5\"", E::ContentLength),
        // Transfer-Encoding
        field("Transfer-Encoding: xchunked", E::TransferEncoding),
        field("Transfer-Encoding: gzip, chunked", E::TransferEncoding),
        field("Transfer-Encoding: chunked, gzip", E::TransferEncoding),
        field("Transfer-Encoding: chunked, chunked", E::TransferEncoding),
        field(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            E::TransferEncoding,
        ),
        field(
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            E::TransferEncoding,
        ),
        field("Transfer-Encoding: identity", E::TransferEncoding),
        field("Transfer-Encoding:", E::TransferEncoding),
        field("Transfer-Encoding: chunked;q=1", E::TransferEncoding),
        field("Transfer-Encoding: \"chunked\"", E::TransferEncoding),
        field("Transfer-Encoding: chunked,", E::TransferEncoding),
        field("Transfer-Encoding: ,chunked", E::TransferEncoding),
        field("Transfer-Encoding: \x0bchunked", E::FieldValue),
        field("Transfer-Encoding: \u{212a}", E::TransferEncoding),
        // Names
        field("Transfer-Encoding : chunked", E::SpaceBeforeColon),
        field("Content-Length\t: 5", E::SpaceBeforeColon),
        field("X Y: 1", E::SpaceBeforeColon),
        field(": value", E::EmptyFieldName),
        field("NoColon", E::FieldName),
        field("X(Y): 1", E::FieldName),
        field("X\u{e9}: 1", E::FieldName),
        field("X\0Y: 1", E::FieldName),
        field("X\"Y: 1", E::FieldName),
        field("X/Y: 1", E::FieldName),
        field("\x0bX: 1", E::FieldName),
        field("\x7fX: 1", E::FieldName),
        field("transfer_encoding: chunked", E::FramingLookalike),
        field("Transfer_Encoding: chunked", E::FramingLookalike),
        field("CONTENT_LENGTH: 5", E::FramingLookalike),
        field("keep_alive: 1", E::FramingLookalike),
        field("Proxy_Connection: close", E::FramingLookalike),
        // Values
        field("X: a\0b", E::FieldValue),
        field("X: \x01", E::FieldValue),
        field("X: \x7f", E::FieldValue),
        field("X: a\x0bb", E::FieldValue),
        field("X: \x1b[31m", E::FieldValue),
        // Line ends
        field("X: a\r\n folded", E::ObsFold),
        field("X: a\r\n\tfolded", E::ObsFold),
        field("X: a\r\n ", E::ObsFold),
        field("X: a\rb", E::BareCr),
        field("X: a\r\rb", E::BareCr),
        field("X: a\nY: b", E::BareLf),
        field("X: a\n", E::BareLf),
        field("X\r: a", E::BareCr),
        field("X\n: a", E::BareLf),
        raw("GET / HTTP/1.1\nHost: a\n\n", E::BareLf),
        raw("GET / HTTP/1.1\r\nHost: a\n\r\n", E::BareLf),
        raw("GET / HTTP/1.1\r\nHost: a\r\n\n", E::BareLf),
        raw("GET / HTTP/1.1\r\n Host: a\r\n\r\n", E::ObsFold),
        raw("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", E::BareCr),
        raw("GET /\rX HTTP/1.1\r\nHost: a\r\n\r\n", E::Target),
        raw("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", E::RequestLine),
        raw("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", E::BareLf),
        raw("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", E::BareCr),
        raw(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", E::MethodNotToken),
        // Host
        raw("GET / HTTP/1.1\r\n\r\n", E::MissingHost),
        raw("GET / HTTP/1.1\r\nX: y\r\n\r\n", E::MissingHost),
        raw("GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n", E::MissingHost),
        field("Host: b", E::MultipleHosts),
        field("Host: a", E::MultipleHosts),
        field("hOST: b", E::MultipleHosts),
        host("", E::MissingHost),
        host("a b", E::Host),
        host("a,b", E::Host),
        host("a, b", E::Host),
        host("user@a", E::Host),
        host("a/b", E::Host),
        host("a?b", E::Host),
        host("a#b", E::Host),
        host("a\\b", E::Host),
        host("a:b", E::Host),
        host("a:99999", E::Host),
        host("a:1:2", E::Host),
        host(":80", E::Host),
        host("http://a", E::Host),
        host("[::1", E::Host),
        host("\u{e9}.example", E::Host),
        host("a\tb", E::Host),
        host("a<b>", E::Host),
        // Request line
        line("GET  / HTTP/1.1", E::Target),
        line("GET /  HTTP/1.1", E::Target),
        line("GET\t/ HTTP/1.1", E::MethodNotToken),
        line("GET /\tHTTP/1.1", E::RequestLine),
        line("GET / HTTP/1.1 ", E::Version),
        line("GET / a HTTP/1.1", E::Target),
        line("GET /", E::RequestLine),
        line("GET", E::RequestLine),
        line("GET HTTP/1.1", E::RequestLine),
        line("GET  HTTP/1.1", E::Target),
        line("/ HTTP/1.1", E::MethodNotToken),
        line("get / HTTP/1.1", E::UnknownMethod),
        line("FOO / HTTP/1.1", E::UnknownMethod),
        line("G@T / HTTP/1.1", E::MethodNotToken),
        line("GET\0 / HTTP/1.1", E::MethodNotToken),
        line("PRI * HTTP/2.0", E::UnknownMethod),
        line("GET / http/1.1", E::Version),
        line("GET / Http/1.1", E::Version),
        line("GET / HTTP/1.", E::Version),
        line("GET / HTTP/1", E::Version),
        line("GET / HTTP/11", E::Version),
        line("GET / HTTP/1.10", E::Version),
        line("GET / HTTP/01.1", E::Version),
        line("GET / HTTP/ 1.1", E::Version),
        line("GET / HTTPS/1.1", E::Version),
        line("GET / XTTP/1.1", E::Version),
        line("GET / HTTP/1,1", E::Version),
        line("GET / HTTP/2.0", E::VersionNotSupported),
        line("GET / HTTP/1.2", E::VersionNotSupported),
        line("GET / HTTP/0.9", E::VersionNotSupported),
        line("GET / HTTP/1.0", E::Http10Refused),
        // Targets
        line("GET a HTTP/1.1", E::Target),
        line("GET * HTTP/1.1", E::Target),
        line("GET ?q HTTP/1.1", E::Target),
        line("OPTIONS *a HTTP/1.1", E::Target),
        line("GET /#fragment HTTP/1.1", E::Target),
        line("GET /\u{e9} HTTP/1.1", E::Target),
        line("GET /\0 HTTP/1.1", E::Target),
        line("GET /\x0c HTTP/1.1", E::Target),
        line("GET /\x7f HTTP/1.1", E::Target),
        line("GET http:// HTTP/1.1", E::Target),
        line("GET http:///p HTTP/1.1", E::Target),
        line("GET http:/a HTTP/1.1", E::Target),
        line("GET http://u@a/ HTTP/1.1", E::Target),
        line("GET http://a,b/ HTTP/1.1", E::Target),
        line("GET http://a:1000000 HTTP/1.1", E::Target),
        line("GET http://a#f HTTP/1.1", E::Target),
        line("GET ftp://a/ HTTP/1.1", E::Scheme),
        line("CONNECT / HTTP/1.1", E::Target),
        line("CONNECT a HTTP/1.1", E::Target),
        line("CONNECT a: HTTP/1.1", E::Target),
        line("CONNECT http://a:1/ HTTP/1.1", E::Target),
        line("CONNECT u@a:1 HTTP/1.1", E::Target),
        // CONNECT has no body; Connection must not nominate away
        raw(
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            E::BodyNotAllowed,
        ),
        raw(
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::TransferEncoding,
        ),
        field(
            "Connection: close, X-Forwarded-For",
            E::ConnectionNominations,
        ),
        field("Connection: x-forwarded-host", E::ConnectionNominations),
        field("Connection: :path", E::ConnectionNominations),
        field("Connection: a,b,c,d,e,f,g,h,i,j", E::ConnectionNominations),
        // Not HTTP at all
        raw("\x16\x03\x01\x02\0\x01\0\r\n\r\n", E::MethodNotToken),
        raw("{\"a\": 1}\r\n\r\n", E::MethodNotToken),
        raw("SSH-2.0-OpenSSH_9.6\r\n", E::RequestLine),
    ]
}

#[test]
fn refuses() {
    let cases = must_reject();
    assert!(cases.len() >= 75, "{}", cases.len());
    for (raw, error) in cases {
        let (outcome, _) = read(&raw, &RequestPolicy::default());
        assert_eq!(outcome, Err(error), "{}", String::from_utf8_lossy(&raw));
        same_at_every_split(&raw, &RequestPolicy::default());
        assert!(
            (400..=505).contains(&error.status())
                && !error.details().is_empty()
                && !error.to_string().is_empty()
        );
    }
}

#[test]
fn answers_as_envoy_where_envoy_refuses() {
    for (error, status, details) in [
        (
            HeadError::TransferEncoding,
            501,
            "http1.invalid_transfer_encoding",
        ),
        (HeadError::Http10Refused, 426, "low_version"),
        (HeadError::HeadTooLarge, 431, "http1.headers_too_large"),
        (HeadError::TooManyHeaders, 431, "http1.too_many_headers"),
        (HeadError::MissingHost, 400, "missing_host_header"),
        (HeadError::Target, 400, "http1.invalid_url"),
        (HeadError::VersionNotSupported, 505, "http1.codec_error"),
    ] {
        assert_eq!((error.status(), error.details()), (status, details));
    }
}

#[test]
fn takes() {
    let cases: &[(&str, &str, &str, BodyLength, bool)] = &[
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "GET /p?q=%20&r HTTP/1.1\r\nhost:a:80\r\n\r\n",
            "/p?q=%20&r",
            "a:80",
            BodyLength::None,
            true,
        ),
        (
            "GET //x/../y;z HTTP/1.1\r\nHost:\t[::1]:8080 \r\n\r\n",
            "//x/../y;z",
            "[::1]:8080",
            BodyLength::None,
            true,
        ),
        (
            "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
            "/%00",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "GET /{}|\\^\"<>` HTTP/1.1\r\nHost: a\r\n\r\n",
            "/{}|\\^\"<>`",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            "/",
            "a",
            BodyLength::Length(5),
            true,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005 \r\n\r\n",
            "/",
            "a",
            BodyLength::Length(5),
            true,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n",
            "/",
            "a",
            BodyLength::Length(u64::MAX),
            true,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
            "/",
            "a",
            BodyLength::Chunked,
            true,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            false,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "*",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n",
            "*",
            "b",
            BodyLength::None,
            true,
        ),
        (
            "OPTIONS http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "/",
            "b",
            BodyLength::None,
            true,
        ),
        (
            "GET http://b.example:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n",
            "/p?q",
            "b.example:81",
            BodyLength::None,
            true,
        ),
        (
            "GET HTTPS://b?q HTTP/1.1\r\nHost: a\r\n\r\n",
            "/?q",
            "b",
            BodyLength::None,
            true,
        ),
        (
            "GET http://b HTTP/1.1\r\nHost: b\r\n\r\n",
            "/",
            "b",
            BodyLength::None,
            true,
        ),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
            "",
            "a:443",
            BodyLength::None,
            true,
        ),
        (
            "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\nZ: a\tb\r\nW: \u{e9}\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n!#$%&'*+-.^_`|~: 1\r\n\r\n",
            "/",
            "a",
            BodyLength::None,
            true,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n",
            "/",
            "a",
            BodyLength::None,
            true,
        ),
    ];
    for (raw, path, host, body, keep_alive) in cases {
        let (outcome, head) = read(raw.as_bytes(), &RequestPolicy::default());
        let end = raw[2..].find("\r\n\r\n").unwrap() + 6;
        assert_eq!(outcome, Ok(Some(end)), "{raw}");
        assert_eq!(head.path(), path.as_bytes(), "{raw}");
        assert_eq!(head.authority(), host.as_bytes(), "{raw}");
        assert_eq!((head.body, head.keep_alive), (*body, *keep_alive), "{raw}");
        assert_eq!(head.headers.count(Known::Host), 1);
        same_at_every_split(&raw.as_bytes()[..end], &RequestPolicy::default());
    }
}

#[test]
fn tells_the_parts() {
    let raw = b"POST http://B/p HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nConnection: Upgrade, x\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc";
    let (outcome, head) = read(raw, &RequestPolicy::default());
    assert_eq!(outcome, Ok(Some(raw.len() - 3)));
    assert_eq!(head.method(), b"POST");
    assert_eq!(head.kind, Method::Post);
    assert_eq!(head.target(), b"http://B/p");
    assert_eq!(head.scheme, Some(Scheme::Http));
    assert_eq!(head.version, Version::Http11);
    assert!(head.expect_continue && head.upgrade);
    assert_eq!(head.headers.get_name(b"upgrade"), Some(&b"websocket"[..]));
}

#[test]
fn policy() {
    let old = b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let mut policy = RequestPolicy {
        accept_http_10: true,
        ..RequestPolicy::default()
    };
    let (outcome, head) = read(old, &policy);
    assert!(outcome.is_ok() && head.keep_alive && head.version == Version::Http10);
    let nohost = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(read(nohost, &policy).0, Err(HeadError::MissingHost));
    policy.default_host_for_http_10 = Some(b"dflt".as_slice().into());
    let (outcome, head) = read(nohost, &policy);
    assert_eq!(
        (outcome, head.authority(), head.keep_alive),
        (Ok(Some(18)), &b"dflt"[..], false)
    );
    for te in ["chunked", "identity"] {
        // Pingora's CVE-2026-2835
        let raw = format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: {te}\r\n\r\n");
        assert_eq!(
            read(raw.as_bytes(), &policy).0,
            Err(HeadError::TransferEncodingNotAllowed)
        );
    }
    let expect = b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let (_, head) = read(expect, &policy);
    assert!(!head.expect_continue && !head.upgrade);

    let both =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    let lax = RequestPolicy {
        allow_chunked_length: true,
        ..RequestPolicy::default()
    };
    let (outcome, head) = read(both, &lax);
    assert!(outcome.is_ok());
    assert_eq!((head.body, head.keep_alive), (BodyLength::Chunked, false));
    assert!(!head.headers.contains(Known::ContentLength));

    let custom = RequestPolicy {
        allow_custom_methods: true,
        ..RequestPolicy::default()
    };
    assert!(
        read(b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", &custom)
            .0
            .is_ok()
    );
    let relative = RequestPolicy {
        allow_absolute_url: false,
        ..RequestPolicy::default()
    };
    assert_eq!(
        read(b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", &relative).0,
        Err(HeadError::Target)
    );

    let underscore = b"GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\nz: 2\r\n\r\n";
    let mut policy = RequestPolicy {
        underscores: Underscores::Reject,
        ..RequestPolicy::default()
    };
    assert_eq!(read(underscore, &policy).0, Err(HeadError::Underscore));
    policy.underscores = Underscores::Drop;
    let (outcome, head) = read(underscore, &policy);
    assert!(outcome.is_ok() && head.headers.len() == 2 && head.headers.get_name(b"x_y").is_none());
    same_at_every_split(underscore, &policy);
}

#[test]
fn limits() {
    let limits = HeadLimits {
        max_head_bytes: 100,
        max_headers: 3,
        max_target_bytes: 20,
    };
    let read = |raw: &[u8]| {
        let mut head = RequestHead::new();
        let whole =
            HeadReader::new().read_request(raw, &limits, &RequestPolicy::default(), &mut head);
        let mut reader = HeadReader::new();
        for cut in 0..=raw.len() {
            match reader.read_request(&raw[..cut], &limits, &RequestPolicy::default(), &mut head) {
                Ok(None) => {}
                outcome => {
                    assert_eq!(outcome, whole);
                    return outcome;
                }
            }
        }
        assert_eq!(whole, Ok(None));
        whole
    };
    let sized = |n: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(n - 32)
        )
        .into_bytes()
    };
    assert_eq!(read(&sized(100)), Ok(Some(100)));
    assert_eq!(read(&sized(101)), Err(HeadError::HeadTooLarge));
    assert_eq!(read(&[b'A'; 100]), Err(HeadError::HeadTooLarge));
    assert_eq!(read(&[b'A'; 99]), Ok(None));
    let full = b"GET / HTTP/1.1\r\nHost: a\r\na: 1\r\nb: 2\r\n\r\n";
    assert_eq!(read(full), Ok(Some(full.len())));
    assert_eq!(
        read(b"GET / HTTP/1.1\r\nHost: a\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n"),
        Err(HeadError::TooManyHeaders)
    );
    let full = b"GET /1234567890123456789 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(read(full), Ok(Some(full.len())));
    assert_eq!(
        read(b"GET /12345678901234567890 HTTP/1.1\r\nHost: a\r\n\r\n"),
        Err(HeadError::TargetTooLong)
    );
    assert_eq!(HeadError::TargetTooLong.status(), 414);

    let mut huge = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
    huge.extend(std::iter::repeat_n(b'n', 70_000));
    huge.extend(b": v\r\n\r\n");
    let wide = HeadLimits {
        max_head_bytes: 1 << 20,
        ..HeadLimits::default()
    };
    let outcome = HeadReader::new().read_request(
        &huge,
        &wide,
        &RequestPolicy::default(),
        &mut RequestHead::new(),
    );
    assert_eq!(outcome, Err(HeadError::HeadTooLarge));
}

#[test]
fn a_head_is_reused_without_leftovers() {
    let mut head = RequestHead::new();
    let mut reader = HeadReader::new();
    let first = b"POST http://b/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 1\r\n\r\n";
    let second = b"GET /y HTTP/1.1\r\nHost: c\r\n\r\n";
    let policy = RequestPolicy::default();
    let limits = HeadLimits::default();
    assert!(!reader.started());
    assert_eq!(
        reader.read_request(&first[..9], &limits, &policy, &mut head),
        Ok(None)
    );
    assert!(reader.started());
    assert_eq!(
        reader.read_request(first, &limits, &policy, &mut head),
        Ok(Some(first.len()))
    );
    assert!(!reader.started());
    assert_eq!(
        reader.read_request(second, &limits, &policy, &mut head),
        Ok(Some(second.len()))
    );
    assert_eq!(
        (head.method(), head.path(), head.authority()),
        (&b"GET"[..], &b"/y"[..], &b"c"[..])
    );
    assert!(
        head.keep_alive
            && !head.expect_continue
            && head.scheme.is_none()
            && head.body == BodyLength::None
    );
    assert_eq!(head.headers.len(), 1);
    head.shrink(16);
}

#[test]
fn setters() {
    let (_, mut head) = read(
        b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        &RequestPolicy::default(),
    );
    assert!(head.set_path(b"/b?c") && head.set_authority(b"other:1") && head.set_method(b"PURGE"));
    assert_eq!(
        (head.path(), head.authority(), head.method()),
        (&b"/b?c"[..], &b"other:1"[..], &b"PURGE"[..])
    );
    assert_eq!(head.kind, Method::Other);
    assert_eq!(head.target(), b"/a");
    assert!(
        !head.set_path(b"a")
            && !head.set_path(b"/ b")
            && !head.set_path(b"/\r\n")
            && !head.set_path(b"/#")
    );
    assert!(!head.set_authority(b"a b") && !head.set_method(b"G T") && !head.set_method(b""));
    let mut fresh = RequestHead::new();
    assert!(fresh.headers.push(b"x", b"1") && fresh.set_authority(b"h"));
    assert_eq!(fresh.headers.iter().next(), Some((&b"host"[..], &b"h"[..])));
}
