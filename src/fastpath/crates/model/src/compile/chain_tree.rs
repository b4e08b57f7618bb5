//! `filter_chain_matcher`: `xds.type.matcher.v3.Matcher` with names of filter chains as actions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use envoy_types::pb::envoy::config::listener::v3::FilterChain;
use envoy_types::pb::envoy::extensions::matching::input_matchers::ip::v3::Ip;
use envoy_types::pb::envoy::r#type::matcher::v3::StringMatcher as EnvoyStringMatcher;
use envoy_types::pb::google::protobuf::StringValue;
use envoy_types::pb::xds::core::v3::{CidrRange, TypedExtensionConfig};
use envoy_types::pb::xds::r#type::matcher::v3 as pb;
use pb::matcher::matcher_list::{FieldMatcher, Predicate as PredicateMessage, predicate};
use pb::matcher::matcher_tree::{MatchMap, TreeType};
use pb::matcher::{MatcherType, OnMatch as OnMatchMessage, on_match};
use predicate::{MatchType, SinglePredicate, single_predicate};
use prost::Message as _;

use super::{address, matchers};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::chain_tree::{
    ChainTree, Domains, Input, IpRanges, OnMatch, OnMatchMap, Predicate, Question, RangeMatcher,
    Target,
};
use crate::schema::name_of_url;

const CHAIN_NAME: &str = "google.protobuf.StringValue";
const IP_MATCHER: &str = "xds.type.matcher.v3.IPMatcher";
const SERVER_NAME_MATCHER: &str = "xds.type.matcher.v3.ServerNameMatcher";
const IP: &str = "envoy.extensions.matching.input_matchers.ip.v3.Ip";
const INPUTS: &str = "envoy.extensions.matching.common_inputs.network.v3.";

/// `xds.type.matcher.v3.IPMatcher`, which `envoy-types` lacks.
#[derive(Clone, PartialEq, prost::Message)]
struct IpMatcherMessage {
    #[prost(message, repeated, tag = "1")]
    range_matchers: Vec<IpRangeMatcherMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IpRangeMatcherMessage {
    #[prost(message, repeated, tag = "1")]
    ranges: Vec<CidrRange>,
    #[prost(message, optional, tag = "2")]
    on_match: Option<OnMatchMessage>,
    #[prost(bool, tag = "3")]
    exclusive: bool,
}

/// `xds.type.matcher.v3.ServerNameMatcher`, which `envoy-types` lacks.
#[derive(Clone, PartialEq, prost::Message)]
struct ServerNameMatcherMessage {
    #[prost(message, repeated, tag = "1")]
    domain_matchers: Vec<DomainMatcherMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DomainMatcherMessage {
    #[prost(string, repeated, tag = "1")]
    domains: Vec<String>,
    #[prost(message, optional, tag = "2")]
    on_match: Option<OnMatchMessage>,
}

/// The tree in the field that the caller has entered.
pub(super) fn compile(
    message: &pb::Matcher,
    chains: &[FilterChain],
    problems: &mut Problems,
) -> Option<ChainTree> {
    let chains = chains.iter().enumerate();
    let compiler = Compiler {
        chains: chains
            .map(|(index, chain)| (chain.name.as_str(), index))
            .collect(),
    };
    let before = problems.count();
    let tree = compiler.tree(message, problems);
    tree.filter(|_| problems.count() == before)
}

/// With a matcher every chain goes by a name of its own.
pub(super) fn check_names(chains: &[FilterChain], problems: &mut Problems) {
    let mut seen = HashSet::new();
    for (index, chain) in chains.iter().enumerate() {
        let reason = if chain.name.is_empty() {
            "\"name\" field is required when using a listener matcher".to_owned()
        } else if seen.insert(chain.name.as_str()) {
            continue;
        } else {
            format!("\"name\" field is duplicated with value '{}'", chain.name)
        };
        problems.within_item("filter_chains", index, |p| p.report_at("name", reason));
    }
}

struct Compiler<'m> {
    /// Index by name.
    chains: HashMap<&'m str, usize>,
}

impl Compiler<'_> {
    fn tree(&self, message: &pb::Matcher, problems: &mut Problems) -> Option<ChainTree> {
        let question = match message.matcher_type.as_ref() {
            None => Some(Question::None),
            Some(MatcherType::MatcherList(list)) => {
                problems.within("matcher_list", |p| self.list(&list.matchers, p))
            }
            Some(MatcherType::MatcherTree(tree)) => {
                problems.within("matcher_tree", |p| self.question(tree, p))
            }
        };
        let on_no_match = match message.on_no_match.as_deref() {
            Some(message) => {
                Some(problems.within("on_no_match", |p| self.on_match(Some(message), p))?)
            }
            None => None,
        };
        Some(ChainTree {
            question: question?,
            on_no_match,
        })
    }

