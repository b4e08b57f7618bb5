//! The `validate` options of fields, read from the descriptors into what checks need.

use envoy_types::pb::google::protobuf::Duration;
use envoy_types::pb::validate as pb;
use envoy_types::pb::validate::field_rules::Type;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind as FieldKind, Value};

use super::numeric::{Durations, Enums, Range};
use super::strings::{ByteStrings, Strings, TypeUrls};
use crate::problem::Problems;

#[derive(Debug)]
pub(crate) struct FieldRules {
    pub required: bool,
    /// Absence is no default value: rules of the value do not apply to it.
    pub presence: bool,
    /// `message.skip`: what is inside is not validated.
    pub skip: bool,
    pub kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    None,
    String(Strings),
    Bytes(ByteStrings),
    Integer(Range<i128>),
    Float(Range<f64>),
    Bool(Option<bool>),
    Enum(Enums),
    Duration(Durations),
    Any(TypeUrls),
    Repeated(Box<Repeated>),
    Map(Box<MapRules>),
}

#[derive(Debug)]
pub(crate) struct Repeated {
    min: Option<u64>,
    max: Option<u64>,
    ignore_empty: bool,
    pub unique: bool,
    pub items: Option<FieldRules>,
}

#[derive(Debug)]
pub(crate) struct MapRules {
    min: Option<u64>,
    max: Option<u64>,
    ignore_empty: bool,
    pub keys: Option<FieldRules>,
    pub values: Option<FieldRules>,
}

/// The rules of a field, if it has any.
pub(crate) fn of_field(pool: &DescriptorPool, field: &FieldDescriptor) -> Option<FieldRules> {
    let extension = pool.get_extension_by_name("validate.rules")?;
    let options = field.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let value = options.get_extension(&extension);
    let Value::Message(message) = value.as_ref() else {
        return None;
    };
    let rules: pb::FieldRules = message.transcode_to().ok()?;
    let mut rules = FieldRules::new(rules, field);
    let is_field = |(message, name, _): &&(&str, &str, i128)| {
        *name == field.name() && *message == field.parent_message().full_name()
    };
    if let (Some((_, _, most)), Kind::Integer(range)) =
        (HIGHER.iter().find(is_field), &mut rules.kind)
    {
        range.at_most = Some(*most);
    }
    Some(rules)
}

/// Fields whose values may be higher than Envoy lets them be, and how high.
const HIGHER: &[(&str, &str, i128)] = &[(
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    "max_client_hello_size",
    64 * 1024,
)];

impl FieldRules {
    fn new(rules: pb::FieldRules, field: &FieldDescriptor) -> Self {
        let message = rules.message.unwrap_or_default();
        let required = message.required()
            || match &rules.r#type {
                Some(Type::Duration(d)) => d.required(),
                Some(Type::Any(a)) => a.required(),
                Some(Type::Timestamp(t)) => t.required(),
                _ => false,
            };
        Self {
            required,
            presence: field.supports_presence(),
            skip: message.skip(),
            kind: rules
                .r#type
                .map_or(Kind::None, |rules| Kind::new(rules, field)),
        }
    }
}

/// `Range` of a numeric rule message; they all have the same fields.
macro_rules! range {
    ($rules:expr) => {
        Range {
            equal: $rules.r#const.map(Into::into),
            below: $rules.lt.map(Into::into),
            at_most: $rules.lte.map(Into::into),
            above: $rules.gt.map(Into::into),
            at_least: $rules.gte.map(Into::into),
            among: $rules.r#in.iter().copied().map(Into::into).collect(),
            not_among: $rules.not_in.iter().copied().map(Into::into).collect(),
            ignore_empty: $rules.ignore_empty.unwrap_or(false),
        }
    };
}

