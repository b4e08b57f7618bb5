//! Resource bytes → proto3 JSON with Envoy's field names, secrets redacted, for `/config_dump`.

use std::fmt::Write as _;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use crate::schema::{self, Schema, name_of_url};

/// What Envoy writes for a sensitive string; and the same in base64, for bytes.
const REDACTED: &str = "[redacted]";
const REDACTED_BYTES: &str = "W3JlZGFjdGVkXQ==";

/// The JSON of a resource, or why the bytes are none.
pub fn to_json(type_url: &str, bytes: &[u8]) -> Result<String, String> {
    Ok(written(type_url, bytes)?.0)
}

/// Whether a resource has a secret in it, and not only the name of a file that has. Of what is no
/// such resource nothing is known: true.
#[must_use]
pub fn holds_secrets(type_url: &str, bytes: &[u8]) -> bool {
    written(type_url, bytes).map_or(true, |(_, found)| found)
}

/// The JSON, and whether anything in it is redacted that is no file's name.
fn written(type_url: &str, bytes: &[u8]) -> Result<(String, bool), String> {
    let schema = schema::get();
    let descriptor = schema
        .message_of_url(type_url)
        .ok_or_else(|| format!("no descriptor of {type_url}"))?;
    let message = DynamicMessage::decode(descriptor, bytes).map_err(|error| error.to_string())?;
    let mut writer = Writer {
        schema: &schema,
        out: String::new(),
        found: false,
    };
    writer.message(&message, None, false);
    Ok((writer.out, writer.found))
}

struct Writer<'s> {
    schema: &'s Schema,
    out: String,
    /// Something was redacted that is no file's name.
    found: bool,
}

