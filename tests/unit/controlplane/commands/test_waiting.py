"""controlplane.commands.waiting: `--wait` of apply and delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controlplane.commands import apply, delete
from tests.support.kinds import KINDS, route
from tests.support.status_port import StatusPort

SYNCED: dict[str, Any] = {
    "state": "SYNCED", "text": "", "proxies": 3, "told": 2, "lacking": [], "more": 0,
    "source": "/x, connected sidecars",
}  # fmt: skip


class Place:
    """A folder, and a control plane that answers what it is told to."""

    def __init__(self, root: Path, port: StatusPort, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = root / "config"
        self.file = root / "a.yaml"
        self.file.write_text(route("one"))
        self.port = port
        self._flags = ["--config", str(self.config), "--control", port.url]
        self._capsys = capsys

    def apply(self, *flags: str) -> tuple[int, str, str]:
        code = apply.main(["-f", str(self.file), *self._flags, *flags], KINDS)
        return code, *self._capsys.readouterr()

    def delete(self, *flags: str) -> tuple[int, str, str]:
        code = delete.main(["route", "one", *self._flags, *flags], KINDS)
        return code, *self._capsys.readouterr()


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    with StatusPort({"/api/v1/version": {"revision": 7}, "/api/v1/wait": SYNCED}) as port:
        yield Place(tmp_path, port, capsys)


def test_all_have_it(place: Place) -> None:
    code, out, error = place.apply("--wait", "--timeout", "5s")
    assert (code, error) == (0, "")
    assert out.splitlines() == [
        "route.test.mesh/one created",
        "route.test.mesh/one: 2 of 3 proxies concerned, all have it",
    ]
    version, asked = place.port.asked
    assert version == "/api/v1/version"
    assert asked.startswith("/api/v1/wait?key=Route%2Fdefault%2Fone&version=")
    assert "&since=7&" in asked
    seconds = float(asked.rpartition("timeout=")[2])
    assert 0 < seconds <= 5
    code, out, _ = place.delete("--wait")
    assert out.endswith("2 of 3 proxies concerned, it is gone from all\n")
    assert "&version=&" in place.port.asked[-1]


def test_who_refuses_it_and_who_is_late(place: Place) -> None:
    lacking = [
        {"proxy": "a.default", "state": "ERROR", "text": "RDS: no\nsuch\x1b thing"},
        {"proxy": "b.default", "state": "STALE", "text": "CDS: not sent yet"},
        {"proxy": "c.default", "state": "NOT SENT", "text": "has asked for nothing"},
    ]
    place.port.answers["/api/v1/wait"] = SYNCED | {"state": "ERROR", "lacking": lacking, "more": 2}
    code, _, error = place.apply("--wait")
    assert code == 1
    assert error.splitlines() == [
        "route.test.mesh/one: a.default refuses it: 'RDS: no; such\\x1b thing'",
        "route.test.mesh/one: b.default does not have it yet: CDS: not sent yet",
        "route.test.mesh/one: c.default was not sent it: has asked for nothing",
        "route.test.mesh/one: and 2 more proxies",
    ]


def test_the_control_plane_refuses_it(place: Place) -> None:
    place.port.answers["/api/v1/wait"] = SYNCED | {"state": "REFUSED", "text": "a.yaml:1: no"}
    code, _, error = place.apply("--wait")
    assert (code, error) == (
        1, "route.test.mesh/one: the control plane refuses it:\na.yaml:1: no\n",
    )  # fmt: skip


def test_it_is_another_folder(place: Place) -> None:
    place.port.answers["/api/v1/wait"] = SYNCED | {"state": "ABSENT", "text": "is not there"}
    code, _, error = place.apply("--wait")
    assert code == 1
    assert error == (
        f"route.test.mesh/one: is not there; it was written to {place.config}, and this control"
        " plane follows /x, connected sidecars\n"
    )


def test_without_a_control_plane_nothing_is_written(place: Place) -> None:
    place.port.answers.clear()
    code, out, error = place.apply("--wait")
    assert (code, out) == (1, "")
    assert "is it a control plane of ours?" in error
    assert not place.config.exists()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--timeout", "5s"), "add --wait"),
        (("--wait", "--dry-run"), "there is nothing to wait for"),
        (("--wait", "--timeout", "soon"), "must be a duration"),
        (("--wait", "--timeout", "11m"), "must be a duration"),
        (("--wait", "--timeout", "0s"), "must be a duration"),
    ],
)
def test_flags_that_mean_nothing(place: Place, flags: tuple[str, ...], why: str) -> None:
    code, out, error = place.apply(*flags)
    assert (code, out) == (1, "")
    assert why in error
    assert not place.config.exists()


def test_without_wait_nobody_is_asked(place: Place) -> None:
    assert place.apply()[0] == 0
    assert place.port.asked == []
