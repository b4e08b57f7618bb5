"""YAML that many meshes of tests have."""

from __future__ import annotations

#: All of a mesh's traffic is mutual TLS.
STRICT = """---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""


def service(name: str, port: int = 9080, called: str = "http") -> str:
    """A Service with one port, named or not; what stands behind it has its name as `app`."""
    named = f", name: {called}" if called else ""
    return f"""---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{port: {port}{named}}}]
  selector: {{app: {name}}}
"""
