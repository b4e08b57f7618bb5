"""controlplane.commands.client: where the control plane is, and what it may answer."""

from __future__ import annotations

import pytest

from controlplane.commands import client
from controlplane.commands.client import Control, admin
from controlplane.commands.common import CommandError
from tests.support.ports import free_port
from tests.support.status_port import StatusPort


def test_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with StatusPort({"/a": {"b": 1}, "/bad": (400, "key: no\n"), "/text": (200, "x")}) as port:
        monkeypatch.setenv("MESH_CONTROL", port.url)
        control = Control(None)
        assert control.ask("/a", {"q": "x/y z"}) == {"b": 1}
        assert port.asked == ["/a?q=x%2Fy+z"]
        with pytest.raises(CommandError, match=r": key: no$"):
            control.ask("/bad")
        with pytest.raises(CommandError, match="is no JSON"):
            control.ask("/text")
        with pytest.raises(CommandError, match="knows no /c; is it a control plane"):
            control.ask("/c")


def test_nobody_is_there() -> None:
    with pytest.raises(CommandError, match=r"Connection refused\); is `mesh control` running"):
        Control(f"http://127.0.0.1:{free_port()}").ask("/a")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:15014", "https://127.0.0.1", "http://", "http://a:x", "http://a/b"]
)
def test_what_is_no_address_of_one(url: str) -> None:
    with pytest.raises(CommandError, match="is no address of a control plane"):
        Control(url)


def test_the_port_is_istiods() -> None:
    assert Control("http://localhost").url == "http://localhost"
    assert client.DEFAULT_CONTROL.endswith(":15014")


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1:15000", "evil.example:80", "localhost:80", "127.0.0.1", "127.0.0.1:0", ":80",
     "127.0.0.1:x", "127.0.0.1:99999"],
)  # fmt: skip
def test_a_proxy_sends_nobody_elsewhere(address: str) -> None:
    with pytest.raises(CommandError, match="only ports on loopback are asked"):
        admin(address, "/config_dump", "a.default")


def test_an_admin_port() -> None:
    with StatusPort({"/config_dump": {"configs": []}}) as port:
        assert admin(port.address, "/config_dump?include_eds", "a") == {"configs": []}
        with pytest.raises(CommandError, match=r"of a \(.*\) answers 404 to /x"):
            admin(port.address, "/x", "a")
    with pytest.raises(CommandError, match="does not answer: Connection refused"):
        admin(f"127.0.0.1:{free_port()}", "/x", "a")


def test_an_answer_without_an_end_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST", 10)
    with (
        StatusPort({"/a": "x" * 20}) as port,
        pytest.raises(CommandError, match="the answer has more than"),
    ):
        Control(port.url).ask("/a")
