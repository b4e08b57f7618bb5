//! Invariant: a stream of capsules gives the same datagrams and the same error wherever it is cut;
//! no more is consumed than was given; datagrams written again are read as the same; and the
//! authority of a path is one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::masque::{CapsuleError, CapsuleReader, udp_authority, write_datagram};

fn read(bytes: &[u8], cut: usize) -> (Vec<Vec<u8>>, Result<(), CapsuleError>) {
    let (mut reader, mut found) = (CapsuleReader::default(), Vec::new());
    for part in bytes.chunks(cut.max(1)) {
        let mut rest = part;
        loop {
            match reader.next(rest) {
                Err(error) => return (found, Err(error)),
                Ok((n, Some(payload))) => {
                    found.push(payload.to_vec());
                    rest = &rest[n..];
                }
                Ok((n, None)) => {
                    assert_eq!(n, rest.len());
                    break;
                }
            }
        }
    }
    (found, reader.finish())
}

fuzz_target!(|input: &[u8]| {
    let [cut, bytes @ ..] = input else { return };
    let whole = read(bytes, bytes.len());
    assert_eq!(read(bytes, usize::from(*cut)), whole);
    assert_eq!(read(bytes, 1), whole);
    let mut again = Vec::new();
    for payload in &whole.0 {
        write_datagram(&mut again, payload);
    }
    assert_eq!(read(&again, usize::from(*cut)), (whole.0, Ok(())));
    if let Some(authority) = udp_authority(bytes) {
        assert!(proto::is_authority(&authority));
    }
});
