use model::resources::istio::ServiceInfo;
use model::resources::istio_stats::Reporter;

use super::*;
use crate::telemetry::stats::Kind;

fn workload(name: &str, app: &str, cluster: &str) -> Workload {
    Workload {
        name: name.into(),
        namespace: "default".into(),
        canonical_name: app.into(),
        canonical_revision: "version-1".into(),
        app: app.into(),
        version: "v1".into(),
        cluster: cluster.into(),
        identity: "".into(),
    }
}

fn local(workload: Workload) -> Arc<Local> {
    Arc::new(Local {
        workload,
        ..Local::default()
    })
}

fn server() -> ClusterInfo {
    ClusterInfo {
        service: Some(ServiceInfo {
            host: "server.default.svc.cluster.local".into(),
            name: "server".into(),
            namespace: "default".into(),
        }),
        ..ClusterInfo::default()
    }
}

fn reports(reporter: Reporter, workload: Workload) -> (Reports, Stats) {
    let stats = Stats::new(1);
    let config = Arc::new(IstioStats::new(reporter));
    (Reports::new(&config, &local(workload), &stats), stats)
}

fn facts<'a>(peer: Option<&'a Arc<Workload>>, service: Service<'a>) -> Facts<'a> {
    Facts {
        peer,
        peer_principal: "",
        local_principal: "",
        service,
        flags: ResponseFlags::NONE,
        outcome: None,
        request: None,
    }
}

const OK: Option<Outcome> = Some(Outcome {
    code: 200,
    grpc: Grpc::No,
});

fn shown(stats: &Stats, metric: &str) -> Vec<String> {
    stats.flush_histograms();
    let text = stats.prometheus(Some("^istiocustom"), false).unwrap();
    let of_metric = |line: &&str| line.starts_with(&format!("{metric}{{"));
    text.lines().filter(of_metric).map(str::to_owned).collect()
}

/// Labels and values as Istio's own tests expect them of a client's sidecar.
#[test]
fn a_client_reports_its_source_and_the_service_it_called() {
    let (reports, stats) = reports(
        Reporter::Source,
        workload("productpage-v1", "productpage", "client-cluster"),
    );
    let peer = Arc::new(workload("ratings-v1", "ratings", "server-cluster"));
    let info = server();
    let service = Service::new(Some(b"x:80"), "default", Some(("c", Some(&info))));
    let facts = Facts {
        outcome: OK,
        ..facts(Some(&peer), service)
    };
    for _ in 0..3 {
        reports.series(&facts).add(Metric::RequestsTotal, 1);
    }
    assert_eq!(
        shown(&stats, "istio_requests_total"),
        [concat!(
            r#"istio_requests_total{reporter="source",source_workload="productpage-v1","#,
            r#"source_canonical_service="productpage",source_canonical_revision="version-1","#,
            r#"source_workload_namespace="default",source_principal="unknown","#,
            r#"source_app="productpage",source_version="v1",source_cluster="client-cluster","#,
            r#"destination_workload="ratings-v1",destination_workload_namespace="default","#,
            r#"destination_principal="unknown",destination_app="ratings","#,
            r#"destination_version="v1","#,
            r#"destination_service="server.default.svc.cluster.local","#,
            r#"destination_canonical_service="ratings","#,
            r#"destination_canonical_revision="version-1",destination_service_name="server","#,
            r#"destination_service_namespace="default",destination_cluster="server-cluster","#,
            r#"request_protocol="http",response_code="200",grpc_response_status="","#,
            r#"response_flags="-",connection_security_policy="unknown"} 3"#,
        )]
    );
}

