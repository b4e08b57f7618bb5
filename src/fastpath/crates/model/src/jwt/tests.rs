//! Tokens and sets of keys, taken apart and put together.

use super::*;

const HS256: &str = r#"{"alg": "HS256"}"#;
const SECRET: &[u8] = b"secret";

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Signed with `SECRET`, whatever the header says.
fn token(header: &str, payload: &str) -> String {
    let signed = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(payload.as_bytes())
    );
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
    let signature = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

fn keys(keys: &str) -> Result<KeySet, Status> {
    KeySet::parse(format!(r#"{{"keys": [{keys}]}}"#).as_bytes())
}

fn secret(more: &str) -> String {
    format!(r#"{{"kty": "oct", "k": "{}"{more}}}"#, encode(SECRET))
}

fn verify(set: &str, token: &str) -> Result<(), Status> {
    keys(set).unwrap().verify(&Token::parse(token).unwrap())
}

#[test]
fn a_token_says_what_it_says() {
    let payload = r#"{"iss": "i", "sub": "s", "aud": ["a", "b"], "nbf": 100, "exp": 200.5}"#;
    let token = Token::parse(&token(HS256, payload)).unwrap();
    assert_eq!((&*token.issuer, &*token.subject), ("i", "s"));
    assert_eq!(token.audiences, ["a".into(), "b".into()]);
    assert_eq!(token.expires(), Some(200));
    assert_eq!(token.encoded_payload(), encode(payload.as_bytes()));
    for (now, want) in [
        (89, Err(Status::JwtNotYetValid)),
        (90, Ok(())),
        (210, Ok(())),
        (211, Err(Status::JwtExpired)),
    ] {
        assert_eq!(token.check_time(now, 10), want, "{now}");
    }
}

#[test]
fn parts_with_nothing_in_them_and_white_space_do_not_count() {
    let good = token(HS256, "{}");
    for text in [
        format!(".{good}"),
        format!("{good}."),
        good.replacen('.', "..", 1),
    ] {
        let token = Token::parse(&text).unwrap();
        assert_eq!(keys(&secret("")).unwrap().verify(&token), Ok(()), "{text}");
    }
    assert!(Token::parse(&format!("{good}\n")).is_ok());
    // 43 characters.
    assert!(Token::parse(&format!("{good}=")).is_ok());
    let bad = Token::parse(&format!("{good}==")).unwrap_err();
    assert_eq!(bad, Status::JwtSignatureBadBase64);
    for bad in ["", "..", "a.b", &format!("{good}.x"), &"a".repeat(1 << 17)] {
        assert_eq!(Token::parse(bad).unwrap_err(), Status::JwtBadFormat);
    }
}

#[test]
fn a_token_without_a_known_algorithm_is_none() {
    for (header, status) in [
        (r#"{"alg": "none"}"#, Status::JwtHeaderNotImplementedAlg),
        (r#"{"alg": "hs256"}"#, Status::JwtHeaderNotImplementedAlg),
        (r#"{"alg": 1}"#, Status::JwtHeaderBadAlg),
        ("{}", Status::JwtHeaderBadAlg),
        ("[]", Status::JwtHeaderBadJson),
        (r#"{"alg": "HS256", "kid": 1}"#, Status::JwtHeaderBadKid),
    ] {
        assert_eq!(
            Token::parse(&token(header, "{}")).unwrap_err(),
            status,
            "{header}"
        );
    }
    for (_, known) in Algorithm::all() {
        assert_eq!(Algorithm::named(known.name()), Some(known));
    }
}

#[test]
fn a_key_is_for_its_id_and_its_algorithm() {
    let plain = token(HS256, "{}");
    let named = token(r#"{"alg": "HS256", "kid": "a"}"#, "{}");
    let other = token(r#"{"alg": "HS384"}"#, "{}");
    for (more, token, want) in [
        ("", &plain, Ok(())),
        ("", &named, Ok(())),
        (r#", "kid": "a", "alg": "HS256""#, &named, Ok(())),
        (r#", "kid": "b""#, &plain, Ok(())),
        (r#", "kid": "b""#, &named, Err(Status::JwksKidAlgMismatch)),
        (
            r#", "alg": "HS384""#,
            &plain,
            Err(Status::JwksKidAlgMismatch),
        ),
        ("", &other, Err(Status::JwtVerificationFail)),
    ] {
        assert_eq!(verify(&secret(more), token), want, "{more}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    // CVE-2015-9235: who knows the public key signs with it.
    let modulus = encode(&[0xff; 256]);
    let rsa = format!(r#"{{"kty": "RSA", "n": "{modulus}", "e": "AQAB"}}"#);
    let forged = token(HS256, "{}");
    assert_eq!(verify(&rsa, &forged), Err(Status::JwtVerificationFail));
}

#[test]
fn one_good_key_makes_a_set() {
    assert!(keys(&format!(r#"{{"kty": "RSA"}}, 1, {}"#, secret(""))).is_ok());
    for (set, status) in [
        ("x", Status::JwksParseError),
        ("{}", Status::JwksNoKeys),
        (r#"{"a": "b"}"#, Status::JwksNoKeys),
        (r#"{"keys": 1}"#, Status::JwksBadKeys),
        (r#"{"keys": []}"#, Status::JwksNoValidKeys),
        (r#"{"keys": [{}]}"#, Status::JwksMissingKty),
        (r#"{"keys": [{"kty": 1}]}"#, Status::JwksBadKty),
        (r#"{"keys": [{"kty": "x"}]}"#, Status::JwksNotImplementedKty),
        (r#"{"keys": [{"kty": "RSA"}]}"#, Status::JwksRsaKeyMissingN),
        (
            r#"{"keys": [{"kty": "RSA", "n": "AA", "e": "AQAB"}]}"#,
            Status::JwksRsaParseError,
        ),
        (r#"{"keys": [{"kty": "oct"}]}"#, Status::JwksHmacKeyMissingK),
        (
            r#"{"keys": [{"kty": "oct", "k": ""}]}"#,
            Status::JwksOctBadBase64,
        ),
        (
            r#"{"keys": [{"kty": "EC", "x": "AA", "y": "AA"}]}"#,
            Status::JwksEcParseError,
        ),
        (
            r#"{"keys": [{"kty": "EC", "alg": "ES256", "crv": "P-384", "x": "", "y": ""}]}"#,
            Status::JwksEcKeyAlgNotCompatibleWithCrv,
        ),
        (
            r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}"#,
            Status::JwksOkpXWrongLength,
        ),
    ] {
        assert_eq!(KeySet::parse(set.as_bytes()).unwrap_err(), status, "{set}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", keys(&secret("")).unwrap());
    assert!(shown.contains("oct"), "{shown}");
    assert!(
        !shown.contains("115") && !shown.contains("secret"),
        "{shown}"
    );
}
