//! Why a TLS connection failed: words for the access log, a class for the statistics.

use std::fmt;

/// Which of Envoy's `ssl.*` counters a failure counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// `ssl.connection_error`: everything that is not about the peer's certificate.
    Connection,
    /// `ssl.fail_verify_no_cert`
    NoCertificate,
    /// `ssl.fail_verify_error`: the chain.
    VerifyChain,
    /// `ssl.fail_verify_san`
    VerifySan,
    /// `ssl.fail_verify_cert_hash`
    VerifyHash,
}

/// A failure that ends the connection. The alert for the peer is in the output of the call
/// that returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    class: ErrorClass,
    reason: Box<str>,
}

impl TlsError {
    pub(crate) fn new(class: ErrorClass, reason: impl Into<Box<str>>) -> Self {
        Self {
            class,
            reason: reason.into(),
        }
    }

    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`: `TLS_error:|…:TLS_error_end`.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for TlsError {}
