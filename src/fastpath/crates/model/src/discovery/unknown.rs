//! `--ignore-unknown-dynamic-fields`: leaves out of a resource the fields that the API as we know it
//! does not have. A newer control plane sends such.

use prost_reflect::DynamicMessage;

use crate::{everywhere, schema, text};

/// The resource without them; `None`: it has none, or cannot be read, which others will say.
pub(super) fn strip(type_url: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let schema = schema::get();
    let descriptor = schema.message_of_url(type_url)?;
    let mut message = DynamicMessage::decode(descriptor, bytes).ok()?;
    let found = everywhere::change(&schema, &mut message, &mut |message| {
        message.take_unknown_fields().count() > 0
    });
    found.then(|| text::encode(&message))
}

#[cfg(test)]
mod tests {
    use prost_reflect::Value;

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
