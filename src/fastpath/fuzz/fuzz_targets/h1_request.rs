//! Invariant: whatever the bytes and wherever they are cut, reading a request head gives the
//! same result; and what is written from a head that was taken is taken again and means the same
//! (method, path, host, body, fields), also after hop-by-hop fields were stripped.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::h1::{
    BodyLength, HeadError, HeadLimits, HeadReader, RequestHead, RequestPolicy, write_request_head,
};
use proto::{Known, strip_hop_by_hop};

fn read(
    raw: &[u8],
    cuts: &[usize],
    policy: &RequestPolicy,
) -> (Result<Option<usize>, HeadError>, RequestHead) {
    let limits = HeadLimits {
        max_head_bytes: 4096,
        max_headers: 20,
        max_target_bytes: 1024,
    };
    let mut head = RequestHead::new();
    let mut reader = HeadReader::new();
    for cut in cuts {
        match reader.read_request(&raw[..*cut], &limits, policy, &mut head) {
            Ok(None) => {}
            outcome => return (outcome, head),
        }
    }
    let mut outcome = reader.read_request(raw, &limits, policy, &mut head);
    if outcome == Ok(None) {
        // The end of the line brings out a fault in what was there of it.
        outcome = reader.read_request(&[raw, b"\n"].concat(), &limits, policy, &mut head);
    }
    (outcome, head)
}

fuzz_target!(|data: &[u8]| {
    let [flags, cut, raw @ ..] = data else { return };
    let policy = RequestPolicy {
        accept_http_10: flags & 1 != 0,
        allow_chunked_length: flags & 2 != 0,
        allow_custom_methods: flags & 4 != 0,
        default_host_for_http_10: (flags & 8 != 0).then(|| b"default".as_slice().into()),
        ..RequestPolicy::default()
    };
    let (whole, head) = read(raw, &[], &policy);
    let (split, split_head) = read(raw, &[usize::from(*cut).min(raw.len())], &policy);
    let every: Vec<usize> = (0..raw.len()).collect();
    let (bytes, bytes_head) = read(raw, &every, &policy);
    assert_eq!(bytes, whole);
    assert_eq!(bytes_head.headers, head.headers);
    assert_eq!(split, whole);
    assert_eq!(split_head.headers, head.headers);
    let Ok(Some(n)) = whole else { return };
    assert!(n <= raw.len() + 1);
    let mut stripped = head.clone();
    strip_hop_by_hop(&mut stripped.headers);
    for head in [head, stripped] {
        let mut wire = Vec::new();
        assert!(write_request_head(&mut wire, &head, head.body));
        let strict = RequestPolicy {
            allow_custom_methods: true,
            ..RequestPolicy::default()
        };
        let mut limits = HeadLimits::default();
        limits.max_head_bytes *= 2;
        let mut again = RequestHead::new();
        let n = HeadReader::new().read_request(&wire, &limits, &strict, &mut again);
        assert_eq!(
            n,
            Ok(Some(wire.len())),
            "{}",
            String::from_utf8_lossy(&wire)
        );
        assert_eq!(
            (again.method(), again.path(), again.authority()),
            (head.method(), head.path(), head.authority())
        );
        let framed = match head.body {
            BodyLength::None if again.body == BodyLength::Length(0) => BodyLength::Length(0),
            body => body,
        };
        assert_eq!(again.body, framed);
        assert_eq!(again.headers.count(Known::Host), 1);
        let framing = [Known::ContentLength, Known::TransferEncoding];
        let rest = |h: &RequestHead| {
            let fields = h
                .headers
                .iter_known()
                .filter(|(k, _, _)| !framing.contains(k));
            fields
                .map(|(_, n, v)| (n.to_vec(), v.to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(rest(&again), rest(&head));
    }
});
