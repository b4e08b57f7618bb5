//! `type: ORIGINAL_DST` with its options.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::r#type::metadata::v3::MetadataKey;
use envoy_types::pb::envoy::r#type::metadata::v3::metadata_key::{
    PathSegment, path_segment::Segment,
};
use pb::cluster::{LbConfig, LbPolicy, OriginalDstLbConfig};

use super::duration::millis_or;
use crate::problem::Problems;
use crate::resources::original_dst::{MetadataPlace, OriginalDst};

/// What `use_http_header` means without a name.
const HEADER: &str = "x-envoy-original-dst-host";
const CLEANUP_INTERVAL: Duration = Duration::from_secs(5);

/// `None`: it was refused.
pub(super) fn compile(message: &pb::Cluster, problems: &mut Problems) -> Option<OriginalDst> {
    let mut is_fine = true;
    let policy = LbPolicy::try_from(message.lb_policy).unwrap_or_default();
    if policy != LbPolicy::ClusterProvided {
        let name = policy.as_str_name();
        let reason = format!(
            "cluster: LB policy {name} is not valid for Cluster type ORIGINAL_DST. Only 'CLUSTER_PROVIDED' is allowed with cluster type 'ORIGINAL_DST'"
        );
        problems.report_at("lb_policy", reason);
        is_fine = false;
    }
    if message.load_assignment.is_some() {
        let reason = "ORIGINAL_DST clusters must have no load assignment configured";
        problems.report_at("load_assignment", reason);
        is_fine = false;
    }
    let cleanup_interval = millis_or(
        "cleanup_interval",
        message.cleanup_interval.as_ref(),
        CLEANUP_INTERVAL,
        problems,
    );
    let none = OriginalDstLbConfig::default();
    let config = match message.lb_config.as_ref() {
        Some(LbConfig::OriginalDstLbConfig(config)) => config,
        _ => &none,
    };
    let (header, metadata) = problems.within("original_dst_lb_config", |problems| {
        let name = config.http_header_name.as_str();
        if !config.use_http_header && !name.is_empty() {
            let reason = format!(
                "ORIGINAL_DST cluster: invalid config http_header_name={name} and use_http_header is false. Set use_http_header to true if http_header_name is desired."
            );
            problems.report_at("http_header_name", reason);
            is_fine = false;
        }
        let name = if name.is_empty() { HEADER } else { name };
        let header = config.use_http_header.then(|| name.to_ascii_lowercase());
        let metadata = config.metadata_key.as_ref();
        let metadata = metadata.map(|key| problems.within("metadata_key", |p| place(key, p)));
        (header, metadata)
    });
    let metadata = match metadata {
        Some(place) => Some(place?),
        None => None,
    };
    let port = config.upstream_port_override.as_ref();
    is_fine.then_some(OriginalDst {
        metadata,
        header: header.map(Into::into),
        // Larger ones were refused by their rule.
        port: port.and_then(|v| u16::try_from(v.value).ok()),
        cleanup_interval,
    })
}

fn place(message: &MetadataKey, problems: &mut Problems) -> Option<MetadataPlace> {
    let [
        PathSegment {
            segment: Some(Segment::Key(key)),
        },
    ] = message.path.as_slice()
    else {
        let reason = "a path of more than one key is not implemented: no filter we have sets nested metadata";
        problems.report_at("path", reason);
        return None;
    };
    Some(MetadataPlace {
        namespace: message.key.as_str().into(),
        key: key.as_str().into(),
    })
}
