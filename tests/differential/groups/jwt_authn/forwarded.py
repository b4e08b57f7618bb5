"""What of a token is forwarded, in headers, and noted in dynamic metadata."""

from __future__ import annotations

from typing import Any

from tests.differential.groups.jwt_authn.pieces import (
    EXPIRED,
    LOG,
    NAMESPACE,
    TO_A,
    bearer,
    case_of,
    one,
    provider,
)
from tests.differential.model import Case, Listener, reply, req
from tests.support import jwt

_RICH = jwt.token(
    header={"kid": "k"},
    sub="me",
    admin=True,
    none=None,
    rate=1.5,
    count=7,
    scope="read  write",
    groups=["a", "b"],
    nested={"deep": {"er": "x", "n": 3}, "list": [1, {"a": "b"}]},
    quoted='a"b',
    single={"k": 1.5},
)
_OUT: dict[str, Any] = {
    "plain": {},
    "kept": {"forward": True},
    "payload": {"forward_payload_header": "x-payload"},
    "padded": {"forward_payload_header": "x-payload", "pad_forward_payload_header": True},
    "claims": {
        "claim_to_headers": [
            {"header_name": f"x-claim-{n}", "claim_name": name}
            for n, name in enumerate(
                # Of structs with several fields Envoy's order is that of a hash table.
                "sub admin none rate count scope groups single nested.deep.er"
                " nested.deep.n nested.list missing sub.x exp quoted".split()
            )
        ]
    },
    "paths": {
        "claim_to_headers": [
            {"header_name": "x-path", "claim_path": [{"key": "nested"}, {"key": "list"}]},
            {"header_name": "x-path", "claim_path": [{"key": "sub"}]},
        ]
    },
    "metadata": {
        "payload_in_metadata": "payload",
        "header_in_metadata": "head",
        "failed_status_in_metadata": "failed",
    },
    "whole": {"payload_in_metadata": "payload", "header_in_metadata": "payload"},
    "normal": {
        "payload_in_metadata": "payload",
        "normalize_payload_in_metadata": {
            "space_delimited_claims": ["scope", "sub", "groups", "missing"]
        },
    },
}

LISTENERS: dict[str, Listener] = {
    **{f"out-{name}": Listener(TO_A, one(provider(**more)), LOG) for name, more in _OUT.items()},
    "whole-log": Listener(
        TO_A,
        one(provider(payload_in_metadata="payload", header_in_metadata="head")),
        f"%DYNAMIC_METADATA({NAMESPACE})% %DYNAMIC_METADATA({NAMESPACE}):20%\n",
    ),
}


def cases() -> list[Case]:
    cases: list[Case] = []
    for name in _OUT:
        forged = ("x-payload: forged", "x-claim-0: forged", "x-path: forged")
        cases += [
            Case(f"out-{name}-{what}", req("/a?b", *headers, *forged), f"out-{name}", reply())
            for what, headers in (
                ("good", [bearer(_RICH)]),
                ("bad", [bearer(EXPIRED)]),
                ("missing", []),
            )
        ]
    cases += [case_of("good", _RICH, "whole-log")]
    return cases
