//! Rules against subjects of every kind.

use super::*;
use crate::resources::hcm::Cidr;
use crate::resources::rbac::ValueMatcher;
use crate::resources::route::{StringMatcher, StringPattern};
use crate::resources::tls::SanType;

/// A subject with everything, to be changed.
struct Someone {
    destination: &'static str,
    source: &'static str,
    direct: &'static str,
    server_name: &'static str,
    path: Option<&'static str>,
    principals: Option<&'static [&'static str]>,
    /// The only alternative name of a certificate that was verified.
    san: Option<&'static str>,
    metadata: Vec<(&'static str, &'static str, MetadataValue<'static>)>,
}

impl Default for Someone {
    fn default() -> Self {
        Self {
            destination: "10.0.0.1:443",
            source: "192.168.1.1",
            direct: "127.0.0.1",
            server_name: "a.test",
            path: None,
            principals: None,
            san: None,
            metadata: Vec::new(),
        }
    }
}

impl Subject for Someone {
    /// A pipe, if it is no address.
    fn destination(&self) -> Option<SocketAddr> {
        self.destination.parse().ok()
    }

    fn source(&self, which: Source) -> Option<IpAddr> {
        match which {
            Source::Direct => self.direct.parse().ok(),
            Source::Connection | Source::Remote => self.source.parse().ok(),
        }
    }

    fn server_name(&self) -> &[u8] {
        self.server_name.as_bytes()
    }

    fn has_header(&self, _: &HeaderMatcher) -> bool {
        false
    }

    fn has_path(&self, matcher: &StringMatcher) -> bool {
        let path = self.path.map(str::as_bytes);
        path.is_some_and(|path| matcher.matches(path))
    }

    fn is_secure(&self) -> bool {
        self.principals.is_some()
    }

    fn any_principal(&self, mut matches: impl FnMut(&[u8]) -> bool) -> bool {
        let mut names = self.principals.unwrap_or_default().iter();
        names.any(|name| matches(name.as_bytes()))
    }

    fn is_verified(&self) -> bool {
        self.san.is_some()
    }

    fn has_san(&self, matcher: &SanMatcher) -> bool {
        let matches = |san: &str| matcher.matcher.matches(san.as_bytes());
        self.san.is_some_and(matches)
    }

    fn metadata(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        let mut all = self.metadata.iter();
        all.find(|(n, key, _)| *n == namespace && path == [Box::from(*key)])
            .map(|(_, _, value)| *value)
    }
}

fn exact(text: &str) -> StringMatcher {
    StringMatcher {
        pattern: StringPattern::Exact(text.as_bytes().into()),
        ignore_case: false,
    }
}

fn cidr(address: &str, prefix_len: u8) -> Cidr {
    Cidr {
        address: address.parse().unwrap(),
        prefix_len,
    }
}

fn policy(name: &str, permission: Criterion, principal: Criterion) -> Policy {
    Policy {
        name: name.into(),
        permissions: vec![permission],
        principals: vec![principal],
    }
}

#[test]
fn actions() {
    let nobody = || Criterion::Not(Box::new(Criterion::Any));
    for (action, applies, allowed) in [
        (Action::Allow, true, true),
        (Action::Allow, false, false),
        (Action::Deny, true, false),
        (Action::Deny, false, true),
        (Action::Log, true, true),
        (Action::Log, false, true),
    ] {
        let principal = if applies { Criterion::Any } else { nobody() };
        let policies = vec![policy("p", Criterion::Any, principal)];
        let rules = Rules { action, policies };
        let verdict = rules.ask(&Someone::default());
        let named = verdict.policy.map(|policy| &**policy);
        let policy = applies.then_some("p");
        assert_eq!(
            (verdict.allowed, named),
            (allowed, policy),
            "{action:?} {applies}"
        );
    }
}

#[test]
fn without_policies() {
    for (action, allowed) in [
        (Action::Allow, false),
        (Action::Deny, true),
        (Action::Log, true),
    ] {
        let policies = Vec::new();
        let rules = Rules { action, policies };
        let verdict = rules.ask(&Someone::default());
        assert_eq!(verdict.allowed, allowed, "{action:?}");
        assert_eq!(verdict.policy, None);
    }
}

#[test]
fn the_first_policy_that_applies_is_named() {
    let source = |ip| Criterion::SourceIp(Source::Remote, cidr(ip, 32));
    let rules = Rules {
        action: Action::Allow,
        policies: vec![
            policy("a", Criterion::Any, source("10.0.0.1")),
            policy("b", Criterion::Any, source("192.168.1.1")),
            policy("c", Criterion::Any, Criterion::Any),
        ],
    };
    let verdict = rules.ask(&Someone::default());
    assert_eq!(verdict.policy.map(|policy| &**policy), Some("b"));
}

#[test]
fn both_sides_of_a_policy_count() {
    let port = |start, end| Criterion::DestinationPort { start, end };
    for (permissions, principals, applies) in [
        (vec![port(443, 444)], vec![Criterion::Any], true),
        (vec![port(444, 445)], vec![Criterion::Any], false),
        (vec![port(1, 2), port(443, 444)], vec![Criterion::Any], true),
        (vec![Criterion::Any], vec![port(1, 2), Criterion::Any], true),
        (vec![Criterion::Any], vec![port(1, 2)], false),
    ] {
        let policy = Policy {
            name: "p".into(),
            permissions,
            principals,
        };
        assert_eq!(policy.applies(&Someone::default()), applies, "{policy:?}");
    }
}

