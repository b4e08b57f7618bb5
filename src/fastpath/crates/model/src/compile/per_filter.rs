//! `typed_per_filter_config`: what a weighted cluster, a route, a virtual host or a route
//! configuration says of HTTP filters.

use std::collections::HashMap;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::FilterConfig;
use envoy_types::pb::envoy::extensions::filters::http as filters;
use envoy_types::pb::google::protobuf::Any;
use filters::cors::v3::CorsPolicy;
use filters::ext_authz::v3::ExtAuthzPerRoute;
use filters::fault::v3::HttpFault;
use filters::header_mutation::v3::HeaderMutationPerRoute;
use filters::jwt_authn::v3::PerRouteConfig;
use filters::rbac::v3::RbacPerRoute;
use prost::Message as _;

use super::{cors, ext_authz, fault, header_mutation, jwt_authn, rbac};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::http_filters::{PerFilter, RouteFilter, RouteFilterConfig};
use crate::schema::name_of_url;
use crate::supported;

const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";
const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute";
const EXT_AUTHZ: &str = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
const JWT_AUTHN: &str = "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig";
const FAULT: &str = "envoy.extensions.filters.http.fault.v3.HTTPFault";
const CORS: &str = "envoy.extensions.filters.http.cors.v3.CorsPolicy";
const HEADER_MUTATION: &str =
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute";

pub(super) fn compile(messages: &HashMap<String, Any>, problems: &mut Problems) -> PerFilter {
    let mut named: Vec<_> = messages.iter().collect();
    named.sort_unstable_by_key(|(name, _)| *name);
    let level = problems.enter("typed_per_filter_config");
    let each = |(name, any): (&String, &Any)| {
        let level = problems.enter_key(name);
        let before = problems.count();
        let said = said_of(name, any, problems);
        if said.is_none() && problems.count() == before {
            // Nor must what is said of one.
            problems.report("could not be compiled");
        }
        problems.leave(level);
        Some((name.as_str().into(), said?))
    };
    let all = named.into_iter().filter_map(each).collect();
    problems.leave(level);
    PerFilter(all)
}

fn said_of(name: &str, any: &Any, problems: &mut Problems) -> Option<RouteFilter> {
    if name_of_url(&any.type_url) != Some(FILTER_CONFIG) {
        return config(name, any, problems).map(RouteFilter::Config);
    }
    let message = FilterConfig::decode(any.value.as_slice()).ok()?;
    if message.disabled {
        return Some(RouteFilter::Disabled);
    }
    let Some(any) = message.config.as_ref() else {
        if message.is_optional {
            // Of a type that is not known, left out when it was read.
            return Some(RouteFilter::Enabled);
        }
        problems.report(format!(
            "Empty route/virtual host per filter configuration for {name} filter"
        ));
        return None;
    };
    let is_unknown = || !is_known(name_of_url(&any.type_url).unwrap_or(""));
    if any.type_url.is_empty() || (message.is_optional && is_unknown()) {
        return Some(RouteFilter::Enabled);
    }
    problems
        .within("config", |p| config(name, any, p))
        .map(RouteFilter::Config)
}

fn is_known(type_name: &str) -> bool {
    matches!(
        type_name,
        RBAC | EXT_AUTHZ | JWT_AUTHN | FAULT | CORS | HEADER_MUTATION
    )
}

fn config(name: &str, any: &Any, problems: &mut Problems) -> Option<RouteFilterConfig> {
    let bytes = any.value.as_slice();
    match name_of_url(&any.type_url).unwrap_or("") {
        RBAC => {
            let message = RbacPerRoute::decode(bytes).ok()?;
            let rules = match message.rbac.as_ref() {
                None => None,
                Some(message) => Some(problems.within("rbac", |p| rbac::http(message, p))?),
            };
            Some(RouteFilterConfig::Rbac(rules.map(Arc::new)))
        }
        EXT_AUTHZ => {
            let message = ExtAuthzPerRoute::decode(bytes).ok()?;
            let settings = ext_authz::of_route(&message, problems)?;
            Some(RouteFilterConfig::ExtAuthz(settings.into()))
        }
        JWT_AUTHN => {
            let message = PerRouteConfig::decode(bytes).ok()?;
            let said = jwt_authn::of_route(&message)?;
            Some(RouteFilterConfig::JwtAuthn(said.into()))
        }
        FAULT => {
            let message = HttpFault::decode(bytes).ok()?;
            let fault = fault::compile(&message, problems)?;
            Some(RouteFilterConfig::Fault(fault.into()))
        }
        CORS => {
            let message = CorsPolicy::decode(bytes).ok()?;
            let policy = cors::policy(&message, problems)?;
            Some(RouteFilterConfig::Cors(policy.into()))
        }
        HEADER_MUTATION => {
            let message = HeaderMutationPerRoute::decode(bytes).ok()?;
            let message = message.mutations.unwrap_or_default();
            let mutations = problems.within("mutations", |p| header_mutation::all(&message, p))?;
            Some(RouteFilterConfig::HeaderMutation(mutations.into()))
        }
        "" => {
            problems.report(not_implemented(Some(name), ""));
            None
        }
        other if supported::find(other).is_some() => {
            problems.report(format!(
                "The filter {name} doesn't support virtual host or route specific configurations \
                 of type {other}"
            ));
            None
        }
        other => {
            problems.report(not_implemented(Some(name), other));
            None
        }
    }
}
