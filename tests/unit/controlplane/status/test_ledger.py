"""controlplane.status.ledger: versions by revision, the past bounded."""

from __future__ import annotations

from controlplane.resources.resource import Key, Resource
from controlplane.status import ledger
from controlplane.status.ledger import ABSENT, Entry, Ledger
from tests.support.playing import played

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
    assert made.latest == 7
    made.note([], [A], 8)
    assert made.revision(A, ABSENT) == 7


@played
async def test_a_version_of_before_has_to_come_again() -> None:
    made = Ledger()
    made.note([of("one")], [], 3)
    made.note([of("two")], [], 4)
    since = made.latest
    assert (made.revision(A, "one"), made.revision(A, "one", since)) == (3, None)
    assert made.revision(A, ABSENT, since) is None
    made.note([of("one")], [], 5)
    assert made.revision(A, "one", since) == 5
    made.note([of("three")], [], 6)
    # It came, and somebody has replaced it.
    assert made.revision(A, "one", since) == 5
    # What is held need not come again.
    assert made.revision(A, "three", made.latest) == 6


@played
async def test_the_past_is_bounded() -> None:
    made = Ledger()
    for number in range(ledger.PAST + 10):
        made.note([of(str(number))], [], number)
    assert made.revision(A, "8") is None
    assert made.revision(A, "9") == 9
    assert made.revision(A, str(ledger.PAST + 9)) == ledger.PAST + 9
