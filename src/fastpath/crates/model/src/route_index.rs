//! Which routes can match a path, in list order, without trying all of them.
//!
//! Prefixes, exact paths and separated prefixes are keys of one flat hash table. A look-up hashes
//! the path once, byte by byte, and asks the table at each length that some key has: a handful of
//! cache lines however many routes there are (a radix tree of 5,000 routes took some forty).
//! Everything else (regular expressions, case-insensitive paths, CONNECT) is always a candidate.
//! A candidate is still matched in full: the index only leaves out what cannot match, so keys that
//! share a hash cost time and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::resources::route::{PathMatch, Route};

/// Lists that one look-up may gather; deeper nesting of prefixes falls back to trying all routes.
const MAX_LISTS: usize = 32;

#[derive(Default)]
pub struct RouteIndex {
    /// Lengths that keys have, ascending, and which kinds of key have it.
    lengths: Box<[(u32, u8)]>,
    /// Open addressing; the number of slots is a power of two, at most half of them are taken.
    slots: Box<[Slot]>,
    /// The lists of all slots, each ascending.
    lists: Box<[u32]>,
    /// Routes that any path may match, ascending.
    always: Box<[u32]>,
    routes: u32,
    /// `RouteConfiguration.ignore_path_parameters_in_path_matching`.
    pub ignore_path_parameters: bool,
}

/// A key's hash and its part of `lists`; an empty part: a free slot.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: u64,
    start: u32,
    len: u32,
}

/// What kind of match a key is of: a bit in `lengths`, and part of the hash.
#[derive(Clone, Copy)]
enum Kind {
    Prefix = 1,
    Separated = 2,
    Exact = 4,
}

impl std::fmt::Debug for RouteIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Derived from the routes; only its size is news.
        f.debug_struct("RouteIndex")
            .field("slots", &self.slots.len())
            .field("always", &self.always)
            .finish_non_exhaustive()
    }
}

impl RouteIndex {
    #[must_use]
    pub fn new(routes: &[Arc<Route>], ignore_path_parameters: bool) -> Self {
        let mut lengths: BTreeMap<u32, u8> = BTreeMap::new();
        let mut keys: HashMap<u64, Vec<u32>> = HashMap::new();
        let mut always = Vec::new();
        for (at, route) in (0_u32..).zip(routes) {
            let matcher = &route.matcher;
            let (path, kind) = match &matcher.path {
                PathMatch::Prefix(path) if matcher.case_sensitive => (path, Kind::Prefix),
                PathMatch::Exact(path) if matcher.case_sensitive => (path, Kind::Exact),
                PathMatch::PathSeparatedPrefix(path) if matcher.case_sensitive => {
                    (path, Kind::Separated)
                }
                _ => {
                    always.push(at);
                    continue;
                }
            };
            let length = u32::try_from(path.len()).unwrap_or(u32::MAX);
            *lengths.entry(length).or_default() |= kind as u8;
            let hash = path.iter().fold(0, |hash, byte| step(hash, *byte));
            keys.entry(finish(hash, kind)).or_default().push(at);
        }
        let (slots, lists) = table(&keys);
        Self {
            lengths: lengths.into_iter().collect(),
            slots,
            lists,
            always: always.into(),
            routes: u32::try_from(routes.len()).unwrap_or(u32::MAX),
            ignore_path_parameters,
        }
    }

    /// The places of all routes that `path` (without its query) can match, ascending.
    #[must_use]
    pub fn candidates<'i>(&'i self, path: &[u8]) -> Candidates<'i> {
        let mut lists = Lists {
            list: [&[]; MAX_LISTS],
            len: 0,
            overflow: false,
        };
        lists.add(&self.always);
        let mut hash = 0;
        let mut at = 0_usize;
        for (length, kinds) in &self.lengths {
            let length = *length as usize;
            let Some(next) = path.get(at..length) else {
                break;
            };
            hash = next.iter().fold(hash, |hash, byte| step(hash, *byte));
            at = length;
            let after = path.get(length);
            let has = |kind: Kind| kinds & kind as u8 != 0;
            if has(Kind::Prefix) {
                lists.add(self.list(finish(hash, Kind::Prefix)));
            }
            if has(Kind::Separated) && matches!(after, None | Some(b'/')) {
                lists.add(self.list(finish(hash, Kind::Separated)));
            }
            if has(Kind::Exact) && after.is_none() {
                lists.add(self.list(finish(hash, Kind::Exact)));
            }
        }
        if lists.overflow {
            return Candidates::All(0..self.routes);
        }
        match lists.len {
            1 => Candidates::One(lists.list.first().copied().unwrap_or_default().iter()),
            _ => Candidates::Merged(lists),
        }
    }

    /// The routes under a hash; empty if there are none.
    #[inline]
    fn list(&self, hash: u64) -> &[u32] {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = place(hash) & mask;
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.len > 0) {
            if slot.hash == hash {
                let start = slot.start as usize;
                let end = start.saturating_add(slot.len as usize);
                return self.lists.get(start..end).unwrap_or_default();
            }
            at = at.wrapping_add(1) & mask;
        }
        &[]
    }
}

