//! A server that answers every request with a few bytes, for conformance tests from outside:
//! `cargo run -p proto --example h2_server -- 127.0.0.1:8080`, then `h2spec -S -p 8080`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use proto::HeaderMap;
use proto::h1::BodyLength;
use proto::h2::{Connection, ConnectionError, Event, Options, StreamId};

const BODY: &[u8] = b"Hello from the HTTP/2 codec of fastmesh.\n";

/// A connection and the responses that wait for windows.
struct Server {
    connection: Connection,
    out: Vec<u8>,
    /// Streams and the part of the body that is still to be sent.
    waiting: VecDeque<(StreamId, &'static [u8])>,
}

impl Server {
    fn respond(&mut self, stream: StreamId) {
        let mut headers = HeaderMap::new();
        headers.push(b"content-type", b"text/plain");
        let length = BodyLength::Length(BODY.len() as u64);
        let out = &mut self.out;
        if self
            .connection
            .send_response(out, stream, 200, &headers, length, false)
        {
            self.waiting.push_back((stream, BODY));
            self.send_waiting();
        }
    }

    fn send_waiting(&mut self) {
        let connection = &mut self.connection;
        let out = &mut self.out;
        self.waiting.retain_mut(|(stream, rest)| {
            let n = connection.send_data(out, *stream, rest, true);
            *rest = rest.get(n..).unwrap_or_default();
            !rest.is_empty() && connection.has_stream(*stream)
        });
    }

    /// Takes what is in `input`; leaves what is not whole.
    fn take(&mut self, input: &mut Vec<u8>, now_ms: u64) -> Result<(), ConnectionError> {
        let mut at = 0usize;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let (n, event) = self.connection.next(rest, now_ms, &mut self.out)?;
            at = at.saturating_add(n);
            match event {
                Event::NeedMore => break,
                Event::Request { stream, end: true } | Event::Trailers { stream } => {
                    self.respond(stream);
                }
                Event::Data {
                    stream, len, end, ..
                } => {
                    self.connection.consumed(&mut self.out, stream, len);
                    if end {
                        self.respond(stream);
                    }
                }
                Event::Window { .. } | Event::Settings => self.send_waiting(),
                _ => {}
            }
        }
        input.drain(..at);
        Ok(())
    }
}

fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    let start = Instant::now();
    let mut server = Server {
        connection: Connection::server(Options::default()),
        out: Vec::new(),
        waiting: VecDeque::new(),
    };
    server.connection.start(&mut server.out);
    let (mut input, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        socket.write_all(&server.out)?;
        server.out.clear();
        server.connection.set_unsent(0);
        let n = socket.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        input.extend_from_slice(buffer.get(..n).unwrap_or_default());
        let now_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = server.take(&mut input, now_ms) {
            socket.write_all(&server.out)?;
            eprintln!("{error}");
            return socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:8080"))?;
    println!("listening on {}", listener.local_addr()?);
    for socket in listener.incoming() {
        let socket = socket?;
        socket.set_nodelay(true)?;
        std::thread::spawn(move || {
            if let Err(error) = serve(socket) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}
