"""Who can never call: never said of somebody whom Envoy's rules could admit."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.registry import services
from controlplane.resources.authorization_policy.reach import denied_by
from controlplane.resources.authorization_policy.schema import (
    AuthorizationPolicy,
    Condition,
    From,
    Operation,
    Rule,
    Source,
    To,
)
from controlplane.resources.authorization_policy.translate import rules
from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.resource import Key, Resource
from controlplane.world.world import World
from tests.support import meshes
from tests.support.meshes import resources

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: ratings}
spec: {ports: [{port: 9080, name: http}], selector: {app: ratings, tier: back}}
"""
HOST = "ratings.default.svc.cluster.local"


def world(*policies: AuthorizationPolicy, namespace: str = "default") -> World:
    made = World()
    held = [
        Resource(Key("AuthorizationPolicy", namespace, f"p{index}"), spec)
        for index, spec in enumerate(policies)
    ]
    made.change([*resources(SERVICE), *held])
    return made


def denied(made: World, account: str = "intern", namespace: str = "default") -> bool:
    view = made.view()
    (service,) = services.named(view, HOST)
    return bool(denied_by(view, service, namespace, account))


def allow(*sources: Source, selector: dict[str, str] | None = None, **more: Any) -> Any:
    chosen = None if selector is None else PolicySelector(selector)
    given = tuple(From(one) for one in sources)
    return AuthorizationPolicy(selector=chosen, rules=(Rule(from_=given, **more),))


REVIEWS = Source(principals=("cluster.local/ns/default/sa/reviews",))
INTERN = Source(service_accounts=("intern",))


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ((), False),
        ((allow(REVIEWS),), True),
        ((AuthorizationPolicy(),), True),
        ((allow(REVIEWS), allow(INTERN)), False),
        ((allow(),), False),
        ((allow(selector={"app": "other"}),), False),
        ((allow(REVIEWS, selector={"app": "ratings"}),), True),
        # Only some workloads have this label: others take everybody.
        ((allow(REVIEWS, selector={"version": "v1"}),), False),
        # One that may hold for some admits.
        ((allow(REVIEWS), allow(INTERN, selector={"version": "v1"})), False),
        ((allow(Source(namespaces=("prod-*",))),), True),
        ((allow(Source(namespaces=("def*",))),), False),
        ((allow(Source(not_namespaces=("default",))),), True),
        ((allow(Source(principals=("*",))),), False),
        # What cannot be known is granted.
        ((allow(Source(ip_blocks=("10.0.0.1",))),), False),
        ((allow(to=(To(Operation(methods=("GET",))),)),), False),
        ((allow(when=(Condition("source.namespace", values=("prod",)),)),), True),
        ((allow(when=(Condition("request.headers[x]", values=("y",)),)),), False),
    ],
)
def test_who_is_kept_out(policies: tuple[AuthorizationPolicy, ...], expected: bool) -> None:
    assert denied(world(*policies)) is expected


def test_the_mesh_s_policies_count_too() -> None:
    assert denied(world(allow(REVIEWS), namespace="istio-system"))
    assert not denied(world(allow(REVIEWS), namespace="elsewhere"))


_NAMES = st.sampled_from(
    ["*", "cluster.local/ns/default/sa/intern", "cluster.local/ns/default/*", "*/sa/intern",
     "*/sa/reviews", "cluster.local/ns/prod/sa/intern", "other/ns/default/sa/intern"]
)  # fmt: skip
_SPACES = st.sampled_from(["default", "prod", "d*", "*t", "*"])
_ACCOUNTS = st.sampled_from(["intern", "default/intern", "prod/intern", "reviews"])


def few(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, max_size=2).map(tuple)


_SOURCES = st.builds(
    Source,
    principals=few(_NAMES),
    not_principals=few(_NAMES),
    namespaces=few(_SPACES),
    not_namespaces=few(_SPACES),
    service_accounts=few(_ACCOUNTS),
    not_service_accounts=few(_ACCOUNTS),
    trust_domains=few(st.sampled_from(["cluster.local", "cluster.*", "other"])),
    ip_blocks=few(st.sampled_from(["10.0.0.0/8"])),
)
_RULES = st.builds(Rule, from_=st.lists(_SOURCES.map(From), max_size=2).map(tuple))
_POLICIES = st.builds(AuthorizationPolicy, rules=st.lists(_RULES, max_size=2).map(tuple))


@given(st.lists(_POLICIES, min_size=1, max_size=3))
def test_never_is_what_envoys_rules_say_too(policies: list[AuthorizationPolicy]) -> None:
    made = world(*policies)
    labels = (("app", "ratings"), ("tier", "back"))
    (allowed,) = rules(made.view(), "default", labels, http=True)
    assert allowed.enforced is not None
    name = "spiffe://cluster.local/ns/default/sa/intern"
    may = any(
        any(holds(one, name) is not False for one in policy.principals)
        and not any(one.HasField("not_rule") for one in policy.permissions)
        for policy in allowed.enforced.policies.values()
    )
    # Both are exact about what they know, and grant the rest: so they agree.
    assert denied(made) is not may


def holds(principal: Any, name: str) -> bool | None:
    """Whether a principal holds for a certificate; None is not known."""
    kind = principal.WhichOneof("identifier")
    if kind == "any":
        return True
    if kind == "and_ids":
        found = [holds(one, name) for one in principal.and_ids.ids]
        return False if False in found else None if None in found else True
    if kind == "or_ids":
        found = [holds(one, name) for one in principal.or_ids.ids]
        return True if True in found else None if None in found else False
    if kind == "not_id":
        inner = holds(principal.not_id, name)
        return None if inner is None else not inner
    if kind == "authenticated":
        return matches(principal.authenticated.principal_name, name)
    return None


def matches(matcher: Any, text: str) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return re.fullmatch(matcher.safe_regex.regex, text) is not None
    value = getattr(matcher, kind)
    return {
        "exact": text == value,
        "prefix": text.startswith(value),
        "suffix": text.endswith(value),
    }[kind]


def test_an_alias_of_the_trust_domain_stands_for_all_of_them() -> None:
    """`cluster.local` in a policy is the mesh's own trust domain, whatever its name."""
    view = meshes.world(
        """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: mesh.example"}
---
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {ports: [{port: 80, name: http}], selector: {app: a}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a}
spec: {rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/b]}}]}]}
"""
    ).view()
    (service,) = services.named(view, "a.default.svc.cluster.local")
    assert denied_by(view, service, "default", "b") == ()
    assert denied_by(view, service, "default", "c") != ()
