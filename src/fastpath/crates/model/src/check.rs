//! One walk over a message, through `Any`, that applies both checks that come from descriptors:
//! Envoy's validation rules, and whether we implement what is there.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

use crate::plan::{FieldPlan, Plan};
use crate::problem::{Problem, Problems};
use crate::schema::{Schema, name_of_url};
use crate::supported::{self, Support};
use crate::validate;

/// Protobuf's own limit, which decoding has enforced within each `Any`.
const MAX_ANY_DEPTH: usize = 32;
/// Of messages in messages, `Any`s and all: deeper ones would only fill the stack.
const MAX_DEPTH: usize = 200;

/// Its `config` may be empty, which turns a filter on.
pub(crate) const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// Messages that can say `is_optional`: an extension in them that is not known is left out.
const HAS_IS_OPTIONAL: &[&str] = &[
    FILTER_CONFIG,
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
];

pub(crate) fn has_is_optional(message: &str) -> bool {
    HAS_IS_OPTIONAL.contains(&message)
}

/// Everything wrong with `message` as far as descriptors tell.
#[must_use]
pub fn check(schema: &Schema, message: &DynamicMessage) -> Vec<Problem> {
    let mut walk = Walk {
        schema,
        problems: Problems::default(),
        any_depth: 0,
        depth: 0,
    };
    walk.message(message, true);
    walk.problems.into_list()
}

struct Walk<'s> {
    schema: &'s Schema,
    problems: Problems,
    any_depth: usize,
    depth: usize,
}

