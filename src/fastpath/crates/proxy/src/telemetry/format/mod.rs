//! Evaluates `model::format`: a request's values as log lines and header values.

mod address;
mod clock;
mod evaluate;
mod json;
mod tls;
mod value;

pub(crate) use clock::write as write_time;
pub use json::render_json;

use model::format::{Command, Format, Part};

use super::stream_info::LogContext;
use value::Value;

/// Appends the format's text. What is missing is `-`, or nothing if the format omits it.
pub fn render(format: &Format, ctx: &LogContext<'_>, out: &mut Vec<u8>) {
    for part in format.parts() {
        match part {
            Part::Text(text) => out.extend_from_slice(text),
            Part::Command(command) => {
                if !render_command(command, ctx, out) && !format.omit_empty_values() {
                    out.push(b'-');
                }
            }
        }
    }
}

/// Appends one command's text; false if the value is missing and nothing was appended.
fn render_command(command: &Command, ctx: &LogContext<'_>, out: &mut Vec<u8>) -> bool {
    let value = evaluate::evaluate(command, ctx);
    if matches!(value, Value::Missing) {
        return false;
    }
    let start = out.len();
    value.write(out);
    if let Some(max) = command.max_len {
        out.truncate(start.saturating_add(max).min(out.len()));
    }
    true
}

#[cfg(test)]
mod tests;
