//! `envoy.filters.http.jwt_authn`: a request goes on if it has the tokens (JWT) that its rule, or its
//! route, requires. What they say goes to its host in headers, and to other filters, routes and logs
//! in dynamic metadata.
//!
//! All that happens to a request happens at once, or not at all: if the keys of a provider have to
//! be fetched, the request is put back as it came, held, and looked at again when they are there.

mod cache;
mod claims;
mod jwks;
mod places;
mod verify;

use std::cell::RefCell;
use std::sync::Arc;

use model::jwt::{KeySet, Status};
use model::resources::http_filters::RouteFilterConfig;
use model::resources::jwt_authn::{JwtAuthn, Keys, Requirement, RouteJwtAuthn};
use proto::Known;
use proto::h1::{Method, RequestHead};

use super::{Configured, Flow, Reply};
use crate::http::downstream::Downstream;
use crate::http::own_call::{Answer, Asker, Failed};
use crate::http::stream::Stream;
use crate::telemetry::dynamic_metadata::{Key, Value};
use crate::telemetry::stats::{JwtAuthnCounter, JwtAuthnShard, Stats};
use crate::worker::Worker;
use cache::TokenCache;
use jwks::{Fetched, RemoteKeys};
pub use jwks::{JwksStore, Refresh};
use verify::{Outcome, Verification};

/// Where claims are told.
const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// Bytes of the path that a refusal names.
const MAX_PATH: usize = 256;

#[derive(Debug)]
pub struct JwtAuthnFilter {
    config: Arc<JwtAuthn>,
    stats: Arc<JwtAuthnShard>,
    /// By provider: tokens that were found good, and keys that come from elsewhere.
    caches: Box<[Option<RefCell<TokenCache>>]>,
    remote: Box<[Option<Arc<RemoteKeys>>]>,
}

/// A request that waits for keys.
#[derive(Debug)]
pub struct Verifying {
    requirement: Arc<Requirement>,
    /// Whose.
    provider: usize,
    /// Those that have come, or why they have not.
    fetched: Vec<(usize, Result<Arc<KeySet>, Status>)>,
}

impl JwtAuthnFilter {
    pub fn new(config: &Arc<JwtAuthn>, prefix: &str, stats: &Stats, jwks: &JwksStore) -> Self {
        let cache = |size| RefCell::new(TokenCache::new(size));
        let caches = config.providers.iter().map(|it| it.cache.map(cache));
        let remote = config.providers.iter().map(|it| match &it.keys {
            Keys::Local(_) => None,
            Keys::Remote(remote) => Some(jwks.of(remote)),
        });
        Self {
            stats: stats.jwt_authn(prefix, &config.stat_prefix),
            caches: caches.collect(),
            remote: remote.collect(),
            config: Arc::clone(config),
        }
    }

    /// A request's head: what becomes of it, and what is to be kept while it waits.
    pub(super) fn begin(
        &self,
        of: &Configured,
        worker: &mut Worker,
        d: &Downstream,
        s: &mut Stream,
    ) -> (Flow, Option<Box<Verifying>>) {
        let config = &*self.config;
        for name in &config.own_headers {
            s.request.headers.remove_name(name.text.as_bytes());
        }
        if config.bypass_cors_preflight && is_preflight(&s.request) {
            self.stats.inc(JwtAuthnCounter::CorsPreflightBypassed);
            self.stats.inc(JwtAuthnCounter::Allowed);
            return (Flow::Pass, None);
        }
        let route = s.route.clone();
        let requirement = match of.of_route(route.as_ref(), s.weighted) {
            Some(RouteFilterConfig::JwtAuthn(said)) => match &**said {
                RouteJwtAuthn::Disabled => None,
                RouteJwtAuthn::Requires(name) => match config.requirement(name) {
                    Some(requirement) => Some(requirement),
                    None => return (self.refuse_name(name), None),
                },
            },
            _ => {
                let mut rules = config.rules.iter();
                let rule = rules.find(|rule| rule.matcher.matches_head(&s.request));
                rule.and_then(|rule| rule.requires.as_ref())
            }
        };
        let Some(requirement) = requirement else {
            self.stats.inc(JwtAuthnCounter::Allowed);
            return (Flow::Pass, None);
        };
        let verifying = Verifying {
            requirement: Arc::clone(requirement),
            provider: 0,
            fetched: Vec::new(),
        };
        self.verify(verifying, worker, (d, s))
    }

