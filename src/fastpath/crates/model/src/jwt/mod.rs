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

/// base64url with padding or without it, whatever its last bits are: as Envoy reads it. (Padding
/// that is there must be right.)
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    BASE64URL.decode(text).ok()
}
