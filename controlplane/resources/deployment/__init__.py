"""Deployment: schema, rules, translation."""
