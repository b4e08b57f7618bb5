//! Metadata that chooses endpoints: one namespace of `core.v3.Metadata`, values as JSON text.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

use crate::resources::cluster::Metadata;

/// The entries of `envoy.lb`, if it is there.
pub(super) fn load_balancing(message: &core::Metadata) -> Option<Metadata> {
    message.filter_metadata.get("envoy.lb").map(entries)
}

/// The fields of a struct, sorted by key.
fn entries(message: &Struct) -> Metadata {
    let mut entries: Metadata = message
        .fields
        .iter()
        .map(|(key, value)| (key.as_str().into(), json(value).to_string().into()))
        .collect();
    entries.sort_unstable();
    entries
}

/// `base` with the entries of `over` in place of its own.
pub(super) fn merge(base: &Metadata, over: Metadata) -> Metadata {
    let is_kept = |key: &str| over.iter().all(|(given, _)| &**given != key);
    let kept = base.iter().filter(|(key, _)| is_kept(key)).cloned();
    let mut merged: Metadata = kept.collect();
    merged.extend(over);
    merged.sort_unstable();
    merged
}

/// Objects come out with their keys sorted, so that equal values are equal texts.
fn json(value: &Value) -> serde_json::Value {
    match value.kind.as_ref() {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(number)) => (*number).into(),
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(fields)) => {
            let fields = fields
                .fields
                .iter()
                .map(|(key, value)| (key.clone(), json(value)));
            fields.collect::<BTreeMap<_, _>>().into_iter().collect()
        }
    }
}
