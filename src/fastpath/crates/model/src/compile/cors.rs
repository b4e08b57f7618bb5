//! `CorsPolicy` of `envoy.filters.http.cors`.

use envoy_types::pb::envoy::extensions::filters::http::cors::v3 as pb;

use super::matchers;
use crate::problem::Problems;
use crate::resources::http_filters::CorsPolicy;

const ALL: u32 = 1_000_000;

pub(super) fn policy(message: &pb::CorsPolicy, problems: &mut Problems) -> Option<CorsPolicy> {
    let before = problems.count();
    let each = |(index, matcher)| {
        let field = "allow_origin_string_match";
        problems.within_item(field, index, |p| matchers::string(matcher, p))
    };
    let origins = message.allow_origin_string_match.iter().enumerate();
    let allow_origins = origins.filter_map(each).collect();
    let filter_enabled = message.filter_enabled.as_ref();
    let shadow_enabled = message.shadow_enabled.as_ref();
    (problems.count() == before).then(|| CorsPolicy {
        allow_origins,
        allow_methods: message.allow_methods.as_str().into(),
        allow_headers: message.allow_headers.as_str().into(),
        expose_headers: message.expose_headers.as_str().into(),
        max_age: message.max_age.as_str().into(),
        allow_credentials: message.allow_credentials.as_ref().map(|v| v.value),
        allow_private_network_access: message
            .allow_private_network_access
            .as_ref()
            .map(|v| v.value),
        forward_not_matching_preflights: message
            .forward_not_matching_preflights
            .as_ref()
            .map(|v| v.value),
        filter_enabled: filter_enabled.map_or(ALL, matchers::fraction),
        shadow_enabled: shadow_enabled.map_or(0, matchers::fraction),
    })
}
