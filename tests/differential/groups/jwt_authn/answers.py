"""What clients hear, whatever they ask for and however."""

from __future__ import annotations

from tests.differential.groups.jwt_authn.pieces import GOOD, LOG, TO_A, case_of, one, provider
from tests.differential.model import Case, Listener, ask, reply, req

LISTENERS: dict[str, Listener] = {
    "prefixed": Listener(TO_A, one(provider(), stat_prefix="mine"), LOG),
}


def cases() -> list[Case]:
    return [
        case_of("good", GOOD, "prefixed"),
        Case("prefixed-missing", req("/"), "prefixed", reply()),
        Case("long-uri", req("/" + "x" * 400), "claims", reply()),
        Case("other-host", req("/a?b=c", host="Other.Example:8080"), "claims", reply()),
        Case("https", req("/a", "x-forwarded-proto: https"), "claims", reply()),
        Case("quote", req('/a"b'), "claims", reply()),
        Case("head", req("/", method="HEAD"), "claims", reply()),
        Case("body", req("/", method="POST", body=b"x" * 100), "claims", reply()),
        Case("grpc", req("/", "content-type: application/grpc", method="POST"), "claims", reply()),
        Case("h2", ask("/"), "claims"),
        Case("h2-grpc", ask("/", ("content-type", "application/grpc")), "claims"),
        Case("h2-audience", ask("/", ("authorization", f"Bearer {GOOD}")), "audiences"),
    ]
