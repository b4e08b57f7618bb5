//! Envoy's default tag rules, for the names we print: `cluster.c1.x` is `cluster.x{cluster_name=c1}`.

use std::borrow::Cow;

/// A name without its tags, and the tags in Envoy's order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tagged {
    pub(super) name: String,
    pub(super) tags: Vec<(Cow<'static, str>, String)>,
}

/// Takes the tags out of a stat's full name.
pub(super) fn extract(full: &str) -> Tagged {
    let mut out = Tagged {
        name: full.to_owned(),
        tags: Vec::new(),
    };
    response_code(&mut out);
    virtual_cluster(&mut out);
    if let Some(rest) = full.strip_prefix("http.") {
        route_config(&mut out);
        if let Some((prefix, _)) = rest.split_once('.') {
            http_filter(&mut out, prefix);
            out.take("envoy_http_conn_manager_prefix", "http.", prefix);
        }
    } else if let Some(rest) = full.strip_prefix("listener.") {
        listener(&mut out, rest);
    } else if let Some(rest) = full.strip_prefix("cluster.") {
        tls(&mut out, "cipher_suite");
        if let Some((cluster, _)) = rest.split_once('.') {
            out.take("envoy_cluster_name", "cluster.", cluster);
            cluster_filter(&mut out);
        }
    } else if let Some(rest) = full.strip_prefix("tcp.") {
        if let Some((prefix, _)) = rest.split_once('.') {
            out.take("envoy_tcp_prefix", "tcp.", prefix);
        }
    } else if let Some(rest) = full.strip_prefix("vhost.") {
        virtual_host(&mut out, rest);
    } else if let Some(rest) = full.strip_prefix("proxy_proto.") {
        proxy_protocol(&mut out, rest);
    } else {
        for start in [
            "server.",
            "thread_local_cluster_manager.",
            "listener_manager.",
        ] {
            if let Some(rest) = full.strip_prefix(start) {
                worker(&mut out, start, rest);
            }
        }
    }
    rbac(&mut out, full);
    out
}

impl Tagged {
    /// Cuts `value` and the dot after it out of the name, where it stands behind `before`.
    fn take(&mut self, tag: &'static str, before: &str, value: &str) {
        let whole = format!("{before}{value}.");
        if let Some(at) = self.name.find(&whole) {
            let end = at.saturating_add(whole.len());
            let keep = at.saturating_add(before.len());
            self.name.replace_range(keep..end, "");
            self.tags.push((tag.into(), value.to_owned()));
        }
    }
}

/// `_rq_200` becomes `_rq`, `_rq_2xx` becomes `_rq_xx`.
fn response_code(out: &mut Tagged) {
    let Some((head, code)) = out.name.rsplit_once("_rq_") else {
        return;
    };
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    if digits(code, 3) {
        out.tags
            .push(("envoy_response_code".into(), code.to_owned()));
        out.name = format!("{head}_rq");
    } else if let Some(class) = code.strip_suffix("xx").filter(|class| digits(class, 1)) {
        out.tags
            .push(("envoy_response_code_class".into(), class.to_owned()));
        out.name = format!("{head}_rq_xx");
    }
}

/// `http.<prefix>.rds.<route configuration>.<stat>`
fn route_config(out: &mut Tagged) {
    let name = out.name.clone();
    let Some((prefix, rest)) = name.strip_prefix("http.").and_then(|r| r.split_once('.')) else {
        return;
    };
    if let Some((config, _)) = rest.strip_prefix("rds.").and_then(|r| r.rsplit_once('.')) {
        out.take(
            "envoy_rds_route_config",
            &format!("http.{prefix}.rds."),
            config,
        );
    }
}

/// `vhost.<virtual host>.vcluster.<virtual cluster>.<stat>`
fn virtual_cluster(out: &mut Tagged) {
    let name = out.name.clone();
    let Some((host, rest)) = name.strip_prefix("vhost.").and_then(|r| r.split_once('.')) else {
        return;
    };
    if let Some((cluster, _)) = rest
        .strip_prefix("vcluster.")
        .and_then(|r| r.split_once('.'))
    {
        out.take(
            "envoy_virtual_cluster",
            &format!("vhost.{host}.vcluster."),
            cluster,
        );
    }
}

