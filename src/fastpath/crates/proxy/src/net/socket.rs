//! Listening and connecting: the options and their reasons.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use model::resources::address::{Address, Bind};
use model::resources::bind::BindConfig;
use model::resources::cluster::{Cluster, TcpKeepalive};
use model::resources::listener::SocketOptions;
use rustix::io::{Errno, Result};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, ipproto};
use socket2::SockRef;

use super::sockopt::{set, set_bind_address_no_port, set_tcp_fast_open};
use super::{errno, unix};
use crate::listener::UpstreamSource;

/// A bound, listening, non-blocking socket. Of a pipe there can be one only: it has no
/// `reuse_port`, and none of the options, which are those of IP.
pub fn listen(
    bind: &Bind,
    backlog: i32,
    reuse_port: bool,
    options: SocketOptions,
) -> Result<OwnedFd> {
    match &bind.address {
        Address::Ip(address) => listen_tcp(address, backlog, reuse_port, options),
        Address::Pipe(_) if options.transparent || options.freebind => Err(Errno::OPNOTSUPP),
        Address::Pipe(path) => unix::listen(path, bind.mode, backlog),
    }
}

/// `TCP_NODELAY` is set here because accepted sockets inherit it: that saves a call a connection.
fn listen_tcp(
    address: &SocketAddr,
    backlog: i32,
    reuse_port: bool,
    options: SocketOptions,
) -> Result<OwnedFd> {
    let fd = stream_socket(address)?;
    if options.transparent {
        set_transparent(&fd, address)?;
    }
    if options.freebind {
        set_freebind(&fd, address)?;
    }
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if reuse_port {
        sockopt::set_socket_reuseport(&fd, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
    }
    sockopt::set_tcp_nodelay(&fd, true)?;
    rustix::net::bind(&fd, address)?;
    rustix::net::listen(&fd, backlog)?;
    if let Some(queue) = options.fast_open_queue {
        set_tcp_fast_open(&fd, queue)?;
    }
    Ok(fd)
}

/// Accepts one connection; `None` when there is none waiting.
pub fn accept(fd: impl AsFd) -> Result<Option<(OwnedFd, Address)>> {
    match rustix::net::acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok((fd, Some(address))) => Ok(address_of(address).map(|a| (fd, a))),
        Ok((_, None)) | Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(e) => Err(e),
    }
}

/// How a connection to a host is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes<'a> {
    /// From an address that is the client's (`original_src`).
    pub source: Option<&'a UpstreamSource>,
    pub keepalive: Option<&'a TcpKeepalive>,
    /// `upstream_bind_config`.
    pub bind: Option<&'a BindConfig>,
}

impl<'a> Wishes<'a> {
    pub fn new(cluster: &'a Cluster, source: Option<&'a UpstreamSource>) -> Self {
        Self {
            source,
            keepalive: cluster.keepalive.as_ref(),
            bind: cluster.bind.as_deref(),
        }
    }
}

/// Why there is no connection under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot leave from there.
    Bind(SocketAddr, Errno),
    /// A socket option of the configuration was not taken.
    Option(Errno),
    Other(Errno),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Other(errno)
    }
}

/// The socket, and the error that was there at once.
pub type Connecting = (OwnedFd, Option<Errno>);

/// Starts to connect; finished when the socket turns writable ([`connect_result`] tells how, unless
/// the error is there at once).
pub fn connect(address: &Address, wishes: Wishes<'_>) -> std::result::Result<Connecting, Refusal> {
    match (address, wishes.source) {
        (Address::Ip(address), _) => connect_tcp(address, wishes),
        (Address::Pipe(path), None) => Ok(unix::connect(path)?),
        (Address::Pipe(_), Some(_)) => Err(Errno::AFNOSUPPORT.into()),
    }
}

fn connect_tcp(
    address: &SocketAddr,
    wishes: Wishes<'_>,
) -> std::result::Result<Connecting, Refusal> {
    let fd = stream_socket(address)?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    if let Some(keepalive) = wishes.keepalive {
        set_keepalive(&fd, keepalive)?;
    }
    if let Some(config) = wishes.bind {
        bind_as_configured(&fd, address, config, wishes.source.is_some())?;
    }
    if let Some(source) = wishes.source {
        bind_to(&fd, address, source)?;
    }
    match rustix::net::connect(&fd, address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok((fd, None)),
        Err(e) => Ok((fd, Some(e))),
    }
}

/// How a connect that was in progress ended.
pub fn connect_result(fd: impl AsFd) -> Result<()> {
    sockopt::socket_error(fd).unwrap_or_else(Err)
}

/// The local address of a socket; `None`: it has none, as a pipe's client.
pub fn local_address(fd: impl AsFd) -> Option<Address> {
    let found = rustix::net::getsockname(fd).ok().and_then(address_of)?;
    let is_unnamed = matches!(&found, Address::Pipe(path) if path.is_empty());
    (!is_unnamed).then_some(found)
}

/// Where a connection went before netfilter redirected it to this socket (or where it came, if
/// netfilter only saw it); `None`: it came straight. A transparent proxy's socket (TPROXY) has the
/// original destination as its local address.
pub fn original_destination(fd: impl AsFd) -> Option<SocketAddr> {
    let found: SocketAddr = match local_address(&fd)?.socket_addr()? {
        // ENOENT: not tracked; ENOPROTOOPT: no netfilter.
        SocketAddr::V4(_) => sockopt::ip_original_dst(&fd).ok()?.into(),
        SocketAddr::V6(_) => sockopt::ipv6_original_dst(&fd).ok()?.into(),
    };
    Some(found)
}

