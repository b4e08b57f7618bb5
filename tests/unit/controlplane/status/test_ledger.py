"""controlplane.status.ledger: versions by revision, the past bounded."""

from __future__ import annotations

from controlplane.resources.resource import Key, Resource
from controlplane.status import ledger
from controlplane.status.ledger import ABSENT, Entry, Ledger
from tests.unit.controlplane.xds.desk import played

A = Key("Route", "x", "a")


def of(version: str) -> Resource[int]:
    return Resource(A, 1, version=version)


@played
async def test_a_version_is_known_by_the_revision_that_brought_it() -> None:
    made = Ledger()
    assert made.held(A) == Entry(ABSENT, 0)
    assert made.revision(A, ABSENT) == 0
    assert made.revision(A, "one") is None
    made.note([of("one")], [], 3)
    made.note([of("one")], [], 4)
    assert made.held(A) == Entry("one", 3)
    made.note([of("two")], [], 5)
    assert (made.revision(A, "two"), made.revision(A, "one")) == (5, 3)
    made.note([], [A], 7)
    assert made.held(A) == Entry(ABSENT, 7)
    assert made.revision(A, "two") == 5
    made.note([], [A], 8)
    assert made.revision(A, ABSENT) == 7


@played
async def test_the_past_is_bounded() -> None:
    made = Ledger()
    for number in range(ledger.PAST + 10):
        made.note([of(str(number))], [], number)
    assert made.revision(A, "8") is None
    assert made.revision(A, "9") == 9
    assert made.revision(A, str(ledger.PAST + 9)) == ledger.PAST + 9
