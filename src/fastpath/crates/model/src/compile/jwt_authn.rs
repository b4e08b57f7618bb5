//! `envoy.filters.http.jwt_authn`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::HttpUri;
use envoy_types::pb::envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3 as pb;
use pb::jwt_provider::JwksSourceSpecifier;
use pb::jwt_requirement::RequiresType;
use pb::per_route_config::RequirementSpecifier;
use pb::requirement_rule::RequirementType;

use super::duration::{millis, millis_or};
use super::{data_source, headers, matchers, virtual_host};
use crate::jwt::{KeySet, Status};
use crate::problem::Problems;
use crate::resources::header_mutation::HeaderName;
use crate::resources::jwt_authn::{
    Audiences, ClaimHeader, HeaderPlace, Issuers, JwtAuthn, Keys, PayloadHeader, Places, Provider,
    RemoteJwks, Requirement, RouteJwtAuthn, Rule, TokenCache,
};

/// Envoy's defaults.
const CLOCK_SKEW_SECONDS: u32 = 60;
const CACHE: Duration = Duration::from_secs(600);
const RETRY_AFTER: Duration = Duration::from_secs(1);
const CACHED_TOKENS: u32 = 100;
const CACHED_TOKEN: u32 = 4096;

/// Tokens that a worker keeps, whatever it is asked to.
const MAX_CACHED_TOKENS: usize = 10_000;

/// A set of keys as text.
const MAX_KEYS: usize = 1 << 20;

/// Providers as they were written, in the order of their names.
type Messages<'m> = Vec<(&'m str, &'m pb::JwtProvider)>;

pub(super) fn compile(
    message: &pb::JwtAuthentication,
    problems: &mut Problems,
) -> Option<JwtAuthn> {
    let mut messages: Messages<'_> = message
        .providers
        .iter()
        .map(|(name, it)| (name.as_str(), it))
        .collect();
    messages.sort_unstable_by_key(|(name, _)| *name);
    let level = problems.enter("providers");
    let mut providers = Vec::with_capacity(messages.len());
    for (name, message) in &messages {
        let level = problems.enter_key(name);
        providers.push(provider(name, message, problems));
        problems.leave(level);
    }
    problems.leave(level);
    let mut requirements: Vec<_> = message.requirement_map.iter().collect();
    requirements.sort_unstable_by_key(|(name, _)| *name);
    let level = problems.enter("requirement_map");
    let mut named = Vec::with_capacity(requirements.len());
    for (name, message) in requirements {
        let level = problems.enter_key(name);
        let compiled = requirement(message, &messages, None, problems);
        named.extend(compiled.map(|it| (Box::from(name.as_str()), Arc::new(it))));
        problems.leave(level);
    }
    problems.leave(level);
    let mut compiled = JwtAuthn {
        providers: providers.into_iter().collect::<Option<_>>()?,
        rules: Vec::new(),
        named,
        own_headers: messages
            .iter()
            .flat_map(|(_, it)| own_headers(it))
            .collect(),
        bypass_cors_preflight: message.bypass_cors_preflight,
        strip_failure_response: message.strip_failure_response,
        stat_prefix: message.stat_prefix.as_str().into(),
    };
    for (index, message) in message.rules.iter().enumerate() {
        let level = problems.enter_item("rules", index);
        let rule = rule(message, &messages, &compiled, problems);
        problems.leave(level);
        compiled.rules.push(rule?);
    }
    Some(compiled)
}

pub(super) fn of_route(message: &pb::PerRouteConfig) -> Option<RouteJwtAuthn> {
    Some(match message.requirement_specifier.as_ref()? {
        RequirementSpecifier::Disabled(_) => RouteJwtAuthn::Disabled,
        RequirementSpecifier::RequirementName(name) => {
            RouteJwtAuthn::Requires(name.as_str().into())
        }
    })
}

fn rule(
    message: &pb::RequirementRule,
    providers: &Messages<'_>,
    of: &JwtAuthn,
    problems: &mut Problems,
) -> Option<Rule> {
    let matcher = message.r#match.as_ref()?;
    // Envoy takes no notice of these here: who wrote them would be surprised.
    for (field, is_there) in [
        ("grpc", matcher.grpc.is_some()),
        ("tls_context", matcher.tls_context.is_some()),
        ("runtime_fraction", matcher.runtime_fraction.is_some()),
        ("dynamic_metadata", !matcher.dynamic_metadata.is_empty()),
    ] {
        if is_there {
            let level = problems.enter("match");
            problems.report_at(field, "is not implemented in rules of jwt_authn");
            problems.leave(level);
        }
    }
    let matcher = problems.within("match", |p| virtual_host::route_match(matcher, p))?;
    let requires = match message.requirement_type.as_ref() {
        None => None,
        Some(RequirementType::Requires(message)) => {
            let compiled =
                problems.within("requires", |p| requirement(message, providers, None, p));
            Some(Arc::new(compiled?))
        }
        Some(RequirementType::RequirementName(name)) => match of.requirement(name) {
            Some(known) => Some(Arc::clone(known)),
            None => {
                problems.report_at("requirement_name", of.wrong_name(name));
                return None;
            }
        },
    };
    Some(Rule { matcher, requires })
}

