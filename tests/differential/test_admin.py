"""The admin port: statuses, types and texts that scripts depend on, and the names of stats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.differential.accepted import ACCEPTED_STATS
from tests.differential.admin_probe import FOLDER, QUESTIONS, AdminLab, Answer
from tests.support import config
from tests.support.ports import free_port
from tests.support.proxies import ENVOY, OURS, Proxy

# Not asked of ours in this release: profilers, runtime layers, dumps of Envoy's insides.
NOT_OURS = ("/memory", "/runtime", "/init_dump", "/hot_restart_version", "/reopen_logs")
IN_SCOPE = [q for q in QUESTIONS if not q[1].startswith(NOT_OURS)]


class Pair:
    """Both proxies, asked the same questions in the same order."""

    def __init__(self, workdir: Path) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.stats: dict[str, dict[str, str]] = {}
        self.texts: dict[str, dict[str, str]] = {}
        for kind in (ENVOY, OURS):
            lab = AdminLab(kind, workdir / kind)
            try:
                lab.traffic()
                lab.proxy.wait_stat("http.web.downstream_rq_total", 4)
                body = lab.normal(lab.ask("/stats?usedonly").body)
                self.stats[kind] = dict(line.split(": ", 1) for line in body.splitlines())
                self.texts[kind] = {
                    name: lab.normal(lab.ask(target).body)
                    for name, target in {
                        "clusters.txt": "/clusters",
                        "clusters.json": "/clusters?format=json",
                        "listeners.txt": "/listeners",
                        "listeners.json": "/listeners?format=json",
                        "certs.json": "/certs",
                        "config_dump": "/config_dump",
                        "server_info.json": "/server_info",
                        "prometheus.txt": "/stats/prometheus?usedonly",
                    }.items()
                }
                self.answers[kind] = [lab.ask(target, method) for method, target in QUESTIONS]
            finally:
                lab.stop()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Started once."""
    yield Pair(tmp_path_factory.mktemp("admin"))


@pytest.mark.parametrize(
    "number",
    [i for i, q in enumerate(QUESTIONS) if q in IN_SCOPE],
    ids=lambda i: " ".join(QUESTIONS[i]),
)
def test_status_and_type(pair: Pair, number: int) -> None:
    """Same status, same content type."""
    envoy, ours = pair.answers[ENVOY][number], pair.answers[OURS][number]
    assert ours.status == envoy.status, ours.body[:300]
    assert ours.header("content-type") == envoy.header("content-type")


_TEXTS = [
    (method, target)
    for method, target in IN_SCOPE
    if method != "HEAD"
    and target.startswith(("/ready?", "/healthcheck", "/reset", "/quit", "/drain"))
]


@pytest.mark.parametrize("question", [*_TEXTS, ("GET", "/ready")], ids=" ".join)
def test_short_texts(pair: Pair, question: tuple[str, str]) -> None:
    """LIVE, OK, the refusal of GET: word for word."""
    for number, asked in enumerate(QUESTIONS):
        if asked == question:
            assert pair.answers[OURS][number].body == pair.answers[ENVOY][number].body


@pytest.mark.parametrize("name", ["listeners.txt", "listeners.json", "certs.json"])
def test_whole_texts(pair: Pair, name: str) -> None:
    """Small answers are the same to the byte."""
    assert pair.texts[OURS][name] == pair.texts[ENVOY][name]


def test_clusters_text(pair: Pair) -> None:
    """`cluster::host::stat::value` lines: the same set."""
    envoy, ours = (set(pair.texts[kind]["clusters.txt"].splitlines()) for kind in (ENVOY, OURS))
    assert sorted(ours - envoy) == []
    assert sorted(envoy - ours) == []


def test_clusters_json(pair: Pair) -> None:
    """The same content, clusters and stats in any order."""

    def normal(text: str) -> object:
        # The masked ports stand where numbers were.
        tree = json.loads(text.replace("${a}", "1").replace("${down}", "2"))
        for status in tree["cluster_statuses"]:
            for host in status["host_statuses"]:
                host["stats"].sort(key=lambda stat: stat["name"])
        return sorted(tree["cluster_statuses"], key=lambda status: status["name"])

    assert normal(pair.texts[OURS]["clusters.json"]) == normal(pair.texts[ENVOY]["clusters.json"])


def test_stats_of_envoy_are_there(pair: Pair) -> None:
    """Each stat Envoy has written to is there under the same name, but for the accepted ones."""
    missing = [
        name
        for name in pair.stats[ENVOY]
        if name not in pair.stats[OURS]
        and not any(fnmatchcase(name, pattern) for pattern in ACCEPTED_STATS)
    ]
    assert not missing, "\n".join(["", *missing])


