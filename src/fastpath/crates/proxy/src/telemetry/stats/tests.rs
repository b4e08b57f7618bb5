//! Against what Envoy 1.40 prints for one listener, one cluster and eight requests.

use super::*;
use std::collections::{BTreeSet, HashSet};

/// The counts that made the goldens.
fn after_traffic() -> Stats {
    let stats = Stats::new(1);
    stats.set_declared(&Declared {
        clusters: one("c1"),
        hcms: one("ingress"),
        listeners: one("127.0.0.1_29001"),
        listener_http: [("127.0.0.1_29001".to_owned(), "ingress".to_owned())].into(),
        ..Declared::default()
    });
    stats.set_membership(
        "c1",
        Membership {
            total: 1,
            healthy: 1,
            ..Membership::default()
        },
    );
    let cluster = stats.cluster("c1");
    for counter in [
        ClusterCounter::Http1DroppedHeadersWithUnderscores,
        ClusterCounter::Http1MetadataNotSupportedError,
        ClusterCounter::Http1RequestsRejectedWithUnderscoresInHeaders,
        ClusterCounter::Http1ResponseFlood,
    ] {
        cluster.inc(counter);
    }
    (0..6).for_each(|_| cluster.response_code(200, false));
    cluster.response_code(503, false);
    [0, 41, 41, 43, 45, 47]
        .into_iter()
        .for_each(|ms| cluster.response_time(ms, false));
    stats.flush_histograms();
    stats
}

fn one(name: &str) -> HashSet<String> {
    [name.to_owned()].into()
}

/// Of one cluster.
fn cluster(name: &str) -> Declared {
    Declared {
        clusters: one(name),
        ..Declared::default()
    }
}

fn names(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.split_once(": ").map(|(name, _)| name))
        .collect()
}

/// Envoy's names and kinds, and only those.
#[test]
fn names_and_kinds_are_envoys() {
    let stats = after_traffic();
    for (kind, golden) in [
        (Kind::Counters, include_str!("golden_counters.txt")),
        (Kind::Gauges, include_str!("golden_gauges.txt")),
        (Kind::Histograms, include_str!("golden_histograms.txt")),
    ] {
        let ours = stats.text(None, false, kind).unwrap();
        let want: BTreeSet<&str> = golden.lines().collect();
        let ours = names(&ours);
        let missing: Vec<_> = want.difference(&ours).collect();
        let extra: Vec<_> = ours.difference(&want).collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "missing {missing:?}, extra {extra:?}"
        );
    }
}

#[test]
fn the_order_is_envoys() {
    let ours = after_traffic().text(None, false, Kind::All).unwrap();
    let ours: Vec<_> = ours
        .lines()
        .filter_map(|l| l.split_once(": "))
        .map(|(n, _)| n)
        .collect();
    let want: Vec<_> = include_str!("golden_order.txt").lines().collect();
    assert_eq!(ours, want);
}

/// Every series: name, type, tags and their order.
#[test]
fn prometheus_series_are_envoys() {
    let ours = after_traffic().prometheus(None, false).unwrap();
    let ours: Vec<_> = ours
        .lines()
        .map(|line| {
            if line.starts_with('#') {
                line
            } else {
                line.rsplit_once(' ').unwrap().0
            }
        })
        .collect();
    let want: Vec<_> = include_str!("golden_prometheus.txt").lines().collect();
    for (ours, want) in ours.iter().zip(&want) {
        assert_eq!(ours, want);
    }
    assert_eq!(ours.len(), want.len());
}

