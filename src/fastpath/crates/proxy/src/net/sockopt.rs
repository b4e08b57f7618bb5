//! Socket options that no safe crate sets.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::{Errno, Result};

/// `TCP_FASTOPEN` (tcp(7)) of a socket that listens: so many handshakes may bring data and wait.
pub fn set_tcp_fast_open(fd: impl AsFd, queue: u32) -> Result<()> {
    let value = libc::c_int::try_from(queue).unwrap_or(libc::c_int::MAX);
    set(
        fd,
        libc::IPPROTO_TCP,
        libc::TCP_FASTOPEN,
        &value.to_ne_bytes(),
    )
}

/// `IP_BIND_ADDRESS_NO_PORT` (ip(7)): the port is chosen when it is known where to, so that one
/// address has as many for each host. Both families have it.
pub fn set_bind_address_no_port(fd: impl AsFd) -> Result<()> {
    let on: libc::c_int = 1;
    let name = libc::IP_BIND_ADDRESS_NO_PORT;
    set(fd, libc::IPPROTO_IP, name, &on.to_ne_bytes())
}

/// Any option, as a configuration has it (`socket_options`).
#[allow(unsafe_code)]
pub fn set(fd: impl AsFd, level: libc::c_int, name: libc::c_int, value: &[u8]) -> Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: setsockopt(2) reads `length` bytes at the pointer and writes none: both are those of
    // `value`, which lives until it returns. Options that hold a pointer in their value (packet
    // filters) take it of this process's own configuration, and what is not readable there is
    // EFAULT. The descriptor is open: it is borrowed.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(super::errno(std::io::Error::last_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_takes_it_and_others_do_not() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        set_tcp_fast_open(&tcp, 16).unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(
            set_tcp_fast_open(&udp, 16),
            Err(Errno::NOPROTOOPT | Errno::OPNOTSUPP)
        ));
    }
}
