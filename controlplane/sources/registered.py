"""Workloads that announce themselves: a connected sidecar is a WorkloadEntry, as in Istio's
auto-registration, until it has been gone for a while.

A sidecar asks for it by its node's metadata: `AUTO_REGISTER: "true"` at once, `"on-ready"` when its
agent says that the application takes requests; by a WorkloadGroup (`AUTO_REGISTER_GROUP`, as
Istio's agents ask) at once, or when its agent says so where the group has a probe. Namespace and
service account of the entry are those that it has proved; what it does not say of itself its
group's template says. A workload whose agent finds its application unhealthy is no entry until
it is well again: endpoints are those that take requests.

What is registered is on disk before it is told, so that a restart of the control plane takes no
workload out of the mesh: its sidecar has a minute to come back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from controlplane import durable
from controlplane.ca.names import is_name
from controlplane.resources.resource import Key, Resource
from controlplane.resources.rules.workloads import workload
from controlplane.resources.workload_entry import naming
from controlplane.resources.workload_entry.schema import WorkloadEntry
from controlplane.resources.workload_group.schema import WorkloadGroup
from controlplane.resources.workload_group.select import claimed
from controlplane.sources.history import History
from controlplane.sources.source import Change, Listing
from controlplane.world.proxy import Proxy
from controlplane.xds.identity import Identity

#: How long an entry outlives its connection (Istio: 10 s): a reconnect must not cost traffic.
GRACE = 10.0
#: How long it has to come back after a restart of ours.
RESTART = 60.0
#: Of one service account: what it is served as well (`xds.options.Limits.streams_per_identity`).
_MOST_OF_ACCOUNT = 2_000
#: Workloads that are ready without a sidecar, of one service account, and accounts that have any.
_MOST_EARLY, _MOST_EARLY_ACCOUNTS = 200, 1_000
#: Of what an agent says of an application, in characters.
_LONGEST_REASON = 500
_LOG = logging.getLogger(__name__)
_MUTUAL_TLS = "security.istio.io/tlsMode"
_GROUP = "AUTO_REGISTER_GROUP"
#: Namespace and service account.
_Account: TypeAlias = tuple[str, str]
#: None for what has gone.
_News: TypeAlias = dict[Key, Resource[WorkloadEntry] | None]


def _no_group(_: Proxy) -> None:
    """Where nobody knows of groups."""


class Registered:
    """The source. Of one event loop, which also calls `came` and `left`."""

    def __init__(
        self,
        path: Path | None = None,
        grace: float = GRACE,
        group: Callable[[Proxy], WorkloadGroup | None] = _no_group,
    ) -> None:
        """`path`: where to keep it; None keeps nothing. `group`: that of a proxy, if it is in one;
        raises ValueError for one that cannot be. Raises ValueError for a file that is none of
        ours."""
        self._path = path
        self._group = group
        self._grace = grace
        self._history = History()
        self._entries: dict[Key, Resource[WorkloadEntry]] = {}
        self._proxies: dict[Key, Proxy] = {}
        #: Those whose applications take requests.
        self._ready: set[Key] = set()
        #: Those whose applications do not, by what their agents have found: why.
        self._unhealthy: dict[Key, str] = {}
        self._early = _Early()
        #: By streams; a reconnect may come before the old one ends.
        self._streams: dict[Key, list[Proxy]] = {}
        #: How many workloads a service account has.
        self._held: Counter[_Account] = Counter()
        self._leaving: dict[Key, asyncio.TimerHandle] = {}
        self._begun = False
        #: What is not told yet, because it is not kept yet.
        self._news: _News = {}
        self._keeping: asyncio.Task[None] | None = None

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
        wish = proxy.meta("AUTO_REGISTER") or ("group" if proxy.meta(_GROUP) else "")
        if wish not in {"true", "on-ready", "group"} or not proxy.addresses:
            return
        key = self._key(proxy.namespace, proxy.service_account, proxy.id)
        if why := self._refusal(key, proxy):
            _LOG.warning("%s: %r is not registered: %s", proxy.namespace, proxy.id[:300], why)
            return
        held = self._proxies.get(key)
        if held is None:
            self._held[_account(proxy)] += 1
        elif self._streams.get(key) and held.addresses != proxy.addresses:
            _LOG.warning(
                "%s/%s is connected from %s and from %s: the second gets its requests; each is to"
                " have a name of its own",
                key.namespace, key.name, held.addresses[0], proxy.addresses[0],
            )  # fmt: skip
        self._proxies[key] = proxy
        self._streams.setdefault(key, []).append(proxy)
        timer = self._leaving.pop(key, None)
        if timer is not None:
            timer.cancel()
        early = self._early.take(_account(proxy), naming.plain(proxy.id))
        if early or (self._at_once(proxy, wish) and key not in self._unhealthy):
            self._ready.add(key)
        self._tell(key)

    def _at_once(self, proxy: Proxy, wish: str) -> bool:
        """Whether it need not be said that it is ready."""
        group = self._group(proxy) if wish == "group" else None
        return wish == "true" or (group is not None and group.probe is None)

    def _refusal(self, key: Key, proxy: Proxy) -> str:
        """Why it cannot be registered; "" if it can. What it says of itself goes to all others."""
        if why := _bad_name(naming.plain(proxy.id)):
            return why
        try:
            entry = _entry(proxy, self._group(proxy))
        except ValueError as error:
            return str(error)
        for problem in workload(entry, "node", dns=False):
            if not problem.warning:
                return f"{problem.path} {problem.reason}"
        if key not in self._proxies and self._held[_account(proxy)] >= _MOST_OF_ACCOUNT:
            return f"{proxy.service_account} has {_MOST_OF_ACCOUNT} workloads already"
        return ""

    def left(self, proxy: Proxy) -> None:
        """A connection of a sidecar has ended."""
        key = self._key(proxy.namespace, proxy.service_account, proxy.id)
        streams = self._streams.get(key, [])
        found = next((place for place, one in enumerate(streams) if one is proxy), None)
        if found is None:
            # It was not registered.
            return
        del streams[found]
        if not streams:
            loop = asyncio.get_running_loop()
            self._leaving[key] = loop.call_later(self._grace, self._remove, key)

    def ready(self, identity: Identity, name: str) -> None:
        """The application of a workload takes requests. It may be said before the sidecar has
        connected, and is said again and again; it is said of the own service account's workload,
        whoever else has one of that name. Raises ValueError for what is no name."""
        key = self._own(identity, name)
        if self._account(key):
            self._unhealthy.pop(key, None)
            self._ready.add(key)
            self._tell(key)
        else:
            account = identity.namespace, identity.service_account
            self._early.add(account, naming.plain(name))

    def leaving(self, identity: Identity, name: str) -> None:
        """It will soon take no more: nobody is to send it any. Raises as `ready`."""
        key = self._take_out(identity, name)
        self._unhealthy.pop(key, None)

    def unhealthy(self, identity: Identity, name: str, reason: str) -> None:
        """Its agent finds that it takes no requests now. Raises as `ready`."""
        key = self._take_out(identity, name)
        if key in self._proxies:
            self._unhealthy[key] = _plain(reason) or "its agent does not say why"

    def health(self, proxy: Proxy, reason: str | None) -> None:
        """Istio's agents say it on the stream of their sidecar: None is healthy."""
        key = self._key(proxy.namespace, proxy.service_account, proxy.id)
        if key not in self._proxies:
            # It was not registered.
            return
        identity = Identity("", proxy.namespace, proxy.service_account)
        if reason is None:
            self.ready(identity, proxy.id)
        else:
            self.unhealthy(identity, proxy.id, reason)

    def connected(self, identity: Identity, name: str) -> bool:
        """Whether a workload of this name has its sidecar here. Raises as `ready`."""
        return bool(self._streams.get(self._own(identity, name)))

    def why_unhealthy(self, proxy: Proxy) -> str:
        """Empty for one that is well, or of which nobody has said anything."""
        key = self._key(proxy.namespace, proxy.service_account, proxy.id)
        return self._unhealthy.get(key, "")

    def _take_out(self, identity: Identity, name: str) -> Key:
        key = self._own(identity, name)
        self._early.take((identity.namespace, identity.service_account), naming.plain(name))
        self._ready.discard(key)
        self._drop(key)
        return key

    def _own(self, identity: Identity, name: str) -> Key:
        if why := _bad_name(naming.plain(name)):
            raise ValueError(why)
        return self._key(identity.namespace, identity.service_account, name)

    def _key(self, namespace: str, account: str, name: str) -> Key:
        """Where a workload is registered, or will be: who comes first has the plain name, and takes
        nobody else out by it."""
        name = naming.plain(name)
        own, first = (
            Key("WorkloadEntry", namespace, naming.apart(name, account)),
            Key("WorkloadEntry", namespace, name),
        )
        if self._account(own) or self._account(first) not in {"", account}:
            return own
        return first

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
        try:
            spec = _entry(proxy, self._group(proxy))
        except ValueError as error:
            # Its group has gone meanwhile.
            _LOG.debug("%s/%s stays as it is: %s", key.namespace, key.name, error)
            return
        entry = Resource(key, spec, created=time.time())
        held = self._entries.get(key)
        if held is None or held.spec != entry.spec:
            self._entries[key] = entry
            self._say(key, entry)

    def _say(self, key: Key, entry: Resource[WorkloadEntry] | None) -> None:
        if self._path is None:
            self._announce({key: entry})
            return
        self._news[key] = entry
        if self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_task(self._keep(self._path))

    async def _keep(self, path: Path) -> None:
        """On the disk, then told; what comes while the disk works is written together: a thousand
        sidecars must not wait for a thousand times that."""
        try:
            while self._news:
                news, self._news = self._news, {}
                await asyncio.to_thread(_write, path, tuple(self._entries.values()))
                self._announce(news)
        finally:
            self._keeping = None

    def _announce(self, news: _News) -> None:
        updated = tuple(one for one in news.values() if one is not None)
        self._history.add(updated, tuple(key for key, one in news.items() if one is None), ())

    async def close(self) -> None:
        """Waits until all is kept."""
        if self._keeping is not None:
            await self._keeping

    def _remove(self, key: Key) -> None:
        self._leaving.pop(key, None)
        self._streams.pop(key, None)
        proxy = self._proxies.pop(key, None)
        if proxy is not None:
            account = _account(proxy)
            self._held[account] -= 1
            if not self._held[account]:
                del self._held[account]
        self._ready.discard(key)
        self._unhealthy.pop(key, None)
        self._drop(key)

    def _drop(self, key: Key) -> None:
        if self._entries.pop(key, None) is not None:
            self._say(key, None)


