"""The service by which an agent says that its application takes requests, or soon will not.

Ours, because Istio says it in a stream of health reports. `Ready` and `Leaving` take the workload's
name, `Claim` its labels (`KEY=VALUE,...`) and asks whether it may have them; each a
`google.protobuf.StringValue`, answered by `google.protobuf.Empty`. Who may say it is known by the
caller's certificate. Needs protobuf, so `mesh.api` itself does not import it.
"""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

SERVICE = "fastmesh.v1.Registration"
READY, LEAVING, CLAIM = "Ready", "Leaving", "Claim"

__all__ = ["CLAIM", "LEAVING", "READY", "SERVICE", "Empty", "StringValue"]
