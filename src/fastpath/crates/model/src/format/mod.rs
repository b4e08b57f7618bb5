//! Envoy's substitution format strings (`%REQ(X?Y):Z%`), parsed once and only evaluated later.
//!
//! An operator that we cannot answer truthfully is refused by name; one whose answer is "nothing"
//! in every case we serve (there is no tracing) parses and renders as missing.

mod error;
mod json;
mod operator;
mod parse;
mod table;
mod time;

pub use error::FormatError;
pub use json::{JsonFormat, JsonNode};
pub use operator::{
    Command, Field, GrpcStatusStyle, HeaderSource, Operator, PathSource, Side, TimePoint, TimeUnit,
    TlsField,
};
pub use time::{TimeFormat, TimePart};

/// What Envoy writes when no format is configured.
pub const DEFAULT_ACCESS_LOG_FORMAT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n",
);

/// A parsed format string.
#[derive(Debug, Clone, PartialEq)]
pub struct Format {
    pub(crate) parts: Vec<Part>,
    pub(crate) omit_empty: bool,
}

/// A piece of a format.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(Box<[u8]>),
    Command(Command),
}

impl Format {
    /// Parses a format for a log line: what is missing renders as `-`.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        Self::parse_with(text, false)
    }

    /// Parses a format for a header's value: what is missing renders as nothing, as in Envoy.
    pub fn parse_header_value(text: &str) -> Result<Self, FormatError> {
        Self::parse_with(text, true)
    }

    /// `omit_empty_values`: what is missing renders as nothing instead of `-`.
    pub fn parse_with(text: &str, omit_empty_values: bool) -> Result<Self, FormatError> {
        Ok(Self {
            parts: parse::parts(text)?,
            omit_empty: omit_empty_values,
        })
    }

    /// A format that renders as these bytes whatever the request.
    #[must_use]
    pub fn literal(text: &[u8]) -> Self {
        let parts = if text.is_empty() {
            Vec::new()
        } else {
            vec![Part::Text(text.into())]
        };
        Self {
            parts,
            omit_empty: false,
        }
    }

    /// Envoy's default for access logs.
    #[must_use]
    pub fn default_access_log() -> Self {
        // Proven by a test; an empty format would be the alternative to a panic.
        Self::parse(DEFAULT_ACCESS_LOG_FORMAT).unwrap_or_else(|_| Self::literal(b""))
    }

    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    #[must_use]
    pub fn omit_empty_values(&self) -> bool {
        self.omit_empty
    }

    /// The bytes, if they do not depend on the request: most header values do not.
    #[must_use]
    pub fn as_literal(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}
