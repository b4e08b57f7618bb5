//! `google.protobuf.Duration` as Envoy reads it: whole milliseconds, never negative.

use std::time::Duration;

use envoy_types::pb::google::protobuf::Duration as Message;

use crate::problem::Problems;

/// The duration in `field`, cut to milliseconds.
pub(crate) fn millis(
    field: &str,
    value: Option<&Message>,
    problems: &mut Problems,
) -> Option<Duration> {
    let value = value?;
    let (Ok(seconds), Ok(nanos @ 0..1_000_000_000)) =
        (u64::try_from(value.seconds), u32::try_from(value.nanos))
    else {
        problems.report_at(field, "Invalid duration: Expected positive duration");
        return None;
    };
    let millis = Duration::from_millis((nanos / 1_000_000).into());
    Some(Duration::from_secs(seconds).saturating_add(millis))
}

pub(crate) fn millis_or(
    field: &str,
    value: Option<&Message>,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    millis(field, value, problems).unwrap_or(default)
}

/// A timeout that `0s` turns off; `default` if it is not given.
pub(super) fn timeout(
    field: &str,
    value: Option<&Message>,
    default: Option<Duration>,
    problems: &mut Problems,
) -> Option<Duration> {
    match value {
        None => default,
        Some(_) => millis(field, value, problems).filter(|timeout| !timeout.is_zero()),
    }
}