#[test]
fn histograms_read_as_envoys() {
    let stats = after_traffic();
    let text = stats
        .text(Some("c1.upstream_rq_(time|per)"), false, Kind::Histograms)
        .unwrap();
    assert_eq!(
        text,
        "cluster.c1.upstream_rq_per_cx: No recorded values\n\
         cluster.c1.upstream_rq_time: P0(0,0) P25(41.333333333333336,41.333333333333336) \
         P50(41.666666666666664,41.666666666666664) P75(45.5,45.5) P90(47.5,47.5) P95(47.5,47.5) \
         P99(47.5,47.5) P99.5(47.5,47.5) P99.9(47.5,47.5) P100(47.5,47.5)\n"
    );
    stats.flush_histograms();
    let text = stats
        .text(Some("c1.upstream_rq_time"), true, Kind::All)
        .unwrap();
    assert!(text.starts_with("cluster.c1.upstream_rq_time: P0(nan,0) P25(nan,41.333333333333336)"));
    let prometheus = stats
        .prometheus(Some("c1.upstream_rq_time"), false)
        .unwrap();
    assert!(prometheus.contains("le=\"25\"} 1\n") && prometheus.contains("le=\"50\"} 6\n"));
    assert!(prometheus.ends_with("_count{envoy_cluster_name=\"c1\"} 6\n"));
}

#[test]
fn json_has_envoys_shape() {
    let stats = after_traffic();
    stats.set_text("listener_manager.lds.version_text", "v\"7");
    let json = stats
        .json(
            Some("c1.upstream_rq_(200|per_cx)|version_text"),
            false,
            Kind::All,
        )
        .unwrap();
    let nulls = ["{\"cumulative\":null,\"interval\":null}"; 10].join(",");
    assert_eq!(
        json,
        format!(
            "{{\"stats\":[{{\"name\":\"listener_manager.lds.version_text\",\"value\":\"v\\\"7\"}},\
             {{\"name\":\"cluster.c1.upstream_rq_200\",\"value\":6}},\
             {{\"histograms\":{{\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100],\
             \"computed_quantiles\":[{{\"name\":\"cluster.c1.upstream_rq_per_cx\",\"values\":[{nulls}]}}]}}}}]}}"
        )
    );
    assert_eq!(
        stats.json(Some("nothing"), false, Kind::All).unwrap(),
        "{\"stats\":[]}"
    );
    let text = stats
        .text(Some("version_text"), false, Kind::TextReadouts)
        .unwrap();
    assert_eq!(text, "listener_manager.lds.version_text: \"v\"7\"\n");
    assert!(
        stats
            .text(Some("["), false, Kind::All)
            .unwrap_err()
            .to_string()
            .starts_with("Invalid re2 regex")
    );
    assert_eq!(Kind::parse("foo"), None);
}

fn value(stats: &Stats, name: &str) -> Option<u64> {
    let text = stats
        .text(
            Some(&format!("^{}$", regex::escape(name))),
            false,
            Kind::All,
        )
        .unwrap();
    text.trim()
        .rsplit_once(": ")
        .and_then(|(_, n)| n.parse().ok())
}

#[test]
fn workers_add_up_and_resets_only_move_the_baseline() {
    let stats = Stats::new(2);
    stats.set_declared(&cluster("a"));
    let shards = [stats.cluster("a"), stats.cluster("a")];
    for shard in &shards {
        shard.inc(ClusterCounter::UpstreamCxTotal);
        shard.gauge_inc(ClusterGauge::UpstreamCxActive);
        shard.response_code(200, true);
    }
    stats.add("cluster.a.update_success", 3);
    assert_eq!(value(&stats, "cluster.a.upstream_cx_total"), Some(2));
    assert_eq!(value(&stats, "cluster.a.upstream_cx_active"), Some(2));
    assert_eq!(value(&stats, "cluster.a.internal.upstream_rq_2xx"), Some(2));
    assert_eq!(value(&stats, "cluster.a.external.upstream_rq_2xx"), None);
    assert_eq!(value(&stats, "cluster.a.update_success"), Some(3));
    stats.reset_counters();
    assert_eq!(value(&stats, "cluster.a.upstream_cx_total"), Some(0));
    assert_eq!(value(&stats, "cluster.a.upstream_rq_200"), Some(0));
    assert_eq!(value(&stats, "cluster.a.update_success"), Some(0));
    assert_eq!(value(&stats, "cluster.a.upstream_cx_active"), Some(2));
    shards[0].inc(ClusterCounter::UpstreamCxTotal);
    shards[1].response_code(200, true);
    assert_eq!(value(&stats, "cluster.a.upstream_cx_total"), Some(1));
    assert_eq!(value(&stats, "cluster.a.upstream_rq_completed"), Some(1));
}

