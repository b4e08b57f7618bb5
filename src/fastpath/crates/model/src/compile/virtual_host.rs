//! A virtual host and the matching half of its routes.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3 as pb;
use pb::route_match::PathSpecifier;
use pb::virtual_host::TlsRequirementType;

use super::headers::{self, lists};
use super::retry::Inherited;
use super::route::Settings;
use super::{Context, HostContext, matchers, mirror, per_filter, rbac, retry, route_action};
use crate::problem::Problems;
use crate::resources::route::{
    MirrorPolicy, PathMatch, RequireTls, Route, RouteMatch, TlsMatch, VirtualHost,
};
use crate::route_index::RouteIndex;

pub(super) fn compile(
    message: &pb::VirtualHost,
    settings: Settings,
    of_config: Option<&Arc<[MirrorPolicy]>>,
    cx: &mut Context,
) -> VirtualHost {
    cx.host = HostContext::default();
    let retry = message.retry_policy.as_ref();
    let policies = &message.request_mirror_policies;
    let mirrors = mirror::compile(policies, settings.validate_clusters, cx);
    let inherited = Inherited {
        mirrors: mirrors.or_else(|| of_config.cloned()),
        retry: retry.map(|r| cx.problems.within("retry_policy", |p| retry::compile(r, p))),
        body_limit: retry::body_limit(
            message.per_request_buffer_limit_bytes.as_ref(),
            message.request_body_buffer_limit.as_ref(),
            &mut cx.problems,
        ),
    };
    let mut routes = Vec::with_capacity(message.routes.len());
    for (index, message) in message.routes.iter().enumerate() {
        let level = cx.problems.enter_item("routes", index);
        routes.extend(route(message, settings, &inherited, cx).map(Arc::new));
        cx.problems.leave(level);
    }
    let require_tls = match TlsRequirementType::try_from(message.require_tls) {
        Ok(TlsRequirementType::ExternalOnly) => RequireTls::ExternalOnly,
        Ok(TlsRequirementType::All) => RequireTls::All,
        Ok(TlsRequirementType::None) | Err(_) => RequireTls::None,
    };
    let HostContext {
        clusters,
        reads_elsewhere,
    } = std::mem::take(&mut cx.host);
    VirtualHost {
        clusters: clusters.into_iter().collect(),
        reads_elsewhere,
        name: message.name.as_str().into(),
        index: RouteIndex::new(&routes, settings.ignore_path_parameters),
        routes,
        require_tls,
        mutations: headers::mutations(&lists!(message), &mut cx.problems),
        per_filter: per_filter::compile(&message.typed_per_filter_config, &mut cx.problems),
        include_request_attempt_count: message.include_request_attempt_count,
        include_attempt_count_in_response: message.include_attempt_count_in_response,
        include_is_timeout_retry_header: message.include_is_timeout_retry_header,
    }
}

fn route(
    message: &pb::Route,
    settings: Settings,
    of_host: &Inherited,
    cx: &mut Context,
) -> Option<Route> {
    let mutations = headers::mutations(&lists!(message), &mut cx.problems);
    let per_filter = per_filter::compile(&message.typed_per_filter_config, &mut cx.problems);
    let matcher = message.r#match.as_ref();
    let matcher = matcher.and_then(|m| cx.problems.within("match", |p| route_match(m, p)));
    let body_limit = retry::body_limit(
        message.per_request_buffer_limit_bytes.as_ref(),
        message.request_body_buffer_limit.as_ref(),
        &mut cx.problems,
    );
    let inherited = Inherited {
        retry: of_host.retry.clone(),
        body_limit: body_limit.or(of_host.body_limit),
        mirrors: of_host.mirrors.clone(),
    };
    let action = route_action::compile(message.action.as_ref()?, settings, inherited, cx);
    Some(Route {
        name: message.name.as_str().into(),
        matcher: matcher?,
        action: action?,
        mutations,
        per_filter,
        stat_prefix: Some(message.stat_prefix.as_str())
            .filter(|p| !p.is_empty())
            .map(Arc::from),
    })
}

pub(super) fn route_match(message: &pb::RouteMatch, problems: &mut Problems) -> Option<RouteMatch> {
    let case_sensitive = message.case_sensitive.as_ref().is_none_or(|v| v.value);
    let path = path_match(message, case_sensitive, problems);
    let headers = matchers::headers("headers", &message.headers, problems);
    let query_parameters =
        matchers::query_parameters("query_parameters", &message.query_parameters, problems);
    let each = |(index, message)| {
        problems.within_item("dynamic_metadata", index, |p| rbac::metadata(message, p))
    };
    let metadata: Vec<_> = message
        .dynamic_metadata
        .iter()
        .enumerate()
        .map(each)
        .collect();
    let metadata = metadata.into_iter().collect::<Option<_>>()?;
    Some(RouteMatch {
        path: path?,
        case_sensitive,
        headers,
        query_parameters,
        fraction_millionths: message.runtime_fraction.as_ref().map(matchers::fraction),
        grpc: message.grpc.is_some(),
        tls: message.tls_context.as_ref().map(|tls| TlsMatch {
            presented: tls.presented.as_ref().map(|v| v.value),
            validated: tls.validated.as_ref().map(|v| v.value),
        }),
        metadata,
    })
}

fn path_match(
    message: &pb::RouteMatch,
    case_sensitive: bool,
    problems: &mut Problems,
) -> Option<PathMatch> {
    // Compared with a lower-cased path where case does not matter.
    let text = |text: &str| -> Box<[u8]> {
        if case_sensitive {
            text.as_bytes().into()
        } else {
            text.to_ascii_lowercase().into_bytes().into()
        }
    };
    Some(match message.path_specifier.as_ref()? {
        PathSpecifier::Prefix(prefix) => PathMatch::Prefix(text(prefix)),
        PathSpecifier::Path(path) => PathMatch::Exact(text(path)),
        PathSpecifier::PathSeparatedPrefix(prefix) => PathMatch::PathSeparatedPrefix(text(prefix)),
        PathSpecifier::SafeRegex(regex) => {
            PathMatch::Regex(matchers::full_regex("safe_regex", regex, problems)?)
        }
        PathSpecifier::ConnectMatcher(_) => PathMatch::Connect,
        // Refused by name.
        PathSpecifier::PathMatchPolicy(_) => return None,
    })
}
