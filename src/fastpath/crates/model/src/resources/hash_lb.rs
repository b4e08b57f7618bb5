//! RING_HASH and MAGLEV: what their tables are made with.

/// `RingHashLbConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingHash {
    /// Default 1024; at most `maximum_ring_size`.
    pub minimum_ring_size: u32,
    /// Default 8 Mi, which is also the most that the rules of the message allow.
    pub maximum_ring_size: u32,
    pub hash_function: HashFunction,
    /// `use_hostname_for_hashing`: a host's key is its hostname, not its address.
    pub use_hostname: bool,
}

/// Of the keys of hosts; what requests are hashed by is always xxHash64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashFunction {
    /// xxHash64 with seed 0.
    XxHash,
    /// MurmurHash 2, 64 bits, with the seed of libstdc++.
    MurmurHash2,
}

/// `MaglevLbConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maglev {
    /// A prime, at most 5,000,011; default 65,537.
    pub table_size: u32,
    /// As in `RingHash`.
    pub use_hostname: bool,
}
