"""Tokens (JWT) and key sets (JWKS) for tests. The keys are for tests only, and fixed, so that a
token is the same bytes each time."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding

_P = int(
    "f1a870cf0101a8d1023f9def07bae3dad62fd5ed49763feb5d782e5b1e77e6d20f023fb168e6cfec9f3de1cf"
    "07e628624726134d0566aee0cf6a2c8bf94a617bb429c419392fef099344c4922e5df49bcec765800791dc4c"
    "d72172a137741ccbea8b6dcd62ec6eadaa04ab27ac63733ff1579783ebbd5cf2811ba7ec1c925fcf",
    16,
)
_Q = int(
    "ef24df693707960caa4967fb5cfe69a11037f8d22057e8bc94211034f3440dfc879c365a2054c89686e8c8bd"
    "53216db4740ec79ecf68a6d1b2b55588d30d273518b72ae93ce23f96c6b5cf716f21832e7dffa0e8d86d076c"
    "ff34689ff11d560ab00f6e75948a4c10c2ee388ae7e6a30275124d09a249928dfb8fff36dd721257",
    16,
)
_E = 65537
#: Far enough, for a test.
NEVER = 4102444800
ISSUER = "https://issuer.example"
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVES = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "512": ec.SECP521R1()}
_NAMES = {"256": "P-256", "384": "P-384", "512": "P-521"}
ALGORITHMS = tuple(f"{kind}{bits}" for kind in ("RS", "PS", "ES", "HS") for bits in _HASHES)
EVERY = (*ALGORITHMS, "EdDSA")
SECRET = b"a secret of thirty-two bytes....."


def _rsa() -> rsa.RSAPrivateKey:
    d = pow(_E, -1, (_P - 1) * (_Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        _P,
        _Q,
        d,
        rsa.rsa_crt_dmp1(d, _P),
        rsa.rsa_crt_dmq1(d, _Q),
        rsa.rsa_crt_iqmp(_P, _Q),
        rsa.RSAPublicNumbers(_E, _P * _Q),
    )
    return numbers.private_key()


_RSA = _rsa()
_ED = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_EC = {bits: ec.derive_private_key(20240101, curve) for bits, curve in _CURVES.items()}


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    alg: str = "RS256",
    header: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
    **claims: Any,
) -> str:
    """A signed token; claims are added to the usual ones, those of `without` left out."""
    usual = {"iss": ISSUER, "sub": "user", "exp": NEVER}
    payload = {k: v for k, v in (usual | claims).items() if k not in without}
    return raw(json.dumps(payload), {"alg": alg, **(header or {})})


def raw(payload: str | bytes, header: Mapping[str, Any] | str) -> str:
    """A token of this payload, signed as its header says (RS256 where that says nothing)."""
    text = header if isinstance(header, str) else json.dumps(header)
    alg = "RS256" if isinstance(header, str) else str(header.get("signed", header.get("alg")))
    body = payload.encode() if isinstance(payload, str) else payload
    signed = f"{b64(text.encode())}.{b64(body)}"
    return f"{signed}.{b64(sign(alg, signed.encode()))}"


def sign(alg: str, data: bytes) -> bytes:
    """A signature; that of an algorithm nobody has is empty."""
    kind, bits = alg[:2], alg[2:]
    if alg == "EdDSA":
        return _ED.sign(data)
    if kind == "HS":
        return hmac.new(SECRET, data, f"sha{bits}").digest()
    if kind == "RS":
        return _RSA.sign(data, padding.PKCS1v15(), _HASHES[bits])
    if kind == "PS":
        return _pss(bits, data)
    if kind == "ES":
        return _ecdsa(bits, bits, data)
    return b""


def _ecdsa(curve: str, bits: str, data: bytes) -> bytes:
    of = ec.ECDSA(_HASHES[bits], deterministic_signing=True)
    size = (_CURVES[curve].key_size + 7) // 8
    r, s = utils.decode_dss_signature(_EC[curve].sign(data, of))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _pss(bits: str, data: bytes) -> bytes:
    """RFC 8017 §8.1.1 with a salt that is fixed (zeroes): a library would take a random one."""
    size, of = _HASHES[bits].digest_size, f"sha{bits}"
    salt = bytes(size)
    digest = _digest(of, bytes(8) + _digest(of, data) + salt)
    length = (_P * _Q).bit_length() // 8
    block = bytes(length - 2 * size - 2) + b"\1" + salt
    stream = b"".join(_digest(of, digest + n.to_bytes(4, "big")) for n in range(length // size + 1))
    masked = bytearray(a ^ b for a, b in zip(block, stream, strict=False))
    masked[0] &= 0x7F
    message = int.from_bytes(bytes(masked) + digest + b"\xbc", "big")
    return pow(message, _RSA.private_numbers().d, _P * _Q).to_bytes(length, "big")


def _digest(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data).digest()


def crossed(curve: str, bits: str) -> str:
    """A token that says ES`bits`, signed with the key of another curve."""
    signed = f"{b64(json.dumps({'alg': f'ES{bits}'}).encode())}."
    signed += b64(json.dumps({"iss": ISSUER, "exp": NEVER}).encode())
    return f"{signed}.{b64(_ecdsa(curve, bits, signed.encode()))}"


def key(alg: str, /, **more: Any) -> dict[str, Any]:
    """The key that verifies tokens of the algorithm."""
    kind, bits = alg[:2], alg[2:]
    if alg == "EdDSA":
        public = _ED.public_key().public_bytes_raw()
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public), **more}
    if kind == "HS":
        return {"kty": "oct", "k": b64(SECRET), **more}
    if kind == "ES":
        numbers = _EC[bits].public_key().public_numbers()
        size = (_CURVES[bits].key_size + 7) // 8
        x, y = (b64(n.to_bytes(size, "big")) for n in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": _NAMES[bits], "x": x, "y": y, **more}
    n = b64((_P * _Q).to_bytes(256, "big"))
    return {"kty": "RSA", "n": n, "e": "AQAB", **more}


def keys(*each: Mapping[str, Any]) -> str:
    """A key set as JSON."""
    return json.dumps({"keys": list(each)})


def every_key() -> str:
    """A set with a key for each kind of key."""
    return keys(*(key(alg) for alg in ("RS256", "ES256", "ES384", "ES512", "HS256", "EdDSA")))


def certificate() -> str:
    """A certificate of the RSA key, PEM."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_RSA.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .sign(_RSA, hashes.SHA256())
    )
    return built.public_bytes(Encoding.PEM).decode()
