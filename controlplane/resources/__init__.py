"""Istio's and Kubernetes' resources, a folder per kind: `schema`, `validate`, `translate`."""
