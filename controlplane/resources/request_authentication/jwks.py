"""Keys of issuers, fetched here and never by proxies, which then need not reach the issuers.

`Keys.follow` gets what RequestAuthentications name, again every 20 minutes, and puts it into the
world as facts. What was good once is kept while an issuer does not answer; until it has answered
for the first time no token of its is valid.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from controlplane.resources.request_authentication.keys import LONGEST, wrong_keys
from controlplane.resources.request_authentication.schema import JwtRule
from controlplane.resources.request_authentication.usable import NOBODY, served
from controlplane.world.view import View, query

if TYPE_CHECKING:
    from controlplane.world.world import World

_LOG = logging.getLogger(__name__)
REFRESH_SECONDS = 20 * 60.0
#: After a failure: doubled each time, up to the usual time.
_RETRY_SECONDS = 1.0
_TIMEOUT_SECONDS = 5.0
#: Whatever a rule says: nobody waits for keys longer.
_MOST_SECONDS = 60.0
_PIECE = 64 * 1024
#: More are not fetched; the log names them.
_MOST = 256
#: At the same time.
_PARALLEL = 8
_DISCOVERY = "/.well-known/openid-configuration"


class Source(NamedTuple):
    """Where keys are: by their own address, or found by OpenID discovery at the issuer."""

    uri: str
    issuer: str = ""
    timeout: float = _TIMEOUT_SECONDS

    @property
    def fact(self) -> str:
        return f"jwks {self.uri or self.issuer}"


class Unavailable(Exception):
    """Keys that could not be had, and why."""


Fetch = Callable[[Source], Awaitable[str]]


def source(rule: JwtRule) -> Source:
    """Where the keys of a rule are that has none of its own."""
    timeout = _TIMEOUT_SECONDS if rule.timeout is None else min(rule.timeout, _MOST_SECONDS)
    if rule.jwks_uri:
        return Source(rule.jwks_uri, timeout=timeout)
    return Source("", rule.issuer or "", timeout)


def known(view: View, wanted: Source) -> str:
    """The keys; until they have been fetched those of nobody, so that every token fails."""
    return view.fact(wanted.fact, NOBODY)


@query
def wanted(view: View) -> tuple[Source, ...]:
    """All sources that rules name, each once."""
    found: dict[str, Source] = {}
    for policy in view.resources("RequestAuthentication"):
        for rule in policy.spec.jwt_rules:
            if not rule.jwks:
                found.setdefault(source(rule).fact, source(rule))
    return tuple(found.values())


@dataclass(slots=True)
class _State:
    """What became of one source."""

    due: float = 0.0
    failures: int = 0


class Keys:
    """Keeps the world's keys. One event loop uses it."""

    def __init__(
        self, world: World, changed: Callable[[], Awaitable[None]], fetch: Fetch | None = None
    ) -> None:
        self._world = world
        self._changed = changed
        self._fetch = fetch or fetched
        self._held: dict[str, _State] = {}
        self._woken = asyncio.Event()
        self._left_out = 0

    def wake(self) -> None:
        """Resources have changed: there may be new sources."""
        self._woken.set()

    async def follow(self) -> None:
        """For ever."""
        while True:
            self._woken.clear()
            wait = await self.refresh(time.monotonic())
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def refresh(self, now: float) -> float | None:
        """Fetches what is due. Returns the seconds until something is due again; None: nothing."""
        sources = self._sources()
        due = [one for one in sources if self._held[one.fact].due <= now]
        gate = asyncio.Semaphore(_PARALLEL)
        answers = await asyncio.gather(*(self._ask(one, gate) for one in due))
        facts = {}
        for one, answer in zip(due, answers, strict=True):
            state = self._held[one.fact]
            if answer is None:
                state.failures += 1
                pause = min(_RETRY_SECONDS * 2 ** min(state.failures - 1, 16), REFRESH_SECONDS)
                state.due = now + pause
            else:
                state.failures, state.due = 0, now + REFRESH_SECONDS
                facts[one.fact] = answer
        if facts:
            self._world.change(facts=facts)
            await self._changed()
        if not sources:
            return None
        return max(0.0, min(self._held[one.fact].due for one in sources) - now)

    def _sources(self) -> tuple[Source, ...]:
        every = wanted(self._world.view())
        sources, more = every[:_MOST], every[_MOST:]
        if len(more) != self._left_out:
            self._left_out = len(more)
            for one in more:
                _LOG.warning("%s is not fetched: more than %d sources of keys", one.fact, _MOST)
        self._forget({one.fact for one in sources})
        for one in sources:
            self._held.setdefault(one.fact, _State())
        return sources

    def _forget(self, named: set[str]) -> None:
        gone = self._held.keys() - named
        for fact in gone:
            del self._held[fact]
        if gone:
            self._world.change(facts=dict.fromkeys(gone))

    async def _ask(self, one: Source, gate: asyncio.Semaphore) -> str | None:
        async with gate:
            try:
                text = await self._fetch(one)
            except Unavailable as error:
                _LOG.warning("%s: %s; what was there before stays", one.fact, error)
                return None
        reason = wrong_keys(text)
        if reason:
            _LOG.warning("%s: %s; what was there before stays", one.fact, reason)
            return None
        return served(text)


