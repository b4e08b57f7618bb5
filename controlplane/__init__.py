"""The control plane (`mesh control`): sources, world, translation to Envoy's resources, xDS, and
certificates; the agent beside a sidecar (`mesh run`). ARCHITECTURE.md says what is where."""

import os

# gRPC's own lines come in a form of their own, and say what our errors say as well.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
