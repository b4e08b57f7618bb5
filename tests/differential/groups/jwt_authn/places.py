"""Where in a request a token is looked for."""

from __future__ import annotations

from typing import Any

from tests.differential.groups.jwt_authn.pieces import (
    EXPIRED,
    GOOD,
    LOG,
    TO_A,
    bearer,
    one,
    provider,
)
from tests.differential.model import Case, Listener, reply, req

_PLACES: dict[str, Any] = {
    "default": {},
    "header": {"from_headers": [{"name": "x-token"}]},
    "prefix": {"from_headers": [{"name": "x-token", "value_prefix": "jwt="}]},
    "cookie-header": {"from_headers": [{"name": "cookie", "value_prefix": "t="}]},
    "two-headers": {"from_headers": [{"name": "x-a"}, {"name": "x-b", "value_prefix": "Token "}]},
    "param": {"from_params": ["t", "u"]},
    "cookie": {"from_cookies": ["session", "other"]},
    "all": {"from_headers": [{"name": "x-token"}], "from_params": ["t"], "from_cookies": ["c"]},
    "kept": {"from_params": ["t"], "forward": True},
}
_ASKED: dict[str, list[bytes]] = {
    "default": [
        req("/"),
        req("/", bearer(GOOD)),
        req("/", f"authorization: bearer {GOOD}"),
        req("/", f"Authorization: Basic x, Bearer {GOOD}"),
        req("/", f"Authorization: Bearer  {GOOD}"),
        req("/", f"Authorization: Bearer{GOOD}"),
        req("/", f"Authorization: {GOOD}"),
        req("/", "Authorization: Bearer "),
        req(f"/x?access_token={GOOD}&a=1"),
        req(f"/x?a=1&access_token={GOOD}"),
        req(f"/x?access_token={GOOD}"),
        req(f"/x?access_token=bad&access_token={GOOD}"),
        req(f"/x?access_token={GOOD}", bearer(GOOD)),
        req(f"/x?access_token={EXPIRED}", bearer(GOOD)),
        req(f"/x?access_token={GOOD}", bearer(EXPIRED)),
        req("/", bearer(GOOD), bearer(EXPIRED)),
        req("/", bearer(EXPIRED), bearer(GOOD)),
        req("/x?access_token="),
        req(f"/x?access_token={GOOD}&b=%41%2F+x&c&=d"),
        req(f"/x?%61ccess_token={GOOD}"),
        req(f"/x?access_token={GOOD}&b=%20%0d%0a%23%3f&b=%26%3D"),
    ],
    "header": [
        req("/", f"x-token: {GOOD}"),
        req("/", bearer(GOOD)),
        req("/", f"x-token: Bearer {GOOD}"),
        req("/", f"x-token: {GOOD}", f"x-token: {GOOD}"),
        req("/", "x-token:"),
    ],
    "prefix": [
        req("/", f"x-token: jwt={GOOD}"),
        req("/", f'x-token: a="b" jwt="{GOOD}"'),
        req("/", f"x-token: {GOOD}"),
        req("/", f"x-token: jwt={GOOD};x"),
        req("/", "x-token: jwt=;"),
    ],
    "cookie-header": [
        req("/", f"cookie: t={GOOD}"),
        req("/", "cookie: a=b", f"cookie: t={GOOD}"),
    ],
    "two-headers": [
        req("/", f"x-a: {GOOD}"),
        req("/", f"x-b: Token {GOOD}"),
        req("/", f"x-a: {GOOD}", f"x-b: Token {GOOD}"),
        req("/", f"x-a: {EXPIRED}", f"x-b: Token {GOOD}"),
    ],
    "param": [
        req(f"/?t={GOOD}"),
        req(f"/?u={GOOD}&t={GOOD}"),
        req(f"/?u={GOOD}&x=1"),
        req(f"/?T={GOOD}"),
        req(f"/?t={GOOD.replace('.', '%2E')}"),
    ],
    "cookie": [
        req("/", f"cookie: session={GOOD}"),
        req("/", f"cookie: a=b; session={GOOD}; c=d"),
        req("/", f'cookie: session="{GOOD}"'),
        req("/", "cookie: a=b", f"cookie: session={GOOD}"),
        req("/", f"cookie: session=bad; session={GOOD}"),
        req("/", f"cookie: other={GOOD}; session={EXPIRED}"),
        req("/", f"cookie: Session={GOOD}"),
        req("/", "cookie: session="),
    ],
    "all": [
        req(f"/?t={GOOD}", f"x-token: {GOOD}", f"cookie: c={GOOD}"),
        req(f"/?t={GOOD}", f"x-token: {GOOD}", f"cookie: c={EXPIRED}"),
        req("/", bearer(GOOD)),
    ],
    "kept": [req(f"/?a=1&t={GOOD}")],
}

LISTENERS: dict[str, Listener] = {
    **{
        f"at-{name}": Listener(TO_A, one(provider(**more)), LOG)
        for name, more in _PLACES.items()
    },
}


def cases() -> list[Case]:
    cases: list[Case] = []
    for name, asked in _ASKED.items():
        cases += [
            Case(f"at-{name}-{n}", send, f"at-{name}", reply()) for n, send in enumerate(asked)
        ]
    return cases
