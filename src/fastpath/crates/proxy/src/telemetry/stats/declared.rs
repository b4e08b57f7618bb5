//! The configured names as one set: simpler to keep right than a declaration and a forget each.

use std::collections::HashSet;

use super::Stats;

/// Everything that is configured and has statistics.
#[derive(Debug, Default, Clone)]
pub struct Declared {
    /// Stat names.
    pub clusters: HashSet<String>,
    /// Stat prefixes.
    pub hcms: HashSet<String>,
    pub listeners: HashSet<String>,
    /// (listener, connection manager)
    pub listener_http: HashSet<(String, String)>,
    /// (virtual host, stat prefix)
    pub routes: HashSet<(String, String)>,
}

impl Stats {
    /// Replaces all declarations, those by `declare_*` included: names that are not in `now` are
    /// forgotten, and their numbers go with the last worker that uses them.
    pub fn set_declared(&self, now: &Declared) {
        let joined = |pairs: &HashSet<(String, String)>, between: &str| -> HashSet<String> {
            let join = |(a, b): &(String, String)| format!("{a}{between}{b}");
            pairs.iter().map(join).collect()
        };
        let listener_http = joined(&now.listener_http, ".http.");
        let routes = joined(&now.routes, ".route.");
        self.with(|r| {
            r.clusters.set_declared(&now.clusters);
            r.hcms.set_declared(&now.hcms);
            r.listeners.set_declared(&now.listeners);
            r.listener_http.set_declared(&listener_http);
            r.routes.set_declared(&routes);
            r.memberships.retain(|name, _| r.clusters.has(name));
        });
    }
}
