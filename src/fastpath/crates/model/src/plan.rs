//! What to check in messages of one type, worked out once from its descriptor: the
//! `validate` rules of its fields and whether we implement them.

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor, OneofDescriptor, Value};

use crate::supported::{self, Support};
use crate::validate::rules::{self, FieldRules};

#[derive(Debug)]
pub(crate) struct Plan {
    pub fields: Vec<FieldPlan>,
    /// `oneof`s of which one field must be given.
    pub required_oneofs: Vec<OneofDescriptor>,
    /// Whether the table of `supported` has the message at all.
    pub known: bool,
}

#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub field: FieldDescriptor,
    pub rules: Option<FieldRules>,
    pub support: Support,
    /// `udpa.annotations.sensitive`: never shown.
    pub sensitive: bool,
    /// The rules may refuse the field's absence, and no oneof excuses it.
    pub check_absent: bool,
}

impl Plan {
    pub fn new(pool: &DescriptorPool, message: &MessageDescriptor) -> Self {
        let entry = supported::find(message.full_name());
        let checked = !is_disabled(pool, message);
        let mut fields: Vec<FieldPlan> = message
            .fields()
            .map(|field| {
                let rules = if checked {
                    rules::of_field(pool, &field)
                } else {
                    None
                };
                let check_absent = rules.is_some() && field.containing_oneof().is_none();
                let support = supported::of_field(entry, &field);
                let sensitive = is_sensitive(pool, &field);
                FieldPlan {
                    field,
                    rules,
                    support,
                    sensitive,
                    check_absent,
                }
            })
            .collect();
        fields.sort_unstable_by_key(|plan| plan.field.number());
        let oneofs = if checked {
            required_oneofs(pool, message)
        } else {
            Vec::new()
        };
        Self {
            fields,
            required_oneofs: oneofs,
            known: entry.is_some(),
        }
    }

    pub fn field(&self, number: u32) -> Option<&FieldPlan> {
        let at = self
            .fields
            .binary_search_by_key(&number, |plan| plan.field.number())
            .ok()?;
        self.fields.get(at)
    }
}

fn is_disabled(pool: &DescriptorPool, message: &MessageDescriptor) -> bool {
    ["validate.disabled", "validate.ignored"]
        .into_iter()
        .any(|name| {
            pool.get_extension_by_name(name)
                .is_some_and(|ext| *message.options().get_extension(&ext) == Value::Bool(true))
        })
}

fn is_sensitive(pool: &DescriptorPool, field: &FieldDescriptor) -> bool {
    pool.get_extension_by_name("udpa.annotations.sensitive")
        .is_some_and(|ext| *field.options().get_extension(&ext) == Value::Bool(true))
}

fn required_oneofs(pool: &DescriptorPool, message: &MessageDescriptor) -> Vec<OneofDescriptor> {
    let Some(required) = pool.get_extension_by_name("validate.required") else {
        return Vec::new();
    };
    message
        .oneofs()
        .filter(|oneof| *oneof.options().get_extension(&required) == Value::Bool(true))
        .collect()
}
