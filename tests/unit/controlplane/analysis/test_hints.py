"""controlplane.analysis.hints"""

from __future__ import annotations

from controlplane.analysis.hints import meant, there_are


def test_a_near_name() -> None:
    assert meant("reveiws", ["ratings", "reviews"]) == "; did you mean reviews?"
    assert meant("gw", ["istio-system/gw", "gv"]) == "; did you mean istio-system/gw?"
    assert meant("x", ["ratings", "reviews"]) == ""
    assert meant("name-1x", (f"name-{number}" for number in range(1_001))) == ""


def test_what_there_is() -> None:
    assert there_are([80, 81, 80], "ports") == "; there are the ports 80, 81"
    assert there_are([], "subsets") == "; there are no subsets"
