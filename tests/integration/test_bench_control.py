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
