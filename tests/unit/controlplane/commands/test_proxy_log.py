"""controlplane.commands.proxy_log: levels shown and set at the sidecar that is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controlplane.commands import proxy_config
from tests.support.status_port import StatusPort

LEVELS = "active loggers:\n  main: info\n"


@pytest.fixture
def admin() -> Iterator[StatusPort]:
    with StatusPort({"/logging": (200, LEVELS)}) as made:
        yield made


@pytest.fixture
def control(admin: StatusPort) -> Iterator[StatusPort]:
    proxies = [{"proxy": "one.default", "identity": "x", "admin": admin.address}]
    with StatusPort({"/api/v1/proxies": {"proxies": proxies}}) as made:
        yield made


@pytest.mark.parametrize(
    ("flags", "asked"),
    [
        ((), ["POST /logging"]),
        (("--level", "debug"), ["POST /logging?level=debug"]),
        (("--level", "none"), ["POST /logging?level=off"]),
        (("-r",), ["POST /logging?level=warning"]),
        (("--level", "main:debug,http=WARN"), ["POST /logging?paths=main:debug,http:warning"]),
        (
            ("--level", "a b:off,error"),
            ["POST /logging?level=error", "POST /logging?paths=a%20b:off"],
        ),
    ],
)
def test_what_is_asked(
    admin: StatusPort,
    control: StatusPort,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    asked: list[str],
) -> None:
    code = proxy_config.main(["log", "one", *flags, "--control", control.url])
    assert (code, *capsys.readouterr()) == (0, f"one.default:\n{LEVELS}", "")
    assert admin.asked == asked


@pytest.mark.parametrize("level", ["loud", "main:", ":debug", "main:debug,", "debug,,info"])
def test_levels_that_are_none(capsys: pytest.CaptureFixture[str], level: str) -> None:
    assert proxy_config.main(["log", "one", "--level", level]) == 1
    assert "write LEVEL or LOGGER:LEVEL; levels are trace, debug" in capsys.readouterr().err


def test_a_logger_that_the_sidecar_does_not_have(
    admin: StatusPort, control: StatusPort, capsys: pytest.CaptureFixture[str]
) -> None:
    admin.answers["/logging"] = (400, "error: unknown logger name\n\nusage: ...")
    code = proxy_config.main(["o", "one", "--level", "x:info", "--control", control.url])
    assert code == 1
    error = capsys.readouterr().err
    assert error == (
        f"the admin port of one.default ({admin.address}): error: unknown logger name\n"
    )
