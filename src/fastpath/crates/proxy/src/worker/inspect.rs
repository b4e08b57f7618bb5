//! Connections whose listener filters look at their first bytes, and the choice of the listener
//! and the filter chain that follows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use model::resources::address::Address;

use super::config::ListenerRuntime;
use super::pending::Arrival;
use super::slots::Key;
use super::{Kind, Readiness, Worker};
use crate::http::deadlines::after;
use crate::listener::{ConnectionFacts, Inspection, Step};
use crate::net::io::{Input, Io, Scratch};
use crate::net::socket;
use crate::telemetry::log::Level;
use crate::telemetry::stats::{ListenerCounter, ListenerGauge};

/// A connection that has no filter chain yet.
#[derive(Debug)]
pub struct Accepted {
    pub io: Io,
    pub facts: Box<ConnectionFacts>,
    pub listener: Rc<ListenerRuntime>,
    /// What was read of it.
    pub bytes: Vec<u8>,
    /// Its socket is known to epoll.
    pub is_watched: bool,
    /// It came from the listener that it was redirected to, and stays where it is now.
    pub is_handed_on: bool,
    pub readable: bool,
    pub peer_closed: bool,
}

#[derive(Debug)]
pub struct Inspecting {
    key: Key,
    accepted: Accepted,
    inspection: Inspection,
    deadline: u64,
}

impl Worker {
    /// A connection was accepted.
    pub fn accepted(
        &mut self,
        io: Io,
        peer: Address,
        local: Address,
        listener: Rc<ListenerRuntime>,
    ) {
        self.count_accepted();
        let mut facts = Box::new(ConnectionFacts::new(local, peer));
        if listener.asks_original_destination {
            // What TPROXY gave to a transparent socket goes where its local address says.
            let is_transparent = listener.config.socket.transparent;
            let own = facts.direct_destination.socket_addr();
            let own = own.filter(|_| is_transparent);
            facts.redirected_from = socket::original_destination(&io).or(own);
        }
        self.inspect(Accepted {
            io,
            facts,
            listener,
            bytes: Vec::new(),
            is_watched: false,
            is_handed_on: false,
            readable: false,
            peer_closed: false,
        });
    }

    /// Runs the listener filters, as far as they get without reading.
    fn inspect(&mut self, mut accepted: Accepted) {
        if accepted.listener.config.filters.is_empty() {
            return self.choose_listener(accepted);
        }
        let mut inspection = Inspection::default();
        match step(&mut inspection, &mut accepted) {
            Step::NeedMore => self.wait_for_bytes(accepted, inspection),
            step => self.inspected(accepted, &step),
        }
    }

    fn wait_for_bytes(&mut self, mut accepted: Accepted, inspection: Inspection) {
        let key = self.inspecting.reserve();
        let adopted = self.adopt(Kind::Inspecting, key, &accepted.io, accepted.is_watched);
        if adopted.is_err() {
            self.inspecting.free(key);
            return self.count_refused(&accepted.listener);
        }
        accepted.is_watched = true;
        let stats = accepted.listener.stats();
        stats.gauge_inc(ListenerGauge::DownstreamPreCxActive);
        let now = self.clock.now_ms();
        let deadline = after(now, accepted.listener.config.filters_timeout);
        let i = Box::new(Inspecting {
            key,
            accepted,
            inspection,
            deadline,
        });
        let token = super::token(Kind::Inspecting, key);
        self.timers.arm(token, now, deadline);
        self.inspecting.put(key, i);
    }

    pub fn inspecting_event(&mut self, key: Key, event: Readiness) {
        let Some(mut i) = self.inspecting.take(key) else {
            return;
        };
        i.accepted.readable |= event.readable | event.closing;
        i.accepted.peer_closed |= event.closing;
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let outcome = read_on(&mut i, &mut scratch);
        self.scratch = scratch;
        match outcome {
            Progress::Waits => self.inspecting.put(key, i),
            Progress::Step(step) => {
                let accepted = self.end_inspection(*i);
                self.inspected(accepted, &step);
            }
            Progress::Gone(counter) => {
                let accepted = self.end_inspection(*i);
                accepted.listener.stats().inc(counter);
                self.refuse(&accepted, false);
            }
        }
    }

    pub fn inspecting_timer(&mut self, key: Key) {
        let Some(i) = self.inspecting.take(key) else {
            return;
        };
        let now = self.clock.now_ms();
        if now < i.deadline {
            let token = super::token(Kind::Inspecting, key);
            self.timers.arm(token, now, i.deadline);
            self.inspecting.put(key, i);
            return;
        }
        let given_up = i.inspection.give_up();
        let accepted = self.end_inspection(*i);
        let stats = accepted.listener.stats();
        stats.inc(ListenerCounter::DownstreamPreCxTimeout);
        if accepted.listener.config.continue_on_filters_timeout {
            self.inspected(accepted, &given_up);
        } else {
            self.refuse(&accepted, false);
        }
    }

