"""Beside a sidecar: gets its certificate, hands it on over SDS, runs the program it is for."""

import os

# Children are started beside gRPC's threads. Its fork handlers would abort them now and then, and
# they are for children that go on with gRPC; ours become another program at once.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
