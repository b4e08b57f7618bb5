//! Network filters before the proxy (`rbac`, `ext_authz`): what a client says goes through them first.
//!
//! As in Envoy the host is connected all the same, and what it says is the client's at once; of
//! the client nothing goes on before the filters have been asked.

use std::cell::Cell;
use std::rc::Rc;

use super::end::By;
use super::{Stage, Tunnel};
use crate::http::client::Client;
use crate::http::deadlines::after;
use crate::http::own_call::{Answer, Asker};
use crate::net::io::{Input, Scratch};
use crate::telemetry::stats::TcpCounter;
use crate::upstream::given_up::GivenUp;
use crate::worker::Worker;
use crate::worker::ext_authz::ExtAuthz;
use crate::worker::guards::{Asking, Judgement, Occasion, Refusal};
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;

/// Where a tunnel stands with the filters of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They wait for the first bytes.
    Unasked,
    /// One of them asks a server (`Tunnel::waiting`).
    Waiting,
    /// They passed, and some are asked about all that comes.
    Continuous,
    /// There are none, or they are done.
    Open,
    /// Refused: it ends at that time (ms).
    Closed { at_ms: u64 },
}

/// A filter waits for a server's answer.
#[derive(Debug)]
pub struct Waiting {
    filter: Rc<ExtAuthz>,
    call: Key,
    /// Where it goes on.
    next: Asking,
    /// What was read of the client.
    bytes: Vec<u8>,
}

/// What goes on of a client's bytes.
pub(super) enum Passage {
    /// These, maybe none.
    Bytes(Vec<u8>),
    /// Nothing, and the tunnel is over.
    Refused,
    /// The client is not there any more.
    Gone,
}

impl Gate {
    pub(super) fn new(has_filters: bool) -> Self {
        if has_filters {
            Self::Unasked
        } else {
            Self::Open
        }
    }

    /// When a tunnel that was refused ends.
    pub(super) fn deadline(self) -> u64 {
        match self {
            Self::Closed { at_ms } => at_ms,
            Self::Unasked | Self::Waiting | Self::Continuous | Self::Open => NEVER,
        }
    }
}

impl Worker {
    /// Reads of a client as long as its filters are to be asked. `early`: what was read before.
    pub(super) fn filter_client(&mut self, t: &mut Tunnel, early: Vec<u8>) -> Passage {
        if matches!(t.gate, Gate::Closed { .. } | Gate::Waiting) || t.client.ended {
            return Passage::Bytes(Vec::new());
        }
        let bytes = if early.is_empty() {
            match self.read_of_client(t) {
                Some(bytes) => bytes,
                None => return Passage::Gone,
            }
        } else {
            early
        };
        if bytes.is_empty() && !t.client.ended {
            return Passage::Bytes(bytes);
        }
        self.ask_about(t, bytes)
    }

    /// Asks the filters about what was read, or that the client has ended.
    pub(super) fn ask_about(&mut self, t: &mut Tunnel, bytes: Vec<u8>) -> Passage {
        let occasion = match t.gate {
            Gate::Unasked => Occasion::First,
            _ => Occasion::Again,
        };
        self.ask_from(t, Asking::START, occasion, bytes)
    }

    fn ask_from(
        &mut self,
        t: &mut Tunnel,
        mut from: Asking,
        occasion: Occasion,
        bytes: Vec<u8>,
    ) -> Passage {
        loop {
            let tls = t.client.io.tls_info().map(|info| &**info);
            match t.chain.judge(from, occasion, &mut t.facts, tls) {
                Judgement::Passes => {
                    t.gate = if t.chain.has_continuous_guards() {
                        Gate::Continuous
                    } else {
                        Gate::Open
                    };
                    return Passage::Bytes(bytes);
                }
                Judgement::Refused(refusal) => return self.refuse_bytes(t, refusal, &bytes),
                Judgement::Asks(filter, next) => {
                    let client = t.as_client(&filter);
                    let asker = Asker::Tunnel(t.key);
                    match self.ask_about_connection(&filter, asker, &client, &t.facts) {
                        Ok(call) => {
                            t.gate = Gate::Waiting;
                            t.waiting = Some(Waiting {
                                filter,
                                call,
                                next,
                                bytes,
                            });
                            return Passage::Bytes(Vec::new());
                        }
                        Err(failed) => {
                            if let Some(refusal) = filter.judge(Answer::Failed(failed)) {
                                return self.refuse_bytes(t, refusal, &bytes);
                            }
                            from = next;
                        }
                    }
                }
            }
        }
    }

