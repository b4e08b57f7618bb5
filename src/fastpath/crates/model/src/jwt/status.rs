//! What can be wrong with a token or a key set. Texts go to clients, numbers to dynamic metadata: both
//! are Envoy's.

macro_rules! statuses {
    ($($variant:ident = $code:literal, $text:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Status {
            $($variant = $code,)*
        }

        impl Status {
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            #[must_use]
            pub fn code(self) -> u32 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

statuses! {
    JwtMissed = 1, "Jwt is missing";
    JwtNotYetValid = 2, "Jwt not yet valid";
    JwtExpired = 3, "Jwt is expired";
    JwtBadFormat = 4, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
    JwtHeaderBadBase64 = 5, "Jwt header is an invalid Base64url encoded";
    JwtHeaderBadJson = 6, "Jwt header is an invalid JSON";
    JwtHeaderBadAlg = 7, "Jwt header [alg] field is required and must be a string";
    JwtHeaderNotImplementedAlg = 8, "Jwt header [alg] is not supported";
    JwtHeaderBadKid = 9, "Jwt header [kid] field is not a string";
    JwtPayloadBadBase64 = 10, "Jwt payload is an invalid Base64url encoded";
    JwtPayloadBadJson = 11, "Jwt payload is an invalid JSON";
    JwtIssNotString = 12, "Jwt payload [iss] field is not a string";
    JwtSubNotString = 13, "Jwt payload [sub] field is not a string";
    JwtIatNotInteger = 14, "Jwt payload [iat] field is not an integer";
    JwtIatOutOfRange = 15, "Jwt payload [iat] field is not a positive 64 bit integer";
    JwtNbfNotInteger = 16, "Jwt payload [nbf] field is not an integer";
    JwtNbfOutOfRange = 17, "Jwt payload [nbf] field is not a positive 64 bit integer";
    JwtExpNotInteger = 18, "Jwt payload [exp] field is not an integer";
    JwtExpOutOfRange = 19, "Jwt payload [exp] field is not a positive 64 bit integer";
    JwtJtiNotString = 20, "Jwt payload [jti] field is not a string";
    JwtAudNotString = 21, "Jwt payload [aud] field is not a string or string list";
    JwtSignatureBadBase64 = 22, "Jwt signature is an invalid Base64url encoded";
    JwtEd25519SignatureWrongLength = 23, "Jwt ED25519 signature is wrong length";
    JwtUnknownIssuer = 24, "Jwt issuer is not configured";
    JwtAudienceNotAllowed = 25, "Audiences in Jwt are not allowed";
    JwtVerificationFail = 26, "Jwt verification fails";
    JwksParseError = 28, "Jwks is an invalid JSON";
    JwksNoKeys = 29, "Jwks does not have [keys] field";
    JwksBadKeys = 30, "[keys] in Jwks is not an array";
    JwksNoValidKeys = 31, "Jwks doesn't have any valid public key";
    JwksKidAlgMismatch = 32, "Jwks doesn't have key to match kid or alg from Jwt";
    JwksRsaParseError = 33, "Jwks RSA [n] or [e] field is missing or has a parse error";
    JwksEcXorYBadBase64 = 35, "Jwks EC [x] or [y] field is an invalid Base64.";
    JwksEcParseError = 36, "Jwks EC [x] and [y] fields have a parse error.";
    JwksOctBadBase64 = 37, "Jwks Oct key is an invalid Base64";
    JwksOkpXBadBase64 = 38, "Jwks OKP [x] field is an invalid Base64.";
    JwksOkpXWrongLength = 39, "Jwks OKP [x] field is wrong length.";
    JwksFetchFail = 40, "Jwks remote fetch is failed";
    JwksMissingKty = 41, "[kty] is missing in [keys]";
    JwksBadKty = 42, "[kty] is bad in [keys]";
    JwksNotImplementedKty = 43, "[kty] is not supported in [keys]";
    JwksRsaKeyBadAlg = 44, "[alg] is not started with [RS] or [PS] for an RSA key";
    JwksRsaKeyMissingN = 45, "[n] field is missing for a RSA key";
    JwksRsaKeyBadN = 46, "[n] field is not string for a RSA key";
    JwksRsaKeyMissingE = 47, "[e] field is missing for a RSA key";
    JwksRsaKeyBadE = 48, "[e] field is not string for a RSA key";
    JwksEcKeyBadAlg = 49, "[alg] is not started with [ES] for an EC key";
    JwksEcKeyBadCrv = 50, "[crv] field is not string for an EC key";
    JwksEcKeyAlgOrCrvUnsupported = 51, "[crv] or [alg] field is not supported for an EC key";
    JwksEcKeyAlgNotCompatibleWithCrv = 52, "[crv] field specified is not compatible with [alg] for an EC key";
    JwksEcKeyMissingX = 53, "[x] field is missing for an EC key";
    JwksEcKeyBadX = 54, "[x] field is not string for an EC key";
    JwksEcKeyMissingY = 55, "[y] field is missing for an EC key";
    JwksEcKeyBadY = 56, "[y] field is not string for an EC key";
    JwksHmacKeyBadAlg = 57, "[alg] does not start with [HS] for an HMAC key";
    JwksHmacKeyMissingK = 58, "[k] field is missing for an HMAC key";
    JwksHmacKeyBadK = 59, "[k] field is not string for an HMAC key";
    JwksOkpKeyBadAlg = 60, "[alg] is not [EdDSA] for an OKP key";
    JwksOkpKeyMissingCrv = 61, "[crv] field is missing for an OKP key";
    JwksOkpKeyBadCrv = 62, "[crv] field is not string for an OKP key";
    JwksOkpKeyCrvUnsupported = 63, "[crv] field is not supported for an OKP key";
    JwksOkpKeyMissingX = 64, "[x] field is missing for an OKP key";
    JwksOkpKeyBadX = 65, "[x] field is not string for an OKP key";
    JwksX509ParseError = 67, "X509 parse pubkey fails";
    JwksX509GetPubkeyError = 68, "X509 parse pubkey internal fails: get pubkey";
}