/// `vhost.<virtual host>.route.<route>.<stat>`
fn virtual_host(out: &mut Tagged, rest: &str) {
    let Some((host, rest)) = rest.split_once('.') else {
        return;
    };
    out.take("envoy_virtual_host", "vhost.", host);
    if let Some((route, _)) = rest.strip_prefix("route.").and_then(|r| r.split_once('.')) {
        out.take("envoy_route", "vhost.route.", route);
    }
}

/// `proxy_proto.<prefix>.versions.v<n>.<stat>`, without the prefix or without the version.
fn proxy_protocol(out: &mut Tagged, rest: &str) {
    const VERSION: &str = "versions.v";
    let mut rest = rest;
    if !rest.starts_with(VERSION)
        && let Some((prefix, after)) = rest.split_once('.')
    {
        out.take("envoy_proxy_protocol_prefix", "proxy_proto.", prefix);
        rest = after;
    }
    if let Some((version, _)) = rest.strip_prefix(VERSION).and_then(|r| r.split_once('.')) {
        let before = format!("proxy_proto.{VERSION}");
        out.take("envoy_proxy_protocol_version", &before, version);
        out.name = out.name.replacen(&before, "proxy_proto.", 1);
    }
}

/// `http.<prefix>.rbac.<prefix of rules>.<stat>`, `http.<prefix>.fault.<cluster>.<stat>`,
/// `http.<prefix>.ext_authz.<prefix of the filter>.<stat>`
fn http_filter(out: &mut Tagged, prefix: &str) {
    for (tag, filter) in [
        ("envoy_rbac_http_prefix", "rbac"),
        ("envoy_fault_downstream_cluster", "fault"),
        ("envoy_ext_authz_prefix", "ext_authz"),
    ] {
        let before = format!("http.{prefix}.{filter}.");
        let rest = out.name.strip_prefix(&before);
        if let Some((value, _)) = rest.and_then(|rest| rest.split_once('.')) {
            let value = value.to_owned();
            out.take(tag, &before, &value);
        }
    }
}

/// `cluster.<cluster>.ext_authz.<prefix of the filter>.<stat>`, the cluster apart.
fn cluster_filter(out: &mut Tagged) {
    const BEFORE: &str = "cluster.ext_authz.";
    let rest = out.name.strip_prefix(BEFORE);
    if let Some((value, _)) = rest.and_then(|rest| rest.split_once('.')) {
        let value = value.to_owned();
        out.take("envoy_ext_authz_prefix", BEFORE, &value);
    }
}

/// `<prefix>.rbac.<stat>`; the prefix `tcp` makes a TCP proxy's of it, too.
fn rbac(out: &mut Tagged, full: &str) {
    let Some((prefix, rest)) = full.split_once('.') else {
        return;
    };
    if !rest.starts_with("rbac.") {
        return;
    }
    let name = out.name.strip_prefix(prefix).map(str::to_owned);
    if let Some(name) = name.as_deref().and_then(|name| name.strip_prefix('.')) {
        out.name = name.to_owned();
        out.tags
            .insert(0, ("envoy_rbac_prefix".into(), prefix.to_owned()));
    }
}

/// `listener.<address>.http.<prefix>.<stat>`, `listener.<address>.worker_<n>.<stat>`
fn listener(out: &mut Tagged, rest: &str) {
    let Some((address, rest)) = split_address(rest) else {
        return;
    };
    let start = format!("listener.{address}.");
    if let Some((prefix, _)) = rest.strip_prefix("http.").and_then(|r| r.split_once('.')) {
        out.take(
            "envoy_http_conn_manager_prefix",
            &format!("{start}http."),
            prefix,
        );
    }
    worker(out, &start, rest);
    tls(out, "envoy_ssl_cipher");
    if address != "admin" {
        out.take("envoy_listener_address", "listener.", address);
    }
}

