//! `ConfigSource`: where resources come from; files only, for now.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as pb;
use pb::config_source::ConfigSourceSpecifier as Specifier;

use super::Needs;
use super::duration::millis_or;
use crate::problem::Problems;

/// Envoy's default for `initial_fetch_timeout`.
const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// A file to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSource {
    pub path: String,
    pub watched_directory: String,
    pub initial_fetch_timeout: Duration,
}

/// The file a source names; `missing` is the reason if there is no source at all.
pub(crate) fn file_source(
    field: &str,
    source: Option<&pb::ConfigSource>,
    missing: &str,
    problems: &mut Problems,
) -> Option<FileSource> {
    let Some(source) = source else {
        problems.report(missing);
        return None;
    };
    problems.within(field, |problems| {
        let api_v2 = pb::ApiVersion::try_from(source.resource_api_version)
            .is_ok_and(|version| version as i32 == 1);
        if api_v2 {
            problems.report_at("resource_api_version", "V2 resources are not implemented");
        }
        let (path, watched_directory) = match source.config_source_specifier.as_ref()? {
            Specifier::Path(path) => (path.clone(), String::new()),
            Specifier::PathConfigSource(source) => {
                let directory = source.watched_directory.as_ref();
                (
                    source.path.clone(),
                    directory.map(|d| d.path.clone()).unwrap_or_default(),
                )
            }
            // Refused by name.
            _ => return None,
        };
        let initial_fetch_timeout = millis_or(
            "initial_fetch_timeout",
            source.initial_fetch_timeout.as_ref(),
            INITIAL_FETCH_TIMEOUT,
            problems,
        );
        Some(FileSource {
            path,
            watched_directory,
            initial_fetch_timeout,
        })
    })
}

impl FileSource {
    pub fn needs(self, type_url: &'static str, name: &str, stat_scope: String) -> Needs {
        Needs {
            type_url,
            name: name.to_owned(),
            stat_scope,
            path: self.path,
            watched_directory: self.watched_directory,
            initial_fetch_timeout: self.initial_fetch_timeout,
        }
    }
}
