//! Buffers of a worker's connections that wait for the next who needs one: an idle connection holds
//! none.

use std::cell::RefCell;

/// As many as events are served together (`worker::phases`).
const MOST: usize = 32;

/// A thread's spare buffers of one kind.
pub struct Spare<T>(RefCell<Vec<T>>);

impl<T> Spare<T> {
    pub const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// The last that was given back: it is in the cache.
    pub fn take(&self) -> Option<T> {
        self.0.borrow_mut().pop()
    }

    pub fn give_back(&self, buffer: T) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < MOST {
            kept.push(buffer);
        }
    }
}
