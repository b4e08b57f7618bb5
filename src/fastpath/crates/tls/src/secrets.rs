//! Secrets by name.

use std::sync::Arc;

use model::resources::tls::Secret;

/// Where secrets are found by name: `Snapshot::secrets`.
pub trait Secrets {
    fn secret(&self, name: &str) -> Option<&Arc<Secret>>;
}

impl Secrets for model::resources::Snapshot {
    fn secret(&self, name: &str) -> Option<&Arc<Secret>> {
        self.secrets.get(name)
    }
}
