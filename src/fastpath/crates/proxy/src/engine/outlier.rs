//! Outlier detection on the control side: one thread waits for what workers report and for the next
//! look at all hosts of a cluster, and hands the workers what follows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use model::resources::cluster::{Cluster, Discovery, Endpoints};

use super::{ClusterEntry, Control, State};
use crate::cluster::host_set::HostSet;
use crate::cluster::outlier::{Detector, Report, Reports, Verdict, event_log};
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::log::Level;
use crate::worker::command::Command;

/// More entries than this are worth a look for those whose cluster is gone.
const FEW_SWEEPS: usize = 64;

/// When to look at which clusters: soonest first. One that is gone, or another one by now, has
/// another number.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    due: BinaryHeap<Reverse<(Instant, u64, Arc<str>)>>,
    last_number: u64,
}

/// A cluster's detector.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) detector: Detector,
    number: u64,
}

impl Control {
    /// What watches the hosts of a cluster: `before` if it is the same one. `None`: nothing does.
    /// Hosts of ORIGINAL_DST are nobody's choice.
    pub(super) fn watched(
        self: &Arc<Self>,
        sweeps: &mut Sweeps,
        cluster: &Cluster,
        before: Option<Watched>,
    ) -> Option<Watched> {
        let config = cluster.outlier_detection.as_ref()?;
        if before.is_some() || matches!(cluster.discovery, Discovery::OriginalDst(_)) {
            return before;
        }
        let reports = self.reports()?;
        let detector = Detector::new(
            config,
            &cluster.name,
            reports,
            self.stats.outliers(&cluster.stat_name),
            fastrand::u64(..),
        );
        sweeps.last_number = sweeps.last_number.wrapping_add(1);
        let watched = Watched {
            detector,
            number: sweeps.last_number,
        };
        sweeps.add(&watched, &cluster.name, Instant::now());
        reports.call();
        Some(watched)
    }

    /// Where workers report to, with the thread that listens. `None`: the thread cannot be.
    fn reports(self: &Arc<Self>) -> Option<&Arc<Reports>> {
        let reports = self.reports.get_or_init(|| {
            let reports = Arc::<Reports>::default();
            let (control, queue) = (Arc::downgrade(self), Arc::clone(&reports));
            let logs = self.logs.worker();
            let started = std::thread::Builder::new()
                .name("outliers".to_owned())
                .stack_size(256 * 1024)
                .spawn(move || run(&control, &queue, logs));
            match started {
                Ok(_) => Some(reports),
                Err(e) => {
                    crate::log!(
                        Level::Error,
                        "upstream",
                        "outlier detection is off, its thread cannot start: {e}"
                    );
                    None
                }
            }
        });
        reports.as_ref()
    }

    pub(super) fn stop_watching(&self) {
        if let Some(Some(reports)) = self.reports.get() {
            reports.close();
        }
    }

    /// Judges what was reported and looks at the clusters whose time it is. Appends to `log` what
    /// came of it, and returns when it is the time of the next one.
    fn judge(&self, reports: &[Report], log: &mut String) -> Option<Instant> {
        let mut state = self.lock();
        let state = &mut *state;
        let now = Instant::now();
        let mut changed: Vec<(Arc<str>, Verdict)> = Vec::new();
        for report in reports {
            let name = report.monitor.cluster();
            let entry = state.clusters.get_mut(name);
            let Some(watched) = entry.and_then(|entry| entry.watched.as_mut()) else {
                continue;
            };
            let mut verdict = Verdict::default();
            watched.detector.judge(report, now, &mut verdict);
            changed.push((Arc::clone(name), verdict));
        }
        while let Some(name) = state.sweeps.next(now) {
            let Some(entry) = state.clusters.get_mut(&name.1) else {
                continue;
            };
            let Some(watched) = entry.watched.as_mut().filter(|w| w.number == name.0) else {
                continue;
            };
            let mut verdict = Verdict::default();
            watched.detector.sweep(now, &mut verdict);
            state.sweeps.add(watched, &name.1, now);
            changed.push((name.1, verdict));
        }
        let wall = wall_now();
        for (name, verdict) in changed {
            for event in &verdict.events {
                event_log::write(event, &name, wall, log);
            }
            if verdict.is_change() {
                self.announce(state, &name, &verdict);
            }
        }
        state.sweeps.first()
    }

