//! What we implement, field by field: everything else is refused by name, never ignored in
//! silence. The list itself is in `table`, a file for each area of Envoy's API.

pub mod table;

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{FieldDescriptor, Value};

use table::{Entry, TABLE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Implemented,
    /// Safe to ignore, for the reason in the table.
    Ignored,
    /// Implemented as far as it says what is so anyway (`false`, 0, empty).
    DefaultOnly,
    Missing,
}

/// The table's entry of a message.
pub(crate) fn find(full_name: &str) -> Option<&'static Entry> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Entry>> = LazyLock::new(|| {
        let entries = TABLE.iter().copied().flatten();
        entries.map(|entry| (entry.message, entry)).collect()
    });
    BY_NAME.get(full_name).copied()
}

pub(crate) fn of_field(entry: Option<&Entry>, field: &FieldDescriptor) -> Support {
    let Some(entry) = entry else {
        return Support::Missing;
    };
    let name = field.name();
    if entry.implemented.contains(&name) {
        Support::Implemented
    } else if entry.ignored.iter().any(|(ignored, _)| *ignored == name) {
        Support::Ignored
    } else if entry.default_only.contains(&name) {
        Support::DefaultOnly
    } else {
        Support::Missing
    }
}

/// Whether a value says "off": `false`, 0, "", or a message with nothing but such in it.
pub(crate) fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::I32(number) | Value::EnumNumber(number) => *number == 0,
        Value::U32(number) => *number == 0,
        Value::U64(number) => *number == 0,
        Value::I64(number) => *number == 0,
        Value::F32(number) => *number == 0.0,
        Value::F64(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Message(message) => message.fields().all(|(_, value)| is_off(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    #[test]
    fn the_table_names_real_fields_once_and_gives_reasons() {
        let schema = schema::get();
        let mut messages = std::collections::HashSet::new();
        for entry in TABLE.iter().copied().flatten() {
            let name = entry.message;
            assert!(messages.insert(name), "{name} is listed twice");
            let message = schema
                .message(name)
                .unwrap_or_else(|| panic!("no message {name}"));
            let mut fields = std::collections::HashSet::new();
            let ignored = entry.ignored.iter().map(|(field, _)| field);
            for field in entry
                .implemented
                .iter()
                .chain(ignored)
                .chain(entry.default_only)
            {
                assert!(fields.insert(field), "{name}.{field} is listed twice");
                assert!(
                    message.get_field_by_name(field).is_some(),
                    "no field {name}.{field}"
                );
            }
            assert!(entry.ignored.iter().all(|(_, reason)| !reason.is_empty()));
        }
    }
}
