//! Access logs: where they go, what a line is, which requests are logged; and the other place of
//! `SubstitutionFormatString`, bodies of direct responses.

use std::path::PathBuf;
use std::sync::Arc;

use envoy_types::pb::envoy::config::accesslog::v3 as pb;
use envoy_types::pb::envoy::config::core::v3::{
    SubstitutionFormatString, TypedExtensionConfig, substitution_format_string,
};
use envoy_types::pb::envoy::extensions::access_loggers::{file::v3 as file, stream::v3 as stream};
use envoy_types::pb::google::protobuf::Any;
use pb::access_log::ConfigType;
use pb::access_log_filter::FilterSpecifier;
use pb::comparison_filter::Op;
use prost::Message as _;
use substitution_format_string::Format as Template;

use super::{data_source, matchers};
use crate::check::not_implemented;
use crate::format::{DEFAULT_ACCESS_LOG_FORMAT, Format, JsonFormat};
use crate::problem::Problems;
use crate::resources::access_log::{
    AccessLog, Comparison, Filter, LogFormat, RESPONSE_FLAGS, Sink,
};
use crate::resources::route::DirectBody;
use crate::schema::name_of_url;

const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
const STDOUT: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const WITHOUT_QUERY: &str = "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery";
const STDERR: &str = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";

pub(super) fn compile(
    field: &str,
    messages: &[pb::AccessLog],
    problems: &mut Problems,
) -> Vec<Arc<AccessLog>> {
    let each = |(index, message)| problems.within_item(field, index, |p| access_log(message, p));
    messages
        .iter()
        .enumerate()
        .filter_map(each)
        .map(Arc::new)
        .collect()
}

fn access_log(message: &pb::AccessLog, problems: &mut Problems) -> Option<AccessLog> {
    let filter = message.filter.as_ref();
    let filter = filter.map(|message| problems.within("filter", |p| filter_of(message, p)));
    let Some(ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
        problems.report(not_implemented(Some(&message.name), ""));
        return None;
    };
    let (sink, format) = problems.within("typed_config", |p| logger(&message.name, any, p))?;
    let filter = match filter {
        Some(filter) => Some(filter?),
        None => None,
    };
    Some(AccessLog {
        sink,
        format,
        filter,
    })
}

fn logger(name: &str, any: &Any, problems: &mut Problems) -> Option<(Sink, LogFormat)> {
    match name_of_url(&any.type_url).unwrap_or("") {
        FILE => {
            let message = file::FileAccessLog::decode(any.value.as_slice()).ok()?;
            let format = file_format(&message, problems)?;
            Some((Sink::File(PathBuf::from(message.path)), format))
        }
        STDOUT => {
            use stream::stdout_access_log::AccessLogFormat::LogFormat;
            let message = stream::StdoutAccessLog::decode(any.value.as_slice()).ok()?;
            let format = message
                .access_log_format
                .as_ref()
                .map(|LogFormat(format)| format);
            Some((Sink::Stdout, stream_format(format, problems)?))
        }
        STDERR => {
            use stream::stderr_access_log::AccessLogFormat::LogFormat;
            let message = stream::StderrAccessLog::decode(any.value.as_slice()).ok()?;
            let format = message
                .access_log_format
                .as_ref()
                .map(|LogFormat(format)| format);
            Some((Sink::Stderr, stream_format(format, problems)?))
        }
        other => {
            problems.report(not_implemented(Some(name), other));
            None
        }
    }
}

fn file_format(message: &file::FileAccessLog, problems: &mut Problems) -> Option<LogFormat> {
    use file::file_access_log::AccessLogFormat;
    match message.access_log_format.as_ref() {
        None => text("", DEFAULT_ACCESS_LOG_FORMAT, false, problems),
        Some(AccessLogFormat::Format(format)) if format.is_empty() => {
            text("", DEFAULT_ACCESS_LOG_FORMAT, false, problems)
        }
        Some(AccessLogFormat::Format(format)) => text("format", format, false, problems),
        Some(AccessLogFormat::JsonFormat(fields)) => json("json_format", fields, false, problems),
        Some(AccessLogFormat::TypedJsonFormat(fields)) => {
            json("typed_json_format", fields, false, problems)
        }
        Some(AccessLogFormat::LogFormat(format)) => {
            problems.within("log_format", |p| log_format(format, p))
        }
    }
}

fn stream_format(
    format: Option<&SubstitutionFormatString>,
    problems: &mut Problems,
) -> Option<LogFormat> {
    match format {
        None => text("", DEFAULT_ACCESS_LOG_FORMAT, false, problems),
        Some(format) => problems.within("log_format", |p| log_format(format, p)),
    }
}

fn log_format(message: &SubstitutionFormatString, problems: &mut Problems) -> Option<LogFormat> {
    formatters(&message.formatters, problems);
    let omit = message.omit_empty_values;
    match message.format.as_ref()? {
        Template::TextFormat(format) => text("text_format", format, omit, problems),
        Template::JsonFormat(fields) => json("json_format", fields, omit, problems),
        Template::TextFormatSource(source) => problems.within("text_format_source", |p| {
            let format = data_source::read_text(source, p)?;
            text("", &format, omit, p)
        }),
    }
}

