//! Hashes of parts of a message's bytes: compiled messages have hash maps, which come out of an
//! encoder in any order.

use std::hash::{DefaultHasher, Hasher};

use super::hash;

/// A field at the top of a message: its number, and its bytes without the tag.
struct Field<'b> {
    number: u64,
    /// Of a length-delimited field without its length.
    value: &'b [u8],
    /// Tag and all.
    whole: &'b [u8],
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
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Field<'_>> {
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
