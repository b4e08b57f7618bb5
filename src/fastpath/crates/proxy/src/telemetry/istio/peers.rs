//! What peers have said of themselves by header: each text is read once.

use std::collections::HashMap;
use std::sync::Arc;

use model::resources::istio::Workload;

/// Then the cache begins anew.
const MOST: usize = 512;

/// By the header's value. (Istio's goes by the peer's ID, which anybody may claim.)
#[derive(Debug, Default)]
pub struct Peers(HashMap<Box<[u8]>, Arc<Workload>>);

impl Peers {
    /// `None`: it cannot be understood.
    pub fn of_header(&mut self, value: &[u8]) -> Option<Arc<Workload>> {
        if let Some(known) = self.0.get(value) {
            return Some(Arc::clone(known));
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
        // What cannot be understood is not kept, either.
        let read = Arc::new(Workload::of_header(value)?);
        self.0.insert(value.into(), Arc::clone(&read));
        Some(read)
    }
}
