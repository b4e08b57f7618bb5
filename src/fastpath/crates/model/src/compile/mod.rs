//! Resource bytes → the types in `resources`, or every reason why not.
//!
//! `checked` applies what descriptors know (validation rules, the list of what is implemented);
//! the files here apply what only code knows, and Envoy's defaults.

mod access_log;
mod address;
pub(crate) mod bind;
mod chain_match;
mod chain_tree;
mod cluster;
mod config_source;
mod cors;
mod data_source;
mod duration;
mod endpoints;
mod ext_authz;
mod extension;
mod fault;
mod filter_chain;
mod hash_policy;
mod hcm;
mod header_mutation;
mod headers;
mod http2;
mod http_filters;
mod istio;
mod jwt_authn;
mod lb_subset;
mod listener;
mod listener_filters;
mod load_balancing;
mod matchers;
mod metadata;
mod mirror;
mod original_dst;
mod outlier;
mod pattern;
mod per_filter;
mod protocol_options;
mod rbac;
mod retry;
mod rewrite;
mod route;
mod route_action;
mod route_again;
mod tcp_proxy;
mod tls;
mod upgrades;
mod virtual_host;
mod wire;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use prost_reflect::DynamicMessage;

pub use address::is_ip_address;
pub use config_source::{Server, Source};
pub use endpoints::Assignment;
pub(crate) use listener::name as listener_name;
pub use route_again::Before;
use route_again::Changes;

use crate::check;
use crate::problem::{Problem, Problems};
use crate::resources::cluster::{Cluster, LocalityWeights};
use crate::resources::extension::Extension;
use crate::resources::listener::Listener;
use crate::resources::route::RouteConfig;
use crate::resources::tls::{Secret, SecretValue};
use crate::{schema, text, typed_struct};

pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
pub const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
pub const ENDPOINTS: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
pub const EXTENSION: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
pub const BOOTSTRAP: &str = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap";

/// A resource that another one refers to and that comes from somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needs {
    pub type_url: &'static str,
    pub name: String,
    pub source: Source,
    /// Zero: wait for ever.
    pub initial_fetch_timeout: Duration,
    /// What the names of the subscription's statistics begin with: `cluster.<name>.`,
    /// `http.<stat_prefix>.rds.<route>.`, `sds.<name>.` or
    /// `extension_config_discovery.http_filter.<name>.`
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

/// What a secret is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    Certificate,
    Validation,
    TicketKeys,
}

impl SecretKind {
    #[must_use]
    pub fn of(value: &SecretValue) -> Self {
        match value {
            SecretValue::Certificate(_) => Self::Certificate,
            SecretValue::Validation(_) => Self::Validation,
            SecretValue::TicketKeys(_) => Self::TicketKeys,
        }
    }

    /// The field of `Secret` that holds it.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::Certificate => "tls_certificate",
            Self::Validation => "validation_context",
            Self::TicketKeys => "session_ticket_keys",
        }
    }
}

/// A secret that a resource names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRef {
    /// Where it is named.
    pub path: String,
    pub name: Arc<str>,
    pub kind: SecretKind,
    /// Where it comes from; `None`: it is a static secret of the bootstrap.
    pub source: Option<Needs>,
}

impl SecretRef {
    /// The refusal of a name that no static secret of the kind has, in Envoy's words.
    #[must_use]
    pub fn unknown(&self) -> Problem {
        let what = match self.kind {
            SecretKind::Certificate => "static secret",
            SecretKind::Validation => "static certificate validation context",
            SecretKind::TicketKeys => "tls session ticket keys",
        };
        self.problem(format!("Unknown {what}: {}", self.name))
    }

