//! `envoy.filters.http.rbac`: whether a request goes on, by rules of the connection manager or of
//! its route.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::matching::rbac::{MetadataValue, Subject, Verdict};
use model::matching::with_plain_path;
use model::resources::http_filters::RouteFilterConfig;
use model::resources::rbac::{Action, HttpRbac, Source};
use model::resources::route::{HeaderMatcher, StringMatcher};
use model::resources::tls::SanMatcher;
use tls::PeerCertificate;

use super::{Configured, Flow, Reply};
use crate::http::client::Client;
use crate::http::stream::Stream;
use crate::router::rewrite::path_only;
use crate::telemetry::dynamic_metadata::{Key, Value};
use crate::telemetry::log::Level;
use crate::telemetry::stats::{RbacCounter, RbacShadowCounter, RbacShadowShard, RbacShard, Stats};
use crate::worker::chain::RouteRef;
use crate::worker::rbac::{COMMON_NAMESPACE, LOG_HINT, any_principal, details};

/// Where results are told.
const NAMESPACE: &str = "envoy.filters.http.rbac";
const ALLOWED: Value = Value::Fixed("allowed");
const DENIED: Value = Value::Fixed("denied");

#[derive(Debug)]
pub struct RbacFilter {
    config: Arc<HttpRbac>,
    stats: Arc<RbacShard>,
    shadow_stats: Arc<RbacShadowShard>,
    body: Arc<[u8]>,
}

impl RbacFilter {
    pub fn new(config: &Arc<HttpRbac>, hcm_prefix: &str, stats: &Stats) -> Self {
        Self {
            stats: stats.http_rbac(hcm_prefix, &config.prefix),
            shadow_stats: stats.http_rbac_shadow(hcm_prefix, &config.shadow_prefix),
            config: Arc::clone(config),
            body: Arc::from(&b"RBAC: access denied"[..]),
        }
    }

    pub(super) fn ask(&self, of: &Configured, client: &Client, s: &mut Stream) -> Flow {
        let route = s.route.clone();
        let config = match of.of_route(route.as_ref(), s.weighted) {
            Some(RouteFilterConfig::Rbac(None)) => return Flow::Pass,
            Some(RouteFilterConfig::Rbac(Some(config))) => config,
            _ => &self.config,
        };
        // A route without prefixes of its own notes under those of the connection manager.
        let own = &self.config.keys;
        if let Some(rules) = &config.shadow_rules {
            let verdict = rules.ask(&Request { client, s });
            self.shadow_stats.inc(if verdict.allowed {
                RbacShadowCounter::ShadowAllowed
            } else {
                RbacShadowCounter::ShadowDenied
            });
            let keys = if config.shadow_prefix.is_empty() {
                own
            } else {
                &config.keys
            };
            note(verdict, (&keys.shadow_result, &keys.shadow_policy), s);
        }
        let Some(rules) = &config.rules else {
            return Flow::Pass;
        };
        let verdict = rules.ask(&Request { client, s });
        if rules.action == Action::Log {
            let hint = Value::Flag(verdict.policy.is_some());
            s.info
                .metadata
                .set(COMMON_NAMESPACE, Key::Fixed(LOG_HINT), hint);
        }
        let keys = if config.prefix.is_empty() {
            own
        } else {
            &config.keys
        };
        note(verdict, (&keys.result, &keys.policy), s);
        if verdict.allowed {
            self.stats.inc(RbacCounter::Allowed);
            return Flow::Pass;
        }
        self.stats.inc(RbacCounter::Denied);
        let policy = verdict.policy.map_or("none", |policy| policy);
        crate::log!(
            Level::Debug,
            "rbac",
            "{}: a request of {} is refused, matched policy {policy}",
            of.name,
            client.peer
        );
        Flow::Reply(Reply {
            status: 403,
            body: Some(Arc::clone(&self.body)),
            details: details(policy).into_string().into(),
            grpc_status: None,
            as_it_is: false,
        })
    }
}

/// Tells what rules said, and by which policy.
fn note(verdict: Verdict<'_>, (result, policy): (&Arc<str>, &Arc<str>), s: &mut Stream) {
    let metadata = &mut s.info.metadata;
    if let Some(name) = verdict.policy.filter(|name| !name.is_empty()) {
        let name = Value::Given(Arc::clone(name));
        metadata.set(NAMESPACE, Key::Given(Arc::clone(policy)), name);
    }
    let said = if verdict.allowed { ALLOWED } else { DENIED };
    metadata.set(NAMESPACE, Key::Given(Arc::clone(result)), said);
}

/// A request as rules see it.
struct Request<'a> {
    client: &'a Client,
    s: &'a Stream,
}

impl Request<'_> {
    fn peer(&self) -> Option<&PeerCertificate> {
        self.client.tls.as_ref()?.peer.as_deref()
    }
}

impl Subject for Request<'_> {
    fn destination(&self) -> Option<SocketAddr> {
        self.client.local.socket_addr()
    }

    fn source(&self, which: Source) -> Option<IpAddr> {
        match which {
            Source::Direct => self.client.direct_peer.ip(),
            Source::Connection => self.client.peer.ip(),
            Source::Remote => self.s.info.downstream_remote.as_ref()?.ip(),
        }
    }

    /// What the TLS inspector found: without one there is none, in Envoy too.
    fn server_name(&self) -> &[u8] {
        let facts = self.client.facts.as_ref();
        facts.map_or(b"", |facts| &facts.server_name)
    }

    fn has_header(&self, matcher: &HeaderMatcher) -> bool {
        matcher.matches(&self.s.request)
    }

    /// As routes see it: parameters of segments do not count where they do not for routes.
    fn has_path(&self, matcher: &StringMatcher) -> bool {
        let path = path_only(self.s.request.path());
        if path.is_empty() {
            return false;
        }
        let route = self.s.route.as_ref().map(RouteRef::config);
        if route.is_some_and(|config| config.ignore_path_parameters_in_path_matching) {
            with_plain_path(path, |path| matcher.matches(path))
        } else {
            matcher.matches(path)
        }
    }

    fn is_secure(&self) -> bool {
        self.client.tls.is_some()
    }

    fn any_principal(&self, matches: impl FnMut(&[u8]) -> bool) -> bool {
        any_principal(self.peer(), matches)
    }

    fn is_verified(&self) -> bool {
        self.peer().is_some_and(|peer| peer.validated)
    }

    fn has_san(&self, matcher: &SanMatcher) -> bool {
        self.peer().is_some_and(|peer| peer.has_san(matcher))
    }

    fn metadata(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        // Of the request alone, as in Envoy.
        self.s.info.metadata.at(namespace, path)
    }
}
