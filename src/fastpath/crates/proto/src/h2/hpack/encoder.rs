//! Fields to header blocks.

use super::dynamic_table::DynamicTable;
use super::field::{NameId, Pseudo};
use super::index::{Found, Index, Key, Link, name_hash};
use super::policy::{self, Policy};
use super::{DEFAULT_TABLE_SIZE, integer, static_table, string};
use crate::chars::format_decimal;
use crate::known::Known;

/// Fields of which the second sight is recognised; the next one takes the place of an old one.
const SIGHTS: usize = 64;

/// What a field in the table counts beyond its bytes (RFC 7541 §4.1).
const OVERHEAD: usize = 32;

// Representations (§6): the bits above the prefix of the first byte, and that prefix.
const INDEXED: (u8, u32) = (0x80, 7);
const INCREMENTAL: (u8, u32) = (0x40, 6);
const SIZE_UPDATE: (u8, u32) = (0x20, 5);
const NEVER_INDEXED: (u8, u32) = (0x10, 4);
const WITHOUT_INDEXING: (u8, u32) = (0x00, 4);

/// The encoder of one connection. For each block: `begin`, then its fields in order.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable<Link>,
    index: Box<Index>,
    /// Hashes of fields that were seen once.
    sights: [u32; SIGHTS],
    /// The most that we want, whatever the peer allows.
    cap: u32,
    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    allowed: u32,
    pending: Option<Resize>,
}

/// A change that the peer has not been told yet.
#[derive(Clone, Copy, Debug)]
struct Resize {
    /// The smallest size since the last block.
    smallest: u32,
    last: u32,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

impl Encoder {
    /// A table of 4096 bytes, the most it will ever have.
    #[must_use]
    pub fn new() -> Encoder {
        Encoder::with_cap(DEFAULT_TABLE_SIZE)
    }

    /// A table of at most `cap` bytes: it has `DEFAULT_TABLE_SIZE` or less, until the peer
    /// allows more.
    #[must_use]
    pub fn with_cap(cap: u32) -> Encoder {
        let size = cap.min(DEFAULT_TABLE_SIZE);
        Encoder {
            table: DynamicTable::new(size),
            index: Box::new(Index::new()),
            sights: [0; SIGHTS],
            cap,
            allowed: DEFAULT_TABLE_SIZE,
            // The peer starts with 4096 and need not keep more than we use.
            pending: (size < DEFAULT_TABLE_SIZE).then_some(Resize {
                smallest: size,
                last: size,
            }),
        }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE. The next block says what we make of it (§4.2).
    pub fn set_max_table_size(&mut self, n: u32) {
        let size = n.min(self.cap);
        // The peer may insist on hearing of it when it allows less, even if we use less already.
        let reduced = n < self.allowed;
        self.allowed = n;
        if !reduced && size as usize == self.table.max() && self.pending.is_none() {
            return;
        }
        let smallest = self.pending.map_or(size, |p| p.smallest.min(size));
        self.pending = Some(Resize {
            smallest,
            last: size,
        });
        self.table.set_max(size);
    }

    /// Starts a block: writes the size updates that are due.
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(Resize { smallest, last }) = self.pending.take() {
            if smallest < last {
                put_integer(out, SIZE_UPDATE, smallest as usize);
            }
            put_integer(out, SIZE_UPDATE, last as usize);
        }
    }

    /// Writes a pseudo-header. They come before all others (RFC 9113 §8.3).
    #[inline]
    pub fn pseudo(&mut self, out: &mut Vec<u8>, name: Pseudo, value: &[u8]) {
        self.pseudo_marked(out, name, value, false);
    }

    /// `pseudo`; `is_secret`: it came as one that is never to be indexed.
    pub fn pseudo_marked(
        &mut self,
        out: &mut Vec<u8>,
        name: Pseudo,
        value: &[u8],
        is_secret: bool,
    ) {
        let index = static_table::index_of_pseudo_field(name, value);
        if index != 0 && !is_secret {
            return put_integer(out, INDEXED, index);
        }
        let key = Key {
            id: NameId::Pseudo(name),
            name: name.name().as_bytes(),
            value,
            name_hash: pseudo_hash(name),
        };
        let policy = if is_secret {
            Policy::Never
        } else {
            policy::of_pseudo(name, value)
        };
        self.put(out, &key, static_table::index_of_pseudo(name), policy);
    }

    /// Writes `:status`: three digits.
    pub fn status(&mut self, out: &mut Vec<u8>, status: u16) {
        let mut digits = [0u8; 20];
        self.pseudo(
            out,
            Pseudo::Status,
            format_decimal(u64::from(status), &mut digits),
        );
    }

