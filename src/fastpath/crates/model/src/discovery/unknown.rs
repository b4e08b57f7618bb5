//! `--ignore-unknown-dynamic-fields`: leaves out of a resource the fields that the API as we know it
//! does not have. A newer control plane sends such.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::schema::{self, Schema, name_of_url};
use crate::text;

/// `Any`s in `Any`s: deeper ones stay as they are, and are refused for it.
const MAX_ANY_DEPTH: usize = 32;

/// The resource without them; `None`: it has none, or cannot be read, which others will say.
pub(super) fn strip(type_url: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let schema = schema::get();
    let descriptor = schema.message_of_url(type_url)?;
    let mut message = DynamicMessage::decode(descriptor, bytes).ok()?;
    let mut walk = Walk {
        schema: &schema,
        any_depth: 0,
    };
    walk.message(&mut message).then(|| text::encode(&message))
}

struct Walk<'s> {
    schema: &'s Schema,
    any_depth: usize,
}

impl Walk<'_> {
    /// Whether anything was left out.
    fn message(&mut self, message: &mut DynamicMessage) -> bool {
        if message.descriptor().full_name() == "google.protobuf.Any" {
            return self.any(message);
        }
        let mut found = message.take_unknown_fields().count() > 0;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{self, CLUSTER};
    use crate::testing::resource;

    const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

    #[test]
    fn fields_of_a_newer_api_are_left_out_wherever_they_are() {
        let plain = format!(
            "{{name: a, type: STATIC, typed_extension_protocol_options: {{{OPTIONS}: {{'@type': type.googleapis.com/{OPTIONS}, explicit_http_config: {{http2_protocol_options: {{}}}}}}}}}}"
        );
        let clean = resource(CLUSTER, &plain);
        assert_eq!(strip(CLUSTER, &clean), None);

        let schema = schema::get();
        let descriptor = schema.message_of_url(CLUSTER).unwrap();
        let mut message = DynamicMessage::decode(descriptor, clean.as_slice()).unwrap();
        // Field 1000 is a varint: at the end of the cluster, and of what is in its Any.
        let later = [0xc0, 0x3e, 0x01];
        let field = message.get_field_by_name_mut("typed_extension_protocol_options");
        let Some(Value::Map(map)) = field else {
            panic!()
        };
        for value in map.values_mut() {
            let Value::Message(any) = value else { panic!() };
            let Some(Value::Bytes(bytes)) = any.get_field_by_name_mut("value") else {
                panic!()
            };
            *bytes = [bytes.as_ref(), &later].concat().into();
        }
        let dirty = [text::encode(&message), later.to_vec()].concat();
        assert!(compile::cluster(&dirty).is_err());
        let stripped = strip(CLUSTER, &dirty).unwrap();
        assert!(compile::cluster(&stripped).is_ok());
        assert_eq!(stripped, clean);
        assert_eq!(strip(CLUSTER, &[0xff]), None);
    }
}
