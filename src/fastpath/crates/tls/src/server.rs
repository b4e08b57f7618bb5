//! The TLS of one filter chain.

use std::net::SocketAddr;
use std::sync::Arc;

use model::problem::Problem;
use model::resources::tls::DownstreamTls;

use crate::secrets::Secrets;
use crate::session::Session;

/// Built once per configuration and secret version, shared by the workers.
#[derive(Debug)]
pub struct ServerContext {}

impl ServerContext {
    /// # Errors
    /// A certificate, key, CA, CRL or set of ticket keys that cannot be used, or a secret that is
    /// not there; the path is relative to the `DownstreamTlsContext`.
    pub fn new(config: &DownstreamTls, secrets: &dyn Secrets) -> Result<Arc<Self>, Problem> {
        let _ = (config, secrets);
        Err(Problem {
            path: String::new(),
            reason: "not yet".into(),
        })
    }

    /// A connection that was accepted. The addresses choose whether its keys are logged.
    #[must_use]
    pub fn session(self: &Arc<Self>, local: SocketAddr, remote: SocketAddr) -> Session {
        let _ = (local, remote);
        Session::default()
    }
}
