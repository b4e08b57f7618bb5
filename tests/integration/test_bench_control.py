"""`mesh bench control`, on a mesh that is small enough for a test."""

from __future__ import annotations

import json

import pytest

from bench.cli import main

SMALL = ["control", "--sidecars", "4", "--services", "3", "--changes", "2", "--debounce", "0.001"]


def test_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--connections", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["setup"]["sidecars"] == 4
    assert all(value > 0 for value in found["figures"].values()), found


def test_it_shows_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SMALL) == 0
    text = capsys.readouterr().out
    assert "acknowledged by 4 streams" in text
    assert "≤ 0.15 MiB" in text


def test_a_stage_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--stage", "bench.control.nothing:Nothing"]) == 2
    assert "bench.control.stage ended with 1" in capsys.readouterr().err


def test_traffic_follows_a_route(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--sidecars", "5", "--carrying", "2", "--services", "2", "--changes", "4"]
    assert main(["control", "route-change", *small, "--debounce", "0.05", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["setup"]["debounce"] for one in found] == [0.05, 0.0]
    for one in found:
        figures = one["figures"]
        assert one["setup"]["debounce"] < figures["p50"] <= figures["p99"] <= figures["worst"]
        assert (figures["errors"], figures["went_back"]) == (0, 0)
        assert figures["requests"] > 4


def test_nothing_is_lost_while_everything_changes(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--requests", "40000", "--seconds", "60", "--connections", "4"]
    assert main(["control", "continuous-change", *small, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert (figures["good"], figures["wrong"]) == (40000, {})
    assert figures["changes"]["routes"] > 0
    assert figures["changes"]["endpoints listed or not"] > 0
    assert min(figures["versions"].values()) > 0


def test_scenarios_show_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    once = ["--sidecars", "2", "--carrying", "1", "--services", "1", "--changes", "2"]
    assert main(["control", "route-change", *once, "--debounce", "0"]) == 0
    assert "≤ 60 ms" in capsys.readouterr().out
    assert main(["control", "continuous-change", "--requests", "100", "--no-retries"]) == 0
    text = capsys.readouterr().out
    assert "requests answered as they should be        100" in text