/// `….ssl.ciphers.<cipher>` and its like; `….ssl.certificate.<name>.<stat>`. Envoy's two tags for
/// ciphers have nothing in common.
fn tls(out: &mut Tagged, cipher: &'static str) {
    const CERTIFICATE: &str = ".ssl.certificate.";
    let Some(at) = out.name.find(".ssl.") else {
        return;
    };
    for (tag, kind) in [
        (cipher, "ciphers"),
        ("envoy_ssl_curve", "curves"),
        ("envoy_ssl_sigalg", "sigalgs"),
        ("envoy_ssl_version", "versions"),
    ] {
        let start = format!(".ssl.{kind}.");
        let rest = out
            .name
            .get(at..)
            .and_then(|rest| rest.strip_prefix(&start));
        if let Some(value) = rest.map(str::to_owned) {
            out.name
                .truncate(at.saturating_add(start.len()).saturating_sub(1));
            out.tags.push((tag.into(), value));
            return;
        }
    }
    let rest = out
        .name
        .get(at..)
        .and_then(|rest| rest.strip_prefix(CERTIFICATE));
    if let Some((name, _)) = rest.and_then(|rest| rest.rsplit_once('.')) {
        let name = name.to_owned();
        out.take("envoy_tls_certificate", CERTIFICATE, &name);
    }
}

/// An IPv4 address with its port has dots of its own; other names end at the first one.
fn split_address(rest: &str) -> Option<(&str, &str)> {
    let end = rest
        .char_indices()
        .filter(|&(_, c)| c == '.')
        .map(|(at, _)| at)
        .nth(3);
    if let Some((address, stat)) = end.and_then(|at| rest.split_at_checked(at)) {
        let numeric = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let (ip, port) = address.rsplit_once('_').unwrap_or((address, ""));
        if numeric(port) && ip.split('.').count() == 4 && ip.split('.').all(numeric) {
            return Some((address, stat.strip_prefix('.')?));
        }
    }
    rest.split_once('.')
}

