//! Invariant: a chunked body decodes to the same data, trailers, end or error wherever it is cut;
//! no more is consumed than was given; and data and trailers written again decode to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::HeaderMap;
use proto::h1::{
    BodyDecoder, BodyError, BodyEvent, BodyLength, BodyLimits, CRLF, write_chunk_size,
    write_trailers,
};

#[derive(Debug, PartialEq)]
enum End {
    Complete { consumed: usize },
    Truncated,
    Error(BodyError),
}

const TIGHT: BodyLimits = BodyLimits {
    max_chunk_line: 40,
    max_chunk_extensions: 100,
    max_trailer_bytes: 200,
    max_trailers: 5,
};

fn decode(raw: &[u8], cuts: &[usize], limits: &BodyLimits) -> (Vec<u8>, HeaderMap, End) {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let (mut data, mut trailers, mut done) = (Vec::new(), HeaderMap::new(), 0);
    for cut in cuts.iter().copied().chain([raw.len()]) {
        loop {
            let buf = &raw[done..cut];
            let (n, event) = match decoder.next(buf, Some(&mut trailers), limits) {
                Ok(found) => found,
                Err(e) => return (data, trailers, End::Error(e)),
            };
            assert!(n <= buf.len());
            done += n;
            match event {
                BodyEvent::Data { start, len } => {
                    assert!(len > 0 && start + len <= n);
                    data.extend_from_slice(&buf[start..start + len]);
                }
                BodyEvent::Trailers => assert!(decoder.is_done() && !trailers.is_empty()),
                BodyEvent::End => return (data, trailers, End::Complete { consumed: done }),
                BodyEvent::NeedMore => break,
            }
        }
    }
    assert_eq!(decoder.eof(), Err(BodyError::Truncated));
    (data, trailers, End::Truncated)
}

fuzz_target!(|input: &[u8]| {
    let [cut, raw @ ..] = input else { return };
    let whole = decode(raw, &[], &TIGHT);
    let every: Vec<usize> = (0..raw.len()).collect();
    for cuts in [&[usize::from(*cut).min(raw.len())][..], &every] {
        let split = decode(raw, cuts, &TIGHT);
        if split != whole {
            // A fault in a trailer line of which the end is missing: it brings out the fault.
            assert_eq!(split.2, End::Truncated);
            let ended = [raw, b"\n"].concat();
            assert_eq!(decode(&ended, cuts, &TIGHT), decode(&ended, &[], &TIGHT));
        }
    }
    let (data, trailers, End::Complete { .. }) = whole else {
        return;
    };
    // Wider limits: `a:1` is written as `a: 1`.
    let mut wire = Vec::new();
    for chunk in data.chunks(usize::from(*cut).max(1)) {
        write_chunk_size(&mut wire, chunk.len() as u64);
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(CRLF);
    }
    write_trailers(&mut wire, &trailers);
    let consumed = wire.len();
    assert_eq!(
        decode(&wire, &[], &BodyLimits::default()),
        (data, trailers, End::Complete { consumed })
    );
});