impl Writer<'_> {
    /// `type_url`: of the `Any` that holds the message.
    fn message(&mut self, message: &DynamicMessage, type_url: Option<&str>, secret: bool) {
        let descriptor = message.descriptor();
        if descriptor.full_name().starts_with("google.protobuf.") {
            match type_url {
                None => return self.well_known(message, secret),
                Some(url) => {
                    self.out.push_str("{\"@type\":");
                    self.string(url);
                    self.out.push_str(",\"value\":");
                    self.well_known(message, secret);
                    self.out.push('}');
                    return;
                }
            }
        }
        self.out.push('{');
        let mut first = true;
        if let Some(url) = type_url {
            self.out.push_str("\"@type\":");
            self.string(url);
            first = false;
        }
        let plan = self.schema.plan(&descriptor);
        for (field, value) in message.fields() {
            let secret = secret
                || plan
                    .field(field.number())
                    .is_some_and(|plan| plan.sensitive);
            self.found |= secret && is_secret_itself(&field, value);
            if secret && !is_shown_when_secret(value) {
                continue;
            }
            if !std::mem::take(&mut first) {
                self.out.push(',');
            }
            self.string(field.name());
            self.out.push(':');
            self.field(&field, value, secret);
        }
        self.out.push('}');
    }

    fn field(&mut self, field: &FieldDescriptor, value: &Value, secret: bool) {
        let kind = field.kind();
        match value {
            Value::List(items) => {
                self.list(items, |writer, item| writer.value(&kind, item, secret));
            }
            Value::Map(map) => {
                let Kind::Message(entry) = kind else { return };
                let value_kind = entry.map_entry_value_field().kind();
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                self.object(&entries, |writer, value| {
                    writer.value(&value_kind, value, secret)
                });
            }
            value => self.value(&kind, value, secret),
        }
    }

    fn list(&mut self, items: &[Value], mut each: impl FnMut(&mut Self, &Value)) {
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            each(self, item);
        }
        self.out.push(']');
    }

    fn object(&mut self, entries: &[(&MapKey, &Value)], mut each: impl FnMut(&mut Self, &Value)) {
        self.out.push('{');
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            match key {
                MapKey::String(text) => self.string(text),
                MapKey::Bool(value) => self.quoted(value),
                MapKey::I32(number) => self.quoted(number),
                MapKey::I64(number) => self.quoted(number),
                MapKey::U32(number) => self.quoted(number),
                MapKey::U64(number) => self.quoted(number),
            }
            self.out.push(':');
            each(self, value);
        }
        self.out.push('}');
    }

    fn value(&mut self, kind: &Kind, value: &Value, secret: bool) {
        match value {
            Value::String(_) if secret => self.string(REDACTED),
            Value::Bytes(_) if secret => self.string(REDACTED_BYTES),
            Value::Message(message) => self.message(message, None, secret),
            Value::Bool(value) => self.plain(value),
            Value::I32(number) => self.plain(number),
            Value::U32(number) => self.plain(number),
            Value::I64(number) => self.quoted(number),
            Value::U64(number) => self.quoted(number),
            Value::F32(number) => self.float((*number).into(), number),
            Value::F64(number) => self.float(*number, number),
            Value::String(text) => self.string(text),
            Value::Bytes(bytes) => {
                let text = base64(bytes);
                self.string(&text);
            }
            Value::EnumNumber(number) => {
                let name = kind.as_enum().and_then(|values| values.get_value(*number));
                match name {
                    Some(value) => self.string(value.name()),
                    None => self.plain(number),
                }
            }
            Value::List(_) | Value::Map(_) => {}
        }
    }

    fn well_known(&mut self, message: &DynamicMessage, secret: bool) {
        let field = |name: &str| message.get_field_by_name(name);
        let descriptor = message.descriptor();
        match descriptor.name() {
            "Any" => self.any(message, secret),
            "Duration" => {
                let seconds = field("seconds").and_then(|v| v.as_i64()).unwrap_or(0);
                let nanos = field("nanos").and_then(|v| v.as_i32()).unwrap_or(0);
                let text = duration(seconds, nanos);
                self.string(&text);
            }
            "Struct" => match field("fields").as_deref() {
                Some(Value::Map(map)) => {
                    let mut entries: Vec<_> = map.iter().collect();
                    entries.sort_unstable_by_key(|(key, _)| *key);
                    self.object(&entries, |writer, value| {
                        if let Value::Message(value) = value {
                            writer.well_known(value, secret);
                        }
                    });
                }
                _ => self.out.push_str("{}"),
            },
            "ListValue" => match field("values").as_deref() {
                Some(Value::List(items)) => self.list(items, |writer, item| {
                    if let Value::Message(item) = item {
                        writer.well_known(item, secret);
                    }
                }),
                _ => self.out.push_str("[]"),
            },
            "Value" => match message.fields().next() {
                Some((field, value)) if field.name() != "null_value" => {
                    self.value(&field.kind(), value, secret);
                }
                _ => self.out.push_str("null"),
            },
            name if name.ends_with("Value") => {
                if let (Some(field), Some(value)) =
                    (descriptor.get_field_by_name("value"), field("value"))
                {
                    self.value(&field.kind(), &value, secret);
                }
            }
            _ => {
                self.out.push('{');
                for (index, (field, value)) in message.fields().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.string(field.name());
                    self.out.push(':');
                    self.field(&field, value, secret);
                }
                self.out.push('}');
            }
        }
    }

    fn any(&mut self, any: &DynamicMessage, secret: bool) {
        let url = any.get_field_by_name("type_url");
        let url = url.as_deref().and_then(Value::as_str).unwrap_or("");
        let value = any.get_field_by_name("value");
        let bytes = value
            .as_deref()
            .and_then(Value::as_bytes)
            .cloned()
            .unwrap_or_default();
        let descriptor = name_of_url(url).and_then(|name| self.schema.message(name));
        let message = descriptor.and_then(|d| DynamicMessage::decode(d, bytes.as_ref()).ok());
        match message {
            Some(message) => self.message(&message, Some(url), secret),
            None => {
                self.out.push_str("{\"@type\":");
                self.string(url);
                self.out.push_str(",\"value\":");
                self.found |= secret;
                let text = if secret {
                    REDACTED_BYTES.to_owned()
                } else {
                    base64(&bytes)
                };
                self.string(&text);
                self.out.push('}');
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                c if c < ' ' || c == '\u{7f}' => {
                    // Writing to a String cannot fail.
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn plain(&mut self, value: &impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn quoted(&mut self, value: &impl std::fmt::Display) {
        let _ = write!(self.out, "\"{value}\"");
    }

    fn float(&mut self, value: f64, shown: &impl std::fmt::Display) {
        if value.is_finite() {
            self.plain(shown);
        } else if value.is_nan() {
            self.string("NaN");
        } else {
            self.string(if value > 0.0 { "Infinity" } else { "-Infinity" });
        }
    }
}

/// Whether a value in a secret gives it away; where it is kept does not.
fn is_secret_itself(field: &FieldDescriptor, value: &Value) -> bool {
    let is_place = field.parent_message().full_name() == "envoy.config.core.v3.DataSource"
        && matches!(field.name(), "filename" | "environment_variable");
    !is_place && !matches!(value, Value::Message(_))
}

/// Envoy leaves secret numbers out and redacts inside messages.
fn is_shown_when_secret(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Bytes(_) | Value::Message(_) => true,
        Value::List(items) => items.iter().any(is_shown_when_secret),
        Value::Map(map) => map.values().any(is_shown_when_secret),
        _ => false,
    }
}

fn duration(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    if nanos == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{nanos:09}");
    // Three, six or nine digits, as protobuf writes them.
    let kept = match fraction.trim_end_matches('0').len() {
        0..=3 => 3,
        4..=6 => 6,
        _ => 9,
    };
    format!(
        "{sign}{seconds}.{}s",
        fraction.get(..kept).unwrap_or(&fraction)
    )
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for (at, shift) in [18_u32, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from((bits >> shift) & 63)
                .ok()
                .and_then(|d| ALPHABET.get(d));
            let padded = at > chunk.len();
            out.push(if padded {
                '='
            } else {
                char::from(digit.copied().unwrap_or(b'='))
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_and_durations() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            (REDACTED, REDACTED_BYTES),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(duration(1, 500_000_000), "1.500s");
        assert_eq!(duration(0, -1), "-0.000000001s");
        assert_eq!(duration(15, 0), "15s");
    }

    #[test]
    fn only_secrets_themselves_are_secrets() {
        use super::holds_secrets;
        use crate::compile::{CLUSTER, SECRET};
        let secret = |key: &str| {
            let pair = format!("{{certificate_chain: {{filename: /a}}, private_key: {key}}}");
            let yaml = format!("{{name: s, tls_certificate: {pair}}}");
            holds_secrets(SECRET, &crate::testing::resource(SECRET, &yaml))
        };
        assert!(secret("{inline_string: key}") && secret("{inline_bytes: a2V5}"));
        assert!(!secret("{filename: /b}"));
        let plain = crate::testing::resource(CLUSTER, "{name: a, type: STATIC}");
        assert!(!holds_secrets(CLUSTER, &plain));
        assert!(holds_secrets(CLUSTER, &[0xff]));
    }
}
