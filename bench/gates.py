"""When a run may be believed."""

from dataclasses import dataclass

from bench.loadgen import LoadResult

#: A core this busy is the bottleneck.
FULL = 0.95
#: More of a core than this in strangers' hands, and the round is run again.
STRANGERS = 0.30


@dataclass(frozen=True)
class Cores:
    """Shares of the two cores' time, 0 to 1."""

    proxy_busy: float
    load_busy: float
    #: What neither the proxy nor the generator and origin server used, the worse core of the two.
    strangers: float


def failure(result: LoadResult) -> str | None:
    """Why nothing may be reported of this run."""
    wrong = {status: n for status, n in result.statuses.items() if not status.startswith("2")}
    if wrong:
        return "statuses " + ", ".join(f"{status}: {n}" for status, n in wrong.items())
    if result.errors:
        return "errors " + ", ".join(f"{reason}: {n}" for reason, n in result.errors.items())
    if result.mismatches:
        return f"{result.mismatches} wrong bodies"
    if result.unfinished:
        return f"{result.unfinished} requests without an answer"
    if not result.ok:
        return "no answers"
    return None


def generator_bound(cores: Cores) -> bool:
    """Was the generator's core the bottleneck? Then the rate says nothing about the proxy."""
    return cores.load_busy > FULL and cores.proxy_busy <= FULL


def disturbed(cores: Cores) -> bool:
    return cores.strangers > STRANGERS
