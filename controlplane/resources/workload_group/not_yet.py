"""Fields of WorkloadGroup without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (NotYet("spec.template", "no entries are made of it; `mesh run` registers a workload"),)
