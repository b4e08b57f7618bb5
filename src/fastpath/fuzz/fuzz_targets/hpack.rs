//! Invariants: whatever the bytes, decoding does not panic and the table never exceeds its limit,
//! also when the sink stops early, which leaves the same table; and what is encoded (a table of
//! any size, resized at any time) decodes to the same, in one block or in one for each field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::Known;
use proto::h2::hpack::{Decoder, Encoder, FieldSink, HpackError, Name, Pseudo};

type Field = (Vec<u8>, Vec<u8>);

struct Collected {
    fields: Vec<Field>,
    most: usize,
}

impl FieldSink for Collected {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        assert!(self.fields.len() < self.most, "given more than wanted");
        self.fields.push((name.as_bytes().to_vec(), value.to_vec()));
        self.fields.len() < self.most
    }
}

fn decode(decoder: &mut Decoder, block: &[u8], most: usize) -> Result<Vec<Field>, HpackError> {
    let mut sink = Collected {
        fields: Vec::new(),
        most,
    };
    decoder.decode(block, &mut sink)?;
    Ok(sink.fields)
}

fn table(entries: impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>) -> Vec<Field> {
    let owned = |s: &[u8]| s.to_vec();
    entries
        .map(|(n, v)| (owned(n.as_ref()), owned(v.as_ref())))
        .collect()
}

/// Blocks of one connection: each is a length and bytes.
fn hostile(limit: u32, mut input: &[u8]) {
    let mut whole = Decoder::new(limit);
    let mut stopping = Decoder::new(limit);
    for decoder in [&mut whole, &mut stopping] {
        decoder.set_max_string(300);
    }
    while let [len, rest @ ..] = input {
        let (block, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        input = rest;
        let outcome = decode(&mut whole, block, usize::MAX);
        let stopped = decode(&mut stopping, block, 1);
        assert!(whole.table_size() <= limit as usize);
        assert_eq!(table(whole.entries()), table(stopping.entries()));
        let literals = |fields: &[Field]| fields.iter().all(|(n, v)| n.len().max(v.len()) <= 300);
        match (outcome, stopped) {
            (Ok(fields), Ok(first)) => {
                assert!(literals(&fields));
                assert_eq!(first, fields[..fields.len().min(1)]);
            }
            (Err(a), Err(b)) => {
                assert_eq!(a, b);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

const NAMES: [&[u8]; 16] = [
    b":method",
    b":path",
    b":authority",
    b":status",
    b":protocol",
    b"cookie",
    b"authorization",
    b"content-type",
    b"x-request-id",
    b"user-agent",
    b"age",
    b"accept-encoding",
    b"x-tenant",
    b"x-api-key",
    b"",
    b"x-a-name-that-is-rather-long-as-some-are",
];

/// Each step is an operation: a field, the end of a block, another table size.
fn friendly(cap: u32, mut input: &[u8]) {
    let mut encoder = Encoder::with_cap(cap);
    let (mut joined, mut single) = (Decoder::new(4096), Decoder::new(4096));
    let (mut block, mut fields) = (Vec::new(), Vec::new());
    let mut apart = Vec::new();
    encoder.begin(&mut block);
    while let [op, arg, rest @ ..] = input {
        input = rest;
        let before = block.len();
        match op >> 6 {
            0..=2 => {
                let name = NAMES[usize::from(op % 16)];
                let (value, rest) = rest.split_at(usize::from(*arg % 64).min(rest.len()));
                input = rest;
                match Pseudo::of(name) {
                    Some(pseudo) => encoder.pseudo(&mut block, pseudo, value),
                    None => encoder.field(&mut block, Known::of(name), name, value),
                }
                fields.push((name.to_vec(), value.to_vec()));
                let from = if fields.len() == 1 { 0 } else { before };
                apart.extend(decode(&mut single, &block[from..], usize::MAX).expect("ours"));
            }
            _ => {
                if fields.is_empty() {
                    decode(&mut single, &block, usize::MAX).expect("ours");
                }
                let got = decode(&mut joined, &block, usize::MAX);
                assert_eq!(got.as_ref(), Ok(&fields));
                assert_eq!(apart, fields);
                assert_eq!(table(encoder.entries()), table(joined.entries()));
                assert_eq!(table(encoder.entries()), table(single.entries()));
                assert!(encoder.table_size() <= cap as usize);
                (block, fields, apart) = Default::default();
                for _ in 0..op % 4 {
                    let size = u32::from(*arg).wrapping_mul(u32::from(op % 64));
                    encoder.set_max_table_size(size);
                    joined.set_max_table_size(size);
                    single.set_max_table_size(size);
                }
                encoder.begin(&mut block);
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [kind, size, input @ ..] = data else {
        return;
    };
    let size = u32::from(*size) * 20;
    if kind & 1 == 0 {
        hostile(size, input);
    } else {
        friendly(size, input);
    }
});
