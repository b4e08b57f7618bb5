//! The dynamic table (RFC 7541 §2.3.2, §4) of either side: a queue of fields in one arena.

use std::collections::VecDeque;

/// What an entry counts beyond its bytes (§4.1).
const OVERHEAD: usize = 32;
/// `: ` and CRLF.
const SEPARATOR: &[u8] = b": ";
const CRLF: &[u8] = b"\r\n";
const FRAME: usize = 2;

/// Fields from the newest to the oldest, each with a `T`.
///
/// The arena holds `name: value\r\n` of all of them, oldest first, behind the bytes of those
/// that were evicted. New ones go to its end; when it is full and at least half of it is dead,
/// the living move to its start, so a byte is moved once at most on average. It never exceeds
/// twice the size of the table.
#[derive(Debug)]
pub(super) struct DynamicTable<T> {
    arena: Vec<u8>,
    /// Oldest first.
    entries: VecDeque<Entry<T>>,
    /// As §4.1 counts, at most `max`.
    size: usize,
    max: usize,
}

#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Where its line begins in the arena.
    start: usize,
    name_len: u32,
    value_len: u32,
    pub data: T,
}

impl<T> Entry<T> {
    #[inline(always)]
    pub(super) fn name_len(&self) -> usize {
        self.name_len as usize
    }

    // The line lies in the arena, so none of the sums overflows.
    #[inline(always)]
    fn value_start(&self) -> usize {
        self.start.wrapping_add(self.name_len()).wrapping_add(FRAME)
    }

    #[inline(always)]
    fn value_end(&self) -> usize {
        self.value_start().wrapping_add(self.value_len as usize)
    }

    /// §4.1.
    fn size(&self) -> usize {
        entry_size(self.name_len(), self.value_len as usize)
    }
}

fn entry_size(name_len: usize, value_len: usize) -> usize {
    name_len.saturating_add(value_len).saturating_add(OVERHEAD)
}

impl<T> DynamicTable<T> {
    /// Allocates nothing until the first entry.
    pub(super) fn new(max: u32) -> DynamicTable<T> {
        DynamicTable {
            arena: Vec::new(),
            entries: VecDeque::new(),
            size: 0,
            max: max as usize,
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline(always)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    #[inline(always)]
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        let entries = self
            .entries
            .capacity()
            .saturating_mul(size_of::<Entry<T>>());
        self.arena.capacity().saturating_add(entries)
    }

    /// The entry of this age: 0 is the newest.
    #[inline(always)]
    pub(super) fn get(&self, age: usize) -> Option<&Entry<T>> {
        let newest = self.entries.len().checked_sub(1)?;
        self.entries.get(newest.checked_sub(age)?)
    }

    #[inline(always)]
    pub(super) fn name(&self, entry: &Entry<T>) -> &[u8] {
        let end = entry.start.wrapping_add(entry.name_len());
        self.arena.get(entry.start..end).unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn value(&self, entry: &Entry<T>) -> &[u8] {
        self.arena
            .get(entry.value_start()..entry.value_end())
            .unwrap_or_default()
    }

    /// `name: value\r\n`.
    #[inline(always)]
    pub(super) fn line(&self, entry: &Entry<T>) -> &[u8] {
        let end = entry.value_end().wrapping_add(FRAME);
        self.arena.get(entry.start..end).unwrap_or_default()
    }

    /// Evicts until the table fits (§4.3).
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max as usize;
        self.evict_to(self.max);
        if self.max == 0 {
            self.arena = Vec::new();
            self.entries = VecDeque::new();
        }
    }

    /// Evicts what is needed and adds the field (§4.4). A field larger than the table empties it
    /// and does not go in: `false`.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], data: T) -> bool {
        let size = entry_size(name.len(), value.len());
        let (Some(others), Ok(name_len), Ok(value_len)) = (
            self.max.checked_sub(size),
            u32::try_from(name.len()),
            u32::try_from(value.len()),
        ) else {
            self.evict_to(0);
            return false;
        };
        self.evict_to(others);
        // The line is 28 bytes shorter than the size.
        self.make_room(size.wrapping_sub(OVERHEAD).wrapping_add(FRAME * 2));
        let start = self.arena.len();
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(SEPARATOR);
        self.arena.extend_from_slice(value);
        self.arena.extend_from_slice(CRLF);
        self.size = self.size.saturating_add(size);
        self.entries.push_back(Entry {
            start,
            name_len,
            value_len,
            data,
        });
        true
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.size = self.size.saturating_sub(oldest.size());
        }
    }

    /// Makes the arena hold `len` more bytes, by moving the living or by growing.
    fn make_room(&mut self, len: usize) {
        if self.arena.capacity().saturating_sub(self.arena.len()) >= len {
            return;
        }
        let dead = self.entries.front().map_or(self.arena.len(), |e| e.start);
        let living = self.arena.len().saturating_sub(dead);
        if dead >= living {
            self.arena.drain(..dead);
            for entry in &mut self.entries {
                entry.start = entry.start.saturating_sub(dead);
            }
        }
        let needed = self.arena.len().saturating_add(len);
        if needed > self.arena.capacity() {
            // Doubles, but not beyond what can ever be needed: fewer dead than living bytes.
            let most = self.max.saturating_mul(2);
            let wanted = self
                .arena
                .capacity()
                .saturating_mul(2)
                .min(most)
                .max(needed);
            self.arena
                .reserve_exact(wanted.saturating_sub(self.arena.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_in_order_and_by_size() {
        let mut table = DynamicTable::new(100);
        assert!(table.insert(b"a", b"1", 1)); // 34
        assert!(table.insert(b"bb", b"22", 2)); // 36
        assert_eq!((table.len(), table.size()), (2, 70));
        assert!(table.insert(b"c", b"", 3)); // 33: 103 would be too much
        assert_eq!((table.len(), table.size()), (2, 69));
        let newest = table.get(0).unwrap();
        assert_eq!(
            (table.name(newest), table.value(newest)),
            (&b"c"[..], &b""[..])
        );
        let oldest = table.get(1).unwrap();
        assert_eq!(oldest.data, 2);
        assert_eq!(table.line(oldest), b"bb: 22\r\n");
        assert!(table.get(2).is_none());
        table.set_max(68);
        assert_eq!((table.len(), table.size()), (1, 33));
        // Exactly the table, then one byte more.
        assert!(table.insert(&[b'n'; 30], &[b'v'; 6], 4));
        assert_eq!((table.len(), table.size()), (1, 68));
        assert!(!table.insert(&[b'n'; 30], &[b'v'; 7], 5));
        assert_eq!((table.len(), table.size()), (0, 0));
        table.set_max(0);
        assert!(!table.insert(b"", b"", 6));
        assert_eq!(table.capacity(), 0);
    }

    #[test]
    fn memory_stays_bounded_and_lines_stay_right() {
        for max in [64u32, 100, 333, 4096, 20000] {
            let mut table = DynamicTable::new(max);
            let mut all = Vec::new();
            for n in 0..3000usize {
                let value = vec![b'v'; (n * 37) % (max as usize / 2)];
                let name = n.to_string();
                if !table.insert(name.as_bytes(), &value, n) {
                    all.clear();
                    continue;
                }
                all.push((name, value));
                assert!(table.size() <= max as usize);
                assert!(table.arena.capacity() <= max as usize * 2);
                for age in 0..table.len() {
                    let entry = table.get(age).unwrap();
                    let (name, value) = &all[all.len() - 1 - age];
                    assert_eq!(table.name(entry), name.as_bytes());
                    assert_eq!(table.value(entry), &value[..]);
                }
            }
        }
    }
}
