//! The HTTP filter `jwt_authn`.

use super::{Entry, all};

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        &[
            "providers",
            "rules",
            "bypass_cors_preflight",
            "requirement_map",
            "strip_failure_response",
            "stat_prefix",
        ],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
        &["disabled", "requirement_name"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider",
        &[
            "issuer",
            "audiences",
            "subjects",
            "require_expiration",
            "max_lifetime",
            "remote_jwks",
            "local_jwks",
            "forward",
            "from_headers",
            "from_params",
            "from_cookies",
            "forward_payload_header",
            "pad_forward_payload_header",
            "payload_in_metadata",
            "normalize_payload_in_metadata",
            "header_in_metadata",
            "failed_status_in_metadata",
            "clock_skew_seconds",
            "jwt_cache_config",
            "claim_to_headers",
            "clear_route_cache",
        ],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider.NormalizePayload",
        &["space_delimited_claims"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtCacheConfig",
        &["jwt_cache_size", "jwt_max_token_size"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.RemoteJwks",
        &["http_uri", "cache_duration", "async_fetch"],
    ),
    Entry {
        message: "envoy.extensions.filters.http.jwt_authn.v3.JwksAsyncFetch",
        implemented: &["failed_refetch_duration"],
        ignored: &[(
            "fast_listener",
            "listeners never wait for keys: requests do, each for as long as the fetch takes",
        )],
        default_only: &[],
    },
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader",
        &["name", "value_prefix"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.ProviderWithAudiences",
        &["provider_name", "audiences"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement",
        &[
            "provider_name",
            "provider_and_audiences",
            "requires_any",
            "requires_all",
            "allow_missing_or_failed",
            "allow_missing",
        ],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList",
        &["requirements"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList",
        &["requirements"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.RequirementRule",
        &["match", "requires", "requirement_name"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader",
        &["header_name", "claim_name", "claim_path"],
    ),
    all(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader.PathSegment",
        &["key"],
    ),
];
