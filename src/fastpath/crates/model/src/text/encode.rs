//! Messages → bytes in one pass, always the same for the same message: map entries in the order
//! of their keys, so that reading a file again is no change.

use prost::Message as _;
use prost::encoding::{self, WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

/// The deterministic encoding of a message.
#[must_use]
pub fn encode(message: &DynamicMessage) -> Vec<u8> {
    let mut out = Vec::new();
    append(message, &mut out);
    out
}

fn append(message: &DynamicMessage, out: &mut Vec<u8>) {
    for (field, value) in message.fields() {
        let number = field.number();
        match value {
            Value::Message(inner) => delimited(number, out, |out| append(inner, out)),
            Value::List(items) if matches!(field.kind(), Kind::Message(_)) => {
                for inner in items.iter().filter_map(Value::as_message) {
                    delimited(number, out, |out| append(inner, out));
                }
            }
            Value::List(_) => packed(message, &field, value, out),
            Value::Map(map) => {
                let Kind::Message(entry) = field.kind() else {
                    continue;
                };
                let (key_field, value_field) =
                    (entry.map_entry_key_field(), entry.map_entry_value_field());
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in entries {
                    delimited(number, out, |out| {
                        scalar(&key_field, &key_value(key), out);
                        match value {
                            Value::Message(inner) => {
                                delimited(value_field.number(), out, |out| append(inner, out));
                            }
                            value => scalar(&value_field, value, out),
                        }
                    });
                }
            }
            value => scalar(&field, value, out),
        }
    }
    for unknown in message.unknown_fields() {
        unknown.encode(out);
    }
}

/// Writes a field with a length in front of what `write` appends.
fn delimited(number: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    encode_key(number, WireType::LengthDelimited, out);
    let start = out.len();
    // Most lengths take one byte; the content moves if this one takes more.
    out.push(0);
    let content = out.len();
    write(out);
    let length = out.len().saturating_sub(content);
    let mut varint = Vec::with_capacity(10);
    encode_varint(u64::try_from(length).unwrap_or(u64::MAX), &mut varint);
    out.splice(start..content, varint);
}

/// One value of a field that is neither message nor list.
fn scalar(field: &FieldDescriptor, value: &Value, out: &mut Vec<u8>) {
    let number = field.number();
    match (value, field.kind()) {
        (Value::Bool(v), _) => encoding::bool::encode(number, v, out),
        (Value::String(v), _) => encoding::string::encode(number, v, out),
        (Value::Bytes(v), _) => encoding::bytes::encode(number, v, out),
        (Value::F32(v), _) => encoding::float::encode(number, v, out),
        (Value::F64(v), _) => encoding::double::encode(number, v, out),
        (Value::EnumNumber(v), _) => encoding::int32::encode(number, v, out),
        (Value::I32(v), Kind::Sint32) => encoding::sint32::encode(number, v, out),
        (Value::I32(v), Kind::Sfixed32) => encoding::sfixed32::encode(number, v, out),
        (Value::I32(v), _) => encoding::int32::encode(number, v, out),
        (Value::I64(v), Kind::Sint64) => encoding::sint64::encode(number, v, out),
        (Value::I64(v), Kind::Sfixed64) => encoding::sfixed64::encode(number, v, out),
        (Value::I64(v), _) => encoding::int64::encode(number, v, out),
        (Value::U32(v), Kind::Fixed32) => encoding::fixed32::encode(number, v, out),
        (Value::U32(v), _) => encoding::uint32::encode(number, v, out),
        (Value::U64(v), Kind::Fixed64) => encoding::fixed64::encode(number, v, out),
        (Value::U64(v), _) => encoding::uint64::encode(number, v, out),
        (Value::Message(_) | Value::List(_) | Value::Map(_), _) => {}
    }
}

/// A list of scalars: rare, so as the library writes it.
fn packed(message: &DynamicMessage, field: &FieldDescriptor, list: &Value, out: &mut Vec<u8>) {
    let mut one = DynamicMessage::new(message.descriptor());
    if one.try_set_field(field, list.clone()).is_ok() {
        // Writing to a Vec cannot fail.
        let _ = one.encode(out);
    }
}

fn key_value(key: &MapKey) -> Value {
    key.clone().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use crate::text::Document;

    #[test]
    fn encodes_what_it_read_and_always_the_same() {
        let schema = schema::get();
        let descriptor = schema.message("envoy.config.core.v3.Node").unwrap();
        let text = br#"{id: a, metadata: {z: 1, b: {c: [true, null, "x"]}, a: -2},
            client_features: [x, z], locality: {zone: "..............................................................................................................................................."}}"#;
        let message = Document::parse(text, "f")
            .unwrap()
            .message(&schema, &descriptor)
            .unwrap();
        let bytes = encode(&message);
        assert_eq!(
            DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).unwrap(),
            message
        );
        for _ in 0..20 {
            let again = Document::parse(text, "f")
                .unwrap()
                .message(&schema, &descriptor)
                .unwrap();
            assert_eq!(encode(&again), bytes);
        }
        let thresholds = schema.message("envoy.config.route.v3.RetryPolicy").unwrap();
        let text = b"{retriable_status_codes: [1, 500, 70000]}";
        let message = Document::parse(text, "f")
            .unwrap()
            .message(&schema, &thresholds)
            .unwrap();
        assert_eq!(encode(&message), message.encode_to_vec());
    }
}
