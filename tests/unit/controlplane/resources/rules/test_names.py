"""Names: what a host is, and which hosts overlap."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.resources.rules import names


@pytest.mark.parametrize(
    ("text", "fqdn", "wildcard"),
    [
        ("a", True, True),
        ("a.example.com.", True, True),
        ("A-1.example", True, True),
        ("*", False, True),
        ("*.a", False, True),
        ("*a.b", False, True),
        ("*-a.b", False, True),
        ("a*.b", False, False),
        ("a.*", False, False),
        ("1.2.3.4", False, False),
        ("", False, False),
        ("a_b.c", False, False),
        ("a" * 63 + ".b", True, True),
        ("a" * 64 + ".b", False, False),
        ("a.b" * 85, True, True),
        ("a.b" * 86, False, False),
    ],
)
def test_hosts(text: str, fqdn: bool, wildcard: bool) -> None:
    assert names.is_fqdn(text) is fqdn
    assert names.is_wildcard_domain(text) is wildcard
    assert len(list(names.wildcard_domain(text, "p"))) == (not wildcard)


@pytest.mark.parametrize(
    ("host", "other", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "*.b", True),
        ("b", "*.b", False),
        ("*.a.b", "*.b", True),
        ("*.b", "*.a.b", False),
        ("*.b", "a.b", False),
        ("*.b", "*", True),
    ],
)
def test_subsets(host: str, other: str, expected: bool) -> None:
    assert names.subset_of(host, other) is expected


_hosts = st.lists(
    st.builds(
        lambda wildcard, text: ("*" if wildcard else "") + text,
        st.booleans(),
        st.text("ab.", max_size=4),
    ),
    max_size=6,
)


@given(_hosts)
def test_overlaps_are_those_of_every_pair(hosts: list[str]) -> None:
    def both(one: str, other: str) -> bool:
        return names.subset_of(one, other) or names.subset_of(other, one)

    expected = {
        later
        for later, host in enumerate(hosts)
        if any(both(host, earlier) for earlier in hosts[:later])
    }
    found = {later: earlier for earlier, later in names.overlapping(hosts)}
    assert found.keys() == expected
    assert all(both(hosts[later], hosts[earlier]) for later, earlier in found.items())


def test_overlaps_of_many_hosts_take_no_pairs() -> None:
    hosts = [
        f"{letter}{number}.example.com"
        for letter in string.ascii_lowercase
        for number in range(400)
    ]
    assert list(names.overlapping(hosts)) == []
    assert list(names.overlapping([*hosts, "*.example.com"])) == [(0, len(hosts))]
