//! Properties of the HPACK codec: what is encoded decodes to the same whatever the tables do, and
//! no bytes harm the decoder.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proto::h2::hpack::{CheckedField, Decoder, Encoder, FieldSink, HpackError, Name, Pseudo};
use proto::{HeaderMap, Known};

type Field = (Vec<u8>, Vec<u8>);

#[derive(Default)]
struct Collected {
    fields: Vec<Field>,
    /// Those that came checked, as a header map has them.
    map: HeaderMap,
}

impl FieldSink for Collected {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        self.fields.push((name.as_bytes().to_vec(), value.to_vec()));
        true
    }

    fn checked(&mut self, field: CheckedField<'_>) -> bool {
        let known = Known::of(field.name().as_bytes());
        assert_eq!(known, field.known());
        assert!(self.map.push_field(field));
        // What is pushed is what a push with all checks would have made of it.
        let mut pushed = HeaderMap::new();
        assert!(pushed.push(field.name().as_bytes(), field.value()));
        let (mut one, mut last) = (Vec::new(), Vec::new());
        pushed.write_to(&mut one);
        self.map.write_to(&mut last);
        assert!(last.ends_with(&one));
        self.field(field.name(), field.value())
    }
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, HpackError> {
    let mut sink = Collected::default();
    decoder.decode(block, &mut sink).map(|()| sink.fields)
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let pseudo = vec![":method", ":path", ":status", ":authority", ":protocol"];
    let known: Vec<&'static str> = Known::all().map(Known::name).collect();
    let statics = vec!["age", "link", "if-match", "accept-charset", "x-tenant"];
    prop_oneof![
        select(pseudo).prop_map(|n| n.as_bytes().to_vec()),
        select(known).prop_map(|n| n.as_bytes().to_vec()),
        select(statics).prop_map(|n| n.as_bytes().to_vec()),
        "[a-z-]{0,12}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..6).prop_filter("names come in lower case", |n| {
            !n.iter().any(u8::is_ascii_uppercase)
        }),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => select(vec!["", "GET", "200", "/", "gzip, deflate", "a", "bb", "/pkg.S/M", "0123456789"])
            .prop_map(|v| v.as_bytes().to_vec()),
        1 => "[ -~]{0,80}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0..3000usize).prop_map(|(b, n)| vec![b; n]),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Block(Vec<Field>),
    /// The receiver's setting changes.
    Resize(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => vec((name(), value()), 0..12).prop_map(Op::Block),
        1 => prop_oneof![0..300u32, 0..10_000u32].prop_map(Op::Resize),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(
        cap in prop_oneof![Just(4096), 0..200u32, 0..20_000u32],
        ops in vec(op(), 1..30),
    ) {
        let mut encoder = Encoder::with_cap(cap);
        let (mut whole, mut apart) = (Decoder::new(4096), Decoder::new(4096));
        for op in ops {
            let fields = match op {
                Op::Resize(n) => {
                    encoder.set_max_table_size(n);
                    whole.set_max_table_size(n);
                    apart.set_max_table_size(n);
                    continue;
                }
                Op::Block(fields) => fields,
            };
            let mut block = Vec::new();
            encoder.begin(&mut block);
            // In one block for each field as well.
            prop_assert_eq!(decode(&mut apart, &block).is_ok(), true);
            for (name, value) in &fields {
                let before = block.len();
                match Pseudo::of(name) {
                    Some(pseudo) => encoder.pseudo(&mut block, pseudo, value),
                    None => encoder.field(&mut block, Known::of(name), name, value),
                }
                let field = vec![(name.clone(), value.clone())];
                prop_assert_eq!(decode(&mut apart, &block[before..]), Ok(field));
            }
            prop_assert_eq!(decode(&mut whole, &block), Ok(fields));
            prop_assert!(encoder.entries().eq(whole.entries()));
            prop_assert!(encoder.entries().eq(apart.entries()));
            prop_assert_eq!(encoder.table_size(), whole.table_size());
            prop_assert!(encoder.table_size() <= cap as usize);
        }
    }

    #[test]
    fn no_bytes_harm_the_decoder(
        limit in 0..500u32,
        blocks in vec(vec(any::<u8>(), 0..60), 1..20),
    ) {
        let mut decoder = Decoder::new(limit);
        for block in blocks {
            let outcome = decode(&mut decoder, &block);
            prop_assert!(decoder.table_size() <= limit as usize);
            if outcome.is_err() {
                break;
            }
        }
    }

    #[test]
    fn a_block_that_is_cut_is_an_error_or_a_shorter_one(
        fields in vec((name(), value()), 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        let mut block = Vec::new();
        let mut encoder = Encoder::new();
        for (name, value) in &fields {
            encoder.field(&mut block, Known::of(name), name, value);
        }
        let cut = &block[..at.index(block.len())];
        match decode(&mut Decoder::new(4096), cut) {
            Ok(got) => prop_assert_eq!(&got[..], &fields[..got.len()]),
            Err(e) => prop_assert_eq!(e, HpackError::Truncated),
        }
    }
}