    /// Tells the workers who is out and who is back.
    fn announce(&self, state: &mut State, name: &Arc<str>, verdict: &Verdict) {
        let Some(entry) = state.clusters.get_mut(name) else {
            return;
        };
        let config = Arc::clone(&entry.config);
        let endpoints = Arc::clone(&entry.endpoints);
        let hosts = entry.host_set(&config, endpoints);
        entry.hosts = Arc::clone(&hosts);
        self.count_health(&config, &hosts);
        self.broadcast(&Command::Resolved {
            cluster: Arc::clone(name),
            hosts,
        });
        for address in verdict.ejected() {
            self.broadcast(&Command::Ejected {
                cluster: Arc::clone(name),
                address: address.clone(),
            });
        }
    }
}

impl ClusterEntry {
    /// What workers get of these endpoints: hosts that are out are not healthy.
    pub(super) fn host_set(&mut self, config: &Cluster, endpoints: Arc<Endpoints>) -> Arc<HostSet> {
        let hosts = host_set(config, &endpoints, self.watched.as_mut());
        self.endpoints = endpoints;
        hosts
    }
}

/// The same before there is an entry.
pub(super) fn host_set(
    config: &Cluster,
    endpoints: &Arc<Endpoints>,
    watched: Option<&mut Watched>,
) -> Arc<HostSet> {
    let Some(watched) = watched else {
        return Arc::new(HostSet::new(config, Arc::clone(endpoints)));
    };
    let detector = &mut watched.detector;
    detector.set_hosts(endpoints);
    Arc::new(HostSet {
        monitors: detector.monitors(endpoints),
        ..HostSet::new(config, detector.judged(endpoints))
    })
}

impl Sweeps {
    fn add(&mut self, watched: &Watched, name: &Arc<str>, now: Instant) {
        let interval = watched.detector.interval();
        // One that is too far away to be said does not come.
        if let Some(at) = now.checked_add(interval) {
            let entry = (at, watched.number, Arc::clone(name));
            self.due.push(Reverse(entry));
        }
    }

    fn first(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, ..))| *at)
    }

    fn next(&mut self, now: Instant) -> Option<(u64, Arc<str>)> {
        self.first().filter(|at| *at <= now)?;
        let Reverse((_, number, name)) = self.due.pop()?;
        Some((number, name))
    }

    /// Forgets those of clusters that are gone, once they are the most.
    pub(super) fn tidy(&mut self, clusters: &std::collections::HashMap<Arc<str>, ClusterEntry>) {
        if self.due.len() <= clusters.len().saturating_mul(2).max(FEW_SWEEPS) {
            return;
        }
        self.due.retain(|Reverse((_, number, name))| {
            let entry = clusters.get(name);
            let watched = entry.and_then(|entry| entry.watched.as_ref());
            watched.is_some_and(|watched| watched.number == *number)
        });
    }
}

/// The thread.
fn run(control: &Weak<Control>, reports: &Reports, mut logs: AccessLogs) {
    let mut next = None;
    while let Some(reports) = reports.wait(next) {
        let Some(control) = control.upgrade() else {
            return;
        };
        let mut lines = String::new();
        next = control.judge(&reports, &mut lines);
        if let Some(sink) = control.ejection_log.get()
            && !lines.is_empty()
        {
            logs.lines(sink, &lines);
            logs.tick();
        }
    }
}

/// Nanoseconds since 1970.
fn wall_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
