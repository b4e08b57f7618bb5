"""Fields of ProxyConfig."""

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.proxy_config import KIND
from controlplane.resources.proxy_config.schema import ProxyConfig, ProxyImage
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("networking.istio.io/v1beta1",)
    assert (KIND.plural, KIND.short) == ("proxyconfigs", ())


def test_every_field() -> None:
    spec, errors, warnings = judge(
        KIND,
        """
        selector: {matchLabels: {app: a}}
        concurrency: 0
        environmentVariables: {ISTIO_META_DNS_CAPTURE: "true"}
        image: {imageType: distroless}
        """,
    )
    assert (errors, warnings) == ([], [])
    assert spec == ProxyConfig(
        selector=PolicySelector({"app": "a"}),
        concurrency=0,
        environment_variables={"ISTIO_META_DNS_CAPTURE": "true"},
        image=ProxyImage("distroless"),
    )
    assert judge(KIND, "{}")[0] == ProxyConfig(concurrency=None)