/// `beside`: the providers that `requires_any` names besides it; `None`: all are meant.
fn requirement(
    message: &pb::JwtRequirement,
    providers: &Messages<'_>,
    beside: Option<&[&str]>,
    problems: &mut Problems,
) -> Option<Requirement> {
    let optional = |failed| Requirement::Optional {
        failed,
        places: places(
            providers
                .iter()
                .filter(|(name, _)| beside.is_none_or(|beside| beside.contains(name))),
        ),
    };
    match message.requires_type.as_ref() {
        None => Some(Requirement::Nothing),
        Some(RequiresType::ProviderName(name)) => one(name, &[], providers, problems),
        Some(RequiresType::ProviderAndAudiences(it)) => problems
            .within("provider_and_audiences", |p| {
                one(&it.provider_name, &it.audiences, providers, p)
            }),
        Some(RequiresType::RequiresAny(list)) => {
            let level = problems.enter("requires_any");
            let compiled = any(&list.requirements, providers, problems);
            problems.leave(level);
            compiled.map(Requirement::Any)
        }
        Some(RequiresType::RequiresAll(list)) => {
            let level = problems.enter("requires_all");
            let each = |(index, message)| {
                problems.within_item("requirements", index, |p| {
                    requirement(message, providers, None, p)
                })
            };
            let all: Vec<_> = list.requirements.iter().enumerate().map(each).collect();
            problems.leave(level);
            all.into_iter().collect::<Option<_>>().map(Requirement::All)
        }
        Some(RequiresType::AllowMissingOrFailed(_)) => Some(optional(true)),
        Some(RequiresType::AllowMissing(_)) => Some(optional(false)),
        // Refused by name.
        Some(RequiresType::ExtractOnlyWithoutValidation(_)) => None,
    }
}

/// What lets requests without a token pass comes last, and concerns the providers beside it.
fn any(
    messages: &[pb::JwtRequirement],
    providers: &Messages<'_>,
    problems: &mut Problems,
) -> Option<Vec<Requirement>> {
    let mut compiled = Vec::with_capacity(messages.len());
    let mut beside = Vec::new();
    let mut last: Option<(usize, &pb::JwtRequirement)> = None;
    for (index, message) in messages.iter().enumerate() {
        match message.requires_type.as_ref() {
            Some(RequiresType::AllowMissingOrFailed(_) | RequiresType::AllowMissing(_)) => {
                // Of several the one that lets more pass.
                let is_strict = |(_, known): (usize, &pb::JwtRequirement)| {
                    matches!(known.requires_type, Some(RequiresType::AllowMissing(_)))
                };
                if last.is_none_or(is_strict) {
                    last = Some((index, message));
                }
                continue;
            }
            Some(RequiresType::ProviderName(name)) => beside.push(name.as_str()),
            Some(RequiresType::ProviderAndAudiences(it)) => beside.push(&it.provider_name),
            _ => {}
        }
        let one = problems.within_item("requirements", index, |p| {
            requirement(message, providers, None, p)
        });
        compiled.push(one);
    }
    if let Some((index, message)) = last {
        let beside = Some(&*beside).filter(|beside| !beside.is_empty());
        let one = problems.within_item("requirements", index, |p| {
            requirement(message, providers, beside, p)
        });
        compiled.push(one);
    }
    compiled.into_iter().collect()
}

fn one(
    name: &str,
    audiences: &[String],
    providers: &Messages<'_>,
    problems: &mut Problems,
) -> Option<Requirement> {
    let Ok(at) = providers.binary_search_by_key(&name, |(known, _)| known) else {
        let reason = format!("Required provider ['{name}'] is not configured.");
        problems.report_at("provider_name", reason);
        return None;
    };
    let audiences = Some(audiences).filter(|all| !all.is_empty());
    Some(Requirement::Provider {
        provider: at,
        audiences: audiences.map(|all| Audiences::new(all.iter().map(String::as_str))),
        places: places(providers.get(at)),
    })
}

