//! JSON log lines: types are kept where a value is one operator.

use model::format::{Format, JsonFormat, JsonNode, Part};

use super::evaluate::evaluate;
use super::value::{self, Value};
use super::{LogContext, render};
use crate::telemetry::json;

/// Appends one object and a newline.
pub fn render_json(format: &JsonFormat, ctx: &LogContext<'_>, out: &mut Vec<u8>) {
    object(format.root(), format.omit_empty_values(), ctx, out);
    out.push(b'\n');
}

/// False: everything in it was left out, and nothing was appended but braces.
fn object(
    entries: &[(Box<str>, JsonNode)],
    omit: bool,
    ctx: &LogContext<'_>,
    out: &mut Vec<u8>,
) -> bool {
    out.push(b'{');
    let mut any = false;
    for (key, node) in entries {
        let before = out.len();
        if any {
            out.push(b',');
        }
        json::bytes(out, key.as_bytes());
        out.push(b':');
        if write_node(node, omit, ctx, out) || !omit {
            any = true;
        } else {
            out.truncate(before);
        }
    }
    out.push(b'}');
    any
}

fn list(nodes: &[JsonNode], omit: bool, ctx: &LogContext<'_>, out: &mut Vec<u8>) -> bool {
    out.push(b'[');
    let mut any = false;
    for node in nodes {
        let before = out.len();
        if any {
            out.push(b',');
        }
        if write_node(node, omit, ctx, out) || !omit {
            any = true;
        } else {
            out.truncate(before);
        }
    }
    out.push(b']');
    any
}

/// Appends a value; false if it is an empty one.
fn write_node(node: &JsonNode, omit: bool, ctx: &LogContext<'_>, out: &mut Vec<u8>) -> bool {
    match node {
        JsonNode::Null => {
            out.extend_from_slice(b"null");
            return false;
        }
        JsonNode::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        JsonNode::Number(number) => number_text(*number, out),
        JsonNode::Object(entries) => return object(entries, omit, ctx, out),
        JsonNode::List(nodes) => return list(nodes, omit, ctx, out),
        JsonNode::Format(format) => return write_format(format, ctx, out),
    }
    true
}

fn write_format(format: &Format, ctx: &LogContext<'_>, out: &mut Vec<u8>) -> bool {
    let [Part::Command(command)] = format.parts() else {
        let mut text = Vec::new();
        render(format, ctx, &mut text);
        json::bytes(out, &text);
        return true;
    };
    match evaluate(command, ctx) {
        Value::Missing | Value::NoPort => {
            out.extend_from_slice(b"null");
            return false;
        }
        Value::Json(bytes) => out.extend_from_slice(bytes),
        Value::Number(n) => super::address::decimal(n, out),
        Value::Bool(flag) => out.extend_from_slice(value::flag_text(flag)),
        Value::Message { json, .. } => out.extend_from_slice(json.as_bytes()),
        Value::Bytes(bytes) => {
            json::bytes(
                out,
                command
                    .max_len
                    .and_then(|max| bytes.get(..max))
                    .unwrap_or(bytes),
            );
        }
        value => {
            let mut text = Vec::new();
            value.write(&mut text);
            text.truncate(command.max_len.unwrap_or(usize::MAX));
            json::bytes(out, &text);
        }
    }
    true
}

/// JSON knows no infinities.
fn number_text(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        out.extend_from_slice(number.to_string().as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}
