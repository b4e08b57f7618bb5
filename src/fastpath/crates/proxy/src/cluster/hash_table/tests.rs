//! That both tables are Envoy's to the slot is shown by `tests/differential/test_load_balancing.py`;
//! here is what any such table must be.

use std::collections::HashMap;
use std::sync::Arc;

use model::resources::address::Address;
use model::resources::cluster::{EndpointMetadata, HealthStatus};
use model::resources::hash_lb::{HashFunction, Maglev, RingHash};
use proptest::prelude::*;
use twox_hash::XxHash64;

use super::*;

fn endpoint(number: u8, weight: u32) -> Endpoint {
    Endpoint {
        address: Address::Ip(([10, 0, 0, number], 80).into()),
        hostname: Some(format!("host-{number}").into()),
        weight,
        health: HealthStatus::Healthy,
        priority: 0,
        locality: Arc::default(),
        locality_weight: None,
        metadata: None,
    }
}

fn ring(minimum_ring_size: u32, maximum_ring_size: u32) -> RingHash {
    RingHash {
        minimum_ring_size,
        maximum_ring_size,
        hash_function: HashFunction::XxHash,
        use_hostname: false,
    }
}

fn maglev(table_size: u32) -> LbPolicy {
    LbPolicy::Maglev(Maglev {
        table_size,
        use_hostname: false,
    })
}

fn members(hosts: &[Endpoint]) -> Vec<Member<'_>> {
    let member = |(index, endpoint)| Member {
        index,
        endpoint,
        availability: Availability::of(endpoint),
    };
    (0..).zip(hosts).map(member).collect()
}

fn table(policy: LbPolicy, hosts: &[Endpoint]) -> HashTable {
    HashTable::new(&policy, false, &members(hosts)).unwrap()
}

/// How many of the first hashes each host has.
fn shares(table: &HashTable, hashes: impl Iterator<Item = u64>) -> HashMap<usize, u32> {
    let mut shares = HashMap::new();
    for hash in hashes {
        let share = shares.entry(table.find(hash, 0).unwrap()).or_insert(0_u32);
        *share = share.saturating_add(1);
    }
    shares
}

fn spread(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[test]
fn every_host_has_its_share() {
    let hosts: Vec<Endpoint> = (1..=4).map(|n| endpoint(n, n.into())).collect();
    for policy in [LbPolicy::RingHash(ring(65_536, 65_536)), maglev(65_537)] {
        let shares = shares(&table(policy, &hosts), spread(100_000));
        for (at, host) in hosts.iter().enumerate() {
            let expected = f64::from(host.weight) * 10_000.0;
            let share = f64::from(shares[&at]);
            let off = (share / expected - 1.0).abs();
            assert!(off < 0.2, "{policy:?}: host {at} has {share}");
        }
    }
}

#[test]
fn sizes_are_those_that_envoy_shows() {
    // (hosts' weights, least, most; size, fewest, most)
    for (weights, sizes, expected) in [
        (&[1, 1, 1][..], (1024, 8 << 20), (1026, 342, 342)),
        (&[1, 1, 1, 1], (1, 6), (4, 1, 1)),
        (&[1, 1, 1, 1], (6, 6), (6, 1, 2)),
        (&[1, 2, 3, 4], (64, 1024), (70, 7, 28)),
        (&[1], (0, 10), (0, 0, 0)),
        (&[], (1024, 1024), (0, 0, 0)),
    ] {
        let numbered = (1..).zip(weights);
        let hosts: Vec<Endpoint> = numbered.map(|(n, w)| endpoint(n, *w)).collect();
        let table = table(LbPolicy::RingHash(ring(sizes.0, sizes.1)), &hosts);
        let places = table.places();
        let found = (table.ring_size().unwrap(), places.fewest, places.most);
        assert_eq!(found, expected, "{weights:?} {sizes:?}");
    }
}

/// xxHash64 of the addresses that have these hashes, a line each.
fn sum(table: &HashTable, hosts: &[Endpoint], hashes: impl Iterator<Item = u64>) -> u64 {
    let line = |hash| format!("{}\n", hosts[table.find(hash, 0).unwrap()].address);
    XxHash64::oneshot(0, hashes.map(line).collect::<String>().as_bytes())
}

/// Of the tables that Envoy 1.40 writes into its log (`upstream:trace`) for these hosts.
#[test]
fn tables_are_those_of_envoy() {
    let weights = [1, 2, 3, 7, 5, 13, 100];
    let hosts: Vec<Endpoint> = (1..).zip(weights).map(|(n, w)| endpoint(n, w)).collect();
    let slots = sum(&table(maglev(65_537), &hosts), &hosts, 0..65_537);
    assert_eq!(slots, 0x6c37_1afc_87cb_7976);
    let config = RingHash {
        hash_function: HashFunction::MurmurHash2,
        ..ring(3000, 5001)
    };
    let ring = table(LbPolicy::RingHash(config), &hosts);
    assert_eq!(sum(&ring, &hosts, spread(10_000)), 0x667f_d9af_f09c_d929);
}

#[test]
fn hashes_go_once_around_the_ring() {
    let hosts = [endpoint(1, 1), endpoint(2, 1)];
    let table = table(LbPolicy::RingHash(ring(64, 64)), &hosts);
    assert_eq!(table.find(u64::MAX, 0), table.find(0, 0));
}

#[test]
fn nobody_is_in_a_table_without_hosts() {
    for policy in [LbPolicy::RingHash(ring(1024, 1024)), maglev(7)] {
        assert_eq!(table(policy, &[]).find(7, 0), None);
    }
    let hosts = [endpoint(1, 1)];
    assert_eq!(
        table(LbPolicy::RingHash(ring(0, 8)), &hosts).find(7, 0),
        None
    );
    assert!(HashTable::new(&LbPolicy::Random, false, &[]).is_none());
}

#[test]
fn only_healthy_hosts_are_there_until_panic() {
    let mut hosts: Vec<Endpoint> = (1..=3).map(|n| endpoint(n, 1)).collect();
    hosts[0].health = HealthStatus::Unhealthy;
    hosts[1].health = HealthStatus::Degraded;
    for policy in [LbPolicy::RingHash(ring(1024, 1024)), maglev(1009)] {
        let shares = shares(&table(policy, &hosts), spread(100));
        assert_eq!(shares, HashMap::from([(2, 100)]));
    }
    hosts[2].health = HealthStatus::Draining;
    let panic = HashTable::new(&maglev(1009), true, &members(&hosts)).unwrap();
    assert_eq!(shares(&panic, spread(1000)).len(), 3);
}

#[test]
fn keys_are_hash_key_or_hostname_or_address() {
    let mut host = endpoint(1, 1);
    let key = |host: &Endpoint, use_hostname| {
        keyed(
            &[(members(std::slice::from_ref(host))[0], 1.0)],
            use_hostname,
        )[0]
        .key
        .clone()
    };
    assert_eq!(&*key(&host, false), "10.0.0.1:80");
    assert_eq!(&*key(&host, true), "host-1");
    host.metadata = Some(Arc::new(EndpointMetadata {
        hash_key: Some("k".into()),
        ..EndpointMetadata::default()
    }));
    assert_eq!(&*key(&host, true), "k");
    host = endpoint(1, 1);
    host.address = Address::Ip("[2001:db8::1]:443".parse().unwrap());
    assert_eq!(&*key(&host, false), "[2001:db8::1]:443");
}

#[test]
fn tables_hold_hosts_of_any_number() {
    for count in [2_u32, 300, 70_000] {
        let number = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000_u32.saturating_add(n));
        let host = |n: u32| Endpoint {
            address: Address::Ip((number(n), 80).into()),
            ..endpoint(0, 1)
        };
        let hosts: Vec<Endpoint> = (0..count).map(host).collect();
        let table = table(maglev(131_071), &hosts);
        let shares = shares(&table, 0..131_071);
        assert_eq!(shares.len(), usize::try_from(count).unwrap());
    }
}

