//! What this sidecar says of itself on connections whose ALPN came to it
//! (`istio.metadata_exchange`), and what is counted of that.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use model::resources::istio::MetadataExchange;

use super::Worker;
use crate::cluster::ClusterRuntime;
use crate::net::introduction::Heard;
use crate::net::io::Io;
use crate::net::out_buffer::Gone;
use crate::telemetry::stats::{ExchangeCounter, ExchangeShard};

/// Lists of labels that are remembered; then it begins anew.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub struct Introductions {
    /// By the labels that are told, too.
    made: HashMap<Box<[Box<str>]>, Rc<[u8]>>,
    stats: OnceCell<Arc<ExchangeShard>>,
}

impl Worker {
    /// What the connection has to begin with; `None`: that was not agreed on.
    pub fn introduction(&mut self, exchange: &MetadataExchange, io: &Io) -> Option<Rc<[u8]>> {
        let agreed = io.tls_info().and_then(|info| info.alpn.as_deref());
        if agreed != Some(exchange.protocol.as_bytes()) {
            self.count_exchange(ExchangeCounter::AlpnProtocolNotFound);
            return None;
        }
        self.count_exchange(ExchangeCounter::AlpnProtocolFound);
        self.count_exchange(ExchangeCounter::MetadataAdded);
        let labels = exchange.additional_labels.as_slice();
        if let Some(made) = self.introductions.made.get(labels) {
            return Some(Rc::clone(made));
        }
        if self.introductions.made.len() >= MOST {
            self.introductions.made.clear();
        }
        let made: Rc<[u8]> = self.shared.local().told.introduction(labels).into();
        let kept = Rc::clone(&made);
        self.introductions.made.insert(labels.into(), kept);
        Some(made)
    }

    /// Tells a host, if its cluster wants that. True: the host is to tell who it is.
    pub fn introduce_to_host(
        &mut self,
        cluster: &ClusterRuntime,
        io: &mut Io,
    ) -> Result<bool, Gone> {
        let exchange = cluster.config.borrow().exchange.clone();
        let said = exchange.and_then(|exchange| self.introduction(&exchange, io));
        let Some(said) = said else { return Ok(false) };
        io.write(&said, b"")?;
        Ok(true)
    }

    /// Counts what listening to a peer came to.
    pub fn count_heard(&self, heard: &Heard) {
        match heard {
            Heard::Said(None) => self.count_exchange(ExchangeCounter::HeaderNotFound),
            Heard::Foreign => self.count_exchange(ExchangeCounter::InitialHeaderNotFound),
            Heard::Said(Some(_)) | Heard::More | Heard::Failed => {}
        }
    }

    fn count_exchange(&self, counter: ExchangeCounter) {
        let stats = &self.introductions.stats;
        stats
            .get_or_init(|| self.stats.metadata_exchange())
            .inc(counter);
    }
}
