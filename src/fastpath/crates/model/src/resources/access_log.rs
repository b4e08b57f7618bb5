//! `envoy.config.accesslog.v3.AccessLog`, compiled.

use std::path::PathBuf;

use crate::format::{Format, JsonFormat};

#[derive(Debug)]
pub struct AccessLog {
    pub sink: Sink,
    pub format: LogFormat,
    pub filter: Option<Filter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sink {
    File(PathBuf),
    Stdout,
    Stderr,
}

#[derive(Debug)]
pub enum LogFormat {
    /// A text line, with its newline if the format has one (Envoy's default format does).
    Text(Format),
    /// One JSON object a line.
    Json(JsonFormat),
}

/// Envoy's response flags; the place of a flag is its bit in `Filter::ResponseFlag`.
pub const RESPONSE_FLAGS: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC",
    "URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR",
    "UDO",
];

/// `AccessLogFilter`.
#[derive(Debug)]
pub enum Filter {
    StatusCode {
        op: Comparison,
        value: u32,
    },
    Duration {
        op: Comparison,
        millis: u32,
    },
    NotHealthCheck,
    /// Empty `flags` means any flag.
    ResponseFlag {
        flags: u64,
    },
    Header(super::route::HeaderMatcher),
    /// gRPC statuses (of other responses: what their HTTP status means to gRPC), as bits.
    GrpcStatus {
        statuses: u32,
        exclude: bool,
    },
    /// Why the line is written: numbers of `AccessLogType`, as bits.
    LogType {
        types: u32,
        exclude: bool,
    },
    /// Fraction of requests that are logged, in millionths.
    Runtime {
        millionths: u32,
    },
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    GreaterOrEqual,
    LessOrEqual,
    NotEqual,
}
