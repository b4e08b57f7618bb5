//! Prints what it costs to read a request head, strip it and write it for the next hop:
//! `cargo run --release -p proto --example parse_cost`.
#![allow(
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss
)]

use std::hint::black_box;
use std::time::Instant;

use proto::h1::{
    BodyDecoder, BodyEvent, BodyLength, BodyLimits, HeadLimits, HeadReader, Method, RequestHead,
    RequestPolicy, ResponseHead, ResponseOptions, write_request_head, write_response_head,
};
use proto::{Known, strip_hop_by_hop};

const SMALL: &[u8] = b"GET /api/v1/items/42?full=1 HTTP/1.1\r\n\
Host: shop.example.com\r\n\
User-Agent: wrk/4.2.0\r\n\
Accept: */*\r\n\
X-Request-Id: 7b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d\r\n\
X-Forwarded-For: 10.1.2.3\r\n\
Accept-Encoding: gzip\r\n\r\n";

const BROWSER: &[u8] = b"GET /assets/app/main.4f2a9c.js?v=20240611 HTTP/1.1\r\n\
Host: www.shop.example.com\r\n\
Connection: keep-alive\r\n\
sec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\n\
sec-ch-ua-mobile: ?0\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Referer: https://www.shop.example.com/catalogue/shoes\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
Cookie: session=4f1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark; consent=yes\r\n\
If-None-Match: \"5f2a-61a9c3\"\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: nginx/1.26.0\r\n\
Date: Tue, 11 Jun 2024 10:00:00 GMT\r\n\
Content-Type: application/json\r\n\
Content-Length: 1024\r\n\
Connection: keep-alive\r\n\
Cache-Control: no-store\r\n\r\n";

/// The best of some rounds, in ns per call.
fn best(mut call: impl FnMut()) -> f64 {
    // Short rounds: on a busy machine some of them are not interrupted.
    const CALLS: u32 = 1000;
    let mut best = f64::MAX;
    for _ in 0..1500 {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    best
}

fn main() {
    let limits = HeadLimits::default();
    let policy = RequestPolicy::default();
    let mut head = RequestHead::new();
    let mut out = Vec::with_capacity(4096);
    for (name, raw) in [("request", SMALL), ("request", BROWSER)] {
        let read = |head: &mut RequestHead| {
            let n = HeadReader::new().read_request(black_box(raw), &limits, &policy, head);
            assert_eq!(n, Ok(Some(raw.len())));
        };
        let parse = best(|| read(&mut head));
        let write = best(|| {
            out.clear();
            black_box(write_request_head(&mut out, black_box(&head), head.body));
        });
        let both = best(|| {
            read(&mut head);
            out.clear();
            black_box(write_request_head(&mut out, &head, head.body));
        });
        let proxied = best(|| {
            read(&mut head);
            strip_hop_by_hop(&mut head.headers);
            head.headers
                .append_value(Known::XForwardedFor, b", ", b"192.168.100.7");
            head.headers.set(Known::XForwardedProto, b"http");
            head.headers.set(Known::XEnvoyExpectedRqTimeoutMs, b"15000");
            out.clear();
            black_box(write_request_head(&mut out, &head, head.body));
        });
        println!(
            "{name} {} bytes: parse {parse:.0} ns, write {write:.0} ns, parse+write {both:.0} ns, with strip and 3 sets {proxied:.0} ns",
            raw.len()
        );
    }
    let mut head = ResponseHead::new();
    let read = |head: &mut ResponseHead| {
        let n = HeadReader::new().read_response(black_box(RESPONSE), &limits, Method::Get, head);
        assert_eq!(n, Ok(Some(RESPONSE.len())));
    };
    let parse = best(|| read(&mut head));
    let both = best(|| {
        read(&mut head);
        strip_hop_by_hop(&mut head.headers);
        head.headers.set(Known::Server, b"envoy");
        head.headers.set(Known::XEnvoyUpstreamServiceTime, b"1");
        out.clear();
        write_response_head(&mut out, &head, head.body, ResponseOptions::default());
        black_box(&out);
    });
    println!(
        "response {} bytes: parse {parse:.0} ns, parse+strip+2 sets+write {both:.0} ns",
        RESPONSE.len()
    );

    let chunks = b"400\r\n"
        .iter()
        .copied()
        .chain([b'x'; 1024])
        .chain(*b"\r\n0\r\n\r\n")
        .collect::<Vec<u8>>();
    let body_limits = BodyLimits::default();
    let body = best(|| {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let mut rest = black_box(chunks.as_slice());
        loop {
            match decoder.next(rest, None, &body_limits) {
                Ok((_, BodyEvent::End)) => break,
                Ok((n, event)) => {
                    black_box(event);
                    rest = rest.get(n..).unwrap_or_default();
                }
                Err(e) => unreachable!("{e}"),
            }
        }
    });
    println!("body of one 1 KiB chunk: {body:.0} ns");
}
