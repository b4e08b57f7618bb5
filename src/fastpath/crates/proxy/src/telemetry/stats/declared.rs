//! The configured names as one set: simpler to keep right than a declaration and a forget each.

use std::collections::HashSet;

use super::{HTTP_INSPECTOR, Stats, TLS_INSPECTOR, TlsOwner, proxy_protocol_name};
use super::{
    ext_authz_name, http_prefix, jwt_authn_name, outliers_name, rbac_name, rbac_prefixed_name,
};

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
    /// Some listener has a TLS inspector.
    pub tls_inspector: bool,
    pub http_inspector: bool,
    /// Stat prefixes of PROXY protocol filters.
    pub proxy_protocols: HashSet<String>,
    /// Those of `listeners` and `clusters` that speak TLS.
    pub tls_listeners: HashSet<String>,
    pub tls_clusters: HashSet<String>,
    /// Stat prefixes of TCP proxies, of connection limits.
    pub tcps: HashSet<String>,
    pub connection_limits: HashSet<String>,
    /// Stat names of clusters with `outlier_detection`.
    pub outliers: HashSet<String>,
    pub network_ext_authz: HashSet<String>,
    /// (stat prefix, that of shadow rules)
    pub rbac: HashSet<(String, String)>,
    /// (stat prefix of the connection manager, that of rules, that of shadow rules)
    pub http_rbac: HashSet<(String, String, String)>,
    /// Stat prefixes of connection managers with such a filter.
    pub faults: HashSet<String>,
    pub cors: HashSet<String>,
    /// (stat prefix of the connection manager, that of the filter)
    pub ext_authz: HashSet<(String, String)>,
    pub jwt_authn: HashSet<(String, String)>,
    /// (virtual host, stat prefix)
    pub routes: HashSet<(String, String)>,
}

impl Stats {
    /// Replaces all declarations: names that are not in `now` are forgotten, and their numbers go
    /// with the last worker that uses them.
    pub fn set_declared(&self, now: &Declared) {
        let joined = |pairs: &HashSet<(String, String)>, between: &str| -> HashSet<String> {
            let join = |(a, b): &(String, String)| format!("{a}{between}{b}");
            pairs.iter().map(join).collect()
        };
        let listener_http = joined(&now.listener_http, ".http.");
        let routes = joined(&now.routes, ".route.");
        let one = |is_there: bool, name: &str| -> HashSet<String> {
            is_there.then(|| name.to_owned()).into_iter().collect()
        };
        let tls_inspectors = one(now.tls_inspector, TLS_INSPECTOR);
        let http_inspectors = one(now.http_inspector, HTTP_INSPECTOR);
        let proxy_protocols = now.proxy_protocols.iter();
        let proxy_protocols = proxy_protocols.map(|p| proxy_protocol_name(p)).collect();
        let mut rbac: HashSet<_> = now.rbac.iter().map(|(p, _)| rbac_name(p)).collect();
        let rbac_shadow = now.rbac.iter();
        let rbac_shadow = rbac_shadow.map(|(p, shadow)| rbac_prefixed_name(p, shadow));
        let mut rbac_shadow: HashSet<_> = rbac_shadow.collect();
        for (hcm, prefix, shadow_prefix) in &now.http_rbac {
            rbac.insert(rbac_prefixed_name(&http_prefix(hcm), prefix));
            rbac_shadow.insert(rbac_prefixed_name(&http_prefix(hcm), shadow_prefix));
        }
        let of_hcms = |hcms: &HashSet<String>, what: &str| -> HashSet<String> {
            hcms.iter().map(|hcm| format!("{hcm}.{what}")).collect()
        };
        let outliers = now.outliers.iter();
        let outliers = outliers.map(|name| outliers_name(name)).collect();
        let faults = of_hcms(&now.faults, "fault");
        let cors = of_hcms(&now.cors, "cors");
        let ext_authz = now.ext_authz.iter();
        let ext_authz = ext_authz.map(|(hcm, prefix)| ext_authz_name(hcm, prefix));
        let ext_authz = ext_authz.collect();
        let jwt_authn = now.jwt_authn.iter();
        let jwt_authn = jwt_authn
            .map(|(hcm, prefix)| jwt_authn_name(hcm, prefix))
            .collect();
        let owners = || {
            let listeners = now
                .tls_listeners
                .iter()
                .map(|name| TlsOwner::Listener(name));
            listeners.chain(now.tls_clusters.iter().map(|name| TlsOwner::Cluster(name)))
        };
        let tls = owners().map(TlsOwner::handshakes).collect();
        let tls_contexts = owners().map(TlsOwner::contexts).collect();
        self.with(|r| {
            r.tls.set_declared(&tls);
            r.tls_contexts.set_declared(&tls_contexts);
            r.clusters.set_declared(&now.clusters);
            r.hcms.set_declared(&now.hcms);
            r.listeners.set_declared(&now.listeners);
            r.listener_http.set_declared(&listener_http);
            r.tls_inspectors.set_declared(&tls_inspectors);
            r.http_inspectors.set_declared(&http_inspectors);
            r.proxy_protocols.set_declared(&proxy_protocols);
            r.tcps.set_declared(&now.tcps);
            r.connection_limits.set_declared(&now.connection_limits);
            r.outliers.set_declared(&outliers);
            r.network_ext_authz.set_declared(&now.network_ext_authz);
            r.rbac.set_declared(&rbac);
            r.rbac_shadow.set_declared(&rbac_shadow);
            r.faults.set_declared(&faults);
            r.cors.set_declared(&cors);
            r.ext_authz.set_declared(&ext_authz);
            r.jwt_authn.set_declared(&jwt_authn);
            r.routes.set_declared(&routes);
            r.memberships.retain(|name, _| r.clusters.has(name));
        });
    }
}
