//! What a route does with what it matched.

use std::sync::Arc;
use std::time::Duration;

use core::substitution_format_string::Format;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::route::v3 as pb;
use pb::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use pb::route::Action as Message;
use pb::route_action::{ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier};
use pb::weighted_cluster::{ClusterWeight, RandomValueSpecifier, cluster_weight};

use super::duration::{millis, timeout};
use super::headers::{self, lists};
use super::retry::Inherited;
use super::rewrite::regex_rewrite;
use super::route::Settings;
use super::{
    Context, access_log, data_source, hash_policy, metadata, mirror, per_filter, retry, upgrades,
};
use crate::problem::Problems;
use crate::resources::cluster::{Metadata, RoutingPriority};
use crate::resources::route::{
    Action, ClusterChoice, ClusterOrHeader, DirectBody, DirectResponse, Forward, HostRewrite,
    PathRewrite, Redirect, RedirectPath, SchemeRedirect, WeightedCluster,
};

/// Envoy's default of `RouteAction.timeout`.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn compile(
    message: &Message,
    settings: Settings,
    inherited: Inherited,
    cx: &mut Context,
) -> Option<Action> {
    let field = match message {
        Message::Route(_) => "route",
        Message::Redirect(_) => "redirect",
        Message::DirectResponse(_) => "direct_response",
        Message::NonForwardingAction(_) => return Some(Action::NonForwarding),
        // Refused by name.
        Message::FilterAction(_) => return None,
    };
    let level = cx.problems.enter(field);
    let action = match message {
        Message::Route(message) => {
            forward(message, settings, inherited, cx).map(|f| Action::Forward(Box::new(f)))
        }
        Message::Redirect(message) => {
            redirect(message, &mut cx.problems).map(|r| Action::Redirect(Box::new(r)))
        }
        Message::DirectResponse(message) => {
            cx.host.reads_elsewhere |= reads_elsewhere(message);
            let response = direct_response(message, settings.max_direct_body, &mut cx.problems);
            response.map(|r| Action::DirectResponse(Box::new(r)))
        }
        Message::NonForwardingAction(_) | Message::FilterAction(_) => None,
    };
    cx.problems.leave(level);
    action
}

fn forward(
    message: &pb::RouteAction,
    settings: Settings,
    inherited: Inherited,
    cx: &mut Context,
) -> Option<Forward> {
    let metadata_match = message.metadata_match.as_ref();
    let metadata_match = metadata_match.and_then(metadata::load_balancing);
    let cluster = cluster_choice(message, metadata_match.as_ref(), settings, cx);
    let policies = &message.request_mirror_policies;
    let mirrors = mirror::compile(policies, settings.validate_clusters, cx);
    let problems = &mut cx.problems;
    let rewrite = path_rewrite(message, problems);
    let host_rewrite = host_rewrite(message, problems);
    let timeout = timeout("timeout", message.timeout.as_ref(), Some(TIMEOUT), problems);
    let idle_timeout = off_or(millis(
        "idle_timeout",
        message.idle_timeout.as_ref(),
        problems,
    ));
    let limits = StreamLimits::new(message, problems);
    let upgrades = upgrades::of_route(&message.upgrade_configs, problems);
    let hash_policy = hash_policy::compile(&message.hash_policy, problems);
    let retry = message.retry_policy.as_ref();
    let retry = retry.map(|r| problems.within("retry_policy", |p| retry::compile(r, p)));
    let not_found = ClusterNotFoundResponseCode::try_from(message.cluster_not_found_response_code);
    Some(Forward {
        cluster: cluster?,
        cluster_not_found_status: match not_found {
            Ok(ClusterNotFoundResponseCode::NotFound) => 404,
            Ok(ClusterNotFoundResponseCode::InternalServerError) => 500,
            Ok(ClusterNotFoundResponseCode::ServiceUnavailable) | Err(_) => 503,
        },
        rewrite: rewrite?,
        host_rewrite: host_rewrite?,
        append_x_forwarded_host: message.append_x_forwarded_host,
        timeout,
        idle_timeout,
        has_stream_limits: message.max_stream_duration.is_some(),
        max_stream_duration: limits.max_stream_duration,
        priority: priority(message.priority),
        upgrades,
        grpc_timeout_max: limits.grpc_timeout_max,
        grpc_timeout_offset: limits.grpc_timeout_offset,
        metadata_match: metadata_match.map(Arc::new),
        hash_policy: hash_policy?.into(),
        retry: retry.or(inherited.retry),
        body_limit: inherited.body_limit,
        mirrors: mirrors.or(inherited.mirrors),
    })
}

/// `max_stream_duration`, and the deprecated fields that its gRPC half replaced, which count only
/// without it.
#[allow(clippy::option_option)] // As in `Forward`.
struct StreamLimits {
    max_stream_duration: Option<Option<Duration>>,
    grpc_timeout_max: Option<Duration>,
    grpc_timeout_offset: Option<Duration>,
}

