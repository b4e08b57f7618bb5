"""Metrics of a workload: whether there are any, and what Telemetries change of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from controlplane.registry import mesh
from controlplane.resources.mesh_config.schema import DefaultProviders, MeshConfig
from controlplane.resources.telemetry.expressions import is_label_value
from controlplane.resources.telemetry.schema import Metric, Metrics, MetricSelector, TagOverride
from controlplane.resources.telemetry.select import Reporting, held, named
from controlplane.world.view import View, query

#: As Istio's chart installs it, where MeshConfig says nothing of providers.
_INSTALLED = ("prometheus",)
_ALL: tuple[str, ...] = tuple(sorted(set(get_args(Metric)) - {"ALL_METRICS"}))
#: Those that are on every series; others can only be added.
STANDARD_TAGS = frozenset({
    "reporter", "request_protocol", "response_code", "grpc_response_status", "response_flags",
    "connection_security_policy", "destination_service", "destination_service_name",
    "destination_service_namespace",
    *(
        f"{side}_{name}"
        for side in ("source", "destination")
        for name in (
            "workload", "workload_namespace", "principal", "app", "version", "cluster",
            "canonical_service", "canonical_revision",
        )
    ),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """What is other than usual of one metric."""

    disabled: bool = False
    #: Value, or None for a tag that is left out; sorted.
    tags: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """One provider's."""

    interval: float | None = None
    #: By the metric's name in Telemetry, sorted.
    of: tuple[tuple[str, Change], ...] = ()


@dataclass(slots=True)
class _Provider:
    """What was read so far."""

    interval: float | None = None
    off: bool = False
    disabled: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, dict[str, TagOverride]] = field(default_factory=dict)


@query
def metrics(view: View, given: Reporting) -> tuple[Changes, ...]:
    """For each Prometheus that is reported to, by name; () is no metrics."""
    defaults = _defaults(mesh.config(view))
    entries = [one for telemetry in held(view, given) for one in telemetry.spec.metrics]
    found = []
    for name, read in sorted(_merged(entries, defaults, given.side).items()):
        known = named(view, name)
        if known is not None and known.prometheus is not None and not read.off:
            found.append(_changes(read))
    return tuple(found)


def _defaults(config: MeshConfig) -> tuple[str, ...]:
    if config.default_providers == DefaultProviders():
        return _INSTALLED
    return config.default_providers.metrics


def _merged(entries: list[Metrics], defaults: tuple[str, ...], side: str) -> dict[str, _Provider]:
    """As Istio: the last entry that names providers says which count, an entry without any speaks
    of those of the entry before it, and of each metric what is said last holds."""
    counting = defaults
    for entry in entries:
        counting = tuple(one.name for one in entry.providers) or counting
    found = {} if entries else {name: _Provider() for name in defaults}
    names = defaults
    for entry in entries:
        names = tuple(one.name for one in entry.providers) or names
        for name in names:
            if name in counting:
                _read(found.setdefault(name, _Provider()), entry, side)
    return found


def _read(into: _Provider, entry: Metrics, side: str) -> None:
    if entry.reporting_interval is not None:
        into.interval = entry.reporting_interval
    for override in entry.overrides:
        match = override.match or MetricSelector()
        if match.mode not in {"CLIENT_AND_SERVER", side}:
            continue
        is_all = match.custom_metric is None and match.metric in {None, "ALL_METRICS"}
        if is_all and override.disabled:
            into.off = True
            continue
        into.off = False
        # Metrics that are not Istio's own nobody makes.
        chosen = _ALL if is_all else (match.metric,) if match.metric is not None else ()
        for metric in chosen:
            if override.disabled is not None:
                into.disabled[metric] = override.disabled
            if override.tag_overrides:
                into.tags.setdefault(metric, {}).update(override.tag_overrides)
            else:
                into.tags.setdefault(metric, {})


def _changes(read: _Provider) -> Changes:
    changed = (
        (metric, Change(read.disabled.get(metric, False), _tags(tags)))
        for metric, tags in sorted(read.tags.items())
    )
    return Changes(read.interval, tuple(one for one in changed if one[1] != Change()))


def _tags(overrides: Mapping[str, TagOverride]) -> tuple[tuple[str, str | None], ...]:
    found: list[tuple[str, str | None]] = []
    for tag, override in sorted(overrides.items()):
        if override.operation == "REMOVE":
            if tag in STANDARD_TAGS:
                found.append((tag, None))
        elif override.value is not None and is_label_value(override.value):
            found.append((tag, override.value))
    return tuple(found)