/// Half-empty, so that a look-up ends after a slot or two.
fn table(keys: &HashMap<u64, Vec<u32>>) -> (Box<[Slot]>, Box<[u32]>) {
    let size = keys.len().saturating_mul(2).max(2).next_power_of_two();
    let mask = size.wrapping_sub(1);
    let mut slots = vec![Slot::default(); size];
    let mut lists = Vec::new();
    for (hash, routes) in keys {
        let start = u32::try_from(lists.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(routes.len()).unwrap_or(u32::MAX);
        lists.extend_from_slice(routes);
        let mut at = place(*hash) & mask;
        while slots.get(at).is_some_and(|slot| slot.len > 0) {
            at = at.wrapping_add(1) & mask;
        }
        if let Some(slot) = slots.get_mut(at) {
            *slot = Slot {
                hash: *hash,
                start,
                len,
            };
        }
    }
    (slots.into(), lists.into())
}

/// Multiply and rotate, as in rustc's FxHash: keys come from the configuration, nobody floods us.
const MULTIPLIER: u64 = 0x517c_c1b7_2722_0a95;

#[inline]
fn step(hash: u64, byte: u8) -> u64 {
    (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(MULTIPLIER)
}

#[inline]
fn finish(hash: u64, kind: Kind) -> u64 {
    step(hash, kind as u8)
}

/// The high bits are the best mixed.
#[inline]
fn place(hash: u64) -> usize {
    (hash >> 32) as usize
}

/// The lists that hold for one path, none of them empty.
#[derive(Debug)]
pub struct Lists<'i> {
    list: [&'i [u32]; MAX_LISTS],
    len: usize,
    overflow: bool,
}

impl<'i> Lists<'i> {
    #[inline]
    fn add(&mut self, list: &'i [u32]) {
        if list.is_empty() {
            return;
        }
        match self.list.get_mut(self.len) {
            Some(slot) => {
                *slot = list;
                self.len = self.len.saturating_add(1);
            }
            None => self.overflow = true,
        }
    }
}

/// Places of routes in ascending order.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Lives on the stack of one look-up.
pub enum Candidates<'i> {
    One(std::slice::Iter<'i, u32>),
    Merged(Lists<'i>),
    All(std::ops::Range<u32>),
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Self::One(list) => list.next().copied(),
            Self::All(range) => range.next(),
            Self::Merged(lists) => {
                let open = lists.list.get_mut(..lists.len)?;
                let least = open
                    .iter_mut()
                    .filter(|list| !list.is_empty())
                    .min_by_key(|list| list.first().copied())?;
                let (first, rest) = least.split_first()?;
                *least = rest;
                Some(*first)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::route::{Action, RouteMatch};
    use proptest::prelude::*;

    fn route(path: PathMatch) -> Arc<Route> {
        Arc::new(Route {
            name: "".into(),
            matcher: RouteMatch {
                path,
                case_sensitive: true,
                headers: Vec::new(),
                query_parameters: Vec::new(),
                fraction_millionths: None,
                tls: None,
                metadata: Vec::new(),
                grpc: false,
            },
            action: Action::NonForwarding,
            mutations: Default::default(),
            per_filter: Default::default(),
            stat_prefix: None,
        })
    }

    fn pattern() -> impl Strategy<Value = PathMatch> {
        let path = "[ab/]{0,5}".prop_map(|s| -> Box<[u8]> { s.into_bytes().into() });
        (0..4, path).prop_map(|(kind, path)| match kind {
            0 => PathMatch::Prefix(path),
            1 => PathMatch::Exact(path),
            2 => PathMatch::PathSeparatedPrefix(path),
            _ => PathMatch::Regex(regex::bytes::Regex::new(r"\A[a/]*\z").unwrap()),
        })
    }

    proptest! {
        #[test]
        fn candidates_are_the_routes_that_match(
            patterns in prop::collection::vec(pattern(), 0..60),
            path in "[ab/]{0,7}",
        ) {
            let routes: Vec<_> = patterns.into_iter().map(route).collect();
            let index = RouteIndex::new(&routes, false);
            let path = path.as_bytes();
            let found: Vec<u32> = index.candidates(path).collect();
            prop_assert!(found.is_sorted_by(|a, b| a < b));
            let matching = |list: &mut dyn Iterator<Item = u32>| -> Vec<u32> {
                list.filter(|at| routes[*at as usize].matcher.path_matches(path)).collect()
            };
            let linear = matching(&mut (0..routes.len() as u32));
            prop_assert_eq!(&matching(&mut found.iter().copied()), &linear);
            // Of those in the table only real matches are offered.
            let in_table = |at: &u32| !matches!(routes[*at as usize].matcher.path, PathMatch::Regex(_));
            let offered: Vec<u32> = found.iter().copied().filter(in_table).collect();
            let want: Vec<u32> = linear.into_iter().filter(in_table).collect();
            prop_assert!(offered == want || found.len() == routes.len());
        }
    }

    #[test]
    fn deep_nesting_falls_back() {
        let paths = (0..100).map(|n| PathMatch::Prefix(vec![b'a'; n].into()));
        let routes: Vec<_> = paths.map(route).collect();
        let index = RouteIndex::new(&routes, false);
        assert_eq!(index.candidates(&[b'a'; 100]).count(), 100);
        assert_eq!(index.candidates(&[b'a'; 10]).count(), 11);
    }
}
