//! What Envoy counts of TLS, per listener and per cluster: `listener.<address>.ssl.*`,
//! `cluster.<name>.ssl.*`, and what befalls the contexts, `server_ssl_socket_factory.*` and
//! `client_ssl_socket_factory.*`.

use tls::{ErrorClass, Info, Ocsp, TlsError, Version};

use super::TlsShard;
use super::names::stat_names;

stat_names! {
    /// Counters of handshakes.
    pub enum TlsCounter {
        ConnectionError = "connection_error",
        FailVerifyCertHash = "fail_verify_cert_hash",
        FailVerifyError = "fail_verify_error",
        FailVerifyNoCert = "fail_verify_no_cert",
        FailVerifySan = "fail_verify_san",
        Handshake = "handshake",
        NoCertificate = "no_certificate",
        OcspStapleFailed = "ocsp_staple_failed",
        OcspStapleOmitted = "ocsp_staple_omitted",
        OcspStapleRequests = "ocsp_staple_requests",
        OcspStapleResponses = "ocsp_staple_responses",
        SessionReused = "session_reused",
        Aes128GcmSha256 = "ciphers.TLS_AES_128_GCM_SHA256",
        Aes256GcmSha384 = "ciphers.TLS_AES_256_GCM_SHA384",
        Chacha20Poly1305Sha256 = "ciphers.TLS_CHACHA20_POLY1305_SHA256",
        EcdheEcdsaAes128Gcm = "ciphers.ECDHE-ECDSA-AES128-GCM-SHA256",
        EcdheEcdsaAes256Gcm = "ciphers.ECDHE-ECDSA-AES256-GCM-SHA384",
        EcdheEcdsaChacha20 = "ciphers.ECDHE-ECDSA-CHACHA20-POLY1305",
        EcdheRsaAes128Gcm = "ciphers.ECDHE-RSA-AES128-GCM-SHA256",
        EcdheRsaAes256Gcm = "ciphers.ECDHE-RSA-AES256-GCM-SHA384",
        EcdheRsaChacha20 = "ciphers.ECDHE-RSA-CHACHA20-POLY1305",
        P256 = "curves.P-256",
        P384 = "curves.P-384",
        P521 = "curves.P-521",
        X25519 = "curves.X25519",
        X25519MlKem768 = "curves.X25519MLKEM768",
        EcdsaP256 = "sigalgs.ecdsa_secp256r1_sha256",
        EcdsaP384 = "sigalgs.ecdsa_secp384r1_sha384",
        EcdsaP521 = "sigalgs.ecdsa_secp521r1_sha512",
        Ed25519 = "sigalgs.ed25519",
        RsaPkcs1Sha256 = "sigalgs.rsa_pkcs1_sha256",
        RsaPkcs1Sha384 = "sigalgs.rsa_pkcs1_sha384",
        RsaPkcs1Sha512 = "sigalgs.rsa_pkcs1_sha512",
        RsaPssSha256 = "sigalgs.rsa_pss_rsae_sha256",
        RsaPssSha384 = "sigalgs.rsa_pss_rsae_sha384",
        RsaPssSha512 = "sigalgs.rsa_pss_rsae_sha512",
        V1_2 = "versions.TLSv1.2",
        V1_3 = "versions.TLSv1.3",
    }
}

stat_names! {
    /// Counters of TLS contexts.
    pub enum TlsContextCounter {
        DownstreamContextSecretsNotReady = "downstream_context_secrets_not_ready",
        SslContextUpdateBySds = "ssl_context_update_by_sds",
        UpstreamContextSecretsNotReady = "upstream_context_secrets_not_ready",
    }
}

impl TlsShard {
    /// Counts a handshake that succeeded, and what was agreed on.
    pub fn handshake(&self, info: &Info) {
        self.inc(TlsCounter::Handshake);
        if info.resumed {
            self.inc(TlsCounter::SessionReused);
        }
        if info.peer.is_none() {
            self.inc(TlsCounter::NoCertificate);
        }
        // Nothing is verified when a session is resumed.
        if let Some(class) = info.doubt.filter(|_| !info.resumed) {
            self.inc(of_class(class));
        }
        let agreed = [
            info.version.map(version),
            info.cipher.and_then(cipher),
            info.group.and_then(group),
            info.signature.and_then(signature),
        ];
        for counter in agreed.into_iter().flatten() {
            self.inc(counter);
        }
    }

