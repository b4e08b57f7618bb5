//! What peers have said of themselves by header: each text is read once.

use std::collections::HashMap;
use std::sync::Arc;

use model::resources::istio::Workload;

/// Then the cache begins anew.
const MOST: usize = 512;

/// By the header's value. (Istio's goes by the peer's ID, which anybody may claim.)
#[derive(Debug, Default)]
pub struct Peers {
    metadata: Read,
    baggage: Read,
}

#[derive(Debug, Default)]
struct Read(HashMap<Box<[u8]>, Arc<Workload>>);

impl Peers {
    /// Of `x-envoy-peer-metadata`; `None`: it cannot be understood.
    pub fn of_header(&mut self, value: &[u8]) -> Option<Arc<Workload>> {
        self.metadata.once(value, Workload::of_header)
    }

    /// Of `baggage`.
    pub fn of_baggage(&mut self, value: &[u8]) -> Option<Arc<Workload>> {
        self.baggage.once(value, Workload::of_baggage)
    }
}

impl Read {
    fn once(&mut self, value: &[u8], read: fn(&[u8]) -> Option<Workload>) -> Option<Arc<Workload>> {
        if let Some(known) = self.0.get(value) {
            return Some(Arc::clone(known));
        }
        // What cannot be understood is not kept.
        let read = Arc::new(read(value)?);
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert(value.into(), Arc::clone(&read));
        Some(read)
    }
}