class _Early:
    """Workloads that are ready before their sidecars have come, by service account: nobody speaks
    for another. The oldest are forgotten when there are too many; agents say it again."""

    def __init__(self) -> None:
        self._by_account: OrderedDict[_Account, OrderedDict[str, None]] = OrderedDict()

    def add(self, account: _Account, name: str) -> None:
        held = self._by_account.setdefault(account, OrderedDict())
        self._by_account.move_to_end(account)
        held[name] = None
        held.move_to_end(name)
        if len(held) > _MOST_EARLY:
            held.popitem(last=False)
        if len(self._by_account) > _MOST_EARLY_ACCOUNTS:
            self._by_account.popitem(last=False)

    def take(self, account: _Account, name: str) -> bool:
        """Whether it was ready; forgets it."""
        held = self._by_account.get(account, OrderedDict())
        if name not in held:
            return False
        del held[name]
        if not held:
            del self._by_account[account]
        return True


def _write(path: Path, entries: tuple[Resource[WorkloadEntry], ...]) -> None:
    kept = [[one.namespace, one.name, one.created, asdict(one.spec)] for one in entries]
    try:
        durable.write(str(path), json.dumps(kept).encode(), 0o600)
    except OSError as error:
        # The mesh goes on; a restart would know less.
        _LOG.error("%s: registrations are not kept: %s", path, error.strerror)


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


