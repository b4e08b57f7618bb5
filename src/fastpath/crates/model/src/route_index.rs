//! Which routes can match a path, in list order, without trying all of them.
//!
//! Prefixes, exact paths and separated prefixes live in one radix tree, so a look-up costs one
//! walk along the path however many routes there are. Everything else (regular expressions,
//! case-insensitive paths, CONNECT) is always a candidate. A candidate is still matched in full:
//! the index only leaves out what cannot match.

use std::sync::Arc;

use crate::resources::route::{PathMatch, Route};

/// Lists that one walk may gather; deeper nesting of prefixes falls back to trying all routes.
const MAX_LISTS: usize = 32;

#[derive(Default)]
pub struct RouteIndex {
    nodes: Vec<Node>,
    /// Routes that any path may match, ascending.
    always: Box<[u32]>,
    routes: u32,
    /// `RouteConfiguration.ignore_path_parameters_in_path_matching`.
    pub ignore_path_parameters: bool,
}

/// The node at the end of a path through the tree; lists are ascending.
#[derive(Debug, Default)]
struct Node {
    /// The bytes from the parent to here.
    label: Box<[u8]>,
    /// First bytes of the children's labels, and the children.
    keys: Vec<u8>,
    children: Vec<usize>,
    prefix: Vec<u32>,
    separated: Vec<u32>,
    exact: Vec<u32>,
}

impl std::fmt::Debug for RouteIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Derived from the routes; only its size is news.
        f.debug_struct("RouteIndex")
            .field("nodes", &self.nodes.len())
            .field("always", &self.always)
            .finish_non_exhaustive()
    }
}

impl RouteIndex {
    #[must_use]
    pub fn new(routes: &[Arc<Route>], ignore_path_parameters: bool) -> Self {
        let mut index = Self {
            nodes: vec![Node::default()],
            routes: u32::try_from(routes.len()).unwrap_or(u32::MAX),
            ignore_path_parameters,
            ..Self::default()
        };
        let mut always = Vec::new();
        for (at, route) in (0_u32..).zip(routes) {
            let matcher = &route.matcher;
            match &matcher.path {
                PathMatch::Prefix(path) if matcher.case_sensitive => {
                    index.insert(path, at, |node| &mut node.prefix);
                }
                PathMatch::Exact(path) if matcher.case_sensitive => {
                    index.insert(path, at, |node| &mut node.exact);
                }
                PathMatch::PathSeparatedPrefix(path) if matcher.case_sensitive => {
                    index.insert(path, at, |node| &mut node.separated);
                }
                _ => always.push(at),
            }
        }
        index.always = always.into();
        for node in &mut index.nodes {
            node.keys.shrink_to_fit();
            node.children.shrink_to_fit();
        }
        index.nodes.shrink_to_fit();
        index
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
        let mut at = 0_usize;
        let mut rest = path;
        while let Some(node) = self.nodes.get(at) {
            lists.add(&node.prefix);
            if rest.is_empty() {
                lists.add(&node.exact);
            }
            if matches!(rest, [] | [b'/', ..]) {
                lists.add(&node.separated);
            }
            let Some(next) = node.child(rest) else { break };
            let label = self.nodes.get(next).map(|n| &*n.label).unwrap_or_default();
            let Some(after) = rest.strip_prefix(label) else {
                break;
            };
            at = next;
            rest = after;
        }
        if lists.overflow {
            return Candidates::All(0..self.routes);
        }
        match lists.len {
            1 => Candidates::One(lists.list.first().copied().unwrap_or_default().iter()),
            _ => Candidates::Merged(lists),
        }
    }

    fn insert(&mut self, path: &[u8], route: u32, list: impl Fn(&mut Node) -> &mut Vec<u32>) {
        let mut at = 0_usize;
        let mut rest = path;
        while !rest.is_empty() {
            let child = self.nodes.get(at).and_then(|node| node.child(rest));
            let Some(child) = child else {
                at = self.add_child(at, rest);
                break;
            };
            let label = self.nodes.get(child).map(|n| &*n.label).unwrap_or_default();
            let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            let whole = common == label.len();
            at = if whole {
                child
            } else {
                self.split(at, child, common)
            };
            rest = rest.get(common..).unwrap_or_default();
        }
        if let Some(node) = self.nodes.get_mut(at) {
            list(node).push(route);
        }
    }

    fn add_child(&mut self, parent: usize, label: &[u8]) -> usize {
        let child = self.nodes.len();
        self.nodes.push(Node {
            label: label.into(),
            ..Node::default()
        });
        if let (Some(node), Some(first)) = (self.nodes.get_mut(parent), label.first()) {
            node.keys.push(*first);
            node.children.push(child);
        }
        child
    }

    /// Puts a node between `parent` and `child` at `common` bytes of the child's label.
    fn split(&mut self, parent: usize, child: usize, common: usize) -> usize {
        let middle = self.nodes.len();
        let Some(node) = self.nodes.get_mut(child) else {
            return parent;
        };
        let label = std::mem::take(&mut node.label);
        let (upper, lower) = label.split_at_checked(common).unwrap_or((&label, &[]));
        node.label = lower.into();
        let keys = lower.first().copied().into_iter().collect();
        self.nodes.push(Node {
            label: upper.into(),
            keys,
            children: vec![child],
            ..Node::default()
        });
        if let Some(node) = self.nodes.get_mut(parent) {
            for place in node.children.iter_mut().filter(|place| **place == child) {
                *place = middle;
            }
        }
        middle
    }
}

impl Node {
    #[inline]
    fn child(&self, rest: &[u8]) -> Option<usize> {
        let first = rest.first()?;
        let at = self.keys.iter().position(|key| key == first)?;
        self.children.get(at).copied()
    }
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
                grpc: false,
            },
            action: Action::NonForwarding,
            mutations: Default::default(),
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
            // Of those in the tree only real matches are offered.
            let in_tree = |at: &u32| !matches!(routes[*at as usize].matcher.path, PathMatch::Regex(_));
            let offered: Vec<u32> = found.iter().copied().filter(in_tree).collect();
            let want: Vec<u32> = linear.into_iter().filter(in_tree).collect();
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
