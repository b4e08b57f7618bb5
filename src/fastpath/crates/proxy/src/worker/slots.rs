//! A slab whose keys carry a generation, so that an event for a closed connection that was already
//! in the batch never reaches the connection that took its place.

/// Index (low 32 bits) and generation (high bits) of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// Generations use 28 bits, so that a key and a kind fit epoll's 64 bits of user data.
const GENERATION_MASK: u32 = 0x0fff_ffff;

impl Key {
    /// Of no entry: there are not so many.
    pub const NOBODY: Self = Self {
        index: u32::MAX,
        generation: GENERATION_MASK,
    };

    /// 60 bits: generation above index.
    pub fn to_bits(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    pub fn from_bits(bits: u64) -> Self {
        Self {
            index: (bits & 0xffff_ffff) as u32,
            generation: ((bits >> 32) as u32) & GENERATION_MASK,
        }
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// False once freed; `value` is also `None` while the entry is taken out.
    live: bool,
    value: Option<Box<T>>,
}

/// Entries are boxed: taking one out (to work on it beside the rest of the worker) moves a pointer.
#[derive(Debug)]
pub struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    live: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
        }
    }
}

impl<T> Slots<T> {
    /// Number of live entries, taken out or not.
    pub fn count(&self) -> usize {
        self.live
    }

    /// Reserves a key; the entry is put in with [`Slots::put`].
    pub fn reserve(&mut self) -> Key {
        self.live = self.live.saturating_add(1);
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.live = true;
            return Key {
                index,
                generation: slot.generation,
            };
        }
        // 2^32 connections cannot exist: file descriptors end long before.
        let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot {
            generation: 0,
            live: true,
            value: None,
        });
        Key {
            index,
            generation: 0,
        }
    }

    fn slot(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.slots
            .get_mut(key.index as usize)
            .filter(|s| s.live && s.generation == key.generation)
    }

    pub fn get(&self, key: Key) -> Option<&T> {
        self.slots
            .get(key.index as usize)
            .filter(|s| s.live && s.generation == key.generation)
            .and_then(|s| s.value.as_deref())
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slot(key).and_then(|s| s.value.as_deref_mut())
    }

    /// Takes the entry out; its key stays reserved. `None` if freed or already taken.
    pub fn take(&mut self, key: Key) -> Option<Box<T>> {
        self.slot(key).and_then(|s| s.value.take())
    }

    /// Puts an entry under its reserved key.
    pub fn put(&mut self, key: Key, value: Box<T>) {
        if let Some(slot) = self.slot(key) {
            slot.value = Some(value);
        }
    }

    /// Frees the key; a value still inside is returned.
    pub fn free(&mut self, key: Key) -> Option<Box<T>> {
        let slot = self.slot(key)?;
        slot.live = false;
        slot.generation = slot.generation.wrapping_add(1) & GENERATION_MASK;
        let value = slot.value.take();
        self.live = self.live.saturating_sub(1);
        self.free.push(key.index);
        value
    }

    /// All entries that are in their place.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots
            .iter()
            .filter(|s| s.live)
            .filter_map(|s| s.value.as_deref())
    }

    /// Keys of all live entries.
    pub fn keys(&self) -> Vec<Key> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, s)| s.live)
            .map(|(i, s)| Key {
                index: i as u32,
                generation: s.generation,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slots = Slots::default();
        let a = slots.reserve();
        slots.put(a, Box::new(1));
        assert_eq!(slots.free(a).as_deref(), Some(&1));
        let b = slots.reserve();
        slots.put(b, Box::new(2));
        assert!(slots.get(a).is_none());
        assert_eq!(slots.get(b), Some(&2));
        assert_eq!(Key::from_bits(b.to_bits()), b);
        assert_eq!(slots.count(), 1);
    }

    #[test]
    fn taking_out_keeps_the_key() {
        let mut slots = Slots::default();
        let a = slots.reserve();
        slots.put(a, Box::new("x"));
        let value = slots.take(a).unwrap();
        assert!(slots.take(a).is_none());
        slots.put(a, value);
        assert_eq!(slots.get(a), Some(&"x"));
        assert_eq!(slots.keys(), vec![a]);
    }
}
