//! TLS without I/O: contexts compiled from Envoy's configuration, and one session per connection
//! that turns ciphertext into plaintext and back. The caller owns the sockets and the buffers.
//!
//! ```text
//! model::resources::tls -> ServerContext / ClientContext (per configuration and secret version)
//!                             └ Session (per connection): receive, send, close -> Info, TlsError
//! ```

#[cfg(test)]
extern crate self as tls; // The tests' support is shared with those in tests/.

mod certificate;
mod choose;
mod client;
mod error;
mod hkdf;
mod info;
mod key_log;
mod ocsp;
mod peer;
mod peer_signature;
mod provider;
mod random;
mod resumption;
mod secrets;
mod server;
mod session;
mod stateful;
mod tickets;
mod verify;
mod x509;
mod xfcc;

pub use client::{ClientContext, ClientSession};
pub use error::{ErrorClass, TlsError};
pub use info::{Info, LocalCertificate, Version};
pub use ocsp::Ocsp;
pub use peer::{PeerCertificate, Sans};
pub use secrets::Secrets;
pub use server::ServerContext;
pub use session::{Received, Session};
pub use xfcc::{Details, xfcc_element};
