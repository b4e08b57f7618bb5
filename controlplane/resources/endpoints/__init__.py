"""Endpoints: schema, rules, translation."""
