//! Istio's standard metrics (`istio.stats`): which series a request or a connection counts in.
//!
//! A series is found by what its labels are made of (`Facts`), borrowed from where they lie; only
//! the first time are labels built (`labels`) and the series looked up in the process
//! (`stats::labelled`). What was found is kept in a table of bounded size.

mod labels;
pub mod peers;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use model::resources::istio::{ClusterInfo, Local, Workload};
use model::resources::istio_stats::{Expression, IstioStats, Metric};
use proto::Known;
use proto::h1::RequestHead;

use super::response_flags::ResponseFlags;
use super::stats::{
    CounterSeries, HistogramSeries, IstioStatsCounter, IstioStatsShard, SeriesCounter,
    SeriesHistogram, Stats,
};

/// Combinations that one filter of one worker keeps; then it begins anew.
const MOST: usize = 4096;

/// Clusters that are a service's name themselves, as in Istio.
const NAMED: [&str; 5] = [
    "BlackHoleCluster",
    "PassthroughCluster",
    "InboundPassthroughCluster",
    "InboundPassthroughClusterIpv4",
    "InboundPassthroughClusterIpv6",
];

const HTTP: &[Metric] = &[
    Metric::RequestsTotal,
    Metric::RequestDuration,
    Metric::RequestBytes,
    Metric::ResponseBytes,
];
const MESSAGES: &[Metric] = &[Metric::RequestMessages, Metric::ResponseMessages];
const TCP: &[Metric] = &[
    Metric::TcpOpened,
    Metric::TcpClosed,
    Metric::TcpSentBytes,
    Metric::TcpReceivedBytes,
];

/// All that labels are made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the peer said of itself, or what its endpoint says.
    pub peer: Option<&'a Arc<Workload>>,
    /// URI SANs of the certificates; "" where there is none.
    pub peer_principal: &'a str,
    pub local_principal: &'a str,
    pub service: Service<'a>,
    pub flags: ResponseFlags,
    /// `None`: bytes.
    pub outcome: Option<Outcome>,
    pub request: Option<&'a RequestHead>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// 0: there was no response.
    pub code: u16,
    pub grpc: Grpc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grpc {
    /// The request was none.
    No,
    /// -1: what the response said is no status.
    Status(i8),
    Missing,
}

/// Whom a request or a connection is for; what is not known is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Service<'a> {
    pub host: &'a [u8],
    pub name: &'a [u8],
    pub namespace: &'a [u8],
}

impl<'a> Service<'a> {
    /// `authority`: what a request asked for, if that may count.
    pub fn new(
        authority: Option<&'a [u8]>,
        route: &str,
        cluster: Option<(&'a str, Option<&'a ClusterInfo>)>,
    ) -> Self {
        let asked = authority.unwrap_or_default();
        let mut found = Self {
            host: asked,
            name: asked,
            namespace: b"",
        };
        match (route, cluster) {
            ("block_all", _) => found.name = b"BlackHoleCluster",
            ("allow_any", _) => found.name = b"PassthroughCluster",
            (_, Some((name, _))) if NAMED.contains(&name) => found.name = name.as_bytes(),
            (_, Some((_, Some(info)))) => {
                if let Some(service) = &info.service {
                    found = Self {
                        host: service.host.as_bytes(),
                        name: service.name.as_bytes(),
                        namespace: service.namespace.as_bytes(),
                    };
                }
            }
            _ => {}
        }
        found
    }
}

/// `istio.stats` of one worker.
pub struct Reports {
    pub config: Arc<IstioStats>,
    local: Arc<Local>,
    stats: Stats,
    hasher: RandomState,
    table: RefCell<Table>,
    overflow: OnceCell<Arc<IstioStatsShard>>,
}

#[derive(Default)]
struct Table {
    /// By the hash of the facts.
    known: HashMap<u64, Vec<(Kept, Rc<Series>)>>,
    entries: usize,
}

/// Facts that outlive their request.
struct Kept {
    peer: Option<Arc<Workload>>,
    peer_principal: Box<str>,
    local_principal: Box<str>,
    host: Box<[u8]>,
    name: Box<[u8]>,
    namespace: Box<[u8]>,
    flags: ResponseFlags,
    outcome: Option<Outcome>,
    /// What the configuration's expressions are.
    values: Box<[Box<[u8]>]>,
}

/// The series of one combination, by `Metric`.
#[derive(Debug)]
pub struct Series {
    of: Vec<One>,
}

#[derive(Debug)]
enum One {
    /// Nobody wants it.
    Not,
    Counter(Arc<CounterSeries>),
    Histogram(Arc<HistogramSeries>),
    /// There are too many.
    Lost(Arc<IstioStatsShard>),
}

impl Series {
    /// Adds to a counter, or records a value.
    #[inline]
    pub fn add(&self, metric: Metric, n: u64) {
        match self.of.get(metric as usize) {
            Some(One::Counter(series)) => series.add(SeriesCounter::Value, n),
            Some(One::Histogram(series)) => series.record(SeriesHistogram::Value, n),
            Some(One::Lost(shard)) => shard.inc(IstioStatsCounter::SeriesOverflow),
            Some(One::Not) | None => {}
        }
    }
}

