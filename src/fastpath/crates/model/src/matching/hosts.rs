//! Domains: exact, longest `*.suffix`, longest `prefix.*`, `*`.

use std::sync::Arc;

use crate::resources::route::{VirtualHost, VirtualHosts, WildcardsOfLength};

/// Hosts up to this length cost no allocation, whatever their case; DNS names are shorter.
const STACK: usize = 256;

impl VirtualHosts {
    /// The virtual host of an authority. `ignore_port`:
    /// `RouteConfiguration.ignore_port_in_host_matching`.
    #[must_use]
    pub fn find(&self, authority: &[u8], ignore_port: bool) -> Option<&Arc<VirtualHost>> {
        self.list.get(self.position(authority, ignore_port)?)
    }

    /// Its place in `list`.
    #[must_use]
    pub fn position(&self, authority: &[u8], ignore_port: bool) -> Option<usize> {
        if self.exact.is_empty() && self.suffix.is_empty() && self.prefix.is_empty() {
            return self.default;
        }
        let host = if ignore_port {
            without_port(authority)
        } else {
            authority
        };
        if !host.iter().any(u8::is_ascii_uppercase) {
            return self.search(host);
        }
        let mut stack = [0_u8; STACK];
        match stack.get_mut(..host.len()) {
            Some(buffer) => {
                buffer.copy_from_slice(host);
                buffer.make_ascii_lowercase();
                self.search(buffer)
            }
            None => self.search(&host.to_ascii_lowercase()),
        }
    }

    /// As `position`, for a host in lower case.
    fn search(&self, host: &[u8]) -> Option<usize> {
        self.exact
            .get(host)
            .copied()
            .or_else(|| longest(&self.suffix, host, |host, from| host.get(from..)))
            .or_else(|| {
                longest(&self.prefix, host, |host, from| {
                    host.get(..host.len().saturating_sub(from))
                })
            })
            .or(self.default)
    }
}

/// The entry of the longest pattern; `*` stands for one byte at least. `part` takes the host
/// without as many bytes as the `*` stands for.
fn longest<'h>(
    tables: &[WildcardsOfLength],
    host: &'h [u8],
    part: impl Fn(&'h [u8], usize) -> Option<&'h [u8]>,
) -> Option<usize> {
    tables.iter().find_map(|(length, table)| {
        let star = host.len().checked_sub(*length).filter(|star| *star > 0)?;
        table.get(part(host, star)?).copied()
    })
}

/// What precedes the last colon that is not inside brackets.
fn without_port(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|b| *b == b':');
    let bracket = authority.iter().rposition(|b| *b == b']');
    match (colon, bracket) {
        (Some(colon), Some(bracket)) if colon < bracket => authority,
        (Some(colon), _) => authority.get(..colon).unwrap_or(authority),
        (None, _) => authority,
    }
}
