//! Random bytes that everybody sees, drawn in advance: a call of AWS-LC's generator costs as much
//! for 32 bytes as for a thousand, and a full handshake asks five times.
//!
//! rustls draws nothing else from its provider: randoms of hellos, session ids, nonces and ages of
//! tickets, all of which go over the wire as they are. Keys are made inside AWS-LC, by itself.

use std::cell::RefCell;

use rustls::crypto::{GetRandomFailed, SecureRandom};

/// Drawn at a time.
const DRAWN: usize = 1024;

#[derive(Debug)]
pub(crate) struct Visible;

/// What a thread has drawn; from `left` down to 0 nobody has been given it.
struct Pool {
    bytes: [u8; DRAWN],
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            bytes: [0; DRAWN],
            left: 0,
        })
    };
}

impl SecureRandom for Visible {
    fn fill(&self, wanted: &mut [u8]) -> Result<(), GetRandomFailed> {
        POOL.with_borrow_mut(|pool| {
            if pool.give(wanted) {
                return Ok(());
            }
            pool.left = 0;
            aws_lc_rs::rand::fill(&mut pool.bytes).map_err(|_| GetRandomFailed)?;
            pool.left = DRAWN;
            if pool.give(wanted) {
                return Ok(());
            }
            aws_lc_rs::rand::fill(wanted).map_err(|_| GetRandomFailed)
        })
    }
}

impl Pool {
    /// Hands out what it has, and forgets it. False: it has not so much.
    fn give(&mut self, wanted: &mut [u8]) -> bool {
        let Some(rest) = self.left.checked_sub(wanted.len()) else {
            return false;
        };
        let Some(given) = self.bytes.get_mut(rest..self.left) else {
            return false;
        };
        wanted.copy_from_slice(given);
        given.fill(0);
        self.left = rest;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_twice() {
        let mut seen = HashSet::new();
        for _ in 0..DRAWN {
            let mut wanted = [0; 32];
            Visible.fill(&mut wanted).unwrap();
            for half in wanted.chunks(16) {
                assert!(seen.insert(half.to_vec()));
            }
        }
    }

    #[test]
    fn what_was_given_is_forgotten() {
        Visible.fill(&mut [0; 32]).unwrap();
        POOL.with_borrow(|pool| {
            assert!(pool.bytes.iter().skip(pool.left).all(|byte| *byte == 0));
            assert!(pool.left > 0);
        });
    }

    #[test]
    fn any_size() {
        for size in [0, 1, DRAWN - 1, DRAWN, DRAWN + 1, 8 * DRAWN] {
            let mut wanted = vec![0; size];
            Visible.fill(&mut wanted).unwrap();
            assert!(size < 32 || wanted.iter().any(|byte| *byte != 0));
        }
    }
}
