"""The service by which an agent says that its application takes requests, or soon will not.

Ours, because Istio says it in a stream of health reports. Both methods take the workload's name
(`google.protobuf.StringValue`) and answer `google.protobuf.Empty`; who may say it is known by the
caller's certificate. Needs protobuf, so `mesh.api` itself does not import it.
"""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

SERVICE = "fastmesh.v1.Registration"
READY, LEAVING = "Ready", "Leaving"

__all__ = ["LEAVING", "READY", "SERVICE", "Empty", "StringValue"]
