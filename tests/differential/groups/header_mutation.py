"""The HTTP filter `header_mutation`: of a connection manager and of routes."""

from __future__ import annotations

from tests.differential.http_filters import a_filter, chain, host, per_filter, route, table, typed
from tests.differential.model import Case, Group, Listener, ask, reply, req

_KIND = "header_mutation.v3.HeaderMutation"


def add(name: str, value: str, more: str = "") -> str:
    """An addition; `more` are fields of the HeaderValueOption."""
    header = f"header: {{key: {name}, value: '{value}'}}"
    return f"{{append: {{{', '.join(p for p in (header, more) if p)}}}}}"


def action(name: str, value: str, what: str) -> str:
    """An addition with an append action."""
    return add(name, value, f"append_action: {what}")


def mutations(request: list[str], response: list[str]) -> str:
    """Mutations in their order."""
    return (
        f"mutations: {{request_mutations: [{', '.join(request)}],"
        f" response_mutations: [{', '.join(response)}]}}"
    )


def _routed(request: list[str], response: list[str]) -> str:
    said = typed("header_mutation.v3.HeaderMutationPerRoute", mutations(request, response))
    return per_filter(hm=said)


_ALL = [
    add("x-added", "one"),
    add("x-there", "two"),
    action("x-absent", "three", "ADD_IF_ABSENT"),
    action("x-there", "no", "ADD_IF_ABSENT"),
    action("x-over", "four", "OVERWRITE_IF_EXISTS_OR_ADD"),
    action("x-over2", "five", "OVERWRITE_IF_EXISTS"),
    action("x-nowhere", "no", "OVERWRITE_IF_EXISTS"),
    "{remove: x-gone}",
    "{remove: X-Upper}",
    "{remove_on_match: {key_matcher: {prefix: x-many-}}}",
    add("x-many-new", "six"),
    add("x-moved", "%REQ(x-from)%"),
    add("x-empty", "%REQ(x-not-there)%"),
    add("x-kept", "%REQ(x-not-there)%", "keep_empty_value: true"),
    "{remove: x-from}",
    add("x-format", "%PROTOCOL% %ROUTE_NAME% %REQ(:METHOD)%"),
]
_RESPONSE = [*_ALL, add("x-code", "%RESPONSE_CODE%"), add("server", "mine"), "{remove: date}"]
_LINES = (
    "x-there: 1",
    "x-over: 1",
    "x-over: 2",
    "x-over2: 1",
    "x-gone: 1",
    "x-gone: 2",
    "x-upper: 1",
    "x-many-1: 1",
    "x-many-2: 2",
    "X-Many-3: 3",
    "x-from: here",
)
_ORDER = table(
    host(
        "all",
        "*",
        route(
            "route",
            _routed([add("x-level", "route")], [add("x-level", "route")]),
            "route: {cluster: a}, request_headers_to_add: [{header: {key: x-level, value: own}}],"
            " response_headers_to_add: [{header: {key: x-level, value: own}}]",
        ),
        route("host"),
        route(
            "weighted",
            _routed([add("x-level", "route")], [add("x-level", "route")]),
            "route: {weighted_clusters: {clusters: [{name: a, weight: 1, "
            + _routed([add("x-level", "weighted")], [add("x-level", "weighted")])
            + "}]}}",
        ),
        route(
            "direct",
            _routed([], [add("x-level", "direct")]),
            "direct_response: {status: 200, body: {inline_string: hi}}",
        ),
        more=_routed([add("x-level", "host")], [add("x-level", "host")]),
    ),
    more=_routed([add("x-level", "table")], [add("x-level", "table")]),
)
_OVER = "OVERWRITE_IF_EXISTS_OR_ADD"
_STEER = table(
    host(
        "all",
        "*",
        route("by-header", action="route: {cluster_header: x-cluster}"),
        route("rest", match="prefix: /"),
    )
)
_LEVEL = mutations([add("x-level", "own")], [add("x-level", "own")])

GROUP = Group(
    name="header_mutation",
    doc=__doc__,
    listeners={
        "main": Listener(
            table(host("all", "*", route("rest", match="prefix: /"))),
            chain(a_filter("hm", _KIND, mutations(_ALL, _RESPONSE))),
        ),
        "order": Listener(_ORDER, chain(a_filter("hm", _KIND, _LEVEL))),
        "wins": Listener(
            _ORDER,
            chain(a_filter("hm", _KIND, _LEVEL + ", most_specific_header_mutations_wins: true")),
        ),
        "steer": Listener(
            _STEER, chain(a_filter("hm", _KIND, mutations([action("x-cluster", "b", _OVER)], [])))
        ),
        "twice": Listener(
            _STEER,
            chain(
                a_filter("one", _KIND, mutations([add("x-n", "1")], [add("x-n", "1")])),
                a_filter("two", _KIND, mutations([add("x-n", "%REQ(x-n)%2")], [add("x-n", "2")])),
            ),
        ),
        "host": Listener(
            _STEER,
            chain(
                a_filter(
                    "hm",
                    _KIND,
                    mutations(["{remove_on_match: {key_matcher: {suffix: ost}}}"], []),
                )
            ),
        ),
    },
    cases=[
        Case("both", req("/", *_LINES), script=reply("200 OK", *_LINES)),
        Case("few", req("/"), script=reply()),
        Case("body", req("/", method="POST", body=b"abc"), script=reply()),
        Case("h2", ask("/", ("x-gone", "1"), ("x-from", "here")), script=reply()),
        Case("no-host", req("/", host=None)),
        *(
            Case(f"{listener}-{path}", req(f"/{path}"), listener, reply())
            for listener in ("order", "wins")
            for path in ("route", "host", "weighted", "direct", "nowhere")
        ),
        Case("steer", req("/by-header", "x-cluster: a"), "steer", {"a": reply(), "b": reply()}),
        Case("steer-absent", req("/by-header"), "steer", {"a": reply(), "b": reply()}),
        Case("twice", req("/"), "twice", reply()),
        Case("host", req("/", "x-ost: 1", "y: 2"), "host", reply()),
    ],
)
