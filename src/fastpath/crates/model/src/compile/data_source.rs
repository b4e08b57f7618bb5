//! `DataSource`: bytes from the configuration itself, a file or an environment variable.

use std::io::Read as _;

use envoy_types::pb::envoy::config::core::v3 as pb;
use pb::data_source::Specifier;

use crate::problem::Problems;

/// Bytes of a file: the largest bundles of certificates are a few MiB.
const MAX_FILE: usize = 16 << 20;

/// Reads it now, as Envoy does; `None` if it could not be read, which was reported.
pub(super) fn read(source: &pb::DataSource, problems: &mut Problems) -> Option<Vec<u8>> {
    match source.specifier.as_ref()? {
        Specifier::InlineBytes(bytes) => Some(bytes.clone()),
        Specifier::InlineString(text) => Some(text.clone().into_bytes()),
        Specifier::Filename(path) => match read_file(path) {
            Ok(bytes) if bytes.len() > MAX_FILE => {
                let reason = format!("file {path} is longer than {MAX_FILE} bytes");
                problems.report_at("filename", reason);
                None
            }
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

/// Whether it is a file or from the environment, and may be another the next time.
pub(super) fn is_elsewhere(source: &pb::DataSource) -> bool {
    match source.specifier {
        Some(Specifier::Filename(_) | Specifier::EnvironmentVariable(_)) => true,
        Some(Specifier::InlineBytes(_) | Specifier::InlineString(_)) | None => false,
    }
}

/// One byte more than may be there at most: `/dev/zero` has no end.
fn read_file(path: &str) -> std::io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_FILE)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_end_is_refused() {
        let source = pb::DataSource {
            specifier: Some(Specifier::Filename("/dev/zero".to_owned())),
            ..pb::DataSource::default()
        };
        let mut problems = Problems::default();
        assert_eq!(read(&source, &mut problems), None);
        let said = problems.into_list();
        assert!(
            said.iter().any(|p| p.reason.contains("is longer than")),
            "{said:?}"
        );
    }
}