pub(super) fn family(address: &SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

fn stream_socket(address: &SocketAddr) -> Result<OwnedFd> {
    rustix::net::socket_with(
        family(address),
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )
}

/// Lets a socket have an address that is not this machine's (needs CAP_NET_ADMIN).
fn set_transparent(fd: &OwnedFd, address: &SocketAddr) -> Result<()> {
    let socket = SockRef::from(fd);
    let set = match address {
        SocketAddr::V4(_) => socket.set_ip_transparent_v4(true),
        SocketAddr::V6(_) => socket.set_ip_transparent_v6(true),
    };
    set.map_err(errno)
}

/// Any 0 turns it off, as in Envoy.
fn set_keepalive(fd: &OwnedFd, keepalive: &TcpKeepalive) -> Result<()> {
    let given = [
        keepalive.probes,
        keepalive.time_seconds,
        keepalive.interval_seconds,
    ];
    if given.contains(&Some(0)) {
        return Ok(());
    }
    let seconds = |n: u32| Duration::from_secs(n.into());
    sockopt::set_socket_keepalive(fd, true)?;
    if let Some(probes) = keepalive.probes {
        sockopt::set_tcp_keepcnt(fd, probes)?;
    }
    if let Some(time) = keepalive.time_seconds {
        sockopt::set_tcp_keepidle(fd, seconds(time))?;
    }
    if let Some(interval) = keepalive.interval_seconds {
        sockopt::set_tcp_keepintvl(fd, seconds(interval))?;
    }
    Ok(())
}

/// The options of `upstream_bind_config`, and its address unless the client's is to be taken.
fn bind_as_configured(
    fd: &OwnedFd,
    host: &SocketAddr,
    config: &BindConfig,
    is_bound_elsewhere: bool,
) -> std::result::Result<(), Refusal> {
    let Some(source) = config.source(host) else {
        return Ok(());
    };
    if config.freebind {
        set_freebind(fd, host)?;
    }
    for option in &source.options {
        set(fd, option.level, option.name, &option.value).map_err(Refusal::Option)?;
    }
    let Some(address) = source.address.filter(|_| !is_bound_elsewhere) else {
        return Ok(());
    };
    if address.is_ipv4() != host.is_ipv4() {
        return Err(Refusal::Bind(address, Errno::AFNOSUPPORT));
    }
    if address.port() == 0 {
        set_bind_address_no_port(fd)?;
    }
    rustix::net::bind(fd, &address).map_err(|errno| Refusal::Bind(address, errno))
}

fn set_freebind(fd: &OwnedFd, address: &SocketAddr) -> Result<()> {
    let socket = SockRef::from(fd);
    let set = match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true),
        SocketAddr::V6(_) => socket.set_freebind_v6(true),
    };
    set.map_err(errno)
}

/// The connection is to leave from the client's address.
fn bind_to(fd: &OwnedFd, address: &SocketAddr, source: &UpstreamSource) -> Result<()> {
    if address.is_ipv4() != source.address.is_ipv4() {
        return Err(Errno::AFNOSUPPORT);
    }
    set_transparent(fd, &source.address)?;
    if source.mark != 0 {
        SockRef::from(fd).set_mark(source.mark).map_err(errno)?;
    }
    rustix::net::bind(fd, &source.address)
}

fn address_of(address: SocketAddrAny) -> Option<Address> {
    if address.address_family() == AddressFamily::UNIX {
        return SocketAddrUnix::try_from(address)
            .ok()
            .map(|found| unix::address_of(&found));
    }
    SocketAddr::try_from(address).ok().map(Address::Ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(address: &str) -> BindConfig {
        BindConfig {
            sources: vec![model::resources::bind::BindSource {
                address: Some(address.parse().unwrap()),
                options: Vec::new(),
            }],
            freebind: false,
        }
    }

    #[test]
    fn a_connection_leaves_from_where_it_is_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = Address::Ip(listener.local_addr().unwrap());
        let config = bound("127.0.0.6:0");
        let wishes = Wishes {
            bind: Some(&config),
            ..Wishes::default()
        };
        let (_client, failed) = connect(&to, wishes).unwrap();
        assert_eq!(failed, None);
        let (_accepted, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), "127.0.0.6");
        for (source, errno) in [
            ("192.0.2.1:0", Errno::ADDRNOTAVAIL),
            ("[::1]:0", Errno::AFNOSUPPORT),
        ] {
            let config = bound(source);
            let wishes = Wishes {
                bind: Some(&config),
                ..Wishes::default()
            };
            let refused = connect(&to, wishes).unwrap_err();
            assert_eq!(refused, Refusal::Bind(source.parse().unwrap(), errno));
        }
    }

    /// Without netfilter there is no answer, with it the same address.
    #[test]
    fn a_connection_that_was_not_redirected() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(address) else {
                continue; // a machine without IPv6
            };
            let local = listener.local_addr().unwrap();
            let _client = std::net::TcpStream::connect(local).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let found = original_destination(&accepted);
            assert!(found.is_none() || found == Some(local));
        }
    }
}
