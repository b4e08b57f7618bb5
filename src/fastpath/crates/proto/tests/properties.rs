//! Properties: nothing panics, what is written reads back, and the header map does what a plain
//! list would do.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proto::h1::{
    BodyDecoder, BodyEvent, BodyLength, BodyLimits, CRLF, HeadLimits, HeadReader, Method,
    RequestHead, RequestPolicy, ResponseHead, ResponseOptions, write_chunk_size,
    write_request_head, write_response, write_trailers,
};
use proto::{HeaderMap, Known, strip_hop_by_hop};

fn read_request(raw: &[u8]) -> Option<(usize, RequestHead)> {
    let mut head = RequestHead::new();
    let policy = RequestPolicy {
        allow_custom_methods: true,
        ..RequestPolicy::default()
    };
    let n = HeadReader::new()
        .read_request(raw, &HeadLimits::default(), &policy, &mut head)
        .ok()??;
    Some((n, head))
}

/// Pieces of which odd requests are made.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"GET",
        b"POST",
        b"OPTIONS",
        b"CONNECT",
        b" ",
        b"/",
        b"*",
        b"/p?q",
        b"http://b:1/",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"\r\n",
        b"\n",
        b"\r",
        b"\t",
        b":",
        b": ",
        b"Host: a",
        b"Host",
        b"Content-Length",
        b"5",
        b"0",
        b"Transfer-Encoding",
        b"chunked",
        b"Connection",
        b"close",
        b"x-hop",
        b"X-Hop: 1",
        b"TE: trailers",
        b"Expect: 100-continue",
        b"transfer_encoding",
        b",",
        b";",
        b"\0",
        b"\xff",
        b"x_y: 1",
        b"a.example",
        b"@",
        b"#",
        b"%41",
        b"Upgrade",
        b"Cookie: a=b",
        b"cookie: c",
    ];
    prop_oneof![9 => select(words).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..4)]
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]{0,30}",
        select(vec![
            "Cookie",
            "x-forwarded-for",
            "Via",
            "X-ENVOY-Retry-On",
            "accept",
            "te",
            "content-length",
            "Transfer-Encoding"
        ])
        .prop_map(String::from),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Push(String, String),
    Set(String, String),
    Remove(String),
    Append(Known, String),
    SetKnown(Known, String),
    Retain(u8),
    First(String),
}

fn op() -> impl Strategy<Value = Op> {
    let name =
        || select(vec!["Host", "cookie", "X-A", "x-b", "Via", "x-c_d"]).prop_map(String::from);
    let known = || select(vec![Known::Host, Known::Cookie, Known::Via, Known::Te]);
    let value = || "[ \t]{0,2}([!-~]([ -~\t]{0,12}[!-~])?)?[ \t]{0,2}";
    prop_oneof![
        4 => (name(), value()).prop_map(|(n, v)| Op::Push(n, v)),
        2 => (name(), value()).prop_map(|(n, v)| Op::Set(n, v)),
        1 => name().prop_map(Op::Remove),
        2 => (known(), value()).prop_map(|(k, v)| Op::Append(k, v)),
        2 => (known(), value()).prop_map(|(k, v)| Op::SetKnown(k, v)),
        1 => any::<u8>().prop_map(Op::Retain),
        1 => value().prop_map(Op::First),
    ]
}

/// The same on a plain list.
fn model(list: &mut Vec<(String, String)>, op: &Op) {
    fn set(list: &mut Vec<(String, String)>, name: &str, value: String) {
        match list.iter().position(|(n, _)| n == name) {
            None => list.push((name.into(), value)),
            Some(first) => {
                list[first].1 = value;
                let mut at = 0;
                list.retain(|(n, _)| {
                    at += 1;
                    n != name || at - 1 == first
                });
            }
        }
    }
    let ows = |v: &String| v.trim_matches([' ', '\t']).to_string();
    match op {
        Op::Push(n, v) => list.push((n.to_lowercase(), ows(v))),
        Op::Set(n, v) => set(list, &n.to_lowercase(), ows(v)),
        Op::SetKnown(k, v) => set(list, k.name(), ows(v)),
        Op::Remove(n) => list.retain(|(name, _)| *name != n.to_lowercase()),
        Op::Append(k, v) => {
            let values: Vec<String> = list
                .iter()
                .filter(|(n, v)| n == k.name() && !v.is_empty())
                .map(|(_, v)| v.clone())
                .collect();
            let joined = values
                .into_iter()
                .chain([ows(v)])
                .collect::<Vec<_>>()
                .join(", ");
            set(list, k.name(), joined);
        }
        Op::Retain(salt) => {
            list.retain(|(n, v)| !(n.len() + v.len()).is_multiple_of(usize::from(*salt).max(2)))
        }
        Op::First(v) => list.insert(0, ("via".into(), ows(v))),
    }
}

