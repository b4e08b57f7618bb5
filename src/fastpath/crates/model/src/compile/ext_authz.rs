//! `envoy.filters.http.ext_authz`, of a connection manager or of a route, and
//! `envoy.filters.network.ext_authz`.

use envoy_types::pb::envoy::config::common::mutation_rules::v3 as rules;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::network::ext_authz::v3 as network;
use envoy_types::pb::envoy::r#type::matcher::v3::ListStringMatcher;
use pb::check_settings::ServiceOverride;
use pb::ext_authz::Services;
use pb::ext_authz_per_route::Override;

use super::config_source::is_v2;
use super::duration::millis_or;
use super::{Context, config_source, hcm, headers, matchers, rbac};
use crate::problem::Problems;
use crate::resources::ext_authz::{
    BodySettings, ExtAuthz, GrpcService, HttpService, MutationRules, Names, NetworkExtAuthz,
    RouteExtAuthz, Service,
};
use crate::resources::header_mutation::HeaderAdd;
use crate::resources::route::{StringMatcher, StringPattern};

/// Of a call to a gRPC service that does not say.
const TIMEOUT: std::time::Duration = std::time::Duration::from_millis(200);
const FORBIDDEN: u16 = 403;
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
/// Headers that a server that speaks HTTP is told whatever the configuration says.
const ALWAYS_TOLD: [&str; 4] = ["authorization", ":method", ":path", ":authority"];
/// Headers of a refusal that the client gets whatever the configuration says.
const ALWAYS_PASSED: [&str; 4] = [":status", "content-length", "www-authenticate", "location"];

pub(super) use network::ExtAuthz as Network;

/// Of connections.
pub(super) fn network(message: &Network, cx: &mut Context) -> Option<NetworkExtAuthz> {
    let problems = &mut cx.problems;
    let before = problems.count();
    if is_v2(message.transport_api_version) {
        problems.report_at("transport_api_version", "V2 is not implemented");
    }
    let Some(grpc) = message.grpc_service.as_ref() else {
        problems.report("nobody to ask: grpc_service is missing");
        return None;
    };
    let service = problems.within("grpc_service", |p| grpc_service(grpc, p));
    let enabled_metadata = match message.filter_enabled_metadata.as_ref() {
        None => Some(None),
        Some(matcher) => problems
            .within("filter_enabled_metadata", |p| rbac::metadata(matcher, p))
            .map(Some),
    };
    let calls = hcm::compile(&calls(), cx);
    let compiled = NetworkExtAuthz {
        stat_prefix: message.stat_prefix.as_str().into(),
        service: service?,
        failure_mode_allow: message.failure_mode_allow,
        include_peer_certificate: message.include_peer_certificate,
        include_tls_session: message.include_tls_session,
        enabled_metadata: enabled_metadata?,
        metadata_namespaces: boxed(&message.metadata_context_namespaces),
        calls: calls?.into(),
    };
    (cx.problems.count() == before).then_some(compiled)
}

/// A connection manager with nothing but defaults.
fn calls() -> hcm::Message {
    use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
    let router = pb::HttpFilter {
        name: "router".to_owned(),
        config_type: Some(pb::http_filter::ConfigType::TypedConfig(
            envoy_types::pb::google::protobuf::Any {
                type_url: format!("type.googleapis.com/{ROUTER}"),
                value: Vec::new(),
            },
        )),
        ..pb::HttpFilter::default()
    };
    let routes = pb::http_connection_manager::RouteSpecifier::RouteConfig(
        envoy_types::pb::envoy::config::route::v3::RouteConfiguration::default(),
    );
    hcm::Message {
        stat_prefix: "ext_authz".to_owned(),
        http_filters: vec![router],
        route_specifier: Some(routes),
        ..hcm::Message::default()
    }
}

