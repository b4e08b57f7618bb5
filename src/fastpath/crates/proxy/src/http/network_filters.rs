//! Network filters before the connection manager: what a client says goes through them first.

use std::rc::Rc;

use super::client::Client;
use super::deadlines::after;
use super::downstream::Downstream;
use super::own_call::{Answer, Asker};
use crate::http2::carrier::Carrier;
use crate::listener::ConnectionFacts;
use crate::worker::Worker;
use crate::worker::ext_authz::ExtAuthz;
use crate::worker::guards::{Asking, Judgement, Occasion, Refusal};
use crate::worker::linger::Counted;
use crate::worker::slots::Key;

/// A filter waits for a server's answer.
#[derive(Debug)]
pub struct Waiting {
    filter: Rc<ExtAuthz>,
    call: Key,
    /// Where it goes on.
    next: Asking,
}

/// Whether bytes of a client go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Passes,
    /// `Downstream::refused` says why.
    Refused,
    /// A server is asked (`Downstream::waiting`).
    Held,
}

impl Client {
    /// Asks the filters about bytes that came, from a place on.
    fn judge(self: &mut Rc<Self>, from: Asking, occasion: Occasion) -> Judgement {
        let chain = &self.chain;
        if chain.guards.is_empty() || occasion == Occasion::Again && !chain.has_continuous_guards()
        {
            return Judgement::Passes;
        }
        let mut facts = self.facts_or_socket();
        let judgement = chain.judge(from, occasion, &mut facts, self.tls.as_deref());
        // Streams that are under way keep what they have.
        if let Some(client) = Rc::get_mut(self) {
            client.connection_facts = Some(Rc::new(facts));
            if let Judgement::Refused(refusal) = &judgement {
                client.termination = Some(refusal.clone());
            }
        }
        judgement
    }

    /// Whether bytes after the first ones may not go on.
    pub fn is_refused_now(self: &mut Rc<Self>) -> bool {
        let judgement = self.judge(Asking::START, Occasion::Again);
        matches!(judgement, Judgement::Refused(_))
    }

    fn facts_or_socket(&self) -> ConnectionFacts {
        let known = self.known_facts().cloned();
        known.unwrap_or_else(|| ConnectionFacts::new(self.local.clone(), self.peer.clone()))
    }
}

impl Worker {
    /// Whether bytes that came go on.
    pub(super) fn pass_guards(&mut self, d: &mut Downstream) -> Passage {
        let is_first = std::mem::take(&mut d.unasked);
        let occasion = if is_first {
            Occasion::First
        } else {
            Occasion::Again
        };
        self.judge_client(d, Asking::START, occasion)
    }

    fn judge_client(
        &mut self,
        d: &mut Downstream,
        mut from: Asking,
        occasion: Occasion,
    ) -> Passage {
        loop {
            match d.client.judge(from, occasion) {
                Judgement::Passes => return Passage::Passes,
                Judgement::Refused(refusal) => {
                    d.refused = Some(refusal);
                    return Passage::Refused;
                }
                Judgement::Asks(filter, next) => {
                    let facts = d.client.facts_or_socket();
                    let asker = Asker::Connection(d.key);
                    match self.ask_about_connection(&filter, asker, &d.client, &facts) {
                        Ok(call) => {
                            d.waiting = Some(Box::new(Waiting { filter, call, next }));
                            return Passage::Held;
                        }
                        Err(failed) => {
                            if let Some(refusal) = filter.judge(Answer::Failed(failed)) {
                                refuse(d, refusal);
                                return Passage::Refused;
                            }
                            from = next;
                        }
                    }
                }
            }
        }
    }

    /// The server has said what it thinks of a connection.
    pub fn connection_judged(&mut self, key: Key, call: Key, answer: Answer) {
        let Some(mut d) = self.downstreams.take(key) else {
            return;
        };
        let Some(waiting) = d.waiting.take_if(|waiting| waiting.call == call) else {
            return self.downstreams.put(key, d);
        };
        let passage = match waiting.filter.judge(answer) {
            Some(refusal) => {
                refuse(&mut d, refusal);
                Passage::Refused
            }
            None => self.judge_client(&mut d, waiting.next, Occasion::First),
        };
        if passage == Passage::Refused {
            return self.close_refused(d);
        }
        // What it has said is still there.
        self.ready_downstreams.push(key);
        self.downstreams.put(key, d);
    }

    /// A connection ends: nobody waits for an answer about it.
    pub(super) fn forget_waiting(&mut self, d: &mut Downstream) {
        if let Some(waiting) = d.waiting.take() {
            waiting.filter.given_up();
            self.cancel_call(waiting.call);
        }
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

fn refuse(d: &mut Downstream, refusal: Refusal) {
    if let Some(client) = Rc::get_mut(&mut d.client) {
        client.termination = Some(refusal.clone());
    }
    d.refused = Some(refusal);
}
