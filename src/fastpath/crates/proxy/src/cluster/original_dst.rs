//! ORIGINAL_DST: a host for each address that clients were going to, made when the first one is.
//!
//! Every worker has its own, as it has its own pools. One that nobody has chosen since the last look
//! and that no connection has is forgotten (`original_dst_cluster.cc`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use model::matching::rbac::MetadataValue;
use model::resources::address::Address;
use model::resources::cluster::{Cluster, Discovery, Endpoint, Endpoints, HealthStatus};
use model::resources::original_dst::OriginalDst;

use super::ClusterRuntime;
use super::host::Host;
use super::lb::LbContext;
use crate::http::deadlines::millis;
use crate::telemetry::stats::{ClusterCounter, ClusterShard, Membership};
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// Addresses that one worker keeps of one cluster. Who asks for another one while all of these are
/// in use is told that there is no host.
const MAX_HOSTS: usize = 16_384;

/// One worker's hosts of one cluster.
#[derive(Debug)]
pub struct OriginalHosts {
    config: OriginalDst,
    hosts: RefCell<HashMap<SocketAddr, Entry>>,
    /// When to look for those to forget (ms of the worker's clock).
    next_sweep: Cell<u64>,
    /// All are in use: no use in looking again before the next sweep.
    is_full: Cell<bool>,
}

#[derive(Debug)]
struct Entry {
    host: Rc<Host>,
    /// Chosen since the last sweep.
    is_used: Cell<bool>,
}

impl OriginalHosts {
    /// `None`: the cluster's hosts come from somewhere else.
    pub fn of(cluster: &Cluster) -> Option<Self> {
        let Discovery::OriginalDst(config) = &cluster.discovery else {
            return None;
        };
        Some(Self {
            config: config.clone(),
            hosts: RefCell::default(),
            next_sweep: Cell::new(NEVER),
            is_full: Cell::new(false),
        })
    }

    /// The host that the client was going to; `None`: nobody knows where that was.
    pub fn choose(&self, cx: LbContext<'_>, cluster: &ClusterRuntime) -> Option<Rc<Host>> {
        let address = self.destination(cx, cluster.stats())?;
        if let Some(entry) = self.hosts.borrow().get(&address) {
            entry.is_used.set(true);
            return Some(Rc::clone(&entry.host));
        }
        if self.hosts.borrow().len() >= MAX_HOSTS && !self.make_room(cluster) {
            return None;
        }
        let host = Rc::new(cluster.host_on_demand(address));
        let entry = Entry {
            host: Rc::clone(&host),
            is_used: Cell::new(true),
        };
        self.hosts.borrow_mut().insert(address, entry);
        let shards = &cluster.shared.hosts;
        shards.count(|total| cluster.tell_original_hosts(total));
        Some(host)
    }

    /// In Envoy's order: metadata, header, the restored destination; what cannot be read counts and
    /// the next one says.
    fn destination(&self, cx: LbContext<'_>, stats: &ClusterShard) -> Option<SocketAddr> {
        let read = |text: &str| {
            let found = text.parse::<SocketAddr>().ok();
            if found.is_none() {
                stats.inc(ClusterCounter::OriginalDstHostInvalid);
            }
            found
        };
        let of_metadata = || {
            let place = self.config.metadata.as_ref()?;
            match cx.facts?.metadata(&place.namespace, &place.key)? {
                MetadataValue::Text(text) => read(text),
                MetadataValue::Bool(_) | MetadataValue::Structured(_) => None,
            }
        };
        let of_header = || {
            let name = self.config.header.as_ref()?;
            let value = cx.headers?.get_name(name.as_bytes())?;
            read(std::str::from_utf8(value).unwrap_or_default())
        };
        let restored = || {
            let facts = cx.facts.filter(|facts| facts.destination_restored)?;
            facts.destination.socket_addr()
        };
        let mut found = of_metadata().or_else(of_header).or_else(restored)?;
        if let Some(port) = self.config.port {
            found.set_port(port);
        }
        Some(found)
    }

    /// When the next sweep is, which begins to be a question with the first host.
    fn sweep_at(&self, now: u64) -> u64 {
        if self.next_sweep.get() == NEVER && !self.hosts.borrow().is_empty() {
            let interval = millis(self.config.cleanup_interval).max(1);
            self.next_sweep.set(now.saturating_add(interval));
        }
        self.next_sweep.get()
    }

    /// Forgets hosts that are not in use, and says when to come again.
    fn sweep(&self, now: u64, cluster: &ClusterRuntime) -> u64 {
        if now < self.next_sweep.get() {
            return self.next_sweep.get();
        }
        self.retain(cluster, |entry| {
            entry.is_used.replace(false) || is_held(&entry.host)
        });
        self.is_full.set(false);
        self.next_sweep.set(NEVER);
        self.sweep_at(now)
    }

