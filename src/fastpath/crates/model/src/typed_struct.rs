//! Configurations that come as `TypedStruct`, a message written as JSON: what Istio sends where its
//! control plane does not have the message.

use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::everywhere;
use crate::json;
use crate::problem::Problem;
use crate::schema::{Schema, name_of_url};
use crate::text::{self, Document};

const NAMES: [&str; 2] = ["udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"];
const STRUCT: &str = "type.googleapis.com/google.protobuf.Struct";

#[derive(Clone, PartialEq, Message)]
struct TypedStruct {
    #[prost(string, tag = "1")]
    type_url: String,
    /// A `google.protobuf.Struct`, which is on the wire what its bytes are.
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// Whether it is worth the look.
pub fn may_be_in(bytes: &[u8]) -> bool {
    let name = b"TypedStruct";
    bytes.windows(name.len()).any(|part| part == name)
}

/// Puts in their place the messages that they stand for. False: there were none.
///
/// # Errors
/// They are no such messages.
pub fn replace(schema: &Schema, message: &mut DynamicMessage) -> Result<bool, Vec<Problem>> {
    let mut problems = Vec::new();
    let found = everywhere::change(
        schema,
        message,
        &mut |message| match of_any(schema, message) {
            Ok(Some((type_url, value))) => {
                message.set_field_by_name("type_url", Value::String(type_url));
                message.set_field_by_name("value", Value::Bytes(value.into()));
                true
            }
            Ok(None) => false,
            Err(reason) => {
                problems.push(Problem {
                    path: String::new(),
                    reason,
                });
                false
            }
        },
    );
    if problems.is_empty() {
        return Ok(found);
    }
    Err(problems)
}

/// The type and the bytes of the message that a `TypedStruct` stands for.
fn of_any(schema: &Schema, message: &DynamicMessage) -> Result<Option<(String, Vec<u8>)>, String> {
    if message.descriptor().full_name() != "google.protobuf.Any" {
        return Ok(None);
    }
    let url = message.get_field_by_name("type_url");
    let name = url.as_deref().and_then(Value::as_str).and_then(name_of_url);
    if !name.is_some_and(|name| NAMES.contains(&name)) {
        return Ok(None);
    }
    let value = message.get_field_by_name("value");
    let bytes = value.as_deref().and_then(Value::as_bytes);
    let bytes: &[u8] = bytes.map(AsRef::as_ref).unwrap_or_default();
    let read = TypedStruct::decode(bytes);
    let TypedStruct { type_url, value } = read.map_err(|why| format!("TypedStruct: {why}"))?;
    let Some(descriptor) = schema.message_of_url(&type_url) else {
        // It is refused by its name.
        return Ok(Some((type_url, Vec::new())));
    };
    let wrong = |why: &str| format!("TypedStruct of {type_url}: {why}");
    let json = json::to_json(STRUCT, &value).map_err(|why| wrong(&why))?;
    let document = Document::parse(json.as_bytes(), "TypedStruct");
    let message = document.and_then(|document| document.message(schema, &descriptor));
    let message = message.map_err(|problems| {
        let reasons: Vec<_> = problems.iter().map(|p| wrong(&p.to_string())).collect();
        reasons.join("; ")
    })?;
    Ok(Some((type_url, text::encode(&message))))
}

#[cfg(test)]
mod tests {
    use crate::compile::{self, CLUSTER};
    use crate::testing::resource;

    fn cluster(value: &str) -> Vec<u8> {
        let filter = format!(
            "{{name: istio.metadata_exchange, typed_config: {{'@type': type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange, value: {value}}}}}"
        );
        resource(
            CLUSTER,
            &format!("{{name: a, type: STATIC, filters: [{filter}]}}"),
        )
    }

    #[test]
    fn it_is_what_it_stands_for() {
        let sent =
            "{protocol: istio-peer-exchange, enable_discovery: true, additional_labels: [role]}";
        let compiled = compile::cluster(&cluster(sent)).unwrap();
        let exchange = compiled.resource.exchange.clone().unwrap();
        assert_eq!(&*exchange.protocol, "istio-peer-exchange");
        assert_eq!(exchange.additional_labels, ["role".into()]);
    }

    #[test]
    fn what_it_does_not_stand_for_is_refused_by_name() {
        let refused = |bytes: &[u8]| {
            let problems = compile::cluster(bytes).map(|_| ()).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<String>()
        };
        let reason = refused(&cluster("{protocoll: x}"));
        assert!(
            reason.contains("MetadataExchange: ") && reason.contains("protocoll"),
            "{reason}"
        );
        let other = resource(
            CLUSTER,
            "{name: a, type: STATIC, filters: [{name: f, typed_config: {'@type': type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/some.Other, value: {}}}]}",
        );
        let reason = refused(&other);
        assert!(reason.contains("some.Other"), "{reason}");
    }
}