def _plain(reason: str) -> str:
    """For logs and tables, in one line."""
    text = " ".join(reason[:_LONGEST_REASON].split())
    return text if text.isprintable() else ascii(text)


def _account(proxy: Proxy) -> _Account:
    return proxy.namespace, proxy.service_account


def _bad_name(name: str) -> str:
    """Why it can be no WorkloadEntry's; "" if it can."""
    if is_name(name):
        return ""
    return f"{name[:100]!r} is no name: lower-case letters, digits and hyphens, 253 at most"


def _entry(proxy: Proxy, group: WorkloadGroup | None) -> WorkloadEntry:
    template = WorkloadEntry() if group is None else group.template
    labels = dict(proxy.labels)
    if group is not None:
        made = group.metadata.labels if group.metadata is not None else {}
        own = {**made, **template.labels}
        # Only where the group covers all that it claims: nobody is to have some of its token's
        # labels and some of its group's.
        if dict(claimed(proxy.labels)).items() <= own.items():
            labels = {**own, **labels}
    return WorkloadEntry(
        address=proxy.addresses[0],
        ports=template.ports,
        labels={**labels, _MUTUAL_TLS: "istio"},
        network=proxy.network or template.network,
        locality="/".join(filter(None, proxy.locality)) or template.locality,
        weight=template.weight,
        service_account=proxy.service_account,
    )
