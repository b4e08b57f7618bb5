//! `request_headers_to_add` and its kin, compiled; applied in Envoy's order by the data plane.

use crate::format::Format;
use proto::Known;

/// The additions and removals one level (route, virtual host, route configuration, weighted
/// cluster) asks for. Removals are applied before additions, as in Envoy's `HeaderParser`.
#[derive(Debug, Default)]
pub struct HeaderMutations {
    pub request_add: Vec<HeaderAdd>,
    pub request_remove: Vec<HeaderName>,
    pub response_add: Vec<HeaderAdd>,
    pub response_remove: Vec<HeaderName>,
}

#[derive(Debug)]
pub struct HeaderAdd {
    pub name: HeaderName,
    pub value: Format,
    pub action: AppendAction,
    pub keep_empty_value: bool,
}

/// `HeaderValueOption.append_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendAction {
    AppendIfExistsOrAdd,
    AddIfAbsent,
    OverwriteIfExistsOrAdd,
    OverwriteIfExists,
}

/// A lower-case header name with its well-known id, so that look-ups cost no hashing.
/// `:path`, `:authority` and `:method` are allowed where Envoy allows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName {
    pub known: Known,
    pub text: Box<str>,
}
