//! Flow control (RFC 9113 §5.2, §6.9): what we may send, and what the peer may.

/// The greatest window.
pub(super) const MAX_WINDOW: u32 = u32::MAX >> 1;
/// The window of a connection at its start, and of streams until SETTINGS say otherwise.
pub(super) const INITIAL_WINDOW: u32 = 65_535;

/// Bytes we may send. Below 0 after the peer made its initial window smaller (§6.9.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct SendWindow(i32);

impl SendWindow {
    pub fn new(size: u32) -> SendWindow {
        SendWindow(i32::try_from(size).unwrap_or(i32::MAX))
    }

    #[inline]
    pub fn available(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// `n` bytes, at most what is available, are sent.
    #[inline]
    pub fn take(&mut self, n: usize) {
        self.0 = self.0.saturating_sub(i32::try_from(n).unwrap_or(i32::MAX));
    }

    /// WINDOW_UPDATE, or a changed initial window; `false` beyond 2^31-1.
    #[must_use]
    pub fn change(&mut self, by: i64) -> bool {
        match i64::from(self.0).checked_add(by).map(i32::try_from) {
            Some(Ok(n)) => {
                self.0 = n;
                true
            }
            _ => false,
        }
    }
}

/// Bytes the peer may send, and those that were consumed since it was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveWindow {
    left: i32,
    freed: u32,
}

impl ReceiveWindow {
    pub fn new(size: u32) -> ReceiveWindow {
        ReceiveWindow {
            left: i32::try_from(size).unwrap_or(i32::MAX),
            freed: 0,
        }
    }

    /// The peer sent `n` bytes; `false` if it was not allowed to.
    #[inline]
    #[must_use]
    pub fn receive(&mut self, n: u32) -> bool {
        match i32::try_from(n) {
            Ok(n) if n <= self.left || n == 0 => {
                self.left = self.left.saturating_sub(n);
                true
            }
            _ => false,
        }
    }

    /// `n` bytes need no more room here. Returns what to tell the peer (and counts it as told)
    /// once that is half of `size`, the window at rest.
    #[inline]
    pub fn free(&mut self, n: u32, size: u32) -> Option<u32> {
        self.freed = self.freed.saturating_add(n);
        if self.freed == 0 || self.freed < size / 2 {
            return None;
        }
        let increment = self.freed.min(MAX_WINDOW);
        self.freed = 0;
        self.left = self.left.saturating_add_unsigned(increment);
        Some(increment)
    }

    /// Our initial window was acknowledged and differs from the one that applied before.
    pub fn shift(&mut self, by: i64) {
        let left = i64::from(self.left).saturating_add(by);
        self.left = i32::try_from(left).unwrap_or(i32::MIN);
    }

    #[cfg(test)]
    pub fn left(self) -> i64 {
        i64::from(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn send_window_may_go_below_zero_but_not_above_the_maximum() {
        let mut w = SendWindow::new(10);
        w.take(10);
        assert!(w.change(-5) && w.available() == 0);
        assert!(w.change(6) && w.available() == 1);
        assert!(w.change(i64::from(MAX_WINDOW) - 1) && w.available() == MAX_WINDOW as usize);
        assert!(!w.change(1) && w.available() == MAX_WINDOW as usize);
    }

    #[test]
    fn receive_window_is_told_in_halves() {
        let mut w = ReceiveWindow::new(100);
        assert!(w.receive(100) && !w.receive(1) && w.receive(0));
        assert_eq!(w.free(49, 100), None);
        assert_eq!(w.free(1, 100), Some(50));
        assert!(w.receive(50) && !w.receive(1));
        assert_eq!(w.left(), 0);
        assert_eq!(w.free(0, 0), None);
        assert_eq!(w.free(1, 1), Some(1));
        w.shift(-10);
        assert!(w.left() < 0 && w.receive(0) && !w.receive(1));
    }
}
