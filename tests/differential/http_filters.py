"""YAML of HTTP filters and of what routes say of them, for groups."""

from __future__ import annotations

_FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
_ROUTER = "router.v3.Router"
FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig"


def typed(kind: str, fields: str = "") -> str:
    """A typed configuration in flow style: `rbac.v3.RBAC` and its fields."""
    return "{" + ", ".join(p for p in (f'"@type": {_FILTERS}{kind}', fields) if p) + "}"


def a_filter(name: str, kind: str, fields: str = "", more: str = "") -> str:
    """An HTTP filter; `more` are fields beside its configuration."""
    return f"- {{name: {name}, typed_config: {typed(kind, fields)}{', ' * bool(more)}{more}}}"


def chain(*filters: str) -> str:
    """`http_filters` of a connection manager, ended by the router."""
    return "\n".join(["http_filters:", *filters, a_filter("router", _ROUTER)])


def per_filter(**said: str) -> str:
    """`typed_per_filter_config`: a typed configuration by the filter's name."""
    inside = ", ".join(f"{name}: {config}" for name, config in said.items())
    return f"typed_per_filter_config: {{{inside}}}"


def filter_config(fields: str) -> str:
    """A FilterConfig."""
    return f'{{"@type": {FILTER_CONFIG}, {fields}}}'


def route(name: str, said: str = "", action: str = "route: {cluster: a}", match: str = "") -> str:
    """A route by the prefix of its name; `said` is its `typed_per_filter_config`."""
    match = match or f"prefix: /{name}"
    parts = [f'name: "{name}"', f"match: {{{match}}}", action, said]
    return "  - {" + ", ".join(p for p in parts if p) + "}"


def host(name: str, domain: str, *routes: str, more: str = "") -> str:
    """A virtual host."""
    head = [f"- name: {name}", f'  domains: ["{domain}"]']
    return "\n".join([*head, *([f"  {more}"] if more else []), "  routes:", *routes])


def table(*hosts: str, more: str = "") -> str:
    """A route configuration that may name clusters that do not exist."""
    return "\n".join(
        ["validate_clusters: false", *([more] if more else []), "virtual_hosts:", *hosts]
    )