/// `worker_<n>.` becomes `worker.`.
fn worker(out: &mut Tagged, start: &str, rest: &str) {
    let Some((number, _)) = rest.strip_prefix("worker_").and_then(|r| r.split_once('.')) else {
        return;
    };
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) {
        let (from, to) = (
            format!("{start}worker_{number}."),
            format!("{start}worker."),
        );
        out.name = out.name.replacen(&from, &to, 1);
        out.tags.push(("envoy_worker_id".into(), number.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(full: &str) -> String {
        let tagged = extract(full);
        let tags: Vec<_> = tagged
            .tags
            .iter()
            .map(|(k, v)| format!("{}={v}", k.trim_start_matches("envoy_")))
            .collect();
        format!("{} {}", tagged.name, tags.join(","))
    }

    /// As Envoy 1.40 printed them, dots in names included.
    #[test]
    fn names_lose_their_tags() {
        for (full, want) in [
            (
                "cluster.hop.ssl.ciphers.TLS_AES_128_GCM_SHA256",
                "cluster.ssl.ciphers cipher_suite=TLS_AES_128_GCM_SHA256,cluster_name=hop",
            ),
            (
                "cluster.up.ssl.sigalgs.ecdsa_secp256r1_sha256",
                "cluster.ssl.sigalgs ssl_sigalg=ecdsa_secp256r1_sha256,cluster_name=up",
            ),
            (
                "listener.0.0.0.0_80.ssl.versions.TLSv1.3",
                "listener.ssl.versions ssl_version=TLSv1.3,listener_address=0.0.0.0_80",
            ),
            (
                "listener.l.ssl.certificate.a.b.expiration_unix_time_seconds",
                "listener.ssl.certificate.expiration_unix_time_seconds \
                 tls_certificate=a.b,listener_address=l",
            ),
            (
                "cluster.c1.external.upstream_rq_503",
                "cluster.external.upstream_rq response_code=503,cluster_name=c1",
            ),
            (
                "cluster.c1.upstream_rq_5xx",
                "cluster.upstream_rq_xx response_code_class=5,cluster_name=c1",
            ),
            (
                "cluster.out|80||a.b.version",
                "cluster.b.version cluster_name=out|80||a",
            ),
            (
                "cluster_manager.cds.version",
                "cluster_manager.cds.version ",
            ),
            (
                "http.a.b.downstream_rq_1xx",
                "http.b.downstream_rq_xx response_code_class=1,http_conn_manager_prefix=a",
            ),
            (
                "http.p.rds.r1.x.version",
                "http.rds.version rds_route_config=r1.x,http_conn_manager_prefix=p",
            ),
            (
                "http.a.b.rds.r1.x.version",
                "http.b.rds.r1.x.version http_conn_manager_prefix=a",
            ),
            ("http1.response_flood", "http1.response_flood "),
            (
                "listener.127.0.0.1_29001.http.in.downstream_rq_2xx",
                "listener.http.downstream_rq_xx response_code_class=2,http_conn_manager_prefix=in,listener_address=127.0.0.1_29001",
            ),
            (
                "listener.127.0.0.1_29001.worker_0.downstream_cx_total",
                "listener.worker.downstream_cx_total worker_id=0,listener_address=127.0.0.1_29001",
            ),
            (
                "listener.[__1]_29102.no_filter_chain_match",
                "listener.no_filter_chain_match listener_address=[__1]_29102",
            ),
            (
                "listener.in.bound.worker_0.downstream_cx_total",
                "listener.bound.worker_0.downstream_cx_total listener_address=in",
            ),
            (
                "listener.admin.http.admin.downstream_rq_2xx",
                "listener.admin.http.downstream_rq_xx response_code_class=2,http_conn_manager_prefix=admin",
            ),
            (
                "listener.admin.main_thread.downstream_cx_total",
                "listener.admin.main_thread.downstream_cx_total ",
            ),
            (
                "server.worker_1.watchdog_miss",
                "server.worker.watchdog_miss worker_id=1",
            ),
            (
                "server.main_thread.watchdog_miss",
                "server.main_thread.watchdog_miss ",
            ),
            (
                "vhost.v.vcluster.vc.upstream_rq_200",
                "vhost.vcluster.upstream_rq response_code=200,virtual_cluster=vc,virtual_host=v",
            ),
            (
                "vhost.v.route.rp.upstream_rq_time",
                "vhost.route.upstream_rq_time virtual_host=v,route=rp",
            ),
            (
                "vhost.v.h.route.rp.upstream_rq_time",
                "vhost.h.route.rp.upstream_rq_time virtual_host=v",
            ),
            ("tcp.tp.idle_timeout", "tcp.idle_timeout tcp_prefix=tp"),
            ("in.rbac.allowed", "rbac.allowed rbac_prefix=in"),
            (
                "tcp.rbac.allowed",
                "allowed rbac_prefix=tcp,tcp_prefix=rbac",
            ),
            (
                "in.rbac.dry_.shadow_denied",
                "rbac.dry_.shadow_denied rbac_prefix=in",
            ),
            ("a.b.rbac.denied", "a.b.rbac.denied "),
            (
                "http.in.rbac.allowed",
                "http.rbac.allowed http_conn_manager_prefix=in",
            ),
            (
                "http.in.rbac.dry_.shadow_denied",
                "http.rbac.shadow_denied rbac_http_prefix=dry_,http_conn_manager_prefix=in",
            ),
            (
                "http.in.fault.web.x.aborts_injected",
                "http.fault.x.aborts_injected \
                 fault_downstream_cluster=web,http_conn_manager_prefix=in",
            ),
            (
                "http.in.ext_authz.one.ok",
                "http.ext_authz.ok ext_authz_prefix=one,http_conn_manager_prefix=in",
            ),
            (
                "cluster.c.ext_authz.ok",
                "cluster.ext_authz.ok cluster_name=c",
            ),
            (
                "cluster.c.ext_authz.one..ok",
                "cluster.ext_authz..ok cluster_name=c,ext_authz_prefix=one",
            ),
            (
                "proxy_proto.not_found_allowed",
                "proxy_proto.not_found_allowed ",
            ),
            (
                "proxy_proto.foo.not_found_allowed",
                "proxy_proto.not_found_allowed proxy_protocol_prefix=foo",
            ),
            (
                "proxy_proto.versions.v2.found",
                "proxy_proto.found proxy_protocol_version=2",
            ),
            (
                "proxy_proto.foo.versions.v1.error",
                "proxy_proto.error proxy_protocol_prefix=foo,proxy_protocol_version=1",
            ),
        ] {
            assert_eq!(shown(full), want, "{full}");
        }
    }
}