/// Where tokens of some providers are.
fn places<'m>(providers: impl IntoIterator<Item = &'m (&'m str, &'m pb::JwtProvider)>) -> Places {
    let mut of_headers: BTreeMap<String, HeaderPlace> = BTreeMap::new();
    let mut params: BTreeMap<Box<[u8]>, Issuers> = BTreeMap::new();
    let mut cookies: BTreeMap<Box<[u8]>, Issuers> = BTreeMap::new();
    let mut own = Vec::new();
    let key = |name: &str| Box::from(name.as_bytes());
    for (_, provider) in providers {
        let mut header = |name: &str, prefix: &str| {
            let name = headers::name(name);
            let place = format!("{}{prefix}", name.text);
            let place = of_headers.entry(place).or_insert_with(|| HeaderPlace {
                name,
                prefix: prefix.as_bytes().into(),
                issuers: Issuers::default(),
            });
            place.issuers.add(&provider.issuer);
        };
        for place in &provider.from_headers {
            header(&place.name, &place.value_prefix);
        }
        let is_silent = provider.from_headers.is_empty()
            && provider.from_params.is_empty()
            && provider.from_cookies.is_empty();
        if is_silent {
            header("authorization", "Bearer ");
            params
                .entry(key("access_token"))
                .or_default()
                .add(&provider.issuer);
        }
        for name in &provider.from_params {
            params.entry(key(name)).or_default().add(&provider.issuer);
        }
        for name in &provider.from_cookies {
            cookies.entry(key(name)).or_default().add(&provider.issuer);
        }
        own.extend(own_headers(provider));
    }
    Places {
        headers: of_headers.into_values().collect(),
        params: params.into_iter().collect(),
        cookies: cookies.into_iter().collect(),
        own_headers: own,
    }
}

/// The headers that a provider's tokens fill.
fn own_headers(provider: &pb::JwtProvider) -> impl Iterator<Item = HeaderName> + '_ {
    let payload = Some(provider.forward_payload_header.as_str());
    let payload = payload.filter(|name| !name.is_empty());
    let claims = provider.claim_to_headers.iter();
    let claims = claims.map(|claim| claim.header_name.as_str());
    payload.into_iter().chain(claims).map(headers::name)
}

fn provider(name: &str, message: &pb::JwtProvider, problems: &mut Problems) -> Option<Provider> {
    let subjects = match message.subjects.as_ref() {
        None => None,
        Some(matcher) => Some(problems.within("subjects", |p| matchers::string(matcher, p))?),
    };
    let max_lifetime = message.max_lifetime.as_ref();
    let before = problems.count();
    let max_lifetime = millis("max_lifetime", max_lifetime, problems);
    let keys = keys(name, message, problems);
    let mut claim_headers = Vec::with_capacity(message.claim_to_headers.len());
    for (index, claim) in message.claim_to_headers.iter().enumerate() {
        let level = problems.enter_item("claim_to_headers", index);
        claim_headers.push(claim_header(name, claim, problems));
        problems.leave(level);
    }
    if problems.count() != before {
        return None;
    }
    let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Arc::from);
    let header = Some(message.forward_payload_header.as_str()).filter(|name| !name.is_empty());
    let normalize = message.normalize_payload_in_metadata.as_ref();
    let normalize = normalize.map(|it| &*it.space_delimited_claims);
    let skew = match message.clock_skew_seconds {
        0 => CLOCK_SKEW_SECONDS,
        seconds => seconds,
    };
    Some(Provider {
        name: name.into(),
        issuer: message.issuer.as_str().into(),
        subjects,
        audiences: Audiences::new(message.audiences.iter().map(String::as_str)),
        require_expiration: message.require_expiration,
        max_lifetime,
        clock_skew_seconds: skew.into(),
        keys: keys?,
        forward: message.forward,
        payload_header: header.map(|name| PayloadHeader {
            name: headers::name(name),
            pad: message.pad_forward_payload_header,
        }),
        claim_headers: claim_headers.into_iter().collect::<Option<_>>()?,
        payload_key: text(&message.payload_in_metadata),
        header_key: text(&message.header_in_metadata),
        failure_key: text(&message.failed_status_in_metadata),
        split_claims: normalize
            .unwrap_or_default()
            .iter()
            .map(|claim| claim.as_str().into())
            .collect(),
        clear_route_cache: message.clear_route_cache,
        cache: message.jwt_cache_config.as_ref().map(token_cache),
    })
}

