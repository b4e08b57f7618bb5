//! What tests of outlier detection begin with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::resources::address::Address;
use model::resources::cluster::{Endpoints, HealthStatus, Locality, UpstreamProtocol};
use model::resources::outlier::{Consecutive, FailurePercentage, OutlierDetection, SuccessRate};

use super::{Detector, Monitor, Origin, Reports, Verdict};
use crate::cluster::host::{Host, HostShards};
use crate::cluster::testing::endpoint;
use crate::telemetry::stats::{OutlierCounter, OutlierGauge, OutlierShard};

/// Envoy's defaults with some changes.
pub fn config(change: impl FnOnce(&mut OutlierDetection)) -> Arc<OutlierDetection> {
    let row = |enforcing| Consecutive {
        failures: 5,
        enforcing,
    };
    let mut config = OutlierDetection {
        interval: Duration::from_secs(10),
        base_ejection_time: Duration::from_secs(30),
        max_ejection_time: Duration::from_secs(300),
        max_ejection_time_jitter: Duration::ZERO,
        max_ejection_percent: 10,
        always_eject_one_host: false,
        split_external_local_origin_errors: false,
        consecutive_5xx: row(100),
        consecutive_gateway_failure: row(0),
        consecutive_local_origin_failure: row(100),
        success_rate: SuccessRate {
            minimum_hosts: 5,
            request_volume: 100,
            stdev_factor: 1900,
            enforcing: 100,
            enforcing_local_origin: 100,
        },
        failure_percentage: FailurePercentage {
            threshold: 85,
            minimum_hosts: 5,
            request_volume: 50,
            enforcing: 0,
            enforcing_local_origin: 0,
        },
        close_connections: false,
        error_statuses: None,
    };
    change(&mut config);
    Arc::new(config)
}

pub fn monitor(config: Arc<OutlierDetection>) -> (Arc<Monitor>, Arc<Reports>) {
    let reports = Arc::<Reports>::default();
    let address = endpoint(1, 1).address;
    let monitor = Monitor::new(&config, &reports, &"c".into(), address);
    (Arc::new(monitor), reports)
}

/// A host with a monitor.
pub fn watched_host(config: Arc<OutlierDetection>) -> (Host, Arc<Reports>) {
    let (monitor, reports) = monitor(config);
    let shards = HostShards::default();
    let protocol = UpstreamProtocol::Http1;
    let mut host = Host::new(&endpoint(1, 1), None, &shards, protocol, 0);
    host.monitor = Some(monitor);
    (host, reports)
}

/// A detector of hosts by port, from 1 on, and a clock.
pub struct Bench {
    pub detector: Detector,
    pub stats: Arc<OutlierShard>,
    reports: Arc<Reports>,
    now: Instant,
    endpoints: Arc<Endpoints>,
    monitors: Vec<Arc<Monitor>>,
}

impl Bench {
    pub fn new(hosts: u16, config: Arc<OutlierDetection>) -> Self {
        let (stats, reports) = (Arc::<OutlierShard>::default(), Arc::<Reports>::default());
        let shard = Arc::clone(&stats);
        let mut bench = Self {
            detector: Detector::new(&config, &"c".into(), &reports, shard, 1),
            stats,
            reports,
            now: Instant::now(),
            endpoints: Arc::default(),
            monitors: Vec::new(),
        };
        bench.set_hosts(&(1..=hosts).collect::<Vec<_>>());
        bench
    }

    pub fn set_hosts(&mut self, ports: &[u16]) {
        let hosts = ports.iter().map(|port| endpoint(*port, 1)).collect();
        self.set_endpoints(Endpoints {
            hosts,
            ..Endpoints::default()
        });
    }

    /// To another zone.
    pub fn move_host(&mut self, port: u16) {
        let mut endpoints = Endpoints::clone(&self.endpoints);
        for host in &mut endpoints.hosts {
            if host.address.port() == Some(port) {
                host.locality = Arc::new(Locality {
                    zone: "other".into(),
                    ..Locality::default()
                });
            }
        }
        self.set_endpoints(endpoints);
    }

    fn set_endpoints(&mut self, endpoints: Endpoints) {
        self.endpoints = Arc::new(endpoints);
        self.detector.set_hosts(&self.endpoints);
        self.monitors = self.detector.monitors(&self.endpoints);
    }

    pub fn monitor(&self, port: u16) -> &Arc<Monitor> {
        let is_its = |monitor: &&Arc<Monitor>| monitor.address.port() == Some(port);
        self.monitors.iter().find(is_its).unwrap()
    }

    /// All that monitors have reported.
    pub fn judge(&mut self) -> Verdict {
        let mut verdict = Verdict::default();
        for report in self.reports.take() {
            self.detector.judge(&report, self.now, &mut verdict);
        }
        verdict
    }

    /// A look at all hosts, so many seconds later.
    pub fn after(&mut self, seconds: u64) -> Verdict {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).unwrap();
        let mut verdict = Verdict::default();
        self.detector.sweep(self.now, &mut verdict);
        verdict
    }

    pub fn ports<'a>(addresses: impl Iterator<Item = &'a Address>) -> Vec<u16> {
        addresses.filter_map(Address::port).collect()
    }

    /// Those that workers are told not to use.
    pub fn judged_out(&self) -> Vec<u16> {
        let judged = self.detector.judged(&self.endpoints);
        let out = judged.hosts.iter();
        out.filter(|host| host.health == HealthStatus::Unhealthy)
            .filter_map(|host| host.address.port())
            .collect()
    }

    pub fn rate(&self, port: u16) -> f64 {
        let address = endpoint(port, 1).address;
        self.detector.success_rate(&address, Origin::External)
    }

    pub fn count(&self, counter: OutlierCounter) -> u64 {
        self.stats.counter(counter)
    }

    pub fn active(&self) -> u64 {
        self.stats.gauge(OutlierGauge::EjectionsActive)
    }
}
