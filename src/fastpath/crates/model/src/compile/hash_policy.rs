//! `RouteAction.HashPolicy`: what of a request is hashed.

use std::time::Duration;

use envoy_types::pb::envoy::config::route::v3::route_action as pb;
use pb::HashPolicy as Message;
use pb::hash_policy::PolicySpecifier;

use super::headers;
use super::rewrite::regex_rewrite;
use crate::problem::Problems;
use crate::resources::hash_policy::{CookieHash, HashPolicy, HashSource};

/// `None`: one of them was refused.
pub(super) fn compile(messages: &[Message], problems: &mut Problems) -> Option<Vec<HashPolicy>> {
    let mut policies = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let level = problems.enter_item("hash_policy", index);
        let source = source(message, problems);
        problems.leave(level);
        // `source_ip: false` hashes nothing, and Envoy drops it, `terminal` and all.
        policies.extend(source?.map(|source| HashPolicy {
            source,
            terminal: message.terminal,
        }));
    }
    Some(policies)
}

#[allow(clippy::option_option)] // Outer `None`: refused.
fn source(message: &Message, problems: &mut Problems) -> Option<Option<HashSource>> {
    let source = match message.policy_specifier.as_ref()? {
        PolicySpecifier::Header(header) => HashSource::Header {
            name: headers::name(&header.header_name),
            rewrite: match header.regex_rewrite.as_ref() {
                None => None,
                Some(rewrite) => Some(
                    problems.within("header", |p| regex_rewrite("regex_rewrite", rewrite, p))?,
                ),
            },
        },
        PolicySpecifier::Cookie(cookie) => HashSource::Cookie(Box::new(CookieHash {
            name: cookie.name.as_bytes().into(),
            // Whole seconds, as Envoy reads it.
            ttl: cookie
                .ttl
                .as_ref()
                .map(|ttl| Duration::from_secs(u64::try_from(ttl.seconds).unwrap_or(0))),
            path: cookie.path.as_str().into(),
            attributes: cookie
                .attributes
                .iter()
                .map(|a| (a.name.as_str().into(), a.value.as_str().into()))
                .collect(),
        })),
        PolicySpecifier::ConnectionProperties(properties) if properties.source_ip => {
            HashSource::SourceIp
        }
        PolicySpecifier::ConnectionProperties(_) => return Some(None),
        PolicySpecifier::QueryParameter(parameter) => {
            HashSource::QueryParameter(parameter.name.as_bytes().into())
        }
        // Refused by name.
        PolicySpecifier::FilterState(_) => return None,
    };
    Some(Some(source))
}
