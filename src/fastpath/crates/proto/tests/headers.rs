//! The header map: what it returns, where changes land, and what it refuses.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proto::{HeaderMap, Known};

fn text(map: &HeaderMap) -> String {
    let mut out = Vec::new();
    map.write_to(&mut out);
    String::from_utf8(out).unwrap()
}

fn sample() -> HeaderMap {
    let mut map = HeaderMap::new();
    assert!(map.push(b"Host", b"a.example"));
    assert!(map.push(b"X-One", b"1"));
    assert!(map.push(b"Cookie", b"a=1"));
    assert!(map.push(b"x-one", b" 2 "));
    assert!(map.push(b"cookie", b"b=2"));
    map
}

#[test]
fn reads() {
    let map = sample();
    assert_eq!(map.len(), 5);
    assert_eq!(map.get(Known::Host), Some(&b"a.example"[..]));
    assert_eq!(map.get(Known::Via), None);
    assert_eq!(map.get_name(b"x-one"), Some(&b"1"[..]));
    assert_eq!(map.get_name(b"cookie"), Some(&b"a=1"[..]));
    assert_eq!(
        map.values_name(b"x-one").collect::<Vec<_>>(),
        [&b"1"[..], b"2"]
    );
    assert_eq!(
        map.values(Known::Cookie).collect::<Vec<_>>(),
        [&b"a=1"[..], b"b=2"]
    );
    assert_eq!(map.count(Known::Cookie), 2);
    assert!(map.contains(Known::Host) && !map.contains(Known::Te));
    assert_eq!(map.byte_size(), 4 + 9 + 2 * (5 + 1) + 2 * (6 + 3));
    assert_eq!(
        text(&map),
        "host: a.example\r\nx-one: 1\r\ncookie: a=1\r\nx-one: 2\r\ncookie: b=2\r\n"
    );
    assert_eq!(map.iter_known().next().unwrap().0, Known::Host);
}

#[test]
fn set_is_in_place_of_the_first() {
    let mut map = sample();
    assert!(map.set(Known::Cookie, b"long long long"));
    assert!(map.set_name(b"X-One", b""));
    assert_eq!(
        text(&map),
        "host: a.example\r\nx-one: \r\ncookie: long long long\r\n"
    );
    assert!(map.set(Known::Host, b"b"));
    assert!(map.set(Known::Via, b"v"));
    assert!(map.set_name(b"new", b"n"));
    assert_eq!(
        text(&map),
        "host: b\r\nx-one: \r\ncookie: long long long\r\nvia: v\r\nnew: n\r\n"
    );
    assert!(map.set(Known::Host, b"b.longer.example"));
    assert!(map.set_name(b"x-one", b"value"));
    assert_eq!(
        text(&map),
        "host: b.longer.example\r\nx-one: value\r\ncookie: long long long\r\nvia: v\r\nnew: n\r\n"
    );
}

#[test]
fn append_value_joins_all() {
    let mut map = HeaderMap::new();
    assert!(map.append_value(Known::XForwardedFor, b", ", b"a"));
    assert!(map.push(b"x", b"y"));
    assert!(map.push(b"X-Forwarded-For", b"b"));
    assert!(map.push(b"X-Forwarded-For", b""));
    assert!(map.append_value(Known::XForwardedFor, b", ", b"c"));
    assert_eq!(text(&map), "x-forwarded-for: a, b, c\r\nx: y\r\n");
    assert_eq!(map.count(Known::XForwardedFor), 1);
}

#[test]
fn removes() {
    let mut map = sample();
    assert!(map.remove(Known::Cookie) && !map.remove(Known::Cookie));
    assert!(map.remove_name(b"x-one") && !map.remove_name(b"x-one"));
    assert!(map.remove_name(b"host"));
    assert!(map.is_empty() && !map.contains(Known::Host));
    let mut map = sample();
    map.retain(|known, name, value| known == Known::Host || (name == b"x-one" && value == b"2"));
    assert_eq!(text(&map), "host: a.example\r\nx-one: 2\r\n");
    assert!(!map.contains(Known::Cookie) && map.contains(Known::Host));
}

#[test]
fn nothing_that_splits_a_message_gets_in() {
    let mut map = sample();
    let before = map.clone();
    for bad in ["a\r\nb: c", "a\nb", "a\rb", "a\0", "\x7f", "\x0b"] {
        let bad = bad.as_bytes();
        assert!(!map.push(b"x", bad) && !map.set(Known::Host, bad) && !map.set(Known::Via, bad));
        assert!(!map.push_known(Known::Via, bad) && !map.set_name(b"x-one", bad));
        assert!(
            !map.append_value(Known::Cookie, b"; ", bad)
                && !map.append_value(Known::Cookie, bad, b"x")
        );
        assert!(!map.push(bad, b"v") && !map.set_name(bad, b"v"));
    }
    assert!(!map.push(b"", b"v") && !map.push(b":path", b"v") && !map.push(b"a b", b"v"));
    assert!(!map.push(b"Transfer_Encoding", b"v") && !map.set_name(b"content_length", b"1"));
    assert!(!map.push(&[b'a'; 70_000], b"v"));
    assert!(!map.push_known(Known::Other, b"v") && !map.set(Known::Other, b"v"));
    assert_eq!(map, before);
}

#[test]
fn memory_is_kept_and_given_back() {
    let mut map = HeaderMap::new();
    assert_eq!(map.capacity(), 0);
    for _ in 0..100 {
        map.push(b"x-big", &[b'v'; 1000]);
    }
    map.clear();
    assert!(map.capacity() > 100_000 && map.is_empty());
    map.shrink(4096);
    assert!(map.capacity() < 8192);
    assert!(map.push_known(Known::Via, b"1") && map.push_known_first(Known::Host, b"h"));
    assert_eq!(text(&map), "host: h\r\nvia: 1\r\n");
}
