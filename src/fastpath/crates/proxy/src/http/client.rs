//! What is known of the connection a request came by, whatever carries it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::matching::Peer;
use model::resources::address::Address;
use model::resources::hcm::Codec;
use tls::Info;

use crate::listener::ConnectionFacts;
use crate::telemetry::stats::{HcmCounter, HcmGauge, ListenerCounter, ListenerGauge};
use crate::upstream::given_up::GivenUp;
use crate::worker::Worker;
use crate::worker::admission::Admission;
use crate::worker::chain::{ChainRuntime, HttpRuntime};
use crate::worker::config::ListenerRuntime;

/// Shared by all streams of a connection.
#[derive(Debug)]
pub struct Client {
    /// The client's address: the peer's, or what PROXY protocol says.
    pub peer: Address,
    /// Of the socket.
    pub direct_peer: Address,
    pub local: Address,
    pub id: u64,
    pub opened_ns: u64,
    pub chain: Rc<ChainRuntime>,
    pub listener: Rc<ListenerRuntime>,
    pub http: Rc<HttpRuntime>,
    /// What the handshake agreed on; `None`: plain.
    pub tls: Option<Arc<Info>>,
    /// What listener filters found out, of this listener or of the one that handed the connection
    /// on; `None`: nothing.
    pub facts: Option<Rc<ConnectionFacts>>,
    /// With what network filters found out, which is nothing to requests; `None`: there are none.
    pub connection_facts: Option<Rc<ConnectionFacts>>,
    /// Why a network filter ended it: `%CONNECTION_TERMINATION_DETAILS%`.
    pub termination: Option<Box<str>>,
    /// Bytes of the connection either way, without those of TLS.
    pub received: Cell<u64>,
    pub sent: Cell<u64>,
    /// Its place in the chain's connection limit, given up with the last of these.
    pub admission: Option<Rc<Admission>>,
    pub given_up: GivenUp,
}

/// What a connection speaks with us, for statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    Http2,
}

impl Client {
    /// For a request of our own that one of its requests is the cause of, which holds no place of its
    /// connection and has nothing of what is its own.
    pub fn of_ours(of: &Self) -> Self {
        Self {
            peer: of.peer.clone(),
            direct_peer: of.direct_peer.clone(),
            local: of.local.clone(),
            id: of.id,
            opened_ns: of.opened_ns,
            chain: Rc::clone(&of.chain),
            listener: Rc::clone(&of.listener),
            http: Rc::clone(&of.http),
            tls: None,
            facts: None,
            connection_facts: None,
            termination: None,
            admission: None,
            given_up: GivenUp::default(),
            received: Cell::default(),
            sent: Cell::default(),
        }
    }

    /// What it showed of itself, for routes that ask.
    pub fn shown(&self) -> Peer {
        let certificate = self.tls.as_ref().and_then(|info| info.peer.as_ref());
        Peer {
            presented: certificate.is_some(),
            validated: certificate.is_some_and(|c| c.validated),
        }
    }

    /// All that listener and network filters found out.
    pub fn known_facts(&self) -> Option<&ConnectionFacts> {
        self.connection_facts.as_deref().or(self.facts.as_deref())
    }

    /// Whether HTTP/2 was agreed on. (Without TLS its first bytes tell.)
    pub fn speaks_http2(&self) -> bool {
        let alpn = self.tls.as_ref().and_then(|info| info.alpn.as_deref());
        match self.http.hcm.codec {
            Codec::Http1 => false,
            Codec::Http2 => true,
            Codec::Auto => alpn == Some(b"h2"),
        }
    }

    /// So many bytes came.
    pub fn count_received(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.received.set(self.received.get().wrapping_add(bytes));
        let stats = self.http.stats();
        stats.add(HcmCounter::DownstreamCxRxBytesTotal, bytes);
    }

    /// So many were sent, or wait to be.
    pub fn count_sent(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.sent.set(self.sent.get().wrapping_add(bytes));
        let stats = self.http.stats();
        stats.add(HcmCounter::DownstreamCxTxBytesTotal, bytes);
    }

    /// It has not closed within `delayed_close_timeout`, though it was told to.
    pub fn count_delayed_close(&self) {
        let stats = self.http.stats();
        stats.inc(HcmCounter::DownstreamCxDelayedCloseTimeout);
    }

    /// The buffer limit above which the other side is not read.
    pub fn buffer_limit(&self) -> usize {
        self.listener.config.per_connection_buffer_limit_bytes
    }

    /// Its connections are to end as they become idle.
    pub fn is_draining(&self, worker: &Worker) -> bool {
        self.http.draining.get()
            || worker
                .shared
                .is_draining(self.listener.config.drain_modify_only)
    }
}

impl Worker {
    /// A connection was accepted.
    pub fn count_opened(&self, client: &Client) {
        let stats = client.http.stats();
        stats.inc(HcmCounter::DownstreamCxTotal);
        stats.gauge_inc(HcmGauge::DownstreamCxActive);
        if client.tls.is_some() {
            stats.inc(HcmCounter::DownstreamCxSslTotal);
            stats.gauge_inc(HcmGauge::DownstreamCxSslActive);
        }
    }

    /// And it has shown what it speaks.
    pub fn count_spoken(&self, client: &Client, spoken: Spoken) {
        let (total, active) = match spoken {
            Spoken::Http1 => (
                HcmCounter::DownstreamCxHttp1Total,
                HcmGauge::DownstreamCxHttp1Active,
            ),
            Spoken::Http2 => (
                HcmCounter::DownstreamCxHttp2Total,
                HcmGauge::DownstreamCxHttp2Active,
            ),
        };
        let stats = client.http.stats();
        stats.inc(total);
        stats.gauge_inc(active);
    }

    /// A connection ended. `local`: because we wanted it.
    pub fn count_closed(&mut self, client: &Client, spoken: Option<Spoken>, local: bool) {
        self.log_client(client, spoken);
        let http = client.http.stats();
        http.inc(HcmCounter::DownstreamCxDestroy);
        if local {
            http.inc(HcmCounter::DownstreamCxDestroyLocal);
        }
        http.gauge_dec(HcmGauge::DownstreamCxActive);
        if client.tls.is_some() {
            http.gauge_dec(HcmGauge::DownstreamCxSslActive);
        }
        match spoken {
            Some(Spoken::Http1) => http.gauge_dec(HcmGauge::DownstreamCxHttp1Active),
            Some(Spoken::Http2) => http.gauge_dec(HcmGauge::DownstreamCxHttp2Active),
            None => {}
        }
        self.count_connection_closed(&client.listener);
    }

    /// A socket was accepted; it is no connection of its listener before it has a filter chain.
    pub fn count_accepted(&self) {
        self.shared
            .active_connections
            .fetch_add(1, Ordering::Relaxed);
    }

    /// And it never got one.
    pub fn count_refused(&self, listener: &ListenerRuntime) {
        if let Some(balance) = &listener.balance {
            balance.sub(self.index);
        }
        self.shared
            .active_connections
            .fetch_sub(1, Ordering::Relaxed);
    }

    /// It has a filter chain.
    pub fn count_connection_opened(&self, listener: &ListenerRuntime) {
        let stats = listener.stats();
        stats.inc(ListenerCounter::DownstreamCxTotal);
        stats.gauge_inc(ListenerGauge::DownstreamCxActive);
    }

    pub fn count_connection_closed(&self, listener: &ListenerRuntime) {
        let stats = listener.stats();
        stats.inc(ListenerCounter::DownstreamCxDestroy);
        stats.gauge_dec(ListenerGauge::DownstreamCxActive);
        self.count_refused(listener);
    }
}
