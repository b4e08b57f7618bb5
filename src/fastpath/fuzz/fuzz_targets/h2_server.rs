//! Invariant: whatever a client sends and wherever it is cut, the same events come out of a
//! server that answers, the same error ends it, and no more is kept than a frame.
#![no_main]

mod h2_events;

use h2_events::events;
use libfuzzer_sys::fuzz_target;
use proto::HeaderMap;
use proto::h1::BodyLength;
use proto::h2::{Connection, Event, Options};

const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";

/// What happened.
fn run(raw: &[u8], cuts: &[usize], options: &Options) -> Vec<String> {
    let mut connection = Connection::server(options.clone());
    let mut out = Vec::new();
    connection.start(&mut out);
    events(
        &mut connection,
        &mut out,
        raw,
        cuts,
        |c, out, event| match event {
            Event::Request { stream, end } => {
                let none = HeaderMap::new();
                c.send_response(out, stream, 200, &none, BodyLength::Chunked, false);
                c.send_data(out, stream, &[0; 100], stream % 4 == 1);
                format!("{stream} {end} {:?}", c.request)
            }
            Event::Trailers { stream } => format!("{stream} {:?}", c.trailers),
            Event::Data { stream, end, .. } => format!("{stream} {end}"),
            other => format!("{other:?}"),
        },
    )
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
