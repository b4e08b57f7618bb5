//! Envoy's response flags: why a response is not simply what the upstream said.

use std::fmt;

/// A set of flags; `Display` is the short form of access logs (`UF,URX`, `-` for none).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ResponseFlags(pub u64);

/// Declares a constant per flag, numbered in order, and the table of names.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $short:literal, $long:literal;)*) => {
        impl ResponseFlags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// (flag, short name, long name), in the order they are printed.
            pub const ALL: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$name, $short, $long),)*];
        }
    };
}

flags! {
    FAILED_LOCAL_HEALTH_CHECK = 0, "LH", "FailedLocalHealthCheck";
    NO_HEALTHY_UPSTREAM = 1, "UH", "NoHealthyUpstream";
    UPSTREAM_REQUEST_TIMEOUT = 2, "UT", "UpstreamRequestTimeout";
    LOCAL_RESET = 3, "LR", "LocalReset";
    UPSTREAM_REMOTE_RESET = 4, "UR", "UpstreamRemoteReset";
    UPSTREAM_CONNECTION_FAILURE = 5, "UF", "UpstreamConnectionFailure";
    UPSTREAM_CONNECTION_TERMINATION = 6, "UC", "UpstreamConnectionTermination";
    UPSTREAM_OVERFLOW = 7, "UO", "UpstreamOverflow";
    NO_ROUTE_FOUND = 8, "NR", "NoRouteFound";
    DELAY_INJECTED = 9, "DI", "DelayInjected";
    FAULT_INJECTED = 10, "FI", "FaultInjected";
    RATE_LIMITED = 11, "RL", "RateLimited";
    UNAUTHORIZED_EXTERNAL_SERVICE = 12, "UAEX", "UnauthorizedExternalService";
    RATE_LIMIT_SERVICE_ERROR = 13, "RLSE", "RateLimitServiceError";
    DOWNSTREAM_CONNECTION_TERMINATION = 14, "DC", "DownstreamConnectionTermination";
    UPSTREAM_RETRY_LIMIT_EXCEEDED = 15, "URX", "UpstreamRetryLimitExceeded";
    STREAM_IDLE_TIMEOUT = 16, "SI", "StreamIdleTimeout";
    INVALID_ENVOY_REQUEST_HEADERS = 17, "IH", "InvalidEnvoyRequestHeaders";
    DOWNSTREAM_PROTOCOL_ERROR = 18, "DPE", "DownstreamProtocolError";
    UPSTREAM_MAX_STREAM_DURATION_REACHED = 19, "UMSDR", "UpstreamMaxStreamDurationReached";
    RESPONSE_FROM_CACHE_FILTER = 20, "RFCF", "ResponseFromCacheFilter";
    NO_FILTER_CONFIG_FOUND = 21, "NFCF", "NoFilterConfigFound";
    DURATION_TIMEOUT = 22, "DT", "DurationTimeout";
    UPSTREAM_PROTOCOL_ERROR = 23, "UPE", "UpstreamProtocolError";
    NO_CLUSTER_FOUND = 24, "NC", "NoClusterFound";
    OVERLOAD_MANAGER_TERMINATED = 25, "OM", "OverloadManagerTerminated";
    DNS_RESOLUTION_FAILED = 26, "DF", "DnsResolutionFailed";
    DROP_OVERLOAD = 27, "DO", "DropOverLoad";
    DOWNSTREAM_REMOTE_RESET = 28, "DR", "DownstreamRemoteReset";
    UNCONDITIONAL_DROP_OVERLOAD = 29, "UDO", "UnconditionalDropOverload";
}

impl ResponseFlags {
    pub const NONE: Self = Self(0);

    /// Printed first, as they come up before how the last attempt ended: what filters set, then
    /// why there was no other attempt.
    const EARLY: [Self; 2] = [
        Self(
            Self::DELAY_INJECTED.0
                | Self::FAULT_INJECTED.0
                | Self::RATE_LIMITED.0
                | Self::UNAUTHORIZED_EXTERNAL_SERVICE.0
                | Self::RATE_LIMIT_SERVICE_ERROR.0,
        ),
        Self(Self::UPSTREAM_RETRY_LIMIT_EXCEEDED.0 | Self::UPSTREAM_OVERFLOW.0),
    ];

    /// For connections, where giving up comes after how the last attempt ended. No flag of
    /// Envoy's: it says in which order the others are printed.
    const GAVE_UP_LAST: Self = Self(1 << 63);
    /// A connection's attempts are used up.
    pub const CONNECT_ATTEMPTS_EXCEEDED: Self =
        Self(Self::UPSTREAM_RETRY_LIMIT_EXCEEDED.0 | Self::GAVE_UP_LAST.0);

    #[inline]
    pub fn insert(&mut self, flags: Self) {
        self.0 |= flags.0;
    }

    #[inline]
    #[must_use]
    pub fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    #[inline]
    #[must_use]
    pub fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    #[inline]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Appends the names with commas; `-` if there are none.
    pub fn write(self, out: &mut Vec<u8>, long: bool) {
        if self.is_empty() {
            out.push(b'-');
            return;
        }
        let [of_filters, mut of_retries] = Self::EARLY;
        if self.intersects(Self::GAVE_UP_LAST) {
            of_retries = Self::NONE;
        }
        let early = of_filters.0 | of_retries.0;
        let groups = [
            self.0 & of_filters.0,
            self.0 & of_retries.0,
            self.0 & !early,
        ];
        let mut first = true;
        for group in groups.into_iter().filter(|group| *group != 0) {
            for (flag, short, name) in Self::ALL {
                if flag.0 & group != 0 {
                    if !first {
                        out.push(b',');
                    }
                    first = false;
                    out.extend_from_slice(if long { name } else { short }.as_bytes());
                }
            }
        }
    }
}

impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write(&mut out, false);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_give_up_last() {
        let mut flags = ResponseFlags::UPSTREAM_CONNECTION_FAILURE;
        flags.insert(ResponseFlags::CONNECT_ATTEMPTS_EXCEEDED);
        assert_eq!(flags.to_string(), "UF,URX");
        assert!(flags.contains(ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED));
    }

    #[test]
    fn thirty_flags_with_their_names() {
        assert_eq!(ResponseFlags::ALL.len(), 30);
        for (n, (flag, short, _)) in ResponseFlags::ALL.iter().enumerate() {
            assert_eq!(flag.0, 1 << n);
            assert_eq!(flag.to_string(), *short);
        }
        let mut flags = ResponseFlags::NONE;
        assert_eq!(flags.to_string(), "-");
        flags.insert(ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED);
        flags.insert(ResponseFlags::UPSTREAM_CONNECTION_FAILURE);
        assert_eq!(flags.to_string(), "URX,UF");
        flags.insert(ResponseFlags::DELAY_INJECTED);
        assert_eq!(flags.to_string(), "DI,URX,UF");
        flags.0 &= !ResponseFlags::DELAY_INJECTED.0;
        let mut long = Vec::new();
        flags.write(&mut long, true);
        assert_eq!(
            long,
            b"UpstreamRetryLimitExceeded,UpstreamConnectionFailure"
        );
    }
}
