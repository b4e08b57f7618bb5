"""Runs the selected cases through both proxies, a few groups at a time, before they are judged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.differential import oracle
from tests.differential.accepted import ACCEPTED, NOT_YET
from tests.differential.groups import GROUPS
from tests.differential.lab import Lab
from tests.differential.model import Case, Group
from tests.support.proxies import ENVOY, OURS

Observed = dict[str, dict[str, Any]]
# Labs at a time. They mostly wait, so this may exceed the number of cores.
_AT_ONCE = 8


def not_yet(group: Group) -> set[str]:
    """Listeners of the group that ours refuses so far."""
    return {name for name in group.listeners if f"{group.name}/{name}" in NOT_YET}


@dataclass(frozen=True)
class Stats:
    """All statistics of a proxy, as they are printed."""

    text: str
    prometheus: str


class Bench:
    """What both proxies did, by group and case; computed in the background."""

    def __init__(self, workdir: Path, wanted: dict[str, list[Case]], kinds: list[str]) -> None:
        self.golden = {group.name: oracle.load(group) for group in GROUPS}
        self._workdir = workdir
        self._given_up = threading.Event()
        self._stats: dict[tuple[str, str], Stats] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        # The longest first: a lab takes its cases one after the other.
        groups = sorted(
            (group for group in GROUPS if group.name in wanted),
            key=lambda group: -len(wanted[group.name]),
        )
        self._jobs: dict[tuple[str, str], Future[Observed]] = {
            (kind, group.name): self._pool.submit(self._run, kind, group, wanted[group.name])
            for group in groups
            for kind in kinds
        }

    def observe(self, kind: str, group: Group, case: Case) -> dict[str, Any]:
        """What that proxy did with the case."""
        try:
            return self._jobs[kind, group.name].result()[case.id]
        except (RuntimeError, OSError) as error:
            pytest.fail(f"{kind} cannot serve group {group.name}: {error}", pytrace=False)

    def stats(self, kind: str, group: Group) -> Stats:
        """What it has counted after all cases."""
        self._jobs[kind, group.name].result()
        return self._stats[kind, group.name]

    def stop(self) -> None:
        """Give up what has not run yet."""
        self._given_up.set()
        self._pool.shutdown(cancel_futures=True)

    def _expected(self, kind: str, group: Group, case: Case) -> dict[str, Any] | None:
        """The golden record, with what ours does otherwise: it says how long to wait."""
        known = self.golden[group.name].get(case.id)
        if known is None or kind == ENVOY:
            return known
        known = dict(known)
        for entry in ACCEPTED:
            if entry.concerns(f"{group.name}/{case.id}"):
                known["connection"] = entry.ours.get("connection", known["connection"])
                known["log"] = known["log"][: entry.ours.get("log.count")]
        return known

    def _run(self, kind: str, group: Group, cases: list[Case]) -> Observed:
        without = not_yet(group) if kind == OURS else set()
        cases = [case for case in cases if case.listener not in without]
        seen: Observed = {}
        if not cases:
            return seen
        lab = Lab(kind, group, self._workdir, without)
        try:
            for case in cases:
                if self._given_up.is_set():
                    break
                seen[case.id] = lab.observe(case, self._expected(kind, group, case))
                if (code := lab.proxy.process.poll()) is not None:
                    # A crash is this case's difference; the others get a new process.
                    log = lab.proxy.log()[-1000:]
                    seen[case.id]["connection"] = f"the process ended with {code}: {log}"
                    lab.stop()
                    lab = Lab(kind, group, self._workdir, without)
            texts = (lab.proxy.admin("GET", path)[1] for path in ("/stats", "/stats/prometheus"))
            self._stats[kind, group.name] = Stats(*texts)
            return seen
        finally:
            lab.stop()


@pytest.fixture(scope="session")
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Starts on what this run has selected."""
    wanted: dict[str, list[Case]] = {}
    kinds = [ENVOY]
    for item in request.session.items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if isinstance(group := params.get("group"), Group):
            cases = wanted.setdefault(group.name, [])
            asked = [params["case"]] if "case" in params else group.cases
            cases += [case for case in asked if case not in cases]
            if "ours" in item.name and OURS not in kinds:
                kinds.append(OURS)
    bench = Bench(tmp_path_factory.mktemp("differential"), wanted, kinds)
    yield bench
    bench.stop()
