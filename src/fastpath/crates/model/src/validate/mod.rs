//! protoc-gen-validate, evaluated from the descriptors: the rules that Envoy compiles in.

mod numeric;
pub(crate) mod rules;
mod strings;

use prost_reflect::{DynamicMessage, Value};

use crate::problem::Problems;
use rules::{FieldRules, Kind};

/// Checks the value a field has; `None`: the field is absent.
pub(crate) fn field(rules: &FieldRules, value: Option<&Value>, problems: &mut Problems) {
    match value {
        None if rules.required => problems.report("value is required"),
        None if rules.presence => {}
        None => absent(&rules.kind, problems),
        Some(value) => kind(&rules.kind, value, problems),
    }
}

/// A field without presence that has its default value.
fn absent(rules: &Kind, problems: &mut Problems) {
    match rules {
        Kind::String(rules) => rules.check("", problems),
        Kind::Bytes(rules) => rules.check(b"", problems),
        Kind::Integer(rules) => rules.check(0, problems),
        Kind::Float(rules) => rules.check(0.0, problems),
        Kind::Enum(rules) => rules.check(0, problems),
        Kind::Repeated(rules) => rules.check_count(0, problems),
        Kind::Map(rules) => rules.check_count(0, problems),
        Kind::Bool(Some(true)) => problems.report("value must equal true"),
        Kind::Bool(_) | Kind::Any(_) | Kind::Duration(_) | Kind::None => {}
    }
}

fn kind(rules: &Kind, value: &Value, problems: &mut Problems) {
    match (rules, value) {
        (Kind::None, _) => {}
        (Kind::String(rules), Value::String(text)) => rules.check(text, problems),
        (Kind::Bytes(rules), Value::Bytes(bytes)) => rules.check(bytes, problems),
        (Kind::Integer(rules), value) if integer(value).is_some() => {
            rules.check(integer(value).unwrap_or_default(), problems);
        }
        (Kind::Float(rules), Value::F32(number)) => rules.check(f64::from(*number), problems),
        (Kind::Float(rules), Value::F64(number)) => rules.check(*number, problems),
        (Kind::Bool(Some(want)), Value::Bool(is)) if want != is => {
            problems.report(format!("value must equal {want}"));
        }
        (Kind::Enum(rules), Value::EnumNumber(number)) => rules.check(*number, problems),
        (Kind::Duration(rules), Value::Message(message)) => {
            rules.check(nanos_of(message), problems);
        }
        (Kind::Any(rules), Value::Message(message)) => {
            let url = message.get_field_by_name("type_url");
            rules.check(
                url.as_deref().and_then(Value::as_str).unwrap_or(""),
                problems,
            );
        }
        (Kind::Repeated(rules), Value::List(items)) => {
            rules.check_count(items.len(), problems);
            if rules.unique && has_repeated(items) {
                problems.report("repeated value must contain unique items");
            }
            if let Some(each) = &rules.items {
                for (index, item) in items.iter().enumerate() {
                    let level = problems.enter_index(index);
                    field(each, Some(item), problems);
                    problems.leave(level);
                }
            }
        }
        (Kind::Map(rules), Value::Map(map)) => {
            rules.check_count(map.len(), problems);
            for (key, value) in map {
                let text = key.as_str().unwrap_or("");
                let level = problems.enter_key(text);
                if let Some(keys) = &rules.keys {
                    kind(&keys.kind, &Value::String(text.to_owned()), problems);
                }
                if let Some(values) = &rules.values {
                    field(values, Some(value), problems);
                }
                problems.leave(level);
            }
        }
        // Rules of a scalar on its wrapper.
        (rules, Value::Message(message)) => {
            if let Some(value) = message.get_field_by_name("value") {
                kind(rules, &value, problems);
            }
        }
        _ => {}
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::I32(n) => Some((*n).into()),
        Value::I64(n) => Some((*n).into()),
        Value::U32(n) => Some((*n).into()),
        Value::U64(n) => Some((*n).into()),
        _ => None,
    }
}

/// A `google.protobuf.Duration` in nanoseconds.
fn nanos_of(message: &DynamicMessage) -> i128 {
    let field = |name| {
        message
            .get_field_by_name(name)
            .as_deref()
            .and_then(integer)
            .unwrap_or(0)
    };
    field("seconds")
        .saturating_mul(1_000_000_000)
        .saturating_add(field("nanos"))
}

fn has_repeated(items: &[Value]) -> bool {
    let texts: Option<std::collections::HashSet<&str>> = items.iter().map(Value::as_str).collect();
    match texts {
        Some(texts) => texts.len() < items.len(),
        None => items.iter().enumerate().any(|(i, item)| {
            items
                .iter()
                .skip(i.saturating_add(1))
                .any(|other| other == item)
        }),
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::validate as pb;
    use envoy_types::pb::validate::field_rules::Type;
    use envoy_types::pb::validate::string_rules::WellKnown;
    use prost_reflect::Value;

    use crate::schema;

    /// Rules inside rules, of lists and maps.
    fn with_nested(rules: pb::FieldRules) -> Vec<pb::FieldRules> {
        let nested = match &rules.r#type {
            Some(Type::Repeated(r)) => vec![r.items.clone()],
            Some(Type::Map(m)) => vec![m.keys.clone(), m.values.clone()],
            _ => Vec::new(),
        };
        let nested = nested.into_iter().flatten();
        let mut all: Vec<_> = nested.flat_map(|rules| with_nested(*rules)).collect();
        all.push(rules);
        all
    }

    /// What we do not evaluate, no field of the descriptors asks for.
    fn is_evaluated(rules: &pb::FieldRules) -> bool {
        match &rules.r#type {
            Some(Type::String(s)) => {
                let form = !matches!(
                    s.well_known,
                    Some(WellKnown::Email(true) | WellKnown::UriRef(true) | WellKnown::Uuid(true))
                );
                let pattern = s
                    .pattern
                    .as_deref()
                    .is_none_or(|p| regex::Regex::new(p).is_ok());
                form && pattern
            }
            Some(Type::Bytes(b)) => {
                let text = b.pattern.is_none() && b.prefix.is_none() && b.suffix.is_none();
                let sets = b.contains.is_none() && b.r#in.is_empty() && b.not_in.is_empty();
                text && sets && b.r#const.is_none() && b.well_known.is_none()
            }
            Some(Type::Map(m)) => !m.no_sparse(),
            Some(Type::Timestamp(_)) => false,
            _ => true,
        }
    }

    #[test]
    fn every_rule_of_the_descriptors_is_evaluated() {
        let schema = schema::get();
        let extension = schema
            .pool()
            .get_extension_by_name("validate.rules")
            .unwrap();
        let (mut seen, mut missed) = (0, Vec::new());
        for message in schema.pool().all_messages() {
            for field in message.fields() {
                let options = field.options();
                if !options.has_extension(&extension) {
                    continue;
                }
                let value = options.get_extension(&extension);
                let Value::Message(rules) = value.as_ref() else {
                    panic!("{value:?}")
                };
                for rules in with_nested(rules.transcode_to().unwrap()) {
                    seen += 1;
                    if !is_evaluated(&rules) {
                        missed.push(format!("{}: {rules:?}", field.full_name()));
                    }
                }
            }
        }
        assert!(seen > 300, "only {seen} rules");
        assert!(missed.is_empty(), "{missed:#?}");
    }
}