    /// Before their time, for a new one.
    fn make_room(&self, cluster: &ClusterRuntime) -> bool {
        if self.is_full.get() {
            return false;
        }
        self.retain(cluster, |entry| is_held(&entry.host));
        // Less than a part of it is not worth the next look.
        self.is_full
            .set(self.hosts.borrow().len() > MAX_HOSTS / 8 * 7);
        self.hosts.borrow().len() < MAX_HOSTS
    }

    fn retain(&self, cluster: &ClusterRuntime, keep: impl Fn(&Entry) -> bool) {
        self.hosts.borrow_mut().retain(|_, entry| keep(entry));
        let shards = &cluster.shared.hosts;
        shards.count_held(|total| cluster.tell_original_hosts(total));
    }

    pub fn hosts(&self) -> Vec<Rc<Host>> {
        let hosts = self.hosts.borrow();
        hosts.values().map(|entry| Rc::clone(&entry.host)).collect()
    }

    pub fn clear(&self) {
        self.hosts.borrow_mut().clear();
        self.next_sweep.set(NEVER);
    }
}

/// A connection, a request or a tunnel has it.
fn is_held(host: &Rc<Host>) -> bool {
    Rc::strong_count(host) > 1
}

/// A host of an address, as Envoy describes it.
pub(super) fn endpoint(cluster: &Cluster, address: Address) -> Endpoint {
    Endpoint {
        hostname: Some(format!("{}{address}", cluster.name).into()),
        address,
        weight: 1,
        health: HealthStatus::Unknown,
        priority: 0,
        locality: Arc::default(),
        locality_weight: None,
        metadata: None,
    }
}

/// Those that some worker has, for reports.
pub fn endpoints(cluster: &Cluster, addresses: Vec<Address>) -> Endpoints {
    let hosts = addresses.into_iter();
    Endpoints {
        hosts: hosts.map(|address| endpoint(cluster, address)).collect(),
        ..Endpoints::default()
    }
}

/// All of these take traffic.
pub fn membership(total: usize) -> Membership {
    let total = u32::try_from(total).unwrap_or(u32::MAX);
    Membership {
        total,
        healthy: total,
        ..Membership::default()
    }
}

impl Worker {
    /// Picks a host for a request or a tunnel; `None`: no healthy upstream.
    pub fn choose_host(&mut self, cluster: &ClusterRuntime, cx: LbContext<'_>) -> Option<Rc<Host>> {
        let host = cluster.choose(cx, &mut self.rng);
        if let Some(original) = &cluster.original {
            let at = original.sweep_at(self.clock.now_ms());
            self.next_host_sweep = self.next_host_sweep.min(at);
        }
        host
    }

