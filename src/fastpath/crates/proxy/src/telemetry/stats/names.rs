//! Enums of stat names: a variant is an index into a shard, a name is what a scrape prints.

/// An enum whose variants are numbered from zero and have a stat's name each.
pub trait StatName: Copy + Send + Sync + 'static {
    /// The names, in the order of the variants.
    const NAMES: &'static [&'static str];
    /// The variant's place in `NAMES`.
    fn index(self) -> usize;
}

/// For entities without gauges or histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoStat {}

impl StatName for NoStat {
    const NAMES: &'static [&'static str] = &[];
    fn index(self) -> usize {
        match self {}
    }
}

/// Whether a name appears only once something was counted, as Envoy creates it only then.
#[must_use]
pub(super) fn appears_when_touched(name: &str) -> bool {
    name.starts_with("external.")
        || name.starts_with("internal.")
        || name.starts_with("http1.")
        || name.starts_with("ciphers.")
        || name.starts_with("curves.")
        || name.starts_with("sigalgs.")
        || name.starts_with("versions.TLS")
        || name == "upstream_rq_time"
        || is_grpc(name)
}

/// Names of `grpc_names`.
fn is_grpc(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
        || matches!(
            name,
            "failure" | "request_message_count" | "response_message_count" | "success" | "total"
        )
}

/// Declares an enum and its `StatName` from one table.
macro_rules! stat_names {
    ($(#[$doc:meta])* pub enum $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[allow(missing_docs, reason = "a variant is named after its stat")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($variant,)* }

        impl $name {
            /// How many there are.
            pub const COUNT: usize = <Self as $crate::telemetry::stats::names::StatName>::NAMES.len();
        }

        impl $crate::telemetry::stats::names::StatName for $name {
            const NAMES: &'static [&'static str] = &[$($text,)*];
            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use stat_names;
