//! Changes messages wherever they are inside another, through `Any`.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::schema::{Schema, name_of_url};
use crate::text;

/// `Any`s in `Any`s: deeper ones stay as they are, and are refused for it.
const MAX_ANY_DEPTH: usize = 32;

/// Calls `change` with a message and then with those in it, `Any`s too; whether it said of any that
/// it is another now.
pub fn change(
    schema: &Schema,
    message: &mut DynamicMessage,
    change: &mut dyn FnMut(&mut DynamicMessage) -> bool,
) -> bool {
    let mut walk = Walk {
        schema,
        change,
        any_depth: 0,
    };
    walk.message(message)
}

struct Walk<'w> {
    schema: &'w Schema,
    change: &'w mut dyn FnMut(&mut DynamicMessage) -> bool,
    any_depth: usize,
}

impl Walk<'_> {
    fn message(&mut self, message: &mut DynamicMessage) -> bool {
        let mut found = (self.change)(message);
        if message.descriptor().full_name() == "google.protobuf.Any" {
            return found | self.any(message);
        }
        for (_, value) in message.fields_mut() {
            found |= self.value(value);
        }
        found
    }

    fn value(&mut self, value: &mut Value) -> bool {
        let mut found = false;
        match value {
            Value::Message(message) => found |= self.message(message),
            Value::List(items) => items.iter_mut().for_each(|item| found |= self.value(item)),
            Value::Map(map) => map
                .values_mut()
                .for_each(|value| found |= self.value(value)),
            _ => {}
        }
        found
    }

    fn any(&mut self, any: &mut DynamicMessage) -> bool {
        if self.any_depth >= MAX_ANY_DEPTH {
            return false;
        }
        let descriptor = {
            let url = any.get_field_by_name("type_url");
            let name = url.as_deref().and_then(Value::as_str).and_then(name_of_url);
            name.and_then(|name| self.schema.message(name))
        };
        let Some(Value::Bytes(bytes)) = any.get_field_by_name_mut("value") else {
            return false;
        };
        let decoded = descriptor.and_then(|d| DynamicMessage::decode(d, bytes.as_ref()).ok());
        let Some(mut message) = decoded else {
            return false;
        };
        self.any_depth = self.any_depth.saturating_add(1);
        let found = self.message(&mut message);
        self.any_depth = self.any_depth.saturating_sub(1);
        if found {
            *bytes = text::encode(&message).into();
        }
        found
    }
}
