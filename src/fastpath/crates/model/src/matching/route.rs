//! Routes: the first in the list that matches path, headers, query and fraction.

use std::borrow::Cow;
use std::sync::Arc;

use proto::Known;
use proto::h1::{Method, RequestHead};

use super::metadata::MetadataValue;
use super::string::starts_with_ignoring_case;
use crate::resources::route::{PathMatch, Route, RouteMatch, TlsMatch, VirtualHost};

/// Paths with parameters up to this length cost no allocation.
const STACK: usize = 1024;

/// What a client's connection says of it, for `tls_context`; nothing on a plain one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peer {
    /// It presented a certificate.
    pub presented: bool,
    /// And the certificate was verified.
    pub validated: bool,
}

/// What filters know of a request (its dynamic metadata), for routes that ask.
pub trait Metadata {
    /// What is at a path of keys, one inside the other.
    fn at(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>>;
}

/// Nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoMetadata;

impl Metadata for NoMetadata {
    fn at(&self, _: &str, _: &[Box<str>]) -> Option<MetadataValue<'_>> {
        None
    }
}

impl VirtualHost {
    /// The route of a request of which filters know nothing; `random` decides fractions.
    #[must_use]
    pub fn route(&self, head: &RequestHead, peer: Peer, random: u64) -> Option<&Arc<Route>> {
        self.routes
            .get(self.position(head, peer, &NoMetadata, random)?)
    }

    /// The place in `routes` of the route of a request.
    #[must_use]
    pub fn position(
        &self,
        head: &RequestHead,
        peer: Peer,
        metadata: &dyn Metadata,
        random: u64,
    ) -> Option<usize> {
        let (path, query) = split(head.path());
        let is_connect = head.kind == Method::Connect;
        let takes_connect = is_connect || head.asks_for_udp();
        // `OPTIONS *` has no route, as in Envoy.
        if path.first().is_none_or(|first| *first != b'/') && !is_connect {
            return None;
        }
        let request = Request {
            head,
            peer,
            metadata,
            path,
            query,
            random,
            takes_connect,
        };
        if !self.index.ignore_path_parameters {
            return self.search(&request);
        }
        with_plain_path(path, |path| self.search(&Request { path, ..request }))
    }

    #[inline]
    fn search(&self, request: &Request<'_>) -> Option<usize> {
        self.index
            .candidates(request.path)
            .filter_map(|at| usize::try_from(at).ok())
            .find(|at| {
                self.routes
                    .get(*at)
                    .is_some_and(|route| route.matcher.matches(request))
            })
    }
}

/// A request as routes look at it.
struct Request<'r> {
    head: &'r RequestHead,
    peer: Peer,
    metadata: &'r dyn Metadata,
    /// Without its query.
    path: &'r [u8],
    query: &'r [u8],
    random: u64,
    /// CONNECT and CONNECT-UDP: what `connect_matcher` matches.
    takes_connect: bool,
}

impl RouteMatch {
    /// Whether a request is meant that nothing but its head is known of.
    #[must_use]
    pub fn matches_head(&self, head: &RequestHead) -> bool {
        let (path, query) = split(head.path());
        self.matches(&Request {
            head,
            peer: Peer::default(),
            metadata: &NoMetadata,
            path,
            query,
            random: 0,
            takes_connect: head.kind == Method::Connect || head.asks_for_udp(),
        })
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        let path = match self.path {
            PathMatch::Connect => request.takes_connect,
            // CONNECT without a path is for `connect_matcher` only.
            _ => !request.path.is_empty() && self.path_matches(request.path),
        };
        path && self
            .headers
            .iter()
            .all(|matcher| matcher.matches(request.head))
            && self
                .query_parameters
                .iter()
                .all(|matcher| matcher.matches(request.query))
            && (!self.grpc || is_grpc(request.head))
            && self.tls.is_none_or(|tls| tls.matches(request.peer))
            && self.metadata.iter().all(|matcher| {
                let value = request.metadata.at(&matcher.filter, &matcher.path);
                matcher.takes(value)
            })
            && self.fraction_millionths.is_none_or(|limit| {
                request
                    .random
                    .checked_rem(1_000_000)
                    .is_some_and(|n| n < u64::from(limit))
            })
    }

    /// Whether the path half matches a path without query.
    #[must_use]
    pub fn path_matches(&self, path: &[u8]) -> bool {
        match &self.path {
            PathMatch::Prefix(prefix) if self.case_sensitive => path.starts_with(prefix),
            PathMatch::Prefix(prefix) => starts_with_ignoring_case(path, prefix),
            PathMatch::Exact(exact) if self.case_sensitive => path == &**exact,
            PathMatch::Exact(exact) => path.eq_ignore_ascii_case(exact),
            PathMatch::PathSeparatedPrefix(prefix) => {
                let matches = if self.case_sensitive {
                    path.starts_with(prefix)
                } else {
                    starts_with_ignoring_case(path, prefix)
                };
                matches && matches!(path.get(prefix.len()), None | Some(b'/'))
            }
            PathMatch::Regex(regex) => regex.is_match(path),
            PathMatch::Connect => false,
        }
    }
}

impl TlsMatch {
    fn matches(self, peer: Peer) -> bool {
        self.presented.is_none_or(|wanted| wanted == peer.presented)
            && self.validated.is_none_or(|wanted| wanted == peer.validated)
    }
}

/// Path and query; a fragment belongs to neither.
fn split(target: &[u8]) -> (&[u8], &[u8]) {
    let end = target
        .iter()
        .position(|b| *b == b'#')
        .unwrap_or(target.len());
    let target = target.get(..end).unwrap_or(target);
    let mark = target
        .iter()
        .position(|b| *b == b'?')
        .unwrap_or(target.len());
    match target.split_at_checked(mark) {
        Some((path, query)) => (path, query.get(1..).unwrap_or_default()),
        None => (target, &[]),
    }
}

/// Calls `f` with the path without the parameters of its segments.
pub fn with_plain_path<T>(path: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
    let mut stack = [0_u8; STACK];
    f(&without_parameters(path, &mut stack))
}

/// `/a;x=1/b;y` → `/a/b`.
fn without_parameters<'p>(path: &'p [u8], stack: &'p mut [u8; STACK]) -> Cow<'p, [u8]> {
    if !path.contains(&b';') {
        return Cow::Borrowed(path);
    }
    let mut inside = false;
    let kept = path.iter().copied().filter(move |b| {
        match b {
            b';' => inside = true,
            b'/' => inside = false,
            _ => {}
        }
        !inside
    });
    if path.len() > STACK {
        return Cow::Owned(kept.collect());
    }
    let mut length = 0_usize;
    for (slot, byte) in stack.iter_mut().zip(kept) {
        *slot = byte;
        length = length.saturating_add(1);
    }
    Cow::Borrowed(stack.get(..length).unwrap_or_default())
}

fn is_grpc(head: &RequestHead) -> bool {
    let kind = head.headers.get(Known::ContentType).unwrap_or_default();
    matches!(
        kind.strip_prefix(b"application/grpc"),
        Some([] | [b'+', ..])
    )
}
