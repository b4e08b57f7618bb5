"""`/api/v1/...` of the status port: JSON for `mesh apply --wait`, `mesh status` and scripts."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from controlplane.problem import Refused
from controlplane.resources.resource import Key
from controlplane.status.arrival import Arrival, Arrivals
from controlplane.world.proxy import Proxy
from controlplane.xds import type_urls
from controlplane.xds.debug import BadQuery, Busy, Route, proxy
from controlplane.xds.status import ProxyStatus, Verdict
from controlplane.xds.translator import Encoded

#: A request for longer is refused: its connection is one of few.
LONGEST: Final = 600.0
#: So many wait at the same time.
_WAITING: Final = 32
#: Of what is refused so many are told, and of those who lack something.
_MOST: Final = 1_000
_PLAIN_TIMEOUT: Final = 30.0


class Api:
    """The routes. Of one event loop."""

    def __init__(
        self,
        arrivals: Arrivals,
        refused: Callable[[], tuple[Sequence[Refused], Sequence[Refused]]],
        proxies: Callable[[], Iterable[ProxyStatus]],
        resources: Callable[[str, str], Mapping[str, Sequence[Encoded]]],
        source: Callable[[], str],
        version: str,
        unhealthy: Callable[[Proxy], str],
    ) -> None:
        """`refused` gives what is refused, and what is warned of; `resources`: what a proxy of a
        name, and an identity, was sent; `source`: where configuration comes from, for people;
        `unhealthy`: why a proxy's application is in no endpoints, or ""."""
        self._arrivals = arrivals
        self._refused = refused
        self._proxies = proxies
        self._resources = resources
        self._source = source
        self._version = version
        self._unhealthy = unhealthy
        self._waiting = 0

    def routes(self) -> dict[str, Route]:
        """For `DebugServer`."""
        return {
            "/api/v1/version": Route(self._say_version),
            "/api/v1/refused": Route(self._say_refused),
            "/api/v1/proxies": Route(self._say_proxies),
            "/api/v1/wait": Route(self._wait, seconds=LONGEST + 5.0),
        }

    async def _say_version(self, _: Mapping[str, str]) -> Any:
        return {
            "version": self._version,
            "name": socket.gethostname(),
            "source": self._source(),
            "revision": self._arrivals.latest,
        }

    async def _say_refused(self, _: Mapping[str, str]) -> Any:
        refused, warnings = self._refused()
        return {
            "refused": [_complaint(one) for one in refused[:_MOST]],
            "warnings": [_complaint(one) for one in warnings[:_MOST]],
            "more": max(0, len(refused) - _MOST) + max(0, len(warnings) - _MOST),
        }

    async def _say_proxies(self, query: Mapping[str, str]) -> Any:
        """All; with `name` that one, and what it holds; with `identity` only what is of it."""
        control = await self._say_version(query)
        name, identity = query.get("name", ""), query.get("identity", "")
        found = []
        for one in self._proxies():
            if name in {"", one.proxy.id} and identity in {"", one.identity}:
                found.append(json.dumps(_proxy(one, self._unhealthy(one.proxy)), indent=1))
                # A mesh is large: the streams have their turn after each proxy.
                await asyncio.sleep(0)
        parts = {"control": json.dumps(control), "proxies": f"[{','.join(found)}]"}
        if name:
            held = {
                type_urls.short(url): {one.name: one.version for one in several[:_MOST]}
                for url, several in self._resources(name, identity).items()
            }
            parts["resources"] = json.dumps(held)
        lines = ",\n".join(f'"{key}": {one}' for key, one in parts.items())
        return f"{{{lines}}}\n".encode()

    async def _wait(self, query: Mapping[str, str]) -> Any:
        key = _key(query.get("key", ""))
        timeout = _seconds(query.get("timeout", str(_PLAIN_TIMEOUT)))
        version = query.get("version", "")
        since = _revision(query.get("since", "-1"))
        if self._waiting >= _WAITING:
            raise Busy(f"{_WAITING} requests wait already; try again")
        self._waiting += 1
        try:
            arrival = await self._arrivals.of(key, version, timeout, since)
        finally:
            self._waiting -= 1
        return {"key": "/".join(key), "version": version, "source": self._source()} | _said(arrival)


def _key(text: str) -> Key:
    kind, first, rest = text.partition("/")
    namespace, second, name = rest.partition("/")
    if not (kind and first and second and name) or "/" in name:
        raise BadQuery(
            f"key={text[:200]}: write KIND/NAMESPACE/NAME, and KIND//NAME where there is none"
        )
    return Key(kind, namespace, name)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST:
        raise BadQuery(f"timeout={text[:40]}: must be seconds from 0 to {LONGEST:g}")
    return seconds


def _revision(text: str) -> int:
    try:
        return int(text[:20])
    except ValueError:
        raise BadQuery(
            f"since={text[:40]}: must be a revision, as /api/v1/version says it"
        ) from None


def _said(arrival: Arrival) -> dict[str, Any]:
    return {
        "state": str(arrival.outcome),
        "text": arrival.text,
        "revision": arrival.revision,
        "proxies": arrival.proxies,
        "told": arrival.told,
        "lacking": [_verdict(one) for one in arrival.verdicts[:_MOST]],
        "more": max(0, len(arrival.verdicts) - _MOST),
    }


def _verdict(one: Verdict) -> dict[str, str]:
    return {"proxy": one.proxy.id, "state": str(one.state), "text": one.reason}


def _complaint(one: Refused) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "namespace": one.namespace,
        "name": one.name,
        "file": one.origin.file if one.origin else "",
        "line": one.origin.line if one.origin else 0,
        "problems": [
            {
                "path": problem.path,
                "reason": problem.reason,
                "line": problem.line or (one.origin.line if one.origin else 0),
                "warning": problem.warning,
            }
            for problem in one.problems
        ],
        "text": str(one),
    }


def _proxy(one: ProxyStatus, unhealthy: str) -> dict[str, Any]:
    held = one.proxy
    return proxy(one) | {
        "namespace": held.namespace,
        "service_account": held.service_account,
        "address": held.addresses[0] if held.addresses else "",
        "admin": held.meta("FASTMESH_ADMIN"),
        "agent": held.agent,
        "unhealthy": unhealthy,
    }
