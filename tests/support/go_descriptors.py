"""Protobuf files as their generated Go code holds them: the descriptor, without protoc."""

from __future__ import annotations

import re
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto

_DESCRIPTOR = re.compile(r'_rawDesc = "" \+\n((?:\t".*"(?: \+)?\n)+)')
_LITERAL = re.compile(r'^\t"(.*)"(?: \+)?$', re.MULTILINE)
_ESCAPE = re.compile(rb'\\(x[0-9a-f]{2}|u[0-9a-f]{4}|[abfnrtv\\"])')
_PLAIN = dict(zip(b'abfnrtv\\"', b'\a\b\f\n\r\t\v\\"', strict=True))


def descriptor(file: Path) -> FileDescriptorProto:
    """Of one `.pb.go`."""
    found = _DESCRIPTOR.search(file.read_text())
    assert found is not None, f"{file} holds no descriptor as text"
    written = "".join(_LITERAL.findall(found[1])).encode()
    return FileDescriptorProto.FromString(_ESCAPE.sub(_unescaped, written))


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if len(code) == 1:
        return bytes((_PLAIN[code[0]],))
    number = int(code[1:], 16)
    return bytes((number,)) if code[0] == ord("x") else chr(number).encode()
