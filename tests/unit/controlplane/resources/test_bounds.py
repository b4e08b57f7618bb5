"""Resources that are too large: refused, or warned of, and in no more time than reading takes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.documents import problems_of


def _virtual_service(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "spec": {"hosts": ["a"], **spec},
    }


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (100 * 1024, []),
        (
            100 * 1024 + 1,
            ["warning: every proxy holds these 102401 bytes; let a service answer"],
        ),
        (1024 * 1024 + 1, ["must be 1 MiB at most, has 1048577 bytes; let a service answer"]),
    ],
)
@pytest.mark.parametrize("form", ["string", "bytes"])
def test_bodies(size: int, said: list[str], form: str) -> None:
    text = "x" * size
    body = {form: text if form == "string" else base64.b64encode(text.encode()).decode()}
    document = _virtual_service(http=[{"directResponse": {"status": 200, "body": body}}])
    path = "spec.http[0].directResponse.body"
    assert problems_of(document) == [f"{path}: {one}" for one in said]


def test_a_service_entry_has_bounded_lists() -> None:
    document = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "spec": {
            "hosts": ["a.example"] * 257,
            "addresses": ["1.2.3.4"] * 257,
            "ports": [{"number": n, "name": f"p{n}", "protocol": "HTTP"} for n in range(1, 258)],
            "endpoints": [{"address": "1.2.3.4"}] * 4097,
            "resolution": "STATIC",
        },
    }
    assert problems_of(document) == [
        "spec.hosts: has 257 entries, 256 at most; split the ServiceEntry",
        "spec.addresses: has 257 entries, 256 at most; split the ServiceEntry",
        "spec.ports: has 257 entries, 256 at most; split the ServiceEntry",
        "spec.endpoints: has 4097 entries, 4096 at most; split the ServiceEntry",
    ]


def test_a_secret_is_bounded() -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "stringData": {"a": "x" * (1024 * 1024), "b": "y"},
    }
    assert problems_of(document) == ["data: has 1048577 bytes, 1048576 at most"]


def test_long_texts_are_cut_in_messages() -> None:
    document = _virtual_service(
        hosts=["x_" * 100], http=[{"route": [{"destination": {"host": "y_" * 10_000}}]}]
    )
    assert all(len(line) < 300 for line in problems_of(document))


def test_the_search_for_covered_prefixes_ends() -> None:
    # Half a million pairs; each alone would be compared with all before it.
    http = [
        {"match": [{"uri": {"prefix": f"/{n}/"}}], "route": [{"destination": {"host": "a"}}]}
        for n in range(1000)
    ]
    assert problems_of(_virtual_service(http=http)) == []


def test_conditions_of_a_longer_prefix_do_not_hide_it() -> None:
    """Only what the shorter prefix asks for as well is covered by it."""

    def said(first: dict[str, Any], second: dict[str, Any]) -> int:
        route = [{"destination": {"host": "a"}}]
        matches = ({"uri": {"prefix": "/a"}, **first}, {"uri": {"prefix": "/a/b"}, **second})
        http = [{"match": [match], "route": route} for match in matches]
        return len(problems_of(_virtual_service(http=http)))

    exact = {"exact": "x"}
    assert said({}, {}) == 1
    assert said({}, {"port": 80, "headers": {"h": exact}, "method": exact}) == 1
    assert said({"port": 80}, {"port": 80}) == 1
    assert said({"port": 80}, {}) == 0
    assert said({"method": exact}, {}) == 0
    assert said({"headers": {"h": exact}}, {"headers": {"h": {"exact": "y"}}}) == 0
    assert said({"withoutHeaders": {"h": exact}}, {}) == 0
    assert said({}, {"ignoreUriCase": True}) == 0
    assert said({"gateways": ["mesh"]}, {}) == 0
