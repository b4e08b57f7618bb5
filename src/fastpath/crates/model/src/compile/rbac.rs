//! `envoy.filters.network.rbac`, `envoy.filters.http.rbac`, and the rules that they share.
//!
//! A criterion that is not understood whole refuses the configuration: rules that lost a part would
//! let others pass than those that were meant.

use envoy_types::pb::envoy::config::core::v3::{CidrRange, TypedExtensionConfig};
use envoy_types::pb::envoy::config::rbac::v3 as pb;
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as http;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3 as network;
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3 as mtls;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::v3::Int32Range;
use matcher::double_matcher::MatchPattern as DoublePattern;
use matcher::list_matcher::MatchPattern as ListPattern;
use matcher::metadata_matcher::path_segment::Segment;
use matcher::value_matcher::MatchPattern;
use pb::permission::Rule;
use pb::principal::Identifier;
use prost::Message as _;

use super::duration::timeout;
use super::{address, matchers, tls};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::rbac::{
    Action, Criterion, HttpRbac, MetadataMatcher, NetworkRbac, Policy, RbacKeys, Rules, Source,
    ValueMatcher,
};
use crate::resources::route::StringMatcher;
use crate::schema::name_of_url;

const MTLS_AUTHENTICATED: &str = "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config";

pub(super) use network::Rbac as Message;

/// Whom rules are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Connections,
    Requests,
}

/// Of a connection manager, or of a route (`RBACPerRoute`).
pub(super) fn http(message: &http::Rbac, problems: &mut Problems) -> Option<HttpRbac> {
    let rules = optional("rules", message.rules.as_ref(), Of::Requests, problems);
    let shadow_rules = message.shadow_rules.as_ref();
    let shadow_rules = optional("shadow_rules", shadow_rules, Of::Requests, problems);
    let (prefix, shadow_prefix) = (
        &*message.rules_stat_prefix,
        &*message.shadow_rules_stat_prefix,
    );
    Some(HttpRbac {
        rules: rules?,
        shadow_rules: shadow_rules?,
        prefix: prefix.into(),
        shadow_prefix: shadow_prefix.into(),
        keys: RbacKeys::new(prefix, shadow_prefix),
    })
}

pub(super) fn network(message: &Message, problems: &mut Problems) -> Option<NetworkRbac> {
    let delay_deny = timeout("delay_deny", message.delay_deny.as_ref(), None, problems);
    let rules = optional("rules", message.rules.as_ref(), Of::Connections, problems);
    let shadow_rules = message.shadow_rules.as_ref();
    let shadow_rules = optional("shadow_rules", shadow_rules, Of::Connections, problems);
    Some(NetworkRbac {
        stat_prefix: message.stat_prefix.as_str().into(),
        shadow_prefix: message.shadow_rules_stat_prefix.as_str().into(),
        rules: rules?,
        shadow_rules: shadow_rules?,
        is_continuous: message.enforcement_type
            == i32::from(network::rbac::EnforcementType::Continuous),
        delay_deny,
    })
}

/// `Some(None)`: not given. `None`: given, and refused.
fn optional(
    field: &str,
    message: Option<&pb::Rbac>,
    of: Of,
    problems: &mut Problems,
) -> Option<Option<Rules>> {
    match message {
        None => Some(None),
        Some(message) => Some(Some(problems.within(field, |p| rules(message, of, p))?)),
    }
}

/// The rules; `None`: something of them is refused.
fn rules(message: &pb::Rbac, of: Of, problems: &mut Problems) -> Option<Rules> {
    use pb::rbac::Action as Message;
    let action = match Message::try_from(message.action) {
        Ok(Message::Allow) => Action::Allow,
        Ok(Message::Deny) => Action::Deny,
        Ok(Message::Log) => Action::Log,
        // Refused by the rules of the field.
        Err(_) => return None,
    };
    let mut named: Vec<_> = message.policies.iter().collect();
    named.sort_unstable_by_key(|(name, _)| *name);
    let level = problems.enter("policies");
    let each = |(name, message): (&String, &pb::Policy)| {
        let level = problems.enter_key(name);
        let policy = policy(name, message, of, problems);
        problems.leave(level);
        policy
    };
    let policies: Vec<_> = named.into_iter().map(each).collect();
    problems.leave(level);
    Some(Rules {
        action,
        policies: policies.into_iter().collect::<Option<_>>()?,
    })
}

fn policy(name: &str, message: &pb::Policy, of: Of, problems: &mut Problems) -> Option<Policy> {
    let permissions = list(
        "permissions",
        &message.permissions,
        of,
        problems,
        permission,
    );
    let principals = list("principals", &message.principals, of, problems, principal);
    Some(Policy {
        name: name.into(),
        permissions: permissions?,
        principals: principals?,
    })
}

