//! The TLS of one upstream transport socket.

use std::net::SocketAddr;
use std::sync::Arc;

use model::problem::Problem;
use model::resources::tls::UpstreamTls;

use crate::error::TlsError;
use crate::secrets::Secrets;
use crate::session::Session;

/// Built once per configuration and secret version, shared by the workers.
#[derive(Debug)]
pub struct ClientContext {}

/// What differs between the connections of one transport socket.
#[derive(Debug, Clone, Copy)]
pub struct ClientSession<'a> {
    /// After `sni`, `auto_host_sni` and `auto_sni`; `None` sends none.
    pub sni: Option<&'a str>,
    /// `auto_san_validation`: one of these must be a SAN (DNS, with Envoy's wildcards, URI, email
    /// or the text of an IP). Empty: the configuration's matchers alone decide.
    pub verify_san: &'a [&'a str],
    /// Instead of the configuration's ALPN.
    pub alpn: Option<&'a [&'a [u8]]>,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl ClientContext {
    /// # Errors
    /// A certificate, key, CA or CRL that cannot be used, or a secret that is not there; the path
    /// is relative to the `UpstreamTlsContext`.
    pub fn new(config: &UpstreamTls, secrets: &dyn Secrets) -> Result<Arc<Self>, Problem> {
        let _ = (config, secrets);
        Err(Problem {
            path: String::new(),
            reason: "not yet".into(),
        })
    }

    /// A connection to make; `Session::start` gives the first bytes.
    ///
    /// # Errors
    /// An SNI that is no DNS name.
    pub fn session(self: &Arc<Self>, options: &ClientSession<'_>) -> Result<Session, TlsError> {
        let _ = options;
        Ok(Session::default())
    }
}
