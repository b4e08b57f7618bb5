//! `DataSource`: bytes from the configuration itself, a file or an environment variable.

use envoy_types::pb::envoy::config::core::v3 as pb;
use pb::data_source::Specifier;

use crate::problem::Problems;

/// Reads it now, as Envoy does; `None` if it could not be read, which was reported.
pub(super) fn read(source: &pb::DataSource, problems: &mut Problems) -> Option<Vec<u8>> {
    match source.specifier.as_ref()? {
        Specifier::InlineBytes(bytes) => Some(bytes.clone()),
        Specifier::InlineString(text) => Some(text.clone().into_bytes()),
        Specifier::Filename(path) => match std::fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                problems.report_at("filename", format!("file {path} does not exist"));
                None
            }
            Err(error) => {
                problems.report_at("filename", format!("file {path} cannot be read: {error}"));
                None
            }
        },
        Specifier::EnvironmentVariable(name) => match std::env::var_os(name) {
            Some(value) => Some(std::os::unix::ffi::OsStringExt::into_vec(value)),
            None => {
                let reason = format!("Environment variable doesn't exist: {name}");
                problems.report_at("environment_variable", reason);
                None
            }
        },
    }
}

/// As `read`, for what must be text.
pub(super) fn read_text(source: &pb::DataSource, problems: &mut Problems) -> Option<String> {
    match String::from_utf8(read(source, problems)?) {
        Ok(text) => Some(text),
        Err(_) => {
            problems.report("not UTF-8");
            None
        }
    }
}
