//! What Envoy counts of gRPC: `cluster.<name>.grpc.<service>.<method>.*`.

use super::names::stat_names;

stat_names! {
    /// Counters of a method; the numbers are gRPC's statuses.
    pub enum GrpcCounter {
        Status0 = "0",
        Status1 = "1",
        Status2 = "2",
        Status3 = "3",
        Status4 = "4",
        Status5 = "5",
        Status6 = "6",
        Status7 = "7",
        Status8 = "8",
        Status9 = "9",
        Status10 = "10",
        Status11 = "11",
        Status12 = "12",
        Status13 = "13",
        Status14 = "14",
        Status15 = "15",
        Status16 = "16",
        Failure = "failure",
        RequestMessageCount = "request_message_count",
        ResponseMessageCount = "response_message_count",
        Success = "success",
        Total = "total",
    }
}

impl GrpcCounter {
    /// The counter of a status that gRPC knows.
    #[must_use]
    pub fn of_status(status: u64) -> Option<Self> {
        Some(match status {
            0 => Self::Status0,
            1 => Self::Status1,
            2 => Self::Status2,
            3 => Self::Status3,
            4 => Self::Status4,
            5 => Self::Status5,
            6 => Self::Status6,
            7 => Self::Status7,
            8 => Self::Status8,
            9 => Self::Status9,
            10 => Self::Status10,
            11 => Self::Status11,
            12 => Self::Status12,
            13 => Self::Status13,
            14 => Self::Status14,
            15 => Self::Status15,
            16 => Self::Status16,
            _ => return None,
        })
    }
}

stat_names! {
    /// Histograms of a method, in milliseconds.
    pub enum GrpcHistogram {
        UpstreamRqTime = "upstream_rq_time",
    }
}
