//! Finds fields and names in the encoder's table: hash chains over the entries of a queue.

use super::dynamic_table::{DynamicTable, Entry};
use super::field::NameId;

/// Chains; a table of 4096 bytes has 128 entries at most.
const CHAINS: usize = 256;

/// A field as the index looks for it.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub id: NameId,
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// Of the name: its number, or `name_hash`.
    pub name_hash: u32,
}

/// What an entry of the encoder's table carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    id: NameId,
    /// Of name and value.
    hash: u32,
    /// The entry before it in the chain of its field, and in that of its name.
    older_field: u32,
    older_name: u32,
}

/// Chains from the newest entry to the oldest. Entries are numbered as they go in. The queue
/// evicts in the same order, so a chain ends at the first number that is gone, and nothing ever
/// has to be taken out.
#[derive(Debug)]
pub(super) struct Index {
    /// Number of the newest entry; counts on and on.
    newest: u32,
    fields: [u32; CHAINS],
    names: [u32; CHAINS],
}

/// Ages: 0 is the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Field(usize),
    /// Not the field, but perhaps its name; and the hash of the field.
    Missing {
        name: Option<usize>,
        hash: u32,
    },
}

impl Index {
    pub(super) fn new() -> Index {
        Index {
            newest: 0,
            fields: [0; CHAINS],
            names: [0; CHAINS],
        }
    }

    /// Adds the field to the table: `false` if it does not fit.
    pub(super) fn insert(
        &mut self,
        table: &mut DynamicTable<Link>,
        key: &Key<'_>,
        hash: u32,
    ) -> bool {
        let (Some(field), Some(name)) = (
            self.fields.get_mut(hash as usize % CHAINS),
            self.names.get_mut(key.name_hash as usize % CHAINS),
        ) else {
            return false; // a remainder cannot leave the array
        };
        let link = Link {
            id: key.id,
            hash,
            older_field: *field,
            older_name: *name,
        };
        if !table.insert(key.name, key.value, link) {
            return false;
        }
        self.newest = self.newest.wrapping_add(1);
        *field = self.newest;
        *name = self.newest;
        true
    }

    #[inline]
    pub(super) fn find(&self, table: &DynamicTable<Link>, key: &Key<'_>) -> Found {
        // Most fields have the value that they had the last time.
        let name = self.find_name(table, key);
        if let Some(age) = name
            && table.get(age).is_some_and(|e| table.value(e) == key.value)
        {
            return Found::Field(age);
        }
        let hash = hash(key.name_hash, key.value);
        let same = |entry: &Entry<Link>| {
            entry.data.hash == hash && is_name(table, entry, key) && table.value(entry) == key.value
        };
        let head = self.fields.get(hash as usize % CHAINS);
        match self.walk(table, head, |link| link.older_field, same) {
            Some(age) => Found::Field(age),
            None => Found::Missing { name, hash },
        }
    }

    /// The newest entry of that name.
    #[inline]
    pub(super) fn find_name(&self, table: &DynamicTable<Link>, key: &Key<'_>) -> Option<usize> {
        let head = self.names.get(key.name_hash as usize % CHAINS);
        let same = |entry: &Entry<Link>| is_name(table, entry, key);
        self.walk(table, head, |link| link.older_name, same)
    }

    /// Ages grow along a chain; a number that is gone, also one of 2³² entries ago, ends it.
    #[inline(always)]
    fn walk(
        &self,
        table: &DynamicTable<Link>,
        head: Option<&u32>,
        older: impl Fn(&Link) -> u32,
        same: impl Fn(&Entry<Link>) -> bool,
    ) -> Option<usize> {
        let mut age = self.newest.wrapping_sub(*head?);
        loop {
            let entry = table.get(age as usize)?;
            if same(entry) {
                return Some(age as usize);
            }
            let next = self.newest.wrapping_sub(older(&entry.data));
            if next <= age {
                return None;
            }
            age = next;
        }
    }
}

#[inline(always)]
fn is_name(table: &DynamicTable<Link>, entry: &Entry<Link>, key: &Key<'_>) -> bool {
    entry.data.id == key.id && (key.id != NameId::Other || table.name(entry) == key.name)
}

/// With it no two names of the static table share a slot there.
const SEED: u32 = 1;

/// The hash of a name without a number.
#[inline]
pub(super) const fn name_hash(name: &[u8]) -> u32 {
    hash(SEED, name)
}

/// Mixes the length and three windows of the text. What has them in common is told apart by
/// comparison, and a chain is no longer than the table.
#[inline]
pub(super) const fn hash(seed: u32, text: &[u8]) -> u32 {
    let (a, b) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let half = text.split_at(text.len() / 2).1;
            let middle = match half.first_chunk::<4>() {
                Some(middle) => u32::from_le_bytes(*middle) as u64,
                None => 0,
            };
            let first = u64::from_le_bytes(*first) ^ (middle << 16);
            (first, u64::from_le_bytes(*last))
        }
        _ => short(text),
    };
    let seed = ((text.len() as u64) << 32) | seed as u64;
    let mixed = ((a ^ 0x9e37_79b9_7f4a_7c15) as u128)
        .wrapping_mul((b ^ seed ^ 0xd1b5_4a32_d192_ed03) as u128);
    let folded = mixed as u64 ^ (mixed >> 64) as u64;
    (folded ^ (folded >> 32)) as u32
}

/// Texts of less than 8 bytes.
const fn short(text: &[u8]) -> (u64, u64) {
    match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(first), Some(last)) => (
            u32::from_le_bytes(*first) as u64,
            u32::from_le_bytes(*last) as u64,
        ),
        _ => match text {
            [a, b, c] => (*a as u64 | ((*b as u64) << 8), *c as u64),
            [a, b] => (*a as u64, *b as u64),
            [a] => (*a as u64, 0),
            _ => (0, 0),
        },
    }
}
