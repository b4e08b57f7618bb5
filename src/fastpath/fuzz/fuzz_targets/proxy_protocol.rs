//! Invariant: a verdict on a part is the verdict on the whole; a header lies within the bytes; and
//! one with addresses, written again, says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::proxy_protocol::{Addresses, Parsed, Skipped, Version, parse, write_v1, write_v2};

fuzz_target!(|input: &[u8]| {
    let [cut, bytes @ ..] = input else { return };
    let whole = parse(bytes);
    let part = parse(&bytes[..usize::from(*cut).min(bytes.len())]);
    assert!(part == Parsed::NeedMore || part == whole);
    let Parsed::Header(header) = whole else {
        return;
    };
    assert!(header.consumed <= bytes.len());
    let Addresses::Ip {
        source,
        destination,
    } = header.addresses
    else {
        return;
    };
    let mut out = Vec::new();
    match header.version {
        Version::V1 => write_v1(source, destination, &mut out),
        Version::V2 => {
            // A sum would be another one: a datagram's header is written as a stream's.
            let tlvs = header.tlvs.iter().filter(|tlv| tlv.kind != 3);
            assert_eq!(write_v2(source, destination, tlvs, &mut out), Skipped(0));
        }
    }
    let Parsed::Header(again) = parse(&out) else {
        panic!("{header:?} is not read again");
    };
    assert_eq!(again.addresses, header.addresses);
    let without_sum = header.tlvs.iter().filter(|tlv| tlv.kind != 3);
    assert!(again.tlvs.iter().eq(without_sum));
});
