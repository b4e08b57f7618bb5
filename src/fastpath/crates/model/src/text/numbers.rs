//! What plain YAML scalars mean to Envoy (yaml-cpp's rules) and how proto3 JSON reads numbers.

/// A plain scalar, resolved as Envoy's YAML loader does.
#[derive(Debug, PartialEq, Eq)]
pub enum Plain {
    Bool(bool),
    /// Fits 32 bits: larger integers, and all floats, stay text there and are accepted as both.
    Int(i64),
    Text,
}

pub fn resolve(text: &str) -> Plain {
    if let Some(value) = yaml_bool(text) {
        return Plain::Bool(value);
    }
    match yaml_int(text) {
        Some(value) if i32::try_from(value).is_ok() => Plain::Int(value),
        _ => Plain::Text,
    }
}

/// y/n, yes/no, on/off, true/false: lower case, UPPER CASE or Capitalised.
fn yaml_bool(text: &str) -> Option<bool> {
    let first = text.as_bytes().first()?;
    if text.len() > 5 || !first.is_ascii_alphabetic() {
        return None;
    }
    let (_, rest) = text.split_at_checked(1)?;
    let lower = !rest.bytes().any(|b| b.is_ascii_uppercase());
    let upper = !rest.bytes().any(|b| b.is_ascii_lowercase()) && first.is_ascii_uppercase();
    if !lower && !upper {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" | "true" => Some(true),
        "n" | "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// Decimal, `0x` hexadecimal or `0` octal, with a sign.
fn yaml_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, text.strip_prefix('-')?),
        [b'+', ..] => (false, text.strip_prefix('+')?),
        _ => (false, text),
    };
    if !digits.as_bytes().first()?.is_ascii_digit() {
        return None;
    }
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let value = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => parse_digits(hex, 16)?,
        (None, Some(octal)) if !octal.is_empty() => parse_digits(octal, 8)?,
        _ => parse_digits(digits, 10)?,
    };
    if negative {
        value.checked_neg()
    } else {
        Some(value)
    }
}

fn parse_digits(text: &str, radix: u32) -> Option<i64> {
    // `from_str_radix` takes a sign, which was taken already.
    if !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(text, radix).ok()
}

/// An integer as proto3 JSON takes it: also `9.0` and `1e2`, in or out of quotes.
pub fn integer(text: &str, plain: bool) -> Option<i128> {
    if plain && let Some(value) = yaml_int(text) {
        return Some(value.into());
    }
    let bytes = text.as_bytes();
    let starts = matches!(bytes, [b'-', b'0'..=b'9', ..] | [b'0'..=b'9', ..]);
    if starts && let Ok(value) = text.parse::<i128>() {
        return Some(value);
    }
    let value = json_float(text)?;
    // Beyond 2^53 a float is no exact integer.
    if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
        #[allow(clippy::cast_possible_truncation)] // Checked just above.
        return Some(value as i128);
    }
    None
}

/// A floating-point number as proto3 JSON takes it.
pub fn float(text: &str, plain: bool) -> Option<f64> {
    match text {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(f64::INFINITY),
        "-Infinity" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    if plain && let Some(value) = yaml_int(text) {
        #[allow(clippy::cast_precision_loss)] // What a JSON number would lose as well.
        return Some(value as f64);
    }
    json_float(text)
}

/// JSON's grammar of numbers: no `inf`, no `_`, a digit on both sides of the dot.
fn json_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let digits = unsigned.first()?.is_ascii_digit() && unsigned.last()?.is_ascii_digit();
    let known = |b: &u8| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    if !digits || !unsigned.iter().all(known) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_as_envoy_1_40_reads_them() {
        for (text, want) in [
            ("yes", Plain::Bool(true)),
            ("y", Plain::Bool(true)),
            ("OFF", Plain::Bool(false)),
            ("True", Plain::Bool(true)),
            ("tRue", Plain::Text),
            ("80", Plain::Int(80)),
            ("0x1f", Plain::Int(31)),
            ("010", Plain::Int(8)),
            ("0o10", Plain::Text),
            ("+5", Plain::Int(5)),
            ("-9", Plain::Int(-9)),
            ("1.5", Plain::Text),
            ("4294967296", Plain::Text),
            ("1_0", Plain::Text),
            ("08", Plain::Text),
            ("x", Plain::Text),
        ] {
            assert_eq!(resolve(text), want, "{text}");
        }
    }

    #[test]
    fn integers() {
        for (text, plain, want) in [
            ("9", true, Some(9)),
            ("9.0", true, Some(9)),
            ("1e2", true, Some(100)),
            ("1e2", false, Some(100)),
            ("0x9", true, Some(9)),
            ("0x9", false, None),
            ("1.5", true, None),
            ("+9", true, Some(9)),
            ("+9", false, None),
            ("18446744073709551615", false, Some(u64::MAX.into())),
            (" 9", false, None),
            ("", false, None),
        ] {
            assert_eq!(integer(text, plain), want, "{text} {plain}");
        }
    }
}
