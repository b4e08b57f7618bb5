//! `stats.PluginConfig`: Istio's standard metrics and their labels.

use std::time::Duration;

/// Whose side of a call is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporter {
    /// The client's sidecar: `source`.
    Source,
    /// The server's: `destination`.
    Destination,
}

/// Declares names, numbered in order.
macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $enum { $($name,)* }

        impl $enum {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            #[must_use]
            pub fn of(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

names! {
    /// What configurations call a metric; it is shown as `istio_<name>`.
    Metric {
        RequestsTotal = "requests_total",
        RequestDuration = "request_duration_milliseconds",
        RequestBytes = "request_bytes",
        ResponseBytes = "response_bytes",
        RequestMessages = "request_messages_total",
        ResponseMessages = "response_messages_total",
        TcpOpened = "tcp_connections_opened_total",
        TcpClosed = "tcp_connections_closed_total",
        TcpSentBytes = "tcp_sent_bytes_total",
        TcpReceivedBytes = "tcp_received_bytes_total",
    }
}

names! {
    /// The standard labels in the order in which they are shown.
    Label {
        Reporter = "reporter",
        SourceWorkload = "source_workload",
        SourceCanonicalService = "source_canonical_service",
        SourceCanonicalRevision = "source_canonical_revision",
        SourceWorkloadNamespace = "source_workload_namespace",
        SourcePrincipal = "source_principal",
        SourceApp = "source_app",
        SourceVersion = "source_version",
        SourceCluster = "source_cluster",
        DestinationWorkload = "destination_workload",
        DestinationWorkloadNamespace = "destination_workload_namespace",
        DestinationPrincipal = "destination_principal",
        DestinationApp = "destination_app",
        DestinationVersion = "destination_version",
        DestinationService = "destination_service",
        DestinationCanonicalService = "destination_canonical_service",
        DestinationCanonicalRevision = "destination_canonical_revision",
        DestinationServiceName = "destination_service_name",
        DestinationServiceNamespace = "destination_service_namespace",
        DestinationCluster = "destination_cluster",
        RequestProtocol = "request_protocol",
        ResponseCode = "response_code",
        GrpcResponseStatus = "grpc_response_status",
        ResponseFlags = "response_flags",
        ConnectionSecurityPolicy = "connection_security_policy",
    }
}

#[derive(Debug)]
pub struct IstioStats {
    pub reporter: Reporter,
    pub disable_host_header_fallback: bool,
    /// `tcp_reporting_duration`, default 5 s; `None`: only at the end.
    pub reporting: Option<Duration>,
    /// What is to be done with each metric, by its place in `Metric::ALL`.
    rules: Vec<Rules>,
    /// What labels are set to, each once.
    pub expressions: Vec<Expression>,
}

/// What a configuration changes of one metric.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub drop: bool,
    /// A standard label's other value, by its place in `expressions`; `None`: it is left out.
    pub changed: Vec<(Label, Option<usize>)>,
    /// Further labels, behind the standard ones.
    pub added: Vec<(Box<str>, usize)>,
}

/// The values that labels may be set to: the part of CEL that needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Literal(Box<str>),
    /// `request.headers['name']`
    RequestHeader(Box<str>),
    /// `request.host`
    RequestHost,
    /// `request.method`
    RequestMethod,
    /// `response.code`
    ResponseCode,
}

impl IstioStats {
    #[must_use]
    pub fn new(reporter: Reporter) -> Self {
        Self {
            reporter,
            disable_host_header_fallback: false,
            reporting: Some(Duration::from_secs(5)),
            rules: vec![Rules::default(); Metric::ALL.len()],
            expressions: Vec::new(),
        }
    }

    #[must_use]
    pub fn rules(&self, metric: Metric) -> &Rules {
        static NONE: Rules = Rules {
            drop: false,
            changed: Vec::new(),
            added: Vec::new(),
        };
        self.rules.get(metric as usize).unwrap_or(&NONE)
    }

    pub(crate) fn rules_mut(&mut self, metric: Metric) -> Option<&mut Rules> {
        self.rules.get_mut(metric as usize)
    }
}

impl Rules {
    /// What is said later of a label counts.
    pub(crate) fn change(&mut self, label: Label, to: Option<usize>) {
        match self.changed.iter_mut().find(|(known, _)| *known == label) {
            Some((_, value)) => *value = to,
            None => self.changed.push((label, to)),
        }
    }
}
