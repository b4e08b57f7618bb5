"""The service by which an agent learns how to start its sidecar, and says that its application
takes requests, does not, or soon will not.

Ours, because Istio says the first in files and the second in a stream that its agent carries for
Envoy; ours has none. Each method takes a `google.protobuf.StringValue`:

| method | takes | answers |
|---|---|---|
| `Configuration` | `NAME KEY=VALUE,... [GROUP]`: workload, labels, WorkloadGroup | `Struct` |
| `Ready`, `Leaving` | `NAME` | `Empty` |
| `Unhealthy` | `NAME REASON...` | `Empty` |

`Configuration` is refused when the workload may not have its labels. Its answer has `effective`,
the `istio.mesh.v1alpha1.ProxyConfig` of the workload as JSON; `own`, what of that is not the whole
mesh's; `services`, host and ports of those that select it; and `taken`, whether a sidecar of this
name is connected. Who may say what is known by the caller's certificate. Needs protobuf, so
`mesh.api` itself does not import it.
"""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import StringValue

SERVICE = "fastmesh.v1.Registration"
CONFIGURATION = "Configuration"
READY, UNHEALTHY, LEAVING = "Ready", "Unhealthy", "Leaving"
#: All of them.
METHODS = (CONFIGURATION, READY, UNHEALTHY, LEAVING)

__all__ = [
    "CONFIGURATION", "LEAVING", "METHODS", "READY", "SERVICE", "UNHEALTHY",
    "Empty", "StringValue", "Struct",
]  # fmt: skip
