//! Invariant: the finder's verdict is the same wherever the bytes are cut; a message lies within
//! them; what parses has a name without NUL, well-formed protocols and fingerprints of their form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::client_hello::{ClientHello, DEFAULT_BYTES, Finder, Found, MAX_BYTES};

fn check(body: &[u8]) {
    let Ok(hello) = ClientHello::parse(body) else {
        return;
    };
    if let Some(name) = hello.server_name() {
        assert!((1..=255).contains(&name.len()) && !name.contains(&0));
    }
    assert!(hello.alpn().all(|name| !name.is_empty()));
    assert!(hello.versions().count() <= body.len());
    assert_eq!(hello.ja3().len(), 32);
    assert_eq!(hello.ja4().len(), 36);
}

fuzz_target!(|input: &[u8]| {
    let [cut, limit, bytes @ ..] = input else { return };
    let limit = if limit % 2 == 0 { DEFAULT_BYTES } else { MAX_BYTES };
    check(bytes);
    let whole = Finder::default().look(bytes, limit);
    if let Found::Message(message) = &whole {
        assert!(message.consumed <= bytes.len() && message.body.len() < message.consumed);
        check(&message.body);
    }
    let mut finder = Finder::default();
    for cut in [usize::from(*cut).min(bytes.len()), bytes.len()] {
        let found = finder.look(&bytes[..cut], limit);
        if found != Found::NeedMore {
            assert_eq!(found, whole);
            return;
        }
    }
    assert_eq!(whole, Found::NeedMore);
});
