//! Network filters before the connection manager: what a client says goes through them first.

use std::rc::Rc;

use super::client::Client;
use super::deadlines::after;
use super::downstream::Downstream;
use crate::http2::carrier::Carrier;
use crate::listener::ConnectionFacts;
use crate::worker::Worker;
use crate::worker::linger::Counted;
use crate::worker::rbac::{Occasion, Refusal};

impl Client {
    /// Asks the filters about bytes that came. `Some`: the connection is to end.
    pub fn ask_filters(self: &mut Rc<Self>, occasion: Occasion) -> Option<Refusal> {
        let chain = &self.chain;
        if chain.rbac.is_empty() || occasion == Occasion::Again && !chain.has_continuous_rbac() {
            return None;
        }
        let known = self.known_facts().cloned();
        let of_socket = || ConnectionFacts::new(self.local.clone(), self.peer.clone());
        let mut facts = known.unwrap_or_else(of_socket);
        let refusal = chain.ask_rbac(occasion, &mut facts, self.tls.as_deref());
        // Streams that are under way keep what they have.
        if let Some(client) = Rc::get_mut(self) {
            client.connection_facts = Some(Rc::new(facts));
            client.termination = refusal.as_ref().map(|refusal| refusal.details.clone());
        }
        refusal
    }
}

impl Worker {
    /// Whether bytes that came go on; otherwise `refused` says why not.
    pub(super) fn passes_filters(&self, d: &mut Downstream) -> bool {
        let is_first = std::mem::take(&mut d.unasked);
        let occasion = if is_first {
            Occasion::First
        } else {
            Occasion::Again
        };
        d.refused = d.client.ask_filters(occasion);
        d.refused.is_none()
    }

    /// Ends a connection that a filter refused: now, or, if it has done nothing yet, after the
    /// filter's delay.
    pub(super) fn close_refused(&mut self, mut d: Box<Downstream>) {
        let delay = d.refused.take().and_then(|refusal| refusal.delay);
        if delay.is_none() || d.has_begun() {
            return self.close_downstream(d, false);
        }
        let Downstream {
            key,
            carrier,
            client,
            ..
        } = *d;
        self.downstreams.free(key);
        if let Carrier::Socket(io) = carrier {
            let until = after(self.clock.now_ms(), delay);
            self.hold(io, true, until, Counted::Refused(client));
        }
    }
}
