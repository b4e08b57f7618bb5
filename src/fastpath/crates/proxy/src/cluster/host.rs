//! One upstream host of one worker: its connection pool and its counters.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use model::resources::address::Address;
use model::resources::cluster::{
    Endpoint, EndpointMetadata, HealthStatus, Locality, UpstreamProtocol,
};
use model::resources::istio::Workload;

use super::availability::Availability;
use super::outlier::Monitor;
use crate::listener::UpstreamSource;
use crate::upstream::queued::Rider;
use crate::worker::slots::Key;

/// The pool and the counters; entries of the host set that only differ in weight share it.
#[derive(Debug)]
pub struct Host {
    pub address: Address,
    pub hostname: Option<Arc<str>>,
    pub weight: u32,
    pub health: HealthStatus,
    pub priority: u8,
    pub locality: Arc<Locality>,
    /// Now, as `Availability` has it.
    pub is_healthy: Cell<bool>,
    /// When it was first seen healthy: then its slow start began.
    pub healthy_since: Cell<Option<Instant>>,
    metadata: Option<Arc<EndpointMetadata>>,
    /// Of outlier detection, if the cluster has it.
    pub monitor: Option<Arc<Monitor>>,
    /// Where requests go that ask for nothing of their own.
    pub pool: Rc<Pool>,
    others: Others,
}

/// What connections of one pool have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// What is spoken with the host.
    pub protocol: UpstreamProtocol,
    /// The SNI that the request chose (`auto_sni`).
    pub sni: Option<Box<str>>,
    /// What requests have offered in ALPN (`istio.alpn`) in place of what its cluster says.
    pub alpn: Option<Arc<Vec<Box<str>>>>,
    /// The name that the host's certificate must have (`auto_san_validation`).
    pub verify_san: Option<Box<str>>,
    /// Bytes of tunnels that end here: no protocol of ours.
    pub is_tcp: bool,
    /// Where its connections leave from (`original_src`).
    pub source: Option<UpstreamSource>,
}

/// Connections of this worker to one address.
#[derive(Debug, Default)]
pub struct Pool {
    pub kind: PoolKey,
    /// Over which of its cluster's transports.
    pub transport: usize,
    /// Idle connections, the last used on top: the warmest is used first, the others can expire.
    pub idle: RefCell<Vec<Key>>,
    /// Connections that carry many requests at once (HTTP/2), established.
    pub http2: RefCell<Vec<Key>>,
    /// Downstream connections whose request waits for a connection, oldest first.
    pub pending: RefCell<VecDeque<Key>>,
    /// What else waits for a stream of HTTP/2 (`upstream::queued`), oldest first.
    pub riders: RefCell<VecDeque<Rider>>,
    /// Connections that are not established yet.
    pub connecting: Cell<u32>,
    /// All connections, established or not.
    pub open: Cell<u32>,
    /// Requests in flight over all pools of the host, for LEAST_REQUEST.
    pub active: Rc<Cell<u32>>,
    /// Connections from before (ns) take no more requests: the host was ejected meanwhile.
    pub stale_before: Cell<u64>,
    /// The host left the cluster: idle connections close, no new ones are made.
    pub retired: Cell<bool>,
    pub shard: Arc<HostShard>,
}

impl Pool {
    /// Somebody waits for a connection.
    pub fn is_awaited(&self) -> bool {
        !self.pending.borrow().is_empty() || !self.riders.borrow().is_empty()
    }

    fn is_unused(&self) -> bool {
        self.open.get() == 0 && !self.is_awaited()
    }
}

/// Pools beside the main one: one for each name and protocol that requests ask for.
type Others = Rc<RefCell<HashMap<PoolKey, Rc<Pool>>>>;

/// So many names may be asked for at once; those that are not in use make room.
const MAX_OTHERS: usize = 1024;

impl Host {
    pub fn new(
        endpoint: &Endpoint,
        before: Option<&Host>,
        shards: &HostShards,
        protocol: UpstreamProtocol,
        transport: usize,
    ) -> Self {
        let same = before.filter(|h| h.locality == endpoint.locality);
        let before = before.filter(|h| h.pool.transport == transport);
        let pool = before.map_or_else(
            || {
                Rc::new(Pool {
                    kind: PoolKey {
                        protocol,
                        ..PoolKey::default()
                    },
                    shard: shards.add(endpoint.address.clone()),
                    transport,
                    ..Pool::default()
                })
            },
            |h| Rc::clone(&h.pool),
        );
        Self {
            address: endpoint.address.clone(),
            hostname: endpoint.hostname.clone(),
            weight: endpoint.weight,
            health: endpoint.health,
            priority: endpoint.priority,
            is_healthy: Cell::new(false),
            // In another locality it is another host.
            healthy_since: Cell::new(same.and_then(|h| h.healthy_since.get())),
            locality: Arc::clone(&endpoint.locality),
            metadata: endpoint.metadata.clone(),
            monitor: None,
            pool,
            others: before.map(|h| Rc::clone(&h.others)).unwrap_or_default(),
        }
    }