    /// A problem of the place that names it.
    #[must_use]
    pub fn problem(&self, reason: String) -> Problem {
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
    pub secrets: Vec<SecretRef>,
    /// Of a cluster: for `Assignment::flatten`.
    pub locality_weights: LocalityWeights,
}

/// Where a walk over a resource is, and what it found.
#[derive(Debug, Default)]
pub(crate) struct Context {
    pub problems: Problems,
    pub needs: Vec<Needs>,
    pub clusters: Vec<ClusterRef>,
    pub secrets: Vec<SecretRef>,
    pub locality_weights: LocalityWeights,
    /// The listener's `traffic_direction: INBOUND`.
    pub inbound: bool,
    cluster_names: HashMap<Arc<str>, usize>,
    /// Of the virtual host.
    pub host: HostContext,
}

/// What was found in the virtual host that the walk is in.
#[derive(Debug, Default)]
pub(crate) struct HostContext {
    pub clusters: BTreeSet<Arc<str>>,
    pub reads_elsewhere: bool,
}

impl Context {
    /// Notes that a field of the current message names a cluster. Named several times, it is
    /// required if one of them requires it.
    fn refer(&mut self, field: &str, name: &str, weighted: bool, required: bool) -> Arc<str> {
        let name = self.refer_to(field, name, weighted, required);
        self.host.clusters.insert(Arc::clone(&name));
        name
    }

    fn refer_to(&mut self, field: &str, name: &str, weighted: bool, required: bool) -> Arc<str> {
        let known = self.cluster_names.get(name).copied();
        let known = known.and_then(|at| self.clusters.get_mut(at));
        if let Some(known) = known.as_ref().filter(|known| known.required || !required) {
            return Arc::clone(&known.name);
        }
        let level = self.problems.enter(field);
        let path = self.problems.path().to_owned();
        self.problems.leave(level);
        let reference = ClusterRef {
            path,
            name: known
                .as_ref()
                .map_or_else(|| name.into(), |k| Arc::clone(&k.name)),
            weighted,
            required,
        };
        let name = Arc::clone(&reference.name);
        match known {
            Some(known) => *known = reference,
            None => {
                let at = self.clusters.len();
                self.cluster_names.insert(Arc::clone(&name), at);
                self.clusters.push(reference);
            }
        }
        name
    }

    /// Notes that the current message names a secret. `source`: where it comes from if not from
    /// the bootstrap.
    fn refer_to_secret(&mut self, name: &str, kind: SecretKind, source: Option<Needs>) -> Arc<str> {
        let name: Arc<str> = name.into();
        self.needs.extend(source.clone());
        self.secrets.push(SecretRef {
            path: self.problems.path().to_owned(),
            name: Arc::clone(&name),
            kind,
            source,
        });
        name
    }

