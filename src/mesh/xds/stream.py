"""One gRPC stream to an xDS server: its life, and what its responses do.

Envoy's rules. Every response is answered once, with what was wrong in it if anything was; good
resources of it are used all the same. While a response is being applied nothing is sent; then comes
the answer to it, and after that what changed in other types (make before break: clusters,
endpoints, listeners, routes). A stream that ends is opened again after a while; meanwhile what is
there serves.
"""

from __future__ import annotations

from mesh import api, engine
from mesh.xds.backoff import BackOff
from mesh.xds.delta import Delta
from mesh.xds.intake import kind
from mesh.xds.lifetimes import Lifetimes
from mesh.xds.sotw import Sotw
from mesh.xds.subscriptions import Subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mesh.loop import Loop, Timer
    from mesh.xds.intake import Intake, Outcome
    from mesh.xds.response import Response
    from mesh.xds.server import Server
    from mesh.xds.subscriptions import Key, Subscription
    from mesh.xds.tally import Tally


#: The order in which requests leave.
_ORDER = (api.CLUSTER, api.ENDPOINT, api.LISTENER, api.ROUTE, api.SECRET, api.EXTENSION)
#: How often to look whether the server's cluster is there, while it is being resolved.
_WARMING_SECONDS = 0.02
#: How long the same failure is not logged again.
_QUIET_SECONDS = 30.0
#: Resources that are refused are all counted, but not all of them written down.
_MAX_PROBLEMS = 100


