//! Invariant: whatever the bytes and wherever they are cut, reading a response head gives the
//! same result; and what is written from a head that was taken is taken again with the same
//! status, fields and body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::Known;
use proto::h1::{
    HeadError, HeadLimits, HeadReader, Method, ResponseHead, ResponseOptions, Version,
    write_response_head,
};

fn read(
    raw: &[u8],
    cuts: &[usize],
    request: Method,
) -> (Result<Option<usize>, HeadError>, ResponseHead) {
    let limits = HeadLimits {
        max_head_bytes: 4096,
        max_headers: 20,
        max_target_bytes: 0,
    };
    let mut head = ResponseHead::new();
    let mut reader = HeadReader::new();
    for cut in cuts {
        match reader.read_response(&raw[..*cut], &limits, request, &mut head) {
            Ok(None) => {}
            outcome => return (outcome, head),
        }
    }
    let mut outcome = reader.read_response(raw, &limits, request, &mut head);
    if outcome == Ok(None) {
        // The end of the line brings out a fault in what was there of it.
        outcome = reader.read_response(&[raw, b"\n"].concat(), &limits, request, &mut head);
    }
    (outcome, head)
}

fuzz_target!(|data: &[u8]| {
    let [flags, cut, raw @ ..] = data else { return };
    let request = match flags & 3 {
        0 | 1 => Method::Get,
        2 => Method::Head,
        _ => Method::Connect,
    };
    let (whole, head) = read(raw, &[], request);
    let every: Vec<usize> = (0..raw.len()).collect();
    for cuts in [&[usize::from(*cut).min(raw.len())][..], &every] {
        let (split, split_head) = read(raw, cuts, request);
        assert_eq!(split, whole);
        assert_eq!(split_head.headers, head.headers);
    }
    let Ok(Some(n)) = whole else { return };
    assert!(n <= raw.len() + 1);
    let mut wire = Vec::new();
    let options = ResponseOptions {
        version: Version::Http11,
        request,
        close: flags & 4 != 0,
    };
    write_response_head(&mut wire, &head, head.body, options);
    let (outcome, again) = {
        let limits = HeadLimits {
            max_head_bytes: 8192,
            ..HeadLimits::default()
        };
        let mut again = ResponseHead::new();
        (
            HeadReader::new().read_response(&wire, &limits, request, &mut again),
            again,
        )
    };
    assert_eq!(
        outcome,
        Ok(Some(wire.len())),
        "{}",
        String::from_utf8_lossy(&wire)
    );
    assert_eq!((again.status, again.body), (head.status, head.body));
    let own = [
        Known::ContentLength,
        Known::TransferEncoding,
        Known::Connection,
        Known::KeepAlive,
    ];
    let rest = |h: &ResponseHead| {
        let fields = h.headers.iter_known().filter(|(k, _, _)| !own.contains(k));
        fields
            .map(|(_, n, v)| (n.to_vec(), v.to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(rest(&again), rest(&head));
    if options.close {
        assert!(!again.keep_alive);
    }
});
