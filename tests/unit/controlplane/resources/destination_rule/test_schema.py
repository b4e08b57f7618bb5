"""Shape of DestinationRule: what is read into what, and what is refused before any rule."""

from typing import Any

import pytest

from controlplane.resources.common.load_balancer import (
    ConsistentHashLB,
    HTTPCookie,
    LoadBalancerSettings,
    LocalityDistribute,
    LocalityFailover,
    LocalityLoadBalancerSetting,
)
from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.resources.common.traffic_policy import OutlierDetection, TrafficPolicy
from controlplane.resources.destination_rule.schema import DestinationRule, Subset
from controlplane.resources.schema import Seconds, decode


def test_a_whole_one() -> None:
    value = {
        "host": "reviews",
        "trafficPolicy": {
            "loadBalancer": {
                "consistentHash": {"httpCookie": {"name": "c", "ttl": "0s"}},
                "localityLbSetting": {
                    "distribute": [{"from": "us", "to": {"eu": 100}}],
                    "failover": [{"from": "us", "to": "eu"}],
                    "enabled": False,
                },
            },
            "outlierDetection": {"consecutive5xxErrors": 0, "interval": "10s"},
            "tls": {"mode": "SIMPLE", "insecureSkipVerify": True},
        },
        "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        "workloadSelector": {"matchLabels": {"app": "a"}},
    }
    result, problems = decode(DestinationRule, value, "spec")
    assert problems == []
    assert result == DestinationRule(
        host="reviews",
        traffic_policy=TrafficPolicy(
            load_balancer=LoadBalancerSettings(
                consistent_hash=ConsistentHashLB(http_cookie=HTTPCookie("c", ttl=Seconds(0))),
                locality_lb_setting=LocalityLoadBalancerSetting(
                    distribute=(LocalityDistribute(from_="us", to={"eu": 100}),),
                    failover=(LocalityFailover(from_="us", to="eu"),),
                    enabled=False,
                ),
            ),
            outlier_detection=OutlierDetection(consecutive_5xx_errors=0, interval=Seconds(10)),
            tls=ClientTLSSettings(mode="SIMPLE", insecure_skip_verify=True),
        ),
        subsets=(Subset("v1", labels={"version": "v1"}),),
        workload_selector=PolicySelector({"app": "a"}),
    )


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({}, "spec.host", "is required"),
        ({"host": "a", "subsets": [{}]}, "spec.subsets[0].name", "is required"),
        (
            {
                "host": "a",
                "trafficPolicy": {"loadBalancer": {"simple": "RANDOM", "consistentHash": {}}},
            },
            "spec.trafficPolicy.loadBalancer",
            "simple, consistentHash exclude each other; keep one",
        ),
        (
            {
                "host": "a",
                "trafficPolicy": {
                    "loadBalancer": {"consistentHash": {"useSourceIp": True, "httpHeaderName": "a"}}
                },
            },
            "spec.trafficPolicy.loadBalancer.consistentHash",
            "httpHeaderName, useSourceIp exclude each other; keep one",
        ),
        (
            {
                "host": "a",
                "trafficPolicy": {
                    "loadBalancer": {"consistentHash": {"ringHash": {}, "maglev": {}}}
                },
            },
            "spec.trafficPolicy.loadBalancer.consistentHash",
            "ringHash, maglev exclude each other; keep one",
        ),
        (
            {"host": "a", "trafficPolicy": {"loadBalancer": {"warmup": {}}}},
            "spec.trafficPolicy.loadBalancer.warmup.duration",
            "is required",
        ),
        (
            {
                "host": "a",
                "trafficPolicy": {
                    "loadBalancer": {"warmup": {"duration": "1s", "minimumPercent": 101}}
                },
            },
            "spec.trafficPolicy.loadBalancer.warmup.minimumPercent",
            "must be from 0 to 100, is 101.0",
        ),
        (
            {
                "host": "a",
                "trafficPolicy": {"outlierDetection": {"outlierDetectionHttpErrorCodes": [99]}},
            },
            "spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[0]",
            "must be from 100 to 599, is 99",
        ),
        (
            {"host": "a", "trafficPolicy": {"tunnel": {"targetHost": "a"}}},
            "spec.trafficPolicy.tunnel.targetPort",
            "is required",
        ),
        (
            {"host": "a", "trafficPolicy": {"tls": {"mode": "mutual"}}},
            "spec.trafficPolicy.tls.mode",
            "must be one of DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL; is 'mutual'",
        ),
    ],
)
def test_what_is_refused(value: dict[str, Any], path: str, reason: str) -> None:
    result, problems = decode(DestinationRule, value, "spec")
    assert result is None
    assert [(one.path, one.reason) for one in problems] == [(path, reason)]