class Stream:
    """Lives on the main thread. `type_url`: the one type that it is for; "": all of them."""

    def __init__(
        self,
        server: Server,
        type_url: str,
        scope: str,
        node: bytes,
        calls: engine.Calls,
        intake: Intake,
        tally: Tally,
        loop: Loop,
        on_failure: Callable[[], None],
        ignore_unknown: bool,
    ) -> None:
        self._server = server
        self._path = server.path(type_url)
        self._method = self._path.rpartition("/")[2]
        self._scope = scope
        self._node = node
        self._calls = calls
        self._intake = intake
        self._core = intake.core
        self._tally = tally
        self._loop = loop
        #: Called when a stream has ended.
        self._on_failure = on_failure
        self._ignore_unknown = ignore_unknown
        self._back_off = BackOff(*server.back_off)
        self._call: int | None = None
        self._retry: Timer | None = None
        self._closed = False
        self._node_sent = False
        self._logged = ""
        self._logged_at = 0.0
        #: The sidecar drains.
        self.ending = False
        #: While a response is being applied.
        self._busy = False
        self._types: dict[str, Sotw | Delta] = {}
        self._subscriptions = Subscriptions(intake, tally, loop)
        self._lifetimes = Lifetimes(loop, self._expired)
        for gauge in ("connected_state", "pending_requests"):
            self._core.gauge(f"{scope}control_plane.{gauge}", 0)
        self._core.count(scope + "control_plane.rate_limit_enforced", 0)

    # -- what is wanted --

    def subscribe(self, type_url: str, timeout: float, scope: str) -> None:
        """Wants all resources of a type."""
        self._types[type_url] = self._kind()(type_url, True)
        self._subscriptions.begin((type_url, "", scope), timeout)
        self.flush()

    def want(self, asked: dict[Key, float]) -> None:
        """Wants exactly these resources, besides types that are wanted whole; the values are the
        seconds to wait for the first answer."""
        for type_url in self._subscriptions.want(asked):
            state = self._types.get(type_url)
            if state is None:
                state = self._types[type_url] = self._kind()(type_url, False)
            state.want(self._subscriptions.names(type_url))

    def is_unused(self) -> bool:
        return len(self._subscriptions) == 0

    def waiting(self) -> list[tuple[str, str]]:
        """(type_url, resource or cluster of the server) of the first fetches under way."""
        return [
            (one.type_url, one.name or self._server.cluster)
            for one in self._subscriptions
            # A listener that waits for an extension warms; others do not wait.
            if not one.answered and one.type_url != api.EXTENSION
        ]

    def holds(self, type_url: str, name: str) -> bool:
        """Whether a resource comes by this stream."""
        return self._subscriptions.holds(type_url, name)

    def seed(self, type_url: str, versions: dict[str, str]) -> None:
        """Resources of an earlier life are in use until the server says otherwise."""
        state = self._types.get(type_url)
        if state is not None:
            state.seed({n: v for n, v in versions.items() if state.is_wanted(n)})
        for name in ("", *versions):
            for one in self._subscriptions.of(type_url, name):
                self._subscriptions.answered(one)

    # -- its life --

    def open(self) -> None:
        """Opens the stream, once its cluster is there."""
        if self._closed or self._call is not None or self._retry is not None:
            return
        if self.is_unused():
            return
        if (api.CLUSTER, self._server.cluster) in self._core.warming():
            self._again(_WARMING_SECONDS)
            return
        server = self._server
        self._call = self._calls.open(
            server.cluster, self._path, server.authority, server.metadata, 0.0, server.max_message
        )
        self._node_sent = False
        for state in self._types.values():
            state.begin()
        self.flush()

    def close(self) -> None:
        """Nobody wants anything of it any more."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        self._lifetimes.clear()
        self._subscriptions.end_all()
        if self._call is not None:
            self._calls.cancel(self._call)
            self._call = None
        self._core.gauge(self._scope + "control_plane.connected_state", 0)

    def call(self) -> int | None:
        """The number of its call."""
        return self._call

    def happened(self, what: str, message: bytes, status: int, text: str) -> None:
        """Something came of its call."""
        if what == "open":
            self._core.gauge(self._scope + "control_plane.connected_state", 1)
        elif what == "message":
            self._received(message)
        else:
            self._call = None
            self._lost(status, text)

    def _again(self, seconds: float) -> None:
        def retry() -> None:
            self._retry = None
            self.open()

        self._retry = self._loop.after(seconds, retry)

    def _lost(self, status: int, text: str) -> None:
        self._core.gauge(self._scope + "control_plane.connected_state", 0)
        reason = f"{status}, {text}"
        now = self._loop.clock()
        is_news = reason != self._logged or now >= self._logged_at + _QUIET_SECONDS
        if is_news:
            self._logged, self._logged_at = reason, now
        engine.log(
            "warning" if is_news and not self.ending else "debug",
            "config",
            f"{self._method} gRPC config stream to {self._server.cluster} closed: {reason} "
            "(what served before keeps serving; it is tried again)",
        )
        for one in self._subscriptions:
            self._tally.failed(one.scope)
            self._tally.attempt(one.scope)
        self._again(self._back_off.next())
        self._on_failure()

    def flush(self, first: str = "") -> None:
        """Sends the requests that are due, that of type `first` before the others."""
        if self._busy or self._call is None:
            return
        types = (first, *_ORDER) if first else _ORDER
        for type_url in types:
            state = self._types.get(type_url)
            if state is None or not state.due:
                continue
            node = b"" if self._node_sent and self._server.node_once else self._node
            if not self._calls.send(self._call, state.request(node), False):
                # The server does not read: what it has not taken would be lost.
                self._calls.cancel(self._call)
                self._call = None
                self._lost(8, "too many requests wait to be sent")
                return
            self._node_sent = True

    # -- what comes --

    def _received(self, message: bytes) -> None:
        try:
            response = self._kind().decode(message, self._ignore_unknown)
        except ValueError as error:
            if self._call is not None:
                self._calls.cancel(self._call)
                self._call = None
            self._lost(13, str(error))
            return
        self._back_off.reset()
        self._logged = ""
        if response.control_plane:
            self._core.text_readout(
                self._scope + "control_plane.identifier", response.control_plane
            )
        state = self._types.get(response.type_url)
        if state is None:
            engine.log(
                "warning",
                "config",
                f"{self._server.cluster} sent resources of a type that was not asked for: "
                f"{response.type_url}",
            )
            return
        if not state.whole and not state.names:
            state.ignored(response)
            self.flush(response.type_url)
            return
        self._busy = True
        try:
            problems = self._take(state, response)
        finally:
            self._busy = False
        state.answer(response, problems)
        self.flush(response.type_url)

    def _take(self, state: Sotw | Delta, response: Response) -> str:
        """Uses what can be used of a response. Returns what was wrong with it."""
        problem = response.problem or state.check(response)
        if problem:
            concerned = [one for one in self._subscriptions if one.type_url == response.type_url]
            self._refused(concerned, [problem])
            return problem
        versions = {name: version for name, version, _, _ in response.items if version}
        type_url, version = response.type_url, response.version
        offered = [one for one in response.bodies() if state.is_wanted(one[0])]
        if not state.whole:
            removed = [name for name in response.removed if self._goes(type_url, name)]
            outcome = self._intake.part(
                type_url, offered, version, removed=removed, versions=versions
            )
        elif isinstance(state, Delta):
            store = self._intake.store
            removed = [name for name in response.removed if store.holds(type_url, name)]
            outcome = self._intake.part(
                type_url, offered, version, removed=removed, versions=versions
            )
            if outcome.changed() or not outcome.problems:
                self._intake.store.set_version(type_url, version)
        else:
            outcome = self._intake.whole(
                type_url, offered, version, alive=response.heartbeats(), versions=versions
            )
        self._lifetimes.heard(response)
        self._account(state, response, outcome)
        self._intake.follow(outcome.applied)
        return "\n".join(outcome.problems[:_MAX_PROBLEMS])

    def _account(self, state: Sotw | Delta, response: Response, outcome: Outcome) -> None:
        """Tells every subscription that the response concerns how it went."""
        # Read once: the core makes a list of it each time.
        removed = outcome.applied.removed
        accepted = {*outcome.applied.accepted, *removed}
        names = [name for name, _, _, _ in response.items] + removed
        if state.whole:
            names = [""]
        bad: list[Subscription] = []
        for name in names:
            for one in self._subscriptions.of(response.type_url, name):
                self._tally.attempt(one.scope)
                if outcome.problems and (state.whole or name in outcome.bad):
                    bad.append(one)
                else:
                    changed = outcome.changed() if state.whole else name in accepted
                    self._tally.accepted(one.type_url, one.scope, response.version, changed)
                    self._subscriptions.answered(one)
        if outcome.problems:
            self._refused(bad, outcome.problems, attempted=True)

    def _refused(
        self, subscriptions: Iterable[Subscription], problems: list[str], *, attempted: bool = False
    ) -> None:
        for one in subscriptions:
            if not attempted:
                self._tally.attempt(one.scope)
            self._tally.rejected(one.scope)
            self._subscriptions.answered(one)
        shown = problems[:_MAX_PROBLEMS]
        more = f" and {len(problems) - len(shown)} more" if len(problems) > len(shown) else ""
        engine.log(
            "warning",
            "config",
            f"gRPC config from {self._server.cluster} rejected: "
            + "; ".join(shown)
            + more
            + " (what served before keeps serving)",
        )

    def _expired(self, type_url: str, name: str) -> None:
        state = self._types.get(type_url)
        if state is None or not state.is_wanted(name):
            return
        state.forget(name)
        if not self._goes(type_url, name):
            return
        engine.log("warning", "config", f"{kind(type_url)} '{name}': its TTL is over; it goes")
        version = self._intake.store.version(type_url)
        outcome = self._intake.part(type_url, [], version, removed=[name])
        self._intake.follow(outcome.applied)

    def _goes(self, type_url: str, name: str) -> bool:
        """Whether a resource goes when its server says so. Of most that others refer to the last
        version serves as long as they do; in place of an extension there is its default."""
        state = self._types[type_url]
        is_removable = state.whole or (type_url == api.EXTENSION and state.is_wanted(name))
        return is_removable and self._intake.store.holds(type_url, name)

    def _kind(self) -> type[Sotw | Delta]:
        return Delta if self._server.delta else Sotw
