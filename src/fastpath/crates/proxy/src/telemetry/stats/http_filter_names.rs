//! What Envoy counts per HTTP filter: `http.<stat_prefix>.fault.*`, `http.<stat_prefix>.cors.*`,
//! `http.<stat_prefix>.ext_authz.*`, `cluster.<name>.ext_authz.*` and
//! `http.<stat_prefix>.jwt_authn.*`.
//! (`rbac` counts as its network filter does.)

use super::names::stat_names;

stat_names! {
    /// Counters of fault filters.
    pub enum FaultCounter {
        AbortsInjected = "aborts_injected",
        DelaysInjected = "delays_injected",
        FaultsOverflow = "faults_overflow",
        ResponseRlInjected = "response_rl_injected",
    }
}

stat_names! {
    /// Gauges of fault filters.
    pub enum FaultGauge {
        ActiveFaults = "active_faults",
    }
}

stat_names! {
    /// `http.<stat_prefix>.fault.<downstream cluster>.*`: each is only there once it counts.
    pub enum FaultAbortCounter {
        AbortsInjected = "aborts_injected",
    }
}

stat_names! {
    /// The same of delays.
    pub enum FaultDelayCounter {
        DelaysInjected = "delays_injected",
    }
}

stat_names! {
    /// Counters of CORS filters.
    pub enum CorsCounter {
        OriginInvalid = "origin_invalid",
        OriginValid = "origin_valid",
    }
}

stat_names! {
    /// Counters of ext_authz filters. (Some count what we refuse to be configured for.)
    pub enum ExtAuthzCounter {
        Denied = "denied",
        Disabled = "disabled",
        Error = "error",
        FailureModeAllowed = "failure_mode_allowed",
        FilterStateNameCollision = "filter_state_name_collision",
        IgnoredDynamicMetadata = "ignored_dynamic_metadata",
        Invalid = "invalid",
        Ok = "ok",
        OmittedResponseHeaders = "omitted_response_headers",
        RequestHeaderLimitsReached = "request_header_limits_reached",
        ResponseHeaderLimitsReached = "response_header_limits_reached",
        ShadowDenied = "shadow_denied",
        ShadowError = "shadow_error",
    }
}

stat_names! {
    /// The same for the cluster that the request was for.
    pub enum ExtAuthzClusterCounter {
        Denied = "denied",
        Error = "error",
        FailureModeAllowed = "failure_mode_allowed",
        Invalid = "invalid",
        Ok = "ok",
    }
}

stat_names! {
    /// Counters of jwt_authn filters.
    pub enum JwtAuthnCounter {
        Allowed = "allowed",
        CorsPreflightBypassed = "cors_preflight_bypassed",
        Denied = "denied",
        JwksFetchFailed = "jwks_fetch_failed",
        JwksFetchSuccess = "jwks_fetch_success",
        JwtCacheHit = "jwt_cache_hit",
        JwtCacheMiss = "jwt_cache_miss",
    }
}
