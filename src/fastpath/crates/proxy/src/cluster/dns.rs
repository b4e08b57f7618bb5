//! STRICT_DNS and LOGICAL_DNS: names looked up on threads of their own, again and again.
//!
//! The system's resolver (`getaddrinfo`) is used, so `/etc/hosts`, search domains and nsswitch
//! hold as for any program. It gives no TTL: `dns_refresh_rate` rules. A look-up that fails keeps
//! the last addresses and is tried again with exponential back-off.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::resources::address::Address;
use model::resources::cluster::{Dns, DnsTarget, Endpoint, Endpoints, LookupFamily};

/// Look-ups at the same time: a slow name server delays others only beyond these.
const THREADS: usize = 4;

/// How a look-up ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Other addresses than last time.
    Changed(Arc<Endpoints>),
    Unchanged,
    Empty,
    Failed,
}

type Sink = Box<dyn Fn(&Arc<str>, Outcome) + Send + Sync>;

/// Resolves for all workers; they get endpoint sets as from any other source.
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    wake: Condvar,
    sink: Sink,
}

#[derive(Default)]
struct State {
    entries: HashMap<Arc<str>, Entry>,
    due: BinaryHeap<Reverse<(Instant, u64, Arc<str>)>>,
    next_id: u64,
    threads: usize,
    stopped: bool,
}

struct Entry {
    id: u64,
    dns: Arc<Dns>,
    failures: u32,
    last: Option<Arc<Endpoints>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// `sink` is called from a resolver thread after every look-up.
    pub fn new(sink: Sink) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                wake: Condvar::new(),
                sink,
            }),
        }
    }

    /// Starts (or restarts, with other targets) the look-ups of a cluster.
    pub fn watch(&self, cluster: &Arc<str>, dns: Arc<Dns>) {
        let mut state = self.inner.lock();
        state.next_id = state.next_id.wrapping_add(1);
        let id = state.next_id;
        state.entries.insert(
            Arc::clone(cluster),
            Entry {
                id,
                dns,
                failures: 0,
                last: None,
            },
        );
        state
            .due
            .push(Reverse((Instant::now(), id, Arc::clone(cluster))));
        let wanted = state.entries.len().min(THREADS);
        while state.threads < wanted {
            let inner = Arc::clone(&self.inner);
            let started = std::thread::Builder::new()
                .name("dns".into())
                .stack_size(256 * 1024)
                .spawn(move || inner.run());
            if started.is_err() {
                break;
            }
            state.threads = state.threads.saturating_add(1);
        }
        self.inner.wake.notify_one();
    }

    pub fn forget(&self, cluster: &str) {
        self.inner.lock().entries.remove(cluster);
    }

    pub fn stop(&self) {
        self.inner.lock().stopped = true;
        self.inner.wake.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some((cluster, id, dns)) = self.next_due() {
            let found = resolve(&dns);
            self.finish(&cluster, id, &dns, found);
        }
    }

    /// Waits for the next look-up to do; `None`: stopped.
    fn next_due(&self) -> Option<(Arc<str>, u64, Arc<Dns>)> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            let now = Instant::now();
            let wait = match state.due.peek() {
                Some(Reverse((at, _, _))) => at.saturating_duration_since(now),
                None => Duration::from_secs(3600),
            };
            if wait.is_zero()
                && let Some(Reverse((_, id, cluster))) = state.due.pop()
            {
                if let Some(entry) = state.entries.get(&cluster).filter(|e| e.id == id) {
                    return Some((cluster, id, Arc::clone(&entry.dns)));
                }
                continue;
            }
            state = match self.wake.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn finish(&self, cluster: &Arc<str>, id: u64, dns: &Dns, found: Option<Endpoints>) {
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(cluster).filter(|e| e.id == id) else {
            return;
        };
        let (outcome, again) = match found {
            None => {
                entry.failures = entry.failures.saturating_add(1);
                (Outcome::Failed, back_off(dns, entry.failures))
            }
            Some(endpoints) => {
                entry.failures = 0;
                let outcome = if endpoints.hosts.is_empty() && entry.last.is_some() {
                    Outcome::Empty
                } else if entry.last.as_deref() == Some(&endpoints) {
                    Outcome::Unchanged
                } else {
                    let endpoints = Arc::new(endpoints);
                    entry.last = Some(Arc::clone(&endpoints));
                    Outcome::Changed(endpoints)
                };
                (outcome, dns.refresh)
            }
        };
        let at = Instant::now()
            .checked_add(again)
            .unwrap_or_else(Instant::now);
        state.due.push(Reverse((at, id, Arc::clone(cluster))));
        drop(state);
        self.wake.notify_one();
        (self.sink)(cluster, outcome);
    }
}

