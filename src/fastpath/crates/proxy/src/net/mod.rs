//! Sockets: the only place that talks to the kernel about connections.

pub mod io;
pub mod local_address;
pub mod out_buffer;
pub mod socket;
pub mod watch;
