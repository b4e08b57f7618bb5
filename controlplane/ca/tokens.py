"""Tokens with which somebody who has no certificate yet proves who it is.

Two kinds. A *join token* is a secret that is given out for one workload and can be used once. A
*service token* is a JWT that says its service account and for whom it is meant (the audience), as
Kubernetes makes them for pods; ours is signed with a key of this directory and lives for hours.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt

from controlplane import durable
from controlplane.ca.names import is_name
from controlplane.xds.identity import Identity

#: Istio's audience for everything that talks to the control plane.
AUDIENCE = "istio-ca"
_KEY, _JOINS, _LOCK = "token-key", "join-tokens.json", ".lock"
_PREFIX = "fmjoin_"
_MAX_JOINS = 100_000
_MAX_TOKEN = 16 * 1024
SERVICE_LIFE = 12 * 3600.0
JOIN_LIFE = 24 * 3600.0


class Invalid(Exception):
    """The token proves nothing; `str()` says why, without the token."""


@dataclass(frozen=True, slots=True)
class _Join:
    """A join token as it is kept: its hash, so that the file gives nobody access."""

    namespace: str
    service_account: str
    expires: float


class Tokens:
    """Makes and checks tokens of one trust domain. Its files are the owner's alone; processes that
    share the directory (`mesh token` beside `mesh control`) take turns by a lock."""

    def __init__(self, directory: Path, trust_domain: str) -> None:
        self._directory = directory
        self._trust_domain = trust_domain
        with self._alone():
            durable.sweep(self._directory)
            self._key = self._load_key()
            self._load_joins()

    def new_join(self, namespace: str, service_account: str, life: float = JOIN_LIFE) -> str:
        """A token for one workload, once. Raises Invalid for names that are none, OSError if it
        cannot be kept."""
        if not (is_name(namespace) and is_name(service_account)):
            raise Invalid(f"{namespace}/{service_account} is no namespace and service account")
        token, now = _PREFIX + secrets.token_urlsafe(32), time.time()
        with self._alone():
            kept = {key: one for key, one in self._load_joins().items() if one.expires > now}
            if len(kept) >= _MAX_JOINS:
                raise Invalid(f"{_MAX_JOINS} join tokens wait to be used; let some expire")
            kept[_hash(token)] = _Join(namespace, service_account, now + life)
            self._save_joins(kept)
        return token

    def new_service(self, namespace: str, service_account: str, audience: str = AUDIENCE) -> str:
        """A JWT for a service account, for one audience."""
        now = int(time.time())
        claims = {
            "iss": f"fastmesh/{self._trust_domain}",
            "sub": f"system:serviceaccount:{namespace}:{service_account}",
            "aud": [audience],
            "iat": now,
            "exp": now + int(SERVICE_LIFE),
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def check(self, token: str, audience: str = AUDIENCE) -> tuple[Identity, str]:
        """Who the bearer is, and by what (`join token`, `service token`). A join token is used up,
        on disk, before this returns. Raises Invalid; OSError if that cannot be written."""
        if len(token) > _MAX_TOKEN:
            raise Invalid("the token is too long")
        if token.startswith(_PREFIX):
            return self._use_join(token), "join token"
        return self._check_service(token, audience), "service token"

    def _use_join(self, token: str) -> Identity:
        with self._alone():
            kept = self._load_joins()
            found = kept.pop(_hash(token), None)
            if found is None:
                raise Invalid("the join token is unknown, or was used before")
            self._save_joins(kept)
        if found.expires <= time.time():
            raise Invalid("the join token has expired")
        return Identity(self._trust_domain, found.namespace, found.service_account)

    def _check_service(self, token: str, audience: str) -> Identity:
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=audience,
                issuer=f"fastmesh/{self._trust_domain}",
                options={"require": ["exp", "aud", "sub", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise Invalid(f"the service token is not valid: {error}") from None
        parts = str(claims["sub"]).split(":")
        if len(parts) != 4 or parts[:2] != ["system", "serviceaccount"]:
            raise Invalid("the service token is for no service account")
        if not (is_name(parts[2]) and is_name(parts[3])):
            raise Invalid("the service token is for no service account")
        return Identity(self._trust_domain, parts[2], parts[3])

    def _load_key(self) -> bytes:
        path = self._directory / _KEY
        if not path.exists():
            durable.write(path, secrets.token_bytes(32), 0o600)
        key = path.read_bytes()
        if len(key) < 32:
            raise Invalid(f"{path}: holds no key; remove it to get a new one")
        return key

    def _load_joins(self) -> dict[str, _Join]:
        path = self._directory / _JOINS
        if not path.exists():
            return {}
        try:
            kept = json.loads(path.read_bytes())
            return {key: _Join(*fields) for key, fields in kept.items()}
        except (ValueError, TypeError, AttributeError):
            raise Invalid(f"{path}: cannot be read; remove it and make new tokens") from None

    def _save_joins(self, joins: dict[str, _Join]) -> None:
        body = {
            key: (one.namespace, one.service_account, one.expires) for key, one in joins.items()
        }
        durable.write(self._directory / _JOINS, json.dumps(body).encode(), 0o600)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other processes out. Raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _hash(token: str) -> str:
    # Tokens have 256 random bits, so a plain hash cannot be turned back.
    return hashlib.sha256(token.encode()).hexdigest()
