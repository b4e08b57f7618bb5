//! Which filter chain takes a connection: Envoy's `FilterChainMatch`.

mod levels;
mod ranges;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub(super) use self::levels::is_same_ip_or_loopback;
use self::levels::{Leaf, Ports};
use crate::resources::listener::ChainMatch;

/// What is known of a connection when its chain is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Where it goes: the local address, or the original destination; `None`: a pipe.
    pub destination: Option<SocketAddr>,
    /// Where it comes from, as PROXY protocol has it; `None`: a pipe.
    pub source: Option<SocketAddr>,
    /// The peer of the socket; `None`: a pipe.
    pub direct_source: Option<IpAddr>,
    /// Of the ClientHello, lower case; empty without one.
    pub server_name: &'a [u8],
    /// `tls` or `raw_buffer`.
    pub transport_protocol: &'a [u8],
    /// In the client's order.
    pub application_protocols: &'a [Box<[u8]>],
}

/// Two chains that would take the same connections: nothing could choose between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Index of the chain that came first.
    pub first: usize,
    /// The one that overlaps it; the same index where one list of a chain names a value twice.
    pub second: usize,
}

/// Chooses by the rules of `FilterChainMatch`: criterion by criterion in a fixed order, at each
/// the most specific value that any chain still in the running names, and no way back. The
/// default one takes every connection into the first chain.
#[derive(Default)]
pub struct ChainMatcher {
    /// `None`: the first chain takes all.
    tree: Option<Box<Ports>>,
}

/// The maps come in any order and say nothing that the chains do not.
impl fmt::Debug for ChainMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainMatcher")
            .field("is_trivial", &self.is_trivial())
            .finish_non_exhaustive()
    }
}

impl ChainMatcher {
    /// One criteria set per chain, in the chains' order. One chain without criteria costs
    /// nothing; no chain at all matches no connection.
    ///
    /// # Errors
    ///
    /// As Envoy: where two chains, or two values of one, lead to the same place.
    pub fn new(chains: &[ChainMatch]) -> Result<Self, Overlap> {
        if let [only] = chains
            && *only == ChainMatch::default()
        {
            return Ok(Self::default());
        }
        let mut tree = Ports::default();
        for (second, criteria) in chains.iter().enumerate() {
            let leaf = Leaf {
                criteria,
                chain: second,
            };
            tree.insert(&leaf)
                .map_err(|first| Overlap { first, second })?;
        }
        Ok(Self {
            tree: Some(Box::new(tree)),
        })
    }

    /// The index of the chain; `None`: none of them.
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        match &self.tree {
            None => Some(0),
            Some(tree) => tree.find(facts),
        }
    }

    /// Whether the first chain takes every connection, whatever its facts.
    #[must_use]
    pub fn is_trivial(&self) -> bool {
        self.tree.is_none()
    }
}
