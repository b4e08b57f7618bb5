//! Listening and connecting: the options and their reasons.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use model::resources::listener::SocketOptions;
use rustix::io::{Errno, Result};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, SocketType, ipproto};
use socket2::SockRef;

fn family(address: &SocketAddr) -> AddressFamily {
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

/// A bound, listening, non-blocking socket. `TCP_NODELAY` is set here because accepted sockets
/// inherit it: that saves a call a connection.
pub fn listen(
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
        let socket = SockRef::from(&fd);
        let set = match address {
            SocketAddr::V4(_) => socket.set_freebind_v4(true),
            SocketAddr::V6(_) => socket.set_freebind_v6(true),
        };
        set.map_err(errno)?;
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
    Ok(fd)
}

/// Lets a socket have an address that is not this machine's (needs CAP_NET_ADMIN).
fn set_transparent(fd: &OwnedFd, address: &SocketAddr) -> Result<()> {
    match address {
        SocketAddr::V4(_) => SockRef::from(fd).set_ip_transparent_v4(true).map_err(errno),
        // IPV6_TRANSPARENT cannot be set through any crate without unsafe code of ours.
        SocketAddr::V6(_) => Err(Errno::AFNOSUPPORT),
    }
}

fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
}

/// Accepts one connection; `None` when there is none waiting.
pub fn accept(fd: impl AsFd) -> Result<Option<(OwnedFd, SocketAddr)>> {
    match rustix::net::acceptfrom_with(fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok((fd, Some(address))) => Ok(to_std(address).map(|a| (fd, a))),
        Ok((_, None)) | Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Starts to connect; finished when the socket turns writable ([`connect_result`] tells how).
pub fn connect(address: &SocketAddr) -> Result<OwnedFd> {
    let fd = stream_socket(address)?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    match rustix::net::connect(&fd, address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(fd),
        Err(e) => Err(e),
    }
}

/// As `connect`, from an address that is the client's (`original_src`).
pub fn connect_from(address: &SocketAddr, source: &SocketAddr, mark: u32) -> Result<OwnedFd> {
    if address.is_ipv4() != source.is_ipv4() {
        return Err(Errno::AFNOSUPPORT);
    }
    let fd = stream_socket(address)?;
    sockopt::set_tcp_nodelay(&fd, true)?;
    set_transparent(&fd, source)?;
    if mark != 0 {
        SockRef::from(&fd).set_mark(mark).map_err(errno)?;
    }
    rustix::net::bind(&fd, source)?;
    match rustix::net::connect(&fd, address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(fd),
        Err(e) => Err(e),
    }
}

/// How a connect that was in progress ended.
pub fn connect_result(fd: impl AsFd) -> Result<()> {
    sockopt::socket_error(fd).unwrap_or_else(Err)
}

/// The local address of a socket.
pub fn local_address(fd: impl AsFd) -> Option<SocketAddr> {
    rustix::net::getsockname(fd).ok().and_then(to_std)
}

/// Where a connection went before netfilter redirected it to this socket; `None`: it came straight.
/// A transparent proxy's socket (TPROXY) has the original destination as its local address.
pub fn original_destination(fd: impl AsFd) -> Option<SocketAddr> {
    let found: SocketAddr = match local_address(&fd)? {
        // ENOENT: not tracked; ENOPROTOOPT: no netfilter.
        SocketAddr::V4(_) => sockopt::ip_original_dst(&fd).ok()?.into(),
        SocketAddr::V6(_) => sockopt::ipv6_original_dst(&fd).ok()?.into(),
    };
    Some(found)
}

fn to_std(address: SocketAddrAny) -> Option<SocketAddr> {
    SocketAddr::try_from(address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
