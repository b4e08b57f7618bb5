"""What an analyzer is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controlplane.analysis.codes import Code
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding


@dataclass(frozen=True, slots=True)
class Analyzer:
    #: Istio's name of it, which `--analyzer` takes.
    name: str
    description: str
    codes: tuple[Code, ...]
    run: Callable[[Collection], Iterable[Finding]]
    #: One of these kinds must be given; without any, what is missing says nothing.
    needs: tuple[str, ...] = ()
    #: Runs without being asked for.
    default: bool = True
