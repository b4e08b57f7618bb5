"""Sidecar: schema, rules, translation."""
