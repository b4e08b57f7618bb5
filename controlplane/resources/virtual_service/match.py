"""HTTPMatchRequest as Envoy's RouteMatch."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import (
    HeaderMatcher,
    QueryParameterMatcher,
    RouteMatch,
)
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from controlplane.resources.common.match import StringMatch
from controlplane.resources.virtual_service.schema import HTTPMatchRequest

#: `@request.auth.claims.group.name`, `@request.auth.claims[group][name]`: claims of the token.
_CLAIMS = "@request.auth.claims"


def route_match(one: HTTPMatchRequest) -> RouteMatch:
    """Every condition that Envoy is to check; ports, sources and gateways are checked here."""
    built = RouteMatch(prefix="/")
    if one.uri is not None:
        _path(built, one.uri)
    if one.ignore_uri_case:
        built.case_sensitive.value = False
    pseudo = {":method": one.method, ":authority": one.authority, ":scheme": one.scheme}
    for name, condition in sorted(one.headers.items()):
        if name.startswith(_CLAIMS):
            built.dynamic_metadata.append(claim(name, condition, invert=False))
        else:
            built.headers.append(header(name, condition))
    for name, condition in sorted(one.without_headers.items()):
        if name.startswith(_CLAIMS):
            built.dynamic_metadata.append(claim(name, condition, invert=True))
        else:
            built.headers.append(header(name, condition, invert=True))
    built.headers.extend(header(name, given) for name, given in pseudo.items() if given)
    built.query_parameters.extend(
        _query(name, condition) for name, condition in sorted(one.query_params.items())
    )
    return built


def takes_everything(built: RouteMatch) -> bool:
    """Whether nothing can come behind it: any path, no other condition."""
    regex = built.safe_regex.regex if built.HasField("safe_regex") else ""
    any_path = built.prefix == "/" or regex == ".*"
    return any_path and not (built.headers or built.query_parameters or built.dynamic_metadata)


def header(name: str, condition: StringMatch, *, invert: bool = False) -> HeaderMatcher:
    """A condition on a header; without a value it asks whether the header is there."""
    built = HeaderMatcher(name=name, invert_match=invert)
    if _is_presence(condition):
        built.present_match = True
        return built
    built.string_match.CopyFrom(string(condition))
    # As in Istio: a header that is not there does not match, so it is not `without` either way.
    built.treat_missing_header_as_empty = invert
    return built


def string(condition: StringMatch) -> StringMatcher:
    """How a value is compared."""
    if condition.exact is not None:
        return StringMatcher(exact=condition.exact)
    if condition.prefix is not None:
        return StringMatcher(prefix=condition.prefix)
    return StringMatcher(safe_regex=RegexMatcher(regex=condition.regex or ""))


def claim(name: str, condition: StringMatch, *, invert: bool) -> MetadataMatcher:
    """A condition on a claim of the token that `jwt_authn` has verified."""
    built = MetadataMatcher(filter="envoy.filters.http.jwt_authn", invert=invert)
    for key in ("payload", *_claim_path(name.removeprefix(_CLAIMS))):
        built.path.add(key=key)
    # A claim is one string or a list of them; one that is there at all has some value.
    value = built.value.or_match
    wanted = StringMatcher(safe_regex=RegexMatcher(regex=".*"))
    if not _is_presence(condition):
        wanted = string(condition)
    value.value_matchers.add().string_match.CopyFrom(wanted)
    value.value_matchers.add().list_match.one_of.string_match.CopyFrom(wanted)
    return built


def _claim_path(rest: str) -> list[str]:
    if rest.startswith("["):
        return [part.rstrip("]") for part in rest[1:].split("[")]
    return rest.removeprefix(".").split(".")


def _path(built: RouteMatch, uri: StringMatch) -> None:
    if uri.exact is not None:
        built.path = uri.exact
    elif uri.prefix is not None:
        built.prefix = uri.prefix
    else:
        built.safe_regex.regex = uri.regex or ""


def _query(name: str, condition: StringMatch) -> QueryParameterMatcher:
    if _is_presence(condition):
        return QueryParameterMatcher(name=name, present_match=True)
    return QueryParameterMatcher(name=name, string_match=string(condition))


def _is_presence(condition: StringMatch) -> bool:
    # `*` is no regular expression; people mean "some value", and Istio takes it for that.
    if condition.regex == "*":
        return True
    return condition.exact is None and condition.prefix is None and condition.regex is None
