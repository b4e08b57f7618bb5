//! Prints what one request and its response cost in the HTTP/2 codec, client and server together:
//! `cargo run --release -p proto --example h2_cost`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss
)]

use std::hint::black_box;
use std::time::Instant;

use proto::h1::{BodyLength, RequestHead, ResponseHead, Scheme};
use proto::h2::{Connection, Event, Options};
use proto::{HeaderMap, Known};

const REQUEST: &[(&str, &str)] = &[
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.60.1"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "gzip"),
    ("x-forwarded-proto", "http"),
    ("x-request-id", "7b1f2c3d-4e5f-4a6b-8c7d-000000000000"),
    ("x-forwarded-for", "10.1.2.3"),
    ("x-envoy-expected-rq-timeout-ms", "15000"),
    ("x-tenant", "blue"),
    ("accept", "*/*"),
];

const RESPONSE: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("server", "envoy"),
    ("date", "Tue, 11 Jun 2024 10:00:00 GMT"),
    ("cache-control", "no-store"),
    ("x-envoy-upstream-service-time", "1"),
    ("vary", "accept-encoding"),
    ("x-frame-options", "deny"),
    ("x-content-type-options", "nosniff"),
    ("etag", "\"5f2a-61a9c3\""),
    ("x-tenant", "blue"),
];

/// Both ends, and what lies between them.
struct Pair {
    client: Connection,
    server: Connection,
    up: Vec<u8>,
    down: Vec<u8>,
    request: RequestHead,
    response: HeaderMap,
    received: (RequestHead, ResponseHead),
    ids: u64,
}

impl Pair {
    fn new() -> Pair {
        let mut pair = Pair {
            client: Connection::client(Options::default()),
            server: Connection::server(Options::default()),
            up: Vec::new(),
            down: Vec::new(),
            request: RequestHead::new(),
            response: HeaderMap::new(),
            received: (RequestHead::new(), ResponseHead::new()),
            ids: 0,
        };
        let head = &mut pair.request;
        assert!(head.set_method(b"POST") && head.set_path(b"/shop.v1.Cart/Add"));
        assert!(head.set_authority(b"cart.shop.svc.cluster.local:8080"));
        for (name, value) in REQUEST {
            assert!(head.headers.push(name.as_bytes(), value.as_bytes()));
        }
        for (name, value) in RESPONSE {
            assert!(pair.response.push(name.as_bytes(), value.as_bytes()));
        }
        pair.client.start(&mut pair.up);
        pair.server.start(&mut pair.down);
        pair
    }

    /// A new request id, as each request has one.
    fn new_id(&mut self) {
        self.ids += 1;
        let mut id = *b"7b1f2c3d-4e5f-4a6b-8c7d-000000000000";
        let mut n = self.ids;
        for digit in id.iter_mut().rev().take(12) {
            *digit = b'0' + (n % 10) as u8;
            n /= 10;
        }
        self.request.headers.set(Known::XRequestId, &id);
    }

    fn open(&mut self, body: &[u8]) {
        self.new_id();
        let length = BodyLength::Length(body.len() as u64);
        let out = &mut self.up;
        let id = self
            .client
            .send_request(out, &self.request, Scheme::Http, length, body.is_empty())
            .unwrap();
        if !body.is_empty() {
            assert_eq!(self.client.send_data(out, id, body, true), body.len());
        }
    }

    /// The server answers all that came.
    fn serve(&mut self, body: &[u8]) {
        let mut at = 0;
        loop {
            let rest = self.up.get(at..).unwrap();
            let (n, event) = self.server.next(rest, 0, &mut self.down).unwrap();
            at += n;
            let done = match event {
                Event::NeedMore => break,
                Event::Request { stream, end } => {
                    std::mem::swap(&mut self.server.request, &mut self.received.0);
                    end.then_some(stream)
                }
                Event::Data {
                    stream, len, end, ..
                } => {
                    self.server.consumed(&mut self.down, stream, len);
                    end.then_some(stream)
                }
                _ => None,
            };
            if let Some(stream) = done {
                let length = BodyLength::Length(body.len() as u64);
                let (server, out) = (&mut self.server, &mut self.down);
                server.send_response(out, stream, 200, &self.response, length, false);
                server.send_data(out, stream, body, true);
            }
        }
        self.up.clear();
        self.client.set_unsent(0);
    }

    /// The client takes the answers; how many were complete.
    fn finish(&mut self) -> usize {
        let (mut at, mut complete) = (0, 0);
        loop {
            let rest = self.down.get(at..).unwrap();
            let (n, event) = self.client.next(rest, 0, &mut self.up).unwrap();
            at += n;
            match event {
                Event::NeedMore => break,
                Event::Response { .. } => {
                    std::mem::swap(&mut self.client.response, &mut self.received.1);
                }
                Event::Data {
                    stream, len, end, ..
                } => {
                    self.client.consumed(&mut self.up, stream, len);
                    complete += usize::from(end);
                }
                _ => {}
            }
        }
        self.down.clear();
        self.server.set_unsent(0);
        complete
    }
}

/// The best of some rounds, in ns per exchange.
fn best(pair: &mut Pair, at_once: usize, body: &[u8]) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..2000 {
        let start = Instant::now();
        let mut done = 0;
        while done < 500 {
            for _ in 0..at_once {
                pair.open(black_box(body));
            }
            pair.serve(black_box(body));
            assert_eq!(pair.finish(), at_once);
            done += at_once;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / done as f64);
    }
    best
}

fn main() {
    let body = [b'x'; 100];
    for at_once in [1, 10, 100] {
        let mut pair = Pair::new();
        let ns = best(&mut pair, at_once, &body);
        println!("{at_once} at once: {ns:.0} ns per request and response, 100 bytes each way");
    }
    let mut pair = Pair::new();
    let ns = best(&mut pair, 1, &[]);
    println!("no bodies: {ns:.0} ns");
}
