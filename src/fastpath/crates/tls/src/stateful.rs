//! Sessions a server remembers itself, for TLS 1.2 clients that know no tickets (RFC 5246 §F.1.4).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::server::StoresServerSessions;

/// Of one filter chain. A client that cannot do tickets is rare.
const MAX_SESSIONS: usize = 1024;

pub(crate) struct Sessions {
    lifetime: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// Oldest first.
    order: VecDeque<Vec<u8>>,
}

impl Sessions {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let mut state = self.state();
        if state
            .sessions
            .insert(key.clone(), (Instant::now(), value))
            .is_none()
        {
            state.order.push_back(key);
        }
        while state.order.len() > MAX_SESSIONS {
            if let Some(oldest) = state.order.pop_front() {
                state.sessions.remove(&oldest);
            }
        }
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let state = self.state();
        let (since, value) = state.sessions.get(key)?;
        (since.elapsed() <= self.lifetime).then(|| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.state();
        let (since, value) = state.sessions.remove(key)?;
        state.order.retain(|other| other != key);
        (since.elapsed() <= self.lifetime).then_some(value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_taken_once() {
        let sessions = Sessions::new(Duration::from_secs(3600));
        for index in 0..2 * MAX_SESSIONS {
            assert!(sessions.put(index.to_be_bytes().to_vec(), vec![1]));
        }
        let first = 0_usize.to_be_bytes();
        let last = (2 * MAX_SESSIONS - 1).to_be_bytes();
        assert_eq!(sessions.get(&first), None);
        assert_eq!(sessions.get(&last), Some(vec![1]));
        assert_eq!(sessions.take(&last), Some(vec![1]));
        assert_eq!(sessions.take(&last), None);
        let state = sessions.state();
        assert_eq!(state.sessions.len(), state.order.len());
    }
}
