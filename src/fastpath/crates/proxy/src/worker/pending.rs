//! Connections that are not with their protocol yet: TLS is being agreed on.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::admission::Admission;
use super::chain::{ChainRuntime, Service};
use super::command::ServerTls;
use super::config::ListenerRuntime;
use super::slots::Key;
use super::{Kind, Readiness, Worker};
use crate::http::client::Client;
use crate::http::deadlines::after;
use crate::listener::ConnectionFacts;
use crate::net::introduction::{Heard, hear};
use crate::net::io::{Input, Io, Scratch};
use crate::telemetry::stats::{ListenerCounter, ListenerGauge, TlsContextCounter};
use crate::upstream::given_up::GivenUp;
use model::resources::address::Address;
use model::resources::istio::Workload;

/// A connection with its filter chain.
#[derive(Debug)]
pub struct Arrival {
    pub io: Io,
    pub peer: Address,
    pub local: Address,
    /// What listener filters found out.
    pub facts: Box<ConnectionFacts>,
    pub id: u64,
    pub opened_ns: u64,
    pub listener: Rc<ListenerRuntime>,
    pub chain: Rc<ChainRuntime>,
    /// Plaintext that was read of it.
    pub held: Vec<u8>,
    /// Its socket is known to epoll.
    pub is_watched: bool,
    /// Its place among the downstreams, where its events come to: most become one, and need not be
    /// watched anew.
    pub place: Option<Key>,
    /// Who its client says it is.
    pub workload: Option<Arc<Workload>>,
    /// Its place in the chain's connection limit.
    pub admission: Option<Admission>,
    pub readable: bool,
    pub peer_closed: bool,
}

#[derive(Debug)]
pub struct Pending {
    /// Reserved among the downstreams.
    key: Key,
    arrival: Arrival,
    deadline: u64,
    /// TLS is agreed on: the client is introducing itself.
    listens: bool,
}

impl Worker {
    /// The filter chain is chosen: its transport comes first.
    pub fn begin_chain(&mut self, arrival: Arrival) {
        let Some(mut arrival) = self.admit(arrival) else {
            return;
        };
        let tls = arrival.chain.tls.borrow().clone();
        match tls {
            ServerTls::Plain => self.serve(arrival),
            ServerTls::NotReady => {
                let stats = arrival.listener.tls_context_stats();
                stats.inc(TlsContextCounter::DownstreamContextSecretsNotReady);
                self.arrival_failed(&arrival);
            }
            ServerTls::Ready(context) => {
                let session = context.session(arrival.local.ip(), arrival.peer.ip());
                if arrival.io.start_tls(session).is_err() {
                    return self.arrival_failed(&arrival);
                }
                self.wait_for_handshake(arrival);
            }
        }
    }

    fn wait_for_handshake(&mut self, mut arrival: Arrival) {
        let key = self.downstreams.reserve();
        if self
            .adopt(Kind::Downstream, key, &arrival.io, arrival.is_watched)
            .is_err()
        {
            self.downstreams.free(key);
            return self.arrival_failed(&arrival);
        }
        arrival.is_watched = true;
        let now = self.clock.now_ms();
        let deadline = after(now, arrival.chain.config.handshake_timeout);
        // What was read before is ciphertext still.
        let mut cipher = std::mem::take(&mut arrival.held);
        let fed = cipher.is_empty() || arrival.io.feed_tls(&mut cipher, &mut arrival.held);
        let stats = arrival.listener.stats();
        stats.gauge_inc(ListenerGauge::DownstreamPreCxActive);
        let pending = Box::new(Pending {
            key,
            arrival,
            deadline,
            listens: false,
        });
        let token = super::token(Kind::Pending, key);
        self.timers.arm(token, now, deadline);
        if fed {
            self.shake_hands_with_client(pending);
        } else {
            self.handshake_failed(pending);
        }
    }

    /// An event of a downstream that is none yet.
    pub fn pending_event(&mut self, key: Key, event: Readiness) {
        let Some(mut p) = self.pending.remove(&key) else {
            return;
        };
        p.arrival.readable |= event.readable | event.closing;
        p.arrival.peer_closed |= event.closing;
        if event.writable && p.arrival.io.backlog() > 0 && p.arrival.io.flush().is_err() {
            return self.handshake_failed(p);
        }
        self.shake_hands_with_client(p);
    }

    fn shake_hands_with_client(&mut self, mut p: Box<Pending>) {
        if p.listens {
            return self.hear_client(p);
        }
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let outcome = shake(&mut p.arrival, &mut scratch);
        self.scratch = scratch;
        match outcome {
            Handshake::More => self.still_pending(p),
            Handshake::Failed => self.handshake_failed(p),
            Handshake::Done => {
                let stats = p.arrival.listener.tls_stats();
                stats.ocsp(p.arrival.io.tls_ocsp());
                if let Some(info) = p.arrival.io.tls_info() {
                    stats.handshake(info);
                }
                self.introduce_to_client(p);
            }
        }
    }

