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

/// base64url with padding or without it, whatever its last bits are: as Envoy reads it, which skips
/// white space, too. (Padding that is there must be right.)
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Standard base64, padded.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return BASE64URL.decode(text).ok();
    }
    let solid: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    BASE64URL.decode(solid).ok()
}

#[cfg(test)]
mod tests;
