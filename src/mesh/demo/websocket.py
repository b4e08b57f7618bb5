"""Just enough of RFC 6455 for a demo: the handshake of both ends, messages of one short frame."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from io import BufferedIOBase
from typing import Protocol

TEXT, CLOSE = 0x81, 0x88  # each with FIN
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: What fits into a length of seven bits (§5.2).
LONGEST = 125


class Writer(Protocol):
    """An unbuffered file, of a socket."""

    def write(self, data: bytes, /) -> int | None: ...


def accept(reader: BufferedIOBase, writer: Writer) -> bool:
    """The server's side of the handshake (§4.2); False if this was no such request."""
    _, headers = _read_head(reader)
    key = headers.get("sec-websocket-key")
    if key is None or headers.get("upgrade", "").lower() != "websocket":
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        return False
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-accept: " + _answer_to(key.encode()) + b"\r\n\r\n"
    )
    return True


def echo(port: int, path: str, messages: list[str]) -> tuple[str, list[str]]:
    """Connects, sends each message and reads its answer, closes. (status line, answers)

    Raises OSError, and ValueError for what no server should say.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        reader, writer = connection.makefile("rb"), connection.makefile("wb", buffering=0)
        key = base64.b64encode(os.urandom(16))
        writer.write(
            f"GET {path} HTTP/1.1\r\nhost: demo\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {key.decode()}\r\n\r\n".encode()
        )
        status, headers = _read_head(reader)
        if " 101 " not in status:
            return status, []
        if headers.get("sec-websocket-accept") != _answer_to(key).decode():
            raise ValueError("the answer to sec-websocket-key is wrong")
        answers = []
        for message in messages:
            write(writer, message.encode(), masked=True)
            answers.append((read(reader) or b"").decode())
        close(writer, masked=True)
        if read(reader) is not None:
            raise ValueError("a message after Close")
        return status, answers


def write(writer: Writer, message: bytes, *, masked: bool) -> None:
    """One message; clients mask (§5.3). Raises ValueError for a long one."""
    _write_frame(writer, TEXT, message, masked)


def close(writer: Writer, *, masked: bool) -> None:
    """Close, status 1000."""
    _write_frame(writer, CLOSE, (1000).to_bytes(2), masked)


def read(reader: BufferedIOBase) -> bytes | None:
    """One message; None at Close or the end. Raises ValueError for what `write` never writes."""
    head = reader.read(2)
    if not head:
        return None
    kind, size = head if len(head) == 2 else head + _exactly(reader, 1)
    mask = _exactly(reader, 4) if size & 0x80 else bytes(4)
    size &= 0x7F
    if size > LONGEST or kind not in {TEXT, CLOSE}:
        raise ValueError(f"a frame that starts with {kind:#x} {size:#x}")
    payload = _masked(_exactly(reader, size), mask)
    return payload if kind == TEXT else None


def _write_frame(writer: Writer, kind: int, payload: bytes, masked: bool) -> None:
    if len(payload) > LONGEST:
        raise ValueError("the demo's messages are short")
    mask = os.urandom(4) if masked else b""
    head = bytes((kind, len(payload) | (0x80 if masked else 0)))
    writer.write(head + mask + (_masked(payload, mask) if masked else payload))


def _masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def _answer_to(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def _read_head(reader: BufferedIOBase) -> tuple[str, dict[str, str]]:
    """(first line, headers with names in lower case)"""
    first = reader.readline().decode().rstrip("\r\n")
    headers = {}
    while line := reader.readline().decode().rstrip("\r\n"):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return first, headers


def _exactly(reader: BufferedIOBase, size: int) -> bytes:
    got = reader.read(size)
    if len(got) < size:
        raise ValueError("the connection ended within a frame")
    return got
