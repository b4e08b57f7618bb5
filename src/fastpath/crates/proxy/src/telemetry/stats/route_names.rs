//! What Envoy counts per route with a `stat_prefix`: `vhost.<virtual host>.route.<stat_prefix>.*`.

use super::names::stat_names;

stat_names! {
    /// Counters of a route.
    pub enum RouteCounter {
        UpstreamRqRetry = "upstream_rq_retry",
        UpstreamRqRetryLimitExceeded = "upstream_rq_retry_limit_exceeded",
        UpstreamRqRetryOverflow = "upstream_rq_retry_overflow",
        UpstreamRqRetrySuccess = "upstream_rq_retry_success",
        UpstreamRqTimeout = "upstream_rq_timeout",
        UpstreamRqTotal = "upstream_rq_total",
    }
}

stat_names! {
    /// Histograms of a route, in milliseconds.
    pub enum RouteHistogram {
        UpstreamRqTime = "upstream_rq_time",
    }
}
