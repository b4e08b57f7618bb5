//! Invariant: whatever a client sends and wherever it is cut, the same events come out of a
//! server that answers, the same error ends it, and no more is kept than a frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::HeaderMap;
use proto::h1::BodyLength;
use proto::h2::{Connection, Event, Options};

const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";

/// What happened, with DATA joined over the cuts.
fn run(raw: &[u8], cuts: &[usize], options: &Options) -> Vec<String> {
    let mut connection = Connection::server(options.clone());
    let (mut out, mut seen, mut done) = (Vec::new(), Vec::new(), 0);
    let mut data: Option<(u32, Vec<u8>)> = None;
    connection.start(&mut out);
    for cut in cuts.iter().copied().chain([raw.len()]) {
        loop {
            let buf = &raw[done..cut.max(done)];
            let (n, event) = match connection.next(buf, 0, &mut out) {
                Ok(found) => found,
                Err(error) => {
                    seen.extend(data.map(|d| format!("{d:?}")));
                    seen.push(format!("{error:?}"));
                    assert_eq!(connection.next(b"", 0, &mut out), Err(error));
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
                Event::Request { stream, end } => {
                    let none = HeaderMap::new();
                    let body = BodyLength::Chunked;
                    connection.send_response(&mut out, stream, 200, &none, body, false);
                    connection.send_data(&mut out, stream, &[0; 100], stream % 4 == 1);
                    format!("{stream} {end} {:?}", connection.request)
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
    let options = Options {
        max_concurrent_streams: 4,
        max_header_bytes: 500,
        initial_stream_window: 1 << 20,
        allow_connect: flags & 1 != 0,
        stream_error_on_invalid_message: flags & 2 == 0,
        ..Options::default()
    };
    let raw = if flags & 4 == 0 {
        [START, rest].concat()
    } else {
        rest.to_vec()
    };
    let whole = run(&raw, &[], &options);
    let cut = (START.len() + usize::from(*cut)).min(raw.len());
    let every: Vec<usize> = (0..raw.len()).collect();
    assert_eq!(run(&raw, &[cut], &options), whole);
    assert_eq!(run(&raw, &every, &options), whole);
});