impl Reports {
    pub fn new(config: &Arc<IstioStats>, local: &Arc<Local>, stats: &Stats) -> Self {
        Self {
            config: Arc::clone(config),
            local: Arc::clone(local),
            stats: stats.clone(),
            hasher: RandomState::new(),
            table: RefCell::default(),
            overflow: OnceCell::new(),
        }
    }

    /// The series that these facts count in.
    pub fn series(&self, facts: &Facts<'_>) -> Rc<Series> {
        let hash = self.hash(facts);
        let mut table = self.table.borrow_mut();
        let known = table.known.get(&hash).map(Vec::as_slice);
        let known = known.unwrap_or_default().iter();
        let found = known.into_iter().find(|(known, _)| self.is(known, facts));
        if let Some((_, series)) = found {
            return Rc::clone(series);
        }
        if table.entries >= MOST {
            *table = Table::default();
        }
        let series = Rc::new(self.make(facts));
        let entry = (self.keep(facts), Rc::clone(&series));
        table.known.entry(hash).or_default().push(entry);
        table.entries = table.entries.saturating_add(1);
        series
    }

    fn hash(&self, facts: &Facts<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        facts.peer.hash(&mut hasher);
        facts.peer_principal.hash(&mut hasher);
        facts.local_principal.hash(&mut hasher);
        facts.service.hash(&mut hasher);
        facts.flags.hash(&mut hasher);
        facts.outcome.hash(&mut hasher);
        for expression in self.told_by_request() {
            value(expression, facts).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn is(&self, known: &Kept, facts: &Facts<'_>) -> bool {
        let same_peer = match (&known.peer, facts.peer) {
            (Some(known), Some(peer)) => Arc::ptr_eq(known, peer) || known == peer,
            (None, None) => true,
            _ => false,
        };
        let mut values = known.values.iter().zip(self.told_by_request());
        same_peer
            && known.outcome == facts.outcome
            && known.flags == facts.flags
            && *known.host == *facts.service.host
            && *known.name == *facts.service.name
            && *known.namespace == *facts.service.namespace
            && *known.peer_principal == *facts.peer_principal
            && *known.local_principal == *facts.local_principal
            && values.all(|(known, of)| **known == *value(of, facts))
    }

    /// Expressions that say more than the other facts.
    fn told_by_request(&self) -> impl Iterator<Item = &Expression> {
        let all = self.config.expressions.iter();
        all.filter(|one| !matches!(one, Expression::Literal(_) | Expression::ResponseCode))
    }

    fn keep(&self, facts: &Facts<'_>) -> Kept {
        let expressions = self.told_by_request();
        Kept {
            peer: facts.peer.cloned(),
            peer_principal: facts.peer_principal.into(),
            local_principal: facts.local_principal.into(),
            host: facts.service.host.into(),
            name: facts.service.name.into(),
            namespace: facts.service.namespace.into(),
            flags: facts.flags,
            outcome: facts.outcome,
            values: expressions.map(|of| (*value(of, facts)).into()).collect(),
        }
    }

    fn make(&self, facts: &Facts<'_>) -> Series {
        let is_grpc = facts.outcome.is_some_and(|o| o.grpc != Grpc::No);
        let wanted = |metric: &Metric| match facts.outcome {
            None => TCP.contains(metric),
            Some(_) => HTTP.contains(metric) || (is_grpc && MESSAGES.contains(metric)),
        };
        let one = |metric: &Metric| {
            let rules = self.config.rules(*metric);
            if !wanted(metric) || rules.drop {
                return One::Not;
            }
            let labels = labels::of(*metric, &self.config, &self.local, facts);
            let made = match metric {
                Metric::RequestDuration | Metric::RequestBytes | Metric::ResponseBytes => {
                    self.stats.histogram_series(labels).map(One::Histogram)
                }
                _ => self.stats.counter_series(labels).map(One::Counter),
            };
            made.unwrap_or_else(|| {
                let shard = self.overflow.get_or_init(|| self.stats.istio_stats());
                One::Lost(Arc::clone(shard))
            })
        };
        Series {
            of: Metric::ALL.iter().map(one).collect(),
        }
    }
}

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reports")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What a label is set to. As in Istio what is not there is `unknown`.
fn value<'a>(expression: &'a Expression, facts: &Facts<'a>) -> Cow<'a, [u8]> {
    let unknown = b"unknown".as_slice();
    let request = facts.request;
    let found = match expression {
        Expression::Literal(text) => Some(text.as_bytes()),
        Expression::RequestHeader(name) => {
            request.and_then(|head| head.headers.get_name(name.as_bytes()))
        }
        Expression::RequestHost => request.and_then(|head| head.headers.get(Known::Host)),
        Expression::RequestMethod => request.map(|head| head.method()),
        Expression::ResponseCode => {
            let code = facts.outcome.map(|outcome| outcome.code);
            return code.map_or(Cow::Borrowed(unknown), |code| {
                Cow::Owned(code.to_string().into_bytes())
            });
        }
    };
    Cow::Borrowed(found.unwrap_or(unknown))
}
