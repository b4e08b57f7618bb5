//! `envoy.filters.http.ext_authz`: a server outside says whether a request goes on, and how it is
//! changed. Whatever is not clear refuses it.
//!
//! Theory of operation. The request is held while its body is gathered, if that is wanted, and while
//! the server is asked by a call of our own (`http::own_call`). `check` says what it is asked,
//! `answer` what its answer means, `apply` does that.

mod answer;
mod apply;
pub mod check;

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use model::authorization::{self, Change};
use model::resources::ext_authz::{BodySettings, ExtAuthz, RouteExtAuthz, Service};
use model::resources::http_filters::RouteFilterConfig;

use super::{Configured, Flow, Reply};
use crate::grpc::unary::Method;
use crate::http::downstream::Downstream;
use crate::http::gather::Gather;
use crate::http::own_call::{Answer, Asker, Failed, Question};
use crate::http::stream::Stream;
use crate::http::upgrade::Tunnel;
use crate::router::headers;
use crate::telemetry::log::Level;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{
    ExtAuthzClusterCounter, ExtAuthzClusterShard, ExtAuthzCounter, ExtAuthzShard, Stats,
};
use crate::worker::Worker;

/// By cluster and stat prefix of the filter.
pub type ClusterCounts = HashMap<(Arc<str>, Box<str>), Arc<ExtAuthzClusterShard>>;

#[derive(Debug)]
pub struct ExtAuthzFilter {
    config: Arc<ExtAuthz>,
    stats: Arc<ExtAuthzShard>,
    server: Server,
}

/// Whom it asks, as this worker does.
#[derive(Debug)]
enum Server {
    Grpc(Method),
    Http(Rc<str>),
}

/// What it remembers of a request.
#[derive(Debug, Default)]
pub struct Asking {
    body: Option<BodySettings>,
    asked_ms: u64,
    /// What the server says of the response, if there is anything.
    response: Vec<Change>,
}

impl Asking {
    pub(super) fn encode_head(&self, s: &mut Stream) {
        for change in &self.response {
            headers::change(&mut s.response.headers, change);
        }
    }
}

impl ExtAuthzFilter {
    pub fn new(config: &Arc<ExtAuthz>, hcm_prefix: &str, stats: &Stats, local: IpAddr) -> Self {
        let server = match &config.service {
            Service::Grpc(grpc) => Server::Grpc(Method::new(grpc, authorization::METHOD, local)),
            Service::Http(http) => Server::Http(Rc::from(&*http.cluster)),
        };
        Self {
            stats: stats.ext_authz(hcm_prefix, &config.stat_prefix),
            server,
            config: Arc::clone(config),
        }
    }

    /// A request's head: what becomes of it, and what is to be kept until it is over.
    pub(super) fn begin(
        &self,
        of: &Configured,
        worker: &mut Worker,
        d: &Downstream,
        s: &mut Stream,
    ) -> (Flow, Option<Asking>) {
        // As in Envoy: what no route takes is refused by the router. (Who has to come by TLS has one.)
        if s.route.is_none() && !s.needs_tls {
            return (Flow::Pass, None);
        }
        let route = s.route.clone();
        let settings = match of.of_route(route.as_ref(), s.weighted) {
            Some(RouteFilterConfig::ExtAuthz(settings)) => Some(&**settings),
            _ => None,
        };
        if settings.is_some_and(|settings| settings.disabled) {
            return (Flow::Pass, None);
        }
        let config = &self.config;
        let is_wanted = config.enabled_metadata.as_ref().is_none_or(|matcher| {
            matcher.takes(s.info.metadata.at(&matcher.filter, &matcher.path))
        });
        if !worker.is_drawn(config.enabled) || !is_wanted {
            self.stats.inc(ExtAuthzCounter::Disabled);
            if config.deny_at_disable {
                return (self.refuse(s, "ext_authz_error"), None);
            }
            return (Flow::Pass, None);
        }
        let mut asking = Asking {
            body: self.body_of(settings, s),
            ..Asking::default()
        };
        if let Some(body) = asking.body {
            let gather = Gather::new(s, body.max_bytes, body.allow_partial);
            s.gather = Some(Box::new(gather));
            return (Flow::Hold, Some(asking));
        }
        let flow = self.ask(of, &mut asking, worker, d, s);
        (flow, Some(asking))
    }