    /// Keys have come, or will not.
    pub(super) fn resume(
        &self,
        verifying: &mut Verifying,
        worker: &mut Worker,
        (d, s): (&Downstream, &mut Stream),
        answer: Option<Answer>,
    ) -> (Flow, Option<Box<Verifying>>) {
        let provider = verifying.provider;
        let mut next = Verifying {
            requirement: Arc::clone(&verifying.requirement),
            provider,
            fetched: std::mem::take(&mut verifying.fetched),
        };
        let keys = match (self.remote.get(provider), answer) {
            (Some(Some(remote)), Some(answer)) => self.take_keys(remote, answer, worker),
            _ => Err(Status::JwksFetchFail),
        };
        next.fetched.push((provider, keys));
        self.verify(next, worker, (d, s))
    }

    fn take_keys(
        &self,
        remote: &RemoteKeys,
        answer: Answer,
        worker: &Worker,
    ) -> Result<Arc<KeySet>, Status> {
        match remote.take(answer, worker.clock.now_ns()) {
            Ok(keys) => {
                self.stats.inc(JwtAuthnCounter::JwksFetchSuccess);
                Ok(keys)
            }
            Err(reason) => {
                self.stats.inc(JwtAuthnCounter::JwksFetchFailed);
                remote.complain(&reason);
                Err(Status::JwksFetchFail)
            }
        }
    }

    /// Looks at a request's tokens until it is known what becomes of it.
    fn verify(
        &self,
        mut verifying: Verifying,
        worker: &mut Worker,
        (d, s): (&Downstream, &mut Stream),
    ) -> (Flow, Option<Box<Verifying>>) {
        let now_ns = worker.clock.now_ns();
        loop {
            // For when it has to wait, which is seldom so.
            let is_fresh =
                |remote: &Arc<RemoteKeys>| matches!(remote.get(now_ns), Fetched::Good(_));
            let may_wait = self.remote.iter().flatten().any(|remote| !is_fresh(remote));
            let as_it_came = may_wait.then(|| s.request.clone());
            let mut verification = Verification {
                filter: self,
                now_ns,
                now_s: worker.clock.wall_ns() / 1_000_000_000,
                fetched: &verifying.fetched,
                request: &mut s.request,
                told: Vec::new(),
                route_again: false,
                original_path: None,
                hits: 0,
                misses: 0,
                missing: None,
                stale: None,
            };
            let outcome = verification.ask(&verifying.requirement);
            let Verification {
                told,
                route_again,
                original_path,
                hits,
                misses,
                missing,
                stale,
                ..
            } = verification;
            if let (Outcome::Waiting, Some(provider)) = (outcome, missing) {
                if let Some(head) = as_it_came {
                    s.request = head;
                }
                match self.fetch(provider, worker, d, s) {
                    Ok(()) => {
                        verifying.provider = provider;
                        return (Flow::Hold, Some(Box::new(verifying)));
                    }
                    Err(()) => {
                        verifying
                            .fetched
                            .push((provider, Err(Status::JwksFetchFail)));
                        continue;
                    }
                }
            }
            self.stats.add(JwtAuthnCounter::JwtCacheHit, hits);
            self.stats.add(JwtAuthnCounter::JwtCacheMiss, misses);
            for (key, value) in told {
                s.info
                    .metadata
                    .set(NAMESPACE, Key::Given(key), Value::Said(value));
            }
            if let Some(provider) = stale {
                self.refresh(provider, worker, d);
            }
            let flow = match outcome {
                Outcome::Passed => {
                    self.stats.inc(JwtAuthnCounter::Allowed);
                    if route_again {
                        worker.choose_route_again(d, s);
                    }
                    Flow::Pass
                }
                Outcome::Failed(status) => self.refuse(status, original_path.as_deref(), s),
                // Somebody waits, and nobody knows for what: that cannot be.
                Outcome::Waiting => self.refuse(Status::JwksFetchFail, None, s),
            };
            return (flow, None);
        }
    }

