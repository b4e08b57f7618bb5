"""Key sets that Envoy would refuse, and the key of nobody."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from controlplane.resources.request_authentication.usable import NOBODY, served

_GOOD = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
_OFF_THE_CURVE = {**_GOOD, "x": _GOOD["y"]}


def test_a_set_with_one_right_key_is_served_as_it_is() -> None:
    text = json.dumps({"keys": [_OFF_THE_CURVE, _GOOD]})
    assert served(text) == text
    assert served(json.dumps(_GOOD)) == json.dumps(_GOOD)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [_OFF_THE_CURVE],
        [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}],
        [{"kty": "OKP", "crv": "X25519", "x": "AA"}],
        [{"kty": "RSA", "n": "AA", "e": "AA"}],
        [{**_GOOD, "crv": "P-999"}],
    ],
)
def test_a_set_without_a_right_key_is_nobodys(keys: list[object]) -> None:
    assert served(json.dumps({"keys": keys})) == NOBODY


def test_nobody_knows_the_key_of_nobody() -> None:
    (key,) = json.loads(NOBODY)["keys"]
    x = int.from_bytes(base64.urlsafe_b64decode(key["x"] + "="), "big")
    assert x == int.from_bytes(hashlib.sha256(b"fastmesh: a key of nobody 0").digest(), "big")
    assert served(NOBODY) == NOBODY