def test_stats_have_the_same_values(pair: Pair) -> None:
    """Counters of the traffic: requests, responses, connections, routes, members."""
    wrong = {
        name: (value, pair.stats[OURS][name])
        for name, value in pair.stats[ENVOY].items()
        if name in pair.stats[OURS]
        and name.startswith(("cluster.", "http.web.", "listener.127", "cluster_manager."))
        and value.isdigit()
        and "bytes" not in name
        and not any(fnmatchcase(name, pattern) for pattern in ACCEPTED_STATS)
        and pair.stats[OURS][name] != value
    }
    rows = [f"{name}: envoy {a}, ours {b}" for name, (a, b) in wrong.items()]
    assert not wrong, "\n".join(["", *rows])


def test_prometheus_series(pair: Pair) -> None:
    """The same metric names with the same labels, but for those of accepted stats."""

    def series(text: str) -> set[str]:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {line.rsplit(" ", 1)[0] for line in lines}

    envoy = {
        line
        for line in series(pair.texts[ENVOY]["prometheus.txt"])
        if line.startswith(("envoy_cluster_upstream_rq", "envoy_cluster_upstream_cx",
                            "envoy_http_downstream_rq", "envoy_cluster_membership"))
        and "admin" not in line
    }  # fmt: skip
    missing = sorted(envoy - series(pair.texts[OURS]["prometheus.txt"]))
    assert not missing, "\n".join(["", *missing])


def test_prometheus_types(pair: Pair) -> None:
    """A metric both have is of the same type in both."""

    def types(text: str) -> dict[str, str]:
        rows = [line.split() for line in text.splitlines() if line.startswith("# TYPE")]
        return {row[2]: row[3] for row in rows}

    envoy, ours = (types(pair.texts[kind]["prometheus.txt"]) for kind in (ENVOY, OURS))
    assert {n: t for n, t in ours.items() if n in envoy} == {
        n: t for n, t in envoy.items() if n in ours
    }


def test_config_dump_sections(pair: Pair) -> None:
    """The same sections in the same order, the static resources in them."""

    def sections(text: str) -> list[tuple[str, list[str]]]:
        for name in ("${admin}", "${listener}", "${a}", "${down}"):
            text = text.replace(name, "1")
        return [(c["@type"], sorted(c)) for c in json.loads(text)["configs"]]

    assert sections(pair.texts[OURS]["config_dump"]) == sections(pair.texts[ENVOY]["config_dump"])


def test_server_info_keys(pair: Pair) -> None:
    """Every top-level key of Envoy's, and the node as configured."""
    text = pair.texts[OURS]["server_info.json"]
    ours, envoy = json.loads(text), json.loads(pair.texts[ENVOY]["server_info.json"])
    assert set(ours) >= set(envoy)
    assert ours["state"] == "LIVE"
    assert (ours["node"]["id"], ours["node"]["cluster"]) == ("node-1", "admin")


def test_golden_answers_are_todays(pair: Pair) -> None:
    """oracle/admin/answers.json is what this Envoy says."""
    golden = json.loads((FOLDER / "answers.json").read_text())
    today = [
        (f"{m} {t}", a.status) for (m, t), a in zip(QUESTIONS, pair.answers[ENVOY], strict=True)
    ]
    assert [(g["ask"], g["status"]) for g in golden] == today


def test_canaries_are_shown(tmp_path: Path) -> None:
    """`canary` of `envoy.lb`, where it is the boolean."""
    values = [True, False, "true", 1, None]
    shown = {}
    for kind in (ENVOY, OURS):
        endpoints = []
        for port, value in enumerate(values, 9001):
            lb = {} if value is None else {"canary": value}
            endpoint: config.Tree = {"endpoint": {"address": config.address(port)}}
            endpoints.append({**endpoint, "metadata": {"filter_metadata": {"envoy.lb": lb}}})
        cluster = config.cluster(
            "a", load_assignment={"cluster_name": "a", "endpoints": [{"lb_endpoints": endpoints}]}
        )
        admin = free_port()
        with Proxy(kind, config.bootstrap(admin, [], [cluster]), tmp_path / kind, admin) as proxy:
            lines = proxy.admin("GET", "/clusters")[1].splitlines()
            shown[kind] = sorted(line for line in lines if "::canary::" in line)
    assert shown[OURS] == shown[ENVOY]
    assert [line.endswith("true") for line in shown[ENVOY]] == [True, False, False, False, False]
