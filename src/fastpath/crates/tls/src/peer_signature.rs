//! Which algorithm a peer signed the handshake with. rustls does not say, but it asks our verifier
//! to check the signature, within the call that takes the peer's bytes and on the same thread.

use std::cell::Cell;

use rustls::SignatureScheme;

thread_local! {
    static LAST: Cell<Option<SignatureScheme>> = const { Cell::new(None) };
}

/// A signature was found good.
pub(crate) fn note(scheme: SignatureScheme) {
    LAST.set(Some(scheme));
}

/// The scheme of the last good signature since the last call.
pub(crate) fn take() -> Option<SignatureScheme> {
    LAST.take()
}

/// BoringSSL's name (`SSL_get_signature_algorithm_name`, with the curve): `ssl.sigalgs.*`.
pub(crate) fn name(scheme: SignatureScheme) -> Option<&'static str> {
    Some(match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => "rsa_pkcs1_sha256",
        SignatureScheme::RSA_PKCS1_SHA384 => "rsa_pkcs1_sha384",
        SignatureScheme::RSA_PKCS1_SHA512 => "rsa_pkcs1_sha512",
        SignatureScheme::RSA_PSS_SHA256 => "rsa_pss_rsae_sha256",
        SignatureScheme::RSA_PSS_SHA384 => "rsa_pss_rsae_sha384",
        SignatureScheme::RSA_PSS_SHA512 => "rsa_pss_rsae_sha512",
        SignatureScheme::ECDSA_NISTP256_SHA256 => "ecdsa_secp256r1_sha256",
        SignatureScheme::ECDSA_NISTP384_SHA384 => "ecdsa_secp384r1_sha384",
        SignatureScheme::ECDSA_NISTP521_SHA512 => "ecdsa_secp521r1_sha512",
        SignatureScheme::ED25519 => "ed25519",
        _ => return None,
    })
}