    /// The body is here, or the server's answer is.
    pub(super) fn resume(
        &self,
        of: &Configured,
        asking: &mut Asking,
        worker: &mut Worker,
        (d, s): (&Downstream, &mut Stream),
        answer: Option<Answer>,
    ) -> Flow {
        let Some(answer) = answer else {
            return self.ask(of, asking, worker, d, s);
        };
        let answer = match answer {
            Answer::Response(response) => self.read(of, *response),
            Answer::Failed(failed) => self.failed(of, failed),
        };
        self.apply(asking, worker, d, s, answer)
    }

    /// How much of a request's body the server is told, if there is one.
    fn body_of(&self, settings: Option<&RouteExtAuthz>, s: &Stream) -> Option<BodySettings> {
        if s.request_complete || s.tunnel != Tunnel::No {
            return None;
        }
        let (of_route, disabled) = match settings {
            None => (None, false),
            Some(settings) => (settings.body, settings.disable_body),
        };
        let of_filter = self.config.body;
        if disabled {
            return None;
        }
        // As in Envoy, a route says how much, and the filter how it is packed.
        let body = of_route.or(of_filter)?;
        Some(BodySettings {
            as_bytes: match &self.config.service {
                Service::Http(_) => true,
                Service::Grpc(_) => of_filter.is_some_and(|body| body.as_bytes),
            },
            ..body
        })
    }

    fn ask(
        &self,
        of: &Configured,
        asking: &mut Asking,
        worker: &mut Worker,
        d: &Downstream,
        s: &mut Stream,
    ) -> Flow {
        asking.asked_ms = worker.clock.now_ms();
        let gathered = s.gather.take();
        let body = gathered.as_ref().zip(asking.body);
        let body = body.map(|(gathered, settings)| check::Gathered {
            bytes: &gathered.body,
            settings,
        });
        let question = match &self.server {
            Server::Grpc(method) => {
                let route = s.route.clone();
                let levels = of.of_levels(route.as_ref(), s.weighted);
                let id = worker.rng.u64(..);
                let check = check::Asked {
                    config: &self.config,
                    client: &d.client,
                    s,
                    body,
                };
                method.call(&check.message(id, levels).encode())
            }
            Server::Http(cluster) => self.http_question(cluster, worker, d, s, body),
        };
        let asked = question.ok_or(Failed::Unsayable);
        match asked
            .and_then(|question: Question| worker.ask(Asker::Request(d.key), &d.client, question))
        {
            Ok(call) => {
                s.awaits = Some(call);
                Flow::Hold
            }
            Err(failed) => {
                // Whoever answers now counts what came of the body.
                s.gather = gathered;
                let answer = self.failed(of, failed);
                self.apply(asking, worker, d, s, answer)
            }
        }
    }

    /// Nobody could be asked.
    fn failed(&self, of: &Configured, failed: Failed) -> authorization::Answer {
        let reason = failed.reason();
        crate::log!(
            Level::Debug,
            "ext_authz",
            "{}: the authorization server could not be asked: {reason}",
            of.name
        );
        authorization::Answer::default()
    }

    /// A refusal that is not the server's.
    fn refuse(&self, s: &mut Stream, details: &'static str) -> Flow {
        Flow::Reply(self.refusal(s, self.config.status_on_error, details))
    }

    fn refusal(&self, s: &mut Stream, status: u16, details: &'static str) -> Reply {
        let flag = ResponseFlags::UNAUTHORIZED_EXTERNAL_SERVICE;
        s.info.flags.insert(flag);
        Reply {
            status,
            body: None,
            headers: Vec::new(),
            details: details.into(),
            grpc_status: None,
            as_it_is: false,
        }
    }

    fn count_cluster(&self, worker: &mut Worker, s: &Stream, counter: ExtAuthzClusterCounter) {
        let Some(cluster) = &s.cluster else { return };
        let cluster = cluster.config.borrow().stat_name.clone();
        let stats = &worker.stats;
        let prefix = &self.config.stat_prefix;
        worker
            .ext_authz_stats
            .entry((cluster, prefix.clone()))
            .or_insert_with_key(|(cluster, prefix)| stats.ext_authz_cluster(cluster, prefix))
            .inc(counter);
    }
}
