"""What the parts of the group share: filters and providers, tokens, log lines."""

from __future__ import annotations

import json
from typing import Any

from tests.differential.http_filters import a_filter, chain, host, route, table
from tests.differential.model import Case, reply, req
from tests.support import jwt

NAMESPACE = "envoy.filters.http.jwt_authn"
_PATHS = (
    "payload:sub payload:iss payload:exp payload:admin payload:none payload:scope payload:groups"
    " payload:nested:deep:er payload:nested payload:rate head:alg head:kid failed:code"
    " failed:message other:code missing"
).split()
LOG = "\t".join(
    [
        "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %UPSTREAM_CLUSTER%",
        *(f"{path}=%DYNAMIC_METADATA({NAMESPACE}:{path})%" for path in _PATHS),
        f"cut=%DYNAMIC_METADATA({NAMESPACE}:payload:nested):9%",
        "%DYNAMIC_METADATA(envoy.filters.http.rbac:enforced_engine_result)%\n",
    ]
)
TO_A = table(host("all", "*", route("all", match="prefix: /")))
GOOD = jwt.token()
SIGNED = GOOD.rpartition(".")[0]
OTHER = "https://other.example"
EXPIRED = jwt.token(exp=1000)
P, Q = {"provider_name": "p"}, {"provider_name": "q"}
MISSING: Any = {"allow_missing": {}}
FAILED: Any = {"allow_missing_or_failed": {}}


def jwt_filter(name: str = "jwt", **config: Any) -> str:
    return a_filter(name, "jwt_authn.v3.JwtAuthentication", json.dumps(config)[1:-1])


def provider(*, keys: str = "", **more: Any) -> dict[str, Any]:
    """A provider with keys of its own; without `issuer` that of the tokens here."""
    inline = {"inline_string": keys or jwt.keys(jwt.key("RS256"))}
    return {"issuer": jwt.ISSUER, "local_jwks": inline, **more}


def every(requires: Any, **more: Any) -> dict[str, Any]:
    """One rule, for every path."""
    return {"rules": [{"match": {"prefix": "/"}, "requires": requires}], **more}


def one(provider: dict[str, Any], **more: Any) -> str:
    """A chain with one provider, which is required."""
    return chain(jwt_filter(providers={"p": provider}, **every({"provider_name": "p"}, **more)))


def bearer(token: str) -> str:
    """The usual header."""
    return f"Authorization: Bearer {token}"


def case_of(name: str, token: str, listener: str = "algs") -> Case:
    return Case(f"{listener}-{name}", req("/", bearer(token)), listener, reply())
