//! Matchers: trees of them, of strings, values and metadata, and their inputs.

use super::{Entry, all};

const ONLY_RE2: &str = "the only engine; its program size is bounded anyway";

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "xds.type.matcher.v3.Matcher",
        &["matcher_list", "matcher_tree", "on_no_match"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.OnMatch",
        &["matcher", "action", "keep_matching"],
    ),
    all("xds.type.matcher.v3.Matcher.MatcherList", &["matchers"]),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher",
        &["predicate", "on_match"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.Predicate",
        &[
            "single_predicate",
            "or_matcher",
            "and_matcher",
            "not_matcher",
        ],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate",
        &["input", "value_match", "custom_match"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList",
        &["predicate"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherTree",
        &[
            "input",
            "exact_match_map",
            "prefix_match_map",
            "custom_match",
        ],
    ),
    all("xds.type.matcher.v3.Matcher.MatcherTree.MatchMap", &["map"]),
    all("xds.type.matcher.v3.IPMatcher", &["range_matchers"]),
    all(
        "xds.type.matcher.v3.IPMatcher.IPRangeMatcher",
        &["ranges", "on_match", "exclusive"],
    ),
    all(
        "xds.type.matcher.v3.ServerNameMatcher",
        &["domain_matchers"],
    ),
    all(
        "xds.type.matcher.v3.ServerNameMatcher.DomainMatcher",
        &["domains", "on_match"],
    ),
    all(
        "xds.type.matcher.v3.StringMatcher",
        &[
            "exact",
            "prefix",
            "suffix",
            "safe_regex",
            "contains",
            "ignore_case",
        ],
    ),
    Entry {
        message: "xds.type.matcher.v3.RegexMatcher",
        implemented: &["regex"],
        ignored: &[("google_re2", ONLY_RE2)],
        default_only: &[],
    },
    // The action of a `filter_chain_matcher`: the name of a chain.
    all("google.protobuf.StringValue", &["value"]),
    Entry {
        message: "envoy.extensions.matching.input_matchers.ip.v3.Ip",
        implemented: &["cidr_ranges"],
        ignored: &[(
            "stat_prefix",
            "counts inputs that are no addresses, which our inputs always are (of a pipe there is none)",
        )],
        default_only: &[],
    },
    all(
        "envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.SourcePortInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.DirectSourceIPInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.SourceTypeInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.ServerNameInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.TransportProtocolInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.ApplicationProtocolInput",
        &[],
    ),
    all("envoy.type.matcher.v3.ListStringMatcher", &["patterns"]),
    all(
        "envoy.type.matcher.v3.StringMatcher",
        &[
            "exact",
            "prefix",
            "suffix",
            "safe_regex",
            "contains",
            "ignore_case",
        ],
    ),
    all("envoy.type.matcher.v3.PathMatcher", &["path"]),
    all(
        "envoy.type.matcher.v3.MetadataMatcher",
        &["filter", "path", "value", "invert"],
    ),
    all(
        "envoy.type.matcher.v3.MetadataMatcher.PathSegment",
        &["key"],
    ),
    all(
        "envoy.type.matcher.v3.ValueMatcher",
        &[
            "null_match",
            "double_match",
            "string_match",
            "bool_match",
            "present_match",
            "list_match",
            "or_match",
        ],
    ),
    all("envoy.type.matcher.v3.ValueMatcher.NullMatch", &[]),
    all("envoy.type.matcher.v3.DoubleMatcher", &["range", "exact"]),
    all("envoy.type.matcher.v3.ListMatcher", &["one_of"]),
    all("envoy.type.matcher.v3.OrMatcher", &["value_matchers"]),
    Entry {
        message: "envoy.type.matcher.v3.RegexMatcher",
        implemented: &["regex"],
        ignored: &[("google_re2", ONLY_RE2)],
        default_only: &[],
    },
    all(
        "envoy.type.matcher.v3.RegexMatchAndSubstitute",
        &["pattern", "substitution"],
    ),
    // What of it is a list of statuses: `compile::outlier`.
    all(
        "envoy.config.common.matcher.v3.MatchPredicate",
        &["or_match", "http_response_headers_match"],
    ),
    all(
        "envoy.config.common.matcher.v3.MatchPredicate.MatchSet",
        &["rules"],
    ),
    all(
        "envoy.config.common.matcher.v3.HttpHeadersMatch",
        &["headers"],
    ),
];
