"""Addresses and ports for workloads that share a machine.

Every workload has an address of its own on loopback (all of 127.0.0.0/8 is there without setting
anything up), so that each can have the ports that its service promises.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from hashlib import blake2b

#: 127.64.0.0/10 is ours: nobody uses it by habit.
_FIRST, _SIZE = 64, 64 * 256 * 254
_TRIES = 64


def free_address(name: str, ports: tuple[int, ...], wish: tuple[int, ...] = ()) -> str:
    """An address on which all these ports are free: by the name's hash, so that it stays the same
    from run to run; taken ones are passed over. `wish`: more of them, if that can be. Raises
    OSError, saying why."""
    if wish:
        with contextlib.suppress(OSError):
            return free_address(name, (*ports, *wish))
    start = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
    for step in range(_TRIES):
        slot = (start + step * 7919) % _SIZE
        address = f"127.{_FIRST + slot // (256 * 254)}.{slot // 254 % 256}.{slot % 254 + 1}"
        if all(is_free(address, port) for port in ports):
            return address
    numbers = ", ".join(map(str, ports))
    raise OSError(
        f"no address for {name}: on {_TRIES} of them one of its ports ({numbers}) is in use. A"
        " process that listens on all addresses (0.0.0.0) takes a port from all: end it, have it"
        " listen on 127.0.0.1, or choose another port"
    )


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind((address, 0))
        port: int = one.getsockname()[1]
        return port


def reserve(address: str = "127.0.0.1") -> socket.socket:
    """A port that nobody else gets until this is closed, which nobody notices who listens there
    afterwards: it was never listened on."""
    one = socket.socket()
    try:
        one.bind((address, 0))
    except OSError:
        one.close()
        raise
    return one


def is_free(address: str, port: int) -> bool:
    """Whether nobody listens there. Raises OSError for an address that is not of this machine."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise OSError(f"cannot listen on {address}:{port}: {error.strerror}") from None
        return True
