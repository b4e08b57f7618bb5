//! The well-known types that proto3 JSON writes in their own ways.

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

use super::message::Converter;
use super::numbers::{self, Plain};
use super::tree::{self, Node};

/// The range of `google.protobuf.Duration`.
const MAX_SECONDS: i64 = 315_576_000_000;

impl Converter<'_> {
    pub(super) fn well_known(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let is_map = matches!(node.kind(), tree::Kind::Map(_));
        match descriptor.name() {
            "Any" => self.any(descriptor, node),
            "Struct" => self.struct_message(descriptor, node),
            "Value" => self.value_message(descriptor, node),
            "ListValue" => self.list_value(descriptor, node),
            // `{value: 1}` and `{seconds: 1}` are accepted too, as Envoy does.
            "Duration" if !is_map => self.duration(descriptor, node),
            name if name.ends_with("Value") && !is_map => self.wrapper(descriptor, node),
            _ => self.plain_message(descriptor, node),
        }
    }

    fn wrapper(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let field = descriptor.get_field_by_name("value")?;
        let value = self.value(&field.kind(), node)?;
        one_field(descriptor, "value", value)
    }

    fn duration(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let parsed = match node.kind() {
            tree::Kind::Scalar { text, .. } => parse_duration(text),
            _ => None,
        };
        let Some((seconds, nanos)) = parsed else {
            let found = super::scalar::describe(node);
            self.report(
                node.mark,
                format!("expected a duration like 1.5s, found {found}"),
            );
            return None;
        };
        let mut message = one_field(descriptor, "seconds", Value::I64(seconds))?;
        message
            .try_set_field_by_name("nanos", Value::I32(nanos))
            .ok()?;
        Some(message)
    }

    fn struct_message(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let tree::Kind::Map(entries) = node.kind() else {
            let found = super::scalar::describe(node);
            self.report(node.mark, format!("expected an object, found {found}"));
            return None;
        };
        let Kind::Message(entry) = descriptor.get_field_by_name("fields")?.kind() else {
            return None;
        };
        let value_kind = entry.map_entry_value_field().kind();
        let fields = self.struct_fields(entries, &value_kind)?;
        one_field(descriptor, "fields", fields)
    }

    /// `google.protobuf.Value`: anything.
    fn value_message(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let nested = |name: &str| match descriptor.get_field_by_name(name)?.kind() {
            Kind::Message(message) => Some(message),
            _ => None,
        };
        let (name, value) = match node.kind() {
            tree::Kind::Map(_) => {
                let message = self.struct_message(&nested("struct_value")?, node)?;
                ("struct_value", Value::Message(message))
            }
            tree::Kind::List(_) => {
                let message = self.list_value(&nested("list_value")?, node)?;
                ("list_value", Value::Message(message))
            }
            tree::Kind::Scalar { .. } if node.is_null() => ("null_value", Value::EnumNumber(0)),
            tree::Kind::Scalar { text, plain } => match numbers::resolve(text) {
                Plain::Bool(value) if *plain => ("bool_value", Value::Bool(value)),
                #[allow(clippy::cast_precision_loss)] // It fits 32 bits.
                Plain::Int(value) if *plain => ("number_value", Value::F64(value as f64)),
                _ => ("string_value", Value::String(text.as_ref().to_owned())),
            },
            tree::Kind::Shared(shared) => return self.value_message(descriptor, shared),
        };
        one_field(descriptor, name, value)
    }

    fn list_value(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let tree::Kind::List(items) = node.kind() else {
            let found = super::scalar::describe(node);
            self.report(node.mark, format!("expected a list, found {found}"));
            return None;
        };
        let kind = descriptor.get_field_by_name("values")?.kind();
        let values: Option<Vec<Value>> = items.iter().map(|item| self.value(&kind, item)).collect();
        one_field(descriptor, "values", Value::List(values?))
    }
}

fn one_field(descriptor: &MessageDescriptor, name: &str, value: Value) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    message.try_set_field_by_name(name, value).ok()?;
    Some(message)
}

/// `-?digits[.1 to 9 digits]s`.
fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|s| *s <= MAX_SECONDS)?;
    let nanos: i32 = match fraction {
        None => 0,
        Some(fraction) if digits(fraction) && fraction.len() <= 9 => {
            format!("{fraction:0<9}").parse().ok()?
        }
        Some(_) => return None,
    };
    if negative {
        Some((seconds.checked_neg()?, nanos.checked_neg()?))
    } else {
        Some((seconds, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_envoy_1_40_reads_them() {
        for (text, want) in [
            ("1.5s", Some((1, 500_000_000))),
            ("0s", Some((0, 0))),
            ("-1s", Some((-1, 0))),
            ("0.000000001s", Some((0, 1))),
            ("1", None),
            ("1ms", None),
            (".5s", None),
            ("1.s", None),
            ("1.0123456789s", None),
            ("315576000001s", None),
        ] {
            assert_eq!(parse_duration(text), want, "{text}");
        }
    }
}
