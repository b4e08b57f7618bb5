//! Address ranges to values, the longest prefix wins.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::resources::hcm::Cidr;

/// Values by range. A lookup asks one table per prefix length in use, longest first.
#[derive(Debug)]
pub(super) struct Ranges<T> {
    v4: Vec<OfLength<T>>,
    v6: Vec<OfLength<T>>,
    /// Of no range: any address that no range contains. (Where a chain says `0.0.0.0/0` and
    /// another says nothing, Envoy's choice depends on pointer values; here what is said wins.)
    any: Option<T>,
}

/// The ranges of one length, by their network's bits.
#[derive(Debug)]
struct OfLength<T> {
    length: u8,
    networks: HashMap<u128, T>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self {
            v4: Vec::new(),
            v6: Vec::new(),
            any: None,
        }
    }
}

impl<T: Default> Ranges<T> {
    /// The value of a range, a new one if it has none; `None`: of no range.
    pub(super) fn entry(&mut self, range: Option<&Cidr>) -> &mut T {
        let Some(range) = range else {
            return self.any.get_or_insert_default();
        };
        let (bits, width) = bits(range.address);
        let length = range.prefix_len.min(width);
        let tables = match range.address {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        };
        let place = tables.partition_point(|table| table.length > length);
        if tables.get(place).is_none_or(|t| t.length != length) {
            let networks = HashMap::new();
            tables.insert(place, OfLength { length, networks });
        }
        // The table is there by now: the fallback is for the compiler.
        match tables.get_mut(place) {
            Some(table) => table
                .networks
                .entry(network(bits, width, length))
                .or_default(),
            None => self.any.get_or_insert_default(),
        }
    }
}

impl<T> Ranges<T> {
    /// The value of the longest range that contains the address. An IPv4-mapped IPv6 address
    /// counts as IPv4.
    pub(super) fn find(&self, address: IpAddr) -> Option<&T> {
        let address = address.to_canonical();
        let (bits, width) = bits(address);
        let tables = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        tables
            .iter()
            .find_map(|table| table.networks.get(&network(bits, width, table.length)))
            .or(self.any.as_ref())
    }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(ip) => (ip.to_bits().into(), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    }
}

/// The first `length` bits of an address of `width` bits.
fn network(bits: u128, width: u8, length: u8) -> u128 {
    let host_bits = width.saturating_sub(length);
    bits.checked_shr(host_bits.into()).unwrap_or(0)
}
