"""From rounds to medians, ratios, verdicts and the table."""

from bench.gates import Cores
from bench.measure import Rig
from bench.peer import Peer
from bench.report import data, page
from bench.scenario import Bar, Figure, Round, Scenario
from bench.summary import ScenarioSummary, Spread, judge, ratio, summarise, summarise_peer
from bench.table import render


class Toy(Scenario):
    name = "toy"
    title = "a toy <b>"
    figures = (Figure("cpu_us", "CPU", "µs"), Figure("rps", "rate", "1/s", 0))
    bars = (
        Bar("cpu_us", 1.0, "nginx"),
        Bar("cpu_us", 0.28, "envoy"),
        Bar("rps", 1.0, "nginx", at_least=True),
        Bar("cpu_us", 30),
    )

    def measure(self, rig: Rig, peer: Peer) -> Round:
        raise AssertionError("not measured here")


def rounds(*values: float, rps: float = 1000.0) -> list[Round]:
    return [Round({"cpu_us": value, "rps": rps}) for value in values]


def summary() -> ScenarioSummary:
    found = {
        "ours": rounds(12, 14, 13, rps=900),
        "nginx": rounds(20, 26, 23),
        "envoy": rounds(50, 50, 50),
        "haproxy": rounds(1),
        "direct": [],
    }
    return summarise(Toy(), found, {"haproxy": "statuses 503: 1"}, {"direct": "no such thing"})


def test_a_spread_is_the_median_with_its_range() -> None:
    assert Spread.of([3.0, 1.0, 8.0, 2.0]) == Spread(2.5, 1.0, 8.0, 4)


def test_a_withheld_figure_takes_no_part_and_notes_are_counted() -> None:
    held = Round({"cpu_us": 11.0}, [Cores(0.5, 0.99, 0.4)], ["rps withheld"])
    peer = summarise_peer([*rounds(10, 12), held, held], None)
    assert peer.figures["cpu_us"].rounds == 4
    assert peer.figures["rps"].rounds == 2
    assert peer.notes == ["rps withheld (2 rounds)"]
    assert peer.strangers == 0.4


def test_disturbed_rounds_count_only_if_there_are_too_few_others() -> None:
    loud = Round({"cpu_us": 99.0}, [Cores(0.9, 0.9, 0.5)])
    calm = Round({"cpu_us": 10.0}, [Cores(0.9, 0.9, 0.1)])
    enough = summarise_peer([calm, loud, calm, calm], None)
    assert enough.figures["cpu_us"].high == 10
    assert enough.notes == ["left out, strangers had more than 30 % of a core: 1 rounds"]
    assert summarise_peer([calm, loud, calm], None).figures["cpu_us"].high == 99


def test_a_failed_peer_has_no_figures() -> None:
    peer = summary().peers["haproxy"]
    assert peer.failure == "statuses 503: 1"
    assert not peer.figures


def test_a_peer_that_is_not_able_has_no_figures_and_has_not_failed() -> None:
    peer = summary().peers["direct"]
    assert (peer.figures, peer.failure) == ({}, None)
    assert peer.notes == ["takes no part: no such thing"]


def test_ratios_are_of_medians_and_none_without_both() -> None:
    peers = summary().peers
    assert ratio(peers, "cpu_us", "nginx") == 13 / 23
    assert ratio(peers, "cpu_us", "haproxy") is None
    assert ratio(peers, "cpu_us", "nobody") is None


def test_bars() -> None:
    peers = summary().peers
    assert [verdict.passed for verdict in summary().verdicts] == [True, True, False, True]
    assert judge(Bar("cpu_us", 0.2, "envoy"), peers).passed is False
    assert judge(Bar("cpu_us", 1.0, "haproxy"), peers).passed is None


def test_the_table_tells_figures_ratios_failures_and_bars() -> None:
    text = render(summary())
    assert "13.0 ±8%" in text
    assert "0.57" in text
    assert "FAILED haproxy: statuses 503: 1" in text
    assert "pass   CPU ≤ 1 x nginx: 0.57" in text
    assert "MISS   rate ≥ 1 x nginx: 0.90" in text
    lines = text.splitlines()[1:4]
    assert len({len(line) for line in lines}) == 1


def test_the_page_is_self_contained_and_escaped() -> None:
    html = page.render({"kernel": "6 & up"}, [summary()])
    assert "a toy &lt;b&gt;" in html
    assert "6 &amp; up" in html
    assert "<svg" in html
    assert "http://" not in html
    assert "src=" not in html


def test_the_document_holds_every_round_figure() -> None:
    document = data.document({}, {"rounds": 3}, [summary()])
    (scenario,) = document["scenarios"]
    assert scenario["peers"]["ours"]["figures"]["cpu_us"]["median"] == 13
    assert scenario["peers"]["haproxy"]["failure"] == "statuses 503: 1"
