//! Sockets: the only place that talks to the kernel about connections.

mod ahead;
pub mod datagram;
pub mod introduction;
pub mod io;
pub mod local_address;
pub mod out_buffer;
pub mod socket;
mod sockopt;
mod spare;
mod unix;
pub mod watch;

fn errno(error: std::io::Error) -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::INVAL)
}