    fn end_inspection(&mut self, i: Inspecting) -> Accepted {
        self.inspecting.free(i.key);
        let stats = i.accepted.listener.stats();
        stats.gauge_dec(ListenerGauge::DownstreamPreCxActive);
        i.accepted
    }

    fn inspected(&mut self, mut accepted: Accepted, step: &Step) {
        match step {
            Step::Done { consumed } => {
                let consumed = (*consumed).min(accepted.bytes.len());
                accepted.bytes.drain(..consumed);
                self.choose_listener(accepted);
            }
            Step::Reject(why) => {
                let listener = &accepted.listener;
                crate::log!(
                    Level::Debug,
                    "connection",
                    "listener {}: {} is closed: {why}",
                    listener.config.name,
                    accepted.facts.direct_source
                );
                self.refuse(&accepted, false);
            }
            // Asked for and answered by whoever called.
            Step::NeedMore => self.refuse(&accepted, false),
        }
    }

    fn refuse(&mut self, accepted: &Accepted, is_without_chain: bool) {
        self.log_refused(&accepted.listener, &accepted.facts, is_without_chain);
        self.count_refused(&accepted.listener);
    }

    /// `use_original_dst`: another listener may be the one that the connection was meant for.
    fn choose_listener(&mut self, mut accepted: Accepted) {
        if accepted.listener.config.use_original_dst
            && accepted.facts.destination_restored
            && !accepted.is_handed_on
        {
            let found = self.listener_for(&accepted.facts.destination);
            if let Some(other) = found.filter(|other| !Rc::ptr_eq(other, &accepted.listener)) {
                if let Some(balance) = &accepted.listener.balance {
                    balance.sub(self.index);
                }
                if let Some(balance) = &other.balance {
                    balance.add(self.index);
                }
                accepted.listener = other;
                accepted.is_handed_on = true;
                return self.inspect(accepted);
            }
        }
        self.choose_chain(accepted);
    }

    /// The listener of exactly this address, else the one of its port on every address.
    fn listener_for(&self, destination: &Address) -> Option<Rc<ListenerRuntime>> {
        let found = self.by_address.get(destination);
        let of_port = || self.by_address.get(&any_of_its_port(destination)?);
        found.or_else(of_port).cloned()
    }

    fn choose_chain(&mut self, accepted: Accepted) {
        let matching = accepted.facts.for_matching();
        let Some(chain) = accepted.listener.chain(&matching).map(Rc::clone) else {
            let stats = accepted.listener.stats();
            stats.inc(ListenerCounter::NoFilterChainMatch);
            return self.refuse(&accepted, true);
        };
        let Accepted {
            io,
            facts,
            listener,
            ..
        } = accepted;
        self.count_connection_opened(&listener);
        let id = self
            .shared
            .next_connection_id
            .fetch_add(1, Ordering::Relaxed);
        self.begin_chain(Arrival {
            workload: None,
            io,
            peer: facts.source.clone(),
            local: facts.destination.clone(),
            facts,
            id,
            opened_ns: self.clock.now_ns(),
            listener,
            chain,
            held: accepted.bytes,
            is_watched: accepted.is_watched,
            place: None,
            admission: None,
            readable: accepted.readable,
            peer_closed: accepted.peer_closed,
        });
    }
}

/// The same port on every address; `None`: a pipe, which has neither.
fn any_of_its_port(address: &Address) -> Option<Address> {
    let any: IpAddr = match address.ip()? {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    Some(SocketAddr::new(any, address.port()?).into())
}

enum Progress {
    Waits,
    Step(Step),
    Gone(ListenerCounter),
}

fn step(inspection: &mut Inspection, accepted: &mut Accepted) -> Step {
    inspection.step(
        &accepted.listener.config.filters,
        &accepted.listener.filter_stats,
        &accepted.bytes,
        &mut accepted.facts,
    )
}

/// Reads until the filters know.
fn read_on(i: &mut Inspecting, scratch: &mut Scratch) -> Progress {
    while i.accepted.readable {
        // What no filter looks at waits in the socket.
        let enough = i
            .inspection
            .read_at_most(&i.accepted.listener.config.filters);
        let missing = enough.saturating_sub(i.accepted.bytes.len()).max(1);
        match i.accepted.io.read_at_most(missing, scratch) {
            Input::Data { bytes, drained } => {
                i.accepted.bytes.extend_from_slice(bytes);
                if drained && !i.accepted.peer_closed {
                    i.accepted.readable = false;
                }
            }
            Input::Interrupted => continue,
            Input::Empty => {
                i.accepted.readable = false;
                break;
            }
            Input::Eof => {
                return Progress::Gone(ListenerCounter::DownstreamListenerFilterRemoteClose);
            }
            Input::Broken => return Progress::Gone(ListenerCounter::DownstreamListenerFilterError),
        }
        match step(&mut i.inspection, &mut i.accepted) {
            Step::NeedMore => {}
            step => return Progress::Step(step),
        }
    }
    Progress::Waits
}