async def fetched(one: Source) -> str:
    """The text at a source. Raises Unavailable."""
    try:
        # Two documents at most; redirects and names take their time as well.
        async with asyncio.timeout(4 * one.timeout):
            return await asyncio.to_thread(_get_keys, one)
    except TimeoutError as error:
        raise Unavailable(f"{one.uri or one.issuer} takes too long to answer") from error


def _get_keys(one: Source) -> str:
    uri = one.uri
    if not uri:
        uri = _discovered(_get(one.issuer.rstrip("/") + _DISCOVERY, one.timeout))
    return _get(uri, one.timeout)


def _discovered(text: str) -> str:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unavailable("the issuer's discovery document is no JSON") from error
    uri = found.get("jwks_uri") if isinstance(found, dict) else None
    if not isinstance(uri, str):
        raise Unavailable("the issuer's discovery document has no jwks_uri")
    return uri


def _get(uri: str, timeout: float) -> str:
    try:
        _check(uri)
        with _OPENER.open(uri, timeout=timeout) as answer:
            body = _read(answer, time.monotonic() + timeout, uri)
        if len(body) > LONGEST:
            raise Unavailable(f"{uri} answers more than {LONGEST} bytes")
        return body.decode()
    except urllib.error.HTTPError as error:
        # It is the response as well.
        error.close()
        raise Unavailable(f"{uri} answers {error.code}") from error
    except (OSError, ValueError, HTTPException) as error:
        raise Unavailable(f"{uri}: {error}") from error


def _read(answer: HTTPResponse, deadline: float, uri: str) -> bytes:
    """All of it, or what is too much already. A socket's own timeout begins anew at every byte."""
    body = b""
    while len(body) <= LONGEST and (piece := answer.read1(_PIECE)):
        if time.monotonic() > deadline:
            raise Unavailable(f"{uri} takes too long to answer")
        body += piece
    return body


def _check(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Unavailable(f"{uri} is no http:// or https:// address")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to web addresses only: urllib would read ftp:// as well."""

    max_redirections = 3

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            _check(newurl)
        except Unavailable:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


#: Without the handlers of file:, ftp: and data:, and without proxies of the environment.
_OPENER = urllib.request.OpenerDirector()
for _handler in (
    urllib.request.HTTPHandler(),
    urllib.request.HTTPSHandler(),
    urllib.request.HTTPDefaultErrorHandler(),
    urllib.request.HTTPErrorProcessor(),
    _Redirects(),
):
    _OPENER.add_handler(_handler)
