"""controlplane.commands.proxy_config: whom is asked, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.commands import proxy_config
from tests.support.dumps import FQDN, clusters, dump
from tests.support.status_port import StatusPort


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(dump(key="c2VjcmV0")))
    return str(path)


@pytest.fixture
def admin() -> Iterator[StatusPort]:
    with StatusPort({"/config_dump": dump(), "/clusters": clusters()}) as made:
        yield made


@pytest.fixture
def control(admin: StatusPort) -> Iterator[StatusPort]:
    proxies = [
        {"proxy": "one.default", "identity": "", "admin": ""},
        {"proxy": "one.default", "identity": "", "admin": admin.address},
        {"proxy": "two.shop", "identity": "", "admin": ""},
        {"proxy": "far.default", "identity": "", "admin": "10.0.0.1:15000"},
    ]
    with StatusPort({"/api/v1/proxies": {"proxies": proxies}}) as made:
        yield made


def shown(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    code = proxy_config.main(list(flags))
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("cluster", "clusters", "c"), "SERVICE FQDN"),
        (("listener", "listeners", "l"), "ADDRESSES"),
        (("route", "routes", "r"), "NAME"),
        (("endpoint", "endpoints", "ep"), "ENDPOINT"),
        (("eds",), "NAME"),
        (("secret", "secrets", "s"), "RESOURCE NAME"),
        (("ecds", "ec"), "ECDS NAME"),
        (("bootstrap", "b"), "{"),
        (("all", "a"), "SERVICE FQDN"),
    ],
)
def test_each_by_its_names(
    file: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], first: str
) -> None:
    texts = set()
    for word in words:
        code, out, error = shown(capsys, word, "-f", file)
        assert (code, error) == (0, "")
        texts.add(out)
    (text,) = texts
    assert text.startswith(first)
    assert len(text.splitlines()) > (1 if "ec" in words else 3)


@pytest.mark.parametrize("what", ["all", "secret", "bootstrap"])
@pytest.mark.parametrize("how", ["json", "yaml"])
def test_no_key_is_shown(
    file: str, capsys: pytest.CaptureFixture[str], what: str, how: str
) -> None:
    code, out, _ = shown(capsys, what, "-f", file, "-o", how)
    assert code == 0
    assert "c2VjcmV0" not in out
    assert ("[redacted]" in out) == (what != "bootstrap")


def test_a_sidecar_is_asked_where_the_control_plane_says(
    admin: StatusPort, control: StatusPort, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--control", control.url)
    code, out, _ = shown(capsys, "ep", "one", "--status", "degraded", *where)
    assert (code, out.splitlines()[1].split()) == (
        0, ["10.0.0.3:9080", "DEGRADED", "FAILED", f"outbound|9080||{FQDN}"],
    )  # fmt: skip
    code, out, _ = shown(capsys, "c", "one.default", "--fqdn", FQDN, "--subset", "v1", *where)
    assert len(out.splitlines()) == 2
    assert admin.asked == ["/clusters?format=json", "/config_dump?include_eds"]


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("two", "-n", "shop"), "two.shop does not say where its admin port is"),
        (("two",), "two is not connected"),
        (("far",), "only ports on loopback are asked"),
    ],
)
def test_who_cannot_be_asked(
    control: StatusPort, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], why: str
) -> None:
    code, out, error = shown(capsys, "c", *flags, "--control", control.url)
    assert (code, out) == (1, "")
    assert why in error


def test_clusters_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clusters.json"
    path.write_text(json.dumps(clusters()))
    code, out, _ = shown(capsys, "endpoint", "-f", str(path), "-o", "json")
    assert code == 0
    found: Any = json.loads(out)
    assert [one["endpoint"] for one in found] == ["10.0.0.2:9080", "10.0.0.3:9080"]
    code, _, error = shown(capsys, "clusters", "-f", str(path))
    assert (code, "is no configuration dump" in error) == (1, True)


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x"
    assert shown(capsys, "c", "-f", str(path))[0] == 1
    path.write_text("{")
    code, _, error = shown(capsys, "c", "-f", str(path))
    assert (code, error.startswith(f"{path}: is no JSON")) == (1, True)
    path.write_text("[" * 1_000_000)
    code, _, error = shown(capsys, "c", "-f", str(path))
    assert (code, error.startswith(f"{path}: is no JSON")) == (1, True)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("c",), "give WORKLOAD[.NAMESPACE], or -f DUMP"),
        (("c", "one", "-f", "x"), "give WORKLOAD[.NAMESPACE], or -f DUMP"),
        (("x", "one"), "invalid choice: 'x'"),
        (("r", "one", "--port", "1"), "--port does not narrow route"),
        (("l", "one", "--port", "http"), "'http' is no port: write a number from 1 to 65535"),
        (("c", "one", "--direction", "in"), "invalid choice: 'in' (choose from 'inbound', 'outb"),
        (("ep", "one", "--status", "bad"), "invalid choice: 'bad'"),
        (("l", "one", "--type", "udp"), "invalid choice: 'udp'"),
        (("a", "one", "--name", "x", "-o", "json"), "--name narrows tables; -o json of all is the"),
        (("-n", "shop", "log", "one"), "write log first: mesh proxy-config log ..."),
    ],
)
def test_flags_that_mean_nothing(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        proxy_config.main(list(flags))
    assert ended.value.code == 1
    assert why in capsys.readouterr().err


def test_all_is_asked_once_and_narrowed_as_its_tables_are(
    admin: StatusPort, control: StatusPort, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--name", "9080", "--subset", "v1", "-o", "short", "--control", control.url)
    code, out, _ = shown(capsys, "all", "one", *flags)
    tables = [table.splitlines() for table in out.split("\n\n")]
    # Clusters, listeners, routes, endpoints, secrets, each with its titles.
    assert (code, [len(one) for one in tables]) == (0, [2, 6, 7, 1, 4])
    assert admin.asked == ["/config_dump?include_eds", "/clusters?format=json"]


def test_listeners_by_type(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = shown(capsys, "l", "-f", file, "--type", "HTTP+TCP")
    assert (code, len(out.splitlines())) == (0, 6)
    code, out, _ = shown(capsys, "l", "-f", file, "--type", "http")
    assert (code, len(out.splitlines())) == (0, 1)
