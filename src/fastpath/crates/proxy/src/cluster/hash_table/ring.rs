//! The ring of RING_HASH (ketama): a host has points on it by its weight, and what lies before a
//! point belongs to it.

use std::io::Write;

use model::resources::hash_lb::{HashFunction, RingHash};
use twox_hash::XxHash64;

use super::murmur::{LIBSTDCXX_SEED, murmur_hash2};
use super::{Keyed, Places};

#[derive(Debug)]
pub struct Ring {
    /// Sorted; `hosts` says whose they are.
    points: Box<[u64]>,
    hosts: Box<[u32]>,
    /// What was aimed at, which statistics show.
    pub size: u64,
    pub places: Places,
}

impl Ring {
    /// At most `maximum_ring_size` points, and one more for what rounding leaves.
    pub(super) fn new(config: RingHash, hosts: &[Keyed]) -> Self {
        let mut size = 0.0;
        let mut places = Places { fewest: 0, most: 0 };
        let mut points: Vec<(u64, u32)> = Vec::new();
        if !hosts.is_empty() {
            let least = hosts.iter().map(|h| h.weight).fold(1.0, f64::min);
            // As many points as the lightest host has whole ones.
            let scale = ((least * f64::from(config.minimum_ring_size)).ceil() / least)
                .min(f64::from(config.maximum_ring_size));
            size = scale.ceil();
            points.reserve_exact(size as usize);
            places.fewest = size as u64;
            // Running sums, so that shares which are no whole numbers even out.
            let (mut have, mut want) = (0.0, 0.0);
            for host in hosts {
                want += scale * host.weight;
                let before = points.len();
                let mut key = Key::new(&host.key);
                while have < want {
                    points.push((key.next(config.hash_function), host.host));
                    have += 1.0;
                }
                let of_host = points.len().saturating_sub(before) as u64;
                places.fewest = places.fewest.min(of_host);
                places.most = places.most.max(of_host);
            }
        }
        points.sort_unstable();
        Self {
            points: points.iter().map(|(point, _)| *point).collect(),
            hosts: points.iter().map(|(_, host)| *host).collect(),
            size: size as u64,
            places,
        }
    }

    /// The host of the first point that is not before `hash`, once around, or `nth` points on.
    pub fn find(&self, hash: u64, nth: u32) -> Option<u32> {
        let first = self.points.partition_point(|point| *point < hash);
        if nth == 0 {
            return self
                .hosts
                .get(first)
                .or_else(|| self.hosts.first())
                .copied();
        }
        let at = first.saturating_add(usize::try_from(nth).unwrap_or(0));
        self.hosts.get(at.checked_rem(self.hosts.len())?).copied()
    }
}

/// A host's key with a number behind it: `10.0.0.1:80_0`, `10.0.0.1:80_1`.
struct Key {
    text: Vec<u8>,
    stem: usize,
    number: u64,
}

impl Key {
    fn new(key: &str) -> Self {
        let mut text = key.as_bytes().to_vec();
        text.push(b'_');
        Self {
            stem: text.len(),
            text,
            number: 0,
        }
    }

    fn next(&mut self, function: HashFunction) -> u64 {
        self.text.truncate(self.stem);
        // Writing to a vector cannot fail.
        let _ = write!(self.text, "{}", self.number);
        self.number = self.number.wrapping_add(1);
        match function {
            HashFunction::XxHash => XxHash64::oneshot(0, &self.text),
            HashFunction::MurmurHash2 => murmur_hash2(&self.text, LIBSTDCXX_SEED),
        }
    }
}
