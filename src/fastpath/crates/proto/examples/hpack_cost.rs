//! Prints what it costs to decode the header block of a request and to encode it for the next
//! hop: `cargo run --release -p proto --example hpack_cost`.
#![allow(
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss
)]

use std::hint::black_box;
use std::time::Instant;

use proto::h2::hpack::{CheckedField, Decoder, Encoder, FieldSink, HpackError, Name, Pseudo};
use proto::{HeaderMap, Known};

/// What a proxy keeps of a request: the fields, and the pseudo-headers beside them.
#[derive(Default)]
struct Request {
    headers: HeaderMap,
    pseudo: Vec<u8>,
}

impl FieldSink for Request {
    #[inline]
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        match name {
            Name::Pseudo(_) => {
                self.pseudo.extend_from_slice(value);
                true
            }
            Name::Known(known) => self.headers.push_known(known, value),
            Name::Other(name) => self.headers.push(name, value),
        }
    }

    #[inline]
    fn checked(&mut self, field: CheckedField<'_>) -> bool {
        self.headers.push_field(field)
    }
}

type Fields = &'static [(&'static str, &'static str)];

/// All of them repeat: a call of gRPC.
const GRPC: Fields = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/shop.v1.CartService/AddItem"),
    (":authority", "cart.shop.svc.cluster.local:8080"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.60.1"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "gzip"),
    ("x-forwarded-proto", "http"),
    ("x-tenant", "blue"),
];

/// A path and a request id of its own each time.
const REST: Fields = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/api/v1/items/42?full=1"),
    (":authority", "shop.example.com"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    ),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("x-request-id", "7b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"),
    ("x-forwarded-for", "10.1.2.3"),
    ("x-forwarded-proto", "https"),
];

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

/// The fields as a proxy has them: names resolved.
type Resolved = Vec<(Option<Pseudo>, Known, &'static [u8], &'static [u8])>;

fn resolve(fields: Fields) -> Resolved {
    let resolved = fields.iter().map(|(name, value)| {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        (Pseudo::of(name), Known::of(name), name, value)
    });
    resolved.collect()
}

fn encode(encoder: &mut Encoder, fields: &Resolved, out: &mut Vec<u8>) {
    out.clear();
    encoder.begin(out);
    for (pseudo, known, name, value) in fields {
        match pseudo {
            Some(pseudo) => encoder.pseudo(out, *pseudo, value),
            None => encoder.field(out, *known, name, value),
        }
    }
}

fn main() -> Result<(), HpackError> {
    for (title, fields) in [("grpc", GRPC), ("rest", REST)] {
        let fields = resolve(fields);
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        let mut request = Request::default();
        let (mut first, mut out) = (0, Vec::with_capacity(4096));
        for round in 0..3 {
            encode(&mut encoder, &fields, &mut out);
            request.headers.clear();
            decoder.decode(&out, &mut request)?;
            if round == 0 {
                first = out.len();
            }
        }
        assert!(request.headers.len() + 4 == fields.len());
        let block = out.clone();
        let decoded = best(|| {
            request.headers.clear();
            request.pseudo.clear();
            let outcome = decoder.decode(black_box(&block), &mut request);
            assert!(outcome.is_ok());
        });
        let encoded = best(|| {
            encode(&mut encoder, black_box(&fields), &mut out);
            black_box(&out);
        });
        assert_eq!(out, block);
        println!(
            "{title}: {} fields, {first} bytes at first, then {}: decode {decoded:.0} ns, encode {encoded:.0} ns; {} and {} bytes of memory",
            fields.len(),
            block.len(),
            decoder.capacity(),
            encoder.capacity(),
        );
    }
    Ok(())
}
