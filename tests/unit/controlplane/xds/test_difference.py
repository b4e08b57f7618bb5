"""Differences of two sets, against the definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controlplane.xds.difference import Differences
from controlplane.xds.translator import Encoded, encoded

wholes = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([b"1", b"2"])).map(
    lambda found: tuple(encoded(name, body) for name, body in found.items())
)


@given(wholes, wholes)
def test_between(old: tuple[Encoded, ...], new: tuple[Encoded, ...]) -> None:
    differences = Differences()
    found = differences.between(old, new)
    assert set(found.changed) == set(new) - set(old)
    assert {one.name for one in found.gone} == {o.name for o in old} - {n.name for n in new}
    assert differences.between(old, new) == found


def test_what_is_kept_is_bounded_and_never_mistaken() -> None:
    differences = Differences(limit=2)
    for number in range(20):
        old, new = (encoded("a", b"%d" % number),), (encoded("a", b"%d" % (number + 1)),)
        assert differences.between(old, new).changed == new
