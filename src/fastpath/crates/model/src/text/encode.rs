//! Messages → bytes, always the same for the same message: map entries in the order of their
//! keys, so that reading a file again is no change.

use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

/// The deterministic encoding of a message.
#[must_use]
pub fn encode(message: &DynamicMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(message, &mut bytes);
    bytes
}

fn append(message: &DynamicMessage, out: &mut Vec<u8>) {
    if !has_unordered_map(message) {
        // Writing to a Vec cannot fail.
        let _ = message.encode(out);
        return;
    }
    for (field, value) in message.fields() {
        match value {
            Value::Message(inner) => delimited(field.number(), inner, out),
            Value::List(items) if matches!(field.kind(), Kind::Message(_)) => {
                for inner in items.iter().filter_map(Value::as_message) {
                    delimited(field.number(), inner, out);
                }
            }
            Value::Map(_) => {
                for entry in sorted_entries(&field, value) {
                    delimited(field.number(), &entry, out);
                }
            }
            scalar => {
                let mut one = DynamicMessage::new(message.descriptor());
                if one.try_set_field(&field, scalar.clone()).is_ok() {
                    let _ = one.encode(out);
                }
            }
        }
    }
}

fn delimited(number: u32, message: &DynamicMessage, out: &mut Vec<u8>) {
    let bytes = encode(message);
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(&bytes);
}

/// A map's entries as the messages they are on the wire.
fn sorted_entries(field: &FieldDescriptor, value: &Value) -> Vec<DynamicMessage> {
    let (Value::Map(map), Kind::Message(entry_type)) = (value, field.kind()) else {
        return Vec::new();
    };
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let entry = |(key, value): (&prost_reflect::MapKey, &Value)| {
        let mut entry = DynamicMessage::new(entry_type.clone());
        // Key and value come from a map of this very type.
        let _ = entry.try_set_field(&entry_type.map_entry_key_field(), key.clone().into());
        let _ = entry.try_set_field(&entry_type.map_entry_value_field(), value.clone());
        entry
    };
    entries.into_iter().map(entry).collect()
}

/// Whether any map inside has more than one entry, and so no order of its own.
fn has_unordered_map(message: &DynamicMessage) -> bool {
    message.fields().any(|(_, value)| is_unordered(value))
}

fn is_unordered(value: &Value) -> bool {
    match value {
        Value::Map(map) => map.len() > 1 || map.values().any(is_unordered),
        Value::List(items) => items.iter().any(is_unordered),
        Value::Message(message) => has_unordered_map(message),
        _ => false,
    }
}
