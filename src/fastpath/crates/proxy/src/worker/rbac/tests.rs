//! Filters on connections as workers see them.

use std::time::Duration;

use model::resources::rbac::{Criterion, Policy, Rules};
use model::resources::route::{StringMatcher, StringPattern};

use super::*;
use crate::telemetry::stats::Stats;

fn facts() -> ConnectionFacts {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap().into();
    ConnectionFacts::new(address("10.0.0.1:443"), address("127.0.0.1:5000"))
}

fn rules(action: Action, name: &str, principal: Criterion) -> Rules {
    Rules {
        action,
        policies: vec![Policy {
            name: name.into(),
            permissions: vec![Criterion::Any],
            principals: vec![principal],
        }],
    }
}

fn filter(rules: Option<Rules>, shadow_rules: Option<Rules>) -> RbacFilter {
    let config = NetworkRbac {
        stat_prefix: "p".into(),
        shadow_prefix: "dry_".into(),
        rules,
        shadow_rules,
        is_continuous: false,
        delay_deny: Some(Duration::from_secs(1)),
    };
    RbacFilter::new(&Arc::new(config), &Stats::new(1))
}

fn nobody() -> Criterion {
    Criterion::Not(Box::new(Criterion::Any))
}

#[test]
fn refusals_name_their_policy() {
    for (action, name, principal, details) in [
        (Action::Deny, "a b\tc", Criterion::Any, "a_b_c"),
        (Action::Allow, "p", nobody(), "none"),
    ] {
        let filter = filter(Some(rules(action, name, principal)), None);
        let refusal = filter.ask(&mut facts(), None).unwrap();
        let details = format!("rbac_access_denied_matched_policy[{details}]");
        assert_eq!(refusal.details.as_deref(), Some(&*details));
        assert_eq!(refusal.delay, Some(Duration::from_secs(1)));
        assert_eq!(filter.stats.counter(RbacCounter::Denied), 1);
    }
}

#[test]
fn shadow_rules_only_tell() {
    let shadow = rules(Action::Deny, "s", Criterion::Any);
    let filter = filter(None, Some(shadow));
    let mut facts = facts();
    assert_eq!(filter.ask(&mut facts, None), None);
    let text = |key| facts.metadata(NAMESPACE, key);
    let told = text("dry_shadow_engine_result");
    assert_eq!(told, Some(MetadataValue::Text("denied")));
    let told = text("dry_shadow_effective_policy_id");
    assert_eq!(told, Some(MetadataValue::Text("s")));
    let shadow = &filter.shadow_stats;
    assert_eq!(shadow.counter(RbacShadowCounter::ShadowDenied), 1);
    assert_eq!(filter.stats.counter(RbacCounter::Allowed), 0);
}

#[test]
fn logging_leaves_a_hint() {
    for (principal, hint) in [(Criterion::Any, true), (nobody(), false)] {
        let filter = filter(Some(rules(Action::Log, "l", principal)), None);
        let mut facts = facts();
        assert_eq!(filter.ask(&mut facts, None), None);
        let told = facts.metadata(COMMON_NAMESPACE, LOG_HINT);
        assert_eq!(told, Some(MetadataValue::Bool(hint)));
    }
}

#[test]
fn tls_without_a_certificate_has_an_empty_name() {
    let exact = |text: &str| {
        Criterion::Authenticated(Some(StringMatcher {
            pattern: StringPattern::Exact(text.as_bytes().into()),
            ignore_case: false,
        }))
    };
    let info = Info::default();
    for (name, tls, passes) in [
        ("", Some(&info), true),
        ("x", Some(&info), false),
        ("", None, false),
    ] {
        let filter = filter(Some(rules(Action::Allow, "p", exact(name))), None);
        assert_eq!(filter.ask(&mut facts(), tls).is_none(), passes, "{name:?}");
    }
}
