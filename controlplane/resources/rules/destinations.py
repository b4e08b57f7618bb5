"""Destinations of routes and their shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from controlplane.problem import Problem
from controlplane.resources.common.destination import Destination
from controlplane.resources.rules import names, numbers

#: Envoy sums weights in 32 bits.
_LARGEST_SUM = 2**32 - 1


class _Weighted(Protocol):
    """What routes of every protocol hold."""

    @property
    def destination(self) -> Destination: ...
    @property
    def weight(self) -> int: ...


def destination(given: Destination | None, path: str) -> Iterator[Problem]:
    """Host, subset, port."""
    if given is None:
        return
    yield from names.destination_host(given.host, f"{path}.host")
    if given.subset:
        yield from names.subset_name(given.subset, f"{path}.subset")
    if given.port is not None:
        yield from numbers.port(given.port.number, f"{path}.port.number")


def shares(routes: Sequence[_Weighted], path: str) -> Iterator[Problem]:
    """Every destination, and weights that make sense together."""
    for index, one in enumerate(routes):
        yield from destination(one.destination, f"{path}[{index}].destination")
        yield from numbers.not_negative(one.weight, f"{path}[{index}].weight")
    total = sum(one.weight for one in routes)
    if len(routes) > 1 and all(one.weight == 0 for one in routes):
        yield Problem(path, "weights sum to 0, so nothing gets traffic; give one of them a weight")
    if total > _LARGEST_SUM:
        yield Problem(path, f"weights sum to {total}, {_LARGEST_SUM} at most; write shares of 100")