    /// Holds a request until the keys are there.
    fn fetch(
        &self,
        provider: usize,
        worker: &mut Worker,
        d: &Downstream,
        s: &mut Stream,
    ) -> Result<(), ()> {
        let remote = self.remote.get(provider).and_then(Option::as_ref);
        let remote = remote.ok_or(())?;
        let asked = match remote.question(worker.shared.local_address) {
            Some(question) => worker.ask(Asker::Request(d.key), &d.client, question),
            None => Err(Failed::Unsayable),
        };
        match asked {
            Ok(call) => {
                s.awaits = Some(call);
                Ok(())
            }
            Err(failed) => {
                self.stats.inc(JwtAuthnCounter::JwksFetchFailed);
                remote.complain(&failed.reason());
                Err(())
            }
        }
    }

    /// Fetches keys for later, if nobody does.
    fn refresh(&self, provider: usize, worker: &mut Worker, d: &Downstream) {
        let Some(Some(remote)) = self.remote.get(provider) else {
            return;
        };
        if !remote.may_refresh(worker.clock.now_ns()) {
            return;
        }
        let refresh = Arc::new(Refresh {
            keys: Arc::clone(remote),
            stats: Arc::clone(&self.stats),
        });
        let asker = Asker::Keys(Arc::clone(&refresh));
        let asked = match remote.question(worker.shared.local_address) {
            Some(question) => worker.ask(asker, &d.client, question),
            None => Err(Failed::Unsayable),
        };
        if let Err(failed) = asked {
            refresh.fail(&failed.reason());
        }
    }

    fn refuse_name(&self, name: &str) -> Flow {
        self.stats.inc(JwtAuthnCounter::Denied);
        let wrong = self.config.wrong_name(name);
        let body = format!("Failed JWT authentication: {wrong}");
        let body = Some(body).filter(|_| !self.config.strip_failure_response);
        Flow::Reply(reply(403, body.as_deref(), &wrong))
    }

    fn refuse(&self, status: Status, original_path: Option<&[u8]>, s: &mut Stream) -> Flow {
        self.stats.inc(JwtAuthnCounter::Denied);
        let code = if status == Status::JwtAudienceNotAllowed {
            403
        } else {
            401
        };
        if self.config.strip_failure_response {
            return Flow::Reply(reply(code, None, status.text()));
        }
        let mut value = b"Bearer realm=\"".to_vec();
        value.extend_from_slice(&realm(&s.request, original_path));
        value.push(b'"');
        if status != Status::JwtMissed {
            value.extend_from_slice(b", error=\"invalid_token\"");
        }
        s.response.headers.set_name(b"www-authenticate", &value);
        Flow::Reply(reply(code, Some(status.text()), status.text()))
    }
}

fn reply(status: u16, body: Option<&str>, why: &str) -> Reply {
    let why = why.replace(' ', "_");
    Reply {
        status,
        body: body.map(|body| Arc::from(body.as_bytes())),
        headers: Vec::new(),
        details: format!("jwt_authn_access_denied{{{why}}}").into(),
        grpc_status: None,
        as_it_is: false,
    }
}

/// What the client asked for, as it did.
fn realm(request: &RequestHead, original_path: Option<&[u8]>) -> Vec<u8> {
    let headers = &request.headers;
    let scheme = headers.get(Known::XForwardedProto).unwrap_or_default();
    let path = headers.get(Known::XEnvoyOriginalPath);
    let path = path.or(original_path).unwrap_or(request.path());
    let path = path.get(..MAX_PATH).unwrap_or(path);
    [scheme, b"://", request.authority(), path].concat()
}

/// Browsers send it without credentials.
fn is_preflight(request: &RequestHead) -> bool {
    let says = |name| {
        request
            .headers
            .get_name(name)
            .is_some_and(|value| !value.is_empty())
    };
    request.kind == Method::Options && says(b"origin") && says(b"access-control-request-method")
}
