//! Nodes → messages: field names, lists, maps and oneofs by the rules of proto3 JSON.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::scalar;
use super::suggest::nearest;
use super::tree::{self, Entry, Mark, Node};
use crate::check;
use crate::problem::{MAX_PROBLEMS, Problem, Problems};
use crate::schema::Schema;

/// What becomes of fields that the API does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    #[default]
    Refused,
    /// Left out of the message.
    Ignored,
}

/// Reads `root` as a message of the given type, or says everything that is wrong with it; and the
/// fields that were ignored.
pub fn convert(
    schema: &Schema,
    descriptor: &MessageDescriptor,
    root: &Node<'_>,
    unknown: UnknownFields,
) -> Read<(DynamicMessage, Vec<(Mark, Problem)>)> {
    let mut converter = Converter::new(schema, unknown);
    match converter.message(descriptor, root) {
        Some(message) if converter.problems.is_empty() => Ok((message, converter.ignored)),
        _ => Err(converter.problems),
    }
}

/// The message without its field `list`, and each element of that list on its own: what is wrong
/// with one leaves the others readable.
pub fn convert_apart<'n, 't>(
    schema: &Schema,
    descriptor: &MessageDescriptor,
    root: &'n Node<'t>,
    list: &str,
    unknown: UnknownFields,
) -> Read<(DynamicMessage, Vec<Element<'n, 't>>)> {
    let (tree::Kind::Map(entries), Some(field)) = (root.kind(), descriptor.get_field_by_name(list))
    else {
        let whole = convert(schema, descriptor, root, unknown);
        return whole.map(|(message, _)| (message, Vec::new()));
    };
    let rest: Vec<Entry<'_>> = entries.iter().filter(|e| e.key != list).cloned().collect();
    let mut converter = Converter::new(schema, unknown);
    let message = match converter.fields(descriptor, &rest) {
        Some(message) if converter.problems.is_empty() => message,
        _ => return Err(converter.problems),
    };
    let items = match entries.iter().find(|entry| entry.key == list) {
        Some(entry) if !entry.value.is_null() => items(&entry.value),
        _ => &[],
    };
    let kind = field.kind();
    let element = |(index, node)| {
        let mut converter = Converter::new(schema, unknown);
        let _ = converter.path.enter_item(list, index);
        let value = match converter.element(&kind, node) {
            Some(Value::Message(value)) if converter.problems.is_empty() => Ok(value),
            _ => Err(converter.problems),
        };
        (node, value)
    };
    Ok((message, items.iter().enumerate().map(element).collect()))
}

/// An element of a list: its node and its message, or what is wrong with it.
pub type Element<'n, 't> = (&'n Node<'t>, Read<DynamicMessage>);

/// What was read, or what is wrong and where.
pub type Read<T> = Result<T, Vec<(Mark, Problem)>>;

