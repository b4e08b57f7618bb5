"""Allocated addresses: the same for the same names, never one for two."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from controlplane.registry.addresses import allocate

NETWORK = ip_network("240.240.0.0/16")


@given(st.sets(st.text(max_size=8), max_size=50))
def test_every_name_has_its_own(names: set[str]) -> None:
    given = allocate(names)
    assert given.keys() == names
    assert len(set(given.values())) == len(names)
    for address in given.values():
        assert ip_address(address) in NETWORK
        assert not address.endswith((".0", ".255"))


def test_an_address_does_not_depend_on_the_others() -> None:
    assert allocate(["a/b"])["a/b"] == allocate(["a/b", "c/d", "e/f"])["a/b"]


def test_the_space_is_bounded() -> None:
    given = allocate(str(number) for number in range(65536))
    assert len(given) == len(set(given.values())) == 255 * 254
