//! Socket options that no safe crate sets.

use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Result;

/// `TCP_FASTOPEN` (tcp(7)) of a socket that listens: so many handshakes may bring data and wait.
#[allow(unsafe_code)]
pub fn set_tcp_fast_open(fd: impl AsFd, queue: u32) -> Result<()> {
    let value = libc::c_int::try_from(queue).unwrap_or(libc::c_int::MAX);
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(0);
    // SAFETY: setsockopt(2) reads `length` bytes at the pointer and keeps nothing of it: both are
    // those of `value`, which lives until it returns. The descriptor is open: it is borrowed.
    let result = unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            (&raw const value).cast(),
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
    use rustix::io::Errno;

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
