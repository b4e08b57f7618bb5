//! `RetryPolicy` of routes and virtual hosts, and how much of a body is kept for it.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::extensions::retry::priority::previous_priorities::v3 as priorities;
use envoy_types::pb::google::protobuf::{UInt32Value, UInt64Value};
use pb::retry_policy::{
    RateLimitedRetryBackOff, ResetHeaderFormat, RetryBackOff, RetryHostPredicate, RetryPriority,
    retry_host_predicate, retry_priority,
};
use prost::Message as _;

use super::duration::{millis, timeout};
use super::protocol_options::limit;
use super::{headers, matchers};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::retry::{
    BodyLimit, RateLimitedBackOff, ResetFormat, ResetHeader, RetryOn, RetryPolicy,
};
use crate::resources::route::MirrorPolicy;
use crate::schema::name_of_url;

/// What routes take over from their virtual host, and that from the route configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    pub retry: Option<Arc<RetryPolicy>>,
    pub body_limit: Option<BodyLimit>,
    pub mirrors: Option<Arc<[MirrorPolicy]>>,
}

const PREVIOUS_HOSTS: &str = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
const PREVIOUS_PRIORITIES: &str =
    "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig";

/// Milliseconds: Envoy's `upstream.base_retry_backoff_ms`, and how many of it are the most.
const BASE_INTERVAL: u64 = 25;
const MAX_TIMES: u64 = 10;
/// Envoy's default of `rate_limited_retry_back_off.max_interval`.
const MAX_RATE_LIMITED: u64 = 300_000;
/// More hosts than that are not asked for in one go.
const MAX_HOST_ATTEMPTS: u32 = 1024;

pub(super) fn compile(message: &pb::RetryPolicy, problems: &mut Problems) -> Arc<RetryPolicy> {
    let (on, unknown) = RetryOn::of_policy(&message.retry_on);
    if let Some(name) = unknown {
        problems.report_at("retry_on", format!("unknown condition {name:?}"));
    }
    let attempts = u32::try_from(message.host_selection_retry_max_attempts).unwrap_or(0);
    let per_try = message.per_try_timeout.as_ref();
    let idle = message.per_try_idle_timeout.as_ref();
    let back_off = message.retry_back_off.as_ref();
    let (base_interval, max_interval) =
        problems.within("retry_back_off", |p| intervals(back_off, p));
    let rate_limited = message.rate_limited_retry_back_off.as_ref();
    Arc::new(RetryPolicy {
        on,
        num_retries: message.num_retries.as_ref().map_or(1, |v| v.value),
        per_try_timeout: timeout("per_try_timeout", per_try, None, problems),
        per_try_idle_timeout: timeout("per_try_idle_timeout", idle, None, problems),
        status_codes: message.retriable_status_codes.as_slice().into(),
        headers: matchers::headers("retriable_headers", &message.retriable_headers, problems)
            .into(),
        request_headers: matchers::headers(
            "retriable_request_headers",
            &message.retriable_request_headers,
            problems,
        )
        .into(),
        base_interval,
        max_interval,
        rate_limited: rate_limited.map(|message| {
            problems.within("rate_limited_retry_back_off", |p| {
                self::rate_limited(message, p)
            })
        }),
        host_attempts: attempts.clamp(1, MAX_HOST_ATTEMPTS),
        avoids_previous_hosts: predicates(&message.retry_host_predicate, problems),
        previous_priorities: message.retry_priority.as_ref().and_then(|message| {
            problems.within("retry_priority", |p| previous_priorities(message, p))
        }),
    })
}

/// The limit of a route or virtual host.
pub(super) fn body_limit(
    per_request: Option<&UInt32Value>,
    exactly: Option<&UInt64Value>,
    problems: &mut Problems,
) -> Option<BodyLimit> {
    match (per_request, exactly) {
        (Some(_), Some(_)) => {
            problems.report(
                "Only one of per_request_buffer_limit_bytes and request_body_buffer_limit can be set",
            );
            None
        }
        (Some(bytes), None) => Some(BodyLimit::AtMost(limit(bytes.value))),
        (None, Some(bytes)) => {
            let bytes = usize::try_from(bytes.value).unwrap_or(usize::MAX);
            Some(BodyLimit::Exactly(bytes))
        }
        (None, None) => None,
    }
}

fn intervals(message: Option<&RetryBackOff>, problems: &mut Problems) -> (u64, u64) {
    let Some(message) = message else {
        return (BASE_INTERVAL, BASE_INTERVAL.saturating_mul(MAX_TIMES));
    };
    let given = |field, value, problems: &mut Problems| {
        let duration = millis(field, value, problems)?;
        Some(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    };
    let base = given("base_interval", message.base_interval.as_ref(), problems);
    let base = base.unwrap_or(BASE_INTERVAL).max(1);
    let max = given("max_interval", message.max_interval.as_ref(), problems);
    let max = max.unwrap_or(base.saturating_mul(MAX_TIMES)).max(1);
    if max < base {
        problems
            .report("retry_policy.max_interval must greater than or equal to the base_interval");
    }
    (base, max)
}

fn rate_limited(message: &RateLimitedRetryBackOff, problems: &mut Problems) -> RateLimitedBackOff {
    let max = millis("max_interval", message.max_interval.as_ref(), problems);
    let header = |header: &pb::retry_policy::ResetHeader| ResetHeader {
        name: headers::name(&header.name),
        format: match ResetHeaderFormat::try_from(header.format) {
            Ok(ResetHeaderFormat::UnixTimestamp) => ResetFormat::UnixTimestamp,
            Ok(ResetHeaderFormat::Seconds) | Err(_) => ResetFormat::Seconds,
        },
    };
    RateLimitedBackOff {
        reset_headers: message.reset_headers.iter().map(header).collect(),
        max_interval: max.map_or(MAX_RATE_LIMITED, |max| {
            u64::try_from(max.as_millis()).unwrap_or(u64::MAX)
        }),
    }
}

/// Whether hosts that were tried before are passed over.
fn predicates(messages: &[RetryHostPredicate], problems: &mut Problems) -> bool {
    for (index, message) in messages.iter().enumerate() {
        let level = problems.enter_item("retry_host_predicate", index);
        let type_name = match message.config_type.as_ref() {
            Some(retry_host_predicate::ConfigType::TypedConfig(any)) => {
                name_of_url(&any.type_url).unwrap_or("")
            }
            None => "",
        };
        if type_name != PREVIOUS_HOSTS {
            let reason = not_implemented(Some(&message.name), type_name);
            problems.report(format!("{reason} as a retry host predicate"));
        }
        problems.leave(level);
    }
    !messages.is_empty()
}

/// After how many attempts it is looked again which priorities are left.
fn previous_priorities(message: &RetryPriority, problems: &mut Problems) -> Option<u32> {
    let config = message.config_type.as_ref();
    let any = config.map(|retry_priority::ConfigType::TypedConfig(any)| any);
    let type_name = any.and_then(|any| name_of_url(&any.type_url)).unwrap_or("");
    let Some(any) = any.filter(|_| type_name == PREVIOUS_PRIORITIES) else {
        let reason = not_implemented(Some(&message.name), type_name);
        problems.report(format!("{reason} as a retry priority"));
        return None;
    };
    let config = priorities::PreviousPrioritiesConfig::decode(any.value.as_slice()).ok()?;
    u32::try_from(config.update_frequency).ok()
}
