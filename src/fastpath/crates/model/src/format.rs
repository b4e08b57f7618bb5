//! Envoy's substitution format strings (`%REQ(X?Y):Z%`), parsed once and only evaluated later.
//! Stub until branch `telemetry` brings the real one.

use envoy_types::pb::google::protobuf::Struct;

#[derive(Debug)]
pub struct Format(#[allow(dead_code)] String);

#[derive(Debug)]
pub struct JsonFormat(#[allow(dead_code)] Struct);

#[derive(Debug)]
pub struct FormatError(String);

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Format {
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        if text.matches('%').count() % 2 == 1 {
            return Err(FormatError(format!("Incorrect configuration: {text}")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl JsonFormat {
    pub fn parse(fields: &Struct) -> Result<Self, FormatError> {
        Ok(Self(fields.clone()))
    }
}
