//! `type: ORIGINAL_DST`: a cluster whose hosts are where clients were going.

use std::time::Duration;

/// `original_dst_lb_config` and `cleanup_interval`. What says where, the first that does: metadata,
/// a header, the restored destination of the client's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalDst {
    /// `metadata_key`: dynamic metadata of the connection.
    pub metadata: Option<MetadataPlace>,
    /// `use_http_header`: the header's name, lower case.
    pub header: Option<Box<str>>,
    /// `upstream_port_override`: the port, whatever else says.
    pub port: Option<u16>,
    /// Hosts that nobody has used for so long are forgotten. Default 5 s.
    pub cleanup_interval: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataPlace {
    pub namespace: Box<str>,
    pub key: Box<str>,
}
