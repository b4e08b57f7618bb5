"""`from` and the conditions on sources as Envoy's principals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from envoy.config.rbac.v3.rbac_pb2 import Principal
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from controlplane.resources.authorization_policy import matchers
from controlplane.resources.authorization_policy.schema import Condition, Source

ANY = Principal(any=True)

_Of = Callable[[str], Principal]


class Unsupported(Exception):
    """What is asked cannot be known for a connection that is not HTTP."""


def source(given: Source, namespace: str, *, http: bool) -> Principal:
    """All fields of a source. `namespace`: of the policy. Raises Unsupported."""
    parts: list[Principal] = []
    for positive, negative, of, only_http in (
        (given.principals, given.not_principals, _principal, False),
        (given.namespaces, given.not_namespaces, _namespace, False),
        (
            given.service_accounts,
            given.not_service_accounts,
            lambda value: _service_account(value, namespace),
            False,
        ),
        (given.trust_domains, given.not_trust_domains, _trust_domain, False),
        (given.ip_blocks, given.not_ip_blocks, _address, False),
        (given.remote_ip_blocks, given.not_remote_ip_blocks, _remote_address, False),
        (given.request_principals, given.not_request_principals, request_principal, True),
    ):
        if only_http and not http and (positive or negative):
            raise Unsupported
        parts += _values(positive, negative, of)
    return all_of(parts)


def condition(given: Condition, namespace: str, *, http: bool) -> Principal:
    """A `when` about the source or the request. Raises Unsupported, for a key that nobody knows
    as well: validation has refused those."""
    key = given.key
    of: _Of | None = {
        "source.ip": _address,
        "remote.ip": _remote_address,
        "source.namespace": _namespace,
        "source.serviceAccount": lambda value: _service_account(value, namespace),
        "source.trustDomain": _trust_domain,
        "source.principal": _principal,
    }.get(key)
    if of is None and http:
        of = _of_request(key)
    if of is None:
        raise Unsupported
    return all_of(_values(given.values, given.not_values, of))


def all_of(parts: list[Principal]) -> Principal:
    """AND; nothing asked is anybody."""
    if not parts:
        return ANY
    return parts[0] if len(parts) == 1 else Principal(and_ids=Principal.Set(ids=parts))


def any_of(parts: Iterable[Principal]) -> Principal:
    """OR."""
    found = list(parts)
    return found[0] if len(found) == 1 else Principal(or_ids=Principal.Set(ids=found))


def request_principal(value: str) -> Principal:
    """`issuer/subject`, in any of the forms with a star. What has no slash and no star is an issuer
    with an empty subject, as in Istio: it must not stand for every subject."""
    issuer, slash, subject = value.rpartition("/")
    if value == "*":
        issuer, subject = "*", "*"
    elif not slash and value.startswith("*"):
        issuer, subject = "*", value
    elif not slash:
        issuer, subject = value, "*" if value.endswith("*") else ""
    return all_of([_text_claim("iss", issuer), _text_claim("sub", subject)])


def _values(positive: tuple[str, ...], negative: tuple[str, ...], of: _Of) -> list[Principal]:
    parts = []
    if positive:
        parts.append(any_of(of(value) for value in positive))
    if negative:
        parts.append(Principal(not_id=any_of(of(value) for value in negative)))
    return parts


def _authenticated(matcher: StringMatcher) -> Principal:
    return Principal(authenticated=Principal.Authenticated(principal_name=matcher))


def _regex(text: str) -> StringMatcher:
    return StringMatcher(safe_regex=RegexMatcher(regex=text))


def _principal(value: str) -> Principal:
    if value.startswith("*") and value != "*":
        # A suffix by itself would take DNS names, too, which certificates may have as well.
        return _authenticated(_regex(f"spiffe://.*{re.escape(value[1:])}"))
    return _authenticated(matchers.string(value, prepend="spiffe://"))


def _namespace(value: str) -> Principal:
    # A star stands for any characters but a slash, so that it cannot reach into the account.
    pattern = "[^/]*".join(re.escape(part) for part in value.split("*"))
    return _authenticated(_regex(f".*/ns/{pattern}/.*"))


def _service_account(value: str, namespace: str) -> Principal:
    space, _, name = value.rpartition("/")
    # As in Istio, an identity may say more between and behind its parts.
    place = f"/ns/{re.escape(space or namespace)}/(.+/|)sa/{re.escape(name)}(/.+)?"
    return _authenticated(_regex(f"spiffe://.+{place}"))


def _trust_domain(value: str) -> Principal:
    if value == "*":
        return _authenticated(StringMatcher(prefix="spiffe://"))
    if "*" not in value:
        return _authenticated(StringMatcher(prefix=f"spiffe://{value}/"))
    pattern = "[^/]*".join(re.escape(part) for part in value.split("*"))
    return _authenticated(_regex(f"spiffe://{pattern}/.*"))


def _address(value: str) -> Principal:
    return Principal(direct_remote_ip=matchers.cidr(value))


def _remote_address(value: str) -> Principal:
    return Principal(remote_ip=matchers.cidr(value))


def _text_claim(name: str, value: str) -> Principal:
    return Principal(metadata=matchers.text_claim(name, value))


def _claim(path: tuple[str, ...], value: str) -> Principal:
    return Principal(metadata=matchers.claim(path, value))


def _of_request(key: str) -> _Of | None:
    """Headers and claims: `request.headers[x]`, `request.auth.claims[a][b]`."""
    name, keys = _brackets(key)
    if name == "request.headers" and len(keys) == 1:
        return lambda value: Principal(header=matchers.header(keys[0], value))
    if name == "request.auth.claims" and keys:
        return lambda value: _claim(keys, value)
    return {
        "request.auth.principal": request_principal,
        "request.auth.audiences": lambda value: _claim(("aud",), value),
        "request.auth.presenter": lambda value: _claim(("azp",), value),
    }.get(key)


def _brackets(key: str) -> tuple[str, tuple[str, ...]]:
    name, bracket, rest = key.partition("[")
    return name, tuple(rest.removesuffix("]").split("][")) if bracket else ()