fn token_cache(message: &pb::JwtCacheConfig) -> TokenCache {
    let or = |value: u32, default: u32| {
        let value = if value == 0 { default } else { value };
        usize::try_from(value).unwrap_or(usize::MAX)
    };
    TokenCache {
        size: or(message.jwt_cache_size, CACHED_TOKENS).min(MAX_CACHED_TOKENS),
        max_token: or(message.jwt_max_token_size, CACHED_TOKEN),
    }
}

fn claim_header(
    provider: &str,
    message: &pb::JwtClaimToHeader,
    problems: &mut Problems,
) -> Option<ClaimHeader> {
    let path: Vec<Box<str>> = match (&*message.claim_name, &*message.claim_path) {
        ("", path) if !path.is_empty() => path
            .iter()
            .map(|segment| segment.key.as_str().into())
            .collect(),
        (name, []) if !name.is_empty() => name.split('.').map(Box::from).collect(),
        _ => {
            let header = &message.header_name;
            problems.report(format!(
                "Provider '{provider}' has a claim_to_headers entry for header '{header}' which \
                 does not set exactly one of claim_name and claim_path"
            ));
            return None;
        }
    };
    Some(ClaimHeader {
        name: headers::name(&message.header_name),
        path,
    })
}

fn keys(provider: &str, message: &pb::JwtProvider, problems: &mut Problems) -> Option<Keys> {
    match message.jwks_source_specifier.as_ref()? {
        JwksSourceSpecifier::LocalJwks(source) => {
            let level = problems.enter("local_jwks");
            let read = data_source::read(source, problems);
            let keys = read.and_then(|text| local(provider, &text, problems));
            problems.leave(level);
            keys
        }
        JwksSourceSpecifier::RemoteJwks(message) => {
            let level = problems.enter("remote_jwks");
            let remote = remote(provider, message, problems);
            problems.leave(level);
            remote.map(|remote| Keys::Remote(Arc::new(remote)))
        }
    }
}

fn local(provider: &str, text: &[u8], problems: &mut Problems) -> Option<Keys> {
    if text.is_empty() {
        return Some(Keys::Local(Err(Status::JwksNoValidKeys)));
    }
    if text.len() > MAX_KEYS {
        problems.report(format!(
            "a set of keys of more than {MAX_KEYS} bytes is not implemented"
        ));
        return None;
    }
    match KeySet::parse(text) {
        Ok(keys) => Some(Keys::Local(Ok(Arc::new(keys)))),
        Err(status) => {
            let status = status.text();
            problems.report(format!(
                "Provider '{provider}' in jwt_authn config has invalid local jwks: {status}"
            ));
            None
        }
    }
}

fn remote(provider: &str, message: &pb::RemoteJwks, problems: &mut Problems) -> Option<RemoteJwks> {
    let before = problems.count();
    let uri = message.http_uri.as_ref()?;
    let cache = message.cache_duration.as_ref();
    let cache = millis_or("cache_duration", cache, CACHE, problems);
    let retry_after = message.async_fetch.as_ref().map(|fetch| {
        let level = problems.enter("async_fetch");
        let after = fetch.failed_refetch_duration.as_ref();
        let after = millis_or("failed_refetch_duration", after, RETRY_AFTER, problems);
        problems.leave(level);
        after
    });
    let level = problems.enter("http_uri");
    let (authority, path) = split(provider, uri, problems).unzip();
    let timeout = millis("timeout", uri.timeout.as_ref(), problems);
    problems.leave(level);
    if problems.count() != before {
        return None;
    }
    let HttpUpstreamType::Cluster(cluster) = uri.http_upstream_type.as_ref()?;
    Some(RemoteJwks {
        cluster: cluster.as_str().into(),
        authority: authority?.into(),
        path: path?.into(),
        timeout_ms: u64::try_from(timeout?.as_millis()).unwrap_or(u64::MAX),
        cache,
        retry_after,
    })
}

/// Host and path of the place of the keys.
fn split<'u>(
    provider: &str,
    message: &'u HttpUri,
    problems: &mut Problems,
) -> Option<(&'u str, String)> {
    let uri = message.uri.as_str();
    let lower = uri.to_ascii_lowercase();
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|it| lower.starts_with(it));
    let rest = scheme
        .and_then(|scheme| uri.get(scheme.len()..))
        .unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || rest.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        problems.report_at(
            "uri",
            format!("Provider '{provider}' has an invalid URI: '{uri}'"),
        );
        return None;
    }
    let path = path.split('#').next().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some((authority, format!("{slash}{path}")))
}
