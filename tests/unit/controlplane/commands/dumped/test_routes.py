"""controlplane.commands.dumped.routes: which requests, and whose VirtualService."""

from __future__ import annotations

from controlplane.commands.dumped.dump import Dump
from controlplane.commands.dumped.routes import chosen, rows
from tests.support.dumps import FQDN, dump

HELD = Dump(dump(), "x").routes()


def test_rows() -> None:
    host = ["9080", f"{FQDN}:9080", "reviews, reviews:9080 + 2 more..."]
    matches = ["/a* header end-user query q", "/b", "regex /c.*", "PathPrefix:/d", "CONNECT"]
    assert list(rows(HELD)) == [
        ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"],
        *([*host, match, "reviews.default"] for match in matches),
        ["9080", "block_all", "*", "/*", "404"],
        ["empty", "", "", "", "404"],
    ]


def test_filters() -> None:
    assert [one.name for one in chosen(HELD, name="empty")] == ["empty"]
    (one,) = chosen(HELD, fqdn=FQDN)
    assert [host["name"] for host in one.value["virtual_hosts"]] == [f"{FQDN}:9080"]
    assert chosen(HELD, fqdn="reviews.default") == [one]
    assert chosen(HELD, fqdn="other") == []
