"""Operations of EnvoyFilters that have no effect, or depend on the order of filters."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.envoy_filter.schema import ConfigPatch

_NEVER_ADDED = frozenset({"ROUTE_CONFIGURATION", "HTTP_ROUTE"})
_REPLACEABLE = frozenset({"NETWORK_FILTER", "HTTP_FILTER", "VIRTUAL_HOST"})
_RELATIVE = frozenset({"INSERT_BEFORE", "INSERT_AFTER", "REMOVE", "REPLACE"})


def _run(collection: Collection) -> Iterator[Finding]:
    #: Filters that some patch before is about, for some versions of the proxy only.
    versioned: set[str] = set()
    for one in collection.of("EnvoyFilter"):
        for index, patch in enumerate(one.spec.config_patches):
            if patch.patch is None:
                continue
            path = f"spec.configPatches[{index}]"
            operation, name = patch.patch.operation, _filter_name(patch)
            if operation == "ADD" and patch.apply_to in _NEVER_ADDED:
                yield found(codes.WRONG_ADD, one.key, path)
            elif operation == "REMOVE" and patch.apply_to in _NEVER_ADDED:
                yield found(codes.WRONG_REMOVE, one.key, path)
            elif operation == "REPLACE" and patch.apply_to not in _REPLACEABLE:
                yield found(codes.WRONG_REPLACE, one.key, path)
            elif operation in _RELATIVE and one.spec.priority == 0:
                code = codes.RELATIVE_OPERATION
                if name in versioned:
                    code = codes.RELATIVE_OPERATION_WITH_VERSION
                yield found(code, one.key, path)
            match = patch.match
            if match is not None and match.proxy is not None and match.proxy.proxy_version:
                versioned.add(name)


def _filter_name(patch: ConfigPatch) -> str:
    value = patch.patch.value if patch.patch is not None else None
    if not value:
        return ""
    if "name" in value:
        return str(value["name"])
    listener = patch.match.listener if patch.match is not None else None
    chain = listener.filter_chain if listener is not None else None
    return chain.filter.name if chain is not None and chain.filter is not None else ""


ANALYZER = Analyzer(
    name="envoyfilter.EnvoyPatchAnalyzer",
    description="Operations of EnvoyFilters without effect, or that depend on an order",
    codes=(
        codes.RELATIVE_OPERATION,
        codes.WRONG_REPLACE,
        codes.WRONG_ADD,
        codes.WRONG_REMOVE,
        codes.RELATIVE_OPERATION_WITH_VERSION,
    ),
    run=_run,
)