pub(super) fn compile(message: &pb::ExtAuthz, problems: &mut Problems) -> Option<ExtAuthz> {
    let before = problems.count();
    if is_v2(message.transport_api_version) {
        problems.report_at("transport_api_version", "V2 is not implemented");
    }
    let service = match message.services.as_ref() {
        Some(Services::GrpcService(grpc)) => problems
            .within("grpc_service", |p| grpc_service(grpc, p))
            .map(Service::Grpc),
        Some(Services::HttpService(http)) => problems
            .within("http_service", |p| http_service(http, p))
            .map(|service| Service::Http(*service)),
        None => {
            problems.report("nobody to ask: grpc_service or http_service is needed");
            None
        }
    };
    let is_http = matches!(message.services, Some(Services::HttpService(_)));
    let enabled = message.filter_enabled.as_ref();
    let enabled_metadata = message
        .filter_enabled_metadata
        .as_ref()
        .map(|matcher| problems.within("filter_enabled_metadata", |p| rbac::metadata(matcher, p)));
    let allowed_headers = allowed_headers(message, problems);
    let disallowed = message.disallowed_headers.as_ref();
    let disallowed_headers = disallowed.map(|list| names("disallowed_headers", list, problems));
    let mutation_rules = message.decoder_header_mutation_rules.as_ref();
    let mutation_rules = mutation_rules
        .map(|r| problems.within("decoder_header_mutation_rules", |p| self::rules(r, p)));
    let deny = message.deny_at_disable.as_ref();
    let charge = message.charge_cluster_response_stats.as_ref();
    let metadata = message.enable_dynamic_metadata_ingestion.as_ref();
    let max_denied = usize::try_from(message.max_denied_response_body_bytes).ok();
    let compiled = ExtAuthz {
        service: service?,
        failure_mode_allow: message.failure_mode_allow,
        failure_mode_allow_header_add: message.failure_mode_allow_header_add,
        body: message.with_request_body.as_ref().map(|b| body(b, is_http)),
        clear_route_cache: message.clear_route_cache,
        status_on_error: status(message.status_on_error.as_ref(), problems),
        metadata_namespaces: boxed(&message.metadata_context_namespaces),
        enabled: enabled.map_or(1_000_000, matchers::fraction),
        enabled_metadata: match enabled_metadata {
            None => None,
            Some(matcher) => Some(matcher?),
        },
        deny_at_disable: deny
            .and_then(|flag| flag.default_value.as_ref())
            .is_some_and(|flag| flag.value),
        include_peer_certificate: message.include_peer_certificate,
        include_tls_session: message.include_tls_session,
        stat_prefix: message.stat_prefix.as_str().into(),
        allowed_headers,
        disallowed_headers,
        charge_cluster_response_stats: charge.is_none_or(|flag| flag.value),
        encode_raw_headers: message.encode_raw_headers,
        mutation_rules: match mutation_rules {
            None => None,
            Some(rules) => Some(rules?),
        },
        takes_metadata: metadata.is_none_or(|flag| flag.value),
        max_denied_body: max_denied.filter(|most| *most > 0),
    };
    (problems.count() == before).then_some(compiled)
}

/// Of a route.
pub(super) fn of_route(
    message: &pb::ExtAuthzPerRoute,
    problems: &mut Problems,
) -> Option<RouteExtAuthz> {
    match message.r#override.as_ref()? {
        Override::Disabled(disabled) => Some(RouteExtAuthz {
            disabled: *disabled,
            ..RouteExtAuthz::default()
        }),
        Override::CheckSettings(settings) => problems.within("check_settings", |problems| {
            match settings.service_override {
                None => {}
                // Refused by name.
                Some(ServiceOverride::GrpcService(_) | ServiceOverride::HttpService(_)) => {
                    return None;
                }
            }
            if settings.disable_request_body_buffering && settings.with_request_body.is_some() {
                problems.report(
                    "Invalid configuration for check_settings. Only one of \
                     disable_request_body_buffering or with_request_body can be set.",
                );
                return None;
            }
            let mut extensions: Vec<_> = settings.context_extensions.iter().collect();
            extensions.sort_unstable();
            let boxed =
                |(key, value): (&String, &String)| (key.as_str().into(), value.as_str().into());
            Some(RouteExtAuthz {
                disabled: false,
                context_extensions: extensions.into_iter().map(boxed).collect(),
                disable_body: settings.disable_request_body_buffering,
                body: settings.with_request_body.as_ref().map(|b| body(b, false)),
            })
        }),
    }
}