    fn finish<T>(self, resource: Option<T>) -> Result<Compiled<T>, Vec<Problem>> {
        let Self {
            mut problems,
            needs,
            clusters,
            secrets,
            locality_weights,
            ..
        } = self;
        match resource {
            Some(resource) if problems.is_empty() => Ok(Compiled {
                resource,
                needs,
                clusters,
                secrets,
                locality_weights,
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
    let listener = listener::compile(&message, bytes, &mut cx);
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

/// `route_config` of a version that comes after another, most of which may be as it was.
pub fn route_config_after(
    bytes: &[u8],
    before: Option<Before<'_>>,
) -> Result<Compiled<RouteConfig>, Vec<Problem>> {
    let changes = before.and_then(|before| Changes::between(before, bytes));
    match changes.map(|changes| changed_route_config(bytes, changes)) {
        Some(Ok(compiled)) => Ok(compiled),
        // From the whole, mistakes have their right places.
        Some(Err(_)) | None => route_config(bytes),
    }
}

fn changed_route_config(
    bytes: &[u8],
    changes: Changes,
) -> Result<Compiled<RouteConfig>, Vec<Problem>> {
    let message = checked(ROUTES, &changes.message)?;
    let mut cx = Context::default();
    let config = route::compile_changed(&message, changes.hosts, hash(bytes), &mut cx);
    cx.finish(config)
}

/// `envoy.config.endpoint.v3.ClusterLoadAssignment`, as EDS brings it.
pub fn endpoints(bytes: &[u8]) -> Result<Assignment, Vec<Problem>> {
    let message = checked(ENDPOINTS, bytes)?;
    let mut problems = Problems::default();
    let assignment = Assignment::compile(&message, &mut problems);
    problems.finish(assignment)
}

/// `envoy.extensions.transport_sockets.tls.v3.Secret`, static or as SDS brings it. Reads the
/// files that it names.
pub fn secret(bytes: &[u8]) -> Result<Compiled<Secret>, Vec<Problem>> {
    let message = checked(SECRET, bytes)?;
    let mut cx = Context::default();
    let secret = tls::secret(&message, bytes, &mut cx.problems);
    cx.finish(secret)
}

/// `envoy.config.core.v3.TypedExtensionConfig`, as ECDS brings it: of an HTTP filter.
pub fn extension(bytes: &[u8]) -> Result<Compiled<Extension>, Vec<Problem>> {
    let message = checked(EXTENSION, bytes)?;
    let mut cx = Context::default();
    let extension = extension::compile(&message, &mut cx.problems);
    cx.finish(extension)
}

/// The directories that the files of a secret are in, whether or not it can be compiled.
pub(crate) fn secret_directories(bytes: &[u8]) -> Vec<PathBuf> {
    use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
    Secret::decode(bytes)
        .map(|message| tls::secret_directories(&message))
        .unwrap_or_default()
}

/// What is read of a resource for its name: all types but listeners have it there.
#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

/// The name of a resource: what updates, removals and references call it. The other fields are not
/// looked into.
pub fn resource_name(type_url: &str, bytes: &[u8]) -> Result<String, Problem> {
    use envoy_types::pb::envoy::config::listener::v3::Listener;
    let wrong = |error: prost::DecodeError| Problem {
        path: String::new(),
        reason: format!("not a message of type {type_url}: {error}"),
    };
    match type_url {
        LISTENER => {
            let listener = Listener::decode(bytes).map_err(wrong)?;
            Ok(listener::name(&listener))
        }
        CLUSTER | ROUTES | ENDPOINTS | SECRET | EXTENSION => {
            Ok(Named::decode(bytes).map_err(wrong)?.name)
        }
        _ => Err(Problem {
            path: String::new(),
            reason: format!("resources of type {type_url} are not implemented"),
        }),
    }
}

/// Compiles a part of a bootstrap that was checked as a whole; only for its problems.
pub(crate) mod parts {
    use envoy_types::pb::envoy::config as pb;
    use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;

    use super::Context;
    use crate::resources::listener::Listener;

    pub(crate) fn listener(
        message: &pb::listener::v3::Listener,
        cx: &mut Context,
    ) -> Option<Listener> {
        super::listener::compile(message, &[], cx)
    }

    pub(crate) fn cluster(message: &pb::cluster::v3::Cluster, cx: &mut Context) {
        // Only for its problems.
        let _ = super::cluster::compile(message, 0, cx);
    }

    /// Its name and kind.
    pub(crate) fn secret(
        message: &Secret,
        cx: &mut Context,
    ) -> Option<(std::sync::Arc<str>, super::SecretKind)> {
        let secret = super::tls::secret(message, &[], &mut cx.problems)?;
        Some((secret.name, super::SecretKind::of(&secret.value)))
    }

    pub(crate) use super::address::socket_address;
    pub(crate) use super::config_source::{origin, server};
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
    let mut message = DynamicMessage::decode(descriptor, bytes).map_err(wrong)?;
    let is_another =
        typed_struct::may_be_in(bytes) && typed_struct::replace(&schema, &mut message)?;
    let problems = check::check(&schema, &message);
    if !problems.is_empty() {
        return Err(problems);
    }
    if is_another {
        return T::decode(text::encode(&message).as_slice()).map_err(wrong);
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