#[test]
fn shards_pass_from_owner_to_owner() {
    let stats = Stats::new(1);
    stats.set_declared(&cluster("a"));
    let shard = stats.cluster("a");
    shard.inc(ClusterCounter::UpstreamRqTotal);
    drop(shard);
    let (again, other) = (stats.cluster("a"), stats.cluster("a"));
    assert!(!Arc::ptr_eq(&again, &other));
    assert_eq!(again.counter(ClusterCounter::UpstreamRqTotal), 1);
    stats.set_declared(&Declared::default());
    // Connections still drain: the numbers stay until they are gone.
    assert_eq!(value(&stats, "cluster.a.upstream_rq_total"), Some(1));
    drop((again, other));
    assert_eq!(value(&stats, "cluster.a.upstream_rq_total"), None);
}

#[test]
fn names_are_made_fit_for_statistics() {
    let stats = Stats::new(1);
    stats.set_declared(&cluster("outbound|80||a:b"));
    assert_eq!(
        value(&stats, "cluster.outbound|80||a_b.upstream_rq_total"),
        Some(0)
    );
}

#[test]
fn a_set_replaces_all_declarations() {
    let stats = Stats::new(1);
    stats.set_declared(&Declared {
        hcms: one("old"),
        ..Declared::default()
    });
    assert_eq!(value(&stats, "http.old.no_route"), Some(0));
    let mut declared = Declared::default();
    declared.clusters.insert("a".to_owned());
    declared
        .listener_http
        .insert(("l".to_owned(), "h".to_owned()));
    stats.set_declared(&declared);
    stats.set_declared(&declared);
    assert_eq!(value(&stats, "http.old.no_route"), None);
    assert_eq!(value(&stats, "cluster.a.upstream_rq_total"), Some(0));
    assert_eq!(
        value(&stats, "listener.l.http.h.downstream_rq_2xx"),
        Some(0)
    );
    let draining = stats.cluster("a");
    stats.set_declared(&Declared::default());
    assert_eq!(value(&stats, "cluster.a.upstream_rq_total"), Some(0));
    assert_eq!(value(&stats, "listener.l.http.h.downstream_rq_2xx"), None);
    drop(draining);
    assert_eq!(value(&stats, "cluster.a.upstream_rq_total"), None);
}

#[test]
fn listener_filters_show_once_configured() {
    let stats = Stats::new(1);
    assert_eq!(value(&stats, "tls_inspector.tls_found"), None);
    assert_eq!(value(&stats, "downstream_cx_proxy_proto_error"), None);
    let mut declared = Declared {
        tls_inspector: true,
        ..Declared::default()
    };
    declared.proxy_protocols = ["".to_owned(), "p".to_owned()].into();
    stats.set_declared(&declared);
    assert_eq!(value(&stats, "tls_inspector.tls_found"), Some(0));
    assert_eq!(value(&stats, "http_inspector.read_error"), None);
    let (plain, prefixed) = (stats.proxy_protocol(""), stats.proxy_protocol("p"));
    plain.inc(ProxyProtocolCounter::V1Error);
    plain.inc(ProxyProtocolCounter::V1Disallowed);
    prefixed.inc(ProxyProtocolCounter::NotFoundDisallowed);
    assert_eq!(value(&stats, "proxy_proto.versions.v1.error"), Some(1));
    assert_eq!(value(&stats, "proxy_proto.p.not_found_disallowed"), Some(1));
    assert_eq!(value(&stats, "downstream_cx_proxy_proto_error"), Some(2));
    stats.reset_counters();
    assert_eq!(value(&stats, "downstream_cx_proxy_proto_error"), Some(0));
}

