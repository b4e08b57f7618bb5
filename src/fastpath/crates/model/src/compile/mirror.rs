//! `request_mirror_policies` of routes, virtual hosts and route configurations.

use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::route_action::RequestMirrorPolicy;

use super::{Context, headers, matchers};
use crate::resources::route::{ClusterOrHeader, MirrorPolicy};

const FIELD: &str = "request_mirror_policies";

/// So many has a request, which keeps them as bits.
const MAX: usize = 32;

/// `None`: the message has none, and takes over those above it.
pub(super) fn compile(
    messages: &[RequestMirrorPolicy],
    validate_clusters: bool,
    cx: &mut Context,
) -> Option<Arc<[MirrorPolicy]>> {
    if messages.is_empty() {
        return None;
    }
    if messages.len() > MAX {
        let reason = format!("more than {MAX} are not implemented");
        cx.problems.report_at(FIELD, reason);
        return None;
    }
    let mut policies = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let level = cx.problems.enter_item(FIELD, index);
        let cluster = match (message.cluster.as_str(), message.cluster_header.as_str()) {
            ("", "") => {
                let reason = "Exactly one of cluster or cluster_header in request mirror policy need to be specified";
                cx.problems.report(reason);
                None
            }
            (name, "") => Some(ClusterOrHeader::Named(cx.refer(
                "cluster",
                name,
                false,
                validate_clusters,
            ))),
            ("", header) => Some(ClusterOrHeader::Header(headers::name(header))),
            (name, header) => {
                cx.problems.report(format!("Only one of cluster '{name}' or cluster_header '{header}' in request mirror policy can be specified"));
                None
            }
        };
        let fraction = message.runtime_fraction.as_ref();
        policies.extend(cluster.map(|cluster| MirrorPolicy {
            cluster,
            fraction_millionths: fraction.map(matchers::fraction),
            keeps_host: message.disable_shadow_host_suffix_append,
        }));
        cx.problems.leave(level);
    }
    Some(policies.into())
}
