"""Which Telemetries hold for a workload, and what several of them make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from controlplane.registry import mesh, selection
from controlplane.registry.selection import is_for_all
from controlplane.registry.workloads import Labels
from controlplane.resources.mesh_config.providers import ExtensionProvider
from controlplane.resources.resource import Key, Resource
from controlplane.resources.telemetry.schema import AccessLogging, CustomTag, Filter
from controlplane.world.proxy import ENVOYS
from controlplane.world.view import View, query

#: On which side of a call a listener is. Gateways are clients.
Side = Literal["CLIENT", "SERVER"]


@dataclass(frozen=True, slots=True)
class Reporting:
    """What of a workload its reports depend on: workloads alike in this share listeners."""

    #: The Telemetries, from the mesh's to the workload's own; what is said later counts.
    keys: tuple[Key, ...]
    side: Side
    #: Of the spans' tags; empty where there are no spans.
    namespace: str = ""
    labels: Labels = ()
    #: Istio's own filters, and what reports elsewhere, as far as the proxy runs them.
    runs: tuple[str, ...] = ENVOYS


@dataclass(frozen=True, slots=True)
class Log:
    """One provider of access logs; disabled ones say that somebody has decided."""

    provider: ExtensionProvider
    disabled: bool
    filter: Filter | None = None

    def __hash__(self) -> int:
        return hash((self.provider.name, self.disabled, self.filter))


@dataclass(frozen=True, slots=True)
class Spans:
    """What holds for spans."""

    provider: ExtensionProvider
    #: Per cent; None is ProxyConfig's.
    sampling: float | None = None
    custom_tags: tuple[tuple[str, CustomTag], ...] = ()
    istio_tags: bool = True
    request_id_decides: bool = True
    propagated: bool = True

    def __hash__(self) -> int:
        return hash((self.provider.name, self.sampling, self.custom_tags))


@query
def reporting(
    view: View, namespace: str, labels: Labels, side: Side, runs: tuple[str, ...] = ENVOYS
) -> Reporting:
    """For listeners of a workload: its namespace and labels only where its spans tell them."""
    plain = Reporting(_keys(view, namespace, labels), side, runs=runs)
    if spans(view, plain) is None:
        return plain
    return Reporting(plain.keys, side, namespace, labels, runs)


@query
def logs(view: View, given: Reporting) -> tuple[Log, ...] | None:
    """The access logs, in order of the providers' names; None: nobody has said anything."""
    config = mesh.config(view)
    defaults = config.default_providers.access_logging
    lists = [one.spec.access_logging for one in held(view, given) if one.spec.access_logging]
    if not lists and not defaults:
        return None
    chosen = _merged(lists, defaults, given.side) if lists else dict.fromkeys(defaults, _PLAIN)
    found = []
    for name, (disabled, only) in sorted(chosen.items()):
        provider = named(view, name)
        if provider is not None:
            found.append(Log(provider, disabled, only))
    return tuple(found) or None


@query
def spans(view: View, given: Reporting) -> Spans | None:
    """Where spans go and what they say; None: no spans."""
    names = mesh.config(view).default_providers.tracing
    entries = [
        one
        for resource in held(view, given)
        for one in resource.spec.tracing
        if one.match is None or one.match.mode in {"CLIENT_AND_SERVER", given.side}
    ]
    said: dict[str, Any] = {}
    for one in entries:
        names = tuple(provider.name for provider in one.providers) or names
        said |= {
            name: value
            for name in (
                "disable_span_reporting",
                "random_sampling_percentage",
                "use_request_id_for_trace_sampling",
                "enable_istio_tags",
                "disable_context_propagation",
            )
            if (value := getattr(one, name)) is not None
        }
        if one.custom_tags:
            said["custom_tags"] = tuple(sorted(one.custom_tags.items()))
    provider = named(view, names[0]) if names else None
    if provider is None or said.get("disable_span_reporting"):
        return None
    return Spans(
        provider,
        said.get("random_sampling_percentage"),
        said.get("custom_tags", ()),
        said.get("enable_istio_tags", True),
        said.get("use_request_id_for_trace_sampling", True),
        not said.get("disable_context_propagation", False),
    )


_Chosen = tuple[bool, Filter | None]
_PLAIN: _Chosen = (False, None)


def _merged(
    lists: list[tuple[AccessLogging, ...]], defaults: tuple[str, ...], side: Side
) -> dict[str, _Chosen]:
    """As Istio: the narrowest list that names providers says which count; of each of them what is
    said last holds. An entry without providers speaks of those of the entry before it."""
    counting = frozenset(defaults)
    filters: dict[str, Filter | None] = {}
    for entries in lists:
        named = {
            one.name: entry.filter
            for entry in entries
            if _matches(entry, side)
            for one in entry.providers
        }
        counting = frozenset(named) or counting
        filters |= named
    chosen: dict[str, _Chosen] = {}
    names = defaults
    for entries in lists:
        for entry in entries:
            names = tuple(one.name for one in entry.providers) or names
            if _matches(entry, side):
                chosen |= {
                    name: (True, None) if entry.disabled else (False, filters.get(name))
                    for name in names
                    if name in counting
                }
    return chosen


def _matches(entry: AccessLogging, side: Side) -> bool:
    return entry.match is None or entry.match.mode in {"CLIENT_AND_SERVER", side}


@query
def _keys(view: View, namespace: str, labels: Labels) -> tuple[Key, ...]:
    """The oldest default of the mesh, that of the namespace, and all that choose the workload."""
    root = mesh.root_namespace(view)
    held = selection.selected(view, "Telemetry", namespace, labels)
    defaults: dict[str, Key] = {}
    for one in held:
        if is_for_all(one):
            defaults.setdefault(one.namespace, one.key)
    own = [one.key for one in held if not is_for_all(one) and one.namespace == namespace]
    places = dict.fromkeys((root, namespace))
    return (*(defaults[place] for place in places if place in defaults), *own)


def held(view: View, given: Reporting) -> list[Resource[Any]]:
    """The Telemetries themselves."""
    found = (view.resource(*key) for key in given.keys)
    return [one for one in found if one is not None]


def named(view: View, name: str) -> ExtensionProvider | None:
    """The provider of this name, whose case does not matter."""
    providers = mesh.config(view).extension_providers
    return next((one for one in providers if one.name.lower() == name.lower()), None)
