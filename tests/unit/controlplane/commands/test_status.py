"""controlplane.commands.status: the table, what is refused under it, one in detail."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from controlplane.commands import client, status
from controlplane.commands.common import CommandError
from tests.support.dumps import FQDN, dump
from tests.support.status_port import StatusPort


def kind(state: str, text: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "state": state, "text": text, "sent": 3, "acked": 2, "sent_seconds_ago": 5.0,
        "answered_seconds_ago": 65.0, "refused": {}, "resources": 1, "subscribed": True,
    } | fields  # fmt: skip


def proxy(name: str, agent: str = "envoy/1.40.0", **types: dict[str, Any]) -> dict[str, Any]:
    unwanted = kind("NOT SENT", "not subscribed to", subscribed=False)
    return {
        "proxy": f"{name}.default", "namespace": "default", "cluster_id": "", "agent": agent,
        "istio_version": "", "identity": "spiffe://x", "address": "10.0.0.1",
        "admin": "127.0.0.1:1", "protocol": "delta", "connected_seconds": 61.0,
        "types": {one: types.get(one, unwanted) for one in ("cds", "eds", "lds", "rds", "sds")},
    }  # fmt: skip


HELD = "PassthroughCluster, dynamic, inbound|9080||, " + ", ".join(
    [f"outbound|9080|v1|{FQDN}", f"outbound|9080||{FQDN}"]
)
BAD = kind("ERROR", "9080: no\nsuch", refused={"9080": "v1"}, answered_seconds_ago=1.0)
PROXIES = [
    proxy("one", cds=kind("SYNCED"), lds=kind("STALE", "sent, not answered yet"), rds=BAD),
    proxy("two", agent="", cds=kind("NOT SENT", "not sent yet", answered_seconds_ago=None)),
]
CONTROL = {"version": "1.2.3", "name": "here", "source": "/x"}


@pytest.fixture
def port() -> Iterator[StatusPort]:
    answers = {
        "/api/v1/proxies": {
            "control": CONTROL,
            "proxies": PROXIES,
            "resources": {"cds": {"a": ""}},
        },
        "/api/v1/refused": {
            "refused": [{"text": "a.yaml:1: no\na.yaml:2: not"}],
            "warnings": [{"text": "b.yaml:1: hm"}],
            "more": 0,
        },
    }
    with StatusPort(answers) as made:
        yield made


def said(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str, str]:
    code = status.main(list(flags))
    return code, *capsys.readouterr()


def test_all(port: StatusPort, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "--control", port.url)
    assert code == 0
    assert out.splitlines() == [
        "NAME          CLUSTER   ISTIOD   VERSION        SUBSCRIBED TYPES",
        "one.default   -         here     envoy/1.40.0   3 (CDS,LDS,RDS)",
        "two.default   -         here     -              1 (CDS)",
        "",
        "Refused by proxies:",
        "  one.default RDS: 9080: no; such",
        "",
        "Late:",
        "  one.default LDS: sent, not answered yet",
        "",
        "The control plane refuses:",
        "  a.yaml:1: no",
        "  a.yaml:2: not",
        "",
        "The control plane warns of:",
        "  b.yaml:1: hm",
    ]


def test_a_column_for_each_type(port: StatusPort, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "--control", port.url, "-v")
    titles, one, two, *_ = out.splitlines()
    assert titles.split()[4:] == ["CDS", "LDS", "EDS", "RDS", "SDS", "ECDS"]
    cells = [cell.strip() for cell in re.split(" {3,}", one)]
    assert cells[4:] == ["SYNCED (65s)", "STALE (5s)", "-", "ERROR (1s)", "-", "-"]
    assert "NOT SENT" in two


def test_one(port: StatusPort, capsys: pytest.CaptureFixture[str]) -> None:
    port.answers["/api/v1/proxies"]["proxies"] = PROXIES[:1]
    code, out, _ = said(capsys, "--control", port.url, "one")
    assert code == 0
    assert port.asked[-1] == "/api/v1/proxies?name=one.default&identity=spiffe%3A%2F%2Fx"
    assert "Identity: spiffe://x\n" in out
    assert "RDS ERROR: 9080: no; such\n  refuses 9080 (version v1)" in out
    assert "\nCDS:\n  a\n" in out


def test_the_unhealthy(port: StatusPort, capsys: pytest.CaptureFixture[str]) -> None:
    ill = proxy("ill") | {"unhealthy": "GET http://127.0.0.1:80/ was answered with\x1b 500"}
    # A sidecar with two streams is one workload.
    port.answers["/api/v1/proxies"]["proxies"] = [ill, ill, proxy("well") | {"unhealthy": ""}]
    code, out, _ = said(capsys, "--control", port.url)
    assert code == 0
    title = "\nUnhealthy, and out of all endpoints:\n"
    assert out.count(title) == 1
    _, _, rest = out.partition(title)
    (line,) = [one for one in rest.splitlines() if "was answered" in one]
    assert line.startswith("  ill.default: ")
    assert "\x1b" not in line
    port.answers["/api/v1/proxies"]["proxies"] = [ill]
    _, out, _ = said(capsys, "--control", port.url, "ill")
    assert "Health:   " in out
    assert "\x1b" not in out


def test_one_is_compared_with_what_it_holds(
    port: StatusPort, capsys: pytest.CaptureFixture[str]
) -> None:
    with StatusPort({"/config_dump": dump()}) as admin:
        held = PROXIES[0] | {"admin": admin.address}
        port.answers["/api/v1/proxies"]["proxies"] = [held]
        code, out, error = said(capsys, "--control", port.url, "one")
    assert (code, error) == (0, "")
    differ = f"Clusters differ; sent and not held: a; held and not sent: {HELD}"
    assert out.splitlines()[-1] == differ
    assert admin.asked == ["/config_dump?include_eds"]
    code, _, error = said(capsys, "--control", port.url, "one")
    assert code == 0
    assert error.startswith("\nWhat it holds is not known: the admin port of one.default (127.0")


def test_one_that_is_not_there(port: StatusPort, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = said(capsys, "--control", port.url, "three")
    assert (code, out) == (1, "")
    assert "three is not connected" in error
    assert error.endswith("connected are: one.default, two.default\n")


def test_values(port: StatusPort, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "--control", port.url, "-o", "json", "-n", "other")
    found = json.loads(out)
    assert (found["proxies"], found["control"]) == ([], CONTROL)
    assert len(found["refused"]) == 1


def test_two_identities_of_one_name_are_told_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Anybody of a namespace may call itself as it likes; what is shown is of one of them."""
    mine, thief = (
        f"spiffe://cluster.local/ns/default/sa/{account}" for account in ("one", "thief")
    )
    proxies = [
        proxy("one") | {"identity": thief, "admin": "127.0.0.1:6"},
        proxy("one") | {"identity": mine},
    ]
    answer = {"control": CONTROL, "proxies": proxies, "resources": {}}
    with StatusPort({"/api/v1/proxies": answer}) as port:
        code, _, why = said(capsys, "one", "--control", port.url)
        assert code == 1
        assert why == f"{mine} and {thief} are one: say one@one or one@thief\n"
        for name in ("one@one", "one.default@one"):
            found = status.find(client.Control(port.url), name, None)
            assert (found["identity"], found["admin"]) == (mine, "127.0.0.1:1")
        with pytest.raises(CommandError, match="one is not connected"):
            status.find(client.Control(port.url), "one@two", None)
