//! `envoy.filters.http.header_mutation`, of a connection manager or of a route.

use envoy_types::pb::envoy::config::common::mutation_rules::v3 as rules;
use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3 as pb;
use rules::header_mutation::Action;

use super::{headers, matchers};
use crate::problem::Problems;
use crate::resources::http_filters::{HeaderMutation, Mutation, Mutations};

pub(super) fn compile(
    message: &pb::HeaderMutation,
    problems: &mut Problems,
) -> Option<HeaderMutation> {
    let mutations = message.mutations.clone().unwrap_or_default();
    Some(HeaderMutation {
        mutations: problems.within("mutations", |p| all(&mutations, p))?,
        most_specific_wins: message.most_specific_header_mutations_wins,
    })
}

pub(super) fn all(message: &pb::Mutations, problems: &mut Problems) -> Option<Mutations> {
    let request = list("request_mutations", &message.request_mutations, problems);
    let response = list("response_mutations", &message.response_mutations, problems);
    Some(Mutations {
        request: request?,
        response: response?,
    })
}

fn list(
    field: &str,
    messages: &[rules::HeaderMutation],
    problems: &mut Problems,
) -> Option<Vec<Mutation>> {
    let each = |(index, message)| problems.within_item(field, index, |p| mutation(message, p));
    let all: Vec<_> = messages.iter().enumerate().map(each).collect();
    all.into_iter().collect()
}

fn mutation(message: &rules::HeaderMutation, problems: &mut Problems) -> Option<Mutation> {
    Some(match message.action.as_ref()? {
        Action::Remove(name) => {
            Mutation::Remove(problems.within("remove", |p| headers::removal(name, p))?)
        }
        Action::Append(option) => {
            Mutation::Append(problems.within("append", |p| headers::addition(option, p))?)
        }
        Action::RemoveOnMatch(message) => {
            let matcher = message.key_matcher.as_ref()?;
            let level = problems.enter("remove_on_match");
            let matcher = problems.within("key_matcher", |p| matchers::string(matcher, p));
            problems.leave(level);
            Mutation::RemoveMatching(matcher?)
        }
    })
}
