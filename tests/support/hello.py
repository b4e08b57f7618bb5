"""ClientHellos as no library would write them."""

from __future__ import annotations

import struct

#: A record without a byte of a handshake.
EMPTY_RECORD = b"\x16\x03\x01\0\0"


def u16(number: int) -> bytes:
    """Two bytes."""
    return struct.pack("!H", number)


def extension(kind: int, body: bytes) -> bytes:
    """An extension of any kind."""
    return u16(kind) + u16(len(body)) + body


def sni(name: bytes) -> bytes:
    """The extension `server_name` with one host name."""
    return extension(0, u16(len(name) + 3) + b"\0" + u16(len(name)) + name)


def padding(length: int) -> bytes:
    """An extension that nobody knows, so many bytes with its header."""
    return extension(999, bytes(length - 4))


def hello(
    *extensions: bytes,
    version: int = 0x303,
    suites: bytes = b"\x13\x01",
    session: bytes = b"",
    compressions: bytes = b"\0",
) -> bytes:
    """The message, with its header."""
    body = u16(version) + b"R" * 32 + bytes([len(session)]) + session
    body += u16(len(suites)) + suites + bytes([len(compressions)]) + compressions
    if extensions:
        listed = b"".join(extensions)
        body += u16(len(listed)) + listed
    return b"\x01" + struct.pack("!I", len(body))[1:] + body


def records(message: bytes, size: int = 16384, version: bytes = b"\x03\x01") -> bytes:
    """In records of that size."""
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16" + version + u16(len(part)) + part for part in parts)