    /// Writes a field. `name`, in lower case, is that of `Known::Other`; others have their own.
    #[inline]
    pub fn field(&mut self, out: &mut Vec<u8>, known: Known, name: &[u8], value: &[u8]) {
        self.field_marked(out, known, name, value, false);
    }

    /// `field`; `is_secret`: it came as one that is never to be indexed, and goes on as one
    /// (§6.2.3), whatever its name.
    pub fn field_marked(
        &mut self,
        out: &mut Vec<u8>,
        known: Known,
        name: &[u8],
        value: &[u8],
        is_secret: bool,
    ) {
        let (key, static_name) = if known == Known::Other {
            let name_hash = name_hash(name);
            let key = Key {
                id: NameId::Other,
                name,
                value,
                name_hash,
            };
            (key, static_table::index_of_other(name_hash, name))
        } else {
            let key = Key {
                id: NameId::Known(known),
                name: known.name().as_bytes(),
                value,
                name_hash: known as u32,
            };
            (key, static_table::index_of_known(known))
        };
        let policy = if is_secret {
            Policy::Never
        } else {
            policy::of(known, name, value)
        };
        if policy != Policy::Never
            && static_table::get(static_name).is_some_and(|e| e.value == value)
        {
            put_integer(out, INDEXED, static_name);
        } else {
            self.put(out, &key, static_name, policy);
        }
    }

    /// Bytes in the dynamic table as RFC 7541 §4.1 counts them.
    #[must_use]
    pub fn table_size(&self) -> usize {
        self.table.size()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.table.capacity().saturating_add(size_of::<Index>())
    }

    /// The dynamic table from the newest entry on.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + '_ {
        (0..self.table.len())
            .filter_map(|age| self.table.get(age))
            .map(|entry| (self.table.name(entry), self.table.value(entry)))
    }

    /// A field that the static table does not have; `static_name` is 0 or the index of its name.
    #[inline]
    pub(super) fn put(
        &mut self,
        out: &mut Vec<u8>,
        key: &Key<'_>,
        static_name: usize,
        policy: Policy,
    ) {
        match policy {
            Policy::Never => put_literal(out, NEVER_INDEXED, static_name, key),
            Policy::Changing if static_name != 0 => {
                put_literal(out, WITHOUT_INDEXING, static_name, key);
            }
            Policy::Changing => match self.index.find_name(&self.table, key) {
                Some(age) => put_literal(out, WITHOUT_INDEXING, dynamic(age), key),
                None => self.put_missing(out, key, 0, self.fits(key), 0),
            },
            Policy::Index | Policy::Seen => match self.index.find(&self.table, key) {
                Found::Field(age) => put_integer(out, INDEXED, dynamic(age)),
                Found::Missing { name, hash } => {
                    let name = match static_name {
                        0 => name.map_or(0, dynamic),
                        index => index,
                    };
                    let take =
                        self.fits(key) && (policy == Policy::Index || self.seen_before(hash));
                    self.put_missing(out, key, name, take, hash);
                }
            },
        }
    }

    fn put_missing(
        &mut self,
        out: &mut Vec<u8>,
        key: &Key<'_>,
        name: usize,
        take: bool,
        hash: u32,
    ) {
        if take {
            put_literal(out, INCREMENTAL, name, key);
            self.index.insert(&mut self.table, key, hash);
        } else {
            put_literal(out, WITHOUT_INDEXING, name, key);
        }
    }

    /// One field never takes more than half of the table from the others.
    fn fits(&self, key: &Key<'_>) -> bool {
        let size = key.name.len().saturating_add(key.value.len());
        size.saturating_add(OVERHEAD) <= self.table.max() / 2
    }

    /// True at the second sight of a field, if not too many others came in between.
    fn seen_before(&mut self, hash: u32) -> bool {
        self.sights
            .get_mut(hash as usize % SIGHTS)
            .is_some_and(|place| std::mem::replace(place, hash) == hash)
    }
}

/// The names of pseudo-headers count on from those of `Known`.
#[inline(always)]
fn pseudo_hash(name: Pseudo) -> u32 {
    128u32.wrapping_add(name as u32)
}

/// The index of a dynamic entry.
#[inline(always)]
fn dynamic(age: usize) -> usize {
    age.saturating_add(static_table::LEN + 1)
}

#[inline(always)]
fn put_integer(out: &mut Vec<u8>, (pattern, prefix): (u8, u32), n: usize) {
    integer::encode(out, prefix, pattern, n);
}

/// `name`: an index, or 0 for a literal.
fn put_literal(out: &mut Vec<u8>, representation: (u8, u32), name: usize, key: &Key<'_>) {
    put_integer(out, representation, name);
    if name == 0 {
        string::encode(out, key.name);
    }
    string::encode(out, key.value);
}