/// The elements of a list; one value stands for a list of one, as in Envoy.
fn items<'n, 't>(node: &'n Node<'t>) -> &'n [Node<'t>] {
    match node.kind() {
        tree::Kind::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// Walks nodes and descriptors together. A method that returns `None` has reported why.
pub(super) struct Converter<'s> {
    pub(super) schema: &'s Schema,
    pub(super) path: Problems,
    problems: Vec<(Mark, Problem)>,
    unknown: UnknownFields,
    /// The first of those that are.
    ignored: Vec<(Mark, Problem)>,
    /// The `name` beside the `Any` that is read now.
    pub(super) extension: Option<String>,
}

impl<'s> Converter<'s> {
    fn new(schema: &'s Schema, unknown: UnknownFields) -> Self {
        Self {
            schema,
            path: Problems::default(),
            problems: Vec::new(),
            unknown,
            ignored: Vec::new(),
            extension: None,
        }
    }
}

/// `config: {}` of a `FilterConfig`, the one `Any` that says something without a type.
fn empty_config(
    descriptor: &MessageDescriptor,
    entry: &Entry<'_>,
) -> Option<(FieldDescriptor, Value)> {
    let is_empty = matches!(entry.value.kind(), tree::Kind::Map(entries) if entries.is_empty());
    if !is_empty || entry.key != "config" || descriptor.full_name() != check::FILTER_CONFIG {
        return None;
    }
    let field = descriptor.get_field_by_name("config")?;
    let Kind::Message(any) = field.kind() else {
        return None;
    };
    Some((field, Value::Message(DynamicMessage::new(any))))
}

impl Converter<'_> {
    pub(super) fn report(&mut self, mark: Mark, reason: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push((mark, self.path.problem(reason)));
        }
    }

    /// A message, special forms of well-known types included.
    pub(super) fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        if descriptor.full_name().starts_with("google.protobuf.") {
            return self.well_known(descriptor, node);
        }
        self.plain_message(descriptor, node)
    }

    /// A message by its fields.
    pub(super) fn plain_message(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node<'_>,
    ) -> Option<DynamicMessage> {
        let tree::Kind::Map(entries) = node.kind() else {
            let found = scalar::describe(node);
            self.report(node.mark, format!("expected an object, found {found}"));
            return None;
        };
        self.fields(descriptor, entries)
    }

    /// The fields of a message from a map's entries (`@type` is for [`super::any`]).
    pub(super) fn fields(
        &mut self,
        descriptor: &MessageDescriptor,
        entries: &[Entry<'_>],
    ) -> Option<DynamicMessage> {
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen = Vec::with_capacity(entries.len());
        let mut complete = true;
        let extension = entries.iter().find(|entry| entry.key == "name");
        let extension = extension.and_then(|entry| entry.value.text());
        let says_so = |entry: &Entry<'_>| {
            matches!(&*entry.key, "is_optional" | "isOptional")
                && entry.value.text() == Some("true")
        };
        let is_optional =
            check::has_is_optional(descriptor.full_name()) && entries.iter().any(says_so);
        for entry in entries.iter().filter(|entry| entry.key != "@type") {
            if is_optional && self.is_unknown_extension(&entry.value) {
                continue;
            }
            let level = self.path.enter(&entry.key);
            if self.ignores(descriptor, entry) {
                self.path.leave(level);
                continue;
            }
            let value = match empty_config(descriptor, entry) {
                Some((field, empty)) => Some((field, Some(empty))),
                None => self.field(descriptor, entry, &mut seen, extension),
            };
            self.path.leave(level);
            match value {
                Some((field, Some(value))) => {
                    // The value was made for this very field.
                    complete &= message.try_set_field(&field, value).is_ok();
                }
                Some((_, None)) => {}
                None => complete = false,
            }
        }
        complete.then_some(message)
    }

    /// Whether an entry is left out, being no field at all.
    fn ignores(&mut self, descriptor: &MessageDescriptor, entry: &Entry<'_>) -> bool {
        let is_ignored =
            self.unknown == UnknownFields::Ignored && find_field(descriptor, &entry.key).is_none();
        if is_ignored && self.ignored.len() < MAX_PROBLEMS {
            let reason = no_such_field(descriptor, &entry.key);
            self.ignored.push((entry.mark, self.path.problem(reason)));
        }
        is_ignored
    }

    /// The field an entry names and its value; no value for `null`.
    fn field(
        &mut self,
        descriptor: &MessageDescriptor,
        entry: &Entry<'_>,
        seen: &mut Vec<FieldDescriptor>,
        extension: Option<&str>,
    ) -> Option<(FieldDescriptor, Option<Value>)> {
        let Some(field) = find_field(descriptor, &entry.key) else {
            self.report(entry.mark, no_such_field(descriptor, &entry.key));
            return None;
        };
        if seen.contains(&field) {
            self.report(entry.mark, format!("{} is given twice", field.name()));
            return None;
        }
        if entry.value.is_null() && !takes_null(&field) {
            return Some((field, None));
        }
        if let Some(oneof) = field.containing_oneof()
            && let Some(other) = seen
                .iter()
                .find(|f| f.containing_oneof().as_ref() == Some(&oneof))
        {
            self.report(
                entry.mark,
                format!("excludes {}, which is given too", other.name()),
            );
            return None;
        }
        seen.push(field.clone());
        self.extension = extension.map(str::to_owned);
        let value = self.field_value(&field, &entry.value)?;
        Some((field, Some(value)))
    }

    fn field_value(&mut self, field: &FieldDescriptor, node: &Node<'_>) -> Option<Value> {
        if field.is_map() {
            return self.map(field, node);
        }
        if !field.is_list() {
            return self.value(&field.kind(), node);
        }
        let kind = field.kind();
        let items = items(node);
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let level = self.path.enter_index(index);
            values.extend(self.element(&kind, item));
            self.path.leave(level);
        }
        // What is missing was reported.
        (values.len() == items.len()).then_some(Value::List(values))
    }

    fn element(&mut self, kind: &Kind, item: &Node<'_>) -> Option<Value> {
        if item.is_null() {
            self.report(item.mark, "null in a list");
            return None;
        }
        self.value(kind, item)
    }

    fn map(&mut self, field: &FieldDescriptor, node: &Node<'_>) -> Option<Value> {
        let Kind::Message(entry_type) = field.kind() else {
            return None;
        };
        let tree::Kind::Map(entries) = node.kind() else {
            let found = scalar::describe(node);
            self.report(node.mark, format!("expected an object, found {found}"));
            return None;
        };
        let key_kind = entry_type.map_entry_key_field().kind();
        let value_kind = entry_type.map_entry_value_field().kind();
        let mut map = HashMap::with_capacity(entries.len());
        for Entry { key, mark, value } in entries {
            let level = self.path.enter_key(key);
            match scalar::map_key(&key_kind, key) {
                Some(key) => {
                    if let Some(value) = self.value(&value_kind, value) {
                        map.insert(key, value);
                    }
                }
                None => self.report(*mark, "not a key of this map"),
            }
            self.path.leave(level);
        }
        (map.len() == entries.len()).then_some(Value::Map(map))
    }

    /// One value of a field that is neither list nor map.
    pub(super) fn value(&mut self, kind: &Kind, node: &Node<'_>) -> Option<Value> {
        if let Kind::Message(descriptor) = kind {
            return self.message(descriptor, node).map(Value::Message);
        }
        match scalar::value(kind, node) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.report(node.mark, reason);
                None
            }
        }
    }

    /// A map with string keys of plain values, for `Struct`.
    pub(super) fn struct_fields(&mut self, entries: &[Entry<'_>], kind: &Kind) -> Option<Value> {
        let mut map = HashMap::with_capacity(entries.len());
        for Entry { key, value, .. } in entries {
            let level = self.path.enter_key(key);
            let value = self.value(kind, value);
            self.path.leave(level);
            map.insert(MapKey::String(key.as_ref().to_owned()), value?);
        }
        Some(Value::Map(map))
    }
}

/// By its own name or in camelCase.
fn find_field(descriptor: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    descriptor
        .get_field_by_name(key)
        .or_else(|| descriptor.get_field_by_json_name(key))
}

fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(values) => values.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn no_such_field(descriptor: &MessageDescriptor, key: &str) -> String {
    let message = descriptor.full_name();
    if descriptor.reserved_names().any(|name| name == key) {
        return format!("no longer a field of {message}: Envoy has removed it");
    }
    let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
    match nearest(key, fields.iter().map(FieldDescriptor::name)) {
        Some(near) => format!("no such field in {message} (did you mean {near}?)"),
        None => format!("no such field in {message}"),
    }
}
