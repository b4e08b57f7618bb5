//! `envoy.config.core.v3.BindConfig`: where connections to hosts leave from.

use std::net::SocketAddr;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindConfig {
    /// `source_address` and what it has beside it (`extra_source_addresses`): at most one of each
    /// family. Never empty.
    pub sources: Vec<BindSource>,
    /// `freebind`: an address that is not, or not yet, this machine's.
    pub freebind: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindSource {
    /// Port 0: any. `None`: only the options count.
    pub address: Option<SocketAddr>,
    /// `socket_options`, set before binding.
    pub options: Vec<SocketOption>,
}

/// `envoy.config.core.v3.SocketOption`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOption {
    pub level: i32,
    pub name: i32,
    /// As setsockopt(2) is given it.
    pub value: Vec<u8>,
}

impl BindConfig {
    /// The source for a host: that of its family, else the first, as in Envoy.
    #[must_use]
    pub fn source(&self, host: &SocketAddr) -> Option<&BindSource> {
        let is_alike = |source: &&BindSource| {
            let address = source.address.as_ref();
            address.is_some_and(|address| address.is_ipv4() == host.is_ipv4())
        };
        self.sources.iter().find(is_alike).or(self.sources.first())
    }
}
