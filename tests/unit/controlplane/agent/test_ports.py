"""controlplane.agent.ports."""

from __future__ import annotations

import socket

import pytest

from controlplane.agent.ports import reserve


def test_a_reserved_port_is_nobodys_until_it_is_given_up() -> None:
    held = reserve()
    address = held.getsockname()
    with socket.socket() as another, pytest.raises(OSError, match="in use"):
        another.bind(address)
    held.close()
    with socket.socket() as own:
        own.bind(address)
        own.listen()
