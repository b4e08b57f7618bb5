//! Invariant: a set of keys and a token, whatever they are, are read or refused, never more; what was
//! read of a token can be written as JSON and read again.
//!
//! Input: a token, a line end, a set of keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::jwt::{KeySet, Token};
use model::matching::metadata::Structured;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let keys = KeySet::parse(input.get(end + 1..).unwrap_or_default());
    let Ok(text) = std::str::from_utf8(&input[..end]) else {
        return;
    };
    let Ok(token) = Token::parse(text) else { return };
    assert!(matches!(*token.payload, Structured::Struct(_)));
    let mut json = String::new();
    token.payload.write_json(&mut json, |out, text| {
        out.push_str(&serde_json::Value::from(text).to_string());
    });
    assert_eq!(Structured::from_json(json.as_bytes()).as_ref(), Some(&*token.payload));
    let _ = token.check_time(u64::MAX, u64::MAX);
    if let Ok(keys) = keys {
        let _ = keys.verify(&token);
    }
});
