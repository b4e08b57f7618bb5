//! What a connection of HTTP/2 makes of bytes, however they are cut: for both h2 targets.

use proto::h2::{Connection, Event, StreamId};

/// What happened, with DATA joined over the cuts. `answer` reacts to all but parts of bodies and
/// says what it saw.
pub fn events(
    connection: &mut Connection,
    out: &mut Vec<u8>,
    raw: &[u8],
    cuts: &[usize],
    mut answer: impl FnMut(&mut Connection, &mut Vec<u8>, Event) -> String,
) -> Vec<String> {
    let (mut seen, mut done) = (Vec::new(), 0);
    let mut data: Option<(StreamId, Vec<u8>)> = None;
    let mut head = None;
    for cut in cuts.iter().copied().chain([raw.len()]) {
        loop {
            let buf = &raw[done..cut.max(done)];
            let step = match body_behind(connection, &mut head, buf, out) {
                Some(step) => step,
                None => connection.next(buf, 0, out),
            };
            let (n, event) = match step {
                Ok(found) => found,
                Err(error) => {
                    seen.extend(data.map(|d| format!("{d:?}")));
                    seen.push(format!("{error:?}"));
                    assert_eq!(connection.next(b"", 0, out), Err(error));
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
                connection.consumed(out, stream, len);
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
            if let Event::Request { stream, end } | Event::Response { stream, end } = event {
                head = (!end).then_some(stream);
            }
            seen.extend(data.take().map(|d| format!("{d:?}")));
            seen.push(answer(connection, out, event));
        }
    }
    seen.extend(data.map(|d| format!("{d:?}")));
    seen
}

/// `next_body` behind a head: it must say nothing but what concerns that stream.
fn body_behind(
    connection: &mut Connection,
    head: &mut Option<StreamId>,
    buf: &[u8],
    out: &mut Vec<u8>,
) -> Option<Result<(usize, Event), proto::h2::ConnectionError>> {
    let of = head.take()?;
    let step = connection.next_body(buf, of, 0, out)?;
    if let Ok((_, event)) = step {
        match event {
            Event::Data { stream, len, .. } => assert!(stream == of && len > 0),
            Event::StreamError { stream, .. } => assert_eq!(stream, of),
            other => panic!("{other:?} is no body"),
        }
    }
    Some(step)
}