#[test]
fn criteria() {
    use Criterion as C;
    let source = |which, ip, len| C::SourceIp(which, cidr(ip, len));
    let port = |start, end| C::DestinationPort { start, end };
    for (criterion, want) in [
        (C::And(vec![C::Any, C::Any]), true),
        (C::And(vec![C::Any, port(1, 2)]), false),
        (C::Or(vec![port(1, 2), C::Any]), true),
        (C::Or(vec![port(1, 2)]), false),
        (C::Not(Box::new(port(1, 2))), true),
        (C::DestinationIp(cidr("10.0.0.0", 8)), true),
        (C::DestinationIp(cidr("11.0.0.0", 8)), false),
        (C::DestinationIp(cidr("::", 0)), false),
        (port(443, 444), true),
        (port(442, 443), false),
        (port(0, 65536), true),
        (source(Source::Connection, "192.168.0.0", 16), true),
        (source(Source::Remote, "192.168.1.1", 32), true),
        (source(Source::Remote, "127.0.0.1", 32), false),
        (source(Source::Direct, "127.0.0.0", 8), true),
        (source(Source::Direct, "192.168.1.1", 32), false),
        (C::ServerName(exact("a.test")), true),
        (C::ServerName(exact("b.test")), false),
        (C::UrlPath(exact("")), false),
        (C::Authenticated(None), false),
        (C::Authenticated(Some(exact(""))), false),
    ] {
        let is = criterion.matches(&Someone::default());
        assert_eq!(is, want, "{criterion:?}");
    }
}

/// Both ends of it have no address.
#[test]
fn pipes() {
    let pipe = Someone {
        destination: "/run/a.sock",
        source: "/run/a.sock",
        direct: "/run/a.sock",
        ..Someone::default()
    };
    for criterion in [
        Criterion::DestinationIp(cidr("0.0.0.0", 0)),
        Criterion::DestinationPort {
            start: 0,
            end: 65_536,
        },
        Criterion::SourceIp(Source::Direct, cidr("0.0.0.0", 0)),
        Criterion::SourceIp(Source::Remote, cidr("::", 0)),
    ] {
        assert!(!criterion.matches(&pipe), "{criterion:?}");
    }
    assert!(Criterion::Any.matches(&pipe));
}

#[test]
fn principals_are_of_tls() {
    let named = |text: &str| Criterion::Authenticated(Some(exact(text)));
    let anyone = Criterion::Authenticated(None);
    let peer: &[&str] = &["spiffe://a/b", "web.test", "CN=web"];
    let unnamed: &[&str] = &[""];
    for (principals, criterion, want) in [
        (peer, named("spiffe://a/b"), true),
        (peer, named("web.test"), true),
        (peer, named("CN=web"), true),
        (peer, named(""), false),
        (unnamed, named(""), true),
        (unnamed, anyone, true),
    ] {
        let someone = Someone {
            principals: Some(principals),
            ..Someone::default()
        };
        assert_eq!(criterion.matches(&someone), want, "{criterion:?}");
    }
}

#[test]
fn verified_certificates() {
    let san = |text: &str| {
        Criterion::Verified(Some(SanMatcher {
            kind: SanType::Uri,
            matcher: exact(text),
        }))
    };
    for (has, criterion, want) in [
        (Some("spiffe://a"), Criterion::Verified(None), true),
        (Some("spiffe://a"), san("spiffe://a"), true),
        (Some("spiffe://a"), san("spiffe://b"), false),
        (None, Criterion::Verified(None), false),
        (None, san(""), false),
    ] {
        let someone = Someone {
            san: has,
            ..Someone::default()
        };
        assert_eq!(criterion.matches(&someone), want, "{criterion:?}");
    }
}

#[test]
fn paths_are_of_requests() {
    let someone = Someone {
        path: Some("/a"),
        ..Someone::default()
    };
    assert!(Criterion::UrlPath(exact("/a")).matches(&someone));
    assert!(!Criterion::UrlPath(exact("/b")).matches(&someone));
}

#[test]
fn metadata() {
    let someone = Someone {
        metadata: vec![
            ("n", "text", MetadataValue::Text("v")),
            ("n", "flag", MetadataValue::Bool(true)),
        ],
        ..Someone::default()
    };
    let is = |key: &str, value, invert| {
        let matcher = MetadataMatcher {
            filter: "n".into(),
            path: vec![key.into()],
            value,
            invert,
        };
        Criterion::Metadata(matcher).matches(&someone)
    };
    use ValueMatcher as V;
    for (key, value, want) in [
        ("text", V::String(exact("v")), true),
        ("text", V::String(exact("w")), false),
        ("text", V::Bool(true), false),
        ("text", V::Present(true), true),
        ("text", V::Present(false), false),
        ("text", V::Null, false),
        ("flag", V::Bool(true), true),
        ("flag", V::Bool(false), false),
        ("flag", V::String(exact("true")), false),
        ("flag", V::Or(vec![V::Null, V::Bool(true)]), true),
        ("none", V::Present(true), false),
        ("none", V::Present(false), false),
    ] {
        let shown = format!("{key} {value:?}");
        assert_eq!(is(key, value, false), want, "{shown}");
    }
    assert!(is("none", V::Present(true), true));
    assert!(!is("text", V::Present(true), true));
}

/// What no subject has matches nothing: whoever is allowed by it is not.
#[test]
fn what_is_missing_lets_nobody_pass() {
    let missing = MetadataMatcher {
        filter: "n".into(),
        path: vec!["k".into(), "inner".into()],
        value: ValueMatcher::Present(true),
        invert: false,
    };
    for criterion in [
        Criterion::Metadata(missing),
        Criterion::UrlPath(exact("/")),
        Criterion::Authenticated(None),
    ] {
        let rules = Rules {
            action: Action::Allow,
            policies: vec![policy("p", criterion, Criterion::Any)],
        };
        assert!(!rules.ask(&Someone::default()).allowed);
    }
}
