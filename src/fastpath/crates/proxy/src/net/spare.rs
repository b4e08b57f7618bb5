//! Buffers of a worker's connections, for as long as one has something in it: an idle connection
//! holds none.

use std::cell::RefCell;

/// Of each of the events that are served together there may be one that came and one that leaves.
const MOST: usize = 64;
/// Larger ones are freed.
const MOST_BYTES: usize = 16 * 1024;

thread_local! {
    /// The last used is on top: it is in the cache.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty one.
pub fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub fn give_back(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > MOST_BYTES {
        return;
    }
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < MOST {
            spare.push(buffer);
        }
    });
}