    fn on_match(
        &self,
        message: Option<&OnMatchMessage>,
        problems: &mut Problems,
    ) -> Option<OnMatch> {
        let Some(message) = message else {
            problems.report("value is required");
            return None;
        };
        let to = match message.on_match.as_ref()? {
            on_match::OnMatch::Matcher(tree) => {
                let tree = problems.within("matcher", |p| self.tree(tree, p))?;
                Target::Tree(Box::new(tree))
            }
            on_match::OnMatch::Action(action) => {
                problems.within("action", |p| self.chain(action, p))?
            }
        };
        Some(OnMatch {
            to,
            keep_matching: message.keep_matching,
        })
    }

    fn chain(&self, action: &TypedExtensionConfig, problems: &mut Problems) -> Option<Target> {
        let (type_name, bytes) = typed(action);
        if type_name != CHAIN_NAME {
            let reason = not_implemented(Some(&action.name), type_name);
            problems.report(format!(
                "{reason} as an action, which is the name of a chain"
            ));
            return None;
        }
        let name = StringValue::decode(bytes).ok()?.value;
        Some(Target::Chain(self.chains.get(name.as_str()).copied()))
    }

    /// Complete, or nothing: without a part another chain would be chosen.
    fn list(&self, messages: &[FieldMatcher], problems: &mut Problems) -> Option<Question> {
        let mut list = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let level = problems.enter_item("matchers", index);
            let found = message.predicate.as_ref();
            let found = found.and_then(|m| problems.within("predicate", |p| predicate_of(m, p)));
            let on_match = message.on_match.as_ref();
            let on_match = problems.within("on_match", |p| self.on_match(on_match, p));
            problems.leave(level);
            list.push(found.zip(on_match));
        }
        list.into_iter().collect::<Option<_>>().map(Question::List)
    }

    fn question(
        &self,
        message: &pb::matcher::MatcherTree,
        problems: &mut Problems,
    ) -> Option<Question> {
        let input = input(message.input.as_ref()?, problems)?;
        match message.tree_type.as_ref()? {
            TreeType::ExactMatchMap(map) => {
                let map = problems.within("exact_match_map", |p| self.map(map, p))?;
                Some(Question::Exact(input, map.into_iter().collect()))
            }
            TreeType::PrefixMatchMap(map) => {
                let map = problems.within("prefix_match_map", |p| self.map(map, p))?;
                Some(Question::Prefix(input, by_length(map)))
            }
            TreeType::CustomMatch(custom) => {
                problems.within("custom_match", |p| self.custom(input, custom, p))
            }
        }
    }

    fn map(&self, message: &MatchMap, problems: &mut Problems) -> Option<Entries> {
        let mut entries: Vec<_> = message.map.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let level = problems.enter("map");
        let mut map = Vec::with_capacity(entries.len());
        for (key, message) in entries {
            let entry = problems.enter_key(key);
            let on_match = self.on_match(Some(message), problems);
            problems.leave(entry);
            map.push(on_match.map(|on_match| (key.as_bytes().into(), on_match)));
        }
        problems.leave(level);
        map.into_iter().collect()
    }

    fn custom(
        &self,
        input: Input,
        message: &TypedExtensionConfig,
        problems: &mut Problems,
    ) -> Option<Question> {
        let (type_name, bytes) = typed(message);
        let level = problems.enter("typed_config");
        let question = match type_name {
            IP_MATCHER => IpMatcherMessage::decode(bytes)
                .ok()
                .and_then(|m| self.ranges(&m, problems))
                .map(|ranges| Question::Ip(input, ranges)),
            SERVER_NAME_MATCHER => ServerNameMatcherMessage::decode(bytes)
                .ok()
                .and_then(|m| self.domains(&m, problems))
                .map(|domains| Question::Domain(input, domains)),
            other => {
                let reason = not_implemented(Some(&message.name), other);
                problems.report(format!("{reason} as a matcher of a tree"));
                None
            }
        };
        problems.leave(level);
        question
    }

    fn ranges(&self, message: &IpMatcherMessage, problems: &mut Problems) -> Option<IpRanges> {
        let mut ranges = IpRanges::default();
        for (place, message) in message.range_matchers.iter().enumerate() {
            let level = problems.enter_item("range_matchers", place);
            for (index, range) in message.ranges.iter().enumerate() {
                let text = &range.address_prefix;
                let length = range.prefix_len.as_ref().map_or(0, |v| v.value);
                let length = u8::try_from(length).unwrap_or(u8::MAX);
                match text.parse::<IpAddr>() {
                    Ok(ip) => ranges.insert(ip, length, place),
                    Err(_) => problems.within_item("ranges", index, |p| {
                        p.report_at("address_prefix", format!("malformed IP address: {text}"));
                    }),
                }
            }
            let on_match = message.on_match.as_ref();
            let on_match = problems.within("on_match", |p| self.on_match(on_match, p));
            problems.leave(level);
            ranges.matchers.push(RangeMatcher {
                on_match: on_match?,
                exclusive: message.exclusive,
            });
        }
        Some(ranges)
    }

    fn domains(
        &self,
        message: &ServerNameMatcherMessage,
        problems: &mut Problems,
    ) -> Option<Domains> {
        let mut domains = Domains::default();
        for (place, message) in message.domain_matchers.iter().enumerate() {
            let level = problems.enter_item("domain_matchers", place);
            for (index, domain) in message.domains.iter().enumerate() {
                if let Err(reason) = add_domain(&mut domains, domain, place) {
                    problems.within_item("domains", index, |p| p.report(reason));
                }
            }
            let on_match = message.on_match.as_ref();
            let on_match = problems.within("on_match", |p| self.on_match(on_match, p));
            problems.leave(level);
            domains.matchers.push(on_match?);
        }
        Some(domains)
    }
}

