//! Resource bytes → the types in `resources`, or every reason why not.
//!
//! `checked` applies what descriptors know (validation rules, the list of what is implemented);
//! the files here apply what only code knows, and Envoy's defaults.

mod access_log;
mod address;
mod cluster;
mod config_source;
mod data_source;
mod duration;
mod endpoints;
mod hcm;
mod headers;
mod http2;
mod listener;
mod matchers;
mod pattern;
mod protocol_options;
mod rewrite;
mod route;
mod route_action;
mod virtual_host;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use prost_reflect::DynamicMessage;

pub use address::is_ip_address;
pub use endpoints::Assignment;
pub(crate) use listener::name as listener_name;

use crate::check;
use crate::problem::{Problem, Problems};
use crate::resources::cluster::Cluster;
use crate::resources::listener::Listener;
use crate::resources::route::RouteConfig;
use crate::schema;

pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
pub const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub const BOOTSTRAP: &str = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap";

/// A resource that another one refers to and that comes from a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needs {
    pub type_url: &'static str,
    pub name: String,
    pub path: String,
    /// Empty: the file's own directory.
    pub watched_directory: String,
    /// Zero: wait for ever.
    pub initial_fetch_timeout: Duration,
    /// What the names of the subscription's statistics begin with: `cluster.<name>.` or
    /// `http.<stat_prefix>.rds.<route>.`
    pub stat_scope: String,
}

/// A cluster that a resource names, once for each name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRef {
    /// Where it is named first.
    pub path: String,
    pub name: Arc<str>,
    pub weighted: bool,
    /// `validate_clusters`: it must exist for the resource to be accepted.
    pub required: bool,
}

impl ClusterRef {
    /// The refusal of a name that no cluster has.
    #[must_use]
    pub fn unknown(&self) -> Problem {
        let kind = if self.weighted {
            "unknown weighted cluster"
        } else {
            "unknown cluster"
        };
        let reason = format!("route: {kind} '{}'", self.name);
        Problem {
            path: self.path.clone(),
            reason,
        }
    }
}

/// A compiled resource with what it refers to.
#[derive(Debug)]
pub struct Compiled<T> {
    pub resource: T,
    pub needs: Vec<Needs>,
    pub clusters: Vec<ClusterRef>,
    /// A cluster whose localities share the load by weight: for `Assignment::flatten`.
    pub weighted_localities: bool,
}

/// Where a walk over a resource is, and what it found.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub problems: Problems,
    pub needs: Vec<Needs>,
    pub clusters: Vec<ClusterRef>,
    pub weighted_localities: bool,
    cluster_names: HashMap<Arc<str>, usize>,
}

impl Context {
    /// Notes that a field of the current message names a cluster.
    fn refer(&mut self, field: &str, name: &str, weighted: bool, required: bool) -> Arc<str> {
        if let Some(known) = self
            .cluster_names
            .get(name)
            .and_then(|at| self.clusters.get(*at))
        {
            return Arc::clone(&known.name);
        }
        let name: Arc<str> = name.into();
        let level = self.problems.enter(field);
        let path = self.problems.path().to_owned();
        self.problems.leave(level);
        self.cluster_names
            .insert(Arc::clone(&name), self.clusters.len());
        let reference = ClusterRef {
            path,
            name: Arc::clone(&name),
            weighted,
            required,
        };
        self.clusters.push(reference);
        name
    }

    fn finish<T>(self, resource: Option<T>) -> Result<Compiled<T>, Vec<Problem>> {
        let Self {
            mut problems,
            needs,
            clusters,
            weighted_localities,
            ..
        } = self;
        match resource {
            Some(resource) if problems.is_empty() => Ok(Compiled {
                resource,
                needs,
                clusters,
                weighted_localities,
            }),
            _ => {
                if problems.is_empty() {
                    problems.report("could not be compiled");
                }
                Err(problems.into_list())
            }
        }
    }
}

