//! JSON Web Tokens (RFC 7519) and the keys that verify them (RFC 7517): bytes in, claims or a
//! status out, no I/O. What a status says is Envoy's.

mod keys;
mod status;
mod token;

pub use keys::KeySet;
pub use status::Status;
pub use token::{Algorithm, Token};

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// base64url, whatever its last bits are.
const fn base64url(padding: DecodePaddingMode) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(
        &alphabet::URL_SAFE,
        config.with_decode_padding_mode(padding),
    )
}
const PADDED: GeneralPurpose = base64url(DecodePaddingMode::RequireCanonical);
const PLAIN: GeneralPurpose = base64url(DecodePaddingMode::RequireNone);

/// Standard base64, padded.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// base64url as Envoy reads it, which skips white space: without padding, or with as much as there
/// must be.
fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let engine = if text.contains('=') { &PADDED } else { &PLAIN };
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return engine.decode(text).ok();
    }
    let solid: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    engine.decode(solid).ok()
}

#[cfg(test)]
mod tests;