type Entries = Vec<(Box<[u8]>, OnMatch)>;

/// By length, longest first.
fn by_length(map: Entries) -> Vec<(usize, OnMatchMap)> {
    let mut lengths: BTreeMap<usize, OnMatchMap> = BTreeMap::new();
    for (prefix, on_match) in map {
        let of_length = lengths.entry(prefix.len()).or_default();
        of_length.insert(prefix, on_match);
    }
    lengths.into_iter().rev().collect()
}

/// As Envoy compares them: names as they are written, while those of clients are in lower case.
fn add_domain(domains: &mut Domains, domain: &str, place: usize) -> Result<(), String> {
    let malformed = |why| format!("Invalid wildcard domain format: {domain}. {why}");
    let repeated = if domain.is_empty() {
        return Err("Empty domain in ServerNameMatcher".to_owned());
    } else if domain == "*" {
        domains.any.replace(place).is_some()
    } else if let Some(suffix) = domain.strip_prefix("*.").filter(|s| !s.is_empty()) {
        if suffix.contains('*') {
            return Err(malformed("Multiple wildcards are not supported"));
        }
        let key = suffix.as_bytes().into();
        domains.suffix.insert(key, place).is_some()
    } else if domain.contains('*') {
        return Err(malformed("Only '*' and '*.domain' patterns are supported"));
    } else {
        let key = domain.as_bytes().into();
        domains.exact.insert(key, place).is_some()
    };
    if repeated {
        return Err(format!("Duplicate domain in ServerNameMatcher: {domain}"));
    }
    Ok(())
}