#[test]
fn listeners_show_their_workers() {
    let stats = Stats::new(2);
    stats.set_declared(&Declared {
        listeners: one("l"),
        ..Declared::default()
    });
    let shard = stats.listener("l", 1);
    shard.inc(ListenerCounter::DownstreamCxTotal);
    shard.gauge_inc(ListenerGauge::DownstreamCxActive);
    shard.gauge_dec(ListenerGauge::DownstreamCxActive);
    shard.gauge_dec(ListenerGauge::DownstreamCxActive);
    assert_eq!(value(&stats, "listener.l.downstream_cx_total"), Some(1));
    assert_eq!(
        value(&stats, "listener.l.worker_0.downstream_cx_total"),
        Some(0)
    );
    assert_eq!(
        value(&stats, "listener.l.worker_1.downstream_cx_total"),
        Some(1)
    );
    assert_eq!(
        value(&stats, "listener.l.worker_1.downstream_cx_active"),
        Some(0)
    );
    let used = stats.text(Some("^listener.l"), true, Kind::Gauges).unwrap();
    assert_eq!(used.lines().count(), 2, "{used}");
}

/// Entities below others appear with their first use, kinds of handshakes when they happened.
#[test]
fn tls_and_http2_have_names_of_their_own() {
    let stats = Stats::new(1);
    let tls = stats.tls(TlsOwner::Listener("l"));
    tls.handshake(&::tls::Info {
        version: Some(::tls::Version::V1_3),
        group: Some("X25519"),
        ..::tls::Info::default()
    });
    tls.failure(None);
    let http2 = stats.cluster_http2("c");
    http2.add_seen(&proto::h2::Stats {
        rx_reset: 2,
        ..proto::h2::Stats::default()
    });
    for (name, want) in [
        ("listener.l.ssl.handshake", Some(1)),
        ("listener.l.ssl.no_certificate", Some(1)),
        ("listener.l.ssl.session_reused", Some(0)),
        ("listener.l.ssl.connection_error", Some(1)),
        ("listener.l.ssl.versions.TLSv1.3", Some(1)),
        ("listener.l.ssl.versions.TLSv1.2", None),
        ("listener.l.ssl.curves.X25519", Some(1)),
        ("cluster.c.http2.rx_reset", Some(2)),
        ("cluster.c.http2.streams_active", Some(0)),
        ("http2.rx_reset", None),
    ] {
        assert_eq!(value(&stats, name), want, "{name}");
    }
}

#[test]
fn shards_are_small() {
    assert!(
        size_of::<ClusterShard>() <= 1536,
        "{}",
        size_of::<ClusterShard>()
    );
    assert!(size_of::<HcmShard>() <= 1024, "{}", size_of::<HcmShard>());
    assert!(
        size_of::<ListenerShard>() <= 256,
        "{}",
        size_of::<ListenerShard>()
    );
}

#[test]
fn a_change_of_members_is_counted_by_priority() {
    let stats = Stats::new(1);
    stats.set_declared(&cluster("c"));
    let membership = |healthy, members: &[u64]| Membership {
        total: 3,
        healthy,
        members: members.to_vec(),
        ..Membership::default()
    };
    let changes = || {
        let text = stats.text(None, false, Kind::Counters).unwrap();
        let name = "cluster.c.membership_change: ";
        let found = text.lines().find_map(|line| line.strip_prefix(name));
        found.map(str::to_owned)
    };
    for (now, expected) in [
        (membership(3, &[1, 0, 2]), "2"),
        // Their health only.
        (membership(2, &[1, 0, 2]), "2"),
        (membership(2, &[1, 2]), "4"),
        (membership(2, &[3]), "6"),
        (membership(2, &[3]), "6"),
    ] {
        stats.set_membership("c", now);
        assert_eq!(changes().as_deref(), Some(expected));
    }
}