/// All of a list, each looked at for its problems.
fn list<M>(
    field: &str,
    messages: &[M],
    of: Of,
    problems: &mut Problems,
    compile: fn(&M, Of, &mut Problems) -> Option<Criterion>,
) -> Option<Vec<Criterion>> {
    let each = |(index, message)| problems.within_item(field, index, |p| compile(message, of, p));
    let all: Vec<_> = messages.iter().enumerate().map(each).collect();
    all.into_iter().collect()
}

fn permission(message: &pb::Permission, of: Of, problems: &mut Problems) -> Option<Criterion> {
    Some(match message.rule.as_ref()? {
        Rule::Any(_) => Criterion::Any,
        Rule::AndRules(set) => {
            let all = problems.within("and_rules", |p| {
                list("rules", &set.rules, of, p, permission)
            });
            Criterion::And(all?)
        }
        Rule::OrRules(set) => {
            let any = problems.within("or_rules", |p| list("rules", &set.rules, of, p, permission));
            Criterion::Or(any?)
        }
        Rule::NotRule(not) => {
            let not = problems.within("not_rule", |p| permission(not, of, p));
            Criterion::Not(Box::new(not?))
        }
        Rule::DestinationIp(range) => {
            let range = problems.within("destination_ip", |p| address::range(range, p));
            Criterion::DestinationIp(range?)
        }
        Rule::DestinationPort(port) => Criterion::DestinationPort {
            start: *port,
            end: port.saturating_add(1),
        },
        Rule::DestinationPortRange(range) => {
            problems.within("destination_port_range", |p| ports(range, p))?
        }
        Rule::RequestedServerName(name) => {
            let name = problems.within("requested_server_name", |p| matchers::string(name, p));
            Criterion::ServerName(name?)
        }
        Rule::UrlPath(path) => url_path(path, problems)?,
        Rule::Metadata(message) => {
            let metadata = problems.within("metadata", |p| metadata(message, p));
            Criterion::Metadata(metadata?)
        }
        Rule::SourcedMetadata(message) => sourced_metadata(message, problems)?,
        Rule::Header(message) => header(message, of, problems)?,
        // Refused by name.
        Rule::Matcher(_) | Rule::UriTemplate(_) => return None,
    })
}

fn principal(message: &pb::Principal, of: Of, problems: &mut Problems) -> Option<Criterion> {
    let source = |field, which, range: &CidrRange, problems: &mut Problems| {
        let range = problems.within(field, |p| address::range(range, p));
        Some(Criterion::SourceIp(which, range?))
    };
    Some(match message.identifier.as_ref()? {
        Identifier::Any(_) => Criterion::Any,
        Identifier::AndIds(set) => {
            let all = problems.within("and_ids", |p| list("ids", &set.ids, of, p, principal));
            Criterion::And(all?)
        }
        Identifier::OrIds(set) => {
            let any = problems.within("or_ids", |p| list("ids", &set.ids, of, p, principal));
            Criterion::Or(any?)
        }
        Identifier::NotId(not) => {
            let not = problems.within("not_id", |p| principal(not, of, p));
            Criterion::Not(Box::new(not?))
        }
        Identifier::Authenticated(message) => authenticated(message, problems)?,
        Identifier::SourceIp(range) => source("source_ip", Source::Connection, range, problems)?,
        Identifier::DirectRemoteIp(range) => {
            source("direct_remote_ip", Source::Direct, range, problems)?
        }
        Identifier::RemoteIp(range) => source("remote_ip", Source::Remote, range, problems)?,
        Identifier::UrlPath(path) => url_path(path, problems)?,
        Identifier::Metadata(message) => {
            let metadata = problems.within("metadata", |p| metadata(message, p));
            Criterion::Metadata(metadata?)
        }
        Identifier::SourcedMetadata(message) => sourced_metadata(message, problems)?,
        Identifier::Header(message) => header(message, of, problems)?,
        Identifier::Custom(config) => {
            let level = problems.enter("custom");
            let custom = problems.within("typed_config", |p| mtls_authenticated(config, p));
            problems.leave(level);
            custom?
        }
        // Refused by name.
        Identifier::FilterState(_) => return None,
    })
}

/// Envoy's network filter takes no headers either.
fn header(message: &HeaderMatcher, of: Of, problems: &mut Problems) -> Option<Criterion> {
    problems.within("header", |problems| match of {
        Of::Requests => matchers::header(message, problems).map(Criterion::Header),
        Of::Connections => {
            problems.report("Found header rule, not supported by RBAC network filter");
            None
        }
    })
}

fn authenticated(
    message: &pb::principal::Authenticated,
    problems: &mut Problems,
) -> Option<Criterion> {
    let Some(name) = message.principal_name.as_ref() else {
        return Some(Criterion::Authenticated(None));
    };
    let level = problems.enter("authenticated");
    let name = problems.within("principal_name", |p| matchers::string(name, p));
    problems.leave(level);
    Some(Criterion::Authenticated(Some(name?)))
}