    fn refuse_bytes(&mut self, t: &mut Tunnel, refusal: Refusal, bytes: &[u8]) -> Passage {
        let stats = t.tcp.stats();
        stats.add(TcpCounter::DownstreamCxRxBytesTotal, bytes.len() as u64);
        t.seen.refused = bytes.len() as u64;
        t.seen.termination = refusal.details;
        t.seen.flags.insert(refusal.flags);
        if refusal.delay.is_none() {
            return Passage::Refused;
        }
        let at_ms = after(self.clock.now_ms(), refusal.delay);
        t.gate = Gate::Closed { at_ms };
        self.arm_tunnel(t);
        Passage::Bytes(Vec::new())
    }

    /// The server has said what it thinks of a tunnel.
    pub fn tunnel_judged(&mut self, key: Key, call: Key, answer: Answer) {
        let Some(mut t) = self.tunnels.take(key) else {
            return;
        };
        let Some(waiting) = t.waiting.take_if(|waiting| waiting.call == call) else {
            return self.tunnels.put(key, t);
        };
        let Waiting {
            filter,
            next,
            bytes,
            ..
        } = waiting;
        let passage = match filter.judge(answer) {
            Some(refusal) => self.refuse_bytes(&mut t, refusal, &bytes),
            None => self.ask_from(&mut t, next, Occasion::First, bytes),
        };
        let Passage::Bytes(bytes) = passage else {
            return self.end_tunnel(t, By::Us);
        };
        if !t.is_open() {
            t.early.extend_from_slice(&bytes);
            return self.drive_early(t);
        }
        if t.link.is_none() {
            return self.drive_open(t, &bytes, &[]);
        }
        let has_ended = t.client.ended && !t.is_held();
        self.send_early(&mut t, &bytes, has_ended);
        self.drive_link(t);
    }

    /// A tunnel ends: nobody waits for an answer about it.
    pub(super) fn forget_waiting_of_tunnel(&mut self, t: &mut Tunnel) {
        if let Some(waiting) = t.waiting.take() {
            waiting.filter.given_up();
            self.cancel_call(waiting.call);
        }
    }

    /// One read; `None`: the client is gone.
    fn read_of_client(&mut self, t: &mut Tunnel) -> Option<Vec<u8>> {
        let limit = t.buffer_limit();
        let client = &mut t.client;
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let mut found = Some(Vec::new());
        while client.readable {
            match client.io.read_at_most(limit, &mut scratch) {
                Input::Data { bytes, drained } => {
                    client.readable = !drained || client.hung_up;
                    if !bytes.is_empty() {
                        found = Some(bytes.to_vec());
                        break;
                    }
                }
                Input::Interrupted => {}
                Input::Empty => client.readable = false,
                Input::Eof => {
                    client.readable = false;
                    client.ended = true;
                }
                Input::Broken => {
                    found = None;
                    break;
                }
            }
        }
        self.scratch = scratch;
        found
    }
}

impl Tunnel {
    /// Nothing of the client goes on for now.
    pub(super) fn is_held(&self) -> bool {
        matches!(
            self.gate,
            Gate::Unasked | Gate::Waiting | Gate::Closed { .. }
        )
    }

    /// Its client, as a server is told of it.
    fn as_client(&self, filter: &ExtAuthz) -> Client {
        Client {
            peer: self.peer.clone(),
            direct_peer: self.facts.direct_source.clone(),
            local: self.local.clone(),
            id: self.id,
            opened_ns: self.opened_ns,
            chain: Rc::clone(&self.chain),
            listener: Rc::clone(&self.listener),
            http: Rc::clone(&filter.calls),
            tls: self.client.io.tls_info().cloned(),
            facts: Some(Rc::new((*self.facts).clone())),
            connection_facts: None,
            termination: None,
            received: Cell::default(),
            sent: Cell::default(),
            admission: None,
            given_up: GivenUp::default(),
        }
    }

    /// The filters have more to look at, and the host has room for it.
    pub(super) fn has_more_to_filter(&self) -> bool {
        let takes = self
            .server
            .as_ref()
            .is_none_or(|server| server.stage == Stage::Open && server.side.io.backlog() == 0);
        self.gate == Gate::Continuous && self.client.readable && !self.client.ended && takes
    }
}