    /// Counts what a client got that asked for an OCSP response.
    pub fn ocsp(&self, ocsp: Option<Ocsp>) {
        let Some(ocsp) = ocsp else { return };
        self.inc(TlsCounter::OcspStapleRequests);
        self.inc(match ocsp {
            Ocsp::Stapled => TlsCounter::OcspStapleResponses,
            Ocsp::Omitted => TlsCounter::OcspStapleOmitted,
            Ocsp::Failed => TlsCounter::OcspStapleFailed,
        });
    }

    /// Counts a handshake that failed; without an error, because the peer went away.
    pub fn failure(&self, error: Option<&TlsError>) {
        self.inc(of_class(
            error.map_or(ErrorClass::Connection, TlsError::class),
        ));
    }
}

fn of_class(class: ErrorClass) -> TlsCounter {
    match class {
        ErrorClass::Connection => TlsCounter::ConnectionError,
        ErrorClass::NoCertificate => TlsCounter::FailVerifyNoCert,
        ErrorClass::VerifyChain => TlsCounter::FailVerifyError,
        ErrorClass::VerifySan => TlsCounter::FailVerifySan,
        ErrorClass::VerifyHash => TlsCounter::FailVerifyCertHash,
    }
}

fn version(version: Version) -> TlsCounter {
    match version {
        Version::V1_2 => TlsCounter::V1_2,
        Version::V1_3 => TlsCounter::V1_3,
    }
}

/// By the name that `Info` has it under.
fn cipher(name: &str) -> Option<TlsCounter> {
    Some(match name {
        "TLS_AES_128_GCM_SHA256" => TlsCounter::Aes128GcmSha256,
        "TLS_AES_256_GCM_SHA384" => TlsCounter::Aes256GcmSha384,
        "TLS_CHACHA20_POLY1305_SHA256" => TlsCounter::Chacha20Poly1305Sha256,
        "ECDHE-ECDSA-AES128-GCM-SHA256" => TlsCounter::EcdheEcdsaAes128Gcm,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => TlsCounter::EcdheEcdsaAes256Gcm,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => TlsCounter::EcdheEcdsaChacha20,
        "ECDHE-RSA-AES128-GCM-SHA256" => TlsCounter::EcdheRsaAes128Gcm,
        "ECDHE-RSA-AES256-GCM-SHA384" => TlsCounter::EcdheRsaAes256Gcm,
        "ECDHE-RSA-CHACHA20-POLY1305" => TlsCounter::EcdheRsaChacha20,
        _ => return None,
    })
}

fn group(name: &str) -> Option<TlsCounter> {
    Some(match name {
        "P-256" => TlsCounter::P256,
        "P-384" => TlsCounter::P384,
        "P-521" => TlsCounter::P521,
        "X25519" => TlsCounter::X25519,
        "X25519MLKEM768" => TlsCounter::X25519MlKem768,
        _ => return None,
    })
}

fn signature(name: &str) -> Option<TlsCounter> {
    Some(match name {
        "ecdsa_secp256r1_sha256" => TlsCounter::EcdsaP256,
        "ecdsa_secp384r1_sha384" => TlsCounter::EcdsaP384,
        "ecdsa_secp521r1_sha512" => TlsCounter::EcdsaP521,
        "ed25519" => TlsCounter::Ed25519,
        "rsa_pkcs1_sha256" => TlsCounter::RsaPkcs1Sha256,
        "rsa_pkcs1_sha384" => TlsCounter::RsaPkcs1Sha384,
        "rsa_pkcs1_sha512" => TlsCounter::RsaPkcs1Sha512,
        "rsa_pss_rsae_sha256" => TlsCounter::RsaPssSha256,
        "rsa_pss_rsae_sha384" => TlsCounter::RsaPssSha384,
        "rsa_pss_rsae_sha512" => TlsCounter::RsaPssSha512,
        _ => return None,
    })
}
