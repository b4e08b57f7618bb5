//! The machine's own address, as Envoy's `LocalInfo::address`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first address of that version that is neither loopback nor of the link only; else the
/// loopback one.
#[must_use]
pub fn of_machine(v6: bool) -> IpAddr {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    if v6 {
        let found = first_v6(&read("/proc/net/if_inet6"));
        found.unwrap_or(Ipv6Addr::LOCALHOST).into()
    } else {
        let found = first_v4(&read("/proc/net/fib_trie"));
        found.unwrap_or(Ipv4Addr::LOCALHOST).into()
    }
}

/// In the kernel's routing table, where each own address is `|-- address` before
/// `/32 host LOCAL`.
fn first_v4(table: &str) -> Option<Ipv4Addr> {
    let mut last = None;
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = last.filter(|a| !a.is_loopback())
        {
            return Some(address);
        }
    }
    None
}

/// In the kernel's list, whose lines begin with 32 hexadecimal digits.
fn first_v6(list: &str) -> Option<Ipv6Addr> {
    list.lines()
        .filter_map(|line| u128::from_str_radix(line.split(' ').next()?, 16).ok())
        .map(Ipv6Addr::from_bits)
        .find(|address| !address.is_loopback() && !address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_others_can_reach() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n\
                     \x20    |-- 10.0.0.0\n        /24 link UNICAST\n\
                     \x20    |-- 10.0.0.7\n        /32 host LOCAL\n";
        assert_eq!(first_v4(table), Some(Ipv4Addr::new(10, 0, 0, 7)));
        assert_eq!(first_v4("|-- 127.0.0.1\n/32 host LOCAL"), None);
        let list = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    fe80000000000000004200fffe110002 02 40 20 80     eth0\n\
                    20010db8000000000000000000000007 02 40 00 80     eth0\n";
        let expected: Ipv6Addr = "2001:db8::7".parse().unwrap_or(Ipv6Addr::UNSPECIFIED);
        assert_eq!(first_v6(list), Some(expected));
        assert_eq!(first_v6("no list\n\n"), None);
    }
}
