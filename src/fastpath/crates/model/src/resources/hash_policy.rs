//! `RouteAction.hash_policy`, compiled: what of a request its hash is made of.

use std::time::Duration;

use regex::bytes::Regex;

use super::header_mutation::HeaderName;
use super::route::Substitution;

#[derive(Debug)]
pub struct HashPolicy {
    pub source: HashSource,
    /// With a hash the policies behind this one do not count.
    pub terminal: bool,
}

#[derive(Debug)]
pub enum HashSource {
    /// All values of a header, sorted; `regex_rewrite` is applied to each before.
    Header {
        name: HeaderName,
        rewrite: Option<(Regex, Substitution)>,
    },
    Cookie(Box<CookieHash>),
    /// The client's address as `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%` has it.
    SourceIp,
    /// The first value of a parameter, as written.
    QueryParameter(Box<[u8]>),
}

#[derive(Debug)]
pub struct CookieHash {
    pub name: Box<[u8]>,
    /// Given: a client without the cookie gets one; zero: for the session.
    pub ttl: Option<Duration>,
    pub path: Box<str>,
    /// Name and value; a value may be empty.
    pub attributes: Vec<(Box<str>, Box<str>)>,
}