fn predicate_of(message: &PredicateMessage, problems: &mut Problems) -> Option<Predicate> {
    Some(match message.match_type.as_ref()? {
        MatchType::SinglePredicate(single) => {
            problems.within("single_predicate", |p| single_of(single, p))?
        }
        MatchType::OrMatcher(list) => {
            let list = problems.within("or_matcher", |p| predicates(&list.predicate, p));
            Predicate::Or(list?)
        }
        MatchType::AndMatcher(list) => {
            let list = problems.within("and_matcher", |p| predicates(&list.predicate, p));
            Predicate::And(list?)
        }
        MatchType::NotMatcher(not) => {
            let not = problems.within("not_matcher", |p| predicate_of(not, p))?;
            Predicate::Not(Box::new(not))
        }
    })
}

fn predicates(messages: &[PredicateMessage], problems: &mut Problems) -> Option<Vec<Predicate>> {
    let each = |(index, m)| problems.within_item("predicate", index, |p| predicate_of(m, p));
    let list: Vec<_> = messages.iter().enumerate().map(each).collect();
    list.into_iter().collect()
}

fn single_of(message: &SinglePredicate, problems: &mut Problems) -> Option<Predicate> {
    let input = input(message.input.as_ref()?, problems)?;
    match message.matcher.as_ref()? {
        single_predicate::Matcher::ValueMatch(value) => {
            // The same message in another package, field by field.
            let value = EnvoyStringMatcher::decode(value.encode_to_vec().as_slice()).ok()?;
            let value = problems.within("value_match", |p| matchers::string(&value, p))?;
            Some(Predicate::Value(input, value))
        }
        single_predicate::Matcher::CustomMatch(custom) => {
            problems.within("custom_match", |problems| {
                let (type_name, bytes) = typed(custom);
                if type_name != IP {
                    let reason = not_implemented(Some(&custom.name), type_name);
                    problems.report(format!("{reason} as a matcher of an input"));
                    return None;
                }
                let message = Ip::decode(bytes).ok()?;
                let level = problems.enter("typed_config");
                let ranges = address::ranges("cidr_ranges", &message.cidr_ranges, problems);
                problems.leave(level);
                Some(Predicate::Ip(input, ranges))
            })
        }
    }
}

fn input(message: &TypedExtensionConfig, problems: &mut Problems) -> Option<Input> {
    let (type_name, _) = typed(message);
    Some(match type_name.strip_prefix(INPUTS).unwrap_or("") {
        "DestinationIPInput" => Input::DestinationIp,
        "DestinationPortInput" => Input::DestinationPort,
        "SourceIPInput" => Input::SourceIp,
        "SourcePortInput" => Input::SourcePort,
        "DirectSourceIPInput" => Input::DirectSourceIp,
        "SourceTypeInput" => Input::SourceType,
        "ServerNameInput" => Input::ServerName,
        "TransportProtocolInput" => Input::TransportProtocol,
        "ApplicationProtocolInput" => Input::ApplicationProtocol,
        _ => {
            let reason = not_implemented(Some(&message.name), type_name);
            problems.report_at("input", format!("{reason} as an input"));
            return None;
        }
    })
}

/// The type of an extension and its bytes.
fn typed(message: &TypedExtensionConfig) -> (&str, &[u8]) {
    match message.typed_config.as_ref() {
        Some(any) => (
            name_of_url(&any.type_url).unwrap_or(""),
            any.value.as_slice(),
        ),
        None => ("", &[]),
    }
}
