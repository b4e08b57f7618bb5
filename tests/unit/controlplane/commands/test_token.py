"""controlplane.commands.token: a join file, or what is wrong."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import jwt
import pytest

from controlplane.agent import join
from controlplane.ca.tokens import Tokens
from controlplane.commands import token


def made(root: Path, *flags: str) -> int:
    return token.main(["create", "--state", str(root / "state"), *flags])


def test_a_join_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.join"
    assert made(tmp_path, "-o", str(path), "--service-account", "reviews") == 0
    assert "one was made; a control plane with another --state" in capsys.readouterr().err
    found = join.read(path)
    assert (found.namespace, found.service_account) == ("default", "reviews")
    assert found.grants == "app=reviews,version=*"
    assert path.stat().st_mode & 0o777 == 0o600
    assert made(tmp_path, "-o", str(tmp_path / "b.join")) == 0
    assert capsys.readouterr().err == ""


def test_what_the_workload_may_call_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.join"
    flags = ("--service", "ratings", "--service", "stars", "--version", "v2", "--label", "tier=*")
    assert made(tmp_path, "-o", str(path), "--service-account", "reviews", *flags) == 0
    found = join.read(path)
    assert found.grants == "app=ratings,app=stars,tier=*,version=v2"
    # The command that makes the next one says the same.
    command = found.command(path)
    assert command == (
        f"rm -f {path}; mesh token create -n default --service-account reviews --service ratings"
        " --service stars --label 'tier=*' --version v2 --control 127.0.0.1:15012"
        f" --join 127.0.0.1:15011 --trust-domain cluster.local -o {path}"
    )
    os.remove(path)
    again = shlex.split(command.partition("; mesh token ")[2])
    assert token.main([*again, "--state", str(tmp_path / "state")]) == 0
    assert join.read(path).grants == found.grants


def test_a_file_that_is_there_costs_no_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.join"
    path.write_text("")
    assert made(tmp_path, "-o", str(path)) == 1
    assert capsys.readouterr().err.startswith(f"mesh token: {path}: is there already")
    assert not (tmp_path / "state").exists()


def test_a_bearer_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.token"
    who = ("-n", "shop", "--service-account", "reviews", "--trust-domain", "example.org")
    assert made(tmp_path, "--bearer", "-o", str(path), *who) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    tokens = Tokens(tmp_path / "state/tokens", "example.org")
    for _ in range(2):
        proved = tokens.check(path.read_text())
    assert str(proved.identity) == "spiffe://example.org/ns/shop/sa/reviews"
    assert str(proved.grants) == ""
    capsys.readouterr()
    assert made(tmp_path, "--bearer", *who, "--life", "500ms") == 0
    claims = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (["istio-ca"], 1)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--life", "soon"), "--life soon: is no duration"),
        (("--life", "0s"), "--life 0s: is no duration"),
        (("--control", "host"), "--control host: write HOST:PORT"),
        (("--join", "host:0"), "--join host:0: write HOST:PORT"),
        (("--label", "x"), "--service, --version, --label: 'x' is no label; write KEY=VALUE"),
        (("--label", "x=a,b"), "is no value of a label"),
        (("--service", "a/b"), "is no value of a label"),
        (("--service-account", "A B"), "--service-account 'A B': is no name: a-z, 0-9"),
        (("--bearer", "--service", "a"), "--bearer grants no labels: leave --service"),
        (
            ("--bearer", "-n", "istio-system", "--service-account", "istiod"),
            "istio-system/istiod is the control plane's own",
        ),
        (("-n", "A B"), "--namespace 'A B': is no name: a-z, 0-9"),
    ],
)
def test_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], why: str
) -> None:
    assert made(tmp_path, *flags) == 1
    assert why in capsys.readouterr().err


def test_a_state_that_cannot_be_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = "x" * 300
    assert token.main(["create", "--state", state, "-o", str(tmp_path / "a.join")]) == 1
    assert capsys.readouterr().err.endswith(f"/{state}/ca: File name too long\n")


def test_a_place_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state").write_text("")
    assert made(tmp_path) == 1
    error = capsys.readouterr().err
    assert f"{tmp_path}/state" in error
    assert "Errno" not in error
    os.remove(tmp_path / "state")
    assert made(tmp_path, "-o", str(tmp_path / "none/a.join")) == 1
    assert capsys.readouterr().err == f"mesh token: {tmp_path}/none/a.join: {os.strerror(2)}\n"
