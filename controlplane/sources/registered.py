"""Workloads that announce themselves: a connected sidecar is a WorkloadEntry, as in Istio's
auto-registration, until it has been gone for a while.

A sidecar asks for it by its node's metadata: `AUTO_REGISTER: "true"` at once, `"on-ready"` when its
agent says that the application takes requests. Namespace and service account of the entry are
those that it has proved.

What is registered is on disk before it is told, so that a restart of the control plane takes no
workload out of the mesh: its sidecar has a minute to come back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

from controlplane import durable
from controlplane.resources.resource import Key, Resource
from controlplane.resources.workload_entry.schema import WorkloadEntry
from controlplane.sources.history import History
from controlplane.sources.source import Change, Listing
from controlplane.world.proxy import Proxy
from controlplane.xds.identity import Identity

#: How long an entry outlives its connection (Istio: 10 s): a reconnect must not cost traffic.
GRACE = 10.0
#: How long it has to come back after a restart of ours.
RESTART = 60.0
_MOST_WAITING = 10_000
_LOG = logging.getLogger(__name__)
_MUTUAL_TLS = "security.istio.io/tlsMode"


class Registered:
    """The source. Of one event loop, which also calls `came` and `left`."""

    def __init__(self, path: Path | None = None, grace: float = GRACE) -> None:
        """`path`: where to keep it; None keeps nothing. Raises ValueError for a file that is none
        of ours."""
        self._path = path
        self._grace = grace
        self._history = History()
        self._entries: dict[Key, Resource[WorkloadEntry]] = {}
        self._proxies: dict[Key, Proxy] = {}
        #: Those whose applications take requests.
        self._ready: set[Key] = set()
        #: How many streams of a workload there are; a reconnect may come before the old one ends.
        self._streams: dict[Key, int] = {}
        self._leaving: dict[Key, asyncio.TimerHandle] = {}
        self._begun = False

    @property
    def name(self) -> str:
        return "connected sidecars"

    async def list(self) -> Listing:
        self._begin()
        return Listing(tuple(self._entries.values()), (), self._history.version)

    def _begin(self) -> None:
        """Reads what was kept; those who do not come back in time are taken out."""
        if self._path is None or self._begun:
            return
        self._begun = True
        loop = asyncio.get_running_loop()
        for entry in _load(self._path):
            self._entries[entry.key] = entry
            self._ready.add(entry.key)
            if entry.key not in self._streams:
                self._leaving[entry.key] = loop.call_later(RESTART, self._remove, entry.key)

    async def watch(self, version: str) -> AsyncIterator[Change]:
        async for change in self._history.after(version):
            yield change

    def came(self, proxy: Proxy) -> None:
        """A sidecar has connected."""
        wish = proxy.meta("AUTO_REGISTER")
        if wish not in {"true", "on-ready"} or not proxy.addresses:
            return
        key = _key(proxy.namespace, proxy.id)
        if self._account(key) not in {"", proxy.service_account}:
            _LOG.warning(
                "%s/%s is registered by %s; %s cannot take its name",
                key.namespace, key.name, self._account(key), proxy.service_account,
            )  # fmt: skip
            return
        self._proxies[key] = proxy
        self._streams[key] = self._streams.get(key, 0) + 1
        timer = self._leaving.pop(key, None)
        if timer is not None:
            timer.cancel()
        if wish == "true":
            self._ready.add(key)
        self._tell(key)

    def left(self, proxy: Proxy) -> None:
        """A connection of a sidecar has ended."""
        key = _key(proxy.namespace, proxy.id)
        if key not in self._streams or self._account(key) != proxy.service_account:
            return
        self._streams[key] -= 1
        if self._streams[key] == 0:
            loop = asyncio.get_running_loop()
            self._leaving[key] = loop.call_later(self._grace, self._remove, key)

    def ready(self, identity: Identity, name: str) -> None:
        """The application of a workload takes requests. It may be said before the sidecar has
        connected. Raises PermissionError for a workload of somebody else."""
        self._ready.add(self._own(identity, name))
        self._tell(_key(identity.namespace, name))

    def leaving(self, identity: Identity, name: str) -> None:
        """It will soon take no more: nobody is to send it any. Raises PermissionError."""
        key = self._own(identity, name)
        self._ready.discard(key)
        self._drop(key)

    def _own(self, identity: Identity, name: str) -> Key:
        key = _key(identity.namespace, name)
        account = self._account(key)
        if account not in {"", identity.service_account}:
            raise PermissionError(f"{identity} is not the identity of {key.namespace}/{key.name}")
        if not account and len(self._ready) >= _MOST_WAITING:
            raise PermissionError(f"{_MOST_WAITING} workloads are ready without a sidecar already")
        return key

    def _account(self, key: Key) -> str:
        """Whose name it is: of the sidecar that is connected, or that was before a restart."""
        proxy = self._proxies.get(key)
        if proxy is not None:
            return proxy.service_account
        held = self._entries.get(key)
        return held.spec.service_account if held is not None else ""

    def _tell(self, key: Key) -> None:
        proxy = self._proxies.get(key)
        if proxy is None or key not in self._ready:
            return
        entry = Resource(key, _entry(proxy), created=time.time())
        held = self._entries.get(key)
        if held is None or held.spec != entry.spec:
            self._entries[key] = entry
            self._keep()
            self._history.add((entry,), (), ())

    def _keep(self) -> None:
        if self._path is None:
            return
        kept = [
            [one.namespace, one.name, one.created, asdict(one.spec)]
            for one in self._entries.values()
        ]
        try:
            durable.write(str(self._path), json.dumps(kept).encode(), 0o600)
        except OSError as error:
            # The mesh goes on; a restart would know less.
            _LOG.error("%s: registrations are not kept: %s", self._path, error.strerror)

    def _remove(self, key: Key) -> None:
        self._leaving.pop(key, None)
        self._streams.pop(key, None)
        self._proxies.pop(key, None)
        self._ready.discard(key)
        self._drop(key)

    def _drop(self, key: Key) -> None:
        if self._entries.pop(key, None) is not None:
            self._keep()
            self._history.add((), (key,), ())


def _load(path: Path) -> list[Resource[WorkloadEntry]]:
    try:
        kept = json.loads(path.read_bytes())
        return [
            Resource(Key("WorkloadEntry", namespace, name), WorkloadEntry(**spec), created=created)
            for namespace, name, created, spec in kept
        ]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: holds no registrations ({error}); remove it") from error


def _key(namespace: str, name: str) -> Key:
    return Key("WorkloadEntry", namespace, name.partition(".")[0])


def _entry(proxy: Proxy) -> WorkloadEntry:
    labels = {**dict(proxy.labels), _MUTUAL_TLS: "istio"}
    return WorkloadEntry(
        address=proxy.addresses[0],
        labels=labels,
        network=proxy.network,
        locality="/".join(filter(None, proxy.locality)),
        service_account=proxy.service_account,
    )