    /// Who is behind the address.
    pub fn workload(&self) -> Option<&Arc<Workload>> {
        self.metadata.as_ref()?.workload.as_ref()
    }

    /// The pool of a kind; `None`: too many kinds are in use.
    pub fn pool_of(&self, kind: PoolKey) -> Option<Rc<Pool>> {
        if kind == self.pool.kind {
            return Some(Rc::clone(&self.pool));
        }
        let mut others = self.others.borrow_mut();
        if let Some(pool) = others.get(&kind) {
            return Some(Rc::clone(pool));
        }
        if others.len() >= MAX_OTHERS {
            others.retain(|_, pool| !pool.is_unused());
        }
        if others.len() >= MAX_OTHERS {
            return None;
        }
        let pool = Rc::new(Pool {
            kind: kind.clone(),
            transport: self.pool.transport,
            active: Rc::clone(&self.pool.active),
            shard: Arc::clone(&self.pool.shard),
            ..Pool::default()
        });
        others.insert(kind, Rc::clone(&pool));
        Some(pool)
    }

    /// All pools of the host.
    pub fn pools(&self) -> Vec<Rc<Pool>> {
        let mut all = vec![Rc::clone(&self.pool)];
        all.extend(self.others.borrow().values().cloned());
        all
    }

    /// Whether it can be used now.
    pub fn set_availability(&self, availability: Availability, now: Instant) {
        let is_healthy = availability == Availability::Healthy;
        self.is_healthy.set(is_healthy);
        if is_healthy && self.healthy_since.get().is_none() {
            self.healthy_since.set(Some(now));
        }
    }

    pub fn is_watched_by(&self, monitor: Option<&Arc<Monitor>>) -> bool {
        self.monitor.as_ref().map(Arc::as_ptr) == monitor.map(Arc::as_ptr)
    }

    /// Whether it is as `endpoint` says.
    pub fn is_same(&self, endpoint: &Endpoint) -> bool {
        self.address == endpoint.address
            && self.weight == endpoint.weight
            && self.health == endpoint.health
            && self.priority == endpoint.priority
            && self.hostname == endpoint.hostname
            && self.locality == endpoint.locality
            && self.metadata == endpoint.metadata
    }
}

/// Counters of `/clusters` for one host, written by one worker.
#[derive(Debug, Default)]
pub struct HostShard {
    pub cx_active: HostCounter,
    pub cx_total: HostCounter,
    pub cx_connect_fail: HostCounter,
    pub rq_active: HostCounter,
    pub rq_pending_active: HostCounter,
    pub rq_total: HostCounter,
    pub rq_success: HostCounter,
    pub rq_error: HostCounter,
    pub rq_timeout: HostCounter,
}

/// Written by its worker only, so a plain load and store do.
#[derive(Debug, Default)]
pub struct HostCounter(AtomicU64);

impl HostCounter {
    pub fn inc(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    pub fn dec(&self) {
        self.0.store(self.get().wrapping_sub(1), Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The shards of every host of a cluster, over all workers.
#[derive(Debug, Default)]
pub struct HostShards(Mutex<HashMap<Address, Vec<Arc<HostShard>>>>);

impl HostShards {
    fn add(&self, address: Address) -> Arc<HostShard> {
        let shard = Arc::new(HostShard::default());
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.entry(address).or_default().push(Arc::clone(&shard));
        shard
    }

    /// Sum over all workers of one counter of a host.
    pub fn sum(&self, address: &Address, counter: impl Fn(&HostShard) -> &HostCounter) -> u64 {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(address)
            .into_iter()
            .flatten()
            .fold(0, |sum, shard| sum.wrapping_add(counter(shard).get()))
    }

    /// Tells how many hosts there are: nobody changes that meanwhile.
    pub fn count(&self, tell: impl FnOnce(usize)) {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tell(map.len());
    }

    /// The same, and forgets those that no worker holds any more.
    pub fn count_held(&self, tell: impl FnOnce(usize)) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_unheld(&mut map);
        tell(map.len());
    }

    /// Of those that some worker holds, in order.
    pub fn held(&self) -> Vec<Address> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_unheld(&mut map);
        let mut all: Vec<Address> = map.keys().cloned().collect();
        all.sort();
        all
    }
}

fn forget_unheld(map: &mut HashMap<Address, Vec<Arc<HostShard>>>) {
    map.retain(|_, shards| {
        shards.retain(|s| Arc::strong_count(s) > 1);
        !shards.is_empty()
    });
}
