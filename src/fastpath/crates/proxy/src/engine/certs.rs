//! The certificates in use, for `/certs`.

use std::time::SystemTime;

use super::Engine;

impl Engine {
    /// Envoy's `/certs` of the configuration that is ready.
    #[must_use]
    pub fn certs_json(&self) -> String {
        // A snapshot is a few maps of `Arc`s: the lock is not held while certificates are read.
        let snapshot = self.control.lock().store.snapshot();
        model::certs::to_json(&snapshot, SystemTime::now())
    }
}