pub(super) fn grpc_service(
    message: &core::GrpcService,
    problems: &mut Problems,
) -> Option<GrpcService> {
    let server = config_source::grpc_service(message, problems);
    let Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(envoy)) = &message.target_specifier
    else {
        // GoogleGrpc is refused by name, and nobody in Envoy's words.
        return None;
    };
    if envoy.retry_policy.is_some() {
        let level = problems.enter("envoy_grpc");
        problems.report_at(
            "retry_policy",
            "calls that are tried again are not implemented",
        );
        problems.leave(level);
    }
    let timeout = millis_or("timeout", message.timeout.as_ref(), TIMEOUT, problems);
    let server = server?;
    Some(GrpcService {
        cluster: server.cluster.into(),
        authority: server.authority,
        timeout_ms: limit(timeout),
        initial_metadata: server.initial_metadata,
        skip_envoy_headers: envoy.skip_envoy_headers,
        max_message: server.max_message,
    })
}

/// Milliseconds; no time at all means no limit, as in Envoy.
fn limit(timeout: std::time::Duration) -> Option<u64> {
    let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    Some(timeout).filter(|timeout| *timeout > 0)
}

fn http_service(message: &pb::HttpService, problems: &mut Problems) -> Option<Box<HttpService>> {
    let Some(uri) = message.server_uri.as_ref() else {
        problems.report("server_uri is missing");
        return None;
    };
    let prefix = message.path_prefix.as_str();
    if !prefix.is_empty() && !prefix.starts_with('/') {
        problems.report_at("path_prefix", "path_prefix should start with \"/\".");
    }
    let timeout = problems.within("server_uri", |p| {
        millis_or("timeout", uri.timeout.as_ref(), TIMEOUT, p)
    });
    let core::http_uri::HttpUpstreamType::Cluster(cluster) = uri.http_upstream_type.as_ref()?;
    let request = message.authorization_request.as_ref();
    let headers_to_add = problems.within("authorization_request", |problems| {
        let headers = request.map(|r| r.headers_to_add.as_slice());
        let each = |(index, header): (usize, &core::HeaderValue)| {
            problems.within_item("headers_to_add", index, |p| addition(header, p))
        };
        let headers = headers.unwrap_or_default().iter().enumerate().map(each);
        headers.collect::<Option<Vec<_>>>()
    });
    let answer = message.authorization_response.clone().unwrap_or_default();
    let level = problems.enter("authorization_response");
    let mut list = |field: &str, list: &Option<ListStringMatcher>| match list {
        None => Names::default(),
        Some(list) => names(field, list, problems),
    };
    let mut client = list("allowed_client_headers", &answer.allowed_client_headers);
    let service = HttpService {
        cluster: cluster.as_str().into(),
        timeout_ms: limit(timeout),
        path_prefix: prefix.into(),
        headers_to_add: headers_to_add?,
        upstream: list("allowed_upstream_headers", &answer.allowed_upstream_headers),
        upstream_append: list(
            "allowed_upstream_headers_to_append",
            &answer.allowed_upstream_headers_to_append,
        ),
        client: (!client.0.is_empty()).then(|| {
            client.0.extend(ALWAYS_PASSED.map(exact));
            client
        }),
        client_on_success: list(
            "allowed_client_headers_on_success",
            &answer.allowed_client_headers_on_success,
        ),
        metadata: list(
            "dynamic_metadata_from_headers",
            &answer.dynamic_metadata_from_headers,
        ),
    };
    problems.leave(level);
    Some(Box::new(service))
}

