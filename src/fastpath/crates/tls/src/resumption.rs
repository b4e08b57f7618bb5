//! Sessions a client may resume, by SNI, shared by the workers. Touched by handshakes only.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Names remembered at once; the oldest goes first.
const MAX_NAMES: usize = 256;

pub(crate) struct Resumption {
    /// `max_session_keys`, of each name.
    per_name: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: HashMap<ServerName<'static>, Sessions>,
    /// Oldest first.
    order: VecDeque<ServerName<'static>>,
}

#[derive(Default)]
struct Sessions {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// Oldest first; each is used once (RFC 8446 §C.4).
    tls13: VecDeque<Tls13ClientSessionValue>,
}

impl Resumption {
    pub(crate) fn new(per_name: usize) -> Self {
        Self {
            per_name,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit(&self, name: ServerName<'static>, edit: impl FnOnce(&mut Sessions)) {
        let mut state = self.state();
        if !state.names.contains_key(&name) {
            state.order.push_back(name.clone());
        }
        edit(state.names.entry(name).or_default());
        while state.order.len() > MAX_NAMES {
            if let Some(oldest) = state.order.pop_front() {
                state.names.remove(&oldest);
            }
        }
    }
}

impl ClientSessionStore for Resumption {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.edit(name, |sessions| sessions.group = Some(group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.state()
            .names
            .get(name)
            .and_then(|sessions| sessions.group)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, session: Tls12ClientSessionValue) {
        if self.per_name > 0 {
            self.edit(name, |sessions| sessions.tls12 = Some(session));
        }
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.state()
            .names
            .get(name)
            .and_then(|sessions| sessions.tls12.clone())
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        if let Some(sessions) = self.state().names.get_mut(name) {
            sessions.tls12 = None;
        }
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let most = self.per_name;
        if most == 0 {
            return;
        }
        self.edit(name, |sessions| {
            while sessions.tls13.len() >= most {
                sessions.tls13.pop_front();
            }
            sessions.tls13.push_back(ticket);
        });
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.state()
            .names
            .get_mut(name)
            .and_then(|sessions| sessions.tls13.pop_back())
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
