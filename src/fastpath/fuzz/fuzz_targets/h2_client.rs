//! Invariant: whatever a server sends and wherever it is cut, the same events come out of a
//! client that asked for a few things, and the same error ends it.
#![no_main]

mod h2_events;

use h2_events::events;
use libfuzzer_sys::fuzz_target;
use proto::h1::{BodyLength, RequestHead, Scheme};
use proto::h2::{Connection, ErrorCode, Event, Options};

const START: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";

/// What happened.
fn run(raw: &[u8], cuts: &[usize], flags: u8) -> Vec<String> {
    let mut connection = Connection::client(Options::default());
    let mut out = Vec::new();
    connection.start(&mut out);
    for method in [&b"GET"[..], b"POST", b"HEAD", b"CONNECT"] {
        let mut head = RequestHead::new();
        assert!(head.set_method(method) && head.set_path(b"/") && head.set_authority(b"a:1"));
        let end = flags & 1 != 0;
        connection
            .send_request(&mut out, &head, Scheme::Http, BodyLength::None, end)
            .unwrap();
    }
    events(
        &mut connection,
        &mut out,
        raw,
        cuts,
        |c, out, event| match event {
            Event::Response { stream, end } => {
                let text = format!("{stream} {end} {:?}", c.response);
                c.send_data(out, stream, &[0; 100], flags & 2 != 0);
                if flags & 4 != 0 {
                    c.reset(out, stream, ErrorCode::CANCEL);
                }
                text
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
    let raw = [START, rest].concat();
    let whole = run(&raw, &[], *flags);
    let cut = (START.len() + usize::from(*cut)).min(raw.len());
    let every: Vec<usize> = (0..raw.len()).collect();
    assert_eq!(run(&raw, &[cut], *flags), whole);
    assert_eq!(run(&raw, &every, *flags), whole);
});
