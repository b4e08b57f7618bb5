//! `envoy.filters.http.fault`, of a connection manager or of a route.

use common::fault_delay::FaultDelaySecifier;
use envoy_types::pb::envoy::extensions::filters::common::fault::v3 as common;
use envoy_types::pb::envoy::extensions::filters::http::fault::v3 as pb;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use pb::fault_abort::ErrorType;

use super::duration::millis;
use super::matchers;
use crate::problem::Problems;
use crate::resources::http_filters::{Abort, AbortStatus, Delay, DelayDuration, Fault, Percentage};

/// What an abort says unless it is told otherwise.
const BODY: &str = "fault filter abort";

pub(super) fn compile(message: &pb::HttpFault, problems: &mut Problems) -> Option<Fault> {
    let before = problems.count();
    let delay = message.delay.as_ref();
    let delay = delay.and_then(|delay| problems.within("delay", |p| self::delay(delay, p)));
    let headers = matchers::headers("headers", &message.headers, problems);
    let nodes = message.downstream_nodes.iter();
    let cluster = Some(message.upstream_cluster.as_str()).filter(|name| !name.is_empty());
    let most = message.max_active_faults.as_ref();
    (problems.count() == before).then(|| Fault {
        delay,
        abort: message.abort.as_ref().and_then(abort),
        upstream_cluster: cluster.map(Box::from),
        headers,
        downstream_nodes: nodes.map(|node| node.as_str().into()).collect(),
        max_active_faults: most.map(|most| most.value.into()),
        disable_downstream_cluster_stats: message.disable_downstream_cluster_stats,
    })
}

fn delay(message: &common::FaultDelay, problems: &mut Problems) -> Option<Delay> {
    let duration = match message.fault_delay_secifier.as_ref()? {
        FaultDelaySecifier::FixedDelay(fixed) => {
            let fixed = millis("fixed_delay", Some(fixed), problems)?;
            DelayDuration::Fixed(fixed)
        }
        FaultDelaySecifier::HeaderDelay(_) => DelayDuration::Header,
    };
    Some(Delay {
        duration,
        percentage: percentage(message.percentage.as_ref()),
    })
}

fn abort(message: &pb::FaultAbort) -> Option<Abort> {
    let status = match *message.error_type.as_ref()? {
        // 200 to 599, by the rules of the field.
        ErrorType::HttpStatus(status) => AbortStatus::Http(u16::try_from(status).ok()?),
        ErrorType::GrpcStatus(status) => AbortStatus::Grpc(status),
        ErrorType::HeaderAbort(_) => AbortStatus::Header,
    };
    let body = match message.response_body.as_str() {
        "" => BODY,
        body => body,
    };
    Some(Abort {
        status,
        percentage: percentage(message.percentage.as_ref()),
        body: body.into(),
    })
}

/// Without one no request is meant.
fn percentage(message: Option<&FractionalPercent>) -> Percentage {
    let Some(message) = message else {
        return Percentage::default();
    };
    let one = FractionalPercent {
        numerator: 1,
        denominator: message.denominator,
    };
    Percentage {
        millionths: matchers::millionths(message),
        unit: matchers::millionths(&one),
    }
}