impl StreamLimits {
    fn new(message: &pb::RouteAction, problems: &mut Problems) -> Self {
        let Some(limits) = message.max_stream_duration.as_ref() else {
            let max = message.max_grpc_timeout.as_ref();
            let offset = message.grpc_timeout_offset.as_ref();
            return Self {
                max_stream_duration: None,
                grpc_timeout_max: millis("max_grpc_timeout", max, problems),
                grpc_timeout_offset: millis("grpc_timeout_offset", offset, problems),
            };
        };
        problems.within("max_stream_duration", |problems| {
            let limit = limits.max_stream_duration.as_ref();
            let max = limits.grpc_timeout_header_max.as_ref();
            let offset = limits.grpc_timeout_header_offset.as_ref();
            Self {
                max_stream_duration: off_or(millis("max_stream_duration", limit, problems)),
                grpc_timeout_max: millis("grpc_timeout_header_max", max, problems),
                grpc_timeout_offset: millis("grpc_timeout_header_offset", offset, problems),
            }
        })
    }
}

/// Given: off if zero.
#[allow(clippy::option_option)] // As in `Forward`.
fn off_or(limit: Option<Duration>) -> Option<Option<Duration>> {
    limit.map(|limit| Some(limit).filter(|l| !l.is_zero()))
}

pub(super) fn priority(number: i32) -> RoutingPriority {
    match core::RoutingPriority::try_from(number) {
        Ok(core::RoutingPriority::High) => RoutingPriority::High,
        Ok(core::RoutingPriority::Default) | Err(_) => RoutingPriority::Default,
    }
}

fn cluster_choice(
    message: &pb::RouteAction,
    inherited: Option<&Metadata>,
    settings: Settings,
    cx: &mut Context,
) -> Option<ClusterChoice> {
    match message.cluster_specifier.as_ref()? {
        ClusterSpecifier::Cluster(name) => {
            let required = settings.validate_clusters;
            Some(ClusterChoice::Named(
                cx.refer("cluster", name, false, required),
            ))
        }
        ClusterSpecifier::ClusterHeader(name) => Some(ClusterChoice::Header(headers::name(name))),
        ClusterSpecifier::WeightedClusters(weighted) => {
            let level = cx.problems.enter("weighted_clusters");
            let choice = weighted_clusters(weighted, inherited, settings, cx);
            cx.problems.leave(level);
            choice
        }
        // Refused by name.
        _ => None,
    }
}

fn weighted_clusters(
    message: &pb::WeightedCluster,
    inherited: Option<&Metadata>,
    settings: Settings,
    cx: &mut Context,
) -> Option<ClusterChoice> {
    let mut clusters = Vec::with_capacity(message.clusters.len());
    for (index, cluster) in message.clusters.iter().enumerate() {
        let level = cx.problems.enter_item("clusters", index);
        clusters.extend(weighted_cluster(cluster, inherited, settings, cx));
        cx.problems.leave(level);
    }
    if clusters.len() < message.clusters.len() {
        return None;
    }
    let total = clusters
        .iter()
        .map(|c| u64::from(c.weight))
        .fold(0_u64, u64::saturating_add);
    if total == 0 {
        cx.problems
            .report("Sum of weights in the weighted_cluster must be greater than 0.");
    } else if total > u64::from(u32::MAX) {
        let reason = "The sum of weights of all weighted clusters exceeds 4294967295";
        cx.problems.report(reason);
    }
    let header = match &message.random_value_specifier {
        Some(RandomValueSpecifier::HeaderName(name)) if !name.is_empty() => {
            Some(headers::name(name))
        }
        _ => None,
    };
    Some(ClusterChoice::Weighted {
        clusters,
        total,
        header,
    })
}

fn weighted_cluster(
    message: &ClusterWeight,
    inherited: Option<&Metadata>,
    settings: Settings,
    cx: &mut Context,
) -> Option<WeightedCluster> {
    let mutations = headers::mutations(&lists!(message), &mut cx.problems);
    let per_filter = per_filter::compile(&message.typed_per_filter_config, &mut cx.problems);
    if message.weight.is_none() {
        cx.problems.report("Field 'weight' is missing");
    }
    let name = match (message.name.as_str(), message.cluster_header.as_str()) {
        ("", "") => {
            cx.problems
                .report("At least one of name or cluster_header need to be specified");
            return None;
        }
        (name, "") => {
            ClusterOrHeader::Named(cx.refer("name", name, true, settings.validate_clusters))
        }
        ("", header) => ClusterOrHeader::Header(headers::name(header)),
        _ => {
            cx.problems
                .report("Only one of name or cluster_header can be specified");
            return None;
        }
    };
    let host_rewrite = match &message.host_rewrite_specifier {
        Some(cluster_weight::HostRewriteSpecifier::HostRewriteLiteral(host)) => Some(host.as_str())
            .filter(|host| !host.is_empty())
            .map(Arc::from),
        None => None,
    };
    Some(WeightedCluster {
        name,
        weight: message.weight.as_ref().map_or(0, |v| v.value),
        mutations,
        per_filter,
        host_rewrite,
        metadata_match: metadata::inherit(message.metadata_match.as_ref(), inherited).map(Arc::new),
    })
}

