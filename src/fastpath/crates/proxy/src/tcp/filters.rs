//! Network filters before the proxy (`rbac`): what a client says goes through them first.
//!
//! As in Envoy the host is connected all the same, and what it says is the client's at once; of
//! the client nothing goes on before the filters have been asked.

use super::{Stage, Tunnel};
use crate::http::deadlines::after;
use crate::net::io::{Input, Scratch};
use crate::telemetry::stats::TcpCounter;
use crate::worker::Worker;
use crate::worker::rbac::Occasion;
use crate::worker::timers::NEVER;

/// Where a tunnel stands with the filters of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// They wait for the first bytes.
    Unasked,
    /// They passed, and some are asked about all that comes.
    Continuous,
    /// There are none, or they are done.
    Open,
    /// Refused: it ends at that time (ms).
    Closed { at_ms: u64 },
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
            Self::Unasked | Self::Continuous | Self::Open => NEVER,
        }
    }
}

impl Worker {
    /// Reads of a client as long as its filters are to be asked. `early`: what was read before.
    pub(super) fn filter_client(&mut self, t: &mut Tunnel, early: Vec<u8>) -> Passage {
        if matches!(t.gate, Gate::Closed { .. }) || t.client.ended {
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
        let tls = t.client.io.tls_info().map(|info| &**info);
        let Some(refusal) = t.chain.ask_rbac(occasion, &mut t.facts, tls) else {
            t.gate = if t.chain.has_continuous_rbac() {
                Gate::Continuous
            } else {
                Gate::Open
            };
            return Passage::Bytes(bytes);
        };
        let stats = t.tcp.stats();
        stats.add(TcpCounter::DownstreamCxRxBytesTotal, bytes.len() as u64);
        t.seen.refused = bytes.len() as u64;
        t.seen.termination = Some(refusal.details);
        if refusal.delay.is_none() {
            return Passage::Refused;
        }
        let at_ms = after(self.clock.now_ms(), refusal.delay);
        t.gate = Gate::Closed { at_ms };
        self.arm_tunnel(t);
        Passage::Bytes(Vec::new())
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
        matches!(self.gate, Gate::Unasked | Gate::Closed { .. })
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
