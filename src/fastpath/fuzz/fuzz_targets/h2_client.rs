//! Invariant: whatever a server sends and wherever it is cut, the same events come out of a
//! client that asked for a few things, and the same error ends it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::h1::{BodyLength, RequestHead, Scheme};
use proto::h2::{Connection, Event, Options};

const START: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";

/// What happened, with DATA joined over the cuts.
fn run(raw: &[u8], cuts: &[usize], flags: u8) -> Vec<String> {
    let mut connection = Connection::client(Options::default());
    let (mut out, mut seen, mut done) = (Vec::new(), Vec::new(), 0);
    let mut data: Option<(u32, Vec<u8>)> = None;
    connection.start(&mut out);
    for method in [&b"GET"[..], b"POST", b"HEAD", b"CONNECT"] {
        let mut head = RequestHead::new();
        assert!(head.set_method(method) && head.set_path(b"/") && head.set_authority(b"a:1"));
        let body = BodyLength::None;
        let end = flags & 1 != 0;
        connection
            .send_request(&mut out, &head, Scheme::Http, body, end)
            .unwrap();
    }
    for cut in cuts.iter().copied().chain([raw.len()]) {
        loop {
            let buf = &raw[done..cut.max(done)];
            let (n, event) = match connection.next(buf, 0, &mut out) {
                Ok(found) => found,
                Err(error) => {
                    seen.extend(data.map(|d| format!("{d:?}")));
                    seen.push(format!("{error:?}"));
                    return seen;
                }
            };
            assert!(n <= buf.len());
            done += n;
            if let Event::Data {
                stream,
                start,
                len,
                end,
            } = event
            {
                assert!(start + len <= n);
                connection.consumed(&mut out, stream, len);
                if data.as_ref().is_some_and(|(id, _)| *id != stream) {
                    seen.extend(data.take().map(|d| format!("{d:?}")));
                }
                let (_, joined) = data.get_or_insert((stream, Vec::new()));
                joined.extend_from_slice(&buf[start..start + len]);
                if !end {
                    continue;
                }
            }
            if event == Event::NeedMore {
                assert!(buf.len() - n <= 9 + 16_384);
                break;
            }
            seen.extend(data.take().map(|d| format!("{d:?}")));
            seen.push(match event {
                Event::Response { stream, end } => {
                    connection.send_data(&mut out, stream, &[0; 100], flags & 2 != 0);
                    if flags & 4 != 0 {
                        connection.reset(&mut out, stream, proto::h2::ErrorCode::CANCEL);
                    }
                    format!("{stream} {end} {:?}", connection.response)
                }
                Event::Trailers { stream } => format!("{stream} {:?}", connection.trailers),
                Event::Data { stream, end, .. } => format!("{stream} {end}"),
                other => format!("{other:?}"),
            });
        }
    }
    seen.extend(data.map(|d| format!("{d:?}")));
    seen
}

fuzz_target!(|input: &[u8]| {
    let [flags, cut, rest @ ..] = input else {
        return;
    };
    let raw = [START, rest].concat();
    let whole = run(&raw, &[], *flags);
    let cut = (START.len() + usize::from(*cut)).min(raw.len());
    let every: Vec<usize> = (0..raw.len()).collect();
    assert_eq!(run(&raw, &[cut], *flags), whole);
    assert_eq!(run(&raw, &every, *flags), whole);
});
