//! `envoy.config.core.v3.Address`, compiled: an IP address with its port, or a pipe.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where a socket is. An IP address costs nothing to copy, a pipe a count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Ip(SocketAddr),
    /// The path of a unix socket; `@name` is a name of Linux' abstract namespace, and an empty one
    /// a socket that has none (what a client has that was not bound).
    Pipe(Arc<str>),
}

/// Where a listener is bound.
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    pub address: Address,
    /// Permissions of a pipe's file, 0 to 0o777; 0: as the umask leaves them.
    pub mode: u32,
}

impl Address {
    /// `None`: a pipe.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Pipe(_) => None,
        }
    }

    /// `None`: a pipe.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket_addr().map(|address| address.ip())
    }

    /// `None`: a pipe.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.socket_addr().map(|address| address.port())
    }

    /// An IPv4-mapped IPv6 address as the IPv4 address that it is.
    #[must_use]
    pub fn to_canonical(&self) -> Self {
        match self {
            Self::Ip(address) => {
                Self::Ip(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            Self::Pipe(_) => self.clone(),
        }
    }

    /// The kernel chooses the port when it is bound, so that two of these do not collide.
    #[must_use]
    pub fn is_ephemeral(&self) -> bool {
        self.port() == Some(0)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl From<Address> for Bind {
    fn from(address: Address) -> Self {
        Self { address, mode: 0 }
    }
}

/// As Envoy writes addresses: `127.0.0.1:80`, `[::1]:80`, `/run/a.sock`, `@name`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Pipe(path) => f.write_str(path),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Pipe(path) => write!(f, "Pipe({path:?})"),
        }
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        match self.mode {
            0 => Ok(()),
            mode => write!(f, " mode {mode:#o}"),
        }
    }
}
