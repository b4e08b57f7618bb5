//! `envoy.filters.http.cors`: answers preflight requests, and tells browsers which origins may read
//! a response. Each setting is that of the most specific level that has it.

use std::sync::Arc;

use model::resources::http_filters::{CorsPolicy, RouteFilterConfig};
use proto::Known;
use proto::h1::Method;

use super::{Configured, Flow, Reply};
use crate::http::stream::Stream;
use crate::telemetry::stats::{CorsCounter, CorsShard};
use crate::worker::Worker;
use crate::worker::chain::RouteRef;

const REQUEST_PRIVATE: &[u8] = b"access-control-request-private-network";
const ALLOW_PRIVATE: &[u8] = b"access-control-allow-private-network";

/// The policies of a route's levels, the most specific first.
struct Policies<'r>([Option<&'r CorsPolicy>; 4]);

impl<'r> Policies<'r> {
    fn of(of: &Configured, route: Option<&'r RouteRef>, weighted: Option<u32>) -> Self {
        let levels = of.of_levels(route, weighted);
        Self(levels.map(|level| match level {
            Some(RouteFilterConfig::Cors(policy)) => Some(&**policy),
            _ => None,
        }))
    }

    fn iter(&self) -> impl Iterator<Item = &'r CorsPolicy> {
        self.0.into_iter().flatten()
    }

    fn text(&self, of: fn(&CorsPolicy) -> &str) -> Option<&'r str> {
        let mut texts = self.iter().map(of);
        texts.find(|text| !text.is_empty())
    }

    fn flag(&self, of: fn(&CorsPolicy) -> Option<bool>) -> Option<bool> {
        self.iter().find_map(of)
    }

    fn allows(&self, origin: &[u8]) -> bool {
        let mut all = self.iter().map(|policy| &policy.allow_origins);
        let origins = all.find(|origins| !origins.is_empty());
        let matches = |matcher: &model::resources::route::StringMatcher| {
            matcher.matches(b"*") || matcher.matches(origin)
        };
        origins.is_some_and(|origins| origins.iter().any(matches))
    }
}

/// A request's head. True: it comes from an origin that is allowed, and its response will say so.
pub(super) fn decode(
    of: &Configured,
    stats: &Arc<CorsShard>,
    worker: &mut Worker,
    s: &mut Stream,
) -> (Flow, bool) {
    let route = s.route.clone();
    // Only what goes to a host is asked, as in Envoy.
    let forwarding = route.as_ref().filter(|route| route.forward().is_some());
    let policies = Policies::of(of, forwarding, s.weighted);
    let Some(first) = policies.iter().next() else {
        return (Flow::Pass, false);
    };
    let is_enabled = worker.is_drawn(first.filter_enabled);
    if !is_enabled && !worker.is_drawn(first.shadow_enabled) {
        return (Flow::Pass, false);
    }
    let origin = s.request.headers.get(Known::Origin).unwrap_or_default();
    if origin.is_empty() {
        return (Flow::Pass, false);
    }
    // Other filters, and the route, may take it off the request.
    s.cors_origin.clear();
    s.cors_origin.extend_from_slice(origin);
    let allowed = policies.allows(&s.cors_origin);
    stats.inc(if allowed {
        CorsCounter::OriginValid
    } else {
        CorsCounter::OriginInvalid
    });
    if !is_enabled {
        return (Flow::Pass, false);
    }
    let asks = s.request.headers.get(Known::AccessControlRequestMethod);
    let is_preflight =
        s.request.kind == Method::Options && asks.is_some_and(|method| !method.is_empty());
    let forwards = || policies.flag(|p| p.forward_not_matching_preflights);
    if !is_preflight || (!allowed && forwards().unwrap_or(true)) {
        return (Flow::Pass, allowed);
    }
    answer(&policies, allowed, s);
    let reply = Reply {
        status: 200,
        body: None,
        headers: Vec::new(),
        details: "cors_response".into(),
        grpc_status: None,
        as_it_is: true,
    };
    (Flow::Reply(reply), allowed)
}

/// The answer to a preflight request.
fn answer(policies: &Policies<'_>, allowed: bool, s: &mut Stream) {
    let asked = &s.request.headers;
    let headers = &mut s.response.headers;
    if allowed {
        headers.set(Known::AccessControlAllowOrigin, &s.cors_origin);
    }
    if policies.flag(|p| p.allow_credentials) == Some(true) {
        headers.set(Known::AccessControlAllowCredentials, b"true");
    }
    for (setting, name, asked_for) in [
        (
            policies.text(|p| &p.allow_methods),
            Known::AccessControlAllowMethods,
            Known::AccessControlRequestMethod,
        ),
        (
            policies.text(|p| &p.allow_headers),
            Known::AccessControlAllowHeaders,
            Known::AccessControlRequestHeaders,
        ),
    ] {
        match setting {
            Some("*") => {
                headers.set(name, asked.get(asked_for).unwrap_or_default());
            }
            Some(text) => {
                headers.set(name, text.as_bytes());
            }
            None => {}
        }
    }
    if let Some(age) = policies.text(|p| &p.max_age) {
        headers.set(Known::AccessControlMaxAge, age.as_bytes());
    }
    if policies.flag(|p| p.allow_private_network_access) == Some(true)
        && asked.get_name(REQUEST_PRIVATE) == Some(b"true")
    {
        headers.set_name(ALLOW_PRIVATE, b"true");
    }
}

/// The head of a response to an origin that is allowed.
pub(super) fn encode(of: &Configured, s: &mut Stream) {
    let policies = Policies::of(of, s.route.as_ref(), s.weighted);
    let headers = &mut s.response.headers;
    headers.set(Known::AccessControlAllowOrigin, &s.cors_origin);
    if policies.flag(|p| p.allow_credentials) == Some(true) {
        headers.set(Known::AccessControlAllowCredentials, b"true");
    }
    if let Some(exposed) = policies.text(|p| &p.expose_headers) {
        headers.set(Known::AccessControlExposeHeaders, exposed.as_bytes());
    }
}
