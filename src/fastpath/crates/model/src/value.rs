//! Structured values (`google.protobuf.Value`) and JSON, as protobuf reads and prints it: a name
//! given twice, or too much depth, is no JSON.

use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::matching::metadata::Structured;

/// Values in values, at most.
const MAX_DEPTH: usize = 100;

impl Structured {
    /// A JSON object; `None`: it is none.
    #[must_use]
    pub fn from_json(text: &[u8]) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Seed { depth: MAX_DEPTH }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        matches!(value, Self::Struct(_)).then_some(value)
    }

    /// A field of a struct.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Struct(fields) = self else {
            return None;
        };
        let at = fields.binary_search_by(|(known, _)| (**known).cmp(name));
        fields.get(at.ok()?).map(|(_, value)| value)
    }

    /// What is at the end of a path of names; of an empty path it is the value itself.
    #[must_use]
    pub fn descend<'n>(&self, path: impl IntoIterator<Item = &'n str>) -> Option<&Self> {
        path.into_iter().try_fold(self, Self::get)
    }
}

/// With 15 digits, or 17 where these are not the number.
pub fn write_number(number: f64, out: &mut String) {
    let short = significant(number, 15);
    if short.parse() == Ok(number) {
        out.push_str(&short);
    } else {
        out.push_str(&significant(number, 17));
    }
}

/// `%.<digits>g` of C.
fn significant(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    let scientific = format!("{number:.*e}", digits.saturating_sub(1));
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = i32::try_from(digits)
        .unwrap_or(i32::MAX)
        .saturating_sub(1)
        .saturating_sub(exponent);
    let without_zeroes = |text: &str| -> String {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    match usize::try_from(places) {
        Ok(places) if exponent >= -4 => without_zeroes(&format!("{number:.places$}")),
        _ => {
            let mut text = without_zeroes(mantissa);
            let sign = if exponent < 0 { '-' } else { '+' };
            // Writing to a string cannot fail.
            let _ = write!(text, "e{sign}{:02}", exponent.unsigned_abs());
            text
        }
    }
}

/// Reads a value whose depth is bounded.
#[derive(Clone, Copy)]
struct Seed {
    depth: usize,
}

impl Seed {
    fn inside<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom("too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Structured;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Structured, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Structured;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Structured, E> {
        Ok(Structured::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Structured, E> {
        Ok(Structured::Bool(flag))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Structured, E> {
        Ok(Structured::Number(number))
    }

    #[allow(clippy::cast_precision_loss)] // Protobuf's numbers are doubles.
    fn visit_u64<E>(self, number: u64) -> Result<Structured, E> {
        Ok(Structured::Number(number as f64))
    }

    #[allow(clippy::cast_precision_loss)] // As above.
    fn visit_i64<E>(self, number: i64) -> Result<Structured, E> {
        Ok(Structured::Number(number as f64))
    }

    fn visit_str<E>(self, text: &str) -> Result<Structured, E> {
        Ok(Structured::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Structured, A::Error> {
        let inside = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(inside)? {
            values.push(value);
        }
        Ok(Structured::List(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Structured, A::Error> {
        let inside = self.inside()?;
        let mut fields = Vec::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inside)?;
            fields.push((name.into_boxed_str(), value));
        }
        fields.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        if fields.is_sorted_by(|(a, _), (b, _)| a < b) {
            Ok(Structured::Struct(fields.into()))
        } else {
            Err(A::Error::custom("a name is there twice"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Structured> {
        Structured::from_json(text.as_bytes())
    }

    #[test]
    fn fields_are_found_by_name() {
        let fields = read(r#" {"b": [1, "x\n", null], "a": {"z": true, "y": 1.5}} "#).unwrap();
        assert_eq!(fields.descend(["a", "z"]), Some(&Structured::Bool(true)));
        assert_eq!(fields.descend(["a", "x"]), None);
        assert_eq!(fields.descend(["b", "x"]), None);
        assert_eq!(fields.descend([]), Some(&fields));
        let list = [
            Structured::Number(1.0),
            Structured::Text("x\n".into()),
            Structured::Null,
        ];
        assert_eq!(fields.get("b"), Some(&Structured::List(list.into())));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{} x",
            r#"{"a": 1, "a": 2}"#,
            r#"{"a": {"b": 1, "b": 1}}"#,
            r#"{"a": 01}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": NaN}"#,
            r#"{"a": "\ud83d"}"#,
            &deep(MAX_DEPTH + 1),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read(&deep(MAX_DEPTH)).is_some());
        assert_eq!(Structured::from_json(b"{\"a\": \"\xff\"}"), None);
    }

    #[test]
    fn numbers_are_those_of_c() {
        for (number, text) in [
            (0.0, "0"),
            (-2.0, "-2"),
            (0.1, "0.1"),
            (1.5, "1.5"),
            (4_102_444_800.5, "4102444800.5"),
            (1e15, "1e+15"),
            (1e21, "1e+21"),
            (1e-4, "0.0001"),
            (1e-7, "1e-07"),
            (1.5e300, "1.5e+300"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            let mut out = String::new();
            write_number(number, &mut out);
            assert_eq!(out, text);
        }
    }
}