fn path_rewrite(message: &pb::RouteAction, problems: &mut Problems) -> Option<PathRewrite> {
    match (
        message.prefix_rewrite.as_str(),
        message.regex_rewrite.as_ref(),
    ) {
        ("", None) => Some(PathRewrite::None),
        (prefix, None) => Some(PathRewrite::Prefix(prefix.into())),
        ("", Some(rewrite)) => {
            let (pattern, substitution) = regex_rewrite("regex_rewrite", rewrite, problems)?;
            Some(PathRewrite::Regex {
                pattern,
                substitution,
            })
        }
        _ => {
            problems
                .report("Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy");
            None
        }
    }
}

fn host_rewrite(message: &pb::RouteAction, problems: &mut Problems) -> Option<HostRewrite> {
    Some(match message.host_rewrite_specifier.as_ref() {
        None => HostRewrite::None,
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) if host.is_empty() => {
            HostRewrite::None
        }
        Some(HostRewriteSpecifier::HostRewriteLiteral(host)) => {
            HostRewrite::Literal(host.as_str().into())
        }
        Some(HostRewriteSpecifier::AutoHostRewrite(auto)) if auto.value => HostRewrite::Auto,
        Some(HostRewriteSpecifier::AutoHostRewrite(_)) => HostRewrite::None,
        Some(HostRewriteSpecifier::HostRewriteHeader(name)) if name.is_empty() => HostRewrite::None,
        Some(HostRewriteSpecifier::HostRewriteHeader(name)) => {
            HostRewrite::Header(headers::name(name))
        }
        Some(HostRewriteSpecifier::HostRewritePathRegex(rewrite)) => {
            let (pattern, substitution) =
                regex_rewrite("host_rewrite_path_regex", rewrite, problems)?;
            HostRewrite::PathRegex {
                pattern,
                substitution,
            }
        }
        // Refused by name.
        #[allow(unreachable_patterns)]
        Some(_) => return None,
    })
}

fn redirect(message: &pb::RedirectAction, problems: &mut Problems) -> Option<Redirect> {
    let scheme = match message.scheme_rewrite_specifier.as_ref() {
        Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => SchemeRedirect::Https,
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
            SchemeRedirect::To(scheme.as_str().into())
        }
        _ => SchemeRedirect::Keep,
    };
    let path = match message.path_rewrite_specifier.as_ref() {
        None => RedirectPath::Keep,
        Some(PathRewriteSpecifier::PathRedirect(path)) if path.is_empty() => RedirectPath::Keep,
        Some(PathRewriteSpecifier::PathRedirect(path)) => RedirectPath::Path(path.as_str().into()),
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) if prefix.is_empty() => {
            RedirectPath::Keep
        }
        Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
            RedirectPath::Rewrite(PathRewrite::Prefix(prefix.as_str().into()))
        }
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            let (pattern, substitution) = regex_rewrite("regex_rewrite", rewrite, problems)?;
            RedirectPath::Rewrite(PathRewrite::Regex {
                pattern,
                substitution,
            })
        }
        // Refused by name.
        #[allow(unreachable_patterns)]
        Some(_) => return None,
    };
    let status = match RedirectResponseCode::try_from(message.response_code) {
        Ok(RedirectResponseCode::MovedPermanently) | Err(_) => 301,
        Ok(RedirectResponseCode::Found) => 302,
        Ok(RedirectResponseCode::SeeOther) => 303,
        Ok(RedirectResponseCode::TemporaryRedirect) => 307,
        Ok(RedirectResponseCode::PermanentRedirect) => 308,
    };
    Some(Redirect {
        scheme,
        host: Some(message.host_redirect.as_str())
            .filter(|h| !h.is_empty())
            .map(Arc::from),
        port: Some(message.port_redirect).filter(|port| *port != 0),
        path,
        status,
        strip_query: message.strip_query,
    })
}

/// Whether its body, or the body's format, is not in the configuration itself.
fn reads_elsewhere(message: &pb::DirectResponseAction) -> bool {
    let format = message.body_format.as_ref().and_then(|f| f.format.as_ref());
    let format = match format {
        Some(Format::TextFormatSource(source)) => Some(source),
        _ => None,
    };
    let mut sources = message.body.iter().chain(format);
    sources.any(data_source::is_elsewhere)
}

fn direct_response(
    message: &pb::DirectResponseAction,
    max_body: usize,
    problems: &mut Problems,
) -> Option<DirectResponse> {
    let status = u16::try_from(message.status).ok()?;
    let body = match message.body.as_ref() {
        None => None,
        Some(source) => Some(problems.within("body", |p| data_source::read(source, p))?),
    };
    if let Some(size) = body.as_ref().map(Vec::len).filter(|size| *size > max_body) {
        let reason = format!("response body size is {size} bytes; maximum is {max_body}");
        problems.report_at("body", reason);
        return None;
    }
    if message.body_format.is_some() && body.is_some() {
        problems.report_at("body_format", "together with body is not implemented");
        return None;
    }
    let body = match message.body_format.as_ref() {
        None => body.map(|bytes| DirectBody::Static(bytes.into())),
        Some(format) => {
            Some(problems.within("body_format", |p| access_log::body_format(format, p))?)
        }
    };
    Some(DirectResponse { status, body })
}
