//! Notes of the workers to the control side: a queue that somebody waits at. A note is left when a
//! row of failures is complete, which no request waits for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Monitor, Reason};

/// So many may wait.
const MAX_WAITING: usize = 1 << 16;

/// A row of failures of a host is complete.
#[derive(Debug)]
pub struct Report {
    pub monitor: Arc<Monitor>,
    pub reason: Reason,
}

#[derive(Debug, Default)]
pub struct Reports {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    list: Vec<Report>,
    /// There is another reason to wake up.
    is_called: bool,
    is_over: bool,
}

impl Reports {
    /// False: too many wait.
    pub fn push(&self, report: Report) -> bool {
        let mut state = self.lock();
        if state.list.len() >= MAX_WAITING {
            return false;
        }
        state.list.push(report);
        drop(state);
        self.wake.notify_one();
        true
    }

    /// Wakes whoever waits: what it waits until has changed.
    pub fn call(&self) {
        self.lock().is_called = true;
        self.wake.notify_one();
    }

    /// There will be no more.
    pub fn close(&self) {
        self.lock().is_over = true;
        self.wake.notify_one();
    }

    /// Waits for notes, a call or `until`; `None`: closed.
    pub fn wait(&self, until: Option<Instant>) -> Option<Vec<Report>> {
        /// Without a time to wait until; a call comes before.
        const LONG: Duration = Duration::from_secs(3600);
        let mut state = self.lock();
        loop {
            if state.is_over {
                return None;
            }
            let now = Instant::now();
            let left = until.map_or(LONG, |until| until.saturating_duration_since(now));
            if left.is_zero() || state.is_called || !state.list.is_empty() {
                state.is_called = false;
                return Some(std::mem::take(&mut state.list));
            }
            state = match self.wake.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    #[cfg(test)]
    pub fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.lock().list)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, monitor};
    use super::*;

    #[test]
    fn whoever_waits_gets_what_was_left_before_and_is_called() {
        let (monitor, reports) = monitor(config(|c| c.consecutive_5xx.failures = 1));
        monitor.answered(500);
        assert_eq!(reports.wait(None).unwrap().len(), 1);
        assert!(reports.wait(Some(Instant::now())).unwrap().is_empty());
        reports.call();
        assert!(reports.wait(None).unwrap().is_empty());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| reports.wait(None));
            monitor.answered(200);
            monitor.answered(500);
            assert_eq!(waiting.join().unwrap().unwrap().len(), 1);
        });
        reports.close();
        assert!(reports.wait(None).is_none());
    }
}
