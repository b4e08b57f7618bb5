//! The TLS contexts of a configuration: made anew only when what they are made of has changed, so
//! that sessions can be resumed across updates that do not concern them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::problem::Problem;
use model::resources::Snapshot;
use model::resources::cluster::{Cluster, Transport};
use model::resources::listener::{FilterChain, Listener};
use model::resources::tls::{DownstreamTls, Secret, UpstreamTls};
use tls::{ClientContext, ServerContext};

use crate::worker::command::{ServerTls, UpstreamTransport};

/// The gauge of each certificate.
const EXPIRATION: &str = "expiration_unix_time_seconds";
/// The counter of secrets that came.
const BY_SDS: &str = "ssl_context_update_by_sds";

#[derive(Default)]
pub(super) struct Contexts {
    /// By listener, chain name and chain hash.
    servers: HashMap<(Arc<str>, Arc<str>, u64), Made<ServerContext>>,
    /// By cluster and hash of the transport socket.
    clients: HashMap<(Arc<str>, u64), Made<ClientContext>>,
    /// Secrets that came, by whose they are, since `take_updates` was asked.
    updates: BTreeMap<String, i64>,
}

struct Made<T> {
    secrets: Vec<Arc<Secret>>,
    context: Arc<T>,
    /// Of its certificates, by name.
    expirations: Vec<(Box<str>, i64)>,
}

impl Contexts {
    /// The TLS of a listener's chains, in the order of `FilterChains::iter`.
    ///
    /// # Errors
    /// The path is relative to the listener.
    pub fn of_listener(
        &mut self,
        listener: &Listener,
        snapshot: &Snapshot,
    ) -> Result<Vec<ServerTls>, Problem> {
        let mut all = Vec::new();
        for (index, chain) in listener.chains.iter().enumerate() {
            let tls = match &chain.tls {
                None => ServerTls::Plain,
                Some(config) => self
                    .server(&listener.name, chain, config, snapshot)
                    .map_err(|problem| within_chain(listener, index, problem))?,
            };
            all.push(tls);
        }
        Ok(all)
    }

    fn server(
        &mut self,
        listener: &Arc<str>,
        chain: &FilterChain,
        config: &DownstreamTls,
        snapshot: &Snapshot,
    ) -> Result<ServerTls, Problem> {
        let names = config.common.secret_names();
        let names = names.chain(config.session_tickets.name());
        let Some(secrets) = find(names, snapshot) else {
            return Ok(ServerTls::NotReady);
        };
        let key = (Arc::clone(listener), Arc::clone(&chain.name), chain.hash);
        if let Some(made) = self.servers.get(&key).filter(|m| m.is_of(&secrets)) {
            return Ok(ServerTls::Ready(Arc::clone(&made.context)));
        }
        let context = ServerContext::new(config, snapshot)?;
        let owner = || {
            snapshot
                .listeners
                .get(listener)
                .map(|l| l.stat_prefix.to_string())
        };
        if let Some(prefix) = owner() {
            let counter = format!("listener.{prefix}.server_ssl_socket_factory.{BY_SDS}");
            let before = self.servers.get(&key).map(|made| &*made.secrets);
            note_update(&mut self.updates, counter, before, &secrets);
        }
        let made = Made {
            secrets,
            context: Arc::clone(&context),
            expirations: model::certs::expirations(&config.common, snapshot),
        };
        self.servers.insert(key, made);
        Ok(ServerTls::Ready(context))
    }

    /// How a cluster's hosts are spoken to: its own transport, then those of
    /// `transport_socket_matches`.
    pub fn of_cluster(&mut self, cluster: &Cluster, snapshot: &Snapshot) -> Vec<UpstreamTransport> {
        let matches = cluster.transport_matches.iter().map(|m| &m.transport);
        std::iter::once(&cluster.transport)
            .chain(matches)
            .map(|transport| match transport {
                Transport::Plain => UpstreamTransport::Plain,
                Transport::Tls(config) => self.client(&cluster.name, config, snapshot),
            })
            .collect()
    }

