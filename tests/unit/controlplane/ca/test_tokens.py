"""Tokens: for one workload, for one audience, once, and never on disk."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from pathlib import Path

import jwt
import pytest

from controlplane.ca.grants import Grants
from controlplane.ca.proofs import Invalid, Proved
from controlplane.ca.tokens import AUDIENCE, Tokens
from controlplane.xds.identity import Identity

WHO = Identity("cluster.local", "default", "reviews")


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path, "cluster.local")


def test_a_join_token_is_taken_for_one_key(tokens: Tokens, tmp_path: Path) -> None:
    grants = Grants((("app", "reviews"), ("version", "*")))
    token = tokens.new_join("default", "reviews", grants=grants)
    # Another process takes it: after a restart, say.
    assert Tokens(tmp_path, "cluster.local").admit(token, b"a key") == Proved(
        WHO, "join token", grants
    )
    for one in (tokens, Tokens(tmp_path, "cluster.local")):
        with pytest.raises(Invalid, match="used before, for another key; make another with"):
            one.admit(token, b"another key")
        # Whose answer was lost may ask again.
        assert one.admit(token, b"a key").identity == WHO


def test_a_join_token_is_for_a_certificate_only(tokens: Tokens) -> None:
    token = tokens.new_join("default", "reviews")
    with pytest.raises(Invalid, match="good for a certificate only"):
        tokens.check(token)
    assert tokens.admit(token, b"a key").identity == WHO


def test_tokens_of_before_grant_nothing(tokens: Tokens, tmp_path: Path) -> None:
    token = tokens.new_join("default", "reviews", grants=Grants((("app", "reviews"),)))
    path = tmp_path / "join-tokens.json"
    path.write_text(json.dumps({key: one[:3] for key, one in json.loads(path.read_text()).items()}))
    assert tokens.admit(token, b"a key") == Proved(WHO, "join token")


@pytest.mark.parametrize(
    "fields",
    [
        ["default", "reviews", float("nan"), "", ""],
        ["default", "reviews", 2**40, "nonsense", ""],
        ["default", "reviews", 2**40, "", 1],
        ["default", "reviews"],
    ],
)
def test_a_file_that_was_changed_lets_nobody_in(
    tokens: Tokens, tmp_path: Path, fields: list[object]
) -> None:
    token = tokens.new_join("default", "reviews")
    path = tmp_path / "join-tokens.json"
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), fields)))
    with pytest.raises(Invalid):
        tokens.admit(token, b"a key")


def test_guesses_write_nothing_and_wait_for_nobody(tokens: Tokens, tmp_path: Path) -> None:
    tokens.new_join("default", "reviews")
    file = tmp_path / "join-tokens.json"
    before = file.stat()
    with (tmp_path / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Invalid, match="unknown"):
            tokens.admit("fmjoin_guess", b"a key")
    after = file.stat()
    # It is read, so its time of access may be another.
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_a_killed_writer_left_is_swept(tokens: Tokens, tmp_path: Path) -> None:
    left = tmp_path / ".joins.json.0123.mesh-write"
    left.write_bytes(b"half")
    Tokens(tmp_path, "cluster.local")
    assert not left.exists()


def test_many_at_once_take_it_once(tokens: Tokens, tmp_path: Path) -> None:
    token = tokens.new_join("default", "reviews")
    taken: list[Identity] = []

    def take(key: bytes) -> None:
        try:
            taken.append(Tokens(tmp_path, "cluster.local").admit(token, key).identity)
        except Invalid:
            pass

    threads = [threading.Thread(target=take, args=(bytes([key]),)) for key in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert taken == [WHO]


def test_no_file_holds_a_token_and_nobody_else_reads_them(tokens: Tokens, tmp_path: Path) -> None:
    token = tokens.new_join("default", "reviews")
    for path in tmp_path.iterdir():
        assert token.encode() not in path.read_bytes()
        assert os.stat(path).st_mode & 0o077 == 0, path


def test_nobody_joins_as_the_control_plane(tokens: Tokens) -> None:
    with pytest.raises(Invalid, match="the control plane's own"):
        tokens.new_join("istio-system", "istiod")


def test_join_tokens_expire(tokens: Tokens) -> None:
    with pytest.raises(Invalid, match="expired"):
        tokens.admit(tokens.new_join("default", "reviews", life=-1.0), b"a key")


@pytest.mark.parametrize("name", ["", "A", "a/b", "a\n", "../x", "-a", "a" * 300])
def test_names_that_are_none(tokens: Tokens, name: str) -> None:
    with pytest.raises(Invalid, match="is no namespace and service account"):
        tokens.new_join(name, "reviews")
    with pytest.raises(Invalid, match="is no namespace and service account"):
        tokens.new_join("default", name)


def test_a_service_token_is_for_its_audience(tokens: Tokens) -> None:
    token = tokens.new_service("default", "reviews")
    assert tokens.check(token) == Proved(WHO, "service token")
    with pytest.raises(Invalid, match="unknown"):
        tokens.admit(token, b"a key")
    with pytest.raises(Invalid, match="udience"):
        tokens.check(token, "another")
    with pytest.raises(Invalid, match="udience"):
        tokens.check(tokens.new_service("default", "reviews", audience="another"))


def test_service_tokens_of_others(tokens: Tokens, tmp_path: Path) -> None:
    other = Tokens(tmp_path / "other", "cluster.local")
    with pytest.raises(Invalid, match="not valid"):
        tokens.check(other.new_service("default", "reviews"))
    with pytest.raises(Invalid, match="not valid"):
        tokens.check(Tokens(tmp_path, "example.org").new_service("default", "reviews"))


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1},
        {"sub": "system:serviceaccount:default"},
        {"sub": "system:serviceaccount:a/b:c"},
        {"aud": None},
        {"exp": None},
    ],
)
def test_claims_that_will_not_do(
    tokens: Tokens, tmp_path: Path, changed: dict[str, object]
) -> None:
    key = (tmp_path / "token-key").read_bytes()
    claims = {
        "iss": "fastmesh/cluster.local",
        "sub": "system:serviceaccount:default:reviews",
        "aud": [AUDIENCE],
        "exp": int(time.time()) + 60,
        **changed,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    with pytest.raises(Invalid):
        tokens.check(jwt.encode(claims, key, algorithm="HS256"))


def test_unsigned_tokens(tokens: Tokens) -> None:
    claims = {"iss": "fastmesh/cluster.local", "sub": "x", "aud": [AUDIENCE], "exp": 2**40}
    for token in (jwt.encode(claims, None, algorithm="none"), "", "a.b.c", "x" * 20000):
        with pytest.raises(Invalid):
            tokens.check(token)


def test_files_that_are_broken_are_named(tokens: Tokens, tmp_path: Path) -> None:
    tokens.new_join("default", "reviews")
    (tmp_path / "join-tokens.json").write_text('{"a": 1}')
    with pytest.raises(Invalid, match=r"join-tokens\.json: cannot be read"):
        Tokens(tmp_path, "cluster.local")
