"""Rules of EnvoyFilter beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import message

from controlplane.problem import Problem, shown
from controlplane.resources.common.target import check_targets
from controlplane.resources.envoy_filter.names import current_name
from controlplane.resources.envoy_filter.objects import Unreadable, build
from controlplane.resources.envoy_filter.schema import (
    ConfigObjectMatch,
    ConfigPatch,
    EnvoyFilter,
    FilterMatch,
    Patch,
)
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import labels
from controlplane.resources.rules.metadata import reserved
from controlplane.resources.rules.regex import regex

_LISTENER_CLASS = frozenset({"LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER"})
_ROUTE_CLASS = frozenset({"ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"})
_CONNECTION_MANAGERS = frozenset(
    {"envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"}
)


def validate(spec: EnvoyFilter, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata)
    reason = "patches Envoy's configuration, which may look different in any release; "
    yield Problem("", reason + "prefer other kinds, and try it after each upgrade", warning=True)
    if spec.workload_selector is not None:
        if spec.target_refs:
            yield Problem("spec", "workloadSelector, targetRefs exclude each other; keep one")
        yield from labels.selector(spec.workload_selector.labels, "spec.workloadSelector.labels")
    yield from check_targets(spec.target_refs, "spec.targetRefs")
    for index, patch in enumerate(spec.config_patches):
        yield from _config_patch(patch, f"spec.configPatches[{index}]")


def _config_patch(patch: ConfigPatch, path: str) -> Iterator[Problem]:
    if patch.match is not None:
        yield from _match(patch, patch.match, f"{path}.match")
    if patch.apply_to == "INVALID":
        yield Problem(f"{path}.applyTo", "is required")
    elif patch.patch is None:
        yield Problem(f"{path}.patch", "is required")
    elif patch.patch.operation == "INVALID":
        yield Problem(f"{path}.patch.operation", "is required")
    elif patch.patch.value is None:
        if patch.patch.operation != "REMOVE":
            reason = f"is required with the operation {patch.patch.operation}"
            yield Problem(f"{path}.patch.value", reason)
    else:
        yield from _value(patch.apply_to, patch.patch, f"{path}.patch.value")


def _match(patch: ConfigPatch, match: ConfigObjectMatch, path: str) -> Iterator[Problem]:
    waypoint = match.context == "WAYPOINT"
    if waypoint != (match.waypoint is not None):
        yield Problem(path, "context WAYPOINT and the match waypoint go together")
    if match.proxy is not None and match.proxy.proxy_version:
        yield from regex(match.proxy.proxy_version, f"{path}.proxy.proxyVersion")
    if waypoint:
        return
    given = [
        name
        for name, there in (
            ("listener", match.listener),
            ("routeConfiguration", match.route_configuration),
            ("cluster", match.cluster),
        )
        if there is not None
    ]
    fitting = ""
    if patch.apply_to in _LISTENER_CLASS:
        fitting = "listener"
    elif patch.apply_to in _ROUTE_CLASS:
        fitting = "routeConfiguration"
    elif patch.apply_to == "CLUSTER":
        fitting = "cluster"
    if fitting and given and given != [fitting]:
        reason = f"does not fit applyTo {patch.apply_to}, which takes a {fitting} match"
        yield Problem(f"{path}.{given[0]}", reason)
    if fitting == "listener" and match.listener is not None:
        chain = match.listener.filter_chain
        if chain is not None and chain.filter is not None:
            yield from _filter(patch.apply_to, chain.filter, f"{path}.listener.filterChain.filter")


def _filter(apply_to: str, match: FilterMatch, path: str) -> Iterator[Problem]:
    if apply_to in {"LISTENER", "FILTER_CHAIN"}:
        yield Problem(path, f"has no effect with applyTo {apply_to}", warning=True)
    yield from _deprecated(match.name, f"{path}.name")
    if match.sub_filter is not None:
        yield from _deprecated(match.sub_filter.name, f"{path}.subFilter.name")
    if not match.name:
        yield Problem(f"{path}.name", "is required")
    elif match.sub_filter is not None:
        if apply_to != "HTTP_FILTER":
            yield Problem(f"{path}.subFilter", "is for applyTo HTTP_FILTER only; leave it out")
        elif match.name not in _CONNECTION_MANAGERS:
            reason = "must be envoy.filters.network.http_connection_manager where there is a "
            yield Problem(f"{path}.name", reason + "subFilter")
        elif not match.sub_filter.name:
            yield Problem(f"{path}.subFilter.name", "is required")


def _value(apply_to: str, patch: Patch, path: str) -> Iterator[Problem]:
    try:
        built = build(apply_to, patch.value or {})
    except Unreadable as error:
        yield Problem(path + error.path, error.reason)
        return
    for name in _without_typed_config(built):
        reason = f"the extension {shown(name)} has no typed_config; Envoy finds none by name alone"
        yield Problem(path, reason, warning=True)


def _deprecated(name: str, path: str) -> Iterator[Problem]:
    new = current_name(name)
    if new is not None:
        yield Problem(path, f"{name} is deprecated; use {new}", warning=True)


def _without_typed_config(built: message.Message) -> Iterator[str]:
    """Names of the messages below that could have a `typed_config` and have none."""
    fields = built.DESCRIPTOR.fields_by_name
    if "typed_config" in fields:
        given = {field.name for field, _ in built.ListFields()}
        if not given & {"typed_config", "config_discovery"}:
            yield str(getattr(built, "name", ""))
    for field, value in built.ListFields():
        if field.message_type is None or field.is_repeated:
            continue
        if field.message_type.full_name != "google.protobuf.Any":
            yield from _without_typed_config(value)