    fn client(
        &mut self,
        cluster: &Arc<str>,
        config: &Arc<UpstreamTls>,
        snapshot: &Snapshot,
    ) -> UpstreamTransport {
        let Some(secrets) = find(config.common.secret_names(), snapshot) else {
            return UpstreamTransport::NotReady;
        };
        let key = (Arc::clone(cluster), config.hash);
        let config = Arc::clone(config);
        if let Some(made) = self.clients.get(&key).filter(|m| m.is_of(&secrets)) {
            let context = Arc::clone(&made.context);
            return UpstreamTransport::Tls { config, context };
        }
        match ClientContext::new(&config, snapshot) {
            Ok(context) => {
                if let Some(cluster) = snapshot.clusters.get(cluster) {
                    let name = &cluster.stat_name;
                    let counter = format!("cluster.{name}.client_ssl_socket_factory.{BY_SDS}");
                    let before = self.clients.get(&key).map(|made| &*made.secrets);
                    note_update(&mut self.updates, counter, before, &secrets);
                }
                let made = Made {
                    secrets,
                    context: Arc::clone(&context),
                    expirations: model::certs::expirations(&config.common, snapshot),
                };
                self.clients.insert(key, made);
                UpstreamTransport::Tls { config, context }
            }
            Err(problem) => {
                crate::log!(
                    crate::telemetry::log::Level::Error,
                    "config",
                    "cluster {cluster}: transport_socket: {}: {}; no connection can be made",
                    problem.path,
                    problem.reason
                );
                UpstreamTransport::NotReady
            }
        }
    }

    /// When certificates end (seconds since 1970), by the names of Envoy's gauges.
    pub fn expirations(&self, snapshot: &Snapshot) -> BTreeMap<String, i64> {
        let servers = self.servers.iter().filter_map(|((listener, ..), made)| {
            let prefix = &snapshot.listeners.get(listener)?.stat_prefix;
            Some((format!("listener.{prefix}"), &made.expirations))
        });
        let clients = self.clients.iter().filter_map(|((cluster, _), made)| {
            let name = &snapshot.clusters.get(cluster)?.stat_name;
            Some((format!("cluster.{name}"), &made.expirations))
        });
        let mut all = BTreeMap::new();
        for (owner, expirations) in servers.chain(clients) {
            for (name, end) in expirations {
                let gauge = format!("{owner}.ssl.certificate.{name}.{EXPIRATION}");
                let first = all.entry(gauge).or_insert(*end);
                *first = (*first).min(*end);
            }
        }
        all
    }

    /// What to add to the counters of contexts that secrets brought or changed.
    pub fn take_updates(&mut self) -> BTreeMap<String, i64> {
        std::mem::take(&mut self.updates)
    }

    /// Forgets what nothing uses any more.
    pub fn retain(&mut self, snapshot: &Snapshot) {
        self.servers.retain(|(listener, name, hash), _| {
            snapshot.listeners.get(listener).is_some_and(|l| {
                let mut chains = l.chains.iter();
                chains.any(|c| c.name == *name && c.hash == *hash)
            })
        });
        self.clients
            .retain(|(cluster, _), _| snapshot.clusters.contains_key(cluster));
    }
}

impl<T> Made<T> {
    fn is_of(&self, secrets: &[Arc<Secret>]) -> bool {
        self.secrets.len() == secrets.len()
            && self
                .secrets
                .iter()
                .zip(secrets)
                .all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// Notes how many secrets are not what they were.
fn note_update(
    updates: &mut BTreeMap<String, i64>,
    counter: String,
    before: Option<&[Arc<Secret>]>,
    now: &[Arc<Secret>],
) {
    let known = |secret: &Arc<Secret>| {
        let mut before = before.into_iter().flatten();
        before.any(|old| Arc::ptr_eq(old, secret))
    };
    let changed = now.iter().filter(|secret| !known(secret)).count();
    if changed > 0 {
        let sum = updates.entry(counter).or_default();
        *sum = sum.saturating_add(i64::try_from(changed).unwrap_or(i64::MAX));
    }
}

/// The secrets of these names; `None`: one has not come yet.
fn find<'a>(
    names: impl Iterator<Item = &'a Arc<str>>,
    snapshot: &Snapshot,
) -> Option<Vec<Arc<Secret>>> {
    names
        .map(|name| snapshot.secrets.get(name).cloned())
        .collect()
}

fn within_chain(listener: &Listener, index: usize, problem: Problem) -> Problem {
    let chain = if index < listener.chains.list.len() {
        format!("filter_chains[{index}]")
    } else {
        "default_filter_chain".to_owned()
    };
    Problem {
        path: format!("{chain}.transport_socket.typed_config.{}", problem.path),
        reason: problem.reason,
    }
}
