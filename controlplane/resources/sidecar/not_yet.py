"""Fields of Sidecar without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (NotYet("spec.ingress[].tls.insecureSkipVerify", "certificates of clients are verified"),)
