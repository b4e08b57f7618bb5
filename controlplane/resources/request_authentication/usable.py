"""Whether Envoy can use a key set: one without any key that is right would cost the listener."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

#: A point of P-256 whose x is the first SHA-256 of "fastmesh: a key of nobody N" (N from 0) that
#: has one: nobody knows the private key, so no token is signed with it.
NOBODY = (
    '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"nobody",'
    '"x":"Y6NOx9GYgSmTXz34a5QF1ifY6VKnrN3qFPgpXbQIapI",'
    '"y":"YxSzu6dF81kVFPYUhcePDbW-WuswjvMK1M-0TWdR9vY"}]}'
)
_CURVES: Mapping[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


def served(text: str) -> str:
    """The key set as proxies get it: itself, or that of nobody if no key of it is right."""
    given: Any = json.loads(text)
    keys = given.get("keys", [given])
    return text if any(_is_right(key) for key in keys) else NOBODY


def _is_right(key: Mapping[str, Any]) -> bool:
    load = _LOADERS.get(key.get("kty", ""))
    if load is None:
        return False
    try:
        load(key)
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return False
    return True


def _rsa(key: Mapping[str, Any]) -> None:
    rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()


def _ec(key: Mapping[str, Any]) -> None:
    numbers = ec.EllipticCurvePublicNumbers(
        _number(key["x"]), _number(key["y"]), _CURVES[key["crv"]]
    )
    numbers.public_key()


def _okp(key: Mapping[str, Any]) -> None:
    if key["crv"] != "Ed25519":
        raise ValueError(key["crv"])
    ed25519.Ed25519PublicKey.from_public_bytes(_octets(key["x"]))


def _oct(key: Mapping[str, Any]) -> None:
    if not _octets(key["k"]):
        raise ValueError("empty")


_LOADERS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "RSA": _rsa,
    "EC": _ec,
    "OKP": _okp,
    "oct": _oct,
}


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_octets(text), "big")
