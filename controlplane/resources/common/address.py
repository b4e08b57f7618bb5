"""Addresses and blocks of addresses, read as Go's `net/netip` does."""

from __future__ import annotations

import ipaddress


def is_address(text: str) -> bool:
    """IPv4 or IPv6, with a zone perhaps."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_block(text: str) -> bool:
    """An address and the length of its prefix; bits behind the prefix may be set."""
    address, slash, length = text.partition("/")
    # `ip_network` would take 10.0.0.0/255.0.0.0, 10.0.0.0/08 and zones as well.
    if not slash or not length.isascii() or not length.isdecimal() or "%" in address:
        return False
    if len(length) > 1 and length.startswith("0"):
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
