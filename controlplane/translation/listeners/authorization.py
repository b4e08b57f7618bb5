"""AuthorizationPolicies as filters of a listener, before everything that serves."""

from __future__ import annotations

from typing import TypeVar

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC as HttpRbac  # noqa: N811
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.rbac.v3.rbac_pb2 import RBAC as NetworkRbac  # noqa: N811

from controlplane.registry.workloads import Labels
from controlplane.resources.authorization_policy.translate import Rules, rules
from controlplane.translation.listeners import ext_authz
from controlplane.translation.listeners.manager import http_filter, network_filter
from controlplane.world.view import View

Filled = TypeVar("Filled", HttpRbac, NetworkRbac)

_SHADOW = {"ALLOW": "istio_dry_run_allow_", "DENY": "istio_dry_run_deny_"}


def http_filters(view: View, namespace: str, labels: Labels) -> list[hcm.HttpFilter]:
    """For HTTP: each request is asked about, once its token has been looked at."""
    return [
        http_filter("envoy.filters.http.rbac", _fill(HttpRbac(), one))
        for one in rules(view, namespace, labels, http=True)
    ]


def network_filters(view: View, namespace: str, labels: Labels) -> list[Filter]:
    """For everything else: each connection is asked about once."""
    return [
        *ext_authz.network_filters(view, namespace, labels),
        *_network_filters(view, namespace, labels),
    ]


def _network_filters(view: View, namespace: str, labels: Labels) -> list[Filter]:
    return [
        network_filter("envoy.filters.network.rbac", _fill(NetworkRbac(stat_prefix="tcp."), one))
        for one in rules(view, namespace, labels, http=False)
    ]


def _fill(built: Filled, one: Rules) -> Filled:
    if one.enforced is not None:
        built.rules.CopyFrom(one.enforced)
    if one.shadow is not None:
        built.shadow_rules.CopyFrom(one.shadow)
        built.shadow_rules_stat_prefix = _SHADOW.get(one.action, "")
    return built
