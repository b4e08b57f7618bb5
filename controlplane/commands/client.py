"""Asking the control plane, and sidecars' admin ports, over HTTP on loopback."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from controlplane.commands.common import CommandError

DEFAULT_CONTROL: Final = "http://127.0.0.1:15014"
_SECONDS: Final = 10.0
#: Of an answer; what is larger is no answer of ours.
MOST: Final = 256 << 20


def add_flag(parser: argparse.ArgumentParser) -> None:
    """`--control`."""
    parser.add_argument(
        "--control",
        metavar="URL",
        help=f"the control plane's status port (else $MESH_CONTROL, else {DEFAULT_CONTROL})",
    )


class Control:
    """The control plane's status port."""

    def __init__(self, given: str | None) -> None:
        """Raises CommandError for what is no URL of one."""
        self.url = given or os.environ.get("MESH_CONTROL") or DEFAULT_CONTROL
        wrong = f"{self.url}: is no address of a control plane; write {DEFAULT_CONTROL}"
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise CommandError(wrong) from None
        if parts.scheme != "http" or not host or parts.path not in {"", "/"} or parts.query:
            raise CommandError(wrong)
        self._host, self._port = host, port or 15014

    def ask(
        self, path: str, query: Mapping[str, str] | None = None, seconds: float = _SECONDS
    ) -> Any:
        """A value. Raises CommandError."""
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            status, body = _exchange("GET", self._host, self._port, target, seconds)
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(
                f"the control plane does not answer at {self.url} ({_why(error)}); is"
                " `mesh control` running? --control or $MESH_CONTROL say where"
            ) from None
        if status == 404:
            raise CommandError(f"{self.url}: knows no {path}; is it a control plane of ours?")
        if status != 200:
            said = body[:500].decode(errors="replace").strip()
            raise CommandError(f"{self.url}: {said or f'answers {status}'}")
        return _parsed(body, self.url)


def admin(address: str, path: str, whose: str) -> Any:
    """What a sidecar's admin port answers, `HOST:PORT` on this machine. Raises CommandError."""
    status, body = _admin("GET", address, path, whose)
    if status != 200:
        raise CommandError(f"the admin port of {whose} ({address}) answers {status} to {path}")
    return _parsed(body, f"the admin port of {whose} ({address})")


def post(address: str, path: str, whose: str) -> str:
    """Has a sidecar's admin port do something; what it says of it. Raises CommandError."""
    status, body = _admin("POST", address, path, whose)
    said = body.decode(errors="replace")
    if status != 200:
        first = said.partition("\n")[0].strip()[:500] or f"answers {status}"
        raise CommandError(f"the admin port of {whose} ({address}): {first}")
    return said


def _admin(method: str, address: str, path: str, whose: str) -> tuple[int, bytes]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not _is_loopback(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        # A proxy says this of itself: it must not send us anywhere.
        raise CommandError(
            f"{whose} says that its admin port is at {address[:100]!r}; only ports on loopback are"
            " asked: use -f with a dump"
        )
    try:
        return _exchange(method, host, int(port), path, _SECONDS)
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(
            f"the admin port of {whose} ({address}) does not answer: {_why(error)}"
        ) from None


def _exchange(method: str, host: str, port: int, target: str, seconds: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    with contextlib.closing(connection):
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read(MOST + 1)
    if len(body) > MOST:
        raise OSError(0, f"the answer has more than {MOST >> 20} MiB")
    return response.status, body


def _parsed(body: bytes, where: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise CommandError(f"{where}: the answer is no JSON, or nested without end") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"