fn apply(map: &mut HeaderMap, op: &Op) {
    match op {
        Op::Push(n, v) => assert!(map.push(n.as_bytes(), v.as_bytes())),
        Op::Set(n, v) => assert!(map.set_name(n.as_bytes(), v.as_bytes())),
        Op::SetKnown(k, v) => assert!(map.set(*k, v.as_bytes())),
        Op::Remove(n) => {
            map.remove_name(n.to_lowercase().as_bytes());
        }
        Op::Append(k, v) => assert!(map.append_value(*k, b", ", v.as_bytes())),
        Op::Retain(salt) => {
            map.retain(|_, n, v| !(n.len() + v.len()).is_multiple_of(usize::from(*salt).max(2)))
        }
        Op::First(v) => assert!(map.push_known_first(Known::Via, v.as_bytes())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_map_is_a_list(ops in vec(op(), 0..25)) {
        let (mut map, mut list) = (HeaderMap::new(), Vec::new());
        for op in &ops {
            apply(&mut map, op);
            model(&mut list, op);
            let got: Vec<(String, String)> = map
                .iter()
                .map(|(n, v)| (String::from_utf8(n.to_vec()).unwrap(), String::from_utf8(v.to_vec()).unwrap()))
                .collect();
            prop_assert_eq!(&got, &list, "after {:?}", op);
            let mut wire = Vec::new();
            map.write_to(&mut wire);
            let text: String = list.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
            prop_assert_eq!(String::from_utf8(wire).unwrap(), text);
            for known in [Known::Host, Known::Cookie, Known::Via, Known::Te] {
                let values: Vec<&[u8]> = list.iter().filter(|(n, _)| n == known.name()).map(|(_, v)| v.as_bytes()).collect();
                prop_assert_eq!(map.contains(known), !values.is_empty());
                prop_assert_eq!(map.get(known), values.first().copied());
                prop_assert_eq!(map.values(known).collect::<Vec<_>>(), values.clone());
                prop_assert_eq!(map.values_name(known.name().as_bytes()).collect::<Vec<_>>(), values);
            }
        }
    }

    /// Odd requests: no panic, nothing beyond the buffer, and what is taken means the same
    /// once it is written again.
    #[test]
    fn odd_requests(pieces in vec(piece(), 0..30), tail in any::<bool>()) {
        let mut raw = if pieces.len() % 3 == 0 { Vec::new() } else { b"POST / HTTP/1.1\r\nHost: a\r\n".to_vec() };
        raw.extend(pieces.concat());
        if tail {
            raw.extend(b"\r\n\r\n");
        }
        if let Some((n, mut head)) = read_request(&raw) {
            prop_assert!(n <= raw.len());
            for strip in [false, true] {
                if strip {
                    strip_hop_by_hop(&mut head.headers);
                }
                let mut wire = Vec::new();
                prop_assert!(write_request_head(&mut wire, &head, head.body));
                let (m, again) = read_request(&wire).unwrap();
                prop_assert_eq!(m, wire.len());
                prop_assert_eq!((again.path(), again.authority(), again.method()), (head.path(), head.authority(), head.method()));
                let empty = [BodyLength::None, BodyLength::Length(0)];
                prop_assert!(again.body == head.body || (empty.contains(&again.body) && empty.contains(&head.body)));
            }
        }
    }

    #[test]
    fn arbitrary_bytes(raw in vec(any::<u8>(), 0..200), method in select(vec![Method::Get, Method::Head, Method::Connect])) {
        let _ = read_request(&raw);
        let mut wire = b"HTTP/1.1 200 OK\r\n".to_vec();
        wire.extend(&raw);
        for raw in [&raw, &wire] {
            let mut head = ResponseHead::new();
            if let Ok(Some(n)) = HeadReader::new().read_response(raw, &HeadLimits::default(), method, &mut head) {
                prop_assert!(n <= raw.len());
            }
        }
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let mut at = 0;
        while let Ok((n, event)) = decoder.next(&raw[at..], None, &BodyLimits::default()) {
            prop_assert!(n <= raw.len() - at);
            at += n;
            if matches!(event, BodyEvent::End | BodyEvent::NeedMore) {
                break;
            }
        }
    }

    /// Whatever filters put into the map, what leaves is one request or nothing.
    #[test]
    fn what_is_written_is_strict(
        fields in vec((token(), "[ -~\u{80}-\u{ff}\t]{0,20}|[\r\n\0a: ]{0,5}"), 0..12),
        path in "/[!-~]{0,20}|[ -~]{0,5}",
        host in "[a-z.]{1,10}(:[0-9]{1,4})?|[ -~]{0,5}",
        method in "[A-Z]{1,8}|[ -~]{0,4}",
        framing in select(vec![BodyLength::None, BodyLength::Length(0), BodyLength::Length(77), BodyLength::Chunked, BodyLength::UntilClose]),
        status in 0u16..1100,
    ) {
        let mut head = RequestHead::new();
        head.set_method(method.as_bytes());
        head.set_path(path.as_bytes());
        for (name, value) in &fields {
            head.headers.push(name.as_bytes(), value.as_bytes());
        }
        head.headers.push_known(Known::Host, host.as_bytes());
        let mut wire = Vec::new();
        if write_request_head(&mut wire, &head, framing) {
            let (n, again) = read_request(&wire).unwrap();
            prop_assert_eq!(n, wire.len());
            let expected = match framing {
                BodyLength::UntilClose => BodyLength::Chunked,
                BodyLength::None if head.kind.expects_body() => BodyLength::Length(0),
                framing => framing,
            };
            prop_assert_eq!(again.body, expected);
        } else {
            prop_assert!(wire.is_empty());
        }
        for request in [Method::Get, Method::Head, Method::Connect] {
            wire.clear();
            write_response(&mut wire, status, &head.headers, framing, ResponseOptions { request, ..ResponseOptions::default() });
            let mut again = ResponseHead::new();
            let n = HeadReader::new().read_response(&wire, &HeadLimits::default(), request, &mut again);
            prop_assert_eq!(n, Ok(Some(wire.len())));
        }
    }

    #[test]
    fn chunks_come_back(data in vec(vec(any::<u8>(), 1..300), 0..6), names in vec("x-[a-z]{1,5}", 0..3), cuts in vec(any::<Index>(), 0..8)) {
        let mut trailers = HeaderMap::new();
        for name in &names {
            trailers.push(name.as_bytes(), b"v");
        }
        let mut wire = Vec::new();
        for chunk in &data {
            write_chunk_size(&mut wire, chunk.len() as u64);
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(CRLF);
        }
        write_trailers(&mut wire, &trailers);
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(wire.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(wire.len());
        let (mut decoder, mut got, mut map, mut at) = (BodyDecoder::new(BodyLength::Chunked), Vec::new(), HeaderMap::new(), 0);
        for cut in cuts {
            loop {
                let (n, event) = decoder.next(&wire[at..cut.max(at)], Some(&mut map), &BodyLimits::default()).unwrap();
                if let BodyEvent::Data { start, len } = event {
                    got.extend_from_slice(&wire[at..][start..start + len]);
                }
                at += n;
                if matches!(event, BodyEvent::End | BodyEvent::NeedMore) {
                    break;
                }
            }
        }
        prop_assert!(decoder.is_done());
        prop_assert_eq!((got, map, at), (data.concat(), trailers, wire.len()));
    }
}
