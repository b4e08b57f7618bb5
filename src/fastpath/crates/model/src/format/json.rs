//! JSON formats: an object whose strings are formats.

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::{Format, FormatError};

/// `json_format`: one object a line, keys sorted, as Envoy sorts them.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonFormat {
    root: Vec<(Box<str>, JsonNode)>,
    omit_empty: bool,
}

/// A value of a JSON format.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonNode {
    Null,
    Bool(bool),
    Number(f64),
    /// A single command keeps its type (number, null); anything else is a string.
    Format(Format),
    Object(Vec<(Box<str>, JsonNode)>),
    List(Vec<JsonNode>),
}

/// Envoy's limit on the depth of a configuration is protobuf's.
const MAX_DEPTH: usize = 100;

impl JsonFormat {
    /// Compiles `json_format`. `omit_empty_values`: keys without a value are left out.
    pub fn from_struct(format: &Struct, omit_empty_values: bool) -> Result<Self, FormatError> {
        let root = object(format, omit_empty_values, 0)?;
        Ok(Self {
            root,
            omit_empty: omit_empty_values,
        })
    }

    #[must_use]
    pub fn root(&self) -> &[(Box<str>, JsonNode)] {
        &self.root
    }

    #[must_use]
    pub fn omit_empty_values(&self) -> bool {
        self.omit_empty
    }
}

fn object(
    format: &Struct,
    omit: bool,
    depth: usize,
) -> Result<Vec<(Box<str>, JsonNode)>, FormatError> {
    // A BTreeMap: sorted already.
    let entries = format.fields.iter();
    entries
        .map(|(key, value)| Ok((key.as_str().into(), node(value, omit, depth)?)))
        .collect()
}

fn node(value: &Value, omit: bool, depth: usize) -> Result<JsonNode, FormatError> {
    let deeper = depth.saturating_add(1);
    if deeper > MAX_DEPTH {
        return Err(FormatError::BadArgument {
            operator: "json_format".to_owned(),
            argument: String::new(),
            reason: "is nested too deeply",
        });
    }
    Ok(match &value.kind {
        None | Some(Kind::NullValue(_)) => JsonNode::Null,
        Some(Kind::BoolValue(flag)) => JsonNode::Bool(*flag),
        Some(Kind::NumberValue(number)) => JsonNode::Number(*number),
        Some(Kind::StringValue(text)) => JsonNode::Format(Format::parse_with(text, omit)?),
        Some(Kind::StructValue(inner)) => JsonNode::Object(object(inner, omit, deeper)?),
        Some(Kind::ListValue(list)) => {
            let nodes: Result<_, _> = list.values.iter().map(|v| node(v, omit, deeper)).collect();
            JsonNode::List(nodes?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_errors_found_at_any_depth() {
        let text = |t: &str| Value {
            kind: Some(Kind::StringValue(t.to_owned())),
        };
        let inner = Struct {
            fields: [("x".to_owned(), text("%NOPE%"))].into(),
        };
        let bad = Struct {
            fields: [(
                "n".to_owned(),
                Value {
                    kind: Some(Kind::StructValue(inner)),
                },
            )]
            .into(),
        };
        assert!(JsonFormat::from_struct(&bad, false).is_err());
        let good = Struct {
            fields: [
                ("b".to_owned(), text("%PROTOCOL%")),
                ("a".to_owned(), text("x")),
            ]
            .into(),
        };
        let format = JsonFormat::from_struct(&good, true).unwrap();
        let keys: Vec<_> = format.root().iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["a", "b"]);
        assert!(format.omit_empty_values());
    }
}
