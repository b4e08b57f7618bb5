"""mesh.admin.endpoint"""

from __future__ import annotations

import pytest

from mesh.admin.endpoint import BadRequest, Query


def test_flags_and_values() -> None:
    query = Query("usedonly&filter=a%2Eb%5c&filter=second&plus=a+b")
    assert "usedonly" in query
    assert "other" not in query
    assert (query.get("filter"), query.get("plus"), query.get("none", "d")) == ("a.b\\", "a+b", "d")


@pytest.mark.parametrize(
    ("text", "value"), [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%41%C3%A9", "Aé"), ("%ff", "�")]
)
def test_odd_escapes(text: str, value: str) -> None:
    assert Query(f"x={text}").get("x") == value


def test_what_we_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(BadRequest, match="invert_filter is not implemented"):
        Query("invert_filter").only(["filter"], ["invert_filter"])
