//! A client that asks a server for a path many times at once, for tests against other stacks:
//! `cargo run -p proto --example h2_client -- 127.0.0.1:8080 /path COUNT [BODY BYTES]`.
#![allow(clippy::print_stdout, clippy::arithmetic_side_effects)]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use proto::h1::{BodyLength, RequestHead, Scheme};
use proto::h2::{Connection, Event, Options, Refused, StreamId};

/// The part of a request's body that is still to be sent.
type Upload = (StreamId, usize);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, path, rest @ ..] = args.as_slice() else {
        return Err("usage: h2_client ADDRESS PATH [COUNT [BODY BYTES]]".into());
    };
    let count: usize = rest.first().map_or(Ok(1), |n| n.parse())?;
    let body: usize = rest.get(1).map_or(Ok(0), |n| n.parse())?;
    let mut head = RequestHead::new();
    let method: &[u8] = if body > 0 { b"POST" } else { b"GET" };
    if !(head.set_method(method)
        && head.set_path(path.as_bytes())
        && head.set_authority(address.as_bytes()))
    {
        return Err("not a valid request".into());
    }
    let mut socket = TcpStream::connect(address)?;
    let mut client = Connection::client(Options::default());
    let mut out = Vec::new();
    client.start(&mut out);
    let (mut input, mut buffer) = (Vec::new(), vec![0; 65_536]);
    let (mut opened, mut done, mut received) = (0usize, 0usize, 0usize);
    let mut first = true;
    let mut uploads: Vec<Upload> = Vec::new();
    let data = vec![b'u'; 1 << 20];
    while done < count {
        while opened < count {
            let framing = BodyLength::Length(body as u64);
            match client.send_request(&mut out, &head, Scheme::Http, framing, body == 0) {
                Ok(stream) => uploads.push((stream, body)),
                Err(Refused::Limit) => break,
                Err(error) => return Err(error.into()),
            }
            opened += 1;
        }
        uploads.retain_mut(|(stream, left)| {
            let now = data.get(..(*left).min(data.len())).unwrap_or_default();
            *left -= client.send_data(&mut out, *stream, now, now.len() == *left);
            *left > 0
        });
        socket.write_all(&out)?;
        out.clear();
        client.set_unsent(0);
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Err("the server closed the connection".into());
        }
        input.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let mut at = 0;
        loop {
            let unread = input.get(at..).unwrap_or_default();
            let (n, event) = client.next(unread, 0, &mut out)?;
            at += n;
            let end = match event {
                Event::NeedMore => break,
                Event::Response { end, .. } => {
                    if std::mem::take(&mut first) {
                        println!("{} {:?}", client.response.status, client.response.body);
                    }
                    end
                }
                Event::Data {
                    stream, len, end, ..
                } => {
                    received += len;
                    client.consumed(&mut out, stream, len);
                    end
                }
                Event::Trailers { .. } => true,
                Event::Settings | Event::Window { .. } | Event::Pong { .. } => false,
                other => return Err(format!("{other:?}").into()),
            };
            done += usize::from(end);
        }
        input.drain(..at);
    }
    println!("{done} responses, {received} bytes");
    Ok(())
}
