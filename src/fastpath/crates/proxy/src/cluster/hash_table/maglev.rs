//! The table of MAGLEV (Eisenbud et al., NSDI 2016, listing 1; weights as in Envoy): hosts take
//! turns to take the next free slot of their own order, until none is left.

use model::resources::hash_lb::Maglev;
use twox_hash::XxHash64;

use super::{Keyed, Places};

#[derive(Debug)]
pub struct MaglevTable {
    slots: Slots,
    pub places: Places,
}

/// The hosts of all slots, in the least memory that holds their numbers.
#[derive(Debug)]
enum Slots {
    Bytes(Box<[u8]>),
    Words(Box<[u16]>),
    Long(Box<[u32]>),
}

/// A slot that nobody has yet.
const FREE: u32 = u32::MAX;

impl MaglevTable {
    /// `table_size` slots, or none without hosts.
    pub(super) fn new(config: Maglev, hosts: Vec<Keyed>) -> Self {
        let size = u64::from(config.table_size);
        let mut turns = turns(hosts, size);
        let slots = if turns.is_empty() {
            Vec::new()
        } else {
            fill(&mut turns, size)
        };
        let counts = || turns.iter().map(|turn| turn.count);
        let places = match turns.len() {
            // Envoy makes no table for one host, and says so.
            one_or_none @ (0 | 1) => Places {
                fewest: one_or_none as u64,
                most: one_or_none as u64,
            },
            _ => Places {
                fewest: counts().fold(size, u64::min),
                most: counts().fold(0, u64::max),
            },
        };
        Self {
            slots: Slots::new(slots),
            places,
        }
    }

    /// The host in the slot of `hash`, for the `nth` time of another one (as Envoy changes it).
    pub fn find(&self, hash: u64, nth: u32) -> Option<u32> {
        let hash = match u64::from(nth) {
            0 => hash,
            nth => hash ^ u64::MAX.wrapping_sub(nth).wrapping_add(1),
        };
        self.slots.at(hash.checked_rem(self.slots.len() as u64)?)
    }
}

impl Slots {
    fn new(slots: Vec<u32>) -> Self {
        if let Some(bytes) = narrow(&slots) {
            return Self::Bytes(bytes);
        }
        narrow(&slots).map_or_else(|| Self::Long(slots.into()), Self::Words)
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(slots) => slots.len(),
            Self::Words(slots) => slots.len(),
            Self::Long(slots) => slots.len(),
        }
    }

    fn at(&self, slot: u64) -> Option<u32> {
        let at = usize::try_from(slot).ok()?;
        match self {
            Self::Bytes(slots) => slots.get(at).map(|host| u32::from(*host)),
            Self::Words(slots) => slots.get(at).map(|host| u32::from(*host)),
            Self::Long(slots) => slots.get(at).copied(),
        }
    }
}

/// `None`: they do not fit.
fn narrow<T: TryFrom<u32>>(slots: &[u32]) -> Option<Box<[T]>> {
    slots.iter().map(|host| T::try_from(*host).ok()).collect()
}

/// A host while the table is filled.
struct Turn {
    host: u32,
    weight: f64,
    /// Where its order begins and by how much it goes on.
    offset: u64,
    skip: u64,
    /// How far it has come in its order.
    next: u64,
    /// It may take a slot once `weight` times the round has come this far.
    due: f64,
    count: u64,
}

/// In the order of keys, so that the order of the configuration does not matter.
fn turns(mut hosts: Vec<Keyed>, size: u64) -> Vec<Turn> {
    hosts.sort_by(|a, b| a.key.cmp(&b.key));
    let turn = |host: Keyed| {
        let key = host.key.as_bytes();
        let rem = |hash: u64, by: u64| hash.checked_rem(by).unwrap_or(0);
        Turn {
            host: host.host,
            weight: host.weight,
            offset: rem(XxHash64::oneshot(0, key), size),
            skip: rem(XxHash64::oneshot(1, key), size.saturating_sub(1)).saturating_add(1),
            next: 0,
            due: 0.0,
            count: 0,
        }
    };
    hosts.into_iter().map(turn).collect()
}

/// Every host's order has every slot once (the size is prime), so this ends.
fn fill(turns: &mut [Turn], size: u64) -> Vec<u32> {
    let heaviest = turns.iter().map(|turn| turn.weight).fold(0.0, f64::max);
    let mut slots = vec![FREE; usize::try_from(size).unwrap_or(0)];
    let mut left = slots.len();
    for round in 1..=u32::MAX {
        for turn in &mut *turns {
            if left == 0 {
                return slots;
            }
            if f64::from(round) * turn.weight < turn.due {
                continue;
            }
            turn.due += heaviest;
            if let Some(slot) = turn.first_free(&mut slots, size) {
                *slot = turn.host;
                turn.count = turn.count.saturating_add(1);
                left = left.saturating_sub(1);
            }
        }
    }
    slots
}

impl Turn {
    fn first_free<'s>(&mut self, slots: &'s mut [u32], size: u64) -> Option<&'s mut u32> {
        while self.next <= size {
            let place = self.offset.wrapping_add(self.skip.wrapping_mul(self.next));
            let at = usize::try_from(place.checked_rem(size)?).ok()?;
            self.next = self.next.wrapping_add(1);
            if slots.get(at) == Some(&FREE) {
                return slots.get_mut(at);
            }
        }
        None
    }
}
