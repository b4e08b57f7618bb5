"""Namespace: schema, rules, translation."""
