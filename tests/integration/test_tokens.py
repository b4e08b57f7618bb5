"""JSON Web Tokens in a mesh: keys from an issuer, good and bad tokens, policies about claims."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.manifests import service
from tests.support.mesh import Mesh, Workload, until
from tests.support.proxies import ENVOY, OURS

_ISSUER = "https://issuer.example"
_TOKENS = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: reviews}
spec:
  selector: {matchLabels: {app: reviews}}
  jwtRules:
  - issuer: https://issuer.example
    jwksUri: URI
    audiences: [reviews]
    fromHeaders: [{name: x-token}]
    outputClaimToHeaders: [{header: x-user, claim: sub}]
"""
_ONLY_ADMINS = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews}
spec:
  selector: {matchLabels: {app: reviews}}
  rules:
  - from: [{source: {requestPrincipals: ["https://issuer.example/*"]}}]
    when: [{key: "request.auth.claims[groups]", values: [admin]}]
"""


class _Issuer:
    """Serves its key, signs tokens."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1"}
        key |= {"x": _text(numbers.x.to_bytes(32)), "y": _text(numbers.y.to_bytes(32))}
        body = json.dumps({"keys": [key]}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.uri = f"http://127.0.0.1:{self._server.server_port}/keys"

    def token(self, **claims: object) -> str:
        given = {"iss": _ISSUER, "sub": "ann", "aud": "reviews", "exp": int(time.time()) + 600}
        parts = [{"alg": "ES256", "kid": "1"}, given | claims]
        signed = ".".join(_text(json.dumps(one).encode()) for one in parts)
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_text(r.to_bytes(32) + s.to_bytes(32))}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


@pytest.fixture
def issuer() -> Iterator[_Issuer]:
    running = _Issuer()
    yield running
    running.close()


def _status(page: Workload, token: str = "") -> int:
    return int(page.get("reviews:9080", headers={"x-token": token} if token else {})[0])


@pytest.mark.parametrize("kind", [ENVOY, OURS])
def test_tokens_of_an_issuer(tmp_path: Path, issuer: _Issuer, kind: str) -> None:
    with Mesh(tmp_path, kind) as mesh:
        mesh.write("services.yaml", service("reviews"))
        mesh.run("reviews", "--port", "9080:auto")
        page = mesh.run("page", command=["sleep", "600"])
        until(lambda: _status(page) == 200, "reviews does not answer", mesh.log)

        mesh.write("tokens.yaml", _TOKENS.replace("URI", issuer.uri))
        until(lambda: _status(page, "x") == 401, "tokens are not looked at", mesh.log)
        until(lambda: _status(page, issuer.token()) == 200, "the keys do not come", mesh.log)
        # None passes; a wrong one, of whatever kind, does not.
        assert _status(page) == 200
        other = _Issuer()
        other.close()
        for wrong in (
            other.token(),
            issuer.token(aud="ratings"),
            issuer.token(iss="https://other.example"),
            issuer.token(exp=int(time.time()) - 3600),
        ):
            assert _status(page, wrong) in {401, 403}
        _, answer = page.get("reviews:9080", "/who", headers={"x-token": issuer.token()})
        assert answer["headers"]["x-user"] == "ann"

        mesh.write("admins.yaml", _ONLY_ADMINS)
        until(lambda: _status(page) == 403, "the policy is not followed", mesh.log)
        assert _status(page, issuer.token()) == 403
        assert _status(page, issuer.token(groups=["admin", "other"])) == 200
        assert _status(page, issuer.token(groups="admin")) == 200