    /// Before the chain's protocol come introductions, where ALPN came to that.
    fn introduce_to_client(&mut self, mut p: Box<Pending>) {
        let chain = &p.arrival.chain;
        let exchange = chain.config.istio.exchange.clone();
        // Requests never come with it: their chains do not agree to it.
        let idle = match &chain.service {
            Service::Tcp(tcp) => tcp.config.idle_timeout,
            Service::Http(_) => return self.pending_done(p),
        };
        let said = exchange.and_then(|exchange| self.introduction(&exchange, &p.arrival.io));
        let Some(said) = said else {
            return self.pending_done(p);
        };
        if p.arrival.io.write(&said, b"").is_err() {
            return self.handshake_failed(p);
        }
        let now = self.clock.now_ms();
        p.listens = true;
        p.deadline = after(now, idle);
        let token = super::token(Kind::Pending, p.key);
        self.timers.arm(token, now, p.deadline);
        self.hear_client(p);
    }

    fn hear_client(&mut self, mut p: Box<Pending>) {
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let a = &mut p.arrival;
        let (held, readable) = (&mut a.held, &mut a.readable);
        let heard = hear(&mut a.io, &mut scratch, held, readable, a.peer_closed);
        self.scratch = scratch;
        self.count_heard(&heard);
        match heard {
            Heard::More => self.still_pending(p),
            Heard::Said(workload) => {
                p.arrival.workload = workload;
                self.pending_done(p);
            }
            Heard::Foreign => self.pending_done(p),
            Heard::Failed => self.handshake_failed(p),
        }
    }

    fn still_pending(&mut self, p: Box<Pending>) {
        self.pending.insert(p.key, p);
    }

    fn pending_done(&mut self, mut p: Box<Pending>) {
        p.arrival.place = Some(p.key);
        let stats = p.arrival.listener.stats();
        stats.gauge_dec(ListenerGauge::DownstreamPreCxActive);
        self.serve(p.arrival);
    }

    fn handshake_failed(&mut self, p: Box<Pending>) {
        self.downstreams.free(p.key);
        let stats = p.arrival.listener.stats();
        stats.gauge_dec(ListenerGauge::DownstreamPreCxActive);
        if p.listens {
            return self.arrival_failed(&p.arrival);
        }
        let stats = p.arrival.listener.tls_stats();
        stats.ocsp(p.arrival.io.tls_ocsp());
        if let Some(error) = p.arrival.io.tls_failure() {
            stats.failure(Some(error));
        }
        self.arrival_failed(&p.arrival);
    }

    fn arrival_failed(&mut self, arrival: &Arrival) {
        self.log_arrival(arrival);
        self.count_connection_closed(&arrival.listener);
    }

    pub fn pending_timer(&mut self, key: Key) {
        let Some(p) = self.pending.remove(&key) else {
            return;
        };
        let now = self.clock.now_ms();
        if now >= p.deadline {
            if !p.listens {
                let stats = p.arrival.listener.stats();
                stats.inc(ListenerCounter::DownstreamCxTransportSocketConnectTimeout);
            }
            return self.handshake_failed(p);
        }
        let token = super::token(Kind::Pending, key);
        self.timers.arm(token, now, p.deadline);
        self.still_pending(p);
    }

    /// The transport is there: the terminal network filter takes over.
    fn serve(&mut self, mut arrival: Arrival) {
        let http = match &arrival.chain.service {
            Service::Http(http) => http,
            Service::Tcp(tcp) => {
                let tcp = Rc::clone(tcp);
                self.give_up_place(&mut arrival);
                return self.open_tunnel(tcp, arrival);
            }
        };
        let tls = arrival.io.tls_info().cloned();
        // A listener that was handed the connection need not have filters of its own.
        let is_known =
            !arrival.listener.config.filters.is_empty() || arrival.facts.destination_restored;
        let facts = is_known.then(|| Rc::new((*arrival.facts).clone()));
        let client = Rc::new(Client {
            peer: arrival.peer.clone(),
            direct_peer: arrival.facts.direct_source.clone(),
            local: arrival.local.clone(),
            facts,
            id: arrival.id,
            opened_ns: arrival.opened_ns,
            chain: Rc::clone(&arrival.chain),
            http: Rc::clone(http),
            listener: Rc::clone(&arrival.listener),
            tls,
            connection_facts: None,
            termination: None,
            received: Cell::new(0),
            sent: Cell::new(0),
            admission: arrival.admission.take().map(Rc::new),
            given_up: GivenUp::default(),
        });
        self.count_opened(&client);
        client.count_received(arrival.held.len());
        // The first bytes are for the filters.
        if client.speaks_http2() && client.chain.guards.is_empty() {
            self.give_up_place(&mut arrival);
            self.open_http2_server(client, arrival);
        } else {
            self.open_downstream(client, arrival);
        }
    }

    /// It becomes something else than a downstream.
    fn give_up_place(&mut self, arrival: &mut Arrival) {
        if let Some(key) = arrival.place.take() {
            self.downstreams.free(key);
        }
    }
}

enum Handshake {
    More,
    Done,
    Failed,
}

fn shake(arrival: &mut Arrival, scratch: &mut Scratch) -> Handshake {
    while arrival.io.is_handshaking() {
        match arrival.io.read(scratch) {
            Input::Data { bytes, drained } => {
                arrival.held.extend_from_slice(bytes);
                if drained && !arrival.peer_closed {
                    arrival.readable = false;
                }
            }
            Input::Interrupted => {}
            Input::Empty => {
                arrival.readable = false;
                return Handshake::More;
            }
            // It said goodbye right behind its last message: who serves it reads that again.
            Input::Eof if !arrival.io.is_handshaking() => return Handshake::Done,
            Input::Eof | Input::Broken => return Handshake::Failed,
        }
        if !arrival.readable && arrival.io.is_handshaking() {
            return Handshake::More;
        }
    }
    Handshake::Done
}
