"""IP addresses, networks and paths of unix sockets."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from controlplane.problem import Problem, shown

UNIX = "unix://"


def is_ip(text: str) -> bool:
    """An IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def ip(text: str, path: str) -> Iterator[Problem]:
    """An address."""
    if not is_ip(text):
        yield Problem(path, f"{shown(text)} is no IP address")


def subnet(text: str, path: str) -> Iterator[Problem]:
    """An address, or a network as CIDR."""
    address, slash, prefix = text.partition("/")
    if not slash:
        yield from ip(text, path)
        return
    bits = int(prefix) if re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix) else -1
    # A network has no zone.
    if (
        "%" in text
        or not is_ip(address)
        or not 0 <= bits <= ipaddress.ip_address(address).max_prefixlen
    ):
        yield Problem(path, f"{shown(text)} is no network; write it like 10.0.0.0/8")


def unix_path(text: str, path: str) -> Iterator[Problem]:
    """What follows `unix://`: an absolute path of a file, or `@name`."""
    if text.startswith("@"):
        return
    if not text.startswith("/") or text.endswith("/"):
        reason = f"{shown(UNIX + text)} must be unix:///absolute/path/of/a/file or unix://@name"
        yield Problem(path, reason)


def host_and_port(text: str) -> tuple[str, str] | None:
    """`host:port` and `[v6]:port`; None if it is neither."""
    if found := re.fullmatch(r"\[([^\[\]]*)\]:([^:]*)|([^:\[\]]*):([^:]*)", text):
        return (found[1], found[2]) if found[3] is None else (found[3], found[4])
    return None
