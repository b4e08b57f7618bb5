//! `envoy.filters.network.ext_authz`: a server outside says whether a connection goes on.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use model::authorization::{self, Check, Verdict};
use model::resources::ext_authz::NetworkExtAuthz;

use super::Worker;
use super::chain::HttpRuntime;
use super::guards::Refusal;
use crate::grpc::unary::Method;
use crate::http::client::Client;
use crate::http::filters::ext_authz::check;
use crate::http::own_call::{Answer, Asker, Failed};
use crate::listener::ConnectionFacts;
use crate::telemetry::log::Level;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{
    NetworkExtAuthzCounter, NetworkExtAuthzGauge, NetworkExtAuthzShard, Stats,
};
use crate::worker::slots::Key;

/// A filter with this worker's statistics of it.
#[derive(Debug)]
pub struct ExtAuthz {
    config: Arc<NetworkExtAuthz>,
    method: Method,
    stats: Arc<NetworkExtAuthzShard>,
    /// Of its calls for connections that speak no HTTP.
    pub calls: Rc<HttpRuntime>,
}

impl ExtAuthz {
    pub fn new(config: &Arc<NetworkExtAuthz>, stats: &Stats, local: IpAddr) -> Self {
        Self {
            method: Method::new(&config.service, authorization::METHOD, local),
            stats: stats.network_ext_authz(&config.stat_prefix),
            calls: Rc::new(HttpRuntime::of_calls(&config.calls, stats)),
            config: Arc::clone(config),
        }
    }

    /// Whether it asks about such a connection.
    pub fn wants(&self, facts: &ConnectionFacts) -> bool {
        let is_wanted = self.config.enabled_metadata.as_ref().is_none_or(|matcher| {
            // None of it has structure.
            let value = match &*matcher.path {
                [key] => facts.metadata(&matcher.filter, key),
                _ => None,
            };
            matcher.takes(value)
        });
        if !is_wanted {
            self.stats.inc(NetworkExtAuthzCounter::Disabled);
        }
        is_wanted
    }

    fn check<'a>(&'a self, client: &'a Client, facts: &'a ConnectionFacts) -> Check<'a> {
        let (source, destination) = check::ends(client, self.config.include_peer_certificate);
        let of_namespace = |name: &'a str| {
            let fields: Vec<_> = facts.all_metadata(name).collect();
            (!fields.is_empty()).then_some((name, fields))
        };
        let namespaces = self.config.metadata_namespaces.iter().map(|name| &**name);
        let is_told = self.config.include_tls_session;
        Check {
            source,
            destination,
            metadata: namespaces.filter_map(of_namespace).collect(),
            tls_session: is_told.then(|| check::server_name(client)),
            ..Check::default()
        }
    }

    /// What an answer means; `None`: the connection goes on.
    pub fn judge(&self, answer: Answer) -> Option<Refusal> {
        self.stats.gauge_dec(NetworkExtAuthzGauge::Active);
        let read = match answer {
            Answer::Failed(failed) => Err(failed.reason().into_owned()),
            Answer::Response(response) => match self.method.message(&response) {
                Ok(message) => {
                    authorization::decode(&message).ok_or_else(|| "no CheckResponse".to_owned())
                }
                Err(status) => Err(format!("gRPC status {}: {}", status.code, status.text)),
            },
        };
        let verdict = match read {
            Ok(answer) => answer.verdict,
            Err(why) => {
                crate::log!(
                    Level::Debug,
                    "ext_authz",
                    "{}: the authorization server has not decided: {why}",
                    self.config.stat_prefix
                );
                Verdict::Error
            }
        };
        match verdict {
            Verdict::Allowed => {
                self.stats.inc(NetworkExtAuthzCounter::Ok);
                return None;
            }
            Verdict::Denied => {
                self.stats.inc(NetworkExtAuthzCounter::Denied);
            }
            Verdict::Error => {
                self.stats.inc(NetworkExtAuthzCounter::Error);
                if self.config.failure_mode_allow {
                    self.stats.inc(NetworkExtAuthzCounter::FailureModeAllowed);
                    return None;
                }
            }
        }
        self.stats.inc(NetworkExtAuthzCounter::CxClosed);
        Some(Refusal {
            // Envoy says none, either.
            details: None,
            flags: ResponseFlags::UNAUTHORIZED_EXTERNAL_SERVICE,
            delay: None,
        })
    }

    /// Nobody waits for the answer any more.
    pub fn given_up(&self) {
        self.stats.gauge_dec(NetworkExtAuthzGauge::Active);
    }
}

impl Worker {
    /// Asks the server about a connection. Its answer comes with a later turn, for
    /// `ExtAuthz::judge`; who does not wait for it says so (`given_up`).
    pub fn ask_about_connection(
        &mut self,
        filter: &ExtAuthz,
        asker: Asker,
        client: &Client,
        facts: &ConnectionFacts,
    ) -> Result<Key, Failed> {
        filter.stats.gauge_inc(NetworkExtAuthzGauge::Active);
        filter.stats.inc(NetworkExtAuthzCounter::Total);
        let question = filter.method.call(&filter.check(client, facts).encode());
        self.ask(asker, client, question.ok_or(Failed::Unsayable)?)
    }
}
