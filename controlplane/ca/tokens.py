"""Tokens with which somebody who has no certificate yet proves who it is.

Two kinds. A *join token* is a secret that is given out for one workload and can be used once: for
one key, which may ask again while the token lasts, so that an answer that was lost locks nobody
out. It says what the workload may call itself (`grants`). A *service token* is a JWT that says its
service account and for whom it is meant (the audience), as Kubernetes makes them for pods; ours is
signed with a key of this directory and lives for hours.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jwt

from controlplane import durable
from controlplane.ca import grants as granted
from controlplane.ca.grants import NOTHING, Grants
from controlplane.ca.names import is_name
from controlplane.ca.proofs import Invalid, Proved
from controlplane.xds.identity import Identity

#: Istio's audience for everything that talks to the control plane.
AUDIENCE = "istio-ca"
_KEY, _JOINS = "token-key", "join-tokens.json"
_PREFIX = "fmjoin_"
_MAX_JOINS = 100_000
_MAX_TOKEN = 16 * 1024
_ANOTHER = "make another with `mesh token create`"
_CONTROL_PLANE = ("istio-system", "istiod")
SERVICE_LIFE = 12 * 3600.0
JOIN_LIFE = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class _Join:
    """A join token as it is kept: its hash, so that the file gives nobody access."""

    namespace: str
    service_account: str
    expires: float
    grants: str = ""
    #: Hash of the key that it was used for; "" before.
    used_for: str = ""


def _check_workload(namespace: str, service_account: str) -> None:
    """Whether there may be tokens for it. Raises Invalid."""
    if not (is_name(namespace) and is_name(service_account)):
        raise Invalid(f"{namespace}/{service_account} is no namespace and service account")
    if (namespace, service_account) == _CONTROL_PLANE:
        # Sidecars would take its bearer for the control plane.
        raise Invalid(f"{namespace}/{service_account} is the control plane's own")


class Tokens:
    """Makes and checks tokens of one trust domain. Its files are the owner's alone; processes that
    share the directory (`mesh token` beside `mesh control`) take turns by a lock."""

    def __init__(self, directory: Path, trust_domain: str) -> None:
        self._directory = directory
        self._trust_domain = trust_domain
        #: The join tokens as they were read last, and the file of which they were read.
        self._read: tuple[tuple[int, int, int], dict[str, _Join]] | None = None
        with durable.alone(self._directory):
            durable.sweep(self._directory)
            self._key = self._load_key()
            self._load_joins()

    def new_join(
        self,
        namespace: str,
        service_account: str,
        life: float = JOIN_LIFE,
        grants: Grants = NOTHING,
    ) -> str:
        """A token for one workload, once. Raises Invalid for names that are none, OSError if it
        cannot be kept."""
        _check_workload(namespace, service_account)
        token, now = _PREFIX + secrets.token_urlsafe(32), time.time()
        with durable.alone(self._directory):
            kept = {key: one for key, one in self._load_joins().items() if one.expires > now}
            if len(kept) >= _MAX_JOINS:
                raise Invalid(f"{_MAX_JOINS} join tokens wait to be used; let some expire")
            kept[_hash(token)] = _Join(namespace, service_account, now + life, str(grants))
            self._save_joins(kept)
        return token

    def new_service(
        self,
        namespace: str,
        service_account: str,
        life: float = SERVICE_LIFE,
        audience: str = AUDIENCE,
    ) -> str:
        """A JWT for a service account, for one audience. Raises Invalid for names that are none."""
        _check_workload(namespace, service_account)
        now = int(time.time())
        claims = {
            "iss": f"fastmesh/{self._trust_domain}",
            "sub": f"system:serviceaccount:{namespace}:{service_account}",
            "aud": [audience],
            "iat": now,
            "exp": now + math.ceil(life),
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def check(self, token: str, audience: str = AUDIENCE) -> Proved:
        """Who the bearer of a service token is. A join token is not one, and is not used up.
        Raises Invalid."""
        if len(token) > _MAX_TOKEN:
            raise Invalid("the token is too long")
        if token.startswith(_PREFIX):
            raise Invalid("a join token is good for a certificate only; get one, and show that")
        return Proved(self._check_service(token, audience), "service token")

    @staticmethod
    def is_join(token: str) -> bool:
        """Whether it says that it is a join token."""
        return token.startswith(_PREFIX)

    def look(self, token: str) -> None:
        """Whether a join token was given out here. Uses nothing up. Raises Invalid and OSError."""
        # By its hash: how long the search takes tells nothing of the token. Guesses cost a look at
        # the file's date.
        if len(token) > _MAX_TOKEN or _hash(token) not in self._load_joins():
            raise Invalid(f"the join token is unknown; {_ANOTHER}")

    def admit(self, token: str, key: bytes) -> Proved:
        """Who the bearer of a join token is, who asks for a certificate for a public key (its DER).
        It is used up for that key, on disk, before this returns. Raises Invalid; OSError if that
        cannot be written."""
        self.look(token)
        used_for = hashlib.sha256(key).hexdigest()
        with durable.alone(self._directory):
            kept = dict(self._load_joins())
            found = kept.get(_hash(token))
            if found is None or not found.expires > time.time():
                raise Invalid(f"the join token has expired; {_ANOTHER}")
            if not found.used_for:
                kept[_hash(token)] = replace(found, used_for=used_for)
                self._save_joins(kept)
            elif not hmac.compare_digest(found.used_for, used_for):
                raise Invalid(f"the join token was used before, for another key; {_ANOTHER}")
        identity = Identity(self._trust_domain, found.namespace, found.service_account)
        try:
            return Proved(identity, "join token", granted.parse(found.grants), _hash(token))
        except granted.Unreadable as error:
            raise Invalid(f"{self._directory / _JOINS}: {error}") from None

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
            if token.count(".") != 2:
                raise Invalid(f"this is no token; {_ANOTHER}") from None
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
        """Not to be changed. Raises Invalid and OSError."""
        path = self._directory / _JOINS
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                # Each writing makes a new file.
                stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
                if self._read is not None and self._read[0] == stamp:
                    return self._read[1]
                kept = json.loads(file.read())
            found = {str(key): _join(fields) for key, fields in kept.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError):
            raise Invalid(f"{path}: cannot be read; remove it and make new tokens") from None
        self._read = (stamp, found)
        return found

    def _save_joins(self, joins: dict[str, _Join]) -> None:
        body = {
            key: (one.namespace, one.service_account, one.expires, one.grants, one.used_for)
            for key, one in joins.items()
        }
        durable.write(self._directory / _JOINS, json.dumps(body).encode(), 0o600)


def _join(fields: Any) -> _Join:
    """Raises TypeError for what is none: a file that somebody changed must not let anybody in."""
    found = _Join(*fields)
    texts = (found.namespace, found.service_account, found.grants, found.used_for)
    if not (all(isinstance(one, str) for one in texts) and isinstance(found.expires, (int, float))):
        raise TypeError("is no join token")
    return found


def _hash(token: str) -> str:
    # Tokens have 256 random bits, so a plain hash cannot be turned back.
    return hashlib.sha256(token.encode()).hexdigest()