#[test]
fn localities_come_before_hosts() {
    let at = |zone: &str, number, weight, of_locality| Endpoint {
        locality: Arc::new(Locality {
            zone: zone.into(),
            ..Locality::default()
        }),
        locality_weight: Some(of_locality),
        ..endpoint(number, weight)
    };
    // Zone b is listed first, and comes second; zone c has no weight.
    let hosts = [
        at("b", 1, 1, 1),
        at("a", 2, 1, 3),
        at("a", 3, 2, 3),
        at("c", 4, 9, 0),
    ];
    let found = normalized(&members(&hosts), false);
    let found: Vec<(u32, f64)> = found.iter().map(|(m, w)| (m.index, *w)).collect();
    assert_eq!(found, [(1, 0.25), (2, 0.5), (0, 0.25)]);
}

fn some_hosts() -> impl Strategy<Value = Vec<Endpoint>> {
    proptest::collection::btree_map(0..=255_u8, 1..100_u32, 1..20)
        .prop_map(|hosts| hosts.into_iter().map(|(n, w)| endpoint(n, w)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The point of it all: who leaves takes only its own keys along.
    #[test]
    fn keys_of_hosts_that_stay_stay_on_the_ring(hosts in some_hosts(), leaver: prop::sample::Index) {
        // All of one weight: then the ring of each is the same, whoever else there is.
        let hosts: Vec<Endpoint> = hosts.into_iter().map(|h| Endpoint { weight: 1, ..h }).collect();
        prop_assume!(hosts.len() > 1);
        let leaver = leaver.index(hosts.len());
        let mut left = hosts.clone();
        left.remove(leaver);
        let ring_of = |hosts: &[Endpoint]| {
            let size = u32::try_from(hosts.len()).unwrap().saturating_mul(40);
            table(LbPolicy::RingHash(ring(size, size)), hosts)
        };
        let (before, after) = (ring_of(&hosts), ring_of(&left));
        for hash in spread(500) {
            let (was, is) = (before.find(hash, 0).unwrap(), after.find(hash, 0).unwrap());
            prop_assert!(was == leaver || hosts[was].address == left[is].address);
        }
    }

    /// No slot is free, all have their share, and the order of the configuration is nothing.
    #[test]
    fn maglev_is_full_fair_and_stable(hosts in some_hosts(), rotation: prop::sample::Index) {
        let size = 1009;
        let slots = |hosts: &[Endpoint]| {
            let table = table(maglev(size), hosts);
            let slot = |hash| hosts[table.find(hash, 0).unwrap()].address.clone();
            (0..u64::from(size)).map(slot).collect::<Vec<_>>()
        };
        let mut rotated = hosts.clone();
        rotated.rotate_left(rotation.index(hosts.len()));
        prop_assert_eq!(slots(&hosts), slots(&rotated));
        let sum: f64 = hosts.iter().map(|h| f64::from(h.weight)).sum();
        let shares = shares(&table(maglev(size), &hosts), 0..u64::from(size));
        for (at, host) in hosts.iter().enumerate() {
            let expected = f64::from(size) * f64::from(host.weight) / sum;
            let share = f64::from(shares.get(&at).copied().unwrap_or(0));
            // In the first round the lightest has a slot, too, whatever its weight: up to one for
            // each host is taken from all, by their weights. And the last round may end early.
            let taken = hosts.len() as f64 * f64::from(host.weight) / sum;
            let off = (share - expected).abs();
            prop_assert!(off <= taken + 2.0, "{} instead of {}", share, expected);
        }
    }
}