/// Extensions that add operators. The one that is known here adds what every format has anyway.
fn formatters(messages: &[TypedExtensionConfig], problems: &mut Problems) {
    for (index, message) in messages.iter().enumerate() {
        let any = message.typed_config.as_ref();
        let type_name = any.and_then(|any| name_of_url(&any.type_url)).unwrap_or("");
        if type_name != WITHOUT_QUERY {
            problems.within_item("formatters", index, |p| {
                let reason = not_implemented(Some(&message.name), type_name);
                p.report(format!("{reason} as a formatter"));
            });
        }
    }
}

fn text(field: &str, format: &str, omit: bool, problems: &mut Problems) -> Option<LogFormat> {
    match Format::parse_with(format, omit) {
        Ok(format) => Some(LogFormat::Text(format)),
        Err(error) if field.is_empty() => {
            problems.report(error.to_string());
            None
        }
        Err(error) => {
            problems.report_at(field, error.to_string());
            None
        }
    }
}

fn json(
    field: &str,
    fields: &envoy_types::pb::google::protobuf::Struct,
    omit: bool,
    problems: &mut Problems,
) -> Option<LogFormat> {
    // The same message in the types of two crates.
    let fields = match prost_types::Struct::decode(fields.encode_to_vec().as_slice()) {
        Ok(fields) => fields,
        Err(error) => {
            problems.report_at(field, error.to_string());
            return None;
        }
    };
    match JsonFormat::from_struct(&fields, omit) {
        Ok(format) => Some(LogFormat::Json(format)),
        Err(error) => {
            problems.report_at(field, error.to_string());
            None
        }
    }
}

/// `body_format` of a direct response.
pub(super) fn body_format(
    message: &SubstitutionFormatString,
    problems: &mut Problems,
) -> Option<DirectBody> {
    let content_type = match message.content_type.as_str() {
        "" => "text/plain",
        given => given,
    };
    match log_format(message, problems)? {
        LogFormat::Text(format) => Some(DirectBody::Format {
            format,
            content_type: content_type.into(),
        }),
        LogFormat::Json(_) => {
            problems.report_at("json_format", "a JSON body is not implemented");
            None
        }
    }
}

/// A list that is complete, or nothing: a filter that lost a part would log other requests.
fn filters(
    field: &str,
    messages: &[pb::AccessLogFilter],
    problems: &mut Problems,
) -> Option<Vec<Filter>> {
    let level = problems.enter(field);
    let each = |(index, message)| problems.within_item("filters", index, |p| filter_of(message, p));
    let compiled: Vec<Option<Filter>> = messages.iter().enumerate().map(each).collect();
    problems.leave(level);
    compiled.into_iter().collect()
}

fn filter_of(message: &pb::AccessLogFilter, problems: &mut Problems) -> Option<Filter> {
    Some(match message.filter_specifier.as_ref()? {
        FilterSpecifier::StatusCodeFilter(filter) => {
            let (op, value) = comparison(filter.comparison.as_ref()?)?;
            Filter::StatusCode { op, value }
        }
        FilterSpecifier::DurationFilter(filter) => {
            let (op, millis) = comparison(filter.comparison.as_ref()?)?;
            Filter::Duration { op, millis }
        }
        FilterSpecifier::NotHealthCheckFilter(_) => Filter::NotHealthCheck,
        FilterSpecifier::RuntimeFilter(filter) => Filter::Runtime {
            millionths: filter
                .percent_sampled
                .as_ref()
                .map_or(0, matchers::millionths),
        },
        FilterSpecifier::AndFilter(filter) => {
            Filter::And(filters("and_filter", &filter.filters, problems)?)
        }
        FilterSpecifier::OrFilter(filter) => {
            Filter::Or(filters("or_filter", &filter.filters, problems)?)
        }
        FilterSpecifier::HeaderFilter(filter) => {
            let header = filter.header.as_ref()?;
            let level = problems.enter("header_filter");
            let matcher = problems.within("header", |p| matchers::header(header, p));
            problems.leave(level);
            Filter::Header(matcher?)
        }
        FilterSpecifier::ResponseFlagFilter(filter) => Filter::ResponseFlag {
            flags: filter
                .flags
                .iter()
                .map(|flag| flag_bit(flag))
                .fold(0, |all, bit| all | bit),
        },
        FilterSpecifier::GrpcStatusFilter(filter) => Filter::GrpcStatus {
            statuses: bits(&filter.statuses),
            exclude: filter.exclude,
        },
        FilterSpecifier::LogTypeFilter(filter) => Filter::LogType {
            types: bits(&filter.types),
            exclude: filter.exclude,
        },
        // Refused by name.
        _ => return None,
    })
}

/// Of values of an enum.
fn bits(numbers: &[i32]) -> u32 {
    let bit = |number: &i32| 1_u32.checked_shl(u32::try_from(*number).ok()?);
    let bits = numbers.iter().filter_map(bit);
    bits.fold(0, |all, bit| all | bit)
}

fn flag_bit(flag: &str) -> u64 {
    let at = RESPONSE_FLAGS.iter().position(|name| *name == flag);
    at.and_then(|at| 1_u64.checked_shl(u32::try_from(at).ok()?))
        .unwrap_or(0)
}

fn comparison(message: &pb::ComparisonFilter) -> Option<(Comparison, u32)> {
    let op = match Op::try_from(message.op).ok()? {
        Op::Eq => Comparison::Equal,
        Op::Ge => Comparison::GreaterOrEqual,
        Op::Le => Comparison::LessOrEqual,
        Op::Ne => Comparison::NotEqual,
    };
    Some((op, message.value.as_ref()?.default_value))
}