impl Kind {
    fn new(rules: Type, field: &FieldDescriptor) -> Self {
        match rules {
            Type::Float(r) => Self::Float(range!(r)),
            Type::Double(r) => Self::Float(range!(r)),
            Type::Int32(r) => Self::Integer(range!(r)),
            Type::Int64(r) => Self::Integer(range!(r)),
            Type::Uint32(r) => Self::Integer(range!(r)),
            Type::Uint64(r) => Self::Integer(range!(r)),
            Type::Sint32(r) => Self::Integer(range!(r)),
            Type::Sint64(r) => Self::Integer(range!(r)),
            Type::Fixed32(r) => Self::Integer(range!(r)),
            Type::Fixed64(r) => Self::Integer(range!(r)),
            Type::Sfixed32(r) => Self::Integer(range!(r)),
            Type::Sfixed64(r) => Self::Integer(range!(r)),
            Type::Bool(r) => Self::Bool(r.r#const),
            Type::String(r) => Self::String(Strings::new(r)),
            Type::Bytes(r) => Self::Bytes(ByteStrings(r)),
            Type::Enum(r) => Self::Enum(enums(&r, field)),
            Type::Any(r) => Self::Any(TypeUrls(r)),
            Type::Duration(r) => Self::Duration(durations(&r)),
            Type::Repeated(r) => Self::Repeated(Box::new(Repeated {
                min: r.min_items,
                max: r.max_items,
                ignore_empty: r.ignore_empty(),
                unique: r.unique(),
                items: r.items.map(|rules| FieldRules::new(*rules, field)),
            })),
            Type::Map(r) => Self::Map(Box::new(MapRules {
                min: r.min_pairs,
                max: r.max_pairs,
                ignore_empty: r.ignore_empty(),
                keys: r.keys.map(|rules| FieldRules::new(*rules, field)),
                values: r.values.map(|rules| FieldRules::new(*rules, field)),
            })),
            // Only `required` is used by Envoy's files, and that is read elsewhere.
            Type::Timestamp(_) => Self::None,
        }
    }
}

fn enums(rules: &pb::EnumRules, field: &FieldDescriptor) -> Enums {
    let defined = match field.kind() {
        FieldKind::Enum(values) if rules.defined_only() => {
            Some(values.values().map(|value| value.number()).collect())
        }
        _ => None,
    };
    let range = Range {
        equal: rules.r#const.map(Into::into),
        below: None,
        at_most: None,
        above: None,
        at_least: None,
        among: rules.r#in.iter().copied().map(Into::into).collect(),
        not_among: rules.not_in.iter().copied().map(Into::into).collect(),
        ignore_empty: false,
    };
    Enums { defined, range }
}

fn durations(rules: &pb::DurationRules) -> Durations {
    let nanos = |d: &Duration| {
        i128::from(d.seconds)
            .saturating_mul(1_000_000_000)
            .saturating_add(d.nanos.into())
    };
    Durations(Range {
        equal: rules.r#const.as_ref().map(nanos),
        below: rules.lt.as_ref().map(nanos),
        at_most: rules.lte.as_ref().map(nanos),
        above: rules.gt.as_ref().map(nanos),
        at_least: rules.gte.as_ref().map(nanos),
        among: rules.r#in.iter().map(nanos).collect(),
        not_among: rules.not_in.iter().map(nanos).collect(),
        ignore_empty: false,
    })
}

impl Repeated {
    pub fn check_count(&self, count: usize, problems: &mut Problems) {
        check_count(
            count,
            self.min,
            self.max,
            self.ignore_empty,
            "item(s)",
            problems,
        );
    }
}

impl MapRules {
    pub fn check_count(&self, count: usize, problems: &mut Problems) {
        check_count(
            count,
            self.min,
            self.max,
            self.ignore_empty,
            "pair(s)",
            problems,
        );
    }
}

fn check_count(
    count: usize,
    min: Option<u64>,
    max: Option<u64>,
    ignore_empty: bool,
    unit: &str,
    problems: &mut Problems,
) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    if ignore_empty && count == 0 {
        return;
    }
    if let Some(min) = min.filter(|min| count < *min) {
        problems.report(format!("value must contain at least {min} {unit}"));
    }
    if let Some(max) = max.filter(|max| count > *max) {
        problems.report(format!("value must contain no more than {max} {unit}"));
    }
}
