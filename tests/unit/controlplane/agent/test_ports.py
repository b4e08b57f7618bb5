"""controlplane.agent.ports."""

from __future__ import annotations

import socket

import pytest

from controlplane.agent.ports import free_address, is_free, reserve


def test_a_reserved_port_is_nobodys_until_it_is_given_up() -> None:
    held = reserve()
    address = held.getsockname()
    with socket.socket() as another, pytest.raises(OSError, match="in use"):
        another.bind(address)
    held.close()
    with socket.socket() as own:
        own.bind(address)
        own.listen()


def test_an_address_has_its_ports_free_and_others_if_that_can_be() -> None:
    first = free_address("a", (7,))
    assert free_address("a", (7,)) == first
    with socket.socket() as held:
        held.bind((first, 0))
        held.listen()
        taken = held.getsockname()[1]
        assert not is_free(first, taken)
        assert free_address("a", (taken,)) != first
        assert free_address("a", (7,), (taken,)) != first
    with socket.socket() as held:
        # On all addresses: nobody can have it, so it is done without.
        held.bind(("", 0))
        held.listen()
        taken = held.getsockname()[1]
        assert free_address("a", (7,), (taken,)) == first
        with pytest.raises(
            OSError, match=rf"ports \({taken}\) is in use.*listens on all addresses"
        ):
            free_address("a", (taken,))


def test_an_address_of_another_machine_is_told_of() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192\.0\.2\.1:80: "):
        is_free("192.0.2.1", 80)