    /// Forgets hosts that nobody uses, where it is time.
    pub fn sweep_hosts(&mut self) {
        let now = self.clock.now_ms();
        if now < self.next_host_sweep {
            return;
        }
        let clusters = self.clusters.values();
        let next = clusters.filter_map(|cluster| {
            let original = cluster.original.as_ref()?;
            Some(original.sweep(now, cluster))
        });
        self.next_host_sweep = next.min().unwrap_or(NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::host_set::HostSet;
    use crate::cluster::testing;
    use crate::listener::ConnectionFacts;
    use crate::telemetry::stats::Stats;
    use crate::worker::command::UpstreamTransport;
    use model::resources::cluster::LbPolicy;
    use model::resources::original_dst::MetadataPlace;
    use proto::HeaderMap;
    use std::time::Duration;

    fn runtime(change: impl FnOnce(&mut OriginalDst)) -> ClusterRuntime {
        let mut original = OriginalDst {
            metadata: None,
            header: None,
            port: None,
            cleanup_interval: Duration::from_secs(5),
        };
        change(&mut original);
        let mut config = testing::cluster(Vec::new());
        config.lb = LbPolicy::ClusterProvided;
        config.discovery = Discovery::OriginalDst(original);
        ClusterRuntime::new(
            Arc::new(config),
            Arc::default(),
            vec![UpstreamTransport::Plain],
            &Arc::new(HostSet::default()),
            Stats::new(1),
            &mut fastrand::Rng::with_seed(0),
        )
    }

    fn facts(destination: &str, restored: bool) -> ConnectionFacts {
        let local: SocketAddr = destination.parse().unwrap();
        let mut facts = ConnectionFacts::new(local.into(), local.into());
        facts.destination_restored = restored;
        facts
    }

    fn choose(cluster: &ClusterRuntime, cx: LbContext<'_>) -> Option<Rc<Host>> {
        cluster.choose(cx, &mut fastrand::Rng::with_seed(0))
    }

    fn going_to(facts: &ConnectionFacts) -> LbContext<'_> {
        LbContext {
            facts: Some(facts),
            ..LbContext::default()
        }
    }

    fn invalid(cluster: &ClusterRuntime) -> u64 {
        cluster
            .stats()
            .counter(ClusterCounter::OriginalDstHostInvalid)
    }

    #[test]
    fn a_host_is_where_the_client_was_going() {
        let cluster = runtime(|_| {});
        assert!(choose(&cluster, LbContext::default()).is_none());
        assert!(choose(&cluster, going_to(&facts("10.8.0.9:80", false))).is_none());
        let first = choose(&cluster, going_to(&facts("10.8.0.9:80", true))).unwrap();
        assert_eq!(first.address.to_string(), "10.8.0.9:80");
        assert_eq!(first.hostname.as_deref(), Some("c10.8.0.9:80"));
        let again = choose(&cluster, going_to(&facts("10.8.0.9:80", true))).unwrap();
        assert!(Rc::ptr_eq(&first, &again));
        let v6 = choose(&cluster, going_to(&facts("[fd08::9]:80", true))).unwrap();
        assert_eq!(v6.address.to_string(), "[fd08::9]:80");
        assert_eq!(cluster.hosts().len(), 2);
    }

    #[test]
    fn what_says_first_and_what_cannot_be_read() {
        let cluster = runtime(|original| {
            original.header = Some("x-where".into());
            original.metadata = Some(MetadataPlace {
                namespace: "n".into(),
                key: "k".into(),
            });
        });
        let mut facts = facts("10.0.0.1:1", true);
        let mut headers = HeaderMap::new();
        let address = |facts: &ConnectionFacts, headers: &HeaderMap| {
            let cx = LbContext {
                headers: Some(headers),
                ..going_to(facts)
            };
            choose(&cluster, cx).unwrap().address.to_string()
        };
        assert_eq!(address(&facts, &headers), "10.0.0.1:1");
        headers.push(b"x-where", b"10.0.0.2:2");
        headers.push(b"x-where", b"10.0.0.9:9");
        assert_eq!(address(&facts, &headers), "10.0.0.2:2");
        facts.set_text("n", "k", "10.0.0.3:3");
        assert_eq!(address(&facts, &headers), "10.0.0.3:3");
        facts.set_text("n", "k", "host:3");
        assert_eq!(address(&facts, &headers), "10.0.0.2:2");
        assert_eq!(invalid(&cluster), 1);
        let mut headers = HeaderMap::new();
        headers.push(b"x-where", b"10.0.0.2");
        assert_eq!(address(&facts, &headers), "10.0.0.1:1");
        assert_eq!(invalid(&cluster), 3);
    }

    #[test]
    fn the_port_may_be_another_one() {
        let cluster = runtime(|original| original.port = Some(15008));
        let host = choose(&cluster, going_to(&facts("10.8.0.9:80", true))).unwrap();
        assert_eq!(host.address.port(), Some(15008));
    }

    #[test]
    fn hosts_that_nobody_uses_are_forgotten() {
        let cluster = runtime(|_| {});
        let original = cluster.original.as_ref().unwrap();
        assert_eq!(original.sweep_at(0), NEVER);
        let held = choose(&cluster, going_to(&facts("10.0.0.1:1", true)));
        choose(&cluster, going_to(&facts("10.0.0.2:2", true))).unwrap();
        assert_eq!(original.sweep_at(100), 5100);
        assert_eq!(original.sweep(5099, &cluster), 5100);
        // Chosen since.
        assert_eq!(original.sweep(5100, &cluster), 10_100);
        assert_eq!(cluster.hosts().len(), 2);
        assert_eq!(original.sweep(10_100, &cluster), 15_100);
        assert_eq!(cluster.hosts().len(), 1);
        assert_eq!(cluster.shared.hosts.held().len(), 1);
        drop(held);
        assert_eq!(original.sweep(15_100, &cluster), NEVER);
        assert!(cluster.hosts().is_empty());
        assert!(cluster.shared.hosts.held().is_empty());
    }

    #[test]
    fn there_are_only_so_many() {
        let cluster = runtime(|_| {});
        let mut held = Vec::new();
        let at = |n: usize| facts(&format!("10.{}.{}.1:1", n / 256, n % 256), true);
        for n in 0..MAX_HOSTS {
            held.push(choose(&cluster, going_to(&at(n))).unwrap());
        }
        assert!(choose(&cluster, going_to(&at(MAX_HOSTS))).is_none());
        assert!(choose(&cluster, going_to(&at(0))).is_some());
        held.clear();
        // Looked for again with the next sweep.
        assert!(choose(&cluster, going_to(&at(MAX_HOSTS))).is_none());
        let original = cluster.original.as_ref().unwrap();
        let at_ms = original.sweep_at(0);
        original.sweep(at_ms, &cluster);
        assert!(choose(&cluster, going_to(&at(MAX_HOSTS))).is_some());
    }
}
