//! `Listener.filter_chain_matcher` (`xds.type.matcher.v3.Matcher`), compiled: a tree of questions
//! about a connection whose leaves are filter chains. What it answers is in `matching`.

use std::collections::BTreeMap;

use super::hcm::Cidr;
use super::route::StringMatcher;

/// A node: what is asked, and where to go when nothing of it matches.
#[derive(Debug)]
pub struct ChainTree {
    pub question: Question,
    pub on_no_match: Option<OnMatch>,
}

#[derive(Debug)]
pub enum Question {
    /// Neither list nor tree: `on_no_match` at once.
    None,
    /// `matcher_list`: in order, until one leads to a chain.
    List(Vec<(Predicate, OnMatch)>),
    /// `exact_match_map`.
    Exact(Input, OnMatchMap),
    /// `prefix_match_map`, by length, longest first.
    Prefix(Input, Vec<(usize, OnMatchMap)>),
    /// `IPMatcher`.
    Ip(Input, IpRanges),
    /// `ServerNameMatcher`.
    Domain(Input, Domains),
}

pub type OnMatchMap = BTreeMap<Box<[u8]>, OnMatch>;

/// Where a match leads.
#[derive(Debug)]
pub struct OnMatch {
    pub to: Target,
    /// As if it had not matched.
    pub keep_matching: bool,
}

#[derive(Debug)]
pub enum Target {
    Tree(Box<ChainTree>),
    /// Index of the chain; `None`: no chain has the name, and the connection is closed.
    Chain(Option<usize>),
}

/// What is known of a connection, as text. Nothing known matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    DestinationIp,
    DestinationPort,
    SourceIp,
    SourcePort,
    DirectSourceIp,
    /// `local`, or nothing.
    SourceType,
    ServerName,
    TransportProtocol,
    /// `'h2','http/1.1'`, in the client's order.
    ApplicationProtocol,
}

#[derive(Debug)]
pub enum Predicate {
    Value(Input, StringMatcher),
    /// `envoy.extensions.matching.input_matchers.ip.v3.Ip`.
    Ip(Input, Vec<Cidr>),
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
}

/// Ranges that may contain each other, by their length.
#[derive(Debug, Default)]
pub struct IpRanges {
    /// In the order of their declaration.
    pub matchers: Vec<RangeMatcher>,
    pub v4: Vec<RangesOfLength>,
    pub v6: Vec<RangesOfLength>,
}

#[derive(Debug)]
pub struct RangeMatcher {
    pub on_match: OnMatch,
    /// Only if no longer range contains the address.
    pub exclusive: bool,
}

/// Longest first; the places in `matchers` by the network's bits.
#[derive(Debug)]
pub struct RangesOfLength {
    pub length: u8,
    pub networks: BTreeMap<u128, Vec<usize>>,
}

/// Exact, then the longest `*.suffix`, then `*`; places in `matchers`.
#[derive(Debug, Default)]
pub struct Domains {
    pub matchers: Vec<OnMatch>,
    pub exact: BTreeMap<Box<[u8]>, usize>,
    /// Without `*.`.
    pub suffix: BTreeMap<Box<[u8]>, usize>,
    pub any: Option<usize>,
}
