"""A reader of HTTP/1 bytes for tests: keeps what came over the wire, hides nothing.

It is lenient on purpose: the proxies decide what is legal, the tests only look.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Headers = list[tuple[str, str]]


@dataclass
class Message:
    """One request or response as it was on the wire."""

    start: str
    headers: Headers
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    complete: bool = False
    framing: str = "none"  # none | length | chunked | close
    raw_head: bytes = b""

    @property
    def status(self) -> int:
        return int(self.start.split(" ", 2)[1])

    def get(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [v for k, v in self.headers if k.lower() == name.lower()]


def parse_head(head: bytes) -> tuple[str, Headers]:
    """Start line and header list of a head without its empty line."""
    lines = head.decode("latin-1").split("\r\n")
    headers: Headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        headers.append((name, value.strip(" \t")) if colon else (line, ""))
    return lines[0], headers


@dataclass
class Chunked:
    """Result of reading a chunked body from the front of a buffer."""

    body: bytes
    trailers: Headers
    complete: bool
    consumed: int


def read_chunked(data: bytes) -> Chunked:
    """Decode as much of a chunked body as is there."""
    body, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return Chunked(body, [], False, at)
        try:
            size = int(data[at:end].split(b";")[0].strip() or b"x", 16)
        except ValueError:
            return Chunked(body, [], False, at)
        at = end + 2
        if size == 0:
            if data[at : at + 2] == b"\r\n":
                return Chunked(body, [], True, at + 2)
            stop = data.find(b"\r\n\r\n", at)
            if stop < 0:
                return Chunked(body, [], False, at)
            return Chunked(body, parse_head(b"x\r\n" + data[at:stop])[1], True, stop + 4)
        body += data[at : at + size]
        if len(data) < at + size + 2:
            return Chunked(body, [], False, len(data))
        at += size + 2


def parse_responses(data: bytes, methods: list[str], eof: bool) -> tuple[list[Message], bytes]:
    """All responses in `data`, interim ones included; `methods` are those of the requests sent.

    Returns the messages (the last may be incomplete) and the bytes left that are no message.
    """
    messages: list[Message] = []
    finals = 0
    while data:
        end = data.find(b"\r\n\r\n")
        if end < 0 or not data.startswith(b"HTTP/"):
            break
        start, headers = parse_head(data[:end])
        message = Message(start, headers, raw_head=data[: end + 4])
        rest = data[end + 4 :]
        method = methods[finals] if finals < len(methods) else "GET"
        used = _read_body(message, rest, method, eof)
        if message.status >= 200 or message.status == 101:
            finals += 1
        messages.append(message)
        data = rest[used:]
        if not message.complete:
            break
    return messages, data


def _read_body(message: Message, rest: bytes, method: str, eof: bool) -> int:
    status = message.status
    if status < 200 or status in (204, 304) or method == "HEAD":
        message.complete = True
        return 0
    if method == "CONNECT" and status < 300:
        message.complete = True
        return 0
    if "chunked" in (message.get("transfer-encoding") or "").lower():
        chunked = read_chunked(rest)
        message.framing = "chunked"
        message.body, message.trailers = chunked.body, chunked.trailers
        message.complete = chunked.complete
        return chunked.consumed
    length = message.get("content-length")
    if length is not None and length.isdigit():
        message.framing = "length"
        message.body = rest[: int(length)]
        message.complete = len(message.body) == int(length)
        return len(message.body)
    message.framing = "close"
    message.body = rest
    message.complete = eof
    return len(rest)