/// As Istio's `tcp_server_connection_open`, and what is left without an exchange of metadata.
#[test]
fn a_server_reports_bytes_of_a_client_that_it_knows_by_certificate_only() {
    let (reports, stats) = reports(
        Reporter::Destination,
        workload("ratings-v1", "ratings", "server-cluster"),
    );
    let info = server();
    let facts = Facts {
        peer_principal: "spiffe://cluster.local/ns/shop/sa/client",
        local_principal: "spiffe://cluster.local/ns/default/sa/server",
        ..facts(None, Service::new(None, "", Some(("c", Some(&info)))))
    };
    reports.series(&facts).add(Metric::TcpOpened, 1);
    let [line] = &*shown(&stats, "istio_tcp_connections_opened_total") else {
        panic!("one series");
    };
    for label in [
        r#"reporter="destination""#,
        r#"source_workload="unknown""#,
        r#"source_canonical_revision="latest""#,
        r#"source_workload_namespace="shop""#,
        r#"source_principal="spiffe://cluster.local/ns/shop/sa/client""#,
        r#"destination_principal="spiffe://cluster.local/ns/default/sa/server""#,
        r#"destination_service_name="server""#,
        r#"request_protocol="tcp",response_flags="-",connection_security_policy="mutual_tls""#,
    ] {
        assert!(line.contains(label), "{label}: {line}");
    }
    assert!(!line.contains("response_code="), "{line}");
}

#[test]
fn services_that_nobody_names() {
    let named = |route: &str, cluster: &str| {
        let service = Service::new(Some(b"outside:80"), route, Some((cluster, None)));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(service.host), text(service.name))
    };
    let pair = |host: &str, name: &str| (host.to_owned(), name.to_owned());
    assert_eq!(named("r", "c"), pair("outside:80", "outside:80"));
    assert_eq!(
        named("block_all", "c"),
        pair("outside:80", "BlackHoleCluster")
    );
    assert_eq!(
        named("allow_any", "c"),
        pair("outside:80", "PassthroughCluster")
    );
    assert_eq!(
        named("r", "InboundPassthroughCluster"),
        pair("outside:80", "InboundPassthroughCluster")
    );
    let none = Service::new(None, "r", None);
    assert_eq!(none, Service::default());
}

#[test]
fn what_differs_in_any_fact_is_another_series_and_what_does_not_is_the_same() {
    let (reports, _) = reports(Reporter::Destination, Workload::default());
    let (a, b) = (
        Arc::new(workload("a", "a", "c")),
        Arc::new(workload("b", "b", "c")),
    );
    let base = Facts {
        outcome: OK,
        ..facts(Some(&a), Service::default())
    };
    let again = Arc::new(workload("a", "a", "c"));
    let same = Facts {
        peer: Some(&again),
        ..base
    };
    let first = reports.series(&base);
    assert!(Rc::ptr_eq(&first, &reports.series(&same)));
    let others = [
        Facts {
            peer: Some(&b),
            ..base
        },
        Facts { peer: None, ..base },
        Facts {
            peer_principal: "spiffe://x",
            ..base
        },
        Facts {
            flags: ResponseFlags::FAULT_INJECTED,
            ..base
        },
        Facts {
            outcome: Some(Outcome {
                code: 503,
                grpc: Grpc::No,
            }),
            ..base
        },
        Facts {
            outcome: Some(Outcome {
                code: 200,
                grpc: Grpc::Status(0),
            }),
            ..base
        },
    ];
    for other in &others {
        assert!(!Rc::ptr_eq(&first, &reports.series(other)), "{other:?}");
    }
}

#[test]
fn the_table_is_bounded_and_series_are_found_again() {
    let (reports, stats) = reports(Reporter::Source, Workload::default());
    for n in 0..MOST + 10 {
        let host = format!("host{n}");
        let service = Service::new(Some(host.as_bytes()), "r", None);
        let facts = Facts {
            outcome: OK,
            ..facts(None, service)
        };
        reports.series(&facts).add(Metric::RequestsTotal, 1);
    }
    assert!(reports.table.borrow().entries <= MOST);
    let facts = Facts {
        outcome: OK,
        ..facts(None, Service::new(Some(b"host3"), "r", None))
    };
    reports.series(&facts).add(Metric::RequestsTotal, 1);
    let lines = shown(&stats, "istio_requests_total");
    let of_host: Vec<_> = lines.iter().filter(|l| l.contains("\"host3\"")).collect();
    assert!(
        of_host.len() == 1 && of_host[0].ends_with("} 2"),
        "{of_host:?}"
    );
    // Four series each: the limit of the process is reached, and counted.
    let text = stats
        .text(Some("series_overflow"), true, Kind::All)
        .unwrap();
    assert!(text.starts_with("istio_stats.series_overflow: "), "{text}");
}
