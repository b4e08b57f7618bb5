"""controlplane.translation.secrets: which Secrets a proxy is given."""

from __future__ import annotations

import pytest
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from controlplane.translation import secrets
from tests.support import meshes

MESH = """
apiVersion: v1
kind: Secret
metadata: {name: client}
type: kubernetes.io/tls
data: {tls.crt: eA==, tls.key: eQ==, ca.crt: eg==}
---
apiVersion: v1
kind: Secret
metadata: {name: other}
type: kubernetes.io/tls
data: {tls.crt: eA==, tls.key: eQ==}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: selecting}
spec:
  host: api.example.com
  workloadSelector: {matchLabels: {app: web}}
  trafficPolicy:
    portLevelSettings:
    - port: {number: 443}
      tls: {mode: MUTUAL, credentialName: client}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: for-all}
spec:
  host: b.example.com
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: other}}
"""
ROOTS = """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: roots}
data: {ca.crt: PEM}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: empty}
data: {other: PEM}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: by-roots}
spec:
  host: c.example.com
  workloadSelector: {matchLabels: {app: web}}
  trafficPolicy: {tls: {mode: SIMPLE, caCertCredentialName: configmap://default/roots}}
  subsets:
  - name: one
    trafficPolicy: {tls: {mode: SIMPLE, credentialName: configmap://default/empty}}
"""
WEB = (("app", "web"),)


@pytest.mark.parametrize(
    ("labels", "namespace", "name", "given"),
    [
        (WEB, "default", "kubernetes://client", True),
        (WEB, "default", "kubernetes://client-cacert", True),
        # No rule that selects it names this one.
        (WEB, "default", "kubernetes://other", False),
        ((("app", "shop"),), "default", "kubernetes://client", False),
        ((), "default", "kubernetes://client", False),
        (WEB, "elsewhere", "kubernetes://client", False),
        (WEB, "elsewhere", "kubernetes://default/client", False),
        (WEB, "default", "kubernetes://default/client", False),
        (WEB, "default", "client", False),
        (WEB, "default", "kubernetes://gone", False),
    ],
)
def test_a_sidecar_is_given_what_a_rule_that_selects_it_names(
    labels: tuple[tuple[str, str], ...], namespace: str, name: str, given: bool
) -> None:
    view = meshes.world(MESH).view()
    found = secrets.of_sidecar(view, namespace, labels, name)
    assert (found is not None) is given
    if found is not None:
        assert found.name == name


@pytest.mark.parametrize(
    ("labels", "namespace", "name", "given"),
    [
        (WEB, "default", "configmap://default/roots-cacert", True),
        # A ConfigMap has roots only.
        (WEB, "default", "configmap://default/roots", False),
        (WEB, "default", "configmap://default/empty-cacert", False),
        (WEB, "default", "configmap://default/gone-cacert", False),
        (WEB, "default", "configmap://roots-cacert", False),
        (WEB, "elsewhere", "configmap://default/roots-cacert", False),
        ((), "default", "configmap://default/roots-cacert", False),
    ],
)
def test_roots_from_a_config_map(
    labels: tuple[tuple[str, str], ...], namespace: str, name: str, given: bool
) -> None:
    view = meshes.world(MESH + ROOTS).view()
    found = secrets.of_sidecar(view, namespace, labels, name)
    assert (found is not None) is given
    if found is not None:
        built = Secret.FromString(found.body)
        assert built.validation_context.trusted_ca.inline_string == "PEM"
        # A gateway of the namespace needs no rule.
        assert secrets.secret(view, namespace, name) == found
