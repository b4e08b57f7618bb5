"""Shape of VirtualService: what is read into what, and what is refused before any rule."""

from typing import Any

import pytest

from controlplane.resources.common.destination import Destination, PortSelector
from controlplane.resources.common.headers import HeaderOperations, Headers
from controlplane.resources.common.match import StringMatch
from controlplane.resources.common.percent import Percent
from controlplane.resources.common.retry import HTTPRetry
from controlplane.resources.schema import Seconds, decode
from controlplane.resources.virtual_service.schema import (
    CorsPolicy,
    Delay,
    HTTPBody,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPMatchRequest,
    HTTPRoute,
    HTTPRouteDestination,
    TLSMatchAttributes,
    TLSRoute,
    VirtualService,
)


def test_a_whole_one() -> None:
    value = {
        "hosts": ["reviews"],
        "http": [
            {
                "match": [{"uri": {"prefix": "/a"}, "withoutHeaders": {"x": {}}}],
                "route": [
                    {
                        "destination": {"host": "reviews", "subset": "v2", "port": {"number": 9}},
                        "weight": 90,
                        "headers": {"request": {"set": {"a": "b"}}},
                    }
                ],
                "timeout": "1m0.5s",
                "retries": {"attempts": 3, "retryIgnorePreviousHosts": False},
                "fault": {"delay": {"fixedDelay": "7s", "percentage": {"value": 0.1}}},
                "mirror_percent": 5,
                "corsPolicy": {"unmatchedPreflights": "IGNORE", "allowCredentials": True},
            },
            {"directResponse": {"status": 200, "body": {"bytes": "aGk="}}},
        ],
        "tls": [{"match": [{"sniHosts": ["a"]}]}],
        "exportTo": ["."],
    }
    result, problems = decode(VirtualService, value, "spec")
    assert problems == []
    assert result == VirtualService(
        hosts=("reviews",),
        http=(
            HTTPRoute(
                match=(
                    HTTPMatchRequest(
                        uri=StringMatch(prefix="/a"), without_headers={"x": StringMatch()}
                    ),
                ),
                route=(
                    HTTPRouteDestination(
                        Destination("reviews", subset="v2", port=PortSelector(9)),
                        weight=90,
                        headers=Headers(request=HeaderOperations(set={"a": "b"})),
                    ),
                ),
                timeout=Seconds(60.5),
                retries=HTTPRetry(attempts=3, retry_ignore_previous_hosts=False),
                fault=HTTPFaultInjection(
                    delay=Delay(fixed_delay=Seconds(7), percentage=Percent(0.1))
                ),
                mirror_percent=5,
                cors_policy=CorsPolicy(unmatched_preflights="IGNORE", allow_credentials=True),
            ),
            HTTPRoute(direct_response=HTTPDirectResponse(200, HTTPBody(raw=b"hi"))),
        ),
        tls=(TLSRoute(match=(TLSMatchAttributes(sni_hosts=("a",)),)),),
        export_to=(".",),
    )


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"host": ["a"]}, "spec.host", "there is no such field; did you mean hosts?"),
        (
            {"hosts": ["a"], "http": [{"route": [{}]}]},
            "spec.http[0].route[0].destination",
            "is required",
        ),
        (
            {"hosts": ["a"], "http": [{"route": [{"destination": {"subset": "v1"}}]}]},
            "spec.http[0].route[0].destination.host",
            "is required",
        ),
        (
            {"hosts": ["a"], "http": [{"match": [{"uri": {"exact": "/", "prefix": "/"}}]}]},
            "spec.http[0].match[0].uri",
            "exact, prefix exclude each other; keep one",
        ),
        (
            {
                "hosts": ["a"],
                "http": [{"redirect": {"port": 80, "derivePort": "FROM_REQUEST_PORT"}}],
            },
            "spec.http[0].redirect",
            "port, derivePort exclude each other; keep one",
        ),
        (
            {
                "hosts": ["a"],
                "http": [
                    {"directResponse": {"status": 200, "body": {"string": "a", "bytes": "aGk="}}}
                ],
            },
            "spec.http[0].directResponse.body",
            "string, bytes exclude each other; keep one",
        ),
        (
            {
                "hosts": ["a"],
                "http": [{"fault": {"delay": {"fixedDelay": "1s", "exponentialDelay": "1s"}}}],
            },
            "spec.http[0].fault.delay",
            "fixedDelay, exponentialDelay exclude each other; keep one",
        ),
        (
            {
                "hosts": ["a"],
                "http": [{"fault": {"abort": {"httpStatus": 500, "grpcStatus": "OK"}}}],
            },
            "spec.http[0].fault.abort",
            "httpStatus, grpcStatus exclude each other; keep one",
        ),
        (
            {"hosts": ["a"], "http": [{"timeout": "5"}]},
            "spec.http[0].timeout",
            "must be a duration like 1.5s or 500ms, is '5'",
        ),
        (
            {"hosts": ["a"], "http": [{"timeout": "9999999999h"}]},
            "spec.http[0].timeout",
            "must be shorter than 10000 years, is '9999999999h'",
        ),
        (
            {
                "hosts": ["a"],
                "http": [{"route": [{"destination": {"host": "a"}, "weight": 2147483648}]}],
            },
            "spec.http[0].route[0].weight",
            "must be from -2147483648 to 2147483647, is 2147483648",
        ),
        (
            {"hosts": ["a"], "http": [{"corsPolicy": {"unmatchedPreflights": "x"}}]},
            "spec.http[0].corsPolicy.unmatchedPreflights",
            "must be one of UNSPECIFIED, FORWARD, IGNORE; is 'x'",
        ),
        ({"hosts": ["a"], "tls": [{}]}, "spec.tls[0].match", "is required"),
        (
            {"hosts": ["a"], "tls": [{"match": [{}]}]},
            "spec.tls[0].match[0].sniHosts",
            "is required",
        ),
    ],
)
def test_what_is_refused(value: dict[str, Any], path: str, reason: str) -> None:
    result, problems = decode(VirtualService, value, "spec")
    assert result is None
    assert [(one.path, one.reason) for one in problems] == [(path, reason)]
