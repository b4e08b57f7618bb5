"""Objects as kubectl's tables: the columns that Istio's resource definitions name, and the age."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any, Final

from controlplane.commands.aligned import aligned
from controlplane.commands.common import resource_name
from controlplane.sources.reader import parse_timestamp
from controlplane.sources.store import Stored

#: Between the name and the age, by kind: title, path of the field, whether only `-o wide` has it.
_COLUMNS: Final[dict[str, tuple[tuple[str, tuple[str, ...], bool], ...]]] = {
    "VirtualService": (
        ("GATEWAYS", ("spec", "gateways"), False),
        ("HOSTS", ("spec", "hosts"), False),
    ),
    "DestinationRule": (("HOST", ("spec", "host"), False),),
    "ServiceEntry": (
        ("HOSTS", ("spec", "hosts"), False),
        ("LOCATION", ("spec", "location"), False),
        ("RESOLUTION", ("spec", "resolution"), False),
    ),
    "WorkloadEntry": (("ADDRESS", ("spec", "address"), False),),
    "AuthorizationPolicy": (("ACTION", ("spec", "action"), False),),
    "PeerAuthentication": (("MODE", ("spec", "mtls", "mode"), False),),
    "Secret": (("TYPE", ("type",), False),),
    "Service": (
        ("TYPE", ("spec", "type"), False),
        ("CLUSTER-IP", ("spec", "clusterIP"), False),
        ("SELECTOR", ("spec", "selector"), True),
    ),
}


def tables(found: Iterable[Stored], *, wide: bool, namespaces: bool, now: float) -> str:
    """A table for each kind. `now` is in seconds since 1970."""
    groups = [list(group) for _, group in itertools.groupby(found, key=lambda one: one.kind)]
    prefix = len(groups) > 1
    return "\n".join(_table(group, wide, namespaces, prefix, now) for group in groups)


def age(seconds: float) -> str:
    """As kubectl says it: the two largest units while the number is small, then one."""
    seconds = max(0, int(seconds))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 2920 else f"{days // 365}y"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first}{unit}{second}{smaller}" if second else f"{first}{unit}"


def _table(group: list[Stored], wide: bool, namespaces: bool, prefix: bool, now: float) -> str:
    kind = group[0].kind
    columns = [one for one in _COLUMNS.get(kind.id, ()) if wide or not one[2]]
    namespaced = namespaces and kind.namespaced
    titles = ["NAMESPACE"] * namespaced + ["NAME", *(one[0] for one in columns), "AGE"]
    rows = [titles]
    for one in group:
        name = f"{resource_name(kind)}/{one.key.name}" if prefix else one.key.name
        value = one.document.value
        cells = [_cell(value, path) for _, path, _ in columns]
        rows.append([one.key.namespace] * namespaced + [name, *cells, _age(value, now)])
    return aligned(rows)


def _cell(value: Any, path: tuple[str, ...]) -> str:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _age(value: dict[str, Any], now: float) -> str:
    stamp = value["metadata"].get("creationTimestamp")
    moment = parse_timestamp(stamp) if isinstance(stamp, str) else None
    return "<unknown>" if moment is None else age(now - moment)
