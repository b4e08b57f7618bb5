//! What messages of many areas share: addresses, headers, numbers, runtime values.

use super::{Entry, OPAQUE, RUNTIME, all};

pub(super) const ENTRIES: &[Entry] = &[
    all("envoy.config.core.v3.Address", &["socket_address", "pipe"]),
    all(
        "envoy.config.core.v3.CidrRange",
        &["address_prefix", "prefix_len"],
    ),
    all(
        "envoy.config.core.v3.DataSource",
        &[
            "filename",
            "inline_bytes",
            "inline_string",
            "environment_variable",
        ],
    ),
    all("envoy.config.core.v3.HeaderValue", &["key", "value"]),
    all(
        "envoy.config.core.v3.HeaderValueOption",
        &["header", "append", "append_action", "keep_empty_value"],
    ),
    all(
        "envoy.config.core.v3.HttpUri",
        // `uri`: as in Envoy, the cluster alone says where.
        &["uri", "cluster", "timeout"],
    ),
    all(
        "envoy.config.core.v3.Locality",
        &["region", "zone", "sub_zone"],
    ),
    Entry {
        message: "envoy.config.core.v3.Metadata",
        implemented: &["filter_metadata"],
        ignored: &[("typed_filter_metadata", OPAQUE)],
        default_only: &[],
    },
    all("envoy.config.core.v3.Pipe", &["path", "mode"]),
    Entry {
        message: "envoy.config.core.v3.RuntimeDouble",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.RuntimeFeatureFlag",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.RuntimeFractionalPercent",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.RuntimeUInt32",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
    all(
        "envoy.config.core.v3.SocketAddress",
        &["protocol", "address", "port_value"],
    ),
    all(
        "envoy.config.core.v3.TcpKeepalive",
        &["keepalive_probes", "keepalive_time", "keepalive_interval"],
    ),
    all(
        "envoy.config.core.v3.TypedExtensionConfig",
        &["name", "typed_config"],
    ),
    all("envoy.type.metadata.v3.MetadataKey", &["key", "path"]),
    all("envoy.type.metadata.v3.MetadataKey.PathSegment", &["key"]),
    all("envoy.type.v3.DoubleRange", &["start", "end"]),
    all(
        "envoy.type.v3.FractionalPercent",
        &["numerator", "denominator"],
    ),
    all("envoy.type.v3.HttpStatus", &["code"]),
    all("envoy.type.v3.Int32Range", &["start", "end"]),
    all("envoy.type.v3.Int64Range", &["start", "end"]),
    all("envoy.type.v3.Percent", &["value"]),
    all("xds.core.v3.CidrRange", &["address_prefix", "prefix_len"]),
    all(
        "xds.core.v3.TypedExtensionConfig",
        &["name", "typed_config"],
    ),
];
