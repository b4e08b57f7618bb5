//! `istio.stats` of tunnels: opened, bytes at intervals, closed.

use std::rc::Rc;

use model::resources::istio_stats::{Metric, Reporter};

use super::Tunnel;
use crate::http::deadlines::after;
use crate::http::filters::istio_stats::{of_cluster, principals};
use crate::telemetry::istio::{Facts, Reports, Series, Service};
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// What one filter has reported of a tunnel.
#[derive(Debug)]
pub struct Reported {
    /// Where it counts, from when that is known: the labels of the first report are those of all.
    series: Option<Rc<Series>>,
    sent: u64,
    received: u64,
    next_ms: u64,
}

impl Worker {
    /// At the begin of a tunnel.
    pub(super) fn begin_reports(&self, t: &mut Tunnel) {
        let now = self.clock.now_ms();
        let each = |reports: &Reports| Reported {
            series: None,
            sent: 0,
            received: 0,
            next_ms: after(now, reports.config.reporting),
        };
        t.reported = t.tcp.reports.iter().map(each).collect();
    }

    /// What is due, or, if it is over, what is left.
    pub(super) fn report_tunnel(&self, t: &mut Tunnel, is_over: bool) {
        if t.reported.is_empty() {
            return;
        }
        let now = self.clock.now_ms();
        let tcp = Rc::clone(&t.tcp);
        let mut all = std::mem::take(&mut t.reported);
        for (reports, one) in tcp.reports.iter().zip(&mut all) {
            if is_over || now >= one.next_ms {
                one.next_ms = after(now, reports.config.reporting);
                one.report(reports, t, is_over);
            }
        }
        t.reported = all;
    }
}

impl Tunnel {
    /// When the next report is due.
    pub(super) fn report_deadline(&self) -> u64 {
        let times = self.reported.iter().map(|one| one.next_ms);
        times.min().unwrap_or(NEVER)
    }

    /// All that labels are made of is there.
    fn is_known(&self, side: Reporter) -> bool {
        match side {
            Reporter::Source => self.is_open(),
            Reporter::Destination => true,
        }
    }
}

impl Reported {
    fn report(&mut self, reports: &Reports, t: &Tunnel, is_over: bool) {
        if self.series.is_none() {
            if !is_over && !t.is_known(reports.config.reporter) {
                return;
            }
            let series = series(reports, t);
            series.add(Metric::TcpOpened, 1);
            self.series = Some(series);
        }
        let Some(series) = &self.series else { return };
        let received = t.seen.received.saturating_add(t.seen.refused);
        series.add(Metric::TcpSentBytes, t.seen.sent.saturating_sub(self.sent));
        series.add(
            Metric::TcpReceivedBytes,
            received.saturating_sub(self.received),
        );
        (self.sent, self.received) = (t.seen.sent, received);
        if is_over {
            series.add(Metric::TcpClosed, 1);
        }
    }
}

fn series(reports: &Reports, t: &Tunnel) -> Rc<Series> {
    let seen = &t.seen;
    let (tls, peer) = match reports.config.reporter {
        Reporter::Destination => (t.client.io.tls_info(), seen.client_peer.as_ref()),
        Reporter::Source => {
            let endpoint = seen.host.as_ref().and_then(|host| host.workload());
            (
                seen.upstream_tls.as_ref(),
                seen.host_peer.as_ref().or(endpoint),
            )
        }
    };
    let host = peer.filter(|_| reports.config.reporter == Reporter::Source);
    let (peer_principal, local_principal) = principals(tls, host);
    let cluster = seen.cluster.as_ref().map(|cluster| cluster.config.borrow());
    reports.series(&Facts {
        peer,
        peer_principal,
        local_principal,
        service: Service::new(None, "", of_cluster(cluster.as_ref())),
        flags: seen.flags,
        outcome: None,
        request: None,
    })
}
