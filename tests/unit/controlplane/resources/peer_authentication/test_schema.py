"""Fields of PeerAuthentication."""

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.peer_authentication import KIND
from controlplane.resources.peer_authentication.schema import MutualTls, PeerAuthentication
from tests.support.judging import judge


def test_names() -> None:
    assert KIND.api_versions() == ("security.istio.io/v1", "security.istio.io/v1beta1")
    assert (KIND.plural, KIND.short) == ("peerauthentications", ("pa",))


def test_every_field() -> None:
    spec, errors, warnings = judge(
        KIND,
        """
        selector: {matchLabels: {app: reviews}}
        mtls: {mode: STRICT}
        portLevelMtls:
          8080: {mode: DISABLE}
          "9080": {}
        """,
    )
    assert (errors, warnings) == ([], [])
    assert spec == PeerAuthentication(
        selector=PolicySelector({"app": "reviews"}),
        mtls=MutualTls("STRICT"),
        port_level_mtls={8080: MutualTls("DISABLE"), 9080: MutualTls("UNSET")},
    )


def test_nothing_is_required() -> None:
    assert judge(KIND, "{}") == (PeerAuthentication(), [], [])
