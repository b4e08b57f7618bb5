//! A message's bytes, field by field: hashes of parts of it (compiled messages have hash maps, which
//! come out of an encoder in any order), and which parts are as they were.

use std::hash::{DefaultHasher, Hasher};

use super::hash;

/// A field at the top of a message: its number, and its bytes without the tag.
pub(super) struct Field<'b> {
    pub number: u64,
    /// Of a length-delimited field without its length.
    pub value: &'b [u8],
    /// Tag and all.
    pub whole: &'b [u8],
}

/// The hash of all fields but those of `numbers`.
pub(super) fn hash_without(bytes: &[u8], numbers: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for field in fields(bytes).filter(|field| !numbers.contains(&field.number)) {
        hasher.write(field.whole);
    }
    hasher.finish()
}

/// The hash of every occurrence of a field, in their order.
pub(super) fn hashes_of(bytes: &[u8], number: u64) -> Vec<u64> {
    let occurrences = fields(bytes).filter(|field| field.number == number);
    occurrences.map(|field| hash(field.value)).collect()
}

/// The fields until the end or the first that is no protobuf, which decoding has refused before.
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let start = rest;
        let tag = varint(&mut rest)?;
        let value = match tag & 7 {
            0 => {
                let start = rest;
                varint(&mut rest)?;
                start.get(..start.len().checked_sub(rest.len())?)?
            }
            1 => take(&mut rest, 8)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                take(&mut rest, length)?
            }
            5 => take(&mut rest, 4)?,
            _ => return None,
        };
        Some(Field {
            number: tag >> 3,
            value,
            whole: start.get(..start.len().checked_sub(rest.len())?)?,
        })
    })
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = *take(rest, 1)? else { return None };
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1: varint 300; 3: "ab"; 4: fixed64; 3: "c"; 5: fixed32; 25: "d".
    const BYTES: &[u8] =
        b"\x08\xac\x02\x1a\x02ab\x21\0\0\0\0\0\0\0\0\x1a\x01c\x2d\0\0\0\0\xca\x01\x01d";

    #[test]
    fn fields_are_found_by_number() {
        let numbers: Vec<u64> = fields(BYTES).map(|field| field.number).collect();
        assert_eq!(numbers, [1, 3, 4, 3, 5, 25]);
        assert_eq!(hashes_of(BYTES, 3), [hash(b"ab"), hash(b"c")]);
        assert_eq!(hashes_of(BYTES, 25), [hash(b"d")]);
        assert!(hashes_of(BYTES, 2).is_empty());
    }

    #[test]
    fn what_is_left_out_does_not_count() {
        let other = [BYTES, b"\x1a\x03xyz".as_slice()].concat();
        assert_eq!(hash_without(BYTES, &[3]), hash_without(&other, &[3]));
        assert_ne!(hash_without(BYTES, &[25]), hash_without(&other, &[25]));
    }

    #[test]
    fn what_ends_early_ends_the_walk() {
        for end in 0..BYTES.len() {
            let cut = BYTES.get(..end).unwrap();
            assert!(fields(cut).count() <= 6, "{end}");
        }
        let endless = [0xff_u8; 20];
        assert_eq!(fields(&endless).count(), 0);
    }
}
