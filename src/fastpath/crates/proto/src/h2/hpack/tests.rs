//! RFC 7541 appendix C both ways, malformed blocks, resizes, and the steady state.
#![allow(clippy::arithmetic_side_effects)] // a test may panic

use super::field::NameId;
use super::index::{Key, name_hash};
use super::policy::Policy;
use super::*;
use crate::known::Known;

type Fields = Vec<(String, String)>;

#[derive(Default)]
struct Collected {
    fields: Fields,
    /// Fields that came by `checked`.
    checked: usize,
    /// Stop after so many.
    stop_at: Option<usize>,
}

impl FieldSink for Collected {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
        assert!(!matches!(name, Name::Known(Known::Other)));
        if let Name::Other(name) = name {
            assert_eq!(NameId::of(name), NameId::Other);
        }
        self.fields.push((text(name.as_bytes()), text(value)));
        self.stop_at != Some(self.fields.len())
    }

    fn checked(&mut self, field: CheckedField<'_>) -> bool {
        self.checked += 1;
        let (line, name_len) = field.line();
        let name = field.name();
        assert_eq!(&line[..name_len], name.as_bytes());
        assert_eq!(
            line,
            [name.as_bytes(), b": ", field.value(), b"\r\n"].concat()
        );
        self.field(name, field.value())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// `name: value` per line.
fn fields(lines: &str) -> Fields {
    lines
        .lines()
        .map(|l| l.trim())
        .filter(|l| !l.is_empty())
        .map(|l| {
            let at = l[1..].find(':').unwrap() + 1;
            (l[..at].to_owned(), l[at + 1..].trim().to_owned())
        })
        .collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, HpackError> {
    let mut sink = Collected::default();
    decoder.decode(block, &mut sink).map(|()| sink.fields)
}

fn table(entries: impl Iterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>) -> Fields {
    let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
    entries
        .map(|(n, v)| (text(n.as_ref()), text(v.as_ref())))
        .collect()
}

/// All fields into the table, as the appendix does.
fn encode_indexing_all(encoder: &mut Encoder, fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (name, value) in fields {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        match NameId::of(name) {
            NameId::Pseudo(pseudo) => encoder.pseudo(&mut out, pseudo, value),
            id => {
                let known = Known::of(name);
                let (hash, index) = match known {
                    Known::Other => {
                        let hash = name_hash(name);
                        (hash, static_table::index_of_other(hash, name))
                    }
                    known => (known as u32, static_table::index_of_known(known)),
                };
                let key = Key {
                    id,
                    name,
                    value,
                    name_hash: hash,
                };
                encoder.put(&mut out, &key, index, Policy::Index);
            }
        }
    }
    out
}

const REQUESTS: [&str; 3] = [
    ":method: GET
    :scheme: http
    :path: /
    :authority: www.example.com",
    ":method: GET
    :scheme: http
    :path: /
    :authority: www.example.com
    cache-control: no-cache",
    ":method: GET
    :scheme: https
    :path: /index.html
    :authority: www.example.com
    custom-key: custom-value",
];

const REQUEST_TABLES: [(&str, usize); 3] = [
    (":authority: www.example.com", 57),
    ("cache-control: no-cache\n:authority: www.example.com", 110),
    (
        "custom-key: custom-value\ncache-control: no-cache\n:authority: www.example.com",
        164,
    ),
];

const RESPONSES: [&str; 3] = [
    ":status: 302
    cache-control: private
    date: Mon, 21 Oct 2013 20:13:21 GMT
    location: https://www.example.com",
    ":status: 307
    cache-control: private
    date: Mon, 21 Oct 2013 20:13:21 GMT
    location: https://www.example.com",
    ":status: 200
    cache-control: private
    date: Mon, 21 Oct 2013 20:13:22 GMT
    location: https://www.example.com
    content-encoding: gzip
    set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

const RESPONSE_TABLES: [(&str, usize); 3] = [
    (
        "location: https://www.example.com
        date: Mon, 21 Oct 2013 20:13:21 GMT
        cache-control: private
        :status: 302",
        222,
    ),
    (
        ":status: 307
        location: https://www.example.com
        date: Mon, 21 Oct 2013 20:13:21 GMT
        cache-control: private",
        222,
    ),
    (
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1
        content-encoding: gzip
        date: Mon, 21 Oct 2013 20:13:22 GMT",
        215,
    ),
];

/// Appendix C.3 and C.5: literals as they are.
const PLAIN_REQUESTS: [&str; 3] = [
    "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    "8286 84be 5808 6e6f 2d63 6163 6865",
    "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
];
const PLAIN_RESPONSES: [&str; 3] = [
    "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
     2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
     6c65 2e63 6f6d",
    "4803 3330 37c1 c0bf",
    "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
     54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
     5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
     3d31",
];
/// Appendix C.4 and C.6: literals Huffman coded.
const HUFFMAN_REQUESTS: [&str; 3] = [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
];
const HUFFMAN_RESPONSES: [&str; 3] = [
    "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
     2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
    "4883 640e ffc1 c0bf",
    "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
     77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
     9587 3160 65c0 03ed 4ee5 b106 3d50 07",
];

#[test]
fn appendix_c_2_single_fields() {
    for (wire, field, entries) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key: custom-header",
            "custom-key: custom-header",
        ),
        (
            "040c 2f73 616d 706c 652f 7061 7468",
            ":path: /sample/path",
            "",
        ),
        (
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password: secret",
            "",
        ),
        ("82", ":method: GET", ""),
    ] {
        let mut decoder = Decoder::new(4096);
        assert_eq!(decode(&mut decoder, &bytes(wire)), Ok(fields(field)));
        assert_eq!(table(decoder.entries()), fields(entries));
    }
}

#[test]
fn appendix_c_decoded() {
    for (size, wires, messages, tables) in [
        (4096, PLAIN_REQUESTS, REQUESTS, REQUEST_TABLES),
        (4096, HUFFMAN_REQUESTS, REQUESTS, REQUEST_TABLES),
        (256, PLAIN_RESPONSES, RESPONSES, RESPONSE_TABLES),
        (256, HUFFMAN_RESPONSES, RESPONSES, RESPONSE_TABLES),
    ] {
        let mut decoder = Decoder::new(size);
        for ((wire, message), (entries, size)) in wires.iter().zip(messages).zip(tables) {
            assert_eq!(decode(&mut decoder, &bytes(wire)), Ok(fields(message)));
            assert_eq!(table(decoder.entries()), fields(entries));
            assert_eq!(decoder.table_size(), size);
        }
    }
}

#[test]
fn appendix_c_encoded() {
    // The appendix codes `307` although that saves nothing; we leave it as it is.
    let [first, _, third] = HUFFMAN_RESPONSES;
    let responses = [first, PLAIN_RESPONSES[1], third];
    for (size, wires, messages, tables) in [
        (4096, HUFFMAN_REQUESTS, REQUESTS, REQUEST_TABLES),
        (256, responses, RESPONSES, RESPONSE_TABLES),
    ] {
        let mut encoder = Encoder::with_cap(size);
        if size < DEFAULT_TABLE_SIZE {
            let mut update = Vec::new();
            encoder.begin(&mut update);
            assert_eq!(update, [0x3f, 0xe1, 0x01]);
        }
        for ((wire, message), (entries, size)) in wires.iter().zip(messages).zip(tables) {
            let block = encode_indexing_all(&mut encoder, &fields(message));
            assert_eq!(block, bytes(wire));
            assert_eq!(table(encoder.entries()), fields(entries));
            assert_eq!(encoder.table_size(), size);
        }
    }
}

#[test]
fn malformed_blocks() {
    use HpackError::*;
    for (block, error) in [
        ("80", BadIndex),
        ("be", BadIndex),       // 62 in an empty table
        ("ff 80 01", BadIndex), // 255
        ("7e 00", BadIndex),    // a name that is not there
        ("0f 2f 00", BadIndex),
        ("ff", Truncated),
        ("ff 80", Truncated),
        ("ff ff ff ff ff ff", IntegerOverflow),
        ("ff 80 80 80 80 80 00", IntegerOverflow),
        ("40", Truncated),
        ("40 01", Truncated),
        ("40 01 61", Truncated),
        ("40 01 61 02 62", Truncated),
        ("00 7f 80 ff ff ff 0f", Truncated),
        ("00 7f ff ff ff ff 7f", IntegerOverflow),
        ("82 00 01 61 81 ff", BadHuffman), // a byte of padding
        ("00 01 61 81 18", BadHuffman),    // padding of zeros
        ("00 01 61 84 ff ff ff ff", BadHuffman),
        ("3f e2 1f", TableSizeTooLarge),        // 4097
        ("3f ff ff ff ff 0f", IntegerOverflow), // 2^32 + 30
        ("82 20", MisplacedTableSizeUpdate),    // after a field
        ("20 20 20", MisplacedTableSizeUpdate), // the third
        ("3f", Truncated),
    ] {
        let outcome = decode(&mut Decoder::new(4096), &bytes(block));
        assert_eq!(outcome, Err(error), "{block}");
    }
    for (block, count) in [
        ("", 0),
        ("20 3f e1 1f", 0),
        ("3f e1 1f 82", 1),
        ("61 00", 1),
    ] {
        let outcome = decode(&mut Decoder::new(4096), &bytes(block));
        assert_eq!(outcome.map(|f| f.len()), Ok(count), "{block}");
    }
}

#[test]
fn long_strings() {
    for (wire, max, outcome) in [
        ("00 01 61 03 62 62 62", 3, Ok(1)),
        ("00 01 61 03 62 62 62", 2, Err(HpackError::TooLong)),
        ("00 03 61 61 61 01 62", 2, Err(HpackError::TooLong)),
        ("00 82 18 c7 01 62", 3, Ok(1)), // `aaa`
        ("00 82 18 c7 01 62", 2, Err(HpackError::TooLong)),
    ] {
        let mut decoder = Decoder::new(4096);
        decoder.set_max_string(max);
        let outcome_here = decode(&mut decoder, &bytes(wire)).map(|f| f.len());
        assert_eq!(outcome_here, outcome, "{wire} {max}");
    }
}

#[test]
fn a_lowered_limit_must_be_followed() {
    use HpackError::*;
    for (limits, block, outcome) in [
        (&[100][..], "82", Err(MissingTableSizeUpdate)),
        (&[100], "3f 45 82", Ok(1)), // 100
        (&[100], "3f 46 82", Err(TableSizeTooLarge)),
        (&[100], "20 3f 45 82", Ok(1)),
        (&[5000], "82", Ok(1)),
        (&[5000], "3f e9 26 82", Ok(1)), // 5000
        (&[5000], "3f ea 26 82", Err(TableSizeTooLarge)),
        // Lowered and raised again: the smallest first.
        (&[100, 4096], "82", Err(MissingTableSizeUpdate)),
        (&[100, 4096], "3f e1 1f 82", Err(TableSizeTooLarge)),
        (&[100, 4096], "3f 45 3f e1 1f 82", Ok(1)),
        (&[100, 4096, 200], "3f 45 82", Ok(1)),
    ] {
        let mut decoder = Decoder::new(4096);
        for limit in limits {
            decoder.set_max_table_size(*limit);
        }
        let outcome_here = decode(&mut decoder, &bytes(block)).map(|f| f.len());
        assert_eq!(outcome_here, outcome, "{limits:?} {block}");
        if outcome.is_ok() {
            assert_eq!(decode(&mut decoder, &[0x82]).map(|f| f.len()), Ok(1));
        }
    }
}

#[test]
fn size_updates_of_the_encoder() {
    for (cap, settings, updates) in [
        (4096, &[4096][..], ""),
        (4096, &[8192], ""),
        (4096, &[100], "3f 45"),
        (4096, &[100, 50], "3f 13"),
        (4096, &[100, 8192], "3f 45 3f e1 1f"),
        (4096, &[0, 100], "20 3f 45"),
        (8192, &[5000], "3f e9 26"),
        (8192, &[8192, 4096], "3f e1 1f"),
        (1000, &[], "3f c9 07"),
        (1000, &[100], "3f 45"),
        (0, &[0, 4096], "20"),
    ] {
        let mut encoder = Encoder::with_cap(cap);
        for n in settings {
            encoder.set_max_table_size(*n);
        }
        let mut out = Vec::new();
        encoder.begin(&mut out);
        assert_eq!(out, bytes(updates), "{cap} {settings:?}");
        out.clear();
        encoder.begin(&mut out);
        assert!(out.is_empty());
    }
    // A reduction is said even if we use less already.
    let mut encoder = Encoder::with_cap(1000);
    encoder.begin(&mut Vec::new());
    encoder.set_max_table_size(2000);
    let mut out = Vec::new();
    encoder.begin(&mut out);
    assert_eq!(out, bytes("3f c9 07"));
}

#[test]
fn a_name_outlives_the_entry_that_it_is_taken_from() {
    // §4.4: the new field evicts the entry of its own name.
    let mut decoder = Decoder::new(64);
    let first = "40 06 6c 6f 6e 67 65 72 0a 61 61 61 61 61 61 61 61 61 61";
    let second = "7e 0b 62 62 62 62 62 62 62 62 62 62 62";
    decode(&mut decoder, &bytes(first)).unwrap();
    let expected = fields("longer: bbbbbbbbbbb");
    assert_eq!(decode(&mut decoder, &bytes(second)).as_ref(), Ok(&expected));
    assert_eq!(table(decoder.entries()), expected);
    // Too large for the table: it is empty, the field comes all the same.
    let third = format!("7e 20 {}", "63".repeat(32));
    assert_eq!(
        decode(&mut decoder, &bytes(&third)),
        Ok(fields(&format!("longer: {}", "c".repeat(32))))
    );
    assert_eq!((decoder.table_size(), decoder.entries().count()), (0, 0));
}

#[test]
fn a_sink_that_stops_leaves_the_table_right() {
    for stop_at in 1..=6 {
        let mut decoder = Decoder::new(256);
        for wire in PLAIN_RESPONSES {
            let mut sink = Collected {
                stop_at: Some(stop_at),
                ..Collected::default()
            };
            decoder.decode(&bytes(wire), &mut sink).unwrap();
            assert!(sink.fields.len() <= stop_at);
        }
        assert_eq!(table(decoder.entries()), fields(RESPONSE_TABLES[2].0));
    }
    let mut sink = Collected {
        stop_at: Some(1),
        ..Collected::default()
    };
    let outcome = Decoder::new(4096).decode(&bytes("82 82 80"), &mut sink);
    assert_eq!(outcome, Err(HpackError::BadIndex));
}

#[test]
fn only_valid_fields_of_tables_are_checked() {
    let plain = |name: &str, value: &str| {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        let sizes = [name.len() as u8, value.len() as u8];
        [&[0x40, sizes[0]], name, &[sizes[1]], value].concat()
    };
    for (name, value, valid) in [
        ("x-a", "v", true),
        ("x-a", "", true),
        ("accept", "v w", true),
        ("x-A", "v", false),
        ("Accept", "v", false),
        ("", "v", false),
        ("x a", "v", false),
        ("x-a", " v", false),
        ("x-a", "v\t", false),
        ("x-a", "v\r\nw", false),
        ("accept", "v\0", false),
        ("content_length", "1", false),
        (":path", "/", false),
        (":unknown", "/", false),
    ] {
        let mut decoder = Decoder::new(4096);
        let mut sink = Collected::default();
        let block = [plain(name, value), vec![0xbe]].concat();
        decoder.decode(&block, &mut sink).unwrap();
        let field = (name.to_owned(), value.to_owned());
        assert_eq!(sink.fields, [field.clone(), field], "{name} {value}");
        assert_eq!(sink.checked, if valid { 2 } else { 0 }, "{name} {value:?}");
    }
}

/// Encodes regular fields and pseudo-headers with the encoder's own policies.
fn encode(encoder: &mut Encoder, message: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.begin(&mut out);
    for (name, value) in message {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        match Pseudo::of(name) {
            Some(pseudo) => encoder.pseudo(&mut out, pseudo, value),
            None => encoder.field(&mut out, Known::of(name), name, value),
        }
    }
    out
}

#[test]
fn the_steady_state_is_one_byte_per_field() {
    let request = fields(
        ":method: PUT
        :scheme: http
        :authority: shop.example.com
        :path: /shop.Cart/Add
        user-agent: grpc-go/1.60
        content-type: application/grpc
        te: trailers
        grpc-accept-encoding: gzip
        x-tenant: blue
        x-forwarded-proto: http
        accept-encoding: gzip, deflate
        age:
        x-envoy-peer-metadata-id: sidecar~10.0.0.1",
    );
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
    for _ in 0..2 {
        let block = encode(&mut encoder, &request);
        assert_eq!(decode(&mut decoder, &block).as_ref(), Ok(&request));
    }
    let capacity = (encoder.capacity(), decoder.capacity());
    for _ in 0..1000 {
        let block = encode(&mut encoder, &request);
        assert_eq!(block.len(), request.len());
        assert_eq!(decode(&mut decoder, &block).as_ref(), Ok(&request));
    }
    assert_eq!((encoder.capacity(), decoder.capacity()), capacity);
    assert_eq!(table(encoder.entries()), table(decoder.entries()));
}

#[test]
fn representations_by_policy() {
    for (lines, first, second) in [
        // Never, with a name of the static table and without.
        ("authorization: Basic x", 0x1f, 0x1f),
        ("cookie: a=1", 0x1f, 0x1f),
        ("set-cookie: a=1", 0x1f, 0x1f),
        ("x-api-key: k", 0x10, 0x10),
        ("authorization:", 0x1f, 0x1f),
        // Without indexing.
        ("content-length: 7", 0x0f, 0x0f),
        (":path: /a?b", 0x04, 0x04),
        ("etag: x", 0x0f, 0x0f),
        // Once for its name, then without.
        ("x-request-id: 1", 0x40, 0x0f),
        // At once; static names.
        ("content-type: text/html", 0x5f, 0xbe),
        (":authority: a", 0x41, 0xbe),
        (":status: 201", 0x48, 0xbe),
        (":protocol: websocket", 0x40, 0xbe),
        // At the second sight.
        (":path: /a", 0x04, 0x44),
        ("x-tenant: a", 0x00, 0x40),
        // Statically.
        (":status: 404", 0x8d, 0x8d),
        ("vary:", 0xbb, 0xbb),
        ("accept-encoding: gzip, deflate", 0x90, 0x90),
    ] {
        let mut encoder = Encoder::new();
        for expected in [first, second] {
            let block = encode(&mut encoder, &fields(lines));
            assert_eq!(block[0], expected, "{lines}");
        }
    }
    // Half of the table at most.
    let mut encoder = Encoder::new();
    for (len, size) in [(2017 - 12, 0), (2016 - 12, 2048)] {
        let value = vec![b'v'; len];
        encoder.field(&mut Vec::new(), Known::ContentType, b"", &value);
        assert_eq!(encoder.table_size(), size);
    }
}

#[test]
fn status_is_three_digits() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
    for status in [100u16, 200, 204, 304, 418, 503, 999] {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.status(&mut out, status);
        assert_eq!(
            decode(&mut decoder, &out),
            Ok(vec![(":status".to_owned(), status.to_string())])
        );
    }
}

#[test]
fn names_of_the_static_table_are_found() {
    for index in 1..=static_table::LEN {
        let entry = static_table::get(index).unwrap();
        match NameId::of(entry.name) {
            NameId::Pseudo(pseudo) => {
                assert_eq!(entry.id, NameId::Pseudo(pseudo));
                assert_eq!(
                    static_table::index_of_pseudo_field(pseudo, entry.value),
                    index
                );
                let first = static_table::get(static_table::index_of_pseudo(pseudo)).unwrap();
                assert_eq!(first.name, entry.name);
            }
            NameId::Known(known) => {
                assert_eq!(entry.id, NameId::Known(known));
                assert_eq!(static_table::index_of_known(known), index);
            }
            NameId::Other => {
                assert_eq!(entry.id, NameId::Other);
                let hash = name_hash(entry.name);
                assert_eq!(static_table::index_of_other(hash, entry.name), index);
            }
        }
        assert!(match entry.checked() {
            Some(field) => field.value() == entry.value && field.name().as_bytes() == entry.name,
            None => entry.name[0] == b':',
        });
    }
    assert!(static_table::get(0).is_none() && static_table::get(62).is_none());
    assert_eq!(static_table::index_of_other(name_hash(b"x"), b"x"), 0);
}
