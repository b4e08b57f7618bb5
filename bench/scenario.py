"""What a scenario is: it measures one peer once, and says which figures come out and which bars
they must meet. Each file in `scenarios/` holds one."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from bench import gates, scenarios
from bench.errors import BenchError
from bench.gates import Cores
from bench.measure import Rig, Sample
from bench.peer import Peer


@dataclass(frozen=True)
class Figure:
    """A quantity that a scenario measures."""

    key: str
    title: str
    unit: str
    #: Digits after the point.
    digits: int = 1


@dataclass(frozen=True)
class Bar:
    """What our figure must reach: at most (or at least) `limit`, times the figure of `peer` if one
    is named."""

    figure: str
    limit: float
    peer: str | None = None
    at_least: bool = False


@dataclass
class Round:
    """What one measurement of one peer gave; figures that do not apply are left out."""

    figures: dict[str, float] = field(default_factory=dict)
    cores: list[Cores] = field(default_factory=list)
    #: Figures withheld, with the reason.
    notes: list[str] = field(default_factory=list)

    def put(self, key: str, value: float) -> None:
        self.figures[key] = value

    def put_rps(self, key: str, sample: Sample) -> None:
        self.cores.append(sample.cores)
        if sample.rps is None:
            self.notes.append(f"{key} withheld: the generator's core was the bottleneck")
        else:
            self.figures[key] = sample.rps

    @property
    def disturbed(self) -> bool:
        return any(gates.disturbed(cores) for cores in self.cores)


class Scenario(ABC):
    name: ClassVar[str]
    title: ClassVar[str]
    figures: ClassVar[tuple[Figure, ...]]
    bars: ClassVar[tuple[Bar, ...]] = ()
    #: `direct` has no figures here.
    needs_proxy: ClassVar[bool] = False

    @abstractmethod
    def measure(self, rig: Rig, peer: Peer) -> Round:
        """Starts the peer, measures, stops it; raises `GateError` if it did not do the work."""

    def compare(self, row: Mapping[str, Round]) -> None:  # noqa: B027 - most have none
        """Adds the figures that need another peer's of the same round, by name."""

    def once(self, rig: Rig, peer: Peer) -> Round:
        """What need not be repeated, after the rounds."""
        return Round()


def discover() -> dict[str, type[Scenario]]:
    """Every class `Here` of a module in `scenarios/`, by name."""
    modules = pkgutil.iter_modules(scenarios.__path__, "bench.scenarios.")
    classes = [importlib.import_module(module.name).Here for module in modules]
    return {cls.name: cls for cls in classes}


def choose(names: Sequence[str]) -> list[Scenario]:
    """The named scenarios, or all."""
    known = discover()
    for name in names:
        if name not in known:
            raise BenchError(f"no scenario {name!r}; there are: {', '.join(known)}")
    return [known[name]() for name in names or known]