fn back_off(dns: &Dns, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    dns.failure_refresh_base
        .saturating_mul(factor)
        .min(dns.failure_refresh_max)
}

/// All targets; `None` if one of them could not be looked up.
fn resolve(dns: &Dns) -> Option<Endpoints> {
    let mut hosts: Vec<Endpoint> = Vec::new();
    for target in &dns.targets {
        let mut addresses = look_up(target, dns.family)?;
        if dns.logical {
            addresses.truncate(1);
        }
        for address in addresses.into_iter().map(Address::Ip) {
            if hosts.iter().any(|h| h.address == address) {
                continue;
            }
            hosts.push(Endpoint {
                address,
                hostname: Some(Arc::clone(&target.host)),
                weight: target.weight,
                health: target.health,
                priority: target.priority,
                locality: Arc::clone(&target.locality),
                locality_weight: target.locality_weight,
                metadata: target.metadata.clone(),
            });
        }
    }
    hosts.sort_by_key(|host| host.priority);
    Some(Endpoints {
        hosts,
        policy: dns.policy,
    })
}

fn look_up(target: &DnsTarget, family: LookupFamily) -> Option<Vec<SocketAddr>> {
    let all: Vec<SocketAddr> = (&*target.host, target.port)
        .to_socket_addrs()
        .ok()?
        .collect();
    let mut chosen = select(all, family);
    // The order of answers rotates; a set that is the same should compare the same.
    chosen.sort_unstable();
    chosen.dedup();
    Some(chosen)
}

/// `dns_lookup_family`: AUTO prefers IPv6, V4_PREFERRED IPv4, each with the other as a fallback.
fn select(all: Vec<SocketAddr>, family: LookupFamily) -> Vec<SocketAddr> {
    let (v4, v6): (Vec<_>, Vec<_>) = all.into_iter().partition(SocketAddr::is_ipv4);
    match family {
        LookupFamily::V4Only => v4,
        LookupFamily::V6Only => v6,
        LookupFamily::V4Preferred if v4.is_empty() => v6,
        LookupFamily::V4Preferred => v4,
        LookupFamily::Auto if v6.is_empty() => v4,
        LookupFamily::Auto => v6,
        LookupFamily::All => v4.into_iter().chain(v6).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::resources::cluster::{EndpointPolicy, HealthStatus};

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn families() {
        let both = addresses(&["1.1.1.1:80", "[::1]:80"]);
        assert_eq!(
            select(both.clone(), LookupFamily::Auto),
            addresses(&["[::1]:80"])
        );
        assert_eq!(
            select(both.clone(), LookupFamily::V4Preferred),
            addresses(&["1.1.1.1:80"])
        );
        assert_eq!(select(both.clone(), LookupFamily::All).len(), 2);
        assert!(select(addresses(&["1.1.1.1:80"]), LookupFamily::V6Only).is_empty());
    }

    #[test]
    fn literals_resolve_and_nonsense_fails() {
        let target = |host: &str| DnsTarget {
            host: host.into(),
            port: 80,
            weight: 1,
            health: HealthStatus::Healthy,
            priority: 0,
            locality: Arc::default(),
            locality_weight: None,
            metadata: None,
        };
        let family = LookupFamily::Auto;
        assert_eq!(
            look_up(&target("127.0.0.1"), family),
            Some(addresses(&["127.0.0.1:80"]))
        );
        assert_eq!(look_up(&target("no such host"), family), None);
    }

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        let dns = Dns {
            logical: false,
            targets: vec![],
            policy: EndpointPolicy::default(),
            refresh: Duration::from_secs(5),
            failure_refresh_base: Duration::from_secs(1),
            failure_refresh_max: Duration::from_secs(10),
            family: LookupFamily::Auto,
        };
        let got: Vec<u64> = (1..=5).map(|n| back_off(&dns, n).as_secs()).collect();
        assert_eq!(got, [1, 2, 4, 8, 10]);
    }
}
