"""The same bytes to the stock Envoy and to ours: the same results, but for the accepted ones.

`oracle/*.json` holds what Envoy did when the table was written; the first test keeps those files
true, the second compares ours with the Envoy that runs beside it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.differential import oracle
from tests.differential.accepted import ACCEPTED, NOT_YET, Accepted
from tests.differential.compare import differences, flatten, show
from tests.differential.conftest import Bench
from tests.differential.groups import GROUPS
from tests.differential.lab import Lab
from tests.differential.model import Case, Group
from tests.support.proxies import ENVOY, OURS, REPO

BY_NAME = {group.name: group for group in GROUPS}
CASES = [pytest.param(g, c, id=f"{g.name}/{c.id}") for g in GROUPS for c in g.cases]

SERVED = [
    pytest.param(g, c, id=f"{g.name}/{c.id}")
    for g in GROUPS
    for c in g.cases
    if f"{g.name}/{c.listener}" not in NOT_YET
]


def test_ids_are_unique() -> None:
    """A case is known by its id."""
    for group in GROUPS:
        ids = [case.id for case in group.cases]
        assert len(ids) == len(set(ids)), group.name


@pytest.mark.parametrize(("group", "case"), CASES)
def test_envoy_does_what_the_oracle_says(
    bench: Bench, group: Group, case: Case, request: pytest.FixtureRequest
) -> None:
    """The golden record is what this Envoy does today."""
    record = bench.observe(ENVOY, group, case)
    if request.config.getoption("--update-oracle"):
        bench.golden[group.name][case.id] = oracle.describe(case, record)
        oracle.save(group, bench.golden[group.name])
        return
    assert case.id in bench.golden[group.name], "no golden record: run with --update-oracle"
    golden = bench.golden[group.name][case.id]
    found = differences(golden, record, case.ignore, any_order=case.any_order)
    assert not found, "golden record (shown as envoy) and Envoy (shown as ours):\n" + show(found)
    question = {k: v for k, v in oracle.describe(case, {}).items() if golden.get(k) != v}
    assert not question, f"the case has changed, its golden record has not: {question}"


@pytest.mark.parametrize(("group", "case"), SERVED)
def test_ours_does_what_envoy_does(bench: Bench, group: Group, case: Case) -> None:
    """Ours and Envoy agree, or the difference is an accepted one and exactly that."""
    name = f"{group.name}/{case.id}"
    envoy = bench.observe(ENVOY, group, case)
    ours = bench.observe(OURS, group, case)
    found = differences(envoy, ours, case.ignore, any_order=case.any_order)
    entries = [a for a in ACCEPTED if a.concerns(name)]
    unlisted = {f: v for f, v in found.items() if not any(a.covers(name, f) for a in entries)}
    assert not unlisted, "\n" + show(unlisted)
    for entry in entries:
        covered = [f for f in found if entry.covers(name, f)]
        assert covered, f"accepted difference {entry.line!r} is none any more: remove it"
        flat = flatten(ours, any_order=case.any_order)
        wrong = {f: flat.get(f) for f, want in entry.ours.items() if flat.get(f) != want}
        assert not wrong, f"accepted difference {entry.line!r}, but ours does {wrong}"


@pytest.mark.parametrize("where", NOT_YET)
def test_what_is_not_there_yet_is_refused_by_name(where: str, tmp_path: Path) -> None:
    """Ours does not serve it and says what it is; docs/parity.md has it. Once it is there, its
    cases must be run: take it off the list."""
    group_name, listener = where.split("/")
    group = BY_NAME[group_name]
    name = NOT_YET[where]
    assert any(case.listener == listener for case in group.cases)
    with pytest.raises(RuntimeError) as refused:
        Lab(OURS, group, tmp_path, set(group.listeners) - {listener}).stop()
    assert "exited with 1" in str(refused.value)
    assert name in str(refused.value)
    assert name in (REPO / "docs" / "parity.md").read_text()


@pytest.mark.parametrize("line", sorted({a.line for a in ACCEPTED}))
def test_accepted_differences_are_documented(line: str) -> None:
    """docs/differences.md has a line for each."""
    text = (REPO / "docs" / "differences.md").read_text()
    assert line.lower() in text.lower()


@pytest.mark.parametrize("entry", ACCEPTED, ids=[a.line for a in ACCEPTED])
def test_accepted_entries_name_cases_that_exist(entry: Accepted) -> None:
    """A pattern that matches no case would never be noticed."""
    names = [f"{g.name}/{c.id}" for g in GROUPS for c in g.cases]
    for pattern in entry.cases:
        assert any(fnmatchcase(name, pattern) for name in names), pattern