/// The only custom principal that there is. In Envoy's words.
fn mtls_authenticated(config: &TypedExtensionConfig, problems: &mut Problems) -> Option<Criterion> {
    let any = config.typed_config.as_ref()?;
    let type_name = name_of_url(&any.type_url).unwrap_or("");
    if type_name != MTLS_AUTHENTICATED {
        let reason = not_implemented(Some(&config.name), type_name);
        problems.report(format!("{reason} as a principal"));
        return None;
    }
    let message = mtls::Config::decode(any.value.as_slice()).ok()?;
    let Some(matcher) = message.san_matcher.as_ref() else {
        if message.any_validated_client_certificate {
            return Some(Criterion::Verified(None));
        }
        problems.report(
            "envoy.rbac.principals.mtls_authenticated did not have any configured validation. \
             At least one configuration field must be set.",
        );
        return None;
    };
    let matcher = problems.within("san_matcher", |p| tls::san(matcher, p));
    Some(Criterion::Verified(Some(matcher?)))
}

/// In Envoy's words.
fn ports(range: &Int32Range, problems: &mut Problems) -> Option<Criterion> {
    let bound = |what: &str, number: i32, problems: &mut Problems| {
        let port = u32::try_from(number).ok().filter(|port| *port <= 65536);
        if port.is_none() {
            problems.report(format!("range {what} {number} is out of bounds"));
        }
        port
    };
    let start = bound("start", range.start, problems)?;
    let end = bound("end", range.end, problems)?;
    if start >= end {
        let reason = format!("range start {start} cannot be greater or equal than range end {end}");
        problems.report(reason);
        return None;
    }
    Some(Criterion::DestinationPort { start, end })
}

fn url_path(message: &matcher::PathMatcher, problems: &mut Problems) -> Option<Criterion> {
    let matcher::path_matcher::Rule::Path(path) = message.rule.as_ref()?;
    let level = problems.enter("url_path");
    let path: Option<StringMatcher> = problems.within("path", |p| matchers::string(path, p));
    problems.leave(level);
    Some(Criterion::UrlPath(path?))
}

fn sourced_metadata(message: &pb::SourcedMetadata, problems: &mut Problems) -> Option<Criterion> {
    let level = problems.enter("sourced_metadata");
    let is_route = message.metadata_source == i32::from(pb::MetadataSource::Route);
    if is_route {
        problems.report_at("metadata_source", "ROUTE is not implemented");
    }
    let matcher = message.metadata_matcher.as_ref();
    let compiled = matcher.and_then(|m| problems.within("metadata_matcher", |p| metadata(m, p)));
    problems.leave(level);
    compiled.filter(|_| !is_route).map(Criterion::Metadata)
}

pub(super) fn metadata(
    message: &matcher::MetadataMatcher,
    problems: &mut Problems,
) -> Option<MetadataMatcher> {
    let value = message.value.as_ref()?;
    let key = |segment: &matcher::metadata_matcher::PathSegment| {
        let Segment::Key(key) = segment.segment.as_ref()?;
        Some(Box::from(key.as_str()))
    };
    Some(MetadataMatcher {
        filter: message.filter.as_str().into(),
        path: message.path.iter().map(key).collect::<Option<_>>()?,
        value: problems.within("value", |p| metadata_value(value, p))?,
        invert: message.invert,
    })
}

fn metadata_value(
    message: &matcher::ValueMatcher,
    problems: &mut Problems,
) -> Option<ValueMatcher> {
    Some(match message.match_pattern.as_ref()? {
        MatchPattern::StringMatch(matcher) => {
            let matcher = problems.within("string_match", |p| matchers::string(matcher, p));
            ValueMatcher::String(matcher?)
        }
        MatchPattern::BoolMatch(want) => ValueMatcher::Bool(*want),
        MatchPattern::PresentMatch(want) => ValueMatcher::Present(*want),
        MatchPattern::OrMatch(or) => {
            let level = problems.enter("or_match");
            let each = |(index, value)| {
                problems.within_item("value_matchers", index, |p| metadata_value(value, p))
            };
            let any: Vec<_> = or.value_matchers.iter().enumerate().map(each).collect();
            problems.leave(level);
            ValueMatcher::Or(any.into_iter().collect::<Option<_>>()?)
        }
        MatchPattern::NullMatch(_) => ValueMatcher::Null,
        MatchPattern::DoubleMatch(double) => match double.match_pattern.as_ref()? {
            DoublePattern::Exact(number) => ValueMatcher::Number(*number),
            DoublePattern::Range(range) => ValueMatcher::NumberIn {
                start: range.start,
                end: range.end,
            },
        },
        MatchPattern::ListMatch(list) => match list.match_pattern.as_ref()? {
            ListPattern::OneOf(value) => {
                let level = problems.enter("list_match");
                let value = problems.within("one_of", |p| metadata_value(value, p));
                problems.leave(level);
                ValueMatcher::OneOf(Box::new(value?))
            }
        },
    })
}
