"""One control plane: follows its sources, keeps the world, serves it."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from controlplane import durable
from controlplane.ca.audit import Audit
from controlplane.ca.authenticate import WorkloadAuthenticator
from controlplane.ca.holder import Holder
from controlplane.ca.limits import Limits
from controlplane.ca.rejoin import GRACE, Rejoin
from controlplane.ca.service import CertificateService
from controlplane.ca.serving import ServingCertificate
from controlplane.ca.tokens import Tokens
from controlplane.claims import Claims
from controlplane.problem import Refused
from controlplane.registration import RegistrationService
from controlplane.registry import templates
from controlplane.resources import mesh_config
from controlplane.resources.kinds import KINDS
from controlplane.resources.mesh_config import MeshConfig
from controlplane.resources.not_yet import told
from controlplane.resources.request_authentication.jwks import Keys
from controlplane.resources.resource import Key
from controlplane.resources.workload_group.schema import WorkloadGroup
from controlplane.resources.workload_group.select import group_of, named
from controlplane.sources.discovered import Discovered
from controlplane.sources.folder import Folder
from controlplane.sources.merge import Merged
from controlplane.sources.registered import Registered
from controlplane.sources.source import Change, Gone
from controlplane.sources.text import read as read_inside
from controlplane.status.api import Api
from controlplane.status.arrival import Arrivals
from controlplane.status.ledger import Ledger
from controlplane.translation.clusters.departed import Departures
from controlplane.translation.translator import IstioTranslator
from controlplane.world.proxy import Proxy
from controlplane.world.world import World
from controlplane.xds.identity import Unauthenticated
from controlplane.xds.identity import parse as parse_identity
from controlplane.xds.options import Debounce, Options
from controlplane.xds.options import Limits as XdsLimits
from controlplane.xds.server import DiscoveryServer
from mesh import __version__

_LOG = logging.getLogger(__name__)
#: How often the authority's files are looked at.
_ROOT_SECONDS = 2.0
_MESH_CONFIG = Key("ConfigMap", "istio-system", "istio")
_MESH_KEY = "mesh"


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may choose. Addresses are HOST:PORT, port 0 is any; "" is none."""

    config: Path
    state: Path
    secure: str = "127.0.0.1:0"
    join: str = "127.0.0.1:0"
    debug: str = "127.0.0.1:0"
    plaintext: str = ""
    trust_plaintext: bool = False
    #: A file with MeshConfig, under what the ConfigMap `istio-system/istio` says.
    mesh_config: Path | None = None
    #: Names and addresses under which clients reach us, besides loopback's.
    names: tuple[str, ...] = ()
    #: How long after its end a certificate may still be renewed with its key.
    rejoin: timedelta = GRACE
    debounce: Debounce = field(default_factory=Debounce)
    limits: XdsLimits = field(default_factory=XdsLimits)
    #: Identities (`spiffe://...`) that may ask for the status of all proxies (CSDS).
    operators: frozenset[str] = frozenset()


