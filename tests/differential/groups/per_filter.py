"""What routes say of HTTP filters: `typed_per_filter_config` of four levels, `disabled`,
`is_optional`. Every filter here adds a header with its name, so that responses tell who was asked."""

from __future__ import annotations

from tests.differential.http_filters import (
    a_filter,
    chain,
    filter_config,
    host,
    per_filter,
    route,
    table,
    typed,
)
from tests.differential.model import Case, Group, Listener, ask, reply, req

_KIND = "header_mutation.v3.HeaderMutation"


def _adds(value: str) -> str:
    """Mutations that tell a name, of requests and of responses."""
    append = f"{{append: {{header: {{key: x-filter, value: {value}}}}}}}"
    return f"mutations: {{request_mutations: [{append}], response_mutations: [{append}]}}"


def _says(value: str) -> str:
    return typed("header_mutation.v3.HeaderMutationPerRoute", _adds(value))


def _tells(name: str, more: str = "") -> str:
    return a_filter(name, _KIND, _adds(name), more)


DISABLED = filter_config("disabled: true")
ENABLED = filter_config("config: {}")
_UNKNOWN = '{"@type": type.googleapis.com/envoy.config.core.v3.BuildVersion}'
_CORS = typed("cors.v3.CorsPolicy")

_MAIN = chain(
    _tells("one"),
    _tells("two", "disabled: true"),
    _tells("three"),
    f"- {{name: nobody, is_optional: true, typed_config: {_UNKNOWN}}}",
    "- {name: nothing, is_optional: true}",
)
_WEIGHTED = (
    "route: {weighted_clusters: {clusters: ["
    f"{{name: a, weight: 1, {per_filter(one=DISABLED, two=_says('weighted'))}}}]}}}}"
)
_ROUTES = table(
    host(
        "all",
        "*",
        route("plain"),
        route("off", per_filter(one=DISABLED)),
        route("both-off", per_filter(one=DISABLED, three=DISABLED)),
        route("on", per_filter(two=ENABLED)),
        route("own", per_filter(two=_says("own"))),
        route("more", per_filter(one=_says("more"))),
        route("wrapped", per_filter(one=filter_config(f"config: {_says('wrapped')}"))),
        route(
            "disabled-config",
            per_filter(one=filter_config(f"disabled: true, config: {_says('never')}")),
        ),
        route("optional", per_filter(two=filter_config(f"is_optional: true, config: {_UNKNOWN}"))),
        route(
            "optional-known",
            per_filter(two=filter_config(f"is_optional: true, config: {_says('known')}")),
        ),
        route("nobody", per_filter(nobody=_says("nobody"), elsewhere=DISABLED)),
        route("other-type", per_filter(one=_CORS, two=_CORS)),
        route("weighted", per_filter(one=_says("route"), two=DISABLED), _WEIGHTED),
        route("direct", per_filter(one=DISABLED, two=ENABLED), "direct_response: {status: 200}"),
        route("redirect", per_filter(one=_says("redirect")), "redirect: {path_redirect: /z}"),
        route("unknown", per_filter(one=_says("unknown")), "route: {cluster: nowhere}"),
    ),
    host(
        "levels",
        "levels.test",
        route("inherit"),
        route("again", per_filter(one=_says("route"), three=ENABLED)),
        route("other-type", per_filter(one=_CORS)),
        route("empty", per_filter(one=ENABLED)),
        more=per_filter(one=_says("host"), three=DISABLED),
    ),
    host("tls", "tls.test", route("any", match="prefix: /"), more="require_tls: ALL"),
    host(
        "tls-levels",
        "tls2.test",
        route("any", match="prefix: /"),
        more="require_tls: ALL\n  " + per_filter(one=DISABLED, two=ENABLED),
    ),
    more=per_filter(one=_says("table"), two=ENABLED),
)
# The table's levels hide what filters are by default: once more without them.
_BARE = _ROUTES.replace(per_filter(one=_says("table"), two=ENABLED) + "\n", "")
_FIRST = _MAIN + "\n"
_SPECIFIC = chain(
    a_filter("one", _KIND, _adds("one") + ", most_specific_header_mutations_wins: true")
)

_PATHS = (
    "plain off both-off on own more wrapped disabled-config optional optional-known nobody"
    " other-type weighted direct redirect unknown elsewhere"
)
_OK = reply("200 OK", "x-filter: host")


def _cases(listener: str) -> list[Case]:
    def case(name: str, send: bytes) -> Case:
        return Case(f"{listener}-{name}", send, listener, _OK)

    return [
        *(case(path, req(f"/{path}")) for path in _PATHS.split()),
        *(
            case(f"levels-{path}", req(f"/{path}", host="levels.test"))
            for path in ("inherit", "again", "other-type", "empty", "nowhere")
        ),
        case("tls", req("/x", host="tls.test")),
        case("tls-levels", req("/x", host="tls2.test")),
    ]


GROUP = Group(
    name="per_filter",
    doc=__doc__,
    listeners={
        "main": Listener(_ROUTES, _FIRST),
        "bare": Listener(_BARE, _FIRST),
        "specific": Listener(_ROUTES, _SPECIFIC),
    },
    cases=[
        *_cases("main"),
        *_cases("bare"),
        *_cases("specific"),
        Case("h2", ask("/own"), script=_OK),
        Case("h2-direct", ask("/direct")),
        Case("no-host", req("/plain", host=None)),
        Case("no-path", req("*", method="OPTIONS")),
        Case("bad-method", req("/plain", method="FOO")),
        Case("upgrade-refused", req("/plain", "Connection: upgrade", "Upgrade: websocket")),
        Case("connect-failure", req("/refused", host="bad.test"), "bare"),
    ],
)
