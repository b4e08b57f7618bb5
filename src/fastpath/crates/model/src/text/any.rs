//! `google.protobuf.Any`: the fields of the message that `@type` names, beside it.

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

use super::encode::encode;
use super::message::Converter;
use super::tree::{self, Entry, Node};
use crate::check::not_implemented;
use crate::schema::name_of_url;

impl Converter<'_> {
    pub(super) fn any(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let tree::Kind::Map(entries) = node.kind() else {
            let found = super::scalar::describe(node);
            self.report(
                node.mark,
                format!("expected an object with \"@type\", found {found}"),
            );
            return None;
        };
        let Some(typed) = entries.iter().find(|entry| entry.key == "@type") else {
            self.report(
                node.mark,
                "an object with \"@type\" is needed: the message's type URL",
            );
            return None;
        };
        let tree::Kind::Scalar { text: type_url, .. } = typed.value.kind() else {
            self.report(typed.mark, "\"@type\" is no string");
            return None;
        };
        let Some(name) = name_of_url(type_url) else {
            let reason = format!("{type_url:?} is no type URL (type.googleapis.com/<message>)");
            self.report(typed.value.mark, reason);
            return None;
        };
        let Some(inner) = self.schema.message(name) else {
            let reason = not_implemented(self.extension.as_deref(), name);
            self.report(typed.value.mark, reason);
            return None;
        };
        let message = self.inner(&inner, node, entries)?;
        let mut any = DynamicMessage::new(descriptor.clone());
        let url = Value::String(type_url.as_ref().to_owned());
        any.try_set_field_by_name("type_url", url).ok()?;
        let bytes = Value::Bytes(encode(&message).into());
        any.try_set_field_by_name("value", bytes).ok()?;
        Some(any)
    }

    /// Whether it is an `Any` of a type that we do not have.
    pub(super) fn is_unknown_extension(&self, node: &Node<'_>) -> bool {
        let tree::Kind::Map(entries) = node.kind() else {
            return false;
        };
        let typed = entries.iter().find(|entry| entry.key == "@type");
        let name = typed.and_then(|entry| name_of_url(entry.value.text()?));
        name.is_some_and(|name| self.schema.message(name).is_none())
    }

    fn inner(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
        entries: &[Entry<'_>],
    ) -> Option<DynamicMessage> {
        if !descriptor.full_name().starts_with("google.protobuf.") {
            return self.fields(descriptor, entries);
        }
        // A well-known type's own form stands under `value`.
        match entries.iter().find(|entry| entry.key == "value") {
            Some(entry) => self.message(descriptor, &entry.value),
            None => self.message(descriptor, node),
        }
    }
}
