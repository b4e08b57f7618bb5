"""Aliases of the mesh's trust domain: a policy that names one of them means all of them."""

from __future__ import annotations

from dataclasses import replace

from controlplane.resources.authorization_policy.schema import Condition, From, Rule, Source

#: In policies it stands for the mesh's own trust domain, whatever that is.
_OWN = "cluster.local"
#: `DOMAIN/ns/NAMESPACE/sa/NAME`.
_PARTS = 5


def widened(rule: Rule, domains: tuple[str, ...]) -> Rule:
    """A rule whose principals and trust domains are written out for all of `domains`."""
    return replace(
        rule,
        from_=tuple(
            replace(one, source=_source(one.source, domains)) if one.source else From()
            for one in rule.from_
        ),
        when=tuple(_condition(one, domains) for one in rule.when),
    )


def _source(given: Source, domains: tuple[str, ...]) -> Source:
    return replace(
        given,
        principals=_principals(given.principals, domains),
        not_principals=_principals(given.not_principals, domains),
        trust_domains=_domains(given.trust_domains, domains),
        not_trust_domains=_domains(given.not_trust_domains, domains),
    )


def _condition(given: Condition, domains: tuple[str, ...]) -> Condition:
    wider = {"source.principal": _principals, "source.trustDomain": _domains}.get(given.key)
    if wider is None:
        return given
    return replace(
        given,
        values=wider(given.values, domains),
        not_values=wider(given.not_values, domains),
    )


def _principals(values: tuple[str, ...], domains: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        parts = value.split("/")
        # Any trust domain, a foreign one, or no SPIFFE identity at all stays as it is.
        own = len(parts) == _PARTS and parts[0] != "*"
        if not own or not (parts[0] == _OWN or any(_covers(parts[0], one) for one in domains)):
            found[value] = None
            continue
        for domain in domains:
            same = _covers(parts[0], domain)
            found[value if same else "/".join((domain, *parts[1:]))] = None
    return tuple(found)


def _domains(values: tuple[str, ...], domains: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        found.update(dict.fromkeys(domains if value in domains else (value,)))
    return tuple(found)


def _covers(pattern: str, domain: str) -> bool:
    """`td1`, or `*-td` for every domain that ends so."""
    if pattern.startswith("*"):
        return domain.endswith(pattern[1:])
    return pattern == domain
