//! Requests that end half-way, and how their connections to hosts are closed.
//!
//! HTTP/1.1 gives up a request by closing its connection. Closed in order, the host gets all that
//! was sent, and our port stays in TIME_WAIT, which is a minute. A client that gives up requests
//! by the thousand uses up the ports to a host so, for everybody, and long before the last one is
//! gone `connect` searches for milliseconds, in which the worker does nothing else. So a client
//! has a few in order; of more than these the host gets a reset, which leaves no port behind. What
//! the host may lose by it is a part of a request that never gets whole.

use std::cell::Cell;

/// Closes in order that a client's connection may cause within a window.
const MOST: u32 = 10;
const WINDOW_MS: u64 = 10_000;

/// What one client's connection has given up.
#[derive(Debug, Default)]
pub struct GivenUp {
    window: Cell<u64>,
    in_window: Cell<u32>,
}

impl GivenUp {
    /// One more is given up now. False: it is one too many to be closed in order.
    pub fn may_close_in_order(&self, now_ms: u64) -> bool {
        let window = now_ms / WINDOW_MS;
        if self.window.replace(window) != window {
            self.in_window.set(0);
        }
        self.in_window.set(self.in_window.get().saturating_add(1));
        self.in_window.get() <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_in_each_window() {
        let client = GivenUp::default();
        let in_order = |now| (0..100).filter(|_| client.may_close_in_order(now)).count();
        assert_eq!(in_order(0), MOST as usize);
        assert_eq!(in_order(WINDOW_MS - 1), 0);
        assert_eq!(in_order(WINDOW_MS), MOST as usize);
        assert_eq!(in_order(9 * WINDOW_MS), MOST as usize);
    }
}