fn addition(header: &core::HeaderValue, problems: &mut Problems) -> Option<HeaderAdd> {
    use core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd;
    let option = core::HeaderValueOption {
        header: Some(header.clone()),
        append_action: i32::from(OverwriteIfExistsOrAdd),
        ..core::HeaderValueOption::default()
    };
    headers::addition(&option, problems)
}

/// A server that speaks gRPC is told all, unless there is a list; one that speaks HTTP what is
/// listed, in one of two places.
fn allowed_headers(message: &pb::ExtAuthz, problems: &mut Problems) -> Option<Names> {
    let of_filter = message.allowed_headers.as_ref();
    let Some(Services::HttpService(http)) = message.services.as_ref() else {
        return of_filter.map(|list| names("allowed_headers", list, problems));
    };
    let request = http.authorization_request.as_ref();
    let of_service = request.and_then(|r| r.allowed_headers.as_ref());
    let mut all = match (of_filter, of_service) {
        (Some(_), Some(_)) => {
            problems.report("Invalid duplicate configuration for allowed_headers.");
            return None;
        }
        (Some(list), None) => names("allowed_headers", list, problems),
        (None, Some(list)) => {
            let level = problems.enter("http_service");
            let all = problems.within("authorization_request", |p| {
                names("allowed_headers", list, p)
            });
            problems.leave(level);
            all
        }
        (None, None) => Names::default(),
    };
    all.0.extend(ALWAYS_TOLD.map(exact));
    Some(all)
}

/// A list of which nothing may be lost: what is refused in it is reported.
fn names(field: &str, list: &ListStringMatcher, problems: &mut Problems) -> Names {
    let level = problems.enter(field);
    let each = |(index, matcher)| {
        problems.within_item("patterns", index, |p| matchers::string(matcher, p))
    };
    let all = list.patterns.iter().enumerate().filter_map(each).collect();
    problems.leave(level);
    Names(all)
}

fn exact(name: &str) -> StringMatcher {
    StringMatcher {
        pattern: StringPattern::Exact(name.as_bytes().into()),
        ignore_case: false,
    }
}

/// To a server that speaks HTTP a body is bytes in any case.
fn body(message: &pb::BufferSettings, is_http: bool) -> BodySettings {
    BodySettings {
        max_bytes: usize::try_from(message.max_request_bytes).unwrap_or(usize::MAX),
        allow_partial: message.allow_partial_message,
        as_bytes: is_http || message.pack_as_bytes,
    }
}

/// As in Envoy, what it does not know as a status is 403.
fn status(
    message: Option<&envoy_types::pb::envoy::r#type::v3::HttpStatus>,
    problems: &mut Problems,
) -> u16 {
    let Some(message) = message else {
        return FORBIDDEN;
    };
    let code = u16::try_from(message.code).ok();
    let code = code.filter(|code| (200..600).contains(code));
    if code.is_none() {
        problems.report_at("status_on_error", "a status is a number from 200 to 599");
    }
    code.unwrap_or(FORBIDDEN)
}

fn boxed(all: &[String]) -> Vec<Box<str>> {
    all.iter().map(|text| text.as_str().into()).collect()
}

fn rules(message: &rules::HeaderMutationRules, problems: &mut Problems) -> Option<MutationRules> {
    type Flag = envoy_types::pb::google::protobuf::BoolValue;
    let is_on = |flag: &Option<Flag>| flag.as_ref().is_some_and(|flag| flag.value);
    let mut regex = |field, expression: &Option<_>| match expression {
        None => Some(None),
        Some(expression) => matchers::full_regex(field, expression, problems).map(Some),
    };
    let allow = regex("allow_expression", &message.allow_expression);
    let disallow = regex("disallow_expression", &message.disallow_expression);
    Some(MutationRules {
        allow_all_routing: is_on(&message.allow_all_routing),
        allow_envoy: is_on(&message.allow_envoy),
        disallow_system: is_on(&message.disallow_system),
        disallow_all: is_on(&message.disallow_all),
        allow: allow?,
        disallow: disallow?,
        disallow_is_error: is_on(&message.disallow_is_error),
    })
}
