//! Labels of a series, with the values that Istio's sidecars give them.

use model::resources::istio::{Local, Workload};
use model::resources::istio_stats::{IstioStats, Label, Metric, Reporter};
use model::workload::LONGEST_VALUE;

use super::{Facts, Grpc, MESSAGES, value};
use crate::telemetry::stats::Labels;

const UNKNOWN: &str = "unknown";
const LATEST: &str = "latest";

pub(super) fn of(metric: Metric, config: &IstioStats, local: &Local, facts: &Facts<'_>) -> Labels {
    let rules = config.rules(metric);
    let source = Source {
        local: &local.workload,
        facts,
        reporter: config.reporter,
    };
    let expression = |at: usize| {
        let found = config.expressions.get(at);
        cut(&found.map(|of| value(of, facts)).unwrap_or_default())
    };
    let mut pairs = Vec::with_capacity(Label::ALL.len());
    for label in Label::ALL.iter().filter(|l| has(metric, **l, facts)) {
        let changed = rules.changed.iter().find(|(of, _)| of == label);
        let value = match changed {
            None => source.value(*label),
            Some((_, Some(at))) => expression(*at),
            Some((_, None)) => continue,
        };
        pairs.push((label.name().into(), value.into()));
    }
    for (name, at) in &rules.added {
        pairs.push((name.clone(), expression(*at).into()));
    }
    Labels {
        metric: format!("istio_{}", metric.name()).into(),
        pairs,
    }
}

/// Messages are counted before it is known how the request ends, bytes have no code.
fn has(metric: Metric, label: Label, facts: &Facts<'_>) -> bool {
    match label {
        Label::ResponseCode | Label::GrpcResponseStatus => {
            facts.outcome.is_some() && !MESSAGES.contains(&metric)
        }
        Label::RequestProtocol | Label::ResponseFlags | Label::ConnectionSecurityPolicy => {
            !MESSAGES.contains(&metric)
        }
        _ => true,
    }
}

/// Clients and hosts write such texts.
fn cut(bytes: &[u8]) -> String {
    let bytes = bytes.get(..LONGEST_VALUE).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

struct Source<'a> {
    local: &'a Workload,
    facts: &'a Facts<'a>,
    reporter: Reporter,
}

impl Source<'_> {
    fn value(&self, label: Label) -> String {
        let facts = self.facts;
        match label {
            Label::Reporter => match self.reporter {
                Reporter::Source => "source".to_owned(),
                Reporter::Destination => "destination".to_owned(),
            },
            Label::SourceWorkload => self.workload(Reporter::Source, |w| &w.name),
            Label::SourceCanonicalService => self.workload(Reporter::Source, |w| &w.canonical_name),
            Label::SourceCanonicalRevision => self.revision(Reporter::Source),
            Label::SourceWorkloadNamespace => self.namespace(Reporter::Source),
            Label::SourcePrincipal => self.principal(Reporter::Source),
            Label::SourceApp => self.workload(Reporter::Source, |w| &w.app),
            Label::SourceVersion => self.workload(Reporter::Source, |w| &w.version),
            Label::SourceCluster => self.workload(Reporter::Source, |w| &w.cluster),
            Label::DestinationWorkload => self.workload(Reporter::Destination, |w| &w.name),
            Label::DestinationWorkloadNamespace => self.namespace(Reporter::Destination),
            Label::DestinationPrincipal => self.principal(Reporter::Destination),
            Label::DestinationApp => self.workload(Reporter::Destination, |w| &w.app),
            Label::DestinationVersion => self.workload(Reporter::Destination, |w| &w.version),
            Label::DestinationService => self.service(facts.service.host),
            Label::DestinationCanonicalService => {
                self.workload(Reporter::Destination, |w| &w.canonical_name)
            }
            Label::DestinationCanonicalRevision => self.revision(Reporter::Destination),
            Label::DestinationServiceName => self.service(facts.service.name),
            Label::DestinationServiceNamespace => self.service_namespace(),
            Label::DestinationCluster => self.workload(Reporter::Destination, |w| &w.cluster),
            Label::RequestProtocol => match facts.outcome.map(|outcome| outcome.grpc) {
                None => "tcp".to_owned(),
                Some(Grpc::No) => "http".to_owned(),
                Some(Grpc::Status(_) | Grpc::Missing) => "grpc".to_owned(),
            },
            Label::ResponseCode => facts
                .outcome
                .map(|outcome| outcome.code)
                .unwrap_or_default()
                .to_string(),
            Label::GrpcResponseStatus => match facts.outcome.map(|outcome| outcome.grpc) {
                Some(Grpc::Status(status)) => status.to_string(),
                _ => String::new(),
            },
            Label::ResponseFlags => {
                let mut out = Vec::new();
                facts.flags.write(&mut out, false);
                String::from_utf8_lossy(&out).into_owned()
            }
            Label::ConnectionSecurityPolicy => self.policy().to_owned(),
        }
    }

    /// Of the workload on that side: ours as it is, the peer's if it is known.
    fn workload(&self, side: Reporter, field: fn(&Workload) -> &str) -> String {
        if side == self.reporter {
            return field(self.local).to_owned();
        }
        or(self.facts.peer.map(|peer| field(peer)), UNKNOWN)
    }

    fn revision(&self, side: Reporter) -> String {
        if side == self.reporter {
            return self.local.canonical_revision.to_string();
        }
        or(
            self.facts.peer.map(|peer| &*peer.canonical_revision),
            LATEST,
        )
    }

    fn namespace(&self, side: Reporter) -> String {
        if side == self.reporter {
            return self.local.namespace.to_string();
        }
        or(Some(self.peer_namespace()), UNKNOWN)
    }

    /// What was proved goes before what was said.
    fn peer_namespace(&self) -> &str {
        let proved = self.facts.peer_principal.split_once("/ns/");
        let proved = proved.and_then(|(_, rest)| rest.split('/').next());
        match proved {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => self.facts.peer.map_or("", |peer| &*peer.namespace),
        }
    }

    fn principal(&self, side: Reporter) -> String {
        let facts = self.facts;
        let own = side == self.reporter;
        or(
            Some(if own {
                facts.local_principal
            } else {
                facts.peer_principal
            }),
            UNKNOWN,
        )
    }

    fn service(&self, known: &[u8]) -> String {
        match (self.reporter, known) {
            (Reporter::Destination, []) => self.local.canonical_name.to_string(),
            (Reporter::Source, []) => UNKNOWN.to_owned(),
            (_, known) => cut(known),
        }
    }

    fn service_namespace(&self) -> String {
        match (self.reporter, self.facts.service.namespace) {
            (Reporter::Destination, _) => self.local.namespace.to_string(),
            (Reporter::Source, []) => or(Some(self.peer_namespace()), UNKNOWN),
            (Reporter::Source, known) => cut(known),
        }
    }

    /// A client cannot know whether its host asks for certificates.
    fn policy(&self) -> &'static str {
        let facts = self.facts;
        match self.reporter {
            Reporter::Source => UNKNOWN,
            Reporter::Destination
                if facts.peer_principal.is_empty() || facts.local_principal.is_empty() =>
            {
                "none"
            }
            Reporter::Destination => "mutual_tls",
        }
    }
}

fn or(known: Option<&str>, otherwise: &str) -> String {
    let known = known.filter(|known| !known.is_empty());
    cut(known.unwrap_or(otherwise).as_bytes())
}