class Control:
    """As a context it serves. Everything runs on one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Raises OSError, ValueError or ca.authority.Unusable for what cannot be used."""
        self._settings = settings
        self._base = _file(settings.mesh_config)
        self._config = self._base
        domain = self._base.trust_domain
        settings.config.mkdir(parents=True, exist_ok=True)
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.world = World()
        self.authority = Holder(settings.state / "ca", domain)
        self.tokens = Tokens(settings.state / "tokens", domain)
        self._registered = Registered(settings.state / "registered.json", group=self._group_of)
        self._folder = Folder(str(settings.config), KINDS)
        self._source = Merged((self._folder, self._registered))
        self._discovered = Discovered()
        #: All that is refused now, and what is warned of although it was taken.
        self.refused: tuple[Refused, ...] = ()
        self.warnings: tuple[Refused, ...] = ()
        #: Of the file of MeshConfig, which is read once.
        self._of_file = _warned_of(settings.mesh_config)
        #: Their lines: what was said is not said again when its file is read anew.
        self._said: dict[str, None] = {}
        self._tasks: list[asyncio.Task[None]] = []
        #: The folder of state has one control plane.
        self._claim: int | None = None
        domains = frozenset({domain, *self._base.trust_domain_aliases})
        _check_operators(settings.operators, domains)
        authenticator = WorkloadAuthenticator(
            domains,
            self.tokens,
            Rejoin(self.authority.current, settings.rejoin),
        )
        claims = Claims(self.world)
        self._certificates = CertificateService(
            self.authority.current, authenticator, Audit(settings.state / "audit.jsonl"), Limits()
        )
        self._registration = RegistrationService(
            self._registered, authenticator, claims, self.world
        )
        self._ledger = Ledger()
        own = ServingCertificate(self.authority.current, self._names(domain))
        self.server = DiscoveryServer(
            self.world,
            IstioTranslator(),
            authenticator,
            Options(
                secure=settings.secure,
                credentials=own.mutual() if settings.secure else None,
                join=settings.join,
                join_credentials=own.one_sided() if settings.join else None,
                plaintext=settings.plaintext,
                trust_plaintext=settings.trust_plaintext,
                debug=settings.debug,
                debounce=settings.debounce,
                limits=settings.limits,
                operators=settings.operators,
            ),
            version=__version__,
            presence=self._registered,
            claims=claims,
        )
        self._keys = Keys(self.world, self.server.changed)
        self._departures = Departures(self.world, self.server.changed)
        self.server.add_routes(self._api().routes())

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise
        return self

    async def _start(self) -> None:
        self._claim = durable.claim(self._settings.state)
        if self._claim is None:
            raise RuntimeError(
                f"{self._settings.state}: another control plane uses this folder of state; give"
                " this one its own (--state)"
            )
        # What writing has left here was cut off.
        durable.sweep(self._settings.state)
        listing = await self._source.list()
        self._complain(listing.refused, listing.warnings)
        known = self._discovered.change(listing.resources, ())
        self.world.change(known.updated)
        self._ledger.note(listing.resources, (), self.world.revision)
        self._follow_mesh_config(force=True)
        self._departures.look()
        await self.server.start(self._certificates.handler(), self._registration.handler())
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._follow(listing.version)),
            loop.create_task(self._watch_roots()),
            loop.create_task(self._keys.follow()),
            loop.create_task(self._departures.follow()),
        ]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.stop(1.0)
        await self._close()

    async def _close(self) -> None:
        try:
            await self._source.close()
        finally:
            await self._folder.close()
            await self._registered.close()
            if self._claim is not None:
                os.close(self._claim)
                self._claim = None

    async def failed(self) -> None:
        """Returns never; raises what ended a part that must not end."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    def addresses(self) -> str:
        """Where it serves, for people."""
        server = self.server
        found = {
            "xDS": server.secure_port,
            "join": server.join_port,
            "plaintext xDS": server.plaintext_port,
            "status": server.debug_port,
        }
        ports = ", ".join(f"{what} on port {port}" for what, port in found.items() if port)
        return f"{ports}; configuration from {self._settings.config}"

    def _names(self, domain: str) -> tuple[str, ...]:
        own = ("localhost", "127.0.0.1", "::1", "istiod.istio-system.svc")
        identity = f"spiffe://{domain}/ns/istio-system/sa/istiod"
        return tuple(dict.fromkeys((*own, identity, *self._settings.names)))

    async def _follow(self, version: str) -> None:
        """The world after the sources, for ever."""
        while True:
            try:
                async for change in self._source.watch(version):
                    version = change.version
                    await self._apply(change)
            except Gone:
                listing = await self._source.list()
                version = listing.version
                held = {one.key for one in listing.resources}
                gone = tuple(key for key in self._discovered.names() if key not in held)
                await self._apply(
                    Change(listing.resources, gone, listing.refused, version, listing.warnings)
                )

    async def _apply(self, change: Change) -> None:
        self._complain(change.refused, change.warnings)
        known = self._discovered.change(change.updated, change.removed)
        self.world.change(known.updated, known.removed)
        self._ledger.note(change.updated, change.removed, self.world.revision)
        touched = {*(one.key for one in change.updated), *change.removed}
        if _MESH_CONFIG in touched:
            self._follow_mesh_config()
        if any(key.kind == "RequestAuthentication" for key in touched):
            self._keys.wake()
        if any(key.kind in templates.KINDS for key in touched):
            self.server.recheck()
        self._departures.look()
        await self.server.changed()

    def _complain(self, refused: tuple[Refused, ...], warnings: tuple[Refused, ...]) -> None:
        """Says once what is refused and what is warned of."""
        warnings = (*self._of_file, *warnings)
        if (refused, warnings) == (self.refused, self.warnings):
            return
        now = _lines("refused: ", refused) | _lines("", warnings)
        for line in now:
            if line not in self._said:
                _LOG.warning("%s", line)
        self.refused, self.warnings, self._said = refused, warnings, now

    def _api(self) -> Api:
        server = self.server
        arrivals = Arrivals(self._ledger, lambda: self.refused, server.wait, server.told)
        return Api(
            arrivals,
            lambda: (self.refused, self.warnings),
            server.each_status,
            server.resources,
            lambda: self._source.name,
            __version__,
            self._registered.why_unhealthy,
        )

    def _group_of(self, proxy: Proxy) -> WorkloadGroup | None:
        """The WorkloadGroup of a sidecar. Raises ValueError for one that it cannot be in."""
        view, name = self.world.view(), proxy.meta("AUTO_REGISTER_GROUP")
        who = (proxy.namespace, proxy.service_account)
        group = named(view, *who, name) if name else group_of(view, *who, proxy.labels)
        return None if group is None else group.spec

    def _follow_mesh_config(self, *, force: bool = False) -> None:
        """MeshConfig from the file and the ConfigMap; what cannot be taken changes nothing."""
        resource = self.world.view().resource(*_MESH_CONFIG)
        text = resource.spec.data.get(_MESH_KEY, "") if resource is not None else ""
        where = f"{resource.origin if resource else ''} ConfigMap istio-system/istio: data.mesh"
        chosen = _overlaid(text, self._base, where) if text else self._base
        if chosen is None or (chosen == self._config and not force):
            return
        if chosen.trust_domain != self._base.trust_domain:
            _LOG.warning("%s: trustDomain changes with a restart and --mesh-config only", where)
        self._config = chosen
        known = self._discovered.choose(chosen)
        self.world.change(known.updated, known.removed, {"mesh-config": chosen})

    async def _watch_roots(self) -> None:
        while True:
            await asyncio.sleep(_ROOT_SECONDS)
            if self.authority.refresh():
                _LOG.info("the authority has changed: %r", self.authority.current())


def _check_operators(operators: frozenset[str], domains: frozenset[str]) -> None:
    """Raises ValueError for what nobody could prove to be."""
    for one in sorted(operators):
        try:
            domain = parse_identity(one).trust_domain
        except Unauthenticated as error:
            raise ValueError(f"--operator: {error}") from None
        if domain not in domains:
            known = ", ".join(sorted(domains))
            raise ValueError(f"--operator: {one} is of another trust domain than {known}")


def _lines(before: str, complaints: tuple[Refused, ...]) -> dict[str, None]:
    """In their order."""
    return {before + line: None for one in complaints for line in str(one).splitlines()}


def _file(path: Path | None) -> MeshConfig:
    """Raises OSError, ValueError."""
    if path is None:
        return MeshConfig()
    inner = read_inside(path.read_text(encoding="utf-8", errors="surrogateescape"), str(path))
    if isinstance(inner, str):
        raise ValueError(f"{path}: is no MeshConfig: {inner}")
    chosen, problems = mesh_config.apply({} if inner is None else inner.value)
    lines = [
        f"{path}:{inner.line_of(one.path) if inner is not None else 1}: {one.path}: {one.reason}"
        for one in problems
    ]
    if chosen is None:
        raise ValueError("\n".join(lines))
    for line in lines:
        _LOG.warning("%s", line)
    return chosen


def _warned_of(path: Path | None) -> tuple[Refused, ...]:
    """What a file of MeshConfig says that has no effect yet."""
    inner = None if path is None else read_inside(path.read_text(encoding="utf-8"), str(path))
    if inner is None or isinstance(inner, str):
        return ()
    problems = [
        replace(one, line=inner.line_of(one.path)) for one in told(mesh_config.NOT_YET, inner.value)
    ]
    found = Refused("MeshConfig", "", "", problems, inner.origin)
    return (found,) if problems else ()


def _overlaid(text: str, base: MeshConfig, where: str) -> MeshConfig | None:
    try:
        value: Any = yaml.load(text, yaml.CSafeLoader) or {}
    except yaml.YAMLError as error:
        _LOG.warning("%s: is no YAML: %s", where, " ".join(str(error).split()))
        return None
    chosen, problems = mesh_config.apply(value, base)
    for problem in problems:
        _LOG.warning("%s: %s: %s", where, problem.path, problem.reason)
    return chosen