/// `envoy.config.listener.v3.Listener`.
pub fn listener(bytes: &[u8]) -> Result<Compiled<Listener>, Vec<Problem>> {
    let message = checked(LISTENER, bytes)?;
    let mut cx = Context::default();
    let listener = listener::compile(&message, hash(bytes), &mut cx);
    cx.finish(listener)
}

/// `envoy.config.cluster.v3.Cluster`.
pub fn cluster(bytes: &[u8]) -> Result<Compiled<Cluster>, Vec<Problem>> {
    let message = checked(CLUSTER, bytes)?;
    let mut cx = Context::default();
    let cluster = cluster::compile(&message, hash(bytes), &mut cx);
    cx.finish(cluster)
}

/// `envoy.config.route.v3.RouteConfiguration`, as RDS brings it.
pub fn route_config(bytes: &[u8]) -> Result<Compiled<RouteConfig>, Vec<Problem>> {
    let message = checked(ROUTES, bytes)?;
    let mut cx = Context::default();
    let config = route::compile(&message, hash(bytes), route::Origin::Rds, &mut cx);
    cx.finish(Some(config))
}

/// `envoy.config.endpoint.v3.ClusterLoadAssignment`, as EDS brings it.
pub fn endpoints(bytes: &[u8]) -> Result<Assignment, Vec<Problem>> {
    let message = checked(ENDPOINTS, bytes)?;
    let mut problems = Problems::default();
    let assignment = Assignment::compile(&message, &mut problems);
    problems.finish(assignment)
}

/// The name of a resource: what updates, removals and references call it.
pub fn resource_name(type_url: &str, bytes: &[u8]) -> Result<String, Problem> {
    use envoy_types::pb::envoy::config as pb;
    let wrong = |error: prost::DecodeError| Problem {
        path: String::new(),
        reason: format!("not a message of type {type_url}: {error}"),
    };
    match type_url {
        LISTENER => {
            let listener = pb::listener::v3::Listener::decode(bytes).map_err(wrong)?;
            Ok(listener::name(&listener))
        }
        CLUSTER => Ok(pb::cluster::v3::Cluster::decode(bytes).map_err(wrong)?.name),
        ROUTES => Ok(pb::route::v3::RouteConfiguration::decode(bytes)
            .map_err(wrong)?
            .name),
        ENDPOINTS => Ok(pb::endpoint::v3::ClusterLoadAssignment::decode(bytes)
            .map_err(wrong)?
            .cluster_name),
        _ => Err(Problem {
            path: String::new(),
            reason: format!("resources of type {type_url} are not implemented"),
        }),
    }
}

/// Compiles a part of a bootstrap that was checked as a whole; only for its problems.
pub(crate) mod parts {
    use envoy_types::pb::envoy::config as pb;

    use super::Context;
    use crate::resources::listener::Listener;

    pub(crate) fn listener(
        message: &pb::listener::v3::Listener,
        cx: &mut Context,
    ) -> Option<Listener> {
        super::listener::compile(message, 0, cx)
    }

    pub(crate) fn cluster(message: &pb::cluster::v3::Cluster, cx: &mut Context) {
        // Only for its problems.
        let _ = super::cluster::compile(message, 0, cx);
    }

    pub(crate) use super::address::socket_address;
    pub(crate) use super::config_source::file_source;
    pub(crate) use super::duration::millis_or;
}

/// The message in `bytes`, once it passes every check that its descriptors ask for.
fn checked<T: Message + Default>(type_url: &str, bytes: &[u8]) -> Result<T, Vec<Problem>> {
    let problem = |reason: String| {
        vec![Problem {
            path: String::new(),
            reason,
        }]
    };
    let schema = schema::get();
    let Some(descriptor) = schema.message_of_url(type_url) else {
        return Err(problem(format!("{type_url} is not implemented")));
    };
    let wrong =
        |error: prost::DecodeError| problem(format!("not a message of type {type_url}: {error}"));
    let message = DynamicMessage::decode(descriptor, bytes).map_err(wrong)?;
    let problems = check::check(&schema, &message);
    if !problems.is_empty() {
        return Err(problems);
    }
    T::decode(bytes).map_err(wrong)
}

/// Equal bytes, equal hash: within one process.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
