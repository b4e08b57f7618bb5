"""Istio's names."""

import pytest

from controlplane.translation import names


def test_names_of_clusters() -> None:
    host = "reviews.default.svc.cluster.local"
    assert names.outbound(9080, "v1", host) == f"outbound|9080|v1|{host}"
    assert names.parse_outbound(f"outbound|9080|v1|{host}") == (9080, "v1", host)
    assert names.inbound(8080) == "inbound|8080||"
    assert names.sni(9080, "v1", host) == f"outbound_.9080_.v1_.{host}"
    assert names.parse_sni(f"outbound_.9080_.v1_.{host}") == (9080, "v1", host)
    assert names.parse_sni(f"outbound_.9080_._.{host}") == (9080, "", host)
    assert names.parse_sni(f"outbound|9080|v1|{host}") is None


@pytest.mark.parametrize(
    "name", ["", "outbound", "inbound|80||", "outbound|x||h", "outbound|0||h", "outbound|65536||h",
             "outbound|²||h", "outbound|80|h"]
)  # fmt: skip
def test_other_names(name: str) -> None:
    assert names.parse_outbound(name) is None
