"""Values of policies (exact, `p*`, `*s`, `*`, templates, CIDRs) as Envoy's matchers."""

from __future__ import annotations

import re
from ipaddress import ip_network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.path_pb2 import PathMatcher
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from controlplane.resources.authorization_policy.values import ANY_SEGMENTS, ONE_SEGMENT

#: Where `jwt_authn` leaves what it has verified, and below which key.
_JWT, _PAYLOAD = "envoy.filters.http.jwt_authn", "payload"
_ANYTHING = StringMatcher(safe_regex=RegexMatcher(regex=".+"))


def string(value: str, *, prepend: str = "", ignore_case: bool = False) -> StringMatcher:
    """`*` is any value that is not empty. `prepend` goes before what is compared from the start."""
    if value == "*":
        return _ANYTHING
    if value.startswith("*"):
        return StringMatcher(suffix=value[1:], ignore_case=ignore_case)
    if value.endswith("*"):
        return StringMatcher(prefix=prepend + value[:-1], ignore_case=ignore_case)
    return StringMatcher(exact=prepend + value, ignore_case=ignore_case)


def header(name: str, value: str, *, ignore_case: bool = False) -> HeaderMatcher:
    """A header with this value; `*` is any value, an empty one too."""
    if value == "*":
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=string(value, ignore_case=ignore_case))


def path(value: str) -> PathMatcher:
    """A path without its query. Templates become the regular expression that they mean."""
    if ONE_SEGMENT not in value and ANY_SEGMENTS not in value:
        return PathMatcher(path=string(value))
    regex = re.escape(value).replace(re.escape(ANY_SEGMENTS), ".*")
    regex = regex.replace(re.escape(ONE_SEGMENT), "[^/]+")
    return PathMatcher(path=StringMatcher(safe_regex=RegexMatcher(regex=regex)))


def cidr(value: str) -> CidrRange:
    """An address, or a block of them."""
    network = ip_network(value, strict=False)
    built = CidrRange(address_prefix=str(network.network_address))
    built.prefix_len.value = network.prefixlen
    return built


def claim(path: tuple[str, ...], value: str) -> MetadataMatcher:
    """A claim of the verified token, which may be a string or a list of them."""
    built = MetadataMatcher(filter=_JWT)
    for key in (_PAYLOAD, *path):
        built.path.add(key=key)
    either = built.value.or_match
    either.value_matchers.add().string_match.CopyFrom(string(value))
    either.value_matchers.add().list_match.one_of.string_match.CopyFrom(string(value))
    return built


def text_claim(name: str, value: str) -> MetadataMatcher:
    """A claim that is one string."""
    built = MetadataMatcher(filter=_JWT)
    for key in (_PAYLOAD, name):
        built.path.add(key=key)
    built.value.string_match.CopyFrom(string(value))
    return built


def metadata(name: str, key: str, value: str) -> MetadataMatcher:
    """What another filter has left; a value in brackets is one of a list."""
    built = MetadataMatcher(filter=name)
    built.path.add(key=key)
    if value.startswith("[") and value.endswith("]"):
        built.value.list_match.one_of.string_match.CopyFrom(string(value[1:-1]))
    else:
        built.value.string_match.CopyFrom(string(value))
    return built
