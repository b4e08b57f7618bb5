"""One group's proxies run at a time; what they did is remembered for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.differential import oracle
from tests.differential.groups import GROUPS
from tests.differential.lab import Lab
from tests.differential.model import Case, Group

BY_NAME = {group.name: group for group in GROUPS}


class Bench:
    """Starts a lab when a case needs it and keeps it until another group's turn."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.labs: dict[str, Lab] = {}
        self.broken: dict[tuple[str, str], str] = {}
        self.seen: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.golden = {group.name: oracle.load(group) for group in GROUPS}

    def observe(self, kind: str, group: Group, case: Case) -> dict[str, Any]:
        """What that proxy does with the case."""
        key = (kind, group.name, case.id)
        if key not in self.seen:
            known = self.golden[group.name].get(case.id)
            self.seen[key] = self._lab(kind, group).observe(case, known)
        return self.seen[key]

    def _lab(self, kind: str, group: Group) -> Lab:
        if (why := self.broken.get((kind, group.name))) is not None:
            pytest.fail(f"{kind} does not start on group {group.name}: {why}")
        lab = self.labs.get(kind)
        if lab is None or lab.group is not group:
            if lab is not None:
                lab.stop()
                del self.labs[kind]
            try:
                self.labs[kind] = Lab(kind, group, self.workdir)
            except (RuntimeError, OSError) as error:
                self.broken[kind, group.name] = str(error)
                pytest.fail(f"{kind} does not start on group {group.name}: {error}")
        return self.labs[kind]

    def stop(self) -> None:
        """End what still runs."""
        for lab in self.labs.values():
            lab.stop()


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The running proxies."""
    bench = Bench(tmp_path_factory.mktemp("differential"))
    yield bench
    bench.stop()
