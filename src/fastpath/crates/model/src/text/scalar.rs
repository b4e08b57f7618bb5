//! Nodes → scalar values: what proto3 JSON accepts where, with Envoy's reading of plain scalars.

use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};

use super::numbers::{self, Plain};
use super::suggest::nearest;
use super::tree::{self, Node};

/// The scalar a field of this kind takes, or why it does not.
pub fn value(kind: &Kind, node: &Node<'_>) -> Result<Value, String> {
    let tree::Kind::Scalar { text, plain } = node.kind() else {
        return Err(format!(
            "expected {}, found {}",
            expectation(kind),
            describe(node)
        ));
    };
    let plain = *plain;
    let wrong = || format!("expected {}, found {}", expectation(kind), describe(node));
    match kind {
        Kind::String => string(text, plain).map(Value::String),
        Kind::Bytes => base64(text)
            .map(|b| Value::Bytes(b.into()))
            .ok_or_else(wrong),
        Kind::Bool => boolean(text, plain).map(Value::Bool).ok_or_else(wrong),
        Kind::Double => numbers::float(text, plain)
            .map(Value::F64)
            .ok_or_else(wrong),
        #[allow(clippy::cast_possible_truncation)] // What a float field holds.
        Kind::Float => numbers::float(text, plain)
            .map(|v| Value::F32(v as f32))
            .ok_or_else(wrong),
        Kind::Enum(values) => enumeration(values, text, plain),
        Kind::Message(_) => Err(wrong()),
        _ => numbers::integer(text, plain)
            .and_then(|number| integer(kind, number))
            .ok_or_else(wrong),
    }
}

fn integer(kind: &Kind, number: i128) -> Option<Value> {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => number.try_into().ok().map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => number.try_into().ok().map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => number.try_into().ok().map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => number.try_into().ok().map(Value::U64),
        _ => None,
    }
}

/// A plain `80` or `yes` is no string to Envoy either.
fn string(text: &str, plain: bool) -> Result<String, String> {
    let found = match numbers::resolve(text) {
        Plain::Bool(_) if plain => "the boolean",
        Plain::Int(_) if plain => "the number",
        _ => return Ok(text.to_owned()),
    };
    Err(format!(
        "expected a string, found {found} {text} (quote it: \"{text}\")"
    ))
}

fn boolean(text: &str, plain: bool) -> Option<bool> {
    match (text, plain) {
        (_, true) => match numbers::resolve(text) {
            Plain::Bool(value) => Some(value),
            _ => None,
        },
        ("true", false) => Some(true),
        ("false", false) => Some(false),
        _ => None,
    }
}

fn enumeration(values: &EnumDescriptor, text: &str, plain: bool) -> Result<Value, String> {
    if let Some(value) = values.get_value_by_name(text) {
        return Ok(Value::EnumNumber(value.number()));
    }
    if let Some(value) = values
        .values()
        .find(|v| v.name().eq_ignore_ascii_case(text))
    {
        return Ok(Value::EnumNumber(value.number()));
    }
    let starts_like_a_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if starts_like_a_number
        && !text.contains('.')
        && let Some(Ok(number)) = numbers::integer(text, plain).map(i32::try_from)
    {
        return Ok(Value::EnumNumber(number));
    }
    let names: Vec<String> = values.values().map(|v| v.name().to_owned()).collect();
    let upper = text.to_ascii_uppercase();
    let hint = match nearest(&upper, names.iter().map(String::as_str)) {
        Some(near) => format!(" (did you mean {near}?)"),
        None if names.len() <= 8 => format!(" (one of {})", names.join(", ")),
        None => String::new(),
    };
    Err(format!(
        "{text:?} is no value of {}{hint}",
        values.full_name()
    ))
}

/// A map's key, which is always text.
pub fn map_key(kind: &Kind, text: &str) -> Option<MapKey> {
    match kind {
        Kind::String => Some(MapKey::String(text.to_owned())),
        Kind::Bool => boolean(text, false).map(MapKey::Bool),
        _ => match integer(kind, numbers::integer(text, false)?)? {
            Value::I32(n) => Some(MapKey::I32(n)),
            Value::I64(n) => Some(MapKey::I64(n)),
            Value::U32(n) => Some(MapKey::U32(n)),
            Value::U64(n) => Some(MapKey::U64(n)),
            _ => None,
        },
    }
}

/// What a node is, for messages.
pub fn describe(node: &Node<'_>) -> String {
    match node.kind() {
        tree::Kind::List(_) => "a list".to_owned(),
        tree::Kind::Map(_) => "an object".to_owned(),
        tree::Kind::Shared(node) => describe(node),
        tree::Kind::Scalar { .. } if node.is_null() => "null".to_owned(),
        tree::Kind::Scalar { text, plain } => {
            let mut short: String = text.chars().take(40).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            match numbers::resolve(text) {
                Plain::Bool(_) if *plain => format!("the boolean {short}"),
                Plain::Int(_) if *plain => format!("the number {short}"),
                _ => format!("{short:?}"),
            }
        }
    }
}

fn expectation(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "a string",
        Kind::Bytes => "base64",
        Kind::Bool => "true or false",
        Kind::Double | Kind::Float => "a number",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "an integer of 32 bits",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "an integer of 64 bits",
        Kind::Uint32 | Kind::Fixed32 => "an unsigned integer of 32 bits",
        Kind::Uint64 | Kind::Fixed64 => "an unsigned integer of 64 bits",
        Kind::Enum(_) => "a name of an enum",
        Kind::Message(_) => "an object",
    }
}

/// Standard or URL-safe alphabet, padding optional.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut out = Vec::with_capacity(digits.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let six = match digit {
            b'A'..=b'Z' => digit.wrapping_sub(b'A'),
            b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held = held.saturating_add(6);
        if held >= 8 {
            held = held.saturating_sub(8);
            out.push((bits >> held).to_le_bytes().first().copied()?);
        }
    }
    (held < 6 && text.len().saturating_sub(digits.len()) <= 2).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_forms() {
        assert_eq!(base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(base64("aGVsbG8").unwrap(), b"hello");
        assert_eq!(base64("_-8=").unwrap(), b"\xff\xef");
        assert_eq!(base64("a*"), None);
        assert_eq!(base64("a"), None);
        assert_eq!(base64("").unwrap(), b"");
    }
}
