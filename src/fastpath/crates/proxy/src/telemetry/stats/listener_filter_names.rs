//! What Envoy counts per kind of listener filter, whatever the listener.

use super::names::stat_names;

stat_names! {
    /// Counters of all TLS inspectors: `tls_inspector.*`.
    pub enum TlsInspectorCounter {
        AlpnFound = "alpn_found",
        AlpnNotFound = "alpn_not_found",
        ClientHelloTooLarge = "client_hello_too_large",
        SniFound = "sni_found",
        SniNotFound = "sni_not_found",
        TlsFound = "tls_found",
        TlsNotFound = "tls_not_found",
    }
}

stat_names! {
    /// Histograms of all TLS inspectors.
    pub enum TlsInspectorHistogram {
        BytesProcessed = "bytes_processed",
    }
}

stat_names! {
    /// Counters of all HTTP inspectors: `http_inspector.*`.
    pub enum HttpInspectorCounter {
        Http10Found = "http10_found",
        Http11Found = "http11_found",
        Http2Found = "http2_found",
        HttpNotFound = "http_not_found",
        ReadError = "read_error",
    }
}

stat_names! {
    /// Counters of the PROXY protocol filters with one `stat_prefix`: `proxy_proto[.<prefix>].*`.
    pub enum ProxyProtocolCounter {
        NotFoundAllowed = "not_found_allowed",
        NotFoundDisallowed = "not_found_disallowed",
        V1Disallowed = "versions.v1.disallowed",
        V1Error = "versions.v1.error",
        V1Found = "versions.v1.found",
        V2Disallowed = "versions.v2.disallowed",
        V2Error = "versions.v2.error",
        V2Found = "versions.v2.found",
    }
}

/// What `downstream_cx_proxy_proto_error` is the sum of.
pub(super) const PROXY_PROTOCOL_ERRORS: &[ProxyProtocolCounter] = &[
    ProxyProtocolCounter::NotFoundDisallowed,
    ProxyProtocolCounter::V1Error,
    ProxyProtocolCounter::V2Error,
];
