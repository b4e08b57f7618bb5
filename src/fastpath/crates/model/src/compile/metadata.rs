//! `Metadata` and `Struct`: the parts that endpoints and sockets are matched by.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as pb;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

use crate::resources::cluster::{EndpointMetadata, Metadata};
use crate::resources::istio::Workload;

pub(super) const TRANSPORT_SOCKET_MATCH: &str = "envoy.transport_socket_match";
pub(super) const ISTIO: &str = "istio";
const LB: &str = "envoy.lb";
/// Its value in `envoy.lb` is what RING_HASH and MAGLEV place a host by.
const HASH_KEY: &str = "hash_key";

/// Key and value of a struct, values as JSON text, sorted by key: equal structs, equal entries.
pub(super) fn entries(message: &Struct) -> Metadata {
    let mut entries: Metadata = message
        .fields
        .iter()
        .map(|(key, value)| (key.as_str().into(), json(value).to_string().into()))
        .collect();
    entries.sort_unstable();
    entries
}

/// The entries of `envoy.lb`, if it is there.
pub(super) fn load_balancing(message: &pb::Metadata) -> Option<Metadata> {
    message.filter_metadata.get(LB).map(entries)
}

/// What a weighted cluster asks of its hosts: its own over what is asked of all.
pub(super) fn inherit(
    own: Option<&pb::Metadata>,
    inherited: Option<&Metadata>,
) -> Option<Metadata> {
    match (own.and_then(load_balancing), inherited) {
        (Some(own), Some(inherited)) => Some(merge(inherited, own)),
        (own, inherited) => own.or_else(|| inherited.cloned()),
    }
}

/// `base` with the entries of `over` in place of its own.
fn merge(base: &Metadata, over: Metadata) -> Metadata {
    let is_kept = |key: &str| over.iter().all(|(given, _)| &**given != key);
    let kept = base.iter().filter(|(key, _)| is_kept(key)).cloned();
    let mut merged: Metadata = kept.collect();
    merged.extend(over);
    merged.sort_unstable();
    merged
}

/// What is asked of an endpoint's metadata; `None` if nothing of it is there.
pub(super) fn of_endpoint(message: Option<&pb::Metadata>) -> Option<Arc<EndpointMetadata>> {
    let filters = &message?.filter_metadata;
    let of = |name: &str| filters.get(name).map(entries).unwrap_or_default();
    let lb = filters.get(LB);
    let metadata = EndpointMetadata {
        transport_socket_match: of(TRANSPORT_SOCKET_MATCH),
        lb: of(LB),
        lb_lists: lb.map(lists).unwrap_or_default(),
        hash_key: lb.and_then(hash_key),
        workload: filters.get(ISTIO).and_then(workload),
    };
    (metadata != EndpointMetadata::default()).then(|| Arc::new(metadata))
}

/// The values that are lists, each by its elements.
fn lists(message: &Struct) -> Vec<(Box<str>, Vec<Box<str>>)> {
    let list = |(key, value): (&String, &Value)| match value.kind.as_ref() {
        Some(Kind::ListValue(list)) => {
            let elements = list.values.iter().map(|v| json(v).to_string().into());
            Some((key.as_str().into(), elements.collect()))
        }
        _ => None,
    };
    let mut lists: Vec<_> = message.fields.iter().filter_map(list).collect();
    lists.sort_unstable();
    lists
}

/// `workload` of `istio`.
fn workload(message: &Struct) -> Option<Arc<Workload>> {
    match message.fields.get("workload")?.kind.as_ref()? {
        Kind::StringValue(text) => Workload::of_endpoint(text).map(Arc::new),
        _ => None,
    }
}

fn hash_key(message: &Struct) -> Option<Box<str>> {
    match message.fields.get(HASH_KEY)?.kind.as_ref()? {
        Kind::StringValue(key) if !key.is_empty() => Some(key.as_str().into()),
        _ => None,
    }
}

/// Objects by key, so that one value is one text.
fn json(value: &Value) -> serde_json::Value {
    match value.kind.as_ref() {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(number)) => number_as_json(*number),
        Some(Kind::StringValue(text)) => text.as_str().into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(Kind::StructValue(message)) => {
            let mut fields: Vec<_> = message.fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            fields
                .into_iter()
                .map(|(key, value)| (key.clone(), json(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
    }
}

/// `1`, not `1.0`: whole numbers as far as a double holds all of them.
fn number_as_json(number: f64) -> serde_json::Value {
    const EXACT: f64 = (1_u64 << 53) as f64;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return (number as i64).into();
    }
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    #[test]
    fn entries_are_sorted_texts() {
        let inner = Struct {
            fields: [
                ("z".to_owned(), value(Kind::NumberValue(1.0))),
                ("a".to_owned(), value(Kind::BoolValue(true))),
            ]
            .into(),
        };
        let message = Struct {
            fields: [
                (
                    "tls".to_owned(),
                    value(Kind::StringValue("a\"b".to_owned())),
                ),
                ("s".to_owned(), value(Kind::StructValue(inner))),
            ]
            .into(),
        };
        let expected: Metadata = vec![
            ("s".into(), r#"{"a":true,"z":1}"#.into()),
            ("tls".into(), r#""a\"b""#.into()),
        ];
        assert_eq!(entries(&message), expected);
    }

    #[test]
    fn endpoints_have_what_is_asked_for() {
        let message = |name: &str| pb::Metadata {
            filter_metadata: [(
                name.to_owned(),
                Struct {
                    fields: [("k".to_owned(), value(Kind::StringValue("v".to_owned())))].into(),
                },
            )]
            .into(),
            ..pb::Metadata::default()
        };
        assert_eq!(of_endpoint(None), None);
        assert_eq!(of_endpoint(Some(&message("istio"))), None);
        let found = of_endpoint(Some(&message("envoy.lb"))).unwrap();
        assert_eq!(found.lb, [("k".into(), r#""v""#.into())]);
        assert!(found.transport_socket_match.is_empty());
    }
}