impl Walk<'_> {
    /// `strict`: fields must be implemented. Not so inside fields that are safe to ignore.
    fn message(&mut self, message: &DynamicMessage, strict: bool) {
        let descriptor = prost_reflect::ReflectMessage::descriptor(message);
        let name = descriptor.full_name();
        if name.starts_with("google.protobuf.") {
            if name == "google.protobuf.Any" {
                self.any(message, strict, None);
            }
            return;
        }
        let plan = self.schema.plan(&descriptor);
        if strict && !plan.known {
            self.problems.report(format!("{name} is not implemented"));
            return;
        }
        for unknown in message.unknown_fields() {
            self.problems.report(format!(
                "field number {} of {name} is unknown",
                unknown.number()
            ));
        }
        self.absent(message, &plan);
        let extension = message.get_field_by_name("name");
        let extension = extension.as_deref().and_then(Value::as_str);
        let is_optional = has_is_optional(name)
            && message
                .get_field_by_name("is_optional")
                .is_some_and(|v| v.as_bool() == Some(true));
        for (field, value) in message.fields() {
            if self.problems.is_full() {
                return;
            }
            let is_left_out = is_optional && is_unknown_extension(value);
            if is_left_out || (name == FILTER_CONFIG && is_empty_any(value)) {
                continue;
            }
            if let Some(plan) = plan.field(field.number()) {
                let level = self.problems.enter(field.name());
                self.field(&field, plan, value, strict, extension);
                self.problems.leave(level);
            }
        }
    }

    /// Rules that refuse absence.
    fn absent(&mut self, message: &DynamicMessage, plan: &Plan) {
        for field_plan in plan.fields.iter().filter(|plan| plan.check_absent) {
            if let Some(rules) = &field_plan.rules
                && !message.has_field(&field_plan.field)
            {
                let level = self.problems.enter(field_plan.field.name());
                validate::field(rules, None, &mut self.problems);
                self.problems.leave(level);
            }
        }
        for oneof in &plan.required_oneofs {
            if !oneof.fields().any(|field| message.has_field(&field)) {
                let fields: Vec<String> = oneof.fields().map(|f| f.name().to_owned()).collect();
                self.problems.report(match fields.as_slice() {
                    [only] => format!("{only}: value is required"),
                    _ => format!("value is required: one of {}", fields.join(", ")),
                });
            }
        }
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        plan: &FieldPlan,
        value: &Value,
        strict: bool,
        extension: Option<&str>,
    ) {
        if let Some(rules) = &plan.rules {
            validate::field(rules, Some(value), &mut self.problems);
            if rules.skip {
                return;
            }
        }
        let strict = match plan.support {
            _ if !strict => false,
            Support::Implemented => true,
            Support::Ignored => false,
            Support::DefaultOnly if supported::is_off(value) => return,
            Support::DefaultOnly | Support::Missing => {
                let message = field.parent_message().full_name().to_owned();
                let reason = format!("field {} of {message} is not implemented", field.name());
                self.problems.report(reason);
                return;
            }
        };
        match value {
            Value::Message(message) => self.nested(message, strict, extension),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Value::Message(message) = item {
                        let level = self.problems.enter_index(index);
                        self.nested(message, strict, None);
                        self.problems.leave(level);
                    }
                }
            }
            Value::Map(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                for (key, item) in entries {
                    if let Value::Message(message) = item {
                        let key = key.as_str().unwrap_or("");
                        let level = self.problems.enter_key(key);
                        self.nested(message, strict, Some(key));
                        self.problems.leave(level);
                    }
                }
            }
            _ => {}
        }
    }

    fn nested(&mut self, message: &DynamicMessage, strict: bool, extension: Option<&str>) {
        if self.depth >= MAX_DEPTH {
            self.problems
                .report(format!("messages nested more than {MAX_DEPTH} deep"));
            return;
        }
        self.depth = self.depth.saturating_add(1);
        match prost_reflect::ReflectMessage::descriptor(message).full_name() {
            "google.protobuf.Any" => self.any(message, strict, extension),
            _ => self.message(message, strict),
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// The message an `Any` holds, at the same path: its fields stand beside `@type`.
    fn any(&mut self, any: &DynamicMessage, strict: bool, extension: Option<&str>) {
        let type_url = any.get_field_by_name("type_url");
        let type_url = type_url.as_deref().and_then(Value::as_str).unwrap_or("");
        let name = name_of_url(type_url).unwrap_or("");
        let descriptor = self.schema.message(name);
        let implemented = supported::find(name).is_some();
        let Some(descriptor) = descriptor.filter(|_| implemented || !strict) else {
            if strict {
                self.problems.report(not_implemented(extension, name));
            }
            return;
        };
        let value = any.get_field_by_name("value");
        let Some(bytes) = value.as_deref().and_then(Value::as_bytes) else {
            return;
        };
        if self.any_depth >= MAX_ANY_DEPTH {
            self.problems
                .report(format!("Any nested more than {MAX_ANY_DEPTH} deep"));
            return;
        }
        self.any_depth = self.any_depth.saturating_add(1);
        let mut message = DynamicMessage::new(descriptor);
        match message.merge(bytes.as_ref()) {
            Ok(()) => self.message(&message, strict),
            Err(error) => self
                .problems
                .report(format!("no {name} in these bytes: {error}")),
        }
        self.any_depth = self.any_depth.saturating_sub(1);
    }
}

/// An `Any` of a type that we do not have.
fn is_unknown_extension(value: &Value) -> bool {
    type_of_any(value).is_some_and(|url| supported::find(name_of_url(&url).unwrap_or("")).is_none())
}

fn is_empty_any(value: &Value) -> bool {
    type_of_any(value).is_some_and(|url| url.is_empty())
}

/// The type URL of an `Any`.
fn type_of_any(value: &Value) -> Option<String> {
    let any = value.as_message()?;
    let descriptor = prost_reflect::ReflectMessage::descriptor(any);
    if descriptor.full_name() != "google.protobuf.Any" {
        return None;
    }
    let url = any.get_field_by_name("type_url")?;
    Some(url.as_str()?.to_owned())
}

/// The refusal of an extension: by the name it was given and its type.
#[must_use]
pub fn not_implemented(extension: Option<&str>, type_name: &str) -> String {
    match (extension.unwrap_or(""), type_name) {
        ("", "") => "an extension without a type".to_owned(),
        ("", type_name) => format!("extension {type_name} is not implemented"),
        (name, "") => format!("extension {name} has no type (typed_config with \"@type\")"),
        (name, type_name) => format!("extension {name} (type {type_name}) is not implemented"),
    }
}
